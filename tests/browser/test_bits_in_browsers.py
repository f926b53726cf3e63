"""The second law in the reader's hands: two browsers train every unit and activation to the bits of `fit`."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import machines
import numpy as np
import pytest
import torch
from helpers.alone import alone
from helpers.firefox import Firefox
from helpers.workshop import workshop_page
from machines import Case
from playwright.sync_api import Browser

from nalu import ACTIVATIONS, MLP, NAC, NALU, Fit, Recipe, Watch, fit, stack, units
from nalu.live.programs import LANES, digest, program
from nalu.live.retrain import Retrain, lanes_of
from nalu.tasks import Identity, Task

pytestmark = [pytest.mark.browser, pytest.mark.slow]

STEPS, SEEDS = 200, range(LANES)
CASES = {name: replace(case, recipe=replace(case.recipe, restart=None)) for name, case in machines.CASES.items()}
"""Each unit on an operation of its own, by its own recipe, and chapter 1's networks; a page knows no new starts."""

OWN = "These are the book’s own networks, to the last bit."


class Held:
    """The first batch that a task draws, at each step again, which is all that a page's worker knows."""

    fresh = shared = False

    def __init__(self, task: Task) -> None:
        self.x, self.y = (part[0] for part in task.draw(torch.Generator().manual_seed(1), 1))

    def draw(self, generator: torch.Generator, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.x.expand(steps, -1, -1), self.y.expand(steps, -1, -1).clone()


class Numbers(Held):
    """Eleven numbers from one end of a range to the other, and themselves as targets."""

    def __init__(self, low: int, high: int) -> None:
        self.x = self.y = torch.tensor([[low + (high - low) * k / 10] for k in range(11)])


@pytest.fixture(scope="module", autouse=True)
def native() -> Iterator[None]:
    """What has no C is an error."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NALU_ENGINE", "native")
        yield


@cache
def learned_natively(case: Case) -> Fit:
    told = {"recipe": case.recipe, "seeds": SEEDS, "steps": STEPS, "watch": Watch(checkpoints=STEPS)}
    return fit({case.name: case.make}, Held(case.task), **told)


def natively(case: Case) -> dict[str, int]:
    """What `fit` makes of a case: the bits of its parameters after training, and of its losses before each step."""
    run = learned_natively(case)
    losses = run.table.sort_values(["step", "seed"]).loss.to_numpy(np.float32).reshape(STEPS + 1, LANES)
    return {"parameters": digest(lanes_of(run.replicas[case.name])), "losses": digest(losses[:-1]), "steps": STEPS}


SCRIPT = """
/** What becomes of all programs, which one worker trains, one after the other. */
async function trained(batches, steps) {
  const found = {};
  let failed;
  const trainer = new Trainer(told, WORKER, (words) => failed(new Error(words)));
  for (const { name } of told) {
    const losses = [];
    found[name] = await new Promise((resolve, reject) => {
      failed = reject;
      trainer.run({ name, batch: batches[name], points: [], steps }, (report) => {
        losses.push(...report.losses);
        if (!report.parameters) return;
        resolve({ parameters: report.digest, losses: digest(new Float32Array(losses)), steps: report.done });
      });
    });
  }
  trainer.close();
  return found;
}
"""


@pytest.fixture(scope="module")
def page_of_all(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a page that trains all cases, as its `found`."""
    tasks = {name: Held(case.task) for name, case in CASES.items()}
    programs = {
        name: program(case.make, tasks[name], case.recipe, SEEDS, STEPS, tasks[name].x[:1])
        for name, case in CASES.items()
    }
    batches = {name: torch.cat([task.x.flatten(), task.y.flatten()]).tolist() for name, task in tasks.items()}
    script = f"{SCRIPT}window.found = trained({json.dumps(batches)}, {STEPS});"
    return workshop_page(programs, script, tmp_path_factory.mktemp("workshop") / "all.html")


@pytest.fixture(params=["chromium", "firefox"])
def found(request: pytest.FixtureRequest, page_of_all: str) -> dict[str, dict]:
    """What a browser made of each case."""
    browser: Browser | Firefox = request.getfixturevalue(request.param)
    if isinstance(browser, Firefox):
        browser.goto(page_of_all)
        made, errors = browser.evaluate("window.found"), browser.errors
    else:
        page, errors = browser.new_page(), []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(page_of_all)
        made = page.evaluate("window.found")
        page.close()
    assert errors == []
    return made


def test_every_unit_and_activation_trains_to_the_bits_of_fit(found: dict[str, dict]) -> None:
    assert set(found) == {unit.__name__ for unit in units.UNITS} | set(ACTIVATIONS)
    assert found == {name: natively(case) for name, case in CASES.items()}


def test_the_bits_tell_the_cases_apart() -> None:
    """Else agreement would say little: no case is lost in NaN, stands still, or trains as another."""
    for case in CASES.values():
        run = learned_natively(case)
        first, last = (run.table[run.table.step == step].loss.to_numpy() for step in (0, STEPS))
        assert torch.isfinite(run.replicas[case.name].state).all() and np.isfinite(first).all(), case.name
        assert (first != last).mean() > 0.5, case.name
    made = [natively(case) for case in CASES.values()]
    assert len({each["parameters"] for each in made}) == len({each["losses"] for each in made}) == len(CASES)


BOOK = {name: partial(MLP, 1, 1, activation=name) for name in ACTIVATIONS}
BOOK |= {unit.__name__: partial(stack, unit, [1, 8, 8, 8, 1]) for unit in (NAC, NALU)}
RECIPE, LENGTH = Recipe(lr=1e-2), 10_000


def learned(models: dict, task: Task) -> Fit:
    return fit(models, task, RECIPE, seeds=SEEDS, steps=LENGTH)


@pytest.fixture(scope="module")
def retrain(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a page with the widget of chapter 1."""
    widget = Retrain(BOOK, RECIPE, learned(BOOK, Identity()), steps=LENGTH)
    return alone(widget, tmp_path_factory.mktemp("retrain") / "retrain.html")


def trained(firefox: Firefox) -> str:
    """What the widget tells once nothing is in training."""
    firefox.evaluate("""(async () => {
      const calm = () => document.querySelector('.live[aria-busy="false"]');
      for (const end = Date.now() + 30000; !calm() && Date.now() < end; )
        await new Promise((resolve) => setTimeout(resolve, 10));
    })()""")
    return firefox.evaluate("document.querySelector('.live[aria-busy=\"false\"] .told').textContent")


def test_firefox_trains_the_books_own_networks(retrain: str, firefox: Firefox) -> None:
    firefox.goto(retrain)
    for name in BOOK:
        firefox.evaluate(f"""(() => {{
          const kind = document.querySelector("select");
          kind.value = {json.dumps(name)};
          kind.dispatchEvent(new Event("change"));
        }})()""")
        told = trained(firefox)
        assert told.startswith(f"{name}, trained on −5 to 5 for 10,000 steps") and told.endswith(OWN), told
    assert firefox.errors == []


def test_in_firefox_a_slider_that_keys_move_trains_anew(retrain: str, firefox: Firefox) -> None:
    firefox.goto(retrain)
    assert trained(firefox).endswith(OWN)
    firefox.evaluate("document.querySelector('input[aria-label=\"to\"]').focus()")
    firefox.press("ArrowRight", "ArrowRight", "ArrowLeft")
    told = trained(firefox)
    assert told.startswith("Tanh, trained on −5 to 6 for 10,000 steps") and OWN not in told
    own = learned({"Tanh": BOOK["Tanh"]}, Numbers(-5, 6)).replicas["Tanh"]
    assert firefox.evaluate("document.querySelector('.live').dataset.digest") == str(digest(lanes_of(own)))
    assert firefox.evaluate("document.activeElement.getAttribute('aria-valuetext')") == "6"
    firefox.press("ArrowLeft")
    assert trained(firefox).endswith(OWN) and firefox.errors == []


def test_what_a_page_throws_is_seen_in_firefox(tmp_path: Path, firefox: Firefox) -> None:
    page = tmp_path / "page.html"
    page.write_text("<script>setTimeout(() => { throw new Error('not caught'); })</script>", encoding="utf-8")
    firefox.goto(page.as_uri())
    firefox.evaluate("new Promise((resolve) => setTimeout(resolve, 100))")
    assert firefox.errors == ["Error: not caught"]
