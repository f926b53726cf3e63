"""Claims are asserted, printed and recorded, and a record is never lost in silence."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from nalu import Claims, Estimate, at_scale
from nalu.book.claims import FIELDS, compare, recorded
from nalu.book.scales import scale


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NALU_CLAIMS", str(tmp_path / "claims"))
    monkeypatch.setenv("NALU_SCALE", "book")
    return tmp_path / "claims"


def strict(text: str) -> list[dict]:
    """JSON proper, without Python's NaN and Infinity."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def test_a_record_is_one_line_with_all_fields(folder: Path, capsys: pytest.CaptureFixture) -> None:
    claim = Claims("01-x")
    claim("Zürich holds,\nso to say", Estimate(0.5, 0.4, 0.6, 100), True, paper=0.55, where="Table 1", reason="unused")
    claim("It differs", np.float32(2), np.bool_(True), paper=3, where="Table 2", reason="another optimiser")
    claim("A count", 7, True)
    first, second, third = strict((folder / "01-x.jsonl").read_text(encoding="utf-8"))
    assert first == {
        "chapter": "01-x", "sentence": "Zürich holds,\nso to say", "ours": 0.5, "low": 0.4, "high": 0.6,
        "paper": 0.55, "where": "Table 1", "verdict": "agrees", "reason": "",
    }  # fmt: skip
    assert (second["verdict"], second["reason"], second["ours"], second["low"]) == (
        "differs",
        "another optimiser",
        2,
        2,
    )
    assert (third["verdict"], third["paper"], third["where"]) == ("not stated", None, "")
    assert list(first) == FIELDS and [made.ours for made in claim.made] == [0.5, 2, 7]
    printed = capsys.readouterr().out
    assert "✓ It differs\n    ours: 2 [2, 2]; paper: 3 (Table 2): differs" in printed
    table = recorded()
    assert list(table.columns) == FIELDS and table.sentence[2] == "A count" and table.sentence[0].startswith("Zürich")


def test_a_chapter_that_runs_again_starts_its_record_again(folder: Path) -> None:
    Claims("01-x")("old", 1, True)
    Claims("02-y")("other", 1, True)
    Claims("01-x")("new", 1, True)
    assert list(recorded(folder).sentence) == ["new", "other"]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_infinities_and_nan_are_kept_in_valid_json(folder: Path, value: float) -> None:
    Claims("01-x")("diverged", Estimate(value, 1.0, value, 5), True, paper=value, where="there", reason="both diverge")
    assert strict((folder / "01-x.jsonl").read_text(encoding="utf-8"))[0]["low"] == 1.0
    np.testing.assert_equal(recorded()[["ours", "low", "high", "paper"]].to_numpy(float), [[value, 1, value, value]])


def test_a_claim_that_does_not_hold_raises_and_is_not_recorded(folder: Path) -> None:
    claim = Claims("01-x")
    with pytest.raises(AssertionError, match=r"does not hold: Pigs fly \(ours: 0 \[0, 0\], paper: None\)"):
        claim("Pigs fly", 0, False)
    assert claim.made == [] and (folder / "01-x.jsonl").read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("holds", [math.nan, "False", 1, None, np.array([True])])
def test_only_a_truth_value_holds(holds: object) -> None:
    with pytest.raises(TypeError, match="holds: expected True or False, got "):
        Claims("01-x")("who knows", 0, holds)


def test_a_papers_number_needs_its_place_and_a_difference_its_reason(folder: Path) -> None:
    claim = Claims("01-x")
    with pytest.raises(ValueError, match=r"expected where the paper reports 0\.5, got nothing"):
        claim("x", 0.5, True, paper=0.5)
    with pytest.raises(ValueError, match=r"expected a reason why 0\.5 .* differs from the paper's 0\.9, got none: x"):
        claim("x", 0.5, True, paper=0.9, where="Table 1")
    assert len(recorded()) == 0


