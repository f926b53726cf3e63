"""A training step of a stack of replicas, traced once into a list of tensor operations and replayed.

vmap and autograd decide anew at every step what to do, and for networks this small deciding takes longer than doing.
Their decisions never change, so they are taken once: `make_fx` records the operations that reach the tensors.
"""

import operator
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn
from torch.func import functional_call, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from nalu.replicas import Calling, Inputs, Replicas, unpack
from nalu.stacked import StackedOperations, rows

Loss = Callable[[Tensor, Tensor], Tensor]

aten = torch.ops.aten

VIEWS = {
    operator.getitem,
    *(op.default for op in (aten.permute, aten.unsqueeze, aten.view, aten._unsafe_view, aten.expand, aten.detach)),
    *(op.int for op in (aten.transpose, aten.unbind)),
    *(op.Tensor for op in (aten.slice, aten.split)),
    aten.split_with_sizes.default,
}
"""Operations whose result lies in the memory of their operand."""

PLAIN = {
    getattr(getattr(aten, name), overload): getattr(torch, name, None) or getattr(Tensor, name)
    for overload, names in {
        "default": "abs addcmul addcmul_ bmm cat clamp clone cos exp expand floor log logical_and_ minimum mm neg "
        "permute relu sgn sigmoid sign sin split_with_sizes stack sum tanh unsqueeze view",
        "Tensor": "add div eq gt lt mul sub",
        "Scalar": "add div eq ge gt le lt masked_fill_ mul rsub sub",
        "Tensor_Scalar": "pow",
        "int": "select transpose unbind",
        "dim_IntList": "sum",
        "dim": "mean",
        "self": "where",
    }.items()
    for name in names.split()
}
"""Frequent operations as functions of torch, which are called a microsecond faster than those of torch.ops."""


def training_step(
    replicas: Replicas,
    loss: Loss,
    x: Inputs,
    y: Float[Tensor, "replica batch out"],
    *,
    own: bool = True,
    penalty_weight: Float[Tensor, ""] | None = None,
    penalty_below: float | None = None,
) -> Callable[[], tuple[Float[Tensor, " replica"], Float[Tensor, "parameter replica"]]]:
    """A function of no argument that returns each replica's loss, and the gradient of their state.

    The loss is summed over replicas. No replica appears in another's term, so each gets the gradient of its own loss.

    Args:
        loss: maps one replica's output and target to a scalar.
        x, y: the batch. The step reads them where they lie: copy the next batch into them. It reads the state likewise.
        own: whether each replica has inputs of its own, along the first axis of x.
        penalty_weight: where given, so many times the networks' `penalty()` is added to what is differentiated, not to
            the loss that is returned. The step reads it where it lies.
        penalty_below: only replicas whose loss is below this are penalised.
    """
    names = list(replicas.shapes)

    def step(x: Tensor, y: Tensor, weight: Tensor | None, *values: Tensor) -> tuple[Tensor, Tensor]:
        values = [value.requires_grad_() for value in values]
        parameters = dict(zip(names, values, strict=True))
        outputs = replicas.forward(parameters, x, own=own)
        with StackedOperations():
            losses = vmap(loss)(outputs, y)
        total = losses
        if weight is not None:
            penalties = weight * replicas.each(penalty, parameters)
            if penalty_below is not None:
                penalties = torch.where(losses.detach() < penalty_below, penalties, 0.0)
            total = losses + penalties
        start = torch.ones(len(replicas), dtype=total.dtype, device=total.device)
        gradients = torch.autograd.grad(total, values, start, materialize_grads=True)
        return losses.detach(), torch.cat([rows(g).reshape(-1, len(replicas)) for g in gradients])

    operands = [x, y, penalty_weight, *unpack(replicas.state.detach(), replicas.shapes).values()]
    replicas.network.train()
    with torch.enable_grad():
        traced = make_fx(step)(*operands)
    replicas.network.eval()
    _simplify(traced.graph)
    operands = _hoist(traced.graph, operands)
    _copy_less(traced.graph)
    for node in traced.graph.nodes:
        node.target = PLAIN.get(node.target, node.target)
    traced.recompile()
    return partial(traced.forward, *operands)


