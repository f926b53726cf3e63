"""Where an element lies in an array: a sum of loop variables times strides, plus a constant."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Loop:
    """A loop variable from 0 up to size, or a quotient or remainder of some, which depends on their loops."""

    text: str
    size: int
    loops: frozenset[str]

    @classmethod
    def named(cls, name: str, size: int) -> "Loop":
        return cls(name, size, frozenset([name]))


class Index:
    """An affine function of loop variables with whole coefficients."""

    def __init__(self, constant: int = 0, terms: dict[Loop, int] | None = None) -> None:
        self.constant = constant
        self.terms = {loop: k for loop, k in (terms or {}).items() if k}

    @classmethod
    def of(cls, loop: Loop | None) -> "Index":
        """The variable of a loop; 0 where there is none, for an axis of size 1 needs no loop."""
        return cls() if loop is None else cls(0, {loop: 1})

    def __add__(self, other: "Index | int") -> "Index":
        other = other if isinstance(other, Index) else Index(other)
        terms = {loop: self.terms.get(loop, 0) + other.terms.get(loop, 0) for loop in {**self.terms, **other.terms}}
        return Index(self.constant + other.constant, terms)

    def __mul__(self, factor: int) -> "Index":
        return Index(self.constant * factor, {loop: k * factor for loop, k in self.terms.items()})

    def range(self) -> tuple[int, int]:
        """The least and the largest value."""
        ends = [k * (loop.size - 1) for loop, k in self.terms.items()]
        return self.constant + sum(min(0, end) for end in ends), self.constant + sum(max(0, end) for end in ends)

    def divmod(self, size: int) -> tuple["Index", "Index"]:
        """Quotient and remainder: affine again where the terms allow it, else as C computes them."""
        high = Index(self.constant // size, {loop: k // size for loop, k in self.terms.items() if k % size == 0})
        low = Index(self.constant % size, {loop: k for loop, k in self.terms.items() if k % size})
        if low.range()[0] >= 0 and low.range()[1] < size:
            return high, low
        loops = frozenset().union(*(loop.loops for loop in self.terms))
        whole = self.range()[1] // size + 1
        return Index.of(Loop(f"({self}) / {size}", whole, loops)), Index.of(Loop(f"({self}) % {size}", size, loops))

    def within(self, size: int) -> "Index":
        """The same number where it is known to lie from 0 up to size, though its terms do not show that."""
        if self.range()[0] >= 0 and self.range()[1] < size:
            return self
        return Index.of(Loop(f"({self})", size, frozenset().union(*(loop.loops for loop in self.terms))))

    def without(self, names: Sequence[str]) -> "Index":
        return Index(self.constant, {loop: k for loop, k in self.terms.items() if loop.text not in names})

    def at(self, values: dict[str, int]) -> "Index":
        """The index where some of the loop variables have values."""
        known = sum(k * values[loop.text] for loop, k in self.terms.items() if loop.text in values)
        return self.without(list(values)) + known

    def coefficient(self, name: str) -> int:
        return next((k for loop, k in self.terms.items() if loop.text == name), 0)

    def meets(self, other: "Index", name: str) -> bool:
        """Whether each turn of this loop comes to elements of its own, here and there the same."""
        stride = self.coefficient(name)
        if stride == 0 or other.coefficient(name) != stride:
            return False
        for index in (self, other):
            # What is left within a turn: outer loops take larger strides.
            rest = {loop: k for loop, k in index.terms.items() if not (loop.text in "ijklmn" and abs(k) >= stride)}
            inner = Index(index.constant, rest)
            if inner.range()[0] < 0 or inner.range()[1] >= stride or any(name in loop.loops for loop in rest):
                return False
        return True

    def __str__(self) -> str:
        parts = [loop.text if k == 1 else f"{k} * {_factor(loop.text)}" for loop, k in self.terms.items()]
        if self.constant or not parts:
            parts.append(str(self.constant))
        return " + ".join(parts).replace("+ -", "- ")


def _factor(text: str) -> str:
    return f"({text})" if " " in text else text


def flat(index: Sequence[Index], shape: Sequence[int]) -> Index:
    """The place of an element in an array whose last axis is the innermost."""
    place, stride = Index(), 1
    for i, size in zip(reversed(index), reversed(shape), strict=True):
        place, stride = place + i * stride, stride * size
    return place


def unflat(place: Index, shape: Sequence[int]) -> tuple[Index, ...]:
    """The index of the element at a place."""
    index = []
    for size in reversed(shape):
        place, low = place.divmod(size) if size > 1 else (place, Index())
        index.append(low)
    return tuple(reversed(index))
