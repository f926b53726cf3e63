"""Numbers that change while training goes on: functions of the share of the steps that is done.

All are made of module-level functions and `functools.partial`, so that they travel to other processes.
"""

import math
from collections.abc import Callable
from functools import partial

Schedule = Callable[[float], float]


def cosine(done: float) -> float:
    """From 1 to 0 along half a cosine (Loshchilov & Hutter 2017, section 3, without restarts)."""
    return (1 + math.cos(math.pi * done)) / 2


def ramp(value: float, start: float, end: float) -> Schedule:
    """0 up to the share `start`, `value` from the share `end` on, and a line between (Madsen & Johansen 2020)."""
    return partial(_ramp, value, start, end)


def _ramp(value: float, start: float, end: float, done: float) -> float:
    return value * min(max((done - start) / (end - start), 0.0), 1.0)


def growing(first: float, last: float, factor: float, every: float) -> Schedule:
    """`first`, and `factor` times as much after each share `every` of the steps, up to `last` (Heim et al. 2020)."""
    return partial(_growing, first, last, factor, every)


def _growing(first: float, last: float, factor: float, every: float, done: float) -> float:
    return min(last, first * factor ** math.floor(done / every + 1e-9))


def later(value: float, start: float) -> Schedule:
    """0 up to the share `start`, and `value` after it."""
    return partial(_later, value, start)


def _later(value: float, start: float, done: float) -> float:
    return value if done > start else 0.0