def projection(replicas: Replicas) -> Callable[[], object] | None:
    """A function of no argument that calls `project_()` of all modules that have one, or None where none has.

    The modules are called once for all replicas, on parameters with a replica axis in front: it is what they do number
    by number that is recorded.

    Raises:
        ValueError: a `project_()` that does something else to a replica than to the same network alone.
    """
    if not any(hasattr(module, "project_") for module in replicas.network.modules()):
        return None
    names = list(replicas.shapes)
    network = Calling(replicas.network, _project)

    def project(*values: Tensor) -> tuple[Tensor, ...]:
        parameters = dict(zip(names, values, strict=True))
        held = {f"network.{place}": parameters[name] for place, name in replicas.places.items()}
        functional_call(network, held, (), tie_weights=False)
        return values

    operands = list(unpack(replicas.state.detach(), replicas.shapes).values())
    with torch.no_grad():
        traced = make_fx(project)(*(operand.clone() for operand in operands))
        _check_projection(replicas, traced)
    return partial(traced.forward, *operands)


def _project(network: nn.Module) -> None:
    for module in network.modules():
        if hasattr(module, "project_"):
            module.project_()


def _check_projection(replicas: Replicas, project: Callable[..., tuple[Tensor, ...]]) -> None:
    generator = torch.Generator().manual_seed(0)
    noisy = [4 * torch.rand(p.shape, generator=generator).to(p) - 2 for p in replicas.parameters().values()]
    alone = replicas[0]
    for name, p in zip(replicas.shapes, noisy, strict=True):
        if name in (own := dict(alone.named_parameters())):
            own[name].copy_(p[0])
    _project(alone)
    own = dict(alone.named_parameters())
    for name, p in zip(replicas.shapes, project(*noisy), strict=True):
        if name in own and not torch.equal(own[name], p[0]):
            raise ValueError(f"project_: expected to change {name} number by number, got another result in a stack")


def penalty(network: nn.Module) -> Float[Tensor, ""]:
    """The sum of the penalties of a network's modules.

    Raises:
        ValueError: no module has a `penalty()`.
    """
    penalties = [module.penalty() for module in network.modules() if hasattr(module, "penalty")]
    if not penalties:
        raise ValueError(f"penalty: expected a network with a module that has one, got {type(network).__name__}")
    return torch.stack(penalties).sum()


def _simplify(graph: fx.Graph) -> None:
    """Drop what changes nothing: a view of the same shape, a permutation and its inverse, times or to the one.

    Permutations also move behind what is elementwise, towards their inverses, and so do expansions, for an expanded
    gradient that is written out has its replicas first in memory.
    """
    for node in list(graph.nodes):
        if node.op != "call_function" or not node.args or not isinstance(node.args[0], fx.Node):
            continue
        source = node.args[0]
        if _same(node, source):
            node.replace_all_uses_with(source)
        elif node.target is aten.permute.default and source.target is aten.permute.default:
            node.replace_input_with(source, source.args[0])
            node.update_arg(1, [source.args[1][d] for d in node.args[1]])
            if node.args[1] == sorted(node.args[1]):
                node.replace_all_uses_with(node.args[0])
        elif _elementwise(node) and (order := _common_order(node.all_input_nodes)):
            with graph.inserting_before(node):
                args = fx.map_arg(node.args, lambda permuted: permuted.args[0])
                inner = graph.call_function(node.target, args, node.kwargs)
                outer = graph.call_function(aten.permute.default, (inner, order))
            inner.meta, outer.meta = source.args[0].meta, node.meta
            node.replace_all_uses_with(outer)
        elif source.target is aten.expand.default and _elementwise(node) and node.all_input_nodes == [source]:
            with graph.inserting_before(node):  # first what is done to each number, then the copies
                inner = graph.call_function(node.target, (source.args[0], *node.args[1:]), node.kwargs)
                outer = graph.call_function(aten.expand.default, (inner, *source.args[1:]))
            inner.meta, outer.meta = source.args[0].meta, node.meta
            node.replace_all_uses_with(outer)
    graph.eliminate_dead_code()


