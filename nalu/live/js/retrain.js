// Chapter 1's networks, trained again as the hand moves: on another range, for fewer steps, with another activation.
import { Plot, drawn, words } from "./plot.js";
import {
  Trainer,
  bytes,
  download,
  filled,
  literal,
  make,
  notebook,
  remember,
  remembered,
  shown,
  slider,
} from "./page.js";

/** @typedef {import("./page.js").Model} Model */
/** @typedef {import("./worker.js").Job} Job */
/** @typedef {import("./worker.js").Report} Report */
/** @typedef {{name: string, low: number, high: number, steps: number}} Settings */

const NAME = "retrain";
const PATIENCE = 500; // milliseconds after which a bar is shown

/** Steps that the slider stops at: 0, then each a little more than the one before. @param {number} most */
function stops(most) {
  const found = new Set([0]);
  for (let step = 10; step < most; step *= 1.3) found.add(Math.round(step / 10) * 10);
  return [...found.add(most)];
}

/** @param {Model} model @param {HTMLElement} el */
function view(model, el) {
  /** @type {Settings} */
  const book = model.get("book");
  /** @type {Record<string, number>} */
  const digests = model.get("digests");
  const [most, far, points] = ["most", "far", "points"].map((name) => model.get(name));
  const shared = model.get("shared");
  const programs = Object.fromEntries(
    Object.entries(model.get("programs")).map(([name, program]) => [
      name,
      {
        layout: program.layout,
        wasm: bytes(program.wasm),
        state: bytes(shared[program.state]),
        numbers: bytes(shared.numbers),
      },
    ]),
  );
  const names = Object.keys(programs);
  const steps = stops(most);
  const xs = Array.from({ length: points }, (_, k) => -far + (2 * far * k) / (points - 1));
  const sent = Object.entries(programs).map(([name, program]) => ({ name, program }));
  /** @type {Trainer<Job, Report>} */
  const trainer = new Trainer(sent, WORKER, (words) => {
    halt();
    told.textContent = `The training failed: ${words}.`;
    el.setAttribute("aria-busy", "false");
  });

  const kind = make("select", { "aria-label": model.get("choice"), change: () => moved() });
  for (const name of names) kind.append(make("option", {}, name));
  const edge = Math.round(far / 2);
  const low = slider("trained from", { min: -edge, max: edge, value: book.low, read: words, moved: () => moved() });
  const high = slider("to", { min: -edge, max: edge, value: book.high, read: words, moved: () => moved() });
  const length = slider("steps", {
    min: 0,
    max: steps.length - 1,
    value: steps.length - 1,
    read: (k) => words(steps[k]),
    moved: () => moved(),
  });
  const play = make("button", { type: "button", click: () => (playing ? halt() : watch()) }, "Play");
  const once = make("button", { type: "button", click: () => further(1) }, "One step");
  const own = make("button", { type: "button", click: () => (put(book), moved()) }, "The book’s own run");
  const code = make("button", { type: "button", click: () => take("networks") }, "As PyTorch");
  const again = make("button", { type: "button", click: () => take("training") }, "As notebook");
  const told = make("p", { class: "told", role: "status" });
  const bar = make("progress", { max: 1, value: 0, "aria-label": "training" });
  bar.style.visibility = "hidden"; // but there, so that nothing jumps

  const ticks = [-far, -far / 2, 0, far / 2, far];
  const curves = new Plot({
    width: 560,
    height: 300,
    name: "",
    x: { low: -far, high: far, ticks, label: "number" },
    y: { low: -1.2 * far, high: 1.2 * far, ticks, label: "answer" },
  });
  const shade = drawn("rect", { class: "shade", y: curves.box.top, height: curves.box.height }, curves.back);
  drawn("path", { class: "right", d: curves.path([-far, far], (k) => [-far, far][k]) }, curves.front);
  const lanes = Object.values(programs)[0].layout.lanes;
  const lines = Array.from({ length: lanes }, () => drawn("path", { class: "curve" }, curves.front));
  const losses = new Plot({
    width: 560,
    height: 120,
    name: "",
    x: { low: 0, high: most, ticks: [0, most / 2, most], label: "step" },
    y: { low: 1e-8, high: 1e2, ticks: [1e-8, 1e-4, 1], log: true, label: "loss" },
  });
  const fall = drawn("path", { class: "curve strong" }, losses.front);
  const form = make(
    "div",
    { class: "form" },
    make("label", { class: "choice" }, make("span", {}, model.get("choice")), kind),
    length.element,
    low.element,
    high.element,
    make("div", { class: "buttons" }, play, once, own, code, again),
  );
  el.append(form, bar, curves.svg, losses.svg, told);

  /** @type {[number, number][]} */
  let history = []; // (step, the middle one of the networks' losses)
  /** @type {{report: Report, settings: Settings} | undefined} */
  let last;
  let playing = false;
  let paused = false;
  let asked = false; // whether the reader has, or this is what is shown first

  /** @returns {Settings} */
  function settings() {
    return { name: kind.value, low: low.value, high: high.value, steps: steps[length.value] };
  }

  /** @param {Settings} to */
  function put(to) {
    kind.value = to.name;
    low.value = to.low;
    high.value = to.high;
    length.value = steps.reduce(
      (best, step, k) => (Math.abs(step - to.steps) < Math.abs(steps[best] - to.steps) ? k : best),
      0,
    );
  }

  /** As many numbers as the book's run has, from one end to the other, and themselves as targets. @param {Settings} now */
  function batch({ name, low, high }) {
    const count = programs[name].layout.batch / 2;
    const inputs = Array.from({ length: count }, (_, k) => low + ((high - low) * k) / (count - 1));
    return [...inputs, ...inputs];
  }

  /** Whether there is nothing to learn, which is told. @param {Settings} now */
  function empty({ low, high }) {
    if (low < high) return false;
    forget();
    trainer.stop();
    el.setAttribute("aria-busy", "false");
    told.textContent = `A range from ${words(low)} to ${words(high)} holds no numbers to learn: move one end.`;
    return true;
  }

  /** Train from the start, for what the controls say. */
  function train() {
    const now = settings();
    if (empty(now)) return;
    forget();
    const began = performance.now();
    trainer.run({ name: now.name, batch: batch(now), points: xs, steps: now.steps }, (report) => {
      const soon = report.done >= now.steps || performance.now() - began < PATIENCE;
      bar.style.visibility = soon ? "hidden" : "visible";
      bar.value = report.done / Math.max(1, now.steps);
      show(report, now, performance.now() - began);
    });
  }

  /** So many steps more than were done. @param {number} count */
  function further(count) {
    if (!last || last.report.done >= most) return halt();
    const now = last.settings;
    asked = true;
    bar.style.visibility = "hidden";
    el.setAttribute("aria-busy", "true");
    trainer.run({ name: now.name, batch: batch(now), points: xs, steps: count, further: true }, (report) => {
      show(report, now, 0);
      if (playing) requestAnimationFrame(() => playing && further(1 + Math.round(report.done / 40)));
    });
  }

  /** Hand over what was trained last. @param {"networks" | "training"} what */
  function take(what) {
    if (!last?.report.parameters) return;
    const { report, settings: now } = last;
    const { replicas, parameters } = programs[now.name].layout;
    const all = /** @type {Float32Array} */ (report.parameters);
    const rows = Array.from({ length: replicas }, (_, lane) =>
      Array.from({ length: parameters }, (_, row) => all[row * lanes + lane]),
    );
    const text = filled(model.get("code")[now.name][what], {
      ...now,
      last: programs[now.name].layout.batch / 2 - 1,
      steps: report.done,
      weights: literal(rows),
      digest: report.digest,
    });
    if (what === "networks") download(`${now.name}.py`, text);
    else download(`${now.name}.ipynb`, notebook(text));
  }

  function moved() {
    halt();
    paused = false;
    asked = true;
    train();
  }

  /** Play the training: from its first step, or from where it was paused. */
  function watch() {
    const now = { ...settings(), steps: 0 };
    if (empty(now)) return;
    asked = playing = true;
    play.textContent = "Pause";
    told.setAttribute("aria-live", "off"); // else each frame is read out
    if (last && last.report.done < most && paused) further(1);
    else {
      forget();
      trainer.run({ name: now.name, batch: batch(now), points: xs, steps: 0 }, (report) => {
        show(report, now, 0);
        further(1);
      });
    }
    paused = false;
  }

  function halt() {
    if (playing) paused = true;
    playing = false;
    play.textContent = "Play";
    bar.style.visibility = "hidden";
    if (told.getAttribute("aria-live") === "off") {
      told.setAttribute("aria-live", "polite");
      requestAnimationFrame(() => (told.textContent += "")); // written again, so that the end is read out
    }
    hand();
  }

  /** What was trained is not what the controls say now. */
  function forget() {
    history = [];
    last = undefined;
    code.disabled = again.disabled = true;
    el.setAttribute("aria-busy", "true");
  }

  /** Let Python have what the reader has trained, and the address its settings. */
  function hand() {
    if (!asked || !last?.report.parameters) return;
    remember(NAME, settings());
    model.set("settings", { ...last.settings, steps: last.report.done });
    model.set("trained", new DataView(last.report.parameters.buffer));
    model.save_changes();
  }

  /** @param {Report} report @param {Settings} now @param {number} waited milliseconds since the hand moved */
  function show(report, now, waited) {
    last = { report, settings: now };
    const { replicas } = programs[now.name].layout;
    for (let step = 0; step * lanes < report.losses.length; step++) {
      const each = report.losses.slice(step * lanes, step * lanes + replicas).sort();
      history.push([report.since + step, each[replicas >> 1]]);
    }
    shade.setAttribute("x", String(curves.x(now.low)));
    shade.setAttribute("width", String(curves.x(now.high) - curves.x(now.low)));
    lines.forEach((line, lane) => {
      line.setAttribute("d", lane < replicas ? curves.path(xs, (k) => report.answers[k * lanes + lane]) : "");
    });
    const every = Math.max(1, Math.floor(history.length / 250));
    const thin = history.filter((_, k) => k % every === 0);
    fall.setAttribute(
      "d",
      losses.path(
        thin.map(([step]) => step),
        (k) => thin[k][1],
      ),
    );
    const ends = report.answers.slice(-lanes).slice(0, replicas).sort();
    const answer = `Asked for ${words(far)}, the middle one of ${replicas} networks answers ${words(ends[replicas >> 1])}`;
    const trained = `${now.name}, trained on ${words(now.low)} to ${words(now.high)} for ${words(report.done)} steps`;
    curves.svg.setAttribute("aria-label", `${trained}. ${answer}.`);
    const loss = history.at(-1);
    losses.svg.setAttribute("aria-label", `The loss over the steps${loss ? `; now ${words(loss[1])}` : ""}.`);
    if (!report.parameters) return;
    const known = model.get("code")[now.name];
    code.disabled = !known;
    again.disabled = !known || report.done === 0;
    const same = report.done === book.steps && now.low === book.low && now.high === book.high;
    const bits = !same
      ? ""
      : report.digest === digests[now.name]
        ? " These are the book’s own networks, to the last bit."
        : " These networks differ from the book’s in some bits.";
    const time = waited ? ` in ${words(Math.round(report.milliseconds))} ms` : "";
    told.textContent = `${trained}${time}. ${answer}.${bits}`;
    el.setAttribute("aria-busy", "false");
    el.dataset.digest = String(report.digest);
    if (!playing) hand();
  }

  /** Put the controls to what the address says, if it does. */
  function taken() {
    const given = remembered(NAME);
    const numbers = [given.low, given.high, given.steps].map(Number);
    if (!names.includes(given.name) || !numbers.every(Number.isFinite)) return false;
    put({ name: given.name, low: numbers[0], high: numbers[1], steps: numbers[2] });
    return true;
  }
  const followed = () => taken() && moved();

  put(model.get("settings")); // the book's, or what was trained before this view
  if (taken()) requestAnimationFrame(() => el.scrollIntoView());
  addEventListener("hashchange", followed);
  train();
  return () => {
    removeEventListener("hashchange", followed);
    trainer.close();
  };
}

export default { render: shown(view) };
