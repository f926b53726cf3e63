"""What reads numbers in a page: its words are the task's, and its answers PyTorch's; tried in node."""

import base64
import json
from functools import partial

import numpy as np
import pytest
import torch
from helpers.scripts import node

from nalu import MLP, NALU, Fit, Linear, Pairs, Reader, Recipe, Replicas, Watch, fit
from nalu.engine.kernel import Work
from nalu.live.networks import trained
from nalu.live.reading import Reading
from nalu.tasks.language import LanguageToNumber, words

TASK = LanguageToNumber(batch=16)
MODELS = {"reader": partial(Reader, 30, NALU, hidden=6), "pairs": partial(Pairs, 30, Linear, embedding=4)}
MOST = 12

ASK = """
import { Networks } from "./networks.js";
const { trained, points } = JSON.parse(await new Promise((resolve) => {
  let text = "";
  process.stdin.on("data", (part) => (text += part)).on("end", () => resolve(text));
}));
for (const name of ["wasm", "state"]) trained[name] = new Uint8Array(Buffer.from(trained[name], "base64"));
const networks = await Networks.load(trained);
const size = networks.memory.buffer.byteLength;
const answers = networks.answers(points).map((row) => [...row]);
for (let k = 0; k < 100; k++) networks.answers(points.slice(0, 5));
console.log(JSON.stringify({ answers, grown: networks.memory.buffer.byteLength - size }));
"""


@pytest.fixture(scope="module")
def run() -> Fit:
    return fit(MODELS, TASK, Recipe(lr=0.01), seeds=range(18), steps=60, watch=Watch(TASK.tests()))


@pytest.fixture(scope="module")
def widget(run: Fit) -> Reading:
    return Reading(run, "reader", TASK)


def asked(program: dict, points: list[list[float]]) -> dict:
    told = {
        name: base64.b64encode(part).decode() if isinstance(part, bytes) else part for name, part in program.items()
    }
    return json.loads(node(ASK, json.dumps({"trained": told, "points": points})))


@pytest.mark.parametrize("model", MODELS)
def test_the_page_answers_what_pytorch_does(model: str, run: Fit) -> None:
    """To every number and all that begins it, and to words in any order."""
    widget = Reading(run, model, TASK)
    draw = np.random.default_rng(0)
    said = [[1 + TASK.vocabulary.index(word) for word in words(n)] for n in range(1000)]
    sentences = [sentence[:end] for sentence in said for end in range(1, len(sentence) + 1)]
    sentences += [draw.permutation(sentence).tolist() for sentence in said]
    sentences += [draw.integers(1, 31, size).tolist() for size in range(1, MOST + 1) for _ in range(20)]
    found = asked(widget.program, sentences)
    answers = torch.tensor(found["answers"]).T
    tokens = torch.nn.utils.rnn.pad_sequence([torch.tensor(sentence) for sentence in sentences], batch_first=True)
    own = widget.networks(tokens).squeeze(-1)
    # Here and there a NALU takes the logarithm of what happens to be nearly 0, in which the last bits count.
    torch.testing.assert_close(answers, own, rtol=0.05, atol=1e-4)
    assert torch.isclose(answers, own, rtol=1e-5, atol=1e-4).float().mean() > 0.99
    assert found["grown"] == 0 and answers.shape == (16, len(sentences))


def test_its_bits_are_those_of_the_same_c_on_this_machine(run: Fit, widget: Reading) -> None:
    x, _ = TASK.sentences()
    x = torch.cat([x, x[:, torch.tensor([1, 0, 2, 4, 3])][(x > 0).all(1)]])  # and in another order
    kernel = run.kernels["reader"]
    native = kernel.predict(
        kernel.state(widget.networks.state.numpy()), kernel.points(x, torch.zeros(len(x), 1)), Work(kernel)
    )
    page = np.float32(asked(widget.program, x.tolist())["answers"])
    assert np.array_equal(page, native.squeeze(1))


def test_what_is_added_up_after_a_word_is_the_readers_running_answer(widget: Reading) -> None:
    sentence = TASK.encode("nine hundred and seventy two").tolist()
    answers = asked(widget.program, [sentence[: k + 1] for k in range(5)])["answers"]
    with torch.no_grad():
        running = widget.network.running(torch.tensor(sentence)).squeeze(-1)
    torch.testing.assert_close(torch.tensor(answers)[:, 0], running, rtol=1e-5, atol=1e-5)


