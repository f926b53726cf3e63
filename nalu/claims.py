"""Claims are data: each sentence that a chapter states is checked, printed and recorded for the scoreboard."""

import json
import math
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from nalu.metrics import Estimate
from nalu.scale import scale

VERDICTS = ("agrees", "differs", "not stated")


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
            self.path.write_text("")

    def __call__(
        self,
        sentence: str,
        ours: Estimate | float,
        holds: bool,
        *,
        paper: float | None = None,
        where: str = "",
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
            reason: why ours is another one; needed where it is.
            needs_replicas: at the fast scale, with a handful of replicas, such a claim is recorded but not asserted.

        Raises:
            AssertionError: the claim does not hold, at any scale but the fast one.
            ValueError: the paper's number is given without its place, or differs from ours without a reason.
        """
        ours = ours if isinstance(ours, Estimate) else Estimate(float(ours), float(ours), float(ours), 1)
        if paper is not None and not where:
            raise ValueError(f"expected where the paper reports {paper}, got nothing")
        verdict = compare(ours, paper)
        must = not (needs_replicas and scale() == "fast")
        if verdict == "differs" and not reason and must:
            raise ValueError(f"expected a reason why {ours} differs from the paper's {paper}, got none: {sentence}")
        if must:
            assert holds, f"does not hold: {sentence} (ours: {ours}, paper: {paper})"
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
            with self.path.open("a") as file:
                file.write(json.dumps(asdict(claim)) + "\n")


def compare(ours: Estimate, paper: float | None) -> str:
    """Whether a paper's number agrees with ours.

    The paper's number is itself one draw over as many replicas as ours, unless it says otherwise, so the two agree if
    they differ by no more than 1.96 standard errors of their *difference*: the half-widths of our interval times sqrt(2).
    """
    if paper is None:
        return "not stated"
    low = ours.value - math.sqrt(2) * (ours.value - ours.low)
    high = ours.value + math.sqrt(2) * (ours.high - ours.value)
    return "agrees" if low <= paper <= high else "differs"


def recorded(folder: str | Path | None = None) -> pd.DataFrame:
    """All claims that the last execution recorded, a row each, from NALU_CLAIMS or a folder; empty if there are none."""
    folder = folder or os.environ.get("NALU_CLAIMS")
    files: Iterable[Path] = sorted(Path(folder).glob("*.jsonl")) if folder else ()
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return pd.DataFrame(rows, columns=list(Claim.__dataclass_fields__))
