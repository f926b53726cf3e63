"""From an operation of PyTorch to the C of one element of its result.

A rule is given the emitter, the node of the graph and an index, and returns an `Expression`. Views only change the
index, so they leave no trace in the C; what is elementwise is written into its reader; a reduction is a sum of terms.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, fx

from nalu.engine import expression as c
from nalu.engine.expression import Expression
from nalu.engine.index import Index, Loop, flat, unflat
from nalu.engine.tracing import Unknown

if TYPE_CHECKING:
    from nalu.engine.emitter import Emitter

Place = tuple[Index, ...]
Rule = Callable[["Emitter", fx.Node, Place], Expression]


def name(node: fx.Node) -> str:
    """What an operation is called, whatever its overload."""
    target = node.target
    return target.overloadpacket.__name__ if isinstance(target, torch._ops.OpOverload) else target.__name__


def shape(node: fx.Node) -> tuple[int, ...]:
    """That of what an operation returns.

    Raises:
        Unknown: it returns something else than one tensor.
    """
    if not isinstance(node.meta.get("val"), Tensor):
        raise Unknown(f"{node.target}")
    return tuple(node.meta["val"].shape)


def _argument(node: fx.Node, k: int, default: object = None) -> object:
    return node.args[k] if len(node.args) > k else default


# Views: from an index to that of the same element in the source.


def _same(e: "Emitter", node: fx.Node, place: Place) -> Expression:
    return e.element(node.args[0], place)


def _view(e: "Emitter", node: fx.Node, place: Place) -> Expression:
    source = node.args[0]
    return e.element(source, unflat(flat(place, shape(node)), shape(source)))


def _permute(e: "Emitter", node: fx.Node, place: Place) -> Expression:
    order = [d % len(place) for d in node.args[1]]
    return e.element(node.args[0], tuple(place[order.index(d)] for d in range(len(place))))


def _transpose(e: "Emitter", node: fx.Node, place: Place) -> Expression:
    a, b = (d % len(place) for d in node.args[1:3])
    swapped = list(place)
    swapped[a], swapped[b] = place[b], place[a]
    return e.element(node.args[0], tuple(swapped))


def _unsqueeze(e: "Emitter", node: fx.Node, place: Place) -> Expression:
    d = node.args[1] % len(place)
    return e.element(node.args[0], place[:d] + place[d + 1 :])


def _squeeze(e: "Emitter", node: fx.Node, place: Place) -> Expression:
    sizes, rest = shape(node.args[0]), iter(place)
    dims = _argument(node, 1, range(len(sizes)))
    dims = {d % len(sizes) for d in ([dims] if isinstance(dims, int) else dims)}
    source = tuple(Index() if d in dims and size == 1 else next(rest) for d, size in enumerate(sizes))
    return e.element(node.args[0], source)


def _expand(e: "Emitter", node: fx.Node, place: Place) -> Expression:
    return e.operand(node.args[0], place)


def _select(e: "Emitter", node: fx.Node, place: Place) -> Expression:
    sizes = shape(node.args[0])
    d = node.args[1] % len(sizes)
    return e.element(node.args[0], (*place[:d], Index(node.args[2] % sizes[d]), *place[d:]))


def _slice(e: "Emitter", node: fx.Node, place: Place) -> Expression:
    d = _argument(node, 1, 0) % len(place)
    size = shape(node.args[0])[d]
    start = _argument(node, 2) or 0
    start = min(max(start + size if start < 0 else start, 0), size)
    return e.element(node.args[0], (*place[:d], place[d] * _argument(node, 4, 1) + start, *place[d + 1 :]))


def _part(e: "Emitter", node: fx.Node, place: Place) -> Expression:
    """One of the parts that a tensor was cut into."""
    cut, k = node.args
    source, kind = cut.args[0], name(cut)
    d = (_argument(cut, 1, 0) if kind == "unbind" else _argument(cut, 2, 0)) % len(shape(source))
    if kind == "unbind":
        return e.element(source, (*place[:d], Index(k), *place[d:]))
    if kind == "split":
        start = k * cut.args[1]
    elif kind == "split_with_sizes":
        start = sum(cut.args[1][:k])
    else:
        raise Unknown(f"{kind} in several parts")
    return e.element(source, (*place[:d], place[d] + start, *place[d + 1 :]))


def _cat(e: "Emitter", node: fx.Node, place: Place) -> Expression:
    d = _argument(node, 1, 0) % len(place)
    parts, start = [], 0
    for source in node.args[0]:
        size = shape(source)[d]
        parts.append(
            (start, start + size, lambda i, source=source: e.element(source, (*place[:d], i, *place[d + 1 :])))
        )
        start += size
    return _choose(place[d], parts)


def _stack(e: "Emitter", node: fx.Node, place: Place) -> Expression:
    d = _argument(node, 1, 0) % len(place)
    rest = place[:d] + place[d + 1 :]
    parts = [(k, k + 1, lambda i, source=source: e.element(source, rest)) for k, source in enumerate(node.args[0])]
    return _choose(place[d], parts)


def _pad(e: "Emitter", node: fx.Node, place: Place) -> Expression:
    """The source with as many numbers in front of and behind each axis; negative ones cut."""
    source, pads, value = node.args[0], node.args[1], e.literal(_argument(node, 2, 0))

    def padded(d: int, found: Place) -> Expression:
        if d == len(place):
            return e.element(source, found)
        k = 2 * (len(place) - 1 - d)
        before = pads[k] if k < len(pads) else 0
        size = shape(source)[d]
        if before <= 0 and place[d].range()[1] - before < size:
            return padded(d + 1, (*found, place[d] + -before))
        first = max(before, 0)
        parts = [
            (0, first, lambda i: value),
            (first, before + size, lambda i: padded(d + 1, (*found, i + (first - before)))),
            (before + size, shape(node)[d], lambda i: value),
        ]
        return _choose(place[d], parts)

    return padded(0, ())


def _slice_scatter(e: "Emitter", node: fx.Node, place: Place) -> Expression:
    """A tensor with another one in the place of a slice."""
    whole, part = node.args[:2]
    d, size = _argument(node, 2, 0) % len(place), shape(part)
    length = shape(whole)[d]
    start = _argument(node, 3) or 0
    start = min(max(start + length if start < 0 else start, 0), length)
    if _argument(node, 5, 1) != 1:
        raise Unknown(f"{node.target} with a step")
    return _inserted(e, whole, place, d, start, start + size[d], lambda i: (*place[:d], i, *place[d + 1 :]), part)


def _select_scatter(e: "Emitter", node: fx.Node, place: Place) -> Expression:
    """A tensor with another one in the place of one of its parts."""
    whole, part = node.args[:2]
    d = node.args[2] % len(place)
    k = node.args[3] % shape(whole)[d]
    return _inserted(e, whole, place, d, k, k + 1, lambda i: place[:d] + place[d + 1 :], part)


def _inserted(
    e: "Emitter", whole: fx.Node, place: Place, d: int, start: int, stop: int, at: Callable, part: fx.Node
) -> Expression:
    def around(first: int) -> Callable[[Index], Expression]:
        return lambda i: e.element(whole, (*place[:d], i + first, *place[d + 1 :]))

    size = shape(whole)[d]
    parts = [(0, start, around(0)), (start, stop, lambda i: e.element(part, at(i))), (stop, size, around(stop))]
    return _choose(place[d], parts)


def _flip(e: "Emitter", node: fx.Node, place: Place) -> Expression:
    flipped = {d % len(place) for d in node.args[1]}
    source = (
        i * -1 + (size - 1) if d in flipped else i for d, (i, size) in enumerate(zip(place, shape(node), strict=True))
    )
    return e.element(node.args[0], tuple(source))


def _choose(i: Index, parts: Sequence[tuple[int, int, Callable[[Index], Expression]]]) -> Expression:
    """The part that an index falls into: known now, or chosen by the loop variable in C."""
    low, high = i.range()
    near = [(start, stop, at) for start, stop, at in parts if start < stop and start <= high and low < stop]
    found = []
    for start, stop, at in near:
        inner = i + -start
        part = at(inner if len(near) == 1 else inner.within(stop - start) if stop - start > 1 else Index())
        found.append((stop, part if len(near) == 1 else c.vector(part)))
    text = found[-1][1].text
    for stop, part in reversed(found[:-1]):
        text = f"({i} < {stop} ? {part.text} : {text})"
    return found[-1][1] if len(found) == 1 else Expression(text)


VIEWS: dict[str, Rule] = {
    "view": _view,
    "_unsafe_view": _view,
    "reshape": _view,
    "permute": _permute,
    "transpose": _transpose,
    "t": lambda e, node, place: e.element(node.args[0], place[::-1]),
    "unsqueeze": _unsqueeze,
    "squeeze": _squeeze,
    "expand": _expand,
    "select": _select,
    "slice": _slice,
    "getitem": _part,
    "cat": _cat,
    "stack": _stack,
    "constant_pad_nd": _pad,
    "slice_scatter": _slice_scatter,
    "select_scatter": _select_scatter,
    "flip": _flip,
    "contiguous": _same,
}

CUTS = {"split", "split_with_sizes", "unbind"}
"""Operations with several results, whose parts are read by `getitem`."""

CONSTANTS: dict[str, Callable[[fx.Node], float]] = {
    "ones_like": lambda node: 1,
    "ones": lambda node: 1,
    "new_ones": lambda node: 1,
    "zeros_like": lambda node: 0,
    "zeros": lambda node: 0,
    "new_zeros": lambda node: 0,
    "full": lambda node: node.args[1],
    "full_like": lambda node: node.args[1],
    "new_full": lambda node: node.args[2],
    "scalar_tensor": lambda node: node.args[0],
}


# What is elementwise: from the C of the operands to that of the result.


def _function(text: str) -> Callable[..., Expression]:
    return lambda e, node, a: c.call(text, c.numeric(a))


def _comparison(text: str) -> Callable[..., Expression]:
    return lambda e, node, a, b: c.compare(text, c.numeric(a), c.numeric(b))


def _weighted(combine: Callable[[Expression, Expression], Expression]) -> Callable[..., Expression]:
    """add and sub have a factor on their second operand."""

    def rule(e: "Emitter", node: fx.Node, a: Expression, b: Expression) -> Expression:
        alpha = node.kwargs.get("alpha", 1)
        return combine(a, b if alpha == 1 else c.multiply(e.literal(alpha), b))

    return rule


def _divided(e: "Emitter", node: fx.Node, a: Expression, b: Expression) -> Expression:
    rounding = node.kwargs.get("rounding_mode")
    if rounding not in (None, "floor"):
        raise Unknown(f"div with rounding_mode={rounding!r}")
    quotient = c.divide(a, b)
    return quotient if rounding is None else c.call("vfloor", quotient)


def _power(e: "Emitter", node: fx.Node, a: Expression, b: Expression) -> Expression:
    a, b = c.numeric(a), c.numeric(b)
    simple = {
        1.0: lambda: a,
        2.0: lambda: c.multiply(a, a),
        3.0: lambda: c.multiply(c.multiply(a, a), a),
        0.5: lambda: c.call("vsqrt", a),
        -1.0: lambda: c.divide(e.literal(1), a),
        0.0: lambda: e.literal(1),
    }
    return simple.get(b.value, lambda: c.call("vpow", a, b))()


def _clamp(
    e: "Emitter", node: fx.Node, a: Expression, low: Expression | None = None, high: Expression | None = None
) -> Expression:
    low, high = low or e.literal(-math.inf), high or e.literal(math.inf)
    return c.call("vclamp", c.numeric(a), low, high)


def _fill(e: "Emitter", node: fx.Node, a: Expression, m: Expression, value: Expression) -> Expression:
    return c.select(m, value, a)


def _cast(e: "Emitter", node: fx.Node, a: Expression, *_: object) -> Expression:
    if node.meta["val"].dtype == torch.bool:
        return c.mask(a)
    if node.meta["val"].dtype == (torch.float32 if e.single else torch.float64):
        return c.numeric(a)
    raise Unknown(f"a conversion to {node.meta['val'].dtype}")


def _shrunk(e: "Emitter", node: fx.Node, g: Expression, x: Expression, k: Expression) -> Expression:
    return c.select(c.compare("<=", c.call("vabs", x), k), e.literal(0), g)


FUNCTIONS = "exp log exp2 log2 log1p expm1 tanh sigmoid sin cos sqrt abs sign floor ceil round"
"""What is a function of C of the same name, with a v in front."""

ELEMENTWISE: dict[str, Callable[..., Expression]] = {
    "add": _weighted(c.add),
    "sub": _weighted(c.subtract),
    "rsub": lambda e, node, a, b: _weighted(c.subtract)(e, node, b, a),
    "mul": lambda e, node, a, b: c.multiply(a, b),
    "div": _divided,
    "neg": lambda e, node, a: c.negative(a),
    "reciprocal": lambda e, node, a: c.divide(e.literal(1), a),
    "square": lambda e, node, a: c.multiply(a, a),
    "pow": _power,
    "rsqrt": lambda e, node, a: c.divide(e.literal(1), c.call("vsqrt", a)),
    "relu": lambda e, node, a: c.call("vrelu", a),
    "minimum": lambda e, node, a, b: c.call("vmin", a, b),
    "maximum": lambda e, node, a, b: c.call("vmax", a, b),
    "clamp": _clamp,
    "clamp_min": lambda e, node, a, low: _clamp(e, node, a, low),
    "clamp_max": lambda e, node, a, high: _clamp(e, node, a, None, high),
    "where": lambda e, node, m, a, b: c.select(m, a, b),
    "masked_fill": _fill,
    "_to_copy": _cast,
    "convert_element_type": _cast,
    "hardshrink_backward": _shrunk,
    "softshrink_backward": _shrunk,
    "logical_not": lambda e, node, a: Expression(f"(~{c.mask(a).text})", kind="mask"),
    "bitwise_not": lambda e, node, a: Expression(f"(~{c.mask(a).text})", kind="mask"),
    **{
        operation: lambda e, node, a, b, text=text: c.logic(text, (a, b))
        for operation, text in {
            "logical_and": "&",
            "bitwise_and": "&",
            "logical_or": "|",
            "bitwise_or": "|",
            "logical_xor": "^",
        }.items()
    },
    **{operation: _function(f"v{operation}") for operation in FUNCTIONS.split()},
    "sgn": _function("vsign"),
    **{
        operation: _comparison(text)
        for operation, text in {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}.items()
    },
}
TOLD = {"add": {"alpha"}, "sub": {"alpha"}, "rsub": {"alpha"}, "div": {"rounding_mode"}}
TOLD |= {kind: {"dtype", "layout", "device", "memory_format"} for kind in ("_to_copy", "convert_element_type")}
"""The keyword arguments that rules look at, or that change no number."""


def check(node: fx.Node) -> None:
    """Raise where an operation would do something else than its rule: what is not looked at must not be there.

    Raises:
        Unknown: it does.
    """
    kind, dtype = name(node), getattr(node.meta.get("val"), "dtype", None)
    if kind in CONSTANTS or kind in VIEWS:
        return
    more = sorted({key for key, value in node.kwargs.items() if value is not None} - TOLD.get(kind.rstrip("_"), set()))
    if more:
        raise Unknown(f"{node.target} with {', '.join(more)}")
    if kind.startswith("bitwise") and dtype != torch.bool:
        raise Unknown(f"{node.target} of whole numbers")
    if kind == SCATTER and (_argument(node, 3, -1) >= 0 or _argument(node, 4, False)):
        raise Unknown(f"{node.target} with padding_idx={node.args[3]}, scale_grad_by_freq={node.args[4]}")


COSTLY = frozenset([*FUNCTIONS.split(), "pow", "div", "reciprocal", "rsqrt"]) - {
    "abs",
    "sign",
    "floor",
    "ceil",
    "round",
}
"""What takes much longer than a sum or a product."""

ELEMENTWISE |= {f"{operation}_": rule for operation, rule in ELEMENTWISE.items()}  # the trace made them functions


# Reductions: the sizes of the axes that they add up, and the term at an index and a place on those axes.


def axes(node: fx.Node) -> list[int]:
    """The axes that a sum, product, mean or extremum goes over, in order."""
    sizes = shape(node.args[0])
    given = _argument(node, 1)
    given = [given] if isinstance(given, int) else given
    return sorted(d % len(sizes) for d in given) if given else list(range(len(sizes)))


def reduced(node: fx.Node) -> tuple[int, ...]:
    """The sizes of the axes that a reduction goes over."""
    if (kind := name(node)) in PRODUCTS:
        return (shape(node.args[1 if kind == "addmm" else 0])[-1],)
    return tuple(shape(node.args[0])[d] for d in axes(node))


def term(e: "Emitter", node: fx.Node, place: Place, over: Place) -> Expression:
    """What a reduction adds up."""
    if (kind := name(node)) in PRODUCTS:
        a, b = node.args[-2:]
        rows, columns = (*place[:-1], over[0]), (*place[:-2], over[0], place[-1])
        return c.multiply(e.element(a, rows), e.element(b, columns))
    if kind not in SUMS:
        raise Unknown(kind)
    left, gone, kept = list(place), iter(over), axes(node)
    index = []
    for d in range(len(shape(node.args[0]))):
        if d in kept:
            index.append(next(gone))
            if _argument(node, 2, False):  # keepdim
                left.pop(0)
        else:
            index.append(left.pop(0))
    return c.numeric(e.element(node.args[0], tuple(index)))


def looked_up(e: "Emitter", node: fx.Node, place: Place) -> Expression:
    """A row's number of a table, by a token: the same row in all lanes, or one for each."""
    table, tokens = node.args[:2]
    return e.entry(table, e.element(tokens, place[:-1]), place[-1])


PRODUCTS = {"mm", "bmm", "addmm"}
SUMS = {"sum", "mean", "prod", "amax", "amin"}
REDUCTIONS = PRODUCTS | SUMS

COMBINED: dict[str, tuple[float, Callable[[Expression, Expression], Expression]]] = {
    "prod": (1, c.multiply),
    "amax": (-math.inf, lambda total, x: c.call("vmax", total, x)),
    "amin": (math.inf, lambda total, x: c.call("vmin", total, x)),
}
"""What a reduction starts from, and how it takes in a term, where it is no sum."""


LOOKUP, SCATTER = "embedding", "embedding_dense_backward"
"""To read a table by tokens, and to add up the gradients of what was read."""


def loops(sizes: Sequence[int], names: str) -> list[Loop | None]:
    """A loop for each axis, and none for an axis of size 1."""
    rest = iter(names)
    try:
        return [Loop.named(next(rest), size) if size > 1 else None for size in sizes]
    except StopIteration as error:
        raise Unknown(f"a tensor of {len(sizes)} axes") from error
