"""How large an execution is: NALU_SCALE is fast, book (the default) or paper."""

import os
from typing import TypeVar

from nalu import checks

T = TypeVar("T")

SCALES = ("fast", "book", "paper")


def scale() -> str:
    """The scale of this execution.

    Raises:
        ValueError: NALU_SCALE is set to something else.
    """
    return checks.one_of(os.environ.get("NALU_SCALE", "book"), SCALES, "NALU_SCALE")


def at_scale(*, fast: T, book: T, paper: T | None = None) -> T:
    """A setting by scale: `at_scale(fast=5, book=100)`. The paper's is the book's if not given."""
    return {"fast": fast, "book": book, "paper": book if paper is None else paper}[scale()]
