"""C expressions: text that knows how tightly it binds, and whether it is a vector, a single number or a mask."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

ATOM, SIGNED, PRODUCT, SUM, LOOSE = 9, 6, 5, 4, 0
"""How tightly an expression binds: a name or call, a signed one, a product, a sum, anything else."""


@dataclass(frozen=True)
class Expression:
    """C of one element.

    Attributes:
        text: the C.
        binds: ATOM to LOOSE.
        kind: "vector" (of 16 replicas), "number" (the same for all), or "mask" (a vector of truth values).
        value: where it is a literal.
    """

    text: str
    binds: int = ATOM
    kind: str = "vector"
    value: float | None = None

    def inside(self, binds: int) -> str:
        """The text, in brackets unless it binds at least so tightly."""
        return self.text if self.binds >= binds else f"({self.text})"


def literal(x: float, single: bool) -> Expression:
    """A number as written in C, in the precision of the build."""
    x = float(np.float32(x)) if single else float(x)
    if math.isnan(x):
        return Expression('__builtin_nanf("")' if single else '__builtin_nan("")', kind="number", value=x)
    if math.isinf(x):
        infinity = "__builtin_inff()" if single else "__builtin_inf()"
        return Expression(infinity if x > 0 else f"-{infinity}", ATOM if x > 0 else SIGNED, "number", x)
    text = f"{x:.9g}" if single else repr(x)
    if "." not in text and "e" not in text:
        text += ".0"
    return Expression(text + ("f" if single else ""), SIGNED if math.copysign(1, x) < 0 else ATOM, "number", x)


def vector(e: Expression) -> Expression:
    """Spread over all lanes."""
    if e.kind == "vector":
        return e
    return Expression(f"number({e.text})" if e.kind == "mask" else f"all({e.text})")


def numeric(e: Expression) -> Expression:
    """A mask as ones and zeros."""
    return vector(e) if e.kind == "mask" else e


def mask(e: Expression) -> Expression:
    """A number as a truth value."""
    return e if e.kind == "mask" else Expression(f"({vector(e).text} != all(0))", kind="mask")


def _kind(*operands: Expression) -> str:
    return "number" if all(e.kind == "number" for e in operands) else "vector"


def add(a: Expression, b: Expression) -> Expression:
    a, b = numeric(a), numeric(b)
    if b.binds == SIGNED and b.text.startswith("-"):
        return Expression(f"{a.inside(SUM)} - {b.text[1:]}", SUM, _kind(a, b))
    return Expression(f"{a.inside(SUM)} + {b.inside(PRODUCT)}", SUM, _kind(a, b))


def subtract(a: Expression, b: Expression) -> Expression:
    a, b = numeric(a), numeric(b)
    return Expression(f"{a.inside(SUM)} - {b.inside(PRODUCT)}", SUM, _kind(a, b))


def negative(a: Expression) -> Expression:
    a = numeric(a)
    return Expression(f"-{a.inside(ATOM)}", SIGNED, a.kind, None if a.value is None else -a.value)


def multiply(a: Expression, b: Expression) -> Expression:
    a, b = numeric(a), numeric(b)
    for one, other in ((a, b), (b, a)):
        if one.value == 1:
            return other
        if one.value == -1:
            return negative(other)
    return Expression(f"{a.inside(PRODUCT)} * {b.inside(SIGNED)}", PRODUCT, _kind(a, b))


def divide(a: Expression, b: Expression) -> Expression:
    a, b = numeric(a), numeric(b)
    if b.value and math.frexp(b.value)[0] in (0.5, -0.5) and abs(b.value) < 2.0**100:  # exact, and much faster
        return multiply(a, Expression(_like(b, 1 / b.value), kind="number", value=1 / b.value))
    return Expression(f"{a.inside(PRODUCT)} / {b.inside(SIGNED)}", PRODUCT, _kind(a, b))


def _like(e: Expression, value: float) -> str:
    return literal(value, e.text.endswith("f")).text


def call(function: str, *operands: Expression) -> Expression:
    return Expression(f"{function}({', '.join(vector(e).text for e in operands)})")


def compare(operation: str, a: Expression, b: Expression) -> Expression:
    return Expression(f"({vector(a).text} {operation} {vector(b).text})", kind="mask")


def select(condition: Expression, a: Expression, b: Expression) -> Expression:
    """a where the condition holds, else b; masks where both are."""
    if a.kind == b.kind == "mask":
        m = mask(condition).text
        return Expression(f"(({m} & {a.text}) | (~{m} & {b.text}))", kind="mask")
    return Expression(f"sel({mask(condition).text}, {vector(a).text}, {vector(b).text})")


def logic(operation: str, operands: Iterable[Expression]) -> Expression:
    return Expression("(" + f" {operation} ".join(mask(e).text for e in operands) + ")", kind="mask")