def _elementwise(node: fx.Node) -> bool:
    operation = node.target
    known = isinstance(operation, torch._ops.OpOverload) and torch.Tag.pointwise in operation.tags
    return known and not _writes(node) and not node.kwargs and operation is not aten.clone.default


def _common_order(nodes: list[fx.Node]) -> list[int] | None:
    """The permutation that all of them are, if they are one, and of tensors of the same shape."""
    if any(node.target is not aten.permute.default or node.args[1] != nodes[0].args[1] for node in nodes):
        return None
    shapes = {node.meta["tensor_meta"].shape for node in nodes}
    return nodes[0].args[1] if len(shapes) == 1 else None


def _hoist(graph: fx.Graph, operands: list[Tensor]) -> list[Tensor]:
    """Take out of the step what is the same in all of them; return the operands that are left.

    That is views of the operands, which stay where they lie, and what follows from numbers that never change, such as
    the ones that a gradient starts from.
    """
    known = dict(zip(graph.find_nodes(op="placeholder"), operands, strict=True))
    fixed: set[fx.Node] = set()
    written = {_origin(node.args[0]) for node in graph.nodes if _writes(node)}
    for node in graph.nodes:
        sources = node.all_input_nodes
        view = node.target in VIEWS and all(source in known for source in sources)
        constant = node.op == "call_function" and node not in written and fixed.issuperset(sources) and _settled(node)
        if view or constant:
            args, kwargs = fx.map_arg((node.args, node.kwargs), known.__getitem__)
            known[node] = node.target(*args, **kwargs)
        if constant:
            fixed.add(node)
    left = []
    for node, value in known.items():
        if any(user not in known for user in node.users):
            with graph.inserting_before(next(iter(graph.nodes))):
                operand = graph.placeholder(f"operand_{len(left)}")
            node.replace_all_uses_with(operand, lambda user: user not in known)
            left.append(value)
    for node in reversed(known):
        graph.erase_node(node)
    graph.eliminate_dead_code()
    return left[::-1]  # each new placeholder went in front of the last


def _copy_less(graph: fx.Graph) -> None:
    """Copy only what does not lie as it should: since the trace, permutations have moved."""
    written = {_origin(node.args[0]) for node in graph.nodes if _writes(node)}
    for node in graph.find_nodes(op="call_function", target=aten.clone.default):
        if written.isdisjoint((node, _origin(node.args[0]))) and node.kwargs == {
            "memory_format": torch.contiguous_format
        }:
            node.target, node.kwargs = Tensor.contiguous, {}


def _writes(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _settled(node: fx.Node) -> bool:
    """Whether an operation returns the same whenever its operands are the same, and leaves them as they are."""
    return not _writes(node) and torch.Tag.nondeterministic_seeded not in getattr(node.target, "tags", ())


def _origin(node: fx.Node) -> fx.Node:
    """What a view lies in the memory of."""
    while node.target in VIEWS:
        node = node.args[0]
    return node


def _same(node: fx.Node, source: fx.Node) -> bool:
    """Whether an operation returns its first operand unchanged."""
    if node.target in (aten.detach.default, aten.alias.default):
        return True
    if node.target in (aten.view.default, aten._unsafe_view.default, aten.expand.default):
        return node.meta["tensor_meta"].shape == source.meta["tensor_meta"].shape
    if node.target in (aten.mul.Scalar, aten.pow.Tensor_Scalar):
        return node.args[1] == 1
    return False
