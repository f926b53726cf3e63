"""Bad input gets an error that names what was expected and what came."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import Path

import torch
from torch import Tensor


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Around the imports of `what`: where a package is missing, the error says which extra of ours brings it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{what} need {error.name}, which is not installed: pip install 'neural-arithmetic[{name}]'",
            name=error.name,
        ) from error


def features(x: Tensor, expected: int, unit: str) -> None:
    """Raise unless `x` is a floating-point tensor of shape (..., expected)."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{unit} expected a floating-point tensor, got {type(x).__name__}")
    if not x.is_floating_point():
        raise TypeError(f"{unit} expected a floating-point tensor, got {x.dtype}; convert it with x.float()")
    if x.ndim == 0 or x.shape[-1] != expected:
        raise ValueError(f"{unit} expected a tensor of shape (..., {expected}), got {tuple(x.shape)}")


def sequence(x: Tensor, expected: int, unit: str) -> None:
    """Raise unless `x` is a floating-point tensor of shape (..., time, expected), with at least one time."""
    features(x, expected, unit)
    if x.ndim < 2 or x.shape[-2] == 0:
        raise ValueError(f"{unit} expected a tensor of shape (..., time, {expected}), got {tuple(x.shape)}")


def tokens(x: Tensor, unit: str) -> None:
    """Raise unless `x` is a tensor of whole numbers of shape (..., word), with at least one word."""
    if not isinstance(x, Tensor) or x.dtype not in (torch.int64, torch.int32):
        got = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"{unit} expected a tensor of tokens, which are whole numbers, got {got}")
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"{unit} expected a tensor of shape (..., word), got {tuple(x.shape)}")


def at_least(value: object, least: int, what: str) -> int:
    """Return `value` if it is a whole number of at least `least`, else raise."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{what}: expected a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"{what}: expected at least {least}, got {value}")
    return int(value)


def positive(value: object, what: str) -> float:
    """Return `value` if it is a positive, finite number, else raise."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{what}: expected a positive number, got {value!r}")
    if not 0 < value < float("inf"):  # NaN compares false
        raise ValueError(f"{what}: expected a positive, finite number, got {value}")
    return float(value)


def one_of(value: object, known: Sequence[str], what: str) -> str:
    """Return `value` if it is one of the known names, else raise."""
    if value not in known:
        raise ValueError(f"unknown {what} {value!r}: expected one of {', '.join(known)}")
    return str(value)


def distinct(values: Sequence[int], what: str) -> None:
    """Raise if a value comes twice."""
    if twice := sorted(value for value, n in Counter(values).items() if n > 1):
        raise ValueError(f"{what}: expected each once, got {', '.join(map(str, twice))} more than once")


def interval(low: object, high: object, what: str) -> tuple[int, int]:
    """Return (low, high) if they are whole numbers that bound a range with something in it, else raise."""
    for end in (low, high):
        if not isinstance(end, Integral) or isinstance(end, bool):
            raise TypeError(f"{what}: expected whole numbers, got {low!r}..{high!r}")
    if not low <= high:
        raise ValueError(f"{what}: expected a range with low <= high, got {low}..{high}, which is empty")
    return int(low), int(high)


def span(low: object, high: object, what: str) -> tuple[float, float]:
    """Return (low, high) if they are finite numbers with low < high, else raise."""
    for end in (low, high):
        if not isinstance(end, Real) or isinstance(end, bool):
            raise TypeError(f"{what}: expected numbers, got {low!r} to {high!r}")
    if not -float("inf") < low < high < float("inf"):
        raise ValueError(f"{what}: expected a range with low < high, both finite, got {low} to {high}")
    return float(low), float(high)


def writable(path: str | Path) -> Path:
    """Return the path if its folder exists, else raise."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: the folder {path.parent} does not exist")
    return path
