// A reader's own rows: units learn them one by one, the best on other rows tells what it found, and a third part judges it.
import { READINGS } from "./formulas.js";
import { Plot, between, drawn, words } from "./plot.js";
import { Trainer, bytes, describe, download, filled, literal, make, notebook, shown } from "./page.js";
import { parted, pasted } from "./paste.js";

/** @typedef {import("./page.js").Model} Model */
/** @typedef {import("./your_data-worker.js").Job} Job */
/** @typedef {import("./your_data-worker.js").Report} Report */
/** @typedef {{name: string, label: string, formula: string, validation: number, test: number}} Finding */

const POINTS = 121;
const BEYOND = 4; // the picture reaches so many times the width of the data to either side

/** A share in percent, to two digits. @param {number} share */
function percent(share) {
  if (share < 1e-5) return "< 0.001%";
  return share >= 10 ? "> 1,000%" : `${words(Number((100 * share).toPrecision(2)))}%`;
}

/**
 * The least error on the rows to choose by; of those that are as good, as far as so many rows can tell, the shortest formula.
 * @param {Finding[]} findings @param {number} rows @returns {Finding | undefined}
 */
function chosen(findings, rows) {
  const least = Math.min(...findings.map(({ validation }) => validation));
  const limit = Math.max(least * (1 + 1 / Math.sqrt(rows)), 1e-5); // about a standard error more
  const good = findings.filter(({ validation }) => validation <= limit);
  return good.sort((a, b) => (a.formula.length || 1e9) - (b.formula.length || 1e9) || a.validation - b.validation)[0];
}

