"""The JavaScript of a widget as the one file that anywidget takes: its modules, one after the other."""

import json
import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).with_name("js")
STYLE = (FOLDER / "live.css").read_text(encoding="utf-8")


@cache
def module(view: str) -> str:
    """A view, such as "retrain", as an ES module that imports nothing: its worker's source comes first, as a text."""
    worker = f"{view}-worker.js" if (FOLDER / f"{view}-worker.js").is_file() else "worker.js"
    return f"const WORKER = {json.dumps(joined(worker))};\n{joined(f'{view}.js')}"


def joined(name: str) -> str:
    """A module after those that it imports, each once. What is exported by any but the default is just there."""
    return "\n".join(re.sub(r"^export (?!default)", "", text, flags=re.MULTILINE) for text in _texts(name, set()))


def _texts(name: str, seen: set[str]) -> list[str]:
    if name in seen:
        return []
    seen.add(name)
    text, texts = (FOLDER / name).read_text(encoding="utf-8"), []
    for other in re.findall(r'^import [^;]* from "\./([^"]+)";$', text, re.MULTILINE):
        texts += _texts(other, seen)
    return [*texts, re.sub(r'^import [^;]* from "\./[^"]+";\n', "", text, flags=re.MULTILINE)]
