"""What a function does, as a digest: another one after a change, be it in a notebook's cell that was executed again."""

import hashlib
from collections.abc import Iterator
from functools import partial
from types import CodeType, FunctionType

PLAIN = (bool, int, float, complex, str, bytes, type(None))

OF_NO_MEANING = {"__module__", "__dict__", "__weakref__", "__firstlineno__", "__static_attributes__"}
"""What else a class has, which would tell apart the same one."""


def fingerprint(function: FunctionType) -> str:
    """A digest of a function's compiled code, and of all that it names in its own module, and these name in turn.

    That is functions, classes, numbers and strings, and lists, dictionaries and partials of them. What lies in other
    modules or in objects of another kind is not looked at, and neither are comments. Other versions of Python compile
    to other code.
    """
    lines = _lines(function, function.__module__, set())
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _lines(value: object, module: str, seen: set[int]) -> Iterator[str]:
    if isinstance(value, PLAIN):
        yield repr(value)
    elif isinstance(value, tuple | list | dict | partial):
        parts = (value.func, value.args, value.keywords) if isinstance(value, partial) else value
        for each in parts.items() if isinstance(parts, dict) else parts:
            yield from _lines(each, module, seen)
    elif getattr(value, "__module__", None) != module or id(value) in seen:
        return
    elif isinstance(value, FunctionType):
        seen.add(id(value))
        yield from _code(value.__code__)
        defaults = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        held = [cell.cell_contents for cell in value.__closure__ or ()]
        named = [value.__globals__[name] for name in sorted(_names(value.__code__)) if name in value.__globals__]
        for each in (*defaults, *held, *named, getattr(value, "__wrapped__", None)):
            yield from _lines(each, module, seen)
    elif isinstance(value, type):
        seen.add(id(value))
        for name, each in vars(value).items():
            if name not in OF_NO_MEANING:
                yield name
                yield from _lines(getattr(each, "__func__", getattr(each, "fget", each)), module, seen)
        yield from _lines(value.__bases__, module, seen)


def _code(code: CodeType) -> Iterator[str]:
    """What it does; not where it stands, nor what is only looked at when it fails."""
    yield code.co_code.hex()
    yield " ".join([*code.co_names, *code.co_varnames, *code.co_freevars])
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from _code(value)
        else:  # a set has no order of its own
            yield repr(sorted(map(repr, value)) if isinstance(value, frozenset) else value)


def _names(code: CodeType) -> set[str]:
    inner = (_names(value) for value in code.co_consts if isinstance(value, CodeType))
    return set(code.co_names).union(*inner)