/** @param {number[]} values */
function middle(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

/** @param {Model} model @param {HTMLElement} el */
function view(model, el) {
  el.classList.add("your-data");
  const [steps, seeds, example] = ["steps", "seeds", "example"].map((name) => model.get(name));
  const shared = Object.fromEntries(Object.entries(model.get("shared")).map(([name, each]) => [name, bytes(each)]));
  const programs = Object.fromEntries(
    Object.entries(model.get("programs")).map(([name, { layout, wasm, state, numbers }]) => [
      name,
      { layout, wasm: bytes(wasm), state: bytes(state), numbers: shared[numbers] },
    ]),
  );
  /** @type {Trainer<Job, Report>} */
  const trainer = new Trainer([{ programs }], WORKER, (words) => {
    halt();
    told.textContent = `The training failed: ${words}.`;
  });

  const text = make("textarea", { rows: 8, spellcheck: "false", "aria-label": "rows of x1, x2 and y" });
  text.value = example;
  const train = make("button", { type: "button", click: () => begin() }, "Train");
  const stop = make("button", { type: "button", click: () => halt("Stopped.") }, "Stop");
  const back = make("button", { type: "button", click: () => ((text.value = example), begin()) }, "The example");
  const again = make("button", { type: "button", click: () => take() }, "As notebook");
  const bar = make("progress", { max: 1, value: 0, "aria-label": "training" });
  bar.style.visibility = "hidden"; // but there, so that nothing jumps
  const told = make("p", { class: "told", role: "status" });
  describe(text, told);
  const cells = Object.fromEntries(
    Object.keys(programs).map((name) => [name, [make("td", {}, " "), make("td", {}, " ")]]),
  );
  const table = make(
    "table",
    {},
    make("caption", {}, "Error on the last fifth of the rows, as a share of the mean size of y"),
    make("thead", {}, make("tr", {}, ...["unit", "error", "found"].map((name) => make("th", { scope: "col" }, name)))),
    make(
      "tbody",
      {},
      ...Object.entries(cells).map(([name, own]) => make("tr", {}, make("th", { scope: "row" }, name), ...own)),
    ),
  );
  const plot = new Plot({
    width: 560,
    height: 260,
    name: "Nothing is drawn as yet.",
    x: { low: 0, high: 1, ticks: [], label: "x1" },
    y: { low: 0, high: 1, ticks: [], label: "y" },
  });
  const shade = drawn("rect", { class: "shade", y: plot.box.top, height: plot.box.height }, plot.back);
  const usual = drawn("path", { class: "curve missed" }, plot.front);
  const best = drawn("path", { class: "curve strong" }, plot.front);
  const names = ["named", "named missed", ""].map((kind, k) =>
    drawn("text", { class: kind, x: plot.box.left + 8, y: plot.box.top + 14 + 16 * k }, plot.front),
  );
  el.append(
    make("label", { class: "paste" }, make("span", {}, "x1, x2 and y"), text),
    make("div", { class: "buttons" }, train, stop, back, again),
    bar,
    told,
    table,
    plot.svg,
  );

  let asked = false; // whether the reader has, or this is what is shown first
  /** @type {{x: number[], y: number[], name: string, digest: number} | undefined} */
  let last;

  /** Train on what the text says, in the place of what runs. */
  function begin(first = false) {
    halt();
    asked ||= !first;
    last = undefined;
    again.disabled = true;
    for (const row of Object.values(cells)) for (const cell of row) cell.textContent = " ";
    for (const path of [usual, best]) path.setAttribute("d", "");
    for (const name of names) name.textContent = "";
    plot.svg.setAttribute("aria-label", "Nothing is drawn as yet.");
    const found = pasted(text.value);
    if ("problem" in found) {
      told.textContent = found.problem;
      text.setAttribute("aria-invalid", "true");
      return;
    }
    text.removeAttribute("aria-invalid");
    told.textContent = "Training …";
    const { rows } = found;
    const parts = parted(rows);
    const signs = rows.some(([x1, x2]) => x1 < 0 || x2 < 0);
    const size = rows.reduce((sum, row) => sum + Math.abs(row[2]), 0) / rows.length;
    const xs = frame(rows);
    const other = middle(rows.map((row) => row[1]));
    /** @type {Finding[]} */
    const findings = [];
    /** @type {Record<string, Report>} */
    const reports = {};
    el.setAttribute("aria-busy", "true");
    stop.disabled = false;
    trainer.run({ parts, points: xs.flatMap((x) => [x, other]), steps, seeds }, (report) => {
      bar.value = report.done;
      bar.style.visibility = report.over ? "hidden" : "visible";
      if (!report.parameters) return;
      reports[report.name] = report;
      const own = read(report, size, signs);
      findings.push(...own);
      const [error, formula] = cells[report.name];
      error.textContent = own.length ? percent(own[0].test) : "–";
      formula.textContent = own.length ? own[0].formula || "no formula to read off" : "no finite answer";
      if (report.over) end(findings, reports, parts, xs, other);
    });
  }

  /** The axes for these rows, and the x1 at which curves are drawn. @param {number[][]} rows */
  function frame(rows) {
    const x1 = rows.map((row) => row[0]);
    const y = rows.map((row) => row[2]);
    const [low, high, down, up] = [Math.min(...x1), Math.max(...x1), Math.min(...y), Math.max(...y)];
    const [left, right] = [low - BEYOND * (high - low), high + BEYOND * (high - low)];
    const [bottom, top] = [down - BEYOND * (up - down), up + BEYOND * (up - down)];
    plot.axes.x = { low: left, high: right, ticks: between(left, right), label: "x1" };
    plot.axes.y = { low: bottom, high: top, ticks: between(bottom, top), label: "y" };
    plot.axis();
    shade.setAttribute("x", String(plot.x(low)));
    shade.setAttribute("width", String(plot.x(high) - plot.x(low)));
    return Array.from({ length: POINTS }, (_, k) => left + ((right - left) * k) / (POINTS - 1));
  }

  /** What a model has found: as it is, and rounded. @param {Report} report @param {number} size of y @param {boolean} signs whether inputs are negative @returns {Finding[]} */
  function read({ name, found, rounded }, size, signs) {
    return [found, rounded].flatMap((each, k) =>
      each && Number.isFinite(each.validation) && Number.isFinite(each.test)
        ? {
            name,
            label: k ? `${name}, its weights rounded` : name,
            formula: (READINGS[name]?.formula(each.weights, signs) ?? "").replace(/^(?=.)/, "y = "),
            validation: each.validation / size,
            test: each.test / size,
          }
        : [],
    );
  }

  /** @param {Finding[]} findings @param {Record<string, Report>} reports @param {import("./learning.js").Rows[]} parts @param {number[]} xs @param {number} other */
  function end(findings, reports, parts, xs, other) {
    const first = chosen(findings, parts[1].y.length);
    stop.disabled = true;
    el.setAttribute("aria-busy", "false");
    if (!first) {
      told.textContent = "No network gives a finite answer on these rows: try smaller numbers.";
      return;
    }
    const plain = findings.find(({ label }) => label === first.name && label !== first.label);
    const { x, y } = parts[0];
    const by = first.formula
      ? `${first.formula}, found by ${first.label}`
      : `${first.name} is best, with no formula to read off`;
    const heard = `${by}. On rows that nothing was trained on or chosen by, the mean error is ${percent(first.test)} of the size of y.`;
    const same = plain?.formula === first.formula && percent(plain.test) === percent(first.test);
    const exact = plain && !same ? ` Unrounded: ${plain.formula}, with ${percent(plain.test)}.` : "";
    told.textContent = `${heard}${exact}`;
    names[0].textContent = first.name;
    names[2].textContent = `x2 = ${words(other)}; shaded: x1 in the data`;
    names[1].textContent = first.name === "MLP" ? "" : "MLP, a usual network";
    /** @param {SVGElement | Element} path @param {string} name */
    const draw = (path, name) =>
      path.setAttribute(
        "d",
        plot.path(xs, (k) => reports[name]?.curve?.[k] ?? NaN),
      );
    draw(best, first.name);
    draw(usual, first.name === "MLP" ? "" : "MLP");
    plot.svg.setAttribute("aria-label", `y over x1, from ${words(xs[0])} to ${words(xs[POINTS - 1])}. ${heard}`);
    last = { x, y, name: first.name, digest: /** @type {number} */ (reports[first.name].digest) };
    again.disabled = false;
    if (!asked) return;
    const trained = Object.entries(reports).map(([name, { parameters }]) => [
      name,
      new DataView(/** @type {Float32Array} */ (parameters).buffer),
    ]);
    model.set("trained", Object.fromEntries(trained));
    model.save_changes();
  }

  /** What runs, ends. @param {string} [words] that say so */
  function halt(words) {
    if (words && el.getAttribute("aria-busy") === "true") told.textContent = words;
    trainer.stop();
    bar.style.visibility = "hidden";
    stop.disabled = true;
    el.setAttribute("aria-busy", "false");
  }

  /** Hand over a notebook that trains the best model again. */
  function take() {
    if (!last) return;
    const { x, y, name, digest } = last;
    const rows = y.map((value, k) => [x[2 * k], x[2 * k + 1], value]);
    download(`${name}.ipynb`, notebook(filled(model.get("code"), { name, steps, digest, rows: literal(rows) })));
  }

  begin(true);
  return () => trainer.close();
}

export default { render: shown(view) };
