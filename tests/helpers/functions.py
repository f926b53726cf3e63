"""What the functions of tasks are, for Python's own numbers."""

import math
from collections.abc import Callable

EXPECTED: dict[str, Callable[[float, float], float]] = {
    "a + b": lambda a, b: a + b,
    "a - b": lambda a, b: a - b,
    "a * b": lambda a, b: a * b,
    "a / b": lambda a, b: a / b,
    "a ^ 2": lambda a, b: a**2,
    "sqrt(a)": lambda a, b: math.sqrt(a),
}
