"""JavaScript that is tried without a browser."""

import base64
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from nalu.live.front import FOLDER


def node(script: str, told: str = "") -> str:
    """What a module prints that is run by node; it may import "./kernel.js" and the others."""
    if not shutil.which("node"):
        reason = "node is not installed. On Debian and Ubuntu: apt-get install nodejs"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    with tempfile.TemporaryDirectory() as folder:
        for file in FOLDER.glob("*.js"):
            shutil.copy(file, folder)
        Path(folder, "package.json").write_text('{"type": "module"}', encoding="utf-8")
        Path(folder, "script.mjs").write_text(script, encoding="utf-8")
        result = subprocess.run(
            ["node", "script.mjs"], cwd=folder, input=told, capture_output=True, encoding="utf-8", timeout=300
        )
    assert result.returncode == 0, result.stderr
    return result.stdout


def plain(value: object) -> object:
    """What JSON holds of a widget's state: bytes as text, in a dictionary of their own."""
    if isinstance(value, bytes | memoryview):
        return {"base64": base64.b64encode(value).decode()}
    return {name: plain(each) for name, each in value.items()} if isinstance(value, Mapping) else value
