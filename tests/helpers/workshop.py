"""A page that trains by what the book's pages have, their worker and what starts it, and shows nothing."""

import json
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

from nalu.live.front import joined
from nalu.live.programs import Program

PAGE = """<!doctype html>
<meta charset="utf-8" /><title>A workshop</title>
{before}
<script type="module">
const WORKER = {worker};
{modules}
const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const told = JSON.parse({told}, (_, value) => (value?.base64 !== undefined ? bytesOf(value.base64) : value));
{script}
</script>
"""


def workshop_page(programs: Mapping[str, Program], script: str, path: Path, before: str = "") -> str:
    """Write a page whose script finds a `Trainer`, what these programs are `told` to it, and `digest`.

    Args:
        before: HTML in front of the script, such as other scripts.

    Returns:
        its address.
    """
    told = [
        {"name": name, "program": {key: _plain(part) for key, part in program.items()}}
        for name, program in programs.items()
    ]
    parts = {"modules": joined("page.js") + "\n" + joined("kernel.js"), "script": script, "before": before}
    words = {"worker": json.dumps(joined("worker.js")), "told": json.dumps(json.dumps(told))}
    path.write_text(PAGE.format(**parts, **words), encoding="utf-8")
    return path.as_uri()


def _plain(part: object) -> object:
    return {"base64": b64encode(part).decode()} if isinstance(part, bytes) else part
