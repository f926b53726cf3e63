"""The benchmark in a tab: the book's rows, and controls that can be used in any order and at any time."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.alone import alone
from helpers.visiting import Visitor
from playwright.sync_api import Browser, Page

from nalu import NALU, NAU, NMU, UNITS
from nalu.book.tables import stored
from nalu.live.trial import Trial
from nalu.tasks.single_module import OPERATIONS

pytestmark = [pytest.mark.browser, pytest.mark.slow]


class Tab:
    def __init__(self, page: Page) -> None:
        self.page, self.root = page, page.locator(".live")
        self.told = self.root.locator(".told")

    def choose(self, name: str, value: str) -> None:
        self.root.get_by_role("combobox", name=name, exact=True).select_option(label=value.replace("-", "−"))

    def button(self, name: str) -> object:
        return self.root.get_by_role("button", name=name, exact=True)

    def ended(self) -> str:
        """What it tells once nothing is in training."""
        self.page.wait_for_selector(".live[aria-busy=false]", timeout=60_000)
        return self.told.inner_text()

    @property
    def drawn(self) -> str:
        return " ".join(self.root.locator("path").evaluate_all("all => all.map(path => path.getAttribute('d'))"))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with three units."""
    reported = {("NMU", "a * b", "[-2, -1]"): 0.8}
    widget = Trial(stored("single_module"), units=[NALU, NAU, NMU], reported=reported, where="A paper")
    return alone(widget, tmp_path_factory.mktemp("trial") / "trial.html")


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    page = chromium.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert errors == []


@pytest.fixture
def tab(page: Page, address: str) -> Tab:
    page.goto(address)
    tab = Tab(page)
    tab.ended()
    return tab


OWN = r"The book’s table has {} of 25: these are its own rows, digit by digit\."


def test_every_unit_gives_the_rows_of_the_books_table(visit: Visitor) -> None:
    seen = visit("notebooks/07-single-module.html")
    tab, table = Tab(seen.page), stored("single_module")
    ranges = list(dict.fromkeys(table.range))
    for k, unit in enumerate(UNITS):
        op, key = list(OPERATIONS)[k % 4], ranges[k % 9]
        for name, value in (("unit", unit.__name__), ("operation", op), ("trained on", key)):
            tab.choose(name, value)
        rows = table[(table.unit == unit.__name__) & (table.operation == op) & (table.range == key)]
        said = tab.ended()
        assert said.startswith(f"{unit.__name__}, trained on {key} to compute {op}: ".replace("-", "−")), said
        assert re.search(OWN.format(rows.success.sum()), said), said
        assert not re.search("NaN|Infinity|undefined", said + tab.drawn)
    assert seen.errors == [] and seen.foreign == []


def test_it_tells_share_interval_table_and_paper(tab: Tab) -> None:
    said = re.sub(r"took [\d.]+ s", "took so many s", tab.ended())
    assert said == (
        "NMU, trained on [−2, −1] to compute a * b: 24 of 25 seeds learn it (96%; 95% interval, 80% to 99%), at step "
        "1,917 on average. 25 × 50,000 steps took so many s. The book’s table has 24 of 25: these are its own rows, "
        "digit by digit. A paper: 80%."
    )
    assert "24 of 25 seeds learn it" in tab.root.get_by_role("img").get_attribute("aria-label")
    tab.choose("seeds", "50")
    assert "of 50 seeds learn it" in tab.ended() and "the first 25 of these are its own rows" in tab.ended()


def test_a_choice_ends_what_runs_and_stop_ends_all(tab: Tab) -> None:
    tab.choose("unit", "NALU")
    tab.choose("operation", "a / b")
    tab.choose("unit", "NAU")
    tab.choose("operation", "a + b")
    assert tab.ended().startswith("NAU, trained on [−2, −1] to compute a + b: 25 of 25")
    tab.choose("seeds", "100")
    tab.choose("unit", "NALU")
    assert tab.told.inner_text() == "Training …"
    tab.button("Stop").click()
    assert re.match(r"Stopped at \d+% of the steps", tab.ended())
    before = tab.drawn
    tab.page.wait_for_timeout(300)
    assert tab.drawn == before and tab.button("Stop").is_disabled() and tab.button("As notebook").is_disabled()
    tab.choose("seeds", "25")
    assert re.search(OWN.format(r"\d+"), tab.ended())


def test_sixty_hasty_choices_leave_nothing_behind(tab: Tab) -> None:
    for k in range(60):
        tab.choose("trained on", ["[1, 2]", "[10, 20]", "[-2, -1]"][k % 3])
        tab.page.wait_for_timeout(15)
    assert tab.ended().startswith("NMU, trained on [−2, −1] to compute a * b: 24 of 25")


def test_keys_choose_and_the_address_keeps_it(tab: Tab, address: str, chromium: Browser) -> None:
    tab.root.get_by_role("combobox", name="operation", exact=True).focus()
    tab.page.keyboard.press("ArrowUp")
    said = tab.ended()
    assert said.startswith("NMU, trained on [−2, −1] to compute a − b")
    assert tab.page.url.partition("#")[2] == "trial:unit=NMU&operation=a+-+b&range=1&seeds=25"
    other = chromium.new_page()
    other.goto(tab.page.url)
    again = Tab(other).ended()
    assert re.sub(r"took [\d.]+ s", "", again) == re.sub(r"took [\d.]+ s", "", said)
    other.close()
    for settings in ("unit=NMU&operation=a+^+b&range=99&seeds=1e300", "unit=toString&operation=a+-+b&range=1&seeds=25"):
        wrong = chromium.new_page()
        wrong.goto(f"{address}#trial:{settings}")
        assert Tab(wrong).ended().startswith("NMU, trained on [−2, −1] to compute a * b: 24 of 25")
        wrong.close()


def test_what_is_taken_home_is_whole(tab: Tab, tmp_path: Path) -> None:
    found = {}
    for button in ("As PyTorch", "As notebook"):
        with tab.page.expect_download() as told:
            tab.button(button).click()
        found[told.value.suggested_filename] = Path(told.value.path()).read_text(encoding="utf-8")
    names: dict[str, object] = {}
    exec(found["NMU.py"], names)
    assert len(names["networks"]) == 25
    code = json.loads(found["NMU.ipynb"])["cells"][0]["source"]
    exec("".join(code), {"__name__": "notebook"})  # which asserts that the rows are those of the page


def test_python_is_told_when_the_reader_has_chosen(tab: Tab) -> None:
    assert tab.page.evaluate("saved.length") == 0
    tab.choose("unit", "NAU")
    tab.ended()
    state = tab.page.evaluate("(({ settings, rows, trained }) => [settings, rows, trained.byteLength])(saved.at(-1))")
    assert state[0] == {"unit": "NAU", "operation": "a * b", "range": 1, "seeds": 25}
    assert [row["seed"] for row in state[1]] == [*range(25)] and state[2] == 4 * 2 * 25


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_jumps_and_nothing_sticks_out(width: int, page: Page, address: str) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(address)
    tab = Tab(page)
    tab.ended()
    size = tab.root.bounding_box()
    tab.choose("unit", "NALU")
    assert tab.root.bounding_box() == size
    tab.ended()
    assert tab.root.bounding_box() == size
    assert page.evaluate("document.documentElement.scrollWidth") <= width
