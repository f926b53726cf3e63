"""Results that took longer to make than a chapter may, as tables. `make paper` makes them anew."""

from pathlib import Path

import pandas as pd

FOLDER = Path(__file__).with_name("results")


def stored(name: str) -> pd.DataFrame:
    """A table of `nalu/book/results`: "single_module", of all units, or "language", of chapter 6.

    Raises:
        FileNotFoundError: there is none of this name.
    """
    path = FOLDER / f"{name}.csv"
    if not path.is_file():
        raise FileNotFoundError(f"expected the stored results at {path}, got no file; `make paper` makes them")
    return pd.read_csv(path, comment="#")
