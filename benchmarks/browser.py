"""Chapter 1's training in a page, beside ConvNetJS and TensorFlow.js, in one page of one browser; and its widget.

    python benchmarks/browser.py

Needs `chromium`, and `npm`, which fetches the two libraries the first time. All train networks of three hidden layers
of 8 with Tanh on the 11 integers -5..5 in full batches, by the mean squared error: ours sixteen at a time, in the
worker of the book's pages, the others one, as they do. Ours and TensorFlow.js use Adam; what ConvNetJS publishes has
none, so that it trains by Adadelta, which also keeps two averages and takes roots, and by momentum, which keeps one.
TensorFlow.js runs on its two backends that need no graphics card, on each by `minimize` and by `trainOnBatch`. They
take turns in rounds, and the median counts. Before that, each has to learn.

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
STEPS = {"ours": LENGTH, "ConvNetJS": 5_000, "TensorFlow.js": 200}
"""Of one measurement: some tenths of a second each."""
LEARNED, ENOUGH = 1_000, 1.0
"""After so many steps, a loss has to be below this; it starts at 10 or so."""

SCRIPT = """
const X = Array.from({ length: 11 }, (_, k) => k - 5);
const HIDDEN = [8, 8, 8];
const squares = (answers) => answers.reduce((sum, answer, k) => sum + (answer - X[k]) ** 2, 0) / X.length;

// Each trains for so many steps and returns its loss: of sixteen networks, the middle one's.
let failed;
const trainer = new Trainer(told, WORKER, (words) => failed(new Error(words)));
function ours(steps) {
  return new Promise((resolve, reject) => {
    failed = reject;
    let losses;
    trainer.run({ name: "Tanh", batch: [...X, ...X], points: [], steps }, (report) => {
      if (report.losses.length) losses = report.losses.slice(-16);
      if (report.parameters) resolve(losses.sort()[8]);
    });
  });
}

const convnet = (method, rate) => (steps) => {
  const net = new convnetjs.Net();
  const hidden = HIDDEN.map((num_neurons) => ({ type: "fc", num_neurons, activation: "tanh" }));
  net.makeLayers([
    { type: "input", out_sx: 1, out_sy: 1, out_depth: 1 }, ...hidden, { type: "regression", num_neurons: 1 },
  ]);
  const trainer = new convnetjs.Trainer(net, { method, learning_rate: rate, batch_size: X.length });
  const inputs = X.map((x) => new convnetjs.Vol([x]));
  for (let step = 0; step < steps; step++) inputs.forEach((input, k) => trainer.train(input, [X[k]]));
  return squares(inputs.map((input) => net.forward(input).w[0]));
};

const tensorflow = (backend, way) => async (steps) => {
  if (!(await tf.setBackend(backend))) throw new Error(`no backend ${backend}`);
  const model = tf.sequential();
  model.add(tf.layers.inputLayer({ inputShape: [1] }));
  for (const units of HIDDEN) model.add(tf.layers.dense({ units, activation: "tanh" }));
  model.add(tf.layers.dense({ units: 1 }));
  const [x, optimizer] = [tf.tensor2d(X, [X.length, 1]), tf.train.adam(0.01)];
  if (way === "minimize")
    for (let step = 0; step < steps; step++) optimizer.minimize(() => tf.losses.meanSquaredError(x, model.apply(x)));
  else {
    model.compile({ optimizer, loss: "meanSquaredError" });
    for (let step = 0; step < steps; step++) await model.trainOnBatch(x, x);
  }
  const answers = tf.tidy(() => model.predict(x));
  const loss = squares([...(await answers.data())]);
  tf.dispose([x, answers]);
  model.dispose();
  optimizer.dispose();
  return loss;
};

const contestants = {
  ours: [ours, 16],
  "ConvNetJS, Adadelta": [convnet("adadelta"), 1],
  "ConvNetJS, momentum": [convnet("sgd", 0.001), 1],
};
for (const backend of ["cpu", "wasm"])
  for (const way of ["minimize", "trainOnBatch"])
    contestants[`TensorFlow.js, ${backend}, ${way}`] = [tensorflow(backend, way), 1];

/** The loss of each after so many steps. */
async function learn(steps) {
  const losses = {};
  for (const [name, [train]] of Object.entries(contestants)) losses[name] = await train(steps);
  return losses;
}

