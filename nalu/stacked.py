"""The operations that know that they run on stacked replicas: a linear map, joining, and a choice of module by replica.

All tensors of a stack keep the replica axis *last in memory* (and first in shape, where vmap wants it). The networks of
this book are so small that one matrix product for each is mostly overhead; with replicas innermost, a layer of 8 x 8 is
eight fused multiply-adds over long contiguous rows, one lane a replica, and all that is elementwise runs as fast.
`benchmarks/identity.py` measures what that gains over batched matrix products.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch._C._functorch import is_batchedtensor
from torch.func import functional_call, vmap
from torch.overrides import TorchFunctionMode

SMALL = 2**14
"""Numbers in a term of a sum of products below which calling an operation costs more than computing it."""

LARGE = 2**13
"""Multiplications for one replica from which its own matrix product is worth a call and a change of layout."""

WIDE = 16
"""The least size of each of its three sides for that: a thinner product is slower than multiply-adds."""


def rows(x: Float[Tensor, "replica *shape"]) -> Float[Tensor, "*shape replica"]:
    """The replica axis last, contiguous: a view where `x` already lies so in memory, else a copy."""
    return x.movedim(0, -1).contiguous()


def product(
    a: Float[Tensor, "m k replica"], b: Float[Tensor, "n k replica"], start: Float[Tensor, "n replica"] | None = None
) -> Float[Tensor, "m n replica"]:
    """start[n] + sum_k a[m, k] b[n, k], replica by replica."""
    (m, k, replicas), n = a.shape, len(b)
    if m * n * k > LARGE and min(m, n, k) >= WIDE:
        y = torch.bmm(a.permute(2, 0, 1).contiguous(), b.permute(2, 1, 0).contiguous()).permute(1, 2, 0).contiguous()
        return y if start is None else y + start
    if k > 2 and m * n * replicas < SMALL:  # few operations: all products, then one sum
        y = (a.unsqueeze(1) * b.unsqueeze(0)).sum(2)
        return y if start is None else y + start
    # Few passes over memory: one fused multiply-add for each term.
    (a_0, b_0), *rest = zip(a.unsqueeze(1).unbind(2), b.unsqueeze(0).unbind(2), strict=True)
    y = a_0 * b_0 if start is None else torch.addcmul(start.unsqueeze(0), a_0, b_0)
    for a_k, b_k in rest:
        y.addcmul_(a_k, b_k)
    return y


class _Linear(torch.autograd.Function):
    """y = W x + b on stacked operands, and its gradients, each of them one `product`."""

    @staticmethod
    def forward(x, W, b):
        return product(rows(x), rows(W), None if b is None else rows(b)).movedim(-1, 0)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        x, W, b = inputs
        ctx.save_for_backward(x, W)
        ctx.has_bias = b is not None

    @staticmethod
    def backward(ctx, gradient):
        x, W = ctx.saved_tensors
        g = rows(gradient)
        of_x = product(g, rows(W).transpose(0, 1)).movedim(-1, 0) if ctx.needs_input_grad[0] else None
        of_W = product(g.transpose(0, 1), rows(x).transpose(0, 1)).movedim(-1, 0)
        of_b = g.sum(0).movedim(-1, 0) if ctx.has_bias else None
        return of_x, of_W, of_b


def _stack(x: Tensor, axis: int | None, replicas: int) -> Tensor:
    """An operand of vmap with its replica axis first, repeated where all replicas share it."""
    return x.expand(replicas, *x.shape) if axis is None else x.movedim(axis, 0)


class _SharedLinear(torch.autograd.Function):
    """y = W x + b on stacked W and b, and an x that all replicas share: one matrix product for all of them."""

    @staticmethod
    def forward(x, W, b):
        n, k, replicas = (W := rows(W)).shape
        y = (x @ W.transpose(0, 1).reshape(k, -1)).view(-1, n, replicas)
        return (y if b is None else y + rows(b)).movedim(-1, 0)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        x, W, b = inputs
        ctx.save_for_backward(x)
        ctx.of_shape, ctx.has_bias = W.shape, b is not None

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        replicas, n, k = ctx.of_shape
        g = rows(gradient)
        of_W = (x.T @ g.view(len(x), -1)).view(k, n, replicas).permute(2, 1, 0)
        return None, of_W, g.sum(0).movedim(-1, 0) if ctx.has_bias else None


class _StackedLinear(torch.autograd.Function):
    """What `F.linear` becomes under vmap. Alone it is never called, so it needs no gradient of its own."""

    @staticmethod
    def forward(x, W, b):
        return F.linear(x, W, b)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        pass

    @staticmethod
    def vmap(info, in_dims, x, W, b):
        n = info.batch_size
        W = _stack(W, in_dims[1], n)
        b = None if b is None else _stack(b, in_dims[2], n)
        if in_dims[0] is None and not x.requires_grad:
            y = _SharedLinear.apply(x.reshape(-1, x.shape[-1]), W, b)
            return y.reshape(n, *x.shape[:-1], y.shape[-1]), 0
        x = _stack(x, in_dims[0], n)
        batch = x.shape[1:-1]
        y = _Linear.apply(x.reshape(n, -1, x.shape[-1]), W, b)
        return y.reshape(n, *batch, y.shape[-1]), 0


class _Rearranged(torch.autograd.Function):
    """What joining and cutting tensors becomes under vmap: the same, with the replica axis last in memory.

    Left alone, gradients that are joined where a tensor was cut would have it first, and all that follows be slower.
    """

    @staticmethod
    def forward(function, dim, *tensors):
        return function(tensors, dim)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        pass

    @staticmethod
    def vmap(info, in_dims, function, dim, *tensors):
        stacked = [rows(_stack(x, axis, info.batch_size)) for x, axis in zip(tensors, in_dims[2:], strict=True)]
        y = function(stacked, dim - 1 if dim < 0 else dim)
        return y, y.ndim - 1 if isinstance(y, Tensor) else tuple(part.ndim - 1 for part in y)


class _StackedEmbedding(torch.autograd.Function):
    """What `F.embedding` becomes under vmap, for tokens that all replicas share."""

    @staticmethod
    def forward(tokens, weight):
        return F.embedding(tokens, weight)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        pass

    @staticmethod
    def vmap(info, in_dims, tokens, weight):
        W = rows(_stack(weight, in_dims[1], info.batch_size))
        y = W.index_select(0, tokens.flatten()).view(*tokens.shape, *W.shape[1:])
        return y, y.ndim - 1


class StackedOperations(TorchFunctionMode):
    """Inside this context `F.linear`, also that of `nn.Linear`, and what joins and cuts take the path for replicas.

    So units are written as for a single network, and know nothing of replicas.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is F.linear:
            x, W, b = _linear_arguments(*args, **(kwargs or {}))
            if is_batchedtensor(W):
                return _StackedLinear.apply(x, W, b)
        elif function is F.embedding:
            tokens, weight, plain = _embedding_arguments(*args, **(kwargs or {}))
            if plain and is_batchedtensor(weight) and not is_batchedtensor(tokens):
                return _StackedEmbedding.apply(tokens, weight)
        elif function in LOSSES and len(args) == 2 and set((kwargs or {}).values()) <= {None, "mean"}:
            return LOSSES[function](*args)
        elif function in REARRANGEMENTS:
            call, dim, tensors = REARRANGEMENTS[function](*args, **(kwargs or {}))
            if any(map(is_batchedtensor, tensors)):
                return _Rearranged.apply(call, dim, *tensors)
        return function(*args, **(kwargs or {}))


