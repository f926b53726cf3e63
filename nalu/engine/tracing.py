"""A function of tensors as a graph of few, simple operations."""

from collections.abc import Callable

import torch
from torch import Tensor, fx
from torch._decomp import get_decompositions
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_leaves, tree_map

aten = torch.ops.aten

DEFINED = """
hardtanh hardtanh_backward sigmoid_backward tanh_backward hardshrink hardshrink_backward softshrink
softshrink_backward leaky_relu leaky_relu_backward threshold threshold_backward _prelu_kernel _prelu_kernel_backward
softplus softplus_backward elu elu_backward mse_loss mse_loss_backward _softmax _softmax_backward_data _log_softmax
_log_softmax_backward_data log_sigmoid_forward log_sigmoid_backward gelu gelu_backward silu silu_backward mish
mish_backward hardsigmoid hardsigmoid_backward hardswish hardswish_backward huber_loss
huber_loss_backward smooth_l1_loss smooth_l1_loss_backward addcmul addcmul_ addcdiv addcdiv_ lerp lerp_ dot mv vdot
linalg_vector_norm norm logsumexp   glu glu_backward
select_backward slice_backward
"""

SIMPLER = get_decompositions([getattr(aten, name) for name in DEFINED.split()])
"""What is traced by its definition in terms of simpler operations."""

SAME = {aten.detach.default, aten.alias.default, aten.lift_fresh_copy.default, aten.clone.default}
"""What returns its operand, for a tensor is never changed in place here."""


def trace(function: Callable, *operands: object) -> fx.Graph:
    """The operations that `function` does on operands like these, which may be nested lists of tensors.

    Operations in place become functions, equal ones become one, and what has no use is left out. Placeholders are the
    operands' tensors in their order, and the output is the list of the result's.
    """
    # A tensor of its own for each place: equal ones would be taken for one.
    operands = tree_map(lambda x: x.detach().clone() if isinstance(x, Tensor) else x, operands)
    with torch.enable_grad():
        try:  # on tensors without numbers, in half the time
            record = make_fx(function, SIMPLER, tracing_mode="fake", _allow_non_fake_inputs=True)
            graph = record(*operands).graph
        except Exception:  # what reads a number that never changes needs it
            graph = make_fx(function, SIMPLER)(*operands).graph
    (output,) = graph.find_nodes(op="output")
    output.args = (tree_leaves(output.args[0]),)
    _functional(graph)
    _merge(graph)
    graph.eliminate_dead_code()
    return graph


class Unknown(Exception):
    """An operation, or a form of one, that has no C here; its text says which."""


def _functional(graph: fx.Graph) -> None:
    """After an operation in place, its result stands for the tensor that it changed.

    Raises:
        Unknown: another tensor that is still in use lies in the same memory.
    """
    place = {node: k for k, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        if isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable:
            changed = node.args[0]
            views = [user for user in changed.users if _is_view(user) and place[user] < place[node]]
            if _is_view(changed) or any(place[user] > place[node] for view in views for user in view.users):
                raise Unknown(f"{node.target} on a tensor that another one shares its memory with")
            changed.replace_all_uses_with(node, lambda user, node=node: place[user] > place[node])


def _is_view(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target.is_view


def _merge(graph: fx.Graph) -> None:
    known: dict[str, fx.Node] = {}
    for node in graph.nodes:
        if node.target in SAME:
            node.replace_all_uses_with(node.args[0])
        elif node.op == "call_function":
            first = known.setdefault(f"{node.target} {node.args} {node.kwargs}", node)
            if first is not node:
                node.replace_all_uses_with(first)
