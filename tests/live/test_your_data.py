"""A reader's rows without a browser: how they are read, that they train as by `nalu.fit`, and what formulas say."""

import json

import numpy as np
import pytest
import torch
from helpers.scripts import node, plain

from nalu import fit
from nalu.live.programs import digest, program
from nalu.live.your_data import EXPORTS, MODELS, SEEDS, TRAINING, Rows, YourData
from nalu.streams import DATA, seed_of

STEPS = 130
X = (1 + 4 * torch.rand(37, 2, generator=torch.Generator().manual_seed(1))).round(decimals=2)
Y = X[:, :1] * X[:, 1:]

LEARN = """
import { Learning } from "./learning.js";
import { digest } from "./kernel.js";
import { text } from "node:stream/consumers";
const bytes = (_, value) => (value?.base64 !== undefined ? new Uint8Array(Buffer.from(value.base64, "base64")) : value);
const { programs, rows, seeds } = JSON.parse(await text(process.stdin), bytes);
const found = {};
for (const [name, program] of Object.entries(programs)) {
  const learning = await Learning.load(program);
  learning.take(rows, [rows, { x: rows.x.slice(0, 6), y: rows.y.slice(0, 3) }], seeds);
  for (const steps of [1, 99, 30]) learning.learn(steps);
  found[name] = { digest: digest(learning.parameters()), errors: learning.errors() };
}
console.log(JSON.stringify(found));
"""


@pytest.fixture(scope="module")
def learned() -> dict[str, dict]:
    programs = {
        name: program(make, Rows(X, Y), recipe, SEEDS, STEPS, X, EXPORTS) for name, (make, recipe) in MODELS.items()
    }
    told = {"programs": programs, "rows": {"x": X.flatten().tolist(), "y": Y.flatten().tolist()}}
    return json.loads(node(LEARN, json.dumps(plain(told | {"seeds": [seed_of(DATA, seed) for seed in SEEDS]}))))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_it_trains_to_the_bits_of_fit(name: str, learned: dict[str, dict]) -> None:
    make, recipe = MODELS[name]
    own = fit({name: make}, Rows(X, Y), recipe, seeds=SEEDS, steps=STEPS).replicas[name]
    assert learned[name]["digest"] == digest(own.state.numpy())
    for errors, (x, y) in zip(learned[name]["errors"], [(X, Y), (X[:3], Y[:3])], strict=True):
        assert errors == pytest.approx((own(x) - y).abs().mean((1, 2)).tolist(), rel=1e-4)


def read(*texts: str) -> list[dict]:
    script = f'import {{ pasted }} from "./paste.js"; console.log(JSON.stringify({json.dumps(texts)}.map(pasted)));'
    return json.loads(node(script))


def lines(*first: str, row: str = "{} 2 3", count: int = 20) -> str:
    return "\n".join([*first, *(row.format(k, k + 0.5) for k in range(count - len(first)))])


