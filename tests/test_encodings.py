"""Every text that is read or written names its encoding: where the system's is not UTF-8, the same bytes come out."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(path for room in ("nalu", "book", "tests", "benchmarks") for path in (ROOT / room).rglob("*.py"))
TEXT = {"read_text": 0, "write_text": 1}
"""Methods of a path by the number of arguments that come before the encoding."""


NOT_TEXT = {"os.open", "tarfile.open", "Image.open"}


def unnamed(source: str) -> list[str]:
    """`line: call` for each call that reads or writes text in whatever encoding the system has."""
    return [
        f"{node.lineno}: {ast.unparse(node)[:60]}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and _is_text(node) and not _names_one(node)
    ]


def _is_text(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in ("open", "fdopen", "NamedTemporaryFile"):
        if ast.unparse(call.func) in NOT_TEXT:
            return False
        at = 0 if isinstance(call.func, ast.Attribute) and name == "open" else 1  # where the mode is; path.open(mode)
        given = [value.value for value in call.args[at : at + 1] if isinstance(value, ast.Constant)]
        given += [word.value.value for word in call.keywords if word.arg == "mode"]
        return not any("b" in str(mode) for mode in given)
    words = {word.arg: ast.unparse(word.value) for word in call.keywords}
    return name in TEXT or words.get("text") == "True" or words.get("universal_newlines") == "True"


def _names_one(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    return any(word.arg == "encoding" for word in call.keywords) or len(call.args) > TEXT.get(name, len(call.args))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_each_call_names_its_encoding(path: Path) -> None:
    assert unnamed(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ("path.read_text()", True),
        ("path.read_text('utf-8')", False),
        ("path.read_text(encoding='utf-8')", False),
        ("path.write_text(words)", True),
        ("path.write_text(words, encoding='utf-8')", False),
        ("open(path)", True),
        ("open(path, 'w')", True),
        ("open(path, 'wb')", False),
        ("open(path, encoding='utf-8')", False),
        ("path.open('a')", True),
        ("path.open(mode='rb')", False),
        ("subprocess.run(command, text=True)", True),
        ("subprocess.run(command, encoding='utf-8')", False),
        ("os.open(path, os.O_RDONLY)", False),
    ],
)
def test_what_is_found(call: str, found: bool) -> None:
    assert bool(unnamed(call)) == found
