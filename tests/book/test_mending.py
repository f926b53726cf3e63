"""What the site's extensions do to a page: what tables head, names, the width of code, and what stands for a slider."""

import ipywidgets as widgets
import pandas as pd
import pytest
from _ext.alternatives import still
from _ext.mending import COLUMNS, head_tables, list_references, mend, name_by_content, widen_code
from bs4 import BeautifulSoup

from nalu.book.sliders import flipbook


def parsed(text: str) -> BeautifulSoup:
    return BeautifulSoup(text, "html.parser")


@pytest.mark.parametrize("style", [False, True])
def test_each_header_says_what_it_heads(style: bool) -> None:
    table = pd.DataFrame([[1, 2]], index=["NAC"], columns=pd.MultiIndex.from_product([["late"], ["a + b", "a * b"]]))
    page = parsed(table.style.to_html() if style else table.to_html())
    head_tables(page)
    found = {cell.get_text(): cell.get("scope") for cell in page.find_all("th")}
    assert found == {"late": "colgroup", "a + b": "col", "a * b": "col", "NAC": "row"}
    assert [cell.get_text(strip=True) for cell in page.find_all("td")] == ["", "", "1", "2"]


def test_names_and_roles() -> None:
    page = parsed(
        '<summary aria-label="Toggle hidden content">Show code</summary>'
        '<div role="list" class="citation-list"><div class="citation" role="doc-biblioentry">Trask</div></div>'
    )
    name_by_content(page)
    list_references(page)
    assert not page.select("[aria-label], [role]") and page.get_text() == "Show codeTrask"


def test_code_with_long_lines_is_wide_and_what_is_printed_is_not() -> None:
    for length in (COLUMNS, COLUMNS + 1):
        code = f'<div class="highlight-x"><div class="highlight"><pre>short\n{"x" * length}</pre></div></div>'
        text = f'<div class="cell_input">{code}</div><div class="cell_output">{code}</div>{code}'
        for heading, classes in (("<h2>Part</h2>", ["wide-code", "full-width"]), ("", ["wide-code"])):
            page = parsed(heading + text)
            widen_code(page)
            wide = [box["class"] for box in page.select(".wide-code, .full-width")]
            boxes = [["cell_input", *classes], ["highlight-x", *classes]]
            assert wide == (boxes if length > COLUMNS else [])


def test_a_page_without_a_body_is_left_alone() -> None:
    context = {"title": "Search"}
    mend(None, "search", "search.html", context, None)
    assert context == {"title": "Search"}


def test_the_middle_frame_stands_for_a_slider() -> None:
    slider = flipbook(lambda n: f"<b>{n}</b>", [3, 4, 5], description="a < b", label="±{}")
    state = widgets.Widget.get_manager_state()["state"]
    note = "One of 3 frames, at a &lt; b ±4. The slider that turns them over needs JavaScript."
    assert still(slider.model_id, state) == f"<noscript><b>4</b><p>{note}</p></noscript>"
    assert still(widgets.VBox([widgets.Label("a"), slider]).model_id, widgets.Widget.get_manager_state()["state"]) == ""