/** Microseconds per network and step of each, in one round. */
async function round(lengths) {
  const times = {};
  for (const [name, [train, networks]] of Object.entries(contestants)) {
    const steps = lengths[name.split(",")[0]];
    const start = performance.now();
    await train(steps);
    times[name] = ((performance.now() - start) * 1000) / steps / networks;
  }
  return times;
}
Object.assign(window, { learn, round });
"""

# From a key's event to the frame after the first new curves is drawn, and to the end of the training.
WATCH = """
() => {
  const root = document.querySelector(".live");
  const curve = root.querySelector("path.curve");
  let began;
  window.moves = [];
  root.addEventListener("input", (event) => { began = event.timeStamp; }, true);
  new MutationObserver(() => {
    if (began === undefined) return;
    const start = began;
    began = undefined;
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel(); // heard once the frame is done
      port1.onmessage = () => moves.push({ drawn: performance.now() - start, start });
      port2.postMessage(null);
    });
  }).observe(curve, { attributeFilter: ["d"] });
  new MutationObserver(() => {
    if (root.getAttribute("aria-busy") === "false") window.calm = performance.now();
  }).observe(root, { attributeFilter: ["aria-busy"] });
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


def race(browser: Browser, rounds: int, folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Microseconds per network and step of each contestant, in the median, and the losses they learned to."""
    *scripts, code = peers()
    bytes_ = base64.b64encode(code.read_bytes()).decode()  # a page from disk can fetch nothing else
    builds = [code.name.replace("-simd", build) for build in ("", "-simd", "-threaded-simd")]  # it wants to know all
    paths = json.dumps(dict.fromkeys(builds, f"data:application/wasm;base64,{bytes_}"))
    before = "".join(f'<script src="{script.as_uri()}"></script>\n' for script in scripts)
    before += f"<script>tf.wasm.setWasmPaths({paths});</script>"
    made = program(partial(MLP, 1, 1, activation="Tanh"), Identity(), RECIPE, SEEDS, LENGTH, torch.zeros(1, 1))
    page = opened(browser, workshop_page({"Tanh": made}, SCRIPT, folder / "race.html", before))
    losses = page.evaluate(f"learn({LEARNED})")
    if slow := {name: loss for name, loss in losses.items() if not loss < ENOUGH}:
        sys.exit(f"after {LEARNED:,} steps, these have not learned: {slow}")
    found = [page.evaluate("lengths => round(lengths)", STEPS) for _ in range(rounds)]
    page.close()
    return {name: statistics.median(each[name] for each in found) for name in losses}, losses


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

    def move(key: str, calm: bool) -> dict[str, float]:
        page.evaluate("() => { moves.length = 0; window.calm = undefined; }")
        page.keyboard.press(key)
        page.wait_for_function("calm => moves.length && (!calm || window.calm)", arg=calm, polling=5)
        return page.evaluate("({ drawn: moves[0].drawn, trained: window.calm - moves[0].start })")

    def used() -> float:
        protocol.send("HeapProfiler.collectGarbage")
        return protocol.send("Runtime.getHeapUsage")["usedSize"] / 2**20

    keys = ["ArrowRight"] * 10 + ["ArrowLeft"] * 10
    for key in keys:
        move(key, calm=True)
    found = [move(keys[k % len(keys)], calm=True) for k in range(moves)]
    before = used()
    for k in range(many):
        move(keys[k % len(keys)], calm=False)
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
    parser.add_argument("--rounds", type=int, default=9, help="how often each is measured")
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
    print(f"{'':36}{'µs':>9}{'it / ours':>11}{f'loss, {LEARNED:,} steps':>18}")
    for name, t in times.items():
        print(f"{name:36}{t:9.2f}{t / times['ours']:11.0f}{losses[name]:18.2g}")
    print(f"\na move of the slider, ms, of {told.moves}; heap, MB, over {told.many:,} moves")
    for name, number in widget.items():
        print(f"{name:36}{number:9.1f}")
    print()
    ratios = {name: t / times["ours"] for name, t in times.items() if name != "ours"}
    print(json.dumps({"name": "browser", "microseconds": times, "ratios": ratios, "widget": widget, "load": load}))


if __name__ == "__main__":
    main()
