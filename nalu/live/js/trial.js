// The benchmark of units, a run at a time: a dot for each seed and checkpoint, above or below the line of success.
import { Plot, drawn, words } from "./plot.js";
import { Trainer, bytes, download, filled, literal, make, notebook, remember, remembered, shown } from "./page.js";
import { parts } from "./parts.js";
import { rowDigest } from "./single.js";
import { wilson } from "./wilson.js";

/** @typedef {import("./page.js").Model} Model */
/** @typedef {import("./single.js").Task} Task */
/** @typedef {import("./single.js").Choice} Choice */
/** @typedef {import("./single.js").Row} Row */
/** @typedef {import("./trial-worker.js").Job} Job */
/** @typedef {import("./trial-worker.js").Report} Report */
/** @typedef {Omit<Choice, "from">} Settings */

const NAME = "trial";
const PATIENCE = 500; // milliseconds after which a bar is shown
const LOW = 1e-16; // below it, an error is drawn at the edge
const HIGH = 1e8;

/** @param {number} share */
function percent(share) {
  return `${Math.round(100 * share)}%`;
}

/** @param {Model} model @param {HTMLElement} el */
function view(model, el) {
  /** @type {Task} */
  const task = model.get("task");
  const [stored, reported, where] = ["stored", "reported", "where"].map((name) => model.get(name));
  const columns = Object.fromEntries(Object.entries(model.get("columns")).map(([name, each]) => [name, bytes(each)]));
  const programs = Object.fromEntries(
    Object.entries(model.get("programs")).map(([name, { layouts, ...packed }]) => [
      name,
      { layouts, ...Object.fromEntries(Object.entries(packed).map(([part, each]) => [part, bytes(each)])) },
    ]),
  );
  const keys = task.ranges.map(({ low, high }) => `[${low}, ${high}]`);
  const counts = [...new Set([25, 50, 100, task.seeds.length])].filter((count) => count <= task.seeds.length);
  /** @type {Trainer<Job, Report>[]} */
  const trainers = [];

  /** @param {string} name @param {(string | number)[]} values @param {(string | number)[]} [labels] */
  function choice(name, values, labels = values) {
    const select = make("select", { "aria-label": name, change: () => begin() });
    values.forEach((value, k) => select.append(make("option", { value }, String(labels[k]).replace(/-/g, "−"))));
    return { select, element: make("label", { class: "choice" }, make("span", {}, name), select) };
  }
  const unit = choice("unit", Object.keys(programs));
  const operation = choice("operation", task.operations);
  const range = choice("trained on", [...keys.keys()], keys);
  const seeds = choice("seeds", counts);
  const again = make("button", { type: "button", click: () => begin() }, "Train again");
  const stop = make("button", { type: "button", click: () => halt() }, "Stop");
  const code = make("button", { type: "button", click: () => take("networks") }, "As PyTorch");
  const run = make("button", { type: "button", click: () => take("training") }, "As notebook");
  const told = make("p", { class: "told", role: "status" });
  const bar = make("progress", { max: 1, value: 0, "aria-label": "training" });
  bar.style.visibility = "hidden"; // but there, so that nothing jumps

  const errors = new Plot({
    width: 560,
    height: 300,
    name: "Training.",
    x: { low: 0, high: task.steps, ticks: [0, task.steps / 2, task.steps], label: "step" },
    y: { low: LOW, high: HIGH, ticks: [1e-16, 1e-8, 1, 1e8], log: true, label: "error beyond the range" },
  });
  const line = drawn("path", { class: "right" }, errors.front);
  const label = drawn("text", { x: errors.box.left + errors.box.width, "text-anchor": "end" }, errors.front);
  label.textContent = "nearly perfect, below this line";
  const others = drawn("path", { class: "dots" }, errors.front);
  const solved = drawn("path", { class: "dots solved" }, errors.front);
  const form = make("div", { class: "form" });
  form.append(unit.element, operation.element, range.element, seeds.element);
  form.append(make("div", { class: "buttons" }, again, stop, code, run));
  el.append(form, bar, errors.svg, told);

  let asked = false; // whether the reader has, or this is what is shown first
  /** @type {{settings: Settings, rows: Row[], digest: number, parameters: Float32Array} | undefined} */
  let last;

  /** @returns {Settings} */
  function settings() {
    return {
      unit: unit.select.value,
      operation: operation.select.value,
      range: Number(range.select.value),
      seeds: Number(seeds.select.value),
    };
  }

  /** @param {Settings} to */
  function put(to) {
    unit.select.value = to.unit;
    operation.select.value = to.operation;
    range.select.value = String(to.range);
    seeds.select.value = String(to.seeds);
  }

  /** @param {string} words */
  function failed(words) {
    cease();
    told.textContent = `The training failed: ${words}.`;
  }

  /** Train what the controls say, in the place of what runs. */
  function begin(first = false) {
    cease();
    asked ||= !first;
    last = undefined;
    const now = settings();
    const limit = task.thresholds[now.operation][now.range];
    const all = parts(now.seeds, Math.max(1, Math.min(4, navigator.hardwareConcurrency || 1)));
    while (trainers.length < all.length) trainers.push(new Trainer([{ task, programs, columns }], WORKER, failed));
    line.setAttribute(
      "d",
      errors.path([0, task.steps], () => limit),
    );
    label.setAttribute("y", String(errors.y(limit) - 5));
    const began = performance.now();
    const done = all.map(() => 0);
    /** @type {Report[]} */
    const ends = [];
    let [above, below] = ["", ""];
    bar.value = 0;
    others.setAttribute("d", "");
    solved.setAttribute("d", "");
    told.textContent = "Training …";
    errors.svg.setAttribute("aria-label", "Training.");
    el.setAttribute("aria-busy", "true");
    stop.disabled = false;
    code.disabled = run.disabled = true;
    all.forEach((part, k) => {
      trainers[k].run({ ...now, ...part }, (report) => {
        const { step } = report;
        report.errors.forEach((error, place) => {
          if (!Number.isFinite(error)) return;
          const aside = ((part.from + place + 0.5) / now.seeds - 0.5) * 0.7 * (task.steps / task.checkpoints);
          const y = errors.y(Math.min(Math.max(error, 3 * LOW), HIGH / 3)); // whole dots at the edges, too
          const dot = `M${errors.x(Math.min(Math.max(step + aside, 0), task.steps)).toFixed(1)} ${y.toFixed(1)}h0`;
          if (error < limit) below += dot;
          else above += dot;
        });
        others.setAttribute("d", above);
        solved.setAttribute("d", below);
        done[k] = report.rows ? task.steps : step;
        if (report.rows) ends[k] = report;
        const over = Object.keys(ends).length === all.length;
        bar.value = done.reduce((sum, each) => sum + each, 0) / (all.length * task.steps);
        bar.style.visibility = over || performance.now() - began < PATIENCE ? "hidden" : "visible";
        if (over) end(now, ends, performance.now() - began);
      });
    });
  }

  /** The reader has what runs end. */
  function halt() {
    if (el.getAttribute("aria-busy") === "true")
      told.textContent = `Stopped at ${percent(bar.value)} of the steps. “Train again” starts anew.`;
    cease();
  }

  /** What runs, ends. */
  function cease() {
    for (const trainer of trainers) trainer.stop();
    bar.style.visibility = "hidden";
    stop.disabled = true;
    el.setAttribute("aria-busy", "false");
  }

  /** @param {Settings} now @param {Report[]} ends @param {number} milliseconds */
  function end(now, ends, milliseconds) {
    const rows = ends.flatMap((each) => each.rows ?? []);
    const each = rows.length && ends[0].parameters ? ends[0].parameters.length / (ends[0].rows?.length ?? 1) : 0;
    const parameters = new Float32Array(each * rows.length);
    let from = 0;
    for (const { parameters: part = new Float32Array(), rows: own = [] } of ends) {
      for (let k = 0; k < each; k++)
        parameters.set(part.subarray(k * own.length, (k + 1) * own.length), k * rows.length + from);
      from += own.length;
    }
    last = { settings: now, rows, digest: rowDigest(rows), parameters };
    const key = keys[now.range].replace(/-/g, "−");
    const learned = rows.filter(({ success }) => success);
    const [low, high] = wilson(learned.length, rows.length);
    const what = `${now.unit}, trained on ${key} to compute ${now.operation.replace("-", "−")}`;
    const share = `${learned.length} of ${rows.length} seeds learn it (${percent(learned.length / rows.length)}; 95% interval, ${percent(low)} to ${percent(high)})`;
    const mean = learned.reduce((sum, { solved_at: step }) => sum + step, 0) / learned.length;
    const when = learned.length ? `, at step ${words(mean)} on average` : "";
    const lost = rows.filter(({ diverged }) => diverged).length;
    const gone = lost ? ` ${lost} diverged.` : "";
    const result = `${what}: ${share}${when}.${gone}`;
    errors.svg.setAttribute(
      "aria-label",
      `A dot for each seed’s error beyond the range, each thousand steps. ${result}`,
    );
    told.textContent = `${result} ${rows.length} × ${words(task.steps)} steps took ${words(Number((milliseconds / 1000).toPrecision(2)))} s. ${beside(now, rows)}`;
    code.disabled = run.disabled = false;
    bar.style.visibility = "hidden";
    stop.disabled = true;
    el.setAttribute("aria-busy", "false");
    hand();
  }

  /** What is stored and what was reported of the same. @param {Settings} now @param {Row[]} rows */
  function beside(now, rows) {
    const known = stored[now.unit]?.[now.operation]?.[now.range];
    const paper = reported[now.unit]?.[now.operation]?.[now.range];
    const sayings = [];
    if (known) {
      const [count, many, digest] = known;
      const same = rowDigest(rows.slice(0, many)) === digest;
      const whose = rows.length === many ? "these" : `the first ${many} of these`;
      sayings.push(
        `The book’s table has ${count} of ${many}: ${same ? `${whose} are its own rows, digit by digit` : `${whose} differ from its rows`}.`,
      );
    }
    if (typeof paper === "number") sayings.push(`${where}: ${percent(paper)}.`);
    return sayings.join(" ");
  }

  /** Let Python have what the reader has trained (JSON has no word for what is no number), and the address its settings. */
  function hand() {
    if (!asked || !last) return;
    remember(NAME, settings());
    model.set("settings", last.settings);
    model.set(
      "rows",
      last.rows.map((row) =>
        Object.fromEntries(
          Object.entries(row).map(([name, value]) => [
            name,
            typeof value === "number" && !Number.isFinite(value) ? String(value) : value,
          ]),
        ),
      ),
    );
    model.set("trained", new DataView(last.parameters.buffer));
    model.save_changes();
  }

  /** Hand over what was trained last. @param {"networks" | "training"} what */
  function take(what) {
    if (!last) return;
    const { settings: now, rows, parameters, digest } = last;
    const each = parameters.length / rows.length;
    const weights = rows.map((_, seed) => Array.from({ length: each }, (_, k) => parameters[k * rows.length + seed]));
    const text = filled(model.get("code")[what], {
      ...now,
      range: keys[now.range],
      steps: task.steps,
      weights: literal(weights),
      digest,
    });
    if (what === "networks") download(`${now.unit}.py`, text);
    else download(`${now.unit}.ipynb`, notebook(text));
  }

  /** Put the controls to what the address says, if it does. */
  function taken() {
    const given = remembered(NAME);
    const to = { unit: given.unit, operation: given.operation, range: Number(given.range), seeds: Number(given.seeds) };
    const known =
      Object.hasOwn(programs, to.unit) &&
      task.operations.includes(to.operation) &&
      Object.hasOwn(keys, to.range) &&
      counts.includes(to.seeds);
    if (known) put(to);
    return known;
  }
  const followed = () => taken() && begin();

  put(model.get("settings")); // the book's, or what was trained before this view
  if (taken()) requestAnimationFrame(() => el.scrollIntoView());
  addEventListener("hashchange", followed);
  begin(true);
  return () => {
    removeEventListener("hashchange", followed);
    for (const trainer of trainers) trainer.close();
  };
}

export default { render: shown(view) };
