"""The operations that know that they run on stacked replicas: a linear map, and a look into a table.

All tensors of a stack keep the replica axis *last in memory* (and first in shape, where vmap wants it). The networks of
this book are so small that one matrix product for each is mostly overhead; with replicas innermost, a layer of 8 x 8 is
eight fused multiply-adds over long contiguous rows, one lane a replica, and all that is elementwise runs as fast.
Nothing here has a gradient: replicas are called, and trained elsewhere (`nalu.engine`).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch._C._functorch import is_batchedtensor
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


def _stack(x: Tensor, axis: int | None, replicas: int) -> Tensor:
    """An operand of vmap with its replica axis first, repeated where all replicas share it."""
    return x.expand(replicas, *x.shape) if axis is None else x.movedim(axis, 0)


class _Stacked(torch.autograd.Function):
    """An operation that vmap calls on all replicas at once. Alone it is never called."""

    @staticmethod
    def forward(*operands):
        raise RuntimeError("expected to be called under vmap")

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        pass


class _Linear(_Stacked):
    """What `F.linear` becomes: y = W x + b, one matrix product for all replicas where they share x."""

    @staticmethod
    def vmap(info, in_dims, x, W, b):
        n = info.batch_size
        W = rows(_stack(W, in_dims[1], n))
        b = None if b is None else rows(_stack(b, in_dims[2], n))
        if in_dims[0] is None:
            shape, x = x.shape[:-1], x.reshape(-1, x.shape[-1])
            y = (x @ W.transpose(0, 1).reshape(x.shape[-1], -1)).view(-1, len(W), n)
            y = y if b is None else y + b
        else:
            x = rows(_stack(x, in_dims[0], n))
            shape = x.shape[:-2]
            y = product(x.reshape(-1, *x.shape[-2:]), W, b)
        y = y.reshape(*shape, len(W), n)
        return y, y.ndim - 1


class _Embedding(_Stacked):
    """What `F.embedding` becomes, for tokens that all replicas share."""

    @staticmethod
    def vmap(info, in_dims, tokens, weight):
        W = rows(_stack(weight, in_dims[1], info.batch_size))
        y = W.index_select(0, tokens.flatten()).view(*tokens.shape, *W.shape[1:])
        return y, y.ndim - 1


class StackedOperations(TorchFunctionMode):
    """Inside this context `F.linear`, also that of `nn.Linear`, and `F.embedding` take the path for replicas.

    So units are written as for a single network, and know nothing of replicas.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is F.linear:
            x, W, b = _linear_arguments(*args, **(kwargs or {}))
            if is_batchedtensor(W):
                return _Linear.apply(x, W, b)
        elif function is F.embedding:
            tokens, weight, plain = _embedding_arguments(*args, **(kwargs or {}))
            if plain and is_batchedtensor(weight) and not is_batchedtensor(tokens):
                return _Embedding.apply(tokens, weight)
        return function(*args, **(kwargs or {}))


def _linear_arguments(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> tuple:
    return input, weight, bias


def _embedding_arguments(input: Tensor, weight: Tensor, **options: object) -> tuple[Tensor, Tensor, bool]:
    return input, weight, all(options.get(name) in (None, False) for name in ("padding_idx", "max_norm", "sparse"))
