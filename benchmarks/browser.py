"""Chapter 1's training in a page, beside ConvNetJS and TensorFlow.js, in one page of one browser; and its widget.

    python benchmarks/browser.py

Needs `chromium`, and `npm`, which fetches the two libraries the first time. All train networks of three hidden layers
of 8 with Tanh on the 11 integers -5..5 in full batches, by the mean squared error: ours sixteen at a time, in the
worker of the book's pages, the others one, as they do. Ours and TensorFlow.js use Adam; what ConvNetJS publishes has
none, so that it trains by Adadelta, which also keeps two averages and takes roots, and by momentum, which keeps one.
TensorFlow.js runs on its two backends that need no graphics card, on each by `minimize` and by `trainOnBatch`. They
take turns in rounds, of which the median counts, and the best is told. Before that, each has to learn.

The widget of chapter 1 is moved by the keyboard, a step of a slider at a time: from the event to the first new curves
on the screen, and to the end of the training; and what its page holds in memory before and after many moves.
"""

import argparse
import base64
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TQDM_DISABLE"] = "1"
sys.path.append(str(Path(__file__).parents[1] / "tests"))

import torch
from helpers.alone import alone
from helpers.workshop import workshop_page
from playwright.sync_api import Browser, Page, sync_playwright

from nalu import ACTIVATIONS, MLP, NAC, NALU, Recipe, fit, stack
from nalu.live.programs import LANES, program
from nalu.live.retrain import Retrain
from nalu.tasks import Identity

PEERS = Path(__file__).with_name("npm")
FILES = {
    "convnetjs@0.3.0": ["build/convnet-min.js"],
    "@tensorflow/tfjs@4.22.0": ["dist/tf.min.js"],
    "@tensorflow/tfjs-backend-wasm@4.22.0": ["dist/tf-backend-wasm.min.js", "dist/tfjs-backend-wasm-simd.wasm"],
}
"""What is loaded of which package."""

RECIPE, SEEDS, LENGTH = Recipe(lr=1e-2), range(LANES), 10_000
STEPS = {"ours": 2_000, "ConvNetJS": 1_000, "TensorFlow.js": 30}
"""Of one measurement: some hundredths of a second each."""
LEARNED, ENOUGH = 1_000, 1.0
"""After so many steps, a loss has to be below this; it starts at 10 or so."""

SCRIPT = """
const X = Array.from({ length: 11 }, (_, k) => k - 5);
const HIDDEN = [8, 8, 8];
const squares = (answers) => answers.reduce((sum, answer, k) => sum + (answer - X[k]) ** 2, 0) / X.length;

// Each trains for so many steps more, ours from the start, and says its loss: of sixteen networks, the middle one's.
function ours() {
  let failed, losses;
  const trainer = new Trainer(told, WORKER, (words) => failed(new Error(words)));
  const train = (steps) =>
    new Promise((resolve, reject) => {
      failed = reject;
      trainer.run({ name: "Tanh", batch: [...X, ...X], points: [], steps }, (report) => {
        if (report.losses.length) losses = report.losses.slice(-16);
        if (report.parameters) resolve();
      });
    });
  return { networks: 16, train, loss: () => losses.sort()[8] };
}

function convnet(method) {
  const net = new convnetjs.Net();
  const hidden = HIDDEN.map((num_neurons) => ({ type: "fc", num_neurons, activation: "tanh" }));
  net.makeLayers([
    { type: "input", out_sx: 1, out_sy: 1, out_depth: 1 }, ...hidden, { type: "regression", num_neurons: 1 },
  ]);
  const trainer = new convnetjs.Trainer(net, { method, learning_rate: 0.001, batch_size: X.length });
  const inputs = X.map((x) => new convnetjs.Vol([x]));
  const train = (steps) => {
    for (let step = 0; step < steps; step++) inputs.forEach((input, k) => trainer.train(input, [X[k]]));
  };
  return { networks: 1, train, loss: () => squares(inputs.map((input) => net.forward(input).w[0])) };
}

async function tensorflow(backend, way) {
  await tf.setBackend(backend);
  const model = tf.sequential();
  model.add(tf.layers.inputLayer({ inputShape: [1] }));
  for (const units of HIDDEN) model.add(tf.layers.dense({ units, activation: "tanh" }));
  model.add(tf.layers.dense({ units: 1 }));
  const [x, optimizer] = [tf.tensor2d(X, [X.length, 1]), tf.train.adam(0.01)];
  model.compile({ optimizer, loss: "meanSquaredError" });
  const ways = {
    minimize: () => optimizer.minimize(() => tf.losses.meanSquaredError(x, model.apply(x))),
    trainOnBatch: () => model.trainOnBatch(x, x),
  };
  const train = async (steps) => {
    if (!(await tf.setBackend(backend))) throw new Error(`no backend ${backend}`);
    for (let step = 0; step < steps; step++) await ways[way]();
    await model.getWeights()[0].data(); // whatever is still to do is done
  };
  return { networks: 1, train, loss: () => squares([...tf.tidy(() => model.predict(x).dataSync())]) };
}

const contestants = {
  ours: ours(),
  "ConvNetJS, Adadelta": convnet("adadelta"),
  "ConvNetJS, momentum": convnet("sgd"),
};
for (const backend of ["cpu", "wasm"])
  for (const way of ["minimize", "trainOnBatch"])
    contestants[`TensorFlow.js, ${backend}, ${way}`] = await tensorflow(backend, way);

/** The loss of each after so many steps. */
async function learn(steps) {
  const losses = {};
  for (const [name, { train, loss }] of Object.entries(contestants)) {
    await train(steps);
    losses[name] = loss();
  }
  return losses;
}

/** Microseconds per network and step of each, in one round. */
async function round(lengths) {
  const times = {};
  for (const [name, { train, networks }] of Object.entries(contestants)) {
    const steps = lengths[name.split(",")[0]];
    const start = performance.now();
    await train(steps);
    times[name] = ((performance.now() - start) * 1000) / steps / networks;
  }
  return times;
}
Object.assign(window, { learn, round });
"""