def test_rows_are_read_however_they_were_written() -> None:
    rows = [[k, k + 0.5, -k / 4] for k in range(20)]

    def written(between: str, decimal: str = ".", end: str = "\n", head: str = "") -> str:
        return head + end.join(between.join(str(v).replace(".", decimal) for v in row) for row in rows)

    texts = [written(between) for between in (" ", "\t", ",", ", ", ";", "   ")]
    texts += [written(between, ",") for between in (" ", "\t", ";", "; ")]
    texts += [written("\t", ",", "\r\n"), written(" ", end="\n\n") + "\n", written(",", head="a,b,c\n")]
    texts += [written(";", ",", head="x1;x2;y\n"), written(" ").replace("-", "−"), written(" ", head="x1, x2, y\n")]
    texts += [written(" ,"), written(",", end=",\n") + ",", written(",", head='"a","b","c"\n')]
    texts.append("\n".join(",".join(f'"{v}"' for v in row) for row in rows))
    for found in read(*texts):
        assert found == {"rows": rows}
    assert read(lines("1e3 .5 2.", "-1E-2 +4 7"))[0]["rows"][:2] == [[1000, 0.5, 2], [-0.01, 4, 7]]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "Paste some rows first"),
        (" \n\t\n", "Paste some rows first"),
        ("a\tb\tc", "Line 1: expected a number, got “a”."),
        (lines("1 2"), "Line 1: expected three numbers, got 2 in “1 2”."),
        (lines("1 2 3", "1 2 3 4"), "Line 2: expected three numbers, got 4 in “1 2 3 4”."),
        (lines("1 2 3", "", "1 two 3"), "Line 3: expected a number, got “two”."),
        (lines("1 2 3", "1 1e300 3"), "Line 2: expected numbers of at most a million, got “1e300”."),
        (lines("1 2 3", "1 1e999 3"), "Line 2: expected a number, got “1e999”."),
        (lines("1 2 3", "1 NaN 3"), "Line 2: expected a number, got “NaN”."),
        (lines("1 2 3", "1 0x10 3"), "Line 2: expected a number, got “0x10”."),
        (lines("1;2;3", "1;;3", row="{};2;3"), "Line 2: expected a number, got “”."),
        (lines("1,100 0.50 30"), "Line 1: “1,100” has a comma where other numbers have a point."),
        (lines(*["1,100\t2,000\t300"] * 20), "Is 1,000 a thousand or one?"),
        (lines(count=19), "Expected at least 20 rows to learn from and be tested on, got 19."),
        (lines(count=5001), "Expected at most 5000 rows, got 5001."),
        (lines(row="{} 2 {}"), "Expected x2 to differ between rows, but it is 2 in all of them."),
        ("x" * 10_000, f"Line 1: expected three numbers, got 1 in “{'x' * 30}…”."),
    ],
)
def test_what_cannot_be_read_is_named(text: str, problem: str) -> None:
    (found,) = read(text)
    assert found["problem"].startswith(problem), found


def test_three_parts_share_the_rows() -> None:
    script = """
    import { parted } from "./paste.js";
    const rows = Array.from({ length: 43 }, (_, k) => [k, 100 + k, 200 + k]);
    console.log(JSON.stringify([parted(rows), parted(rows)]));
    """
    first, again = json.loads(node(script))
    assert first == again and [len(part["y"]) for part in first] == [26, 8, 9]
    assert sorted(y for part in first for y in part["y"]) == [*range(200, 243)]
    assert all(part["x"][2 * k :][:2] == [y - 200, y - 100] for part in first for k, y in enumerate(part["y"]))
    assert first[0]["y"] != sorted(first[0]["y"])


FORMULAS = [
    ("Linear", [3.7, -2, 5], "3.7 · x1 − 2 · x2 + 5", [3.7, -2, 5]),
    ("Linear", [1, 0, 1e-3], "x1 + 0.001", [1, 0, 0]),
    ("NAU", [-0.98, 0.2], "−0.98 · x1 + 0.2 · x2", [-1, 0]),
    ("NAU", [0, 0], "0", [0, 0]),
    ("NMU", [1, 1], "x1 · x2", [1, 1]),
    ("NMU", [0, 0.75], "(0.75 · x2 + 0.25)", [0, 1]),
    ("NMU", [0, 0], "1", [0, 0]),
    ("NMRU", [1, 0, 0, 1], "x1 / x2", [1, 0, 0, 1]),
    ("NMRU", [1, 1, 1, 0], "x2", [1, 1, 1, 0]),
    ("NMRU", [0, 0, 1, 1], "1 / (x1 · x2)", [0, 0, 1, 1]),
    ("NMRU", [0.5, 1, 0, 0], "(0.5 · x1 + 0.5) · x2", [1, 1, 0, 0]),
    ("RealNPU", [0.51, -1, 1, 1], "x1^0.51 / x2", [0.5, -1, 1, 1]),
    ("RealNPU", [2, 0.5, 1.2, 0], "x1²", [2, 0.5, 1, 0]),
    ("RealNPU", [1, 1, 0.5, -0.1], "(0.5 · |x1| + 0.5)", [1, 1, 1, 0]),
]


