"""No number in the book's prose is typed by hand where a run should have produced it.

A number in prose must come from the run (a glue or eval role), or be in inline code, in math, in a citation or a link,
or be the number of a thing (Table 5, chapter 2, 2018), or be a setting: a literal in the code cells of the same page.
"""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest
from execute import ROOT

# Numbers that pages without code of their own may hold.
ALLOWED = {
    # The level of the intervals, the ends of ranges, and limits, which a test compares with the chapters' code.
    "glossary": {95, 0, 1, 0.1, 1000},
}

NUMBER = re.compile(r"(?<!\w)(?<!\d\.)\d[\d_,]*(?:\.\d+)?(?:e[-+]?\d+)?(?!\d|\.\d)", re.IGNORECASE)
NOT_PROSE = [
    r"\A---\n.*?\n---\n",  # the header
    r"<!--.*?-->",
    r"\{[\w:.-]+\}`[^`]*`",  # roles: numbers of the run, citations, references
    r"``[^`]*``|`[^`]*`",
    r"\$\$.*?\$\$|\$[^$\n]+(?:\n[^$\n]+)*\$",
    r"(?<=\])\([^)\s]*\)|<https?://[^>]*>|https?://\S+|arXiv:\S+",
    r"^\([\w-]+\)=$|^:[\w-]+:.*$",  # labels, options of directives
    r"^(?:#+ |[ ]*)\d+\. ",  # a numbered heading or list
    r"(?i)\b(?:table|figure|fig\.|section|chapter|experiment|exercise|equation|appendix|step|part|task|version|python)s?"
    r"\s+\d[\d.]*(?:(?:, | and |–|-)\d[\d.]*)*",
    r"(?<![\d.])(?:19[89]|20[12])\d(?![\d.]*\d)",  # years; a result of 2000 is none
]
FENCE = re.compile(r"^(`{3,}|~{3,})(?:\{([\w:.-]+)\}|(\w*)).*?\n(.*?)^\1[ ]*$", re.MULTILINE | re.DOTALL)


def literals(code: str) -> set[float]:
    """The numbers in a code cell, without their signs; those in its comments and strings don't count."""
    found = set()
    lines = "".join("\n" if line.startswith(("%", "!")) else line for line in code.splitlines(keepends=True))
    for token in tokenize.generate_tokens(io.StringIO(lines).readline):
        if token.type == tokenize.NUMBER:
            found.add(abs(ast.literal_eval(token.string)))
    return found


def split(text: str) -> tuple[str, set[float]]:
    """The prose of a page, the rest blanked out line by line, and the numbers in its code cells."""
    settings: set[float] = set()

    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match[0])

    def fence(match: re.Match[str]) -> str:
        _, directive, language, body = match.groups()
        if directive in ("code-cell", "code-block", "math", "bibliography", "mermaid") or language:
            if directive == "code-cell":
                settings.update(literals(re.sub(r"\A(?::.*\n)+", "", body)))
            return blank(match)
        inner = match.start(4) - match.start()  # an admonition, a figure's caption: its body is prose
        return re.sub(r"[^\n]", " ", match[0][:inner]) + FENCE.sub(fence, body)

    text = FENCE.sub(fence, text)
    for pattern in NOT_PROSE:
        text = re.sub(pattern, blank, text, flags=re.MULTILINE | re.DOTALL)
    return text, settings


def bare_numbers(text: str, allowed: set[float] = frozenset()) -> list[str]:
    """`line: number` for each number in the prose of a page that neither a run nor its code accounts for."""
    prose, settings = split(text)
    return [
        f"line {number}: {match[0]}"
        for number, line in enumerate(prose.splitlines(), 1)
        for match in NUMBER.finditer(line)
        if float(re.sub(r"[_,]", "", match[0])) not in settings | allowed
    ]


@pytest.mark.parametrize("page", sorted((ROOT / "book").glob("*.md")), ids=lambda page: page.stem)
def test_no_result_is_typed_by_hand(page: Path) -> None:
    assert bare_numbers(page.read_text(encoding="utf-8"), ALLOWED.get(page.stem, set())) == []


LIMIT = re.compile(r"^\w[\w ]*\(chapters? (\d)(?: and \d)?\)\n((?:  .+\n)+)", re.MULTILINE)
LIMITS = LIMIT.findall((ROOT / "book/glossary.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("chapter", "words"), LIMITS)
def test_a_limit_in_the_glossary_is_one_in_the_code_of_its_chapter(chapter: str, words: str) -> None:
    (page,) = (ROOT / "book").glob(f"0{chapter}-*.md")
    code = split(page.read_text(encoding="utf-8"))[1]
    stated = [float(found) for found in NUMBER.findall(split(words)[0])]
    assert [number for number in stated if number and not {number, number / 100} & code] == []  # or it is a percentage


PAGE = """---
jupytext: {format_version: 0.13}
---

# 1. A title

The error is {prose}

```{code-cell} ipython3
:tags: [hide-input]

steps = 10_000
lr = 1e-2  # 77
```
"""


@pytest.mark.parametrize(
    "prose",
    [
        "0.37 on average.",
        "about 12,345 times larger.",
        "{glue:text}`error`, or 93% of it.",
        "`0.1` and then 0.25.",
        "below 3e-4.",
        "77, as a comment says.",
        "small.\n\n```{note}\nIt is 0.37.\n```",
        "small.\n\n````{admonition} Solution\n```{code-cell} ipython3\nx = 1\n```\nIt is 0.37.\n````",
        "small.\n\n| unit | error |\n|---|---|\n| NAC | 0.37 |",
        "-0.37.",
        "2.5.",
        "2000 times larger.",
        "236x larger.",
        "within -3..4.5 of it.\n\n```{code-cell} ipython3\nx = 3\n```",
    ],
)
def test_a_bare_number_is_found(prose: str) -> None:
    assert len(bare_numbers(PAGE.replace("{prose}", prose))) == 1


@pytest.mark.parametrize(
    "prose",
    [
        "{glue:text}`error:.2f` in {eval}`runs` runs.",
        "`0.37`, and $0.37$, and $$\n0.37\n$$",
        "what {cite}`trask2018` report in 2018, Table 5, and section 3.2, and Tables 1 and 2.",
        "that of [a paper](https://example.org/2018/37.pdf), arXiv:1808.00508.",
        "after 10,000 steps, or 10_000, with a learning rate of 0.01.",
        "small.\n\n1. First.\n2. Second.",
        "small: ReLU6, x2, L1.",
        "small.\n\n```{math}\n0.37\n```",
        "small.\n\n````{admonition} Solution\n```{code-cell} ipython3\nx = 0.37\n```\nIt is 0.37.\n````",
    ],
)
def test_what_a_run_or_the_code_accounts_for_is_allowed(prose: str) -> None:
    assert bare_numbers(PAGE.replace("{prose}", prose)) == []