# What times a move of the slider: from a key's event to the frame after the first new curves is drawn, and to the end.
WATCH = """
() => {
  const root = document.querySelector(".live");
  let began, drawn, trained;
  root.addEventListener("input", (event) => { began = event.timeStamp; }, true);
  new MutationObserver(() => {
    if (began !== undefined)
      requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel(); // heard once the frame is done
        port1.onmessage = () => drawn(performance.now() - began);
        port2.postMessage(null);
      });
  }).observe(root.querySelector("path.curve"), { attributeFilter: ["d"] });
  new MutationObserver(() => {
    if (root.getAttribute("aria-busy") === "false" && began !== undefined) trained(performance.now() - began);
  }).observe(root, { attributeFilter: ["aria-busy"] });
  window.next = () => {
    began = undefined;
    window.move = {
      drawn: new Promise((resolve) => { drawn = resolve; }),
      trained: new Promise((resolve) => { trained = resolve; }),
    };
  };
}
"""


def peers() -> list[Path]:
    """The libraries' files; npm fetches what is not here."""
    for package, names in FILES.items():
        folder = PEERS / package.replace("/", "-")
        if folder.is_dir():
            continue
        if not shutil.which("npm"):
            sys.exit("npm is needed. On Debian and Ubuntu: apt-get install npm")
        PEERS.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=PEERS) as scratch:
            command = ["npm", "pack", "--silent", package]
            archive = subprocess.run(command, cwd=scratch, check=True, stdout=subprocess.PIPE, encoding="utf-8")
            with tarfile.open(Path(scratch, archive.stdout.strip())) as packed:
                packed.extractall(scratch, [packed.getmember(f"package/{name}") for name in names], filter="data")
            Path(scratch, "package").rename(folder)
    return [PEERS / package.replace("/", "-") / name for package, names in FILES.items() for name in names]