@pytest.mark.parametrize(("name", "weights", "formula", "rounded"), FORMULAS)
def test_a_formula_says_what_the_unit_computes(
    name: str, weights: list[float], formula: str, rounded: list[float]
) -> None:
    script = f"""
    import {{ READINGS }} from "./formulas.js";
    const {{ formula, rounded }} = READINGS["{name}"];
    console.log(JSON.stringify([formula({weights}, false), rounded({weights})]));
    """
    assert json.loads(node(script)) == [formula, rounded]
    unit = MODELS[name][0]().eval()
    torch.nn.utils.vector_to_parameters(torch.tensor(weights, dtype=torch.float32), unit.parameters())
    python = formula
    for words, code in {"·": "*", "−": "-", "^": "**", "²": "**2", "|x1|": "abs(x1)", "√x1": "x1**0.5"}.items():
        python = python.replace(words, code)
    x1, x2 = 1.5, 2.25
    assert unit(torch.tensor([[x1, x2]])).item() == pytest.approx(eval(python, {"x1": x1, "x2": x2}), rel=1e-5)


def test_no_formula_is_told_that_negative_numbers_would_belie() -> None:
    cases = [("RealNPU", [1, -1, 0.9, 1]), ("RealNPU", [0.5, 1, 1, 1]), ("NMRU", [0.5, 0, 0, 1])]
    cases += [("RealNPU", [1, -1, 1, 1]), ("NMRU", [1, 0, 0, 1]), ("NMU", [0.5, 1])]
    script = f"""
    import {{ READINGS }} from "./formulas.js";
    const cases = {json.dumps(cases)};
    console.log(JSON.stringify(cases.map(([name, weights]) => READINGS[name].formula(weights, true))));
    """
    assert json.loads(node(script)) == ["", "", "", "x1 / x2", "x1 / x2", "(0.5 · x1 + 0.5) · x2"]


def test_python_reads_what_the_page_trained() -> None:
    widget = YourData(torch.cat([X, Y], 1))
    assert widget.example.splitlines()[0] == " ".join(f"{v:.6g}" for v in [*X[0].tolist(), Y[0].item()])
    assert widget.still.startswith('<img alt="37 rows as an example: x1 from 1')
    with pytest.raises(RuntimeError, match="let it train some first"):
        _ = widget.networks
    state = np.arange(2 * 16, dtype=np.float32)
    widget.set_state({"trained": {"NMU": memoryview(state.tobytes())}})
    assert widget.networks["NMU"].parameters()["W"].flatten(1).T.flatten().tolist() == state.tolist()
    with pytest.raises(ValueError, match=r"rows of x1, x2 and y, got a tensor of shape \(37, 2\)"):
        YourData(X)


def test_its_notebook_trains_the_same_networks() -> None:
    make, recipe = MODELS["NMU"]
    own = fit({"NMU": make}, Rows(X, Y), recipe, seeds=SEEDS, steps=STEPS).replicas["NMU"]
    values = {"name": "NMU", "steps": STEPS, "digest": digest(own.state.numpy()), "rows": torch.cat([X, Y], 1).tolist()}
    code = TRAINING
    for key, value in values.items():
        code = code.replace(f"{{{key}}}", str(value))
    exec(code, {"__name__": "notebook"})
    whole = torch.tensor([[1.0, 2.0, 2.0], [3.0, 2.0, 6.0]])
    own = fit({"NMU": make}, Rows(whole[:, :2], whole[:, 2:]), recipe, seeds=SEEDS, steps=STEPS).replicas["NMU"]
    bare = code.replace(str(values["rows"]), "[[1,2,2],[3,2,6]]")  # as JavaScript writes them
    exec(bare.replace(str(values["digest"]), str(digest(own.state.numpy()))), {"__name__": "notebook"})
    with pytest.raises(AssertionError, match="not the bits"):
        exec(code.replace("range(16)", "range(1, 17)"), {"__name__": "notebook"})
