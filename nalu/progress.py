"""A bar while something runs, which is gone when that ends, however it ends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm.auto import tqdm


@contextmanager
def bar(total: int, unit: str, *, done: int = 0, scaled: bool = False) -> Iterator[tqdm]:
    """A progress bar in a terminal or in a notebook; TQDM_DISABLE=1 silences it.

    Args:
        total: of which so many are `done` when it begins.
        unit: what is counted.
        scaled: whether numbers are shown in thousands and millions.
    """
    silent = os.environ.get("TQDM_DISABLE", "0") not in ("", "0")  # in a notebook, tqdm does not look for itself
    shown = tqdm(total=total, initial=done, unit=f" {unit}", unit_scale=scaled, leave=False, disable=silent)
    try:
        yield shown
    finally:
        shown.total = None  # in a notebook, a bar that has not come to its total would stay, and turn red
        shown.close()