def race(browser: Browser, rounds: int, folder: Path) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Microseconds per network and step of each contestant, in each round, and the losses they learned to."""
    *scripts, code = peers()
    bytes_ = base64.b64encode(code.read_bytes()).decode()  # a page from disk can fetch nothing else
    builds = [code.name.replace("-simd", build) for build in ("", "-simd", "-threaded-simd")]  # it wants to know all
    paths = json.dumps(dict.fromkeys(builds, f"data:application/wasm;base64,{bytes_}"))
    before = "".join(f'<script src="{script.as_uri()}"></script>\n' for script in scripts)
    before += f"<script>tf.wasm.setWasmPaths({paths});</script>"
    made = program(partial(MLP, 1, 1, activation="Tanh"), Identity(), RECIPE, SEEDS, LENGTH, torch.zeros(1, 1))
    page = opened(browser, workshop_page({"Tanh": made}, SCRIPT, folder / "race.html", before))
    page.wait_for_function("'round' in window")
    losses = page.evaluate(f"learn({LEARNED})")
    if slow := {name: loss for name, loss in losses.items() if not loss < ENOUGH}:
        sys.exit(f"after {LEARNED:,} steps, these have not learned: {slow}")
    found = [page.evaluate("lengths => round(lengths)", STEPS) for _ in range(rounds)]
    page.close()
    return {name: [each[name] for each in found] for name in losses}, losses


def moved(browser: Browser, moves: int, many: int, folder: Path) -> dict[str, float]:
    """Milliseconds from the hand to the screen, and megabytes before and after many moves."""
    models = {name: partial(MLP, 1, 1, activation=name) for name in ACTIVATIONS}
    models |= {unit.__name__: partial(stack, unit, [1, 8, 8, 8, 1]) for unit in (NAC, NALU)}
    widget = Retrain(models, RECIPE, fit(models, Identity(), RECIPE, seeds=SEEDS, steps=LENGTH), steps=LENGTH)
    page = opened(browser, alone(widget, folder / "widget.html"))
    page.wait_for_selector(".live[aria-busy=false]")
    page.evaluate(WATCH)
    page.get_by_role("slider", name="to", exact=True).focus()
    protocol = page.context.new_cdp_session(page)

    def move(key: str) -> float:
        page.evaluate("() => next()")
        page.keyboard.press(key)
        return page.evaluate("() => move.drawn")

    def timed(key: str) -> dict[str, float]:
        return {"drawn": move(key), "trained": page.evaluate("() => move.trained")}

    def used() -> float:
        protocol.send("HeapProfiler.collectGarbage")
        return protocol.send("Runtime.getHeapUsage")["usedSize"] / 2**20

    keys = ["ArrowRight"] * 10 + ["ArrowLeft"] * 10
    for key in keys:
        timed(key)
    found = [timed(keys[k % len(keys)]) for k in range(moves)]
    before = used()
    for k in range(many):
        move(keys[k % len(keys)])
    after = used()
    page.close()
    times = {what: [each[what] for each in found] for what in ("drawn", "trained")}
    told = {f"{what}, {how}": take(ts) for what, ts in times.items() for how, take in TAKEN.items()}
    return told | {"heap before": before, "heap after": after}


TAKEN = {"median": statistics.median, "slowest": max}


def opened(browser: Browser, address: str) -> Page:
    page = browser.new_page()
    page.on("pageerror", lambda error: sys.exit(f"the page failed: {error}"))
    page.goto(address)
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25, help="how often each is measured")
    parser.add_argument("--moves", type=int, default=100, help="of the slider that are timed")
    parser.add_argument("--many", type=int, default=1_000, help="moves between two looks at the memory")
    told = parser.parse_args()
    if not (path := shutil.which("chromium")):
        sys.exit("Chromium is not installed. On Debian and Ubuntu: apt-get install chromium")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        load = os.getloadavg()[0]
        times, losses = race(browser, told.rounds, Path(folder))
        widget = moved(browser, told.moves, told.many, Path(folder))
        version = browser.version
        browser.close()
    print(f"Chromium {version}, load before {load:.1f}, after {os.getloadavg()[0]:.1f}\n")
    median = {name: statistics.median(each) for name, each in times.items()}
    best = {name: min(each) for name, each in times.items()}
    ratios, of_best = (
        {name: t / each["ours"] for name, t in each.items() if name != "ours"} for each in (median, best)
    )
    print(f"{'':36}{'µs':>9}{'it / ours':>11}{'best, µs':>11}{'it / ours':>11}{f'loss, {LEARNED:,} steps':>19}")
    for name, t in median.items():
        row = f"{t:9.2f}{t / median['ours']:11.1f}{best[name]:11.2f}{best[name] / best['ours']:11.1f}"
        print(f"{name:36}{row}{losses[name]:19.2g}")
    print(f"\na move of the slider, ms, of {told.moves}; heap, MB, over {told.many:,} moves")
    for name, number in widget.items():
        print(f"{name:36}{number:9.1f}")
    print()
    found = {"microseconds": median, "ratios": ratios, "best": best, "ratios of the best": of_best}
    print(json.dumps({"name": "browser", **found, "widget": widget, "load": load}))


if __name__ == "__main__":
    main()
