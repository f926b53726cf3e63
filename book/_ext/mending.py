"""What the theme and the notebook machinery leave to do for readers, of screen readers too, in a page's HTML."""

from bs4 import BeautifulSoup
from sphinx.application import Sphinx

COLUMNS = 85
"""Of code, that fit beside the list of contents."""


def mend(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """Mend the body of a page before it is put into its template."""
    if "body" in context:
        page = BeautifulSoup(context["body"], "html.parser")
        for change in (head_tables, name_by_content, list_references, break_signatures, widen_code):
            change(page)
        context["body"] = str(page)


def head_tables(page: BeautifulSoup) -> None:
    """Each header of a table says what it heads; pandas leaves that out, and makes headers of empty corners."""
    for cell in page.select("table th"):
        if not cell.get_text(strip=True):
            cell.name = "td"
        elif cell.find_parent("thead"):
            cell["scope"] = "colgroup" if cell.get("colspan", "1") != "1" else "col"
        else:
            cell["scope"] = "rowgroup" if cell.get("rowspan", "1") != "1" else "row"


def name_by_content(page: BeautifulSoup) -> None:
    """What opens a folded cell is called as it reads, "Show code cell source", and not "Toggle hidden content"."""
    for summary in page.select("summary[aria-label]"):
        del summary["aria-label"]


def list_references(page: BeautifulSoup) -> None:
    """References are no list of what ARIA once called entries: they are paragraphs with a label."""
    for part in page.select(".citation-list, .citation"):
        del part["role"]


def break_signatures(page: BeautifulSoup) -> None:
    """A signature of several lines is no list of explanations, which Sphinx makes of it: it is lines."""
    for lines in page.select("dt.sig dl"):
        lines.name, lines["class"] = "span", ["sig-lines"]
        for line in lines.find_all("dd", recursive=False):
            line.name = "span"


def widen_code(page: BeautifulSoup) -> None:
    """Code with long lines reaches into the margin, so that they fit.

    If there is a list of contents in it, the theme moves that out of the way of what has its class "full-width".
    """
    classes = ["wide-code", "full-width"] if page.h2 else ["wide-code"]
    for code in page.select("div.highlight > pre"):
        printed = code.find_parent(class_="cell_output")
        if not printed and max(map(len, code.get_text().splitlines()), default=0) > COLUMNS:
            box = code.find_parent(class_="cell_input") or code.parent.parent
            box["class"].extend(classes)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", mend, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
