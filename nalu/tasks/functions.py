"""The six simple functions of Trask et al. 2018, section 4.1, of two sums over sections of the input."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from nalu import checks

FUNCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "a + b": lambda a, b: a + b,
    "a - b": lambda a, b: a - b,
    "a * b": lambda a, b: a * b,
    "a / b": lambda a, b: a / b,
    "a ^ 2": lambda a, b: a * a,
    "sqrt(a)": lambda a, b: a.sqrt(),
}
"""By name, in the order of the paper's Table 1."""

TRAINING, TESTS = 3, 4
"""The random streams (`nalu.streams`) of training sets and of test points."""

Section = tuple[int, int]
"""The inputs from the first number up to, and without, the second."""


def sums(x: Float[Tensor, "*batch in"], sections: tuple[Section, Section]) -> Float[Tensor, "*batch 2"]:
    """a and b: the sums of x over two sections of its last axis."""
    return torch.stack([x[..., first:stop].sum(-1) for first, stop in sections], -1)


def target(function: str, ab: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 1"]:
    """The function of a and b."""
    return FUNCTIONS[function](ab[..., :1], ab[..., 1:])


def check(function: str, low: float, high: float, size: int, sections: tuple[Section, Section]) -> None:
    """Raise unless the function is known, and defined on the sums of numbers in [low, high] over the sections.

    Raises:
        TypeError, ValueError: an unknown function; an empty or reversed range; a section outside the input, or empty;
            a division by numbers that come as near to zero as they like; a root of negative numbers.
    """
    checks.one_of(function, list(FUNCTIONS), "function")
    checks.span(low, high, "the range of the inputs")
    checks.at_least(size, 1, "size of the input")
    for section in sections:
        first, stop = checks.interval(*section, "section")
        if not 0 <= first < stop <= size:
            raise ValueError(f"expected a section within the {size} inputs, from 0 to {size}, got {first} to {stop}")
    first, stop = sections[1]
    # A sum of several numbers that only touch zero is never near it in practice.
    if function == "a / b" and (low < 0 < high or (low * high == 0 and stop - first == 1)):
        raise ValueError(f"a / b: expected a range of divisors without zero, got sums of numbers in [{low}, {high}]")
    if function == "sqrt(a)" and low < 0:
        raise ValueError(f"sqrt(a): expected a range without negative numbers, got [{low}, {high}]")