def _linear_arguments(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> tuple:
    return input, weight, bias


def _embedding_arguments(input: Tensor, weight: Tensor, **options: object) -> tuple[Tensor, Tensor, bool]:
    return input, weight, all(options.get(name) in (None, False) for name in ("padding_idx", "max_norm", "sparse"))


def _cat(tensors: Sequence[Tensor], dim: int = 0) -> tuple:
    return torch.cat, dim, tensors


def _stack_new(tensors: Sequence[Tensor], dim: int = 0) -> tuple:
    return torch.stack, dim, tensors


def _chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple:
    return lambda tensors, dim: tensors[0].chunk(chunks, dim), dim, [input]


def _unbind(input: Tensor, dim: int = 0) -> tuple:
    return lambda tensors, dim: tensors[0].unbind(dim), dim, [input]


REARRANGEMENTS = {
    torch.cat: _cat,
    torch.stack: _stack_new,
    torch.chunk: _chunk,
    Tensor.chunk: _chunk,
    torch.unbind: _unbind,
    Tensor.unbind: _unbind,
}
"""What joins and cuts tensors: from its arguments to a function of tensors and an axis, that axis, and the tensors."""


LOSSES: dict[Callable[..., Tensor], Callable[[Tensor, Tensor], Tensor]] = {
    F.mse_loss: lambda output, target: (output - target).square().mean(),
    F.l1_loss: lambda output, target: (output - target).abs().mean(),
}
"""Losses by their equations: the gradients of torch's own have the replica axis first in memory."""


class _ByReplica(torch.autograd.Function):
    """Apply module k to the k-th group of neighbouring replicas. Only under vmap, where replicas exist."""

    @staticmethod
    def forward(module, x, *parameters):
        raise RuntimeError("a module that differs by replica can only be called on all replicas at once")

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        pass

    @staticmethod
    def vmap(info, in_dims, module, x, *parameters):
        n, sizes = info.batch_size, module.sizes
        # Split and joined along the last axis, so that every part stays contiguous.
        parts = rows(_stack(x, in_dims[1], n)).split(sizes, -1)
        held = {
            name: _stack(p, axis, n).movedim(0, -1).split(sizes, -1)
            for name, p, axis in zip(module.names, parameters, in_dims[2:], strict=True)
        }
        results = []
        for k, (choice, part) in enumerate(zip(module.choices, parts, strict=True)):
            own = {name: held[name][k] for name, _ in choice.named_parameters()}
            call = vmap(lambda p, x, choice=choice: functional_call(choice, p, (x,)), in_dims=-1, out_dims=-1)
            results.append(call(own, part))
        return torch.cat(results, -1), results[0].ndim - 1


class ByReplica(nn.Module):
    """A leaf of a network that differs between groups of replicas, such as their activation.

    It carries the parameters of all its choices; a replica's choice uses its own and leaves the rest with no gradient.
    """

    def __init__(self, choices: Sequence[nn.Module], sizes: Sequence[int]) -> None:
        super().__init__()
        self.choices = tuple(choices)  # a tuple, so that their parameters are not registered twice
        self.sizes = list(sizes)
        for choice in choices:
            for name, p in choice.named_parameters():
                if name in self._parameters and self._parameters[name].shape != p.shape:
                    raise ValueError(
                        f"replicas of one stack must agree in the shape of {name}: "
                        f"expected {tuple(self._parameters[name].shape)}, got {tuple(p.shape)}"
                    )
                self.register_parameter(name, nn.Parameter(p.detach().clone()))
        self.names = list(self._parameters)

    def forward(self, x: Tensor) -> Tensor:
        return _ByReplica.apply(self, x, *(self._parameters[name] for name in self.names))