def test_networks_of_numbers_are_asked_as_well() -> None:
    networks = Replicas.build(partial(MLP, 2, 1), range(3))
    points = torch.rand(70, 2)  # more than a tile
    answers = torch.tensor(asked(dict(trained(networks, points)), points.tolist())["answers"])
    torch.testing.assert_close(answers.T, networks(points).squeeze(-1), rtol=1e-5, atol=1e-5)


def test_what_no_page_can_ask_is_refused() -> None:
    with pytest.raises(ValueError, match="networks: expected at most 16, got 17"):
        trained(Replicas.build(partial(MLP, 2, 1), range(17)), torch.rand(3, 2))
    with pytest.raises(ValueError, match="expected answers of one number, got 2"):
        trained(Replicas.build(partial(MLP, 2, 2), range(2)), torch.rand(3, 2))


@pytest.mark.parametrize("largest", [999, 107, 99])
def test_numbers_are_said_as_the_task_says_them(largest: int) -> None:
    vocabulary = LanguageToNumber(largest=largest, training=60, validation=10).vocabulary
    found = node(f"""
    import {{ meanings, wording }} from "./numbers.js";
    const vocabulary = {json.dumps(vocabulary)};
    const said = Array.from({{ length: {largest + 1} }}, (_, n) => wording(n, vocabulary).join(" "));
    console.log(JSON.stringify([said, [...meanings(vocabulary, {largest})]]));
    """)
    said = [" ".join(words(n)) for n in range(largest + 1)]
    assert json.loads(found) == [said, [[sentence, n] for n, sentence in enumerate(said)]]


READ = """
import { meaning, meanings, read, soFar } from "./numbers.js";
const { vocabulary, texts, most } = JSON.parse(await new Promise((resolve) => {
  let text = "";
  process.stdin.on("data", (part) => (text += part)).on("end", () => resolve(text));
}));
const known = meanings(vocabulary, 999);
const all = texts.map((text) => {
  const found = read(text, vocabulary, { largest: 999, most });
  if (typeof found === "string") return found;
  const { words, open } = found;
  const steps = words.map((_, k) => soFar(words, k + 1, known) ?? null);
  return [words.join(" "), open, meaning(words.join(" "), known) ?? null, steps];
});
console.log(JSON.stringify(all));
"""


def read(*texts: str) -> list:
    """Of each text: its words, a word that is begun, what they mean, and what the first ones mean; or a sentence."""
    return json.loads(node(READ, json.dumps({"vocabulary": TASK.vocabulary, "texts": texts, "most": MOST})))


def test_what_is_typed_is_read_as_it_is_meant() -> None:
    whole = ["three hundred and thirty four", "", 334, [3, 300, 300, 330, 334]]
    for found in read(
        "three hundred and thirty four", "  Three HUNDRED\tand thirty-four.\n", "three hundred and thirty\u2011four!",
        "334", "3 hundred and 34", "“three, hundred, and thirty four”", "0334",
    ):  # fmt: skip
        assert found == whole
    american, shuffled, again, begun, both = read(
        "three hundred thirty four", "four thirty and hundred", "twenty twenty", "three hun", "seven"
    )
    assert american == ["three hundred thirty four", "", 334, [3, 300, 330, 334]]
    assert shuffled == ["four thirty and hundred", "", None, [4, None, None, None]]
    assert again == ["twenty twenty", "", None, [20, None]]
    assert begun == ["three", "hun", 3, [3]] and both == ["seven", "", 7, [7]]  # which might go on to "seventeen"


def test_all_numbers_are_read_back_with_and_without_and() -> None:
    said = [" ".join(words(n)) for n in range(1000)]
    assert [found[2] for found in read(*said)] == [*range(1000)]
    assert [found[2] for found in read(*(text.replace(" and ", " ") for text in said))] == [*range(1000)]
    (incomplete,) = read("three hundred and")
    assert incomplete[2:] == [None, [3, 300, 300]]


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("", "Type a number in words, such as “two hundred and six”."),
        (" \n - ", "Type a number in words, such as “two hundred and six”."),
        ("fourty two", "“fourty” is none of the 30 words that the networks know."),
        ("hun three", "“hun” is none of the 30 words that the networks know."),
        ("thr", "“thr” is the beginning of a word."),
        ("1000", "“1000” is not a whole number from 0 to 999, which are all that the networks know."),
        ("1,000", "“1,000” is not a whole number from 0 to 999, which are all that the networks know."),
        ("-5", "“-5” is not a whole number from 0 to 999, which are all that the networks know."),
        ("3.5", "“3.5” is not a whole number from 0 to 999, which are all that the networks know."),
        ("1e300", "“1e300” is not a whole number from 0 to 999, which are all that the networks know."),
        ("9" * 400, f"“{'9' * 20}…” is not a whole number from 0 to 999, which are all that the networks know."),
        ("nine " * 10_000, "10,000 words are too many: this page reads up to 12."),
        ("nine " * 13, "13 words are too many: this page reads up to 12."),
        ("999 999 999", "15 words are too many: this page reads up to 12."),
        ("<b>one</b>", "“<b>one</b>” is none of the 30 words that the networks know."),
        ("constructor", "“constructor” is none of the 30 words that the networks know."),
        ("\U0001f600" * 50, f"“{chr(0x1F600) * 20}…” is none of the 30 words that the networks know."),
    ],
)
def test_what_cannot_be_read_gets_a_sentence(text: str, sentence: str) -> None:
    assert read(text) == [sentence]


