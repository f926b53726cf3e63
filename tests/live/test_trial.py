"""The widget of chapter 7 without a browser: what Python reads of it, and the code that a reader takes home."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.scripts import node

from nalu import NAU, NMU, benchmark, rate
from nalu.live.single_module import TOLD, row_digest
from nalu.live.trial import NETWORKS, TRAINING, Trial
from nalu.units import Unit

STEPS, UNITS = 300, (NAU, NMU)
FIRST = ("NMU", "a * b", "[1, 2]")


@pytest.fixture(scope="module")
def runs() -> dict:
    return {(unit.__name__, op): benchmark(unit, op, seeds=range(25), steps=STEPS) for unit, op in
            ((NAU, "a + b"), (NMU, "a * b"))}  # fmt: skip


@pytest.fixture(scope="module")
def widget(runs: dict) -> Trial:
    stored = pd.concat([run.table for run in runs.values()])
    return Trial(stored, units=UNITS, steps=STEPS, seeds=30, first=FIRST, reported={FIRST: 0.5}, where="a paper")


def rows_of(run, key: str) -> pd.DataFrame:
    return run.table[run.table.range == key].reset_index(drop=True)


def test_it_has_the_stored_rows_until_something_is_trained(widget: Trial, runs: dict) -> None:
    rows = rows_of(runs["NMU", "a * b"], "[1, 2]")
    pd.testing.assert_frame_equal(widget.table, rows, check_exact=True, check_dtype=False)
    assert widget.stored["NMU"]["a * b"][6] == [int(rows.success.sum()), 25, row_digest(rows)]
    assert widget.stored["NMU"]["a + b"] == [None] * 9
    assert widget.reported == {"NMU": {"a * b": [None] * 6 + [0.5, None, None]}}
    with pytest.raises(RuntimeError, match="let it train some first"):
        _ = widget.networks


def test_python_reads_what_the_page_trained(runs: dict) -> None:
    run = runs["NAU", "a + b"]
    widget = Trial(run.table, units=[NAU], steps=STEPS, seeds=25, first=("NAU", "a + b", "[1, 2]"))
    rows, networks = rows_of(run, "[-2, 2]"), run.replicas["a + b", "[-2, 2]"]
    words = rows[["seed", *TOLD]].to_dict("records")
    told = [{name: str(value) if value != value else value for name, value in row.items()} for row in words]
    told[3]["extrapolation"] = "Infinity"  # as a page writes what JSON has no word for
    settings = {"unit": "NAU", "operation": "a + b", "range": 4, "seeds": 25}
    state = memoryview(networks.state.numpy().tobytes())
    widget.set_state({"settings": settings, "rows": json.loads(json.dumps(told)), "trained": state})
    rows.loc[3, "extrapolation"] = np.inf
    pd.testing.assert_frame_equal(widget.table, rows, check_exact=True, check_dtype=False)
    x = torch.tensor([[3.0, 4.0]])
    assert torch.equal(widget.networks(x), networks(x))


def test_its_picture_is_told_in_words(widget: Trial) -> None:
    assert widget.still.startswith('<img alt="How many of 25 seeds learn a * b from [1, 2]')


def test_what_cannot_be_shown_is_refused(runs: dict) -> None:
    table = runs["NMU", "a * b"].table
    for first in (("NALU", *FIRST[1:]), ("NMU", "a ^ b", FIRST[2]), (*FIRST[:2], "[1, 3]")):
        with pytest.raises(ValueError, match="unknown first"):
            Trial(table, units=UNITS, first=first)
    with pytest.raises(ValueError, match="seeds"):
        Trial(table, units=UNITS, first=FIRST, seeds=24)


def filled(code: str, unit: type[Unit], **values: object) -> str:
    for name, value in ({"unit": unit.__name__} | values).items():
        code = code.replace(f"{{{name}}}", str(value))
    return code


def test_its_code_makes_the_same_networks(runs: dict) -> None:
    state = runs["NMU", "a * b"].replicas["a * b", "[1, 2]"].state
    told = {"operation": "a * b", "range": "[1, 2]", "seeds": 25, "weights": state.T.tolist()}
    names: dict[str, object] = {}
    exec(filled(NETWORKS, NMU, **told), names)
    made = [torch.nn.utils.parameters_to_vector(network.parameters()) for network in names["networks"]]
    assert torch.equal(torch.stack(made, 1), state)


def test_its_notebook_gives_the_same_rows(runs: dict) -> None:
    rows = rows_of(runs["NMU", "a * b"], "[1, 2]")
    told = {"operation": "a * b", "range": "[1, 2]", "seeds": 25, "steps": STEPS, "digest": row_digest(rows)}
    exec(filled(TRAINING, NMU, **told), {"__name__": "notebook"})
    with pytest.raises(AssertionError, match="not the rows"):
        exec(filled(TRAINING, NMU, **told | {"range": "[10, 20]"}), {"__name__": "notebook"})


def test_intervals_are_wilsons() -> None:
    cases = [(0, 25), (1, 25), (24, 25), (25, 25), (50, 100)]
    told = json.dumps(cases)
    script = (
        f'import {{ wilson }} from "./wilson.js"; console.log(JSON.stringify({told}.map((all) => wilson(...all))));'
    )
    for (count, n), found in zip(cases, json.loads(node(script)), strict=True):
        expected = rate([True] * count + [False] * (n - count))
        assert found == pytest.approx([expected.low, expected.high], abs=1e-12)


@pytest.mark.parametrize("seeds", [25, 50, 100, 16, 1])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers_share_whole_blocks(seeds: int, workers: int) -> None:
    script = f'import {{ parts }} from "./parts.js"; console.log(JSON.stringify(parts({seeds}, {workers})));'
    found = json.loads(node(script))
    assert len(found) <= workers
    assert [seed for part in found for seed in range(part["from"], part["from"] + part["seeds"])] == [*range(seeds)]
    assert all(part["from"] % 16 == 0 and part["seeds"] > 0 for part in found)
