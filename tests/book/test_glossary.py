"""Chapters link to the glossary, and it holds no word that no page links to."""

import re

import pytest
from execute import ROOT

PAGES = {page.stem: page.read_text(encoding="utf-8") for page in (ROOT / "book").glob("*.md")}
BLOCKS = re.findall(r"^```\{glossary\}\n(.*?)^```", PAGES["glossary"], re.DOTALL | re.MULTILINE)
ENTRIES = re.findall(r"^(?!:)(\S.*)$", "\n".join(BLOCKS), re.MULTILINE)
CHAPTERS = sorted(name for name in PAGES if name[0].isdigit())


def linked(text: str) -> list[str]:
    """The entries that a text links to, in its order."""
    return [target or words for words, target in re.findall(r"\{term\}`([^`<]+?)(?: <([^`>]+)>)?`", text)]


def test_each_link_has_its_entry_and_each_entry_a_link() -> None:
    assert len(ENTRIES) == len(set(ENTRIES)) > 20
    assert {term for text in PAGES.values() for term in linked(text)} == set(ENTRIES)


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_links_a_word_once_or_twice_and_its_own_limits(name: str) -> None:
    """Once in the summary at its head, and once where it is explained."""
    found = linked(PAGES[name])
    assert found and max(map(found.count, found)) <= 2
    number = str(int(name[:2]))
    other = [term for term in found if "(chapter" in term and number not in re.findall(r"\d", term)]
    assert other == []