@pytest.mark.parametrize(
    ("ours", "paper", "verdict"),
    [
        ((10, 8, 13), None, "not stated"),
        ((10, 8, 13), 10, "agrees"),
        ((10, 8, 13), 13, "agrees"),
        ((10, 8, 13), 10 + 3 * 1.414, "agrees"),  # the paper's number has an error of its own: sqrt(2)
        ((10, 8, 13), 10 + 3 * 1.415, "differs"),
        ((10, 8, 13), 10 - 2 * 1.414, "agrees"),
        ((10, 8, 13), 10 - 2 * 1.415, "differs"),
        ((10, 10, 10), 10.0001, "differs"),
        ((10, 8, math.inf), 1e9, "agrees"),
        ((10, 8, math.inf), math.nan, "differs"),
        ((math.inf, 8, math.inf), 9, "agrees"),
        ((math.inf, 8, math.inf), 7, "differs"),
        ((math.inf, math.inf, math.inf), math.inf, "agrees"),
        ((math.inf, math.inf, math.inf), 9, "differs"),
        ((math.nan, math.nan, math.nan), 9, "differs"),
    ],
)
def test_verdicts(ours: tuple, paper: float | None, verdict: str) -> None:
    assert compare(Estimate(*ours, 100), paper) == verdict


def test_a_difference_within_the_tolerance_is_none() -> None:
    assert compare(Estimate(10, 8, 13, 100), 15.0, tolerance=0.8) == "agrees"
    assert compare(Estimate(10, 8, 13, 100), 15.0, tolerance=0.7) == "differs"
    assert compare(Estimate(math.inf, math.inf, math.inf, 5), 15.0, tolerance=0.7) == "differs"


def test_at_the_fast_scale_only_what_needs_no_replicas_is_asserted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("NALU_SCALE", "fast")
    claim = Claims("01-x")
    claim("few replicas", 0.5, False, paper=0.9, where="Table 1")
    assert "✗ (not asserted at this scale) few replicas" in capsys.readouterr().out
    assert list(recorded().verdict) == ["differs"]
    with pytest.raises(AssertionError, match="does not hold: exact"):
        claim("exact", 0.5, False, needs_replicas=False)
    with pytest.raises(ValueError, match="expected a reason"):
        claim("exact", 0.5, True, paper=0.9, where="Table 1", needs_replicas=False)


@pytest.mark.parametrize("value", ["", "Book", "tiny"])
def test_unknown_scale(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("NALU_SCALE", value)
    for use in (scale, lambda: at_scale(fast=1, book=2), lambda: Claims("01-x")("x", 1, True)):
        with pytest.raises(ValueError, match=f"unknown NALU_SCALE '{value}': expected one of fast, book, paper"):
            use()


@pytest.mark.parametrize(("name", "expected"), [("fast", 1), ("book", 2), ("paper", 3), (None, 2)])
def test_settings_by_scale(monkeypatch: pytest.MonkeyPatch, name: str | None, expected: int) -> None:
    monkeypatch.delenv("NALU_SCALE") if name is None else monkeypatch.setenv("NALU_SCALE", name)
    assert at_scale(fast=1, book=2, paper=3) == expected
    assert at_scale(fast=1, book=2) == min(expected, 2)


def test_nothing_recorded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for table in (recorded(folder), recorded(folder / "nowhere")):
        assert len(table) == 0 and list(table.columns) == FIELDS
    monkeypatch.delenv("NALU_CLAIMS")
    Claims("01-x")("x", 1, True)
    assert len(recorded()) == 0 and not folder.exists()


@pytest.mark.parametrize("cut", [20, 100, -3])
def test_a_record_cut_short_is_named(folder: Path, cut: int) -> None:
    Claims("01-x")("whole", 1, True, paper=1, where="Table 1")
    Claims("02-y")("a sentence long enough to be cut", 1, True, paper=1, where="Table 1")
    path = folder / "02-y.jsonl"
    path.write_text(path.read_text(encoding="utf-8")[:cut], encoding="utf-8")
    with pytest.raises(ValueError, match=r"expected a whole claim on each line of .*02-y\.jsonl, got '\{"):
        recorded()


@pytest.mark.parametrize("line", ["[]", "3", '{"chapter": "01-x"}'])
def test_a_line_of_something_else_is_named(folder: Path, line: str) -> None:
    folder.mkdir()
    (folder / "01-x.jsonl").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match="expected a whole claim on each line"):
        recorded()
