"""Claims are data: each sentence that a chapter states is checked, printed and recorded for the scoreboard."""

import json
import math
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nalu.book.scales import scale
from nalu.statistics.estimates import Estimate

VERDICTS = ("agrees", "differs", "not stated")
"""How our number and the paper's compare; the last one where the paper gives none."""


@dataclass(frozen=True)
class Claim:
    """One checked sentence: our number and interval, the paper's number and where it stands, and how they compare."""

    chapter: str
    sentence: str
    ours: float
    low: float
    high: float
    paper: float | None
    where: str
    verdict: str
    reason: str


FIELDS = list(Claim.__dataclass_fields__)
NUMBERS = ("ours", "low", "high", "paper")


class Claims:
    """The claims of one chapter, written to NALU_CLAIMS/<chapter>.jsonl (or nowhere, if NALU_CLAIMS is not set).

    A chapter makes its record once, which empties the file, and then states its claims one by one.
    """

    def __init__(self, chapter: str) -> None:
        self.chapter = chapter
        self.made: list[Claim] = []
        folder = os.environ.get("NALU_CLAIMS")
        self.path = Path(folder) / f"{chapter}.jsonl" if folder else None
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text("", encoding="utf-8")

    def __call__(
        self,
        sentence: str,
        ours: Estimate | float,
        holds: bool,
        *,
        paper: float | None = None,
        where: str = "",
        tolerance: float = 0.0,
        reason: str = "",
        needs_replicas: bool = True,
    ) -> None:
        """State a claim: assert it, print it, record it.

        Args:
            sentence: what the chapter says.
            ours: our number, with its interval if it is one over replicas.
            holds: whether the run bears the sentence out.
            paper: the number that the paper reports, if it does.
            where: where it reports it.
            tolerance: a difference from it that does not matter; see `compare`.
            reason: why ours is another one; needed where it is.
            needs_replicas: at the fast scale, with a handful of replicas, such a claim is recorded but not asserted.

        Raises:
            AssertionError: the claim does not hold, at any scale but the fast one.
            TypeError: `holds` is not a truth value. (NaN counts as true in Python, a string too.)
            ValueError: the paper's number is given without its place, or differs from ours without a reason.
        """
        if not isinstance(holds, bool | np.bool_):
            raise TypeError(f"holds: expected True or False, got {holds!r}: {sentence}")
        ours = ours if isinstance(ours, Estimate) else Estimate(float(ours), float(ours), float(ours), 1)
        if paper is not None and not where:
            raise ValueError(f"expected where the paper reports {paper}, got nothing")
        verdict = compare(ours, paper, tolerance)
        must = not (needs_replicas and scale() == "fast")
        if verdict == "differs" and not reason and must:
            raise ValueError(f"expected a reason why {ours} differs from the paper's {paper}, got none: {sentence}")
        if must and not holds:  # raised by hand, for `assert` is silent under python -O
            raise AssertionError(f"does not hold: {sentence} (ours: {ours}, paper: {paper})")
        claim = Claim(
            self.chapter,
            sentence,
            ours.value,
            ours.low,
            ours.high,
            paper,
            where,
            verdict,
            reason if verdict == "differs" else "",
        )
        self.made.append(claim)
        against = "" if paper is None else f"; paper: {paper:g} ({where}): {verdict}"
        print(f"{'✓' if holds else '✗ (not asserted at this scale)'} {sentence}\n    ours: {ours}{against}")
        if self.path:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(claim))


def compare(ours: Estimate, paper: float | None, tolerance: float = 0.0) -> str:
    """Whether a paper's number agrees with ours.

    The paper's number is itself one draw over as many replicas as ours, unless it says otherwise, so the two agree if
    they differ by no more than 1.96 standard errors of their *difference*: our interval's half-widths times sqrt(2).
    Where ours is infinite, its interval is taken as it is. A difference up to `tolerance`, in the unit of the number,
    is none: such as what the paper rounded away, or what would not matter to anyone.
    """
    if paper is None:
        return "not stated"
    low, high = (end if math.isinf(ours.value) else ours.value + math.sqrt(2) * (end - ours.value) for end in ours[1:3])
    return "agrees" if low - tolerance <= paper <= high + tolerance else "differs"


def recorded(folder: str | Path | None = None) -> pd.DataFrame:
    """All claims that the last execution recorded, a row each, from NALU_CLAIMS or a folder; empty if there are none.

    Raises:
        ValueError: a line is not a whole record; a claim is not left out in silence.
    """
    folder = folder or os.environ.get("NALU_CLAIMS")
    files: Iterable[Path] = sorted(Path(folder).glob("*.jsonl")) if folder else ()
    # Not splitlines(), which would also split at the rarer line separators of Unicode.
    rows = [_row(line, file) for file in files for line in file.read_text(encoding="utf-8").split("\n") if line]
    return pd.DataFrame(rows, columns=FIELDS)


def _line(claim: Claim) -> str:
    """A claim as one line of JSON, which has no infinity and no NaN: these become strings that float() reads."""
    record = asdict(claim)
    for name in NUMBERS:
        if record[name] is not None:
            record[name] = float(record[name])
            if not math.isfinite(record[name]):
                record[name] = str(record[name])
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


def _row(line: str, file: Path) -> dict:
    try:
        record = json.loads(line)
        if set(record) != set(FIELDS):
            raise ValueError(f"fields {', '.join(record)}")
        return record | {name: None if record[name] is None else float(record[name]) for name in NUMBERS}
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected a whole claim on each line of {file}, got {line!r} ({error})") from error
