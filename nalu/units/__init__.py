"""Published units, a family a file, each with the constructor `Unit(in_features, out_features, *, generator=None)`.

Every file of this folder is looked at, and each class in it that states its equation is one of UNITS: to add a unit is
to add its file. Such classes are public here and in `nalu`, beside the networks that are imported by name.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING

from nalu.units.language import Pairs, Reader
from nalu.units.mlp import ACTIVATIONS, MLP, stack
from nalu.units.recurrent import LSTM, RNN, LSTMLayer, Recurrent
from nalu.units.unit import Unit


def _published() -> tuple[type[Unit], ...]:
    """By the year and authors of their papers, those without one first; then by file, as they stand in it."""
    files = [importlib.import_module(f"{__name__}.{file.name}") for file in pkgutil.iter_modules(__path__)]
    found = [
        unit
        for file in files
        for unit in vars(file).values()
        if isinstance(unit, type) and issubclass(unit, Unit) and unit.equation and unit.__module__ == file.__name__
    ]
    return tuple(sorted(found, key=lambda unit: (unit.paper.year, unit.paper.authors) if unit.paper else (0, "")))


UNITS = _published()
"""The units of the book, in the order of their publication."""

globals().update({unit.__name__: unit for unit in UNITS})

__all__ = ["ACTIVATIONS", "LSTM", "MLP", "RNN", "UNITS", "LSTMLayer", "Pairs", "Reader", "Recurrent", "stack"]
__all__ += [unit.__name__ for unit in UNITS]
__all__.sort()

if TYPE_CHECKING:  # an editor, which runs nothing, takes any other name for a unit

    def __getattr__(name: str) -> type[Unit]: ...
