"""`{status}`: how each notebook was executed, from what the execution left in it (book/status.py)."""

import json
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

KEY = "executed"


def table(records: dict[str, dict | None]) -> str:
    """Markdown for the records by page; None where a page has none."""
    lines = ["| Page | Seconds | Scale | Commit | Executed |", "| --- | ---: | --- | --- | --- |"]
    for page, told in records.items():
        shown = (f"{told['seconds']:.0f}", told["scale"], f"`{told['commit']}`", told["date"]) if told else "––––"
        lines.append(f"| {{doc}}`/{page}` | {' | '.join(shown)} |")
    known = {page: told for page, told in records.items() if told}
    lines.append(f"| **All** | **{sum(told['seconds'] for told in known.values()):.0f}** | | | |")
    machines: dict[str, list[str]] = {}
    for page, told in known.items():
        rows = "\n".join(f"| {what} | {found} |" for what, found in told["on"].items())
        machines.setdefault(rows, []).append(page)
    for rows, pages in machines.items():
        which = "" if len(machines) == 1 else ": " + ", ".join(f"{{doc}}`/{page}`" for page in pages)
        lines += ["", f"**Executed on**{which}", "", "| What | |", "| --- | --- |", rows]
    return "\n".join(lines)


class Status(SphinxDirective):
    """The table, for all notebooks of the book in its order."""

    def run(self) -> list[nodes.Node]:
        found = sorted(Path(self.env.srcdir, "notebooks").glob("*.ipynb"))
        records = {
            f"notebooks/{path.stem}": json.loads(path.read_text(encoding="utf-8"))["metadata"].get(KEY)
            for path in found
        }
        return self.parse_text_to_nodes(table(records))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("status", Status)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
