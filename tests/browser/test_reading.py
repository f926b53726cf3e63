"""Reading a number in the page: whatever is typed gets an answer or a sentence."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from helpers.alone import alone
from playwright.sync_api import Browser, Locator, Page

from nalu import NALU, Reader, Recipe, Watch, fit
from nalu.live.reading import Reading
from nalu.tasks.language import LanguageToNumber, words

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TASK = LanguageToNumber(batch=16)
SAID = {" ".join(words(n)): n for n in range(1000)}


class Desk:
    """The widget, as a reader meets it."""

    def __init__(self, page: Page) -> None:
        self.page, self.root = page, page.locator(".live")
        self.text = self.root.get_by_label("number in words", exact=True)
        self.number = self.root.get_by_label("number", exact=True)
        self.told()

    def told(self) -> str:
        """What it tells once nobody types."""
        self.page.wait_for_selector(".live[aria-busy=false]")
        return self.root.get_by_role("status").inner_text()

    def say(self, text: str) -> str:
        self.text.fill(text)
        return self.told()

    def press(self, name: str) -> str:
        self.root.get_by_role("button", name=name, exact=True).click()
        return self.told()

    def row(self, name: str) -> list[str]:
        rows = self.root.locator("tr").filter(has=self.page.get_by_role("rowheader", name=name, exact=True))
        return rows.locator(":is(th, td):not(:first-child)").all_inner_texts()

    @property
    def lines(self) -> list[str]:
        return self.root.locator("path.curve, path.right").evaluate_all("all => all.map(p => p.getAttribute('d'))")

    @property
    def ticks(self) -> Locator:
        return self.root.locator("svg text")


@pytest.fixture(scope="module")
def widget() -> Reading:
    model = {"reader": partial(Reader, 30, NALU, hidden=6)}
    run = fit(model, TASK, Recipe(lr=0.02), seeds=range(18), steps=1500, watch=Watch(TASK.tests()))
    return Reading(run, "reader", TASK)


@pytest.fixture(scope="module")
def addresses(widget: Reading, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder: Path = tmp_path_factory.mktemp("reading")
    return {theme: alone(widget, folder / f"{theme}.html", theme) for theme in ("light", "dark")}


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    page = chromium.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert errors == []


@pytest.fixture
def desk(page: Page, addresses: dict[str, str]) -> Desk:
    page.goto(addresses["light"])
    return Desk(page)


def test_what_each_word_adds_is_shown_beside_what_is_right(desk: Desk, widget: Reading) -> None:
    told = desk.say("six hundred and fifty two")
    with torch.no_grad():
        running = widget.network.running(TASK.encode("six hundred and fifty two")).flatten()
    added = running.diff(prepend=torch.zeros(1))
    assert desk.row("word") == ["six", "hundred", "and", "fifty", "two"]
    for name, numbers in (("so far", running), ("adds", added)):
        shown = [float(cell.replace("−", "-").replace(",", "")) for cell in desk.row(name)]
        torch.testing.assert_close(torch.tensor(shown), numbers, rtol=1e-3, atol=0.011)
    assert desk.row("right") == ["6", "600", "600", "650", "652"]
    assert told.startswith("“six hundred and fifty two” is 652, ")
    assert f"The chosen network answers {running[-1]:.2f}, which is" in told and "of 16 networks are right." in told
    assert desk.number.input_value() == "652"
    said = desk.root.locator("svg.plot").get_attribute("aria-label")
    assert said.startswith("What the chosen network has added up after each word: six ")
    assert f"{running[-1]:.2f}" in desk.root.locator(".others b").inner_text()


def test_it_tells_what_the_networks_were_shown_of_a_number(desk: Desk) -> None:
    sets = TASK.split()
    for name, sentence in {
        "training": "one of the 169 numbers that the networks were trained on",
        "validation": "one of the 200 numbers by which the network was chosen",
        "test": "a test number, which no network was shown",
    }.items():
        n = int(sets[name][30])
        assert f"is {n}, {sentence}." in desk.say(" ".join(words(n)))
    assert "is 304, but the networks were always shown it with an “and”" in desk.say("three hundred four")


def test_words_in_another_order_are_read_too(desk: Desk) -> None:
    desk.say("seven hundred and twelve")
    order = desk.text.input_value()
    for _ in range(8):
        before, told = order, desk.press("Shuffle the words")
        order = desk.text.input_value()
        assert sorted(order.split()) == ["and", "hundred", "seven", "twelve"] and order != before
        if order in SAID:
            assert f"is {SAID[order]}" in told and desk.number.input_value() == str(SAID[order])
        else:
            assert f"“{order}” is no number. The chosen network answers" in told and desk.number.input_value() == ""
        assert desk.row("word") == order.split()
    desk.say("nine nine")
    assert desk.press("Shuffle the words") == "To shuffle takes two words that differ."


def test_a_number_is_put_into_words(desk: Desk) -> None:
    desk.number.fill("374")
    assert "is 374" in desk.told() and desk.text.input_value() == "three hundred and seventy four"
    desk.number.press("ArrowUp")
    assert "is 375" in desk.told() and desk.text.input_value() == "three hundred and seventy five"
    for wrong in ("1000", "-1", "2.5", "1e300"):
        desk.number.fill(wrong)
        assert desk.told() == "The networks know whole numbers from 0 to 999; this is none."
        assert set(desk.lines) == {""}
    desk.press("Random number")
    assert SAID[desk.text.input_value()] == int(desk.number.input_value())


def test_words_can_be_chosen_instead_of_typed(desk: Desk) -> None:
    desk.say("")
    desk.root.locator("summary").press("Enter")
    for word in ("two", "hundred", "and", "six"):
        told = desk.press(word)
    assert "“two hundred and six” is 206" in told
    assert "“two hundred and” is no number" in desk.press("Remove the last word")


@pytest.mark.parametrize(
    "text, told",
    [
        ("", "Type a number in words, such as “two hundred and six”."),
        ("fourty two", "“fourty” is none of the 30 words that the networks know."),
        ("nine " * 10_000, "10,000 words are too many: this page reads up to 12."),
        ("<img src=x onerror=alert(1)>", "“<img” is none of the 30 words that the networks know."),
        ("1000", "“1000” is not a whole number from 0 to 999, which are all that the networks know."),
    ],
)
def test_what_cannot_be_read_gets_a_sentence_and_no_picture(text: str, told: str, desk: Desk) -> None:
    assert desk.say(text) == told
    assert set(desk.lines) == {""} and desk.ticks.count() <= 2 and desk.row("word") == []
    assert "is 5" in desk.say("five") and "" not in desk.lines


def test_a_word_that_is_begun_waits_for_its_end(desk: Desk) -> None:
    desk.text.fill("")
    desk.text.type("Forty-tw")
    assert desk.told().startswith("“forty” is 40") and "“tw” is left out, for it is no whole word." in desk.told()
    desk.text.type("o")
    assert desk.told().startswith("“forty two” is 42")


def test_there_is_never_what_is_no_number_in_the_picture(desk: Desk) -> None:
    for text in ("hundred " * 12, "and", "zero zero", "and hundred and hundred", "nine " * 12):
        desk.say(text)
        drawn = [*desk.lines, *desk.ticks.all_text_contents(), *desk.row("so far")]
        assert not any(word in part for word in ("NaN", "Infinity", "undefined") for part in drawn)
        assert desk.root.locator("path.curve").first.get_attribute("d") != ""


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_jumps_and_it_fits(width: int, desk: Desk) -> None:
    desk.page.set_viewport_size({"width": width, "height": 900})
    heights = set()
    for text in ("five", "seven hundred and seventy seven", "seventeen " * 12, "fourty", "hundred and seven three"):
        desk.say(text)
        heights.add(desk.root.bounding_box()["height"])
        assert desk.page.evaluate("document.documentElement.scrollWidth") <= width
    assert len(heights) == 1
    inside = desk.root.locator("svg.plot")
    desk.say("seventeen " * 12)
    box = inside.bounding_box()
    for label in desk.ticks.all():
        place = label.bounding_box()
        assert box["x"] - 1 <= place["x"] and place["x"] + place["width"] <= box["x"] + box["width"] + 1
        assert place["y"] + place["height"] <= box["y"] + box["height"] + 1


def test_a_sentence_can_be_shared_by_its_address_and_python_reads_it(desk: Desk, chromium: Browser) -> None:
    desk.say("and hundred two")
    assert desk.page.evaluate("saved.at(-1).words") == "and hundred two"
    address = desk.page.url
    assert address.endswith("#reading:words=and+hundred+two")
    again = chromium.new_page()
    again.goto(address)
    other = Desk(again)
    assert other.text.input_value() == "and hundred two" and other.told() == desk.told()
    again.evaluate("location.hash = '#reading:words=nonsense'")
    again.wait_for_function("document.querySelector('.told').textContent.startsWith('“nonsense” is none')")
    again.close()


def test_all_can_be_done_with_keys(desk: Desk) -> None:
    desk.text.focus()
    names = []
    for _ in range(6):
        names.append(desk.page.evaluate("(document.activeElement.ariaLabel ?? document.activeElement.textContent)"))
        desk.page.keyboard.press("Tab")
    assert names == [
        "number in words", "number", "Random number", "Shuffle the words", "The 30 words", "word by word"
    ]  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_keeps_readers_out(theme: str, page: Page, addresses: dict[str, str], axe: str) -> None:
    page.goto(addresses[theme])
    desk = Desk(page)
    desk.root.locator("summary").click()
    page.evaluate(axe)
    found = page.evaluate("axe.run('.live')")
    assert [f"{fault['id']}: {node['html']}" for fault in found["violations"] for node in fault["nodes"]] == []


def test_it_answers_at_once(desk: Desk) -> None:
    """A sentence of twelve words, from the key to the picture."""
    milliseconds = desk.page.evaluate("""() => {
      const box = document.querySelector("input[type=text]");
      const times = [];
      for (let k = 0; k < 40; k++) {
        box.value = `${"nine ".repeat(11)}${k % 2 ? "six" : "ten"}`;
        const before = performance.now();
        box.dispatchEvent(new Event("input"));
        times.push(performance.now() - before);
      }
      return times.sort((a, b) => a - b)[20];
    }""")
    print(f"{milliseconds:.1f} ms")
    assert milliseconds < 50


def test_an_old_browser_is_told_what_it_lacks_and_shows_the_picture(page: Page, addresses: dict[str, str]) -> None:
    page.add_init_script("WebAssembly.validate = () => false")
    page.goto(addresses["light"])
    page.locator(".live img[alt^='“three hundred and thirty four”']").wait_for()
    assert "needs WebAssembly with vectors (SIMD), which this one lacks" in page.locator(".live").inner_text()


def test_a_failure_is_told(page: Page, addresses: dict[str, str]) -> None:
    page.add_init_script("WebAssembly.instantiate = () => Promise.reject(new Error('not here'))")
    page.goto(addresses["light"])
    page.wait_for_selector(".live[aria-busy=false]")
    assert page.get_by_role("status").inner_text() == "The networks could not be started: Error: not here."


def test_printed_it_is_a_picture_without_controls(desk: Desk) -> None:
    desk.page.emulate_media(media="print")
    assert not desk.text.is_visible() and desk.root.locator("svg.plot").is_visible()
    assert "three hundred and thirty four" in desk.told()