def test_the_chosen_network_comes_first(widget: Reading, run: Fit) -> None:
    x, _ = TASK.sentences()
    best = run.chosen("validation").loc["reader"]
    assert torch.equal(widget.network(x), run.network("reader", int(best.seed))(x))
    order = run.groups()["reader"].validation.argsort(kind="stable")[:16]
    torch.testing.assert_close(widget.networks(x), run.replicas["reader"](x)[order.tolist()], rtol=1e-4, atol=1e-4)
    assert len(widget.networks) == 16 and isinstance(widget.network, Reader)


def test_fewer_networks_than_lanes(run: Fit) -> None:
    few = fit({"reader": MODELS["reader"]}, TASK, Recipe(lr=0.01), seeds=[5, 2], steps=60, watch=Watch(TASK.tests()))
    widget = Reading(few, "reader", TASK)
    answers = torch.tensor(asked(widget.program, [[1], [2, 3]])["answers"])
    tokens = torch.tensor([[1, 0], [2, 3]])
    torch.testing.assert_close(answers.T, widget.networks(tokens).squeeze(-1), rtol=1e-3, atol=1e-3)
    assert answers.shape == (2, 2)


def test_python_reads_what_was_typed(run: Fit) -> None:
    widget = Reading(run, "reader", TASK, first=206)
    assert widget.words == "two hundred and six"
    widget.set_state({"words": "six and two hundred"})  # as a page does
    assert torch.isfinite(widget.network(TASK.encode(widget.words)))


def test_it_knows_which_numbers_are_of_which_set(widget: Reading) -> None:
    assert widget.sets == {name: TASK.split()[name].tolist() for name in ("training", "validation")}
    assert widget.vocabulary == list(TASK.vocabulary) and widget.largest == 999


def test_it_adds_less_than_200_kilobytes_to_a_page(widget: Reading) -> None:
    sent = sum(4 / 3 * len(widget.program[name]) for name in ("wasm", "state"))  # as base64
    assert sent + len(widget._esm) + len(widget._css) + len(widget.still) < 200_000


def test_a_still_stands_for_it_and_is_told_in_words(widget: Reading) -> None:
    assert widget.still.startswith('<img alt="“three hundred and thirty four”, read by 16 networks')
    with torch.no_grad():
        running = widget.network.running(TASK.encode("three hundred and thirty four"))
    assert f"after each word: three {running[0].item():.3g}, hundred" in widget.still


def test_one_that_diverged_is_never_chosen(run: Fit) -> None:
    table = run.table.copy()
    last = (table.model == "reader") & (table.step == table.step.max()) & (table.seed == 3)
    table.loc[last, ["validation", "diverged"]] = [0.0, True]
    widget = Reading(Fit(table, run.replicas, 1.0, 1, {}, {}), "reader", TASK)
    x, _ = TASK.sentences()
    assert not torch.equal(widget.network(x), run.network("reader", 3)(x))


def test_what_it_cannot_show_is_refused(run: Fit) -> None:
    with pytest.raises(ValueError, match="model"):
        Reading(run, "writer", TASK)
    with pytest.raises(ValueError, match="expected numbers from 0 to 999, got 1000"):
        Reading(run, "reader", TASK, first=1000)
    with pytest.raises(ValueError, match="most: expected at least 5, got 4"):
        Reading(run, "reader", TASK, most=4)
    with pytest.raises(ValueError, match="expected numbers up to 999, got 1500"):
        Reading(run, "reader", LanguageToNumber(largest=1500))
    alone = fit({"reader": MODELS["reader"]}, TASK, Recipe(), seeds=range(2), steps=2)
    with pytest.raises(ValueError, match="run: expected errors in validation, got none"):
        Reading(alone, "reader", TASK)
