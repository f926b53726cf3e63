// A NALU whose weights the reader sets; gradient descent takes over from where the hand has left them.
import { Surface } from "./surface.js";
import { Plot, drawn, words } from "./plot.js";
import { Trainer, bytes, describe, make, remember, remembered, shown, slider } from "./page.js";

/** @typedef {import("./page.js").Model} Model */
/** @typedef {import("./worker.js").Report} Report */

const NAME = "by-hand";
const POINTS = 201; // of the curve
const LIMIT = 1e6; // of the reader's numbers: their product is far from the largest float32
const CAREFUL = 40; // descent is shown step by step at first, and then by so many parts of what is done

/** @type {Record<string, (a: number, b: number) => number>} */
export const FUNCTIONS = {
  "a + b": (a, b) => a + b,
  "a - b": (a, b) => a - b,
  "a * b": (a, b) => a * b,
  "a / b": (a, b) => a / b,
  "a ^ 2": (a) => a * a,
  "sqrt(a)": (a) => Math.sqrt(a),
};

/** Where a weight's slider stops: close to each other near 0, where the weight W changes. */
const STOPS = (() => {
  const right = [0];
  while (right[right.length - 1] < 20) {
    const last = right[right.length - 1];
    right.push(Math.round(10 * (last + (last < 3 ? 0.1 : last < 10 ? 0.5 : 1))) / 10);
  }
  return [...right.slice(1).reverse(), ...right.map((stop) => -stop)].map((stop) => -stop);
})();

/** The stop that is nearest to a weight. @param {number} weight */
function nearest(weight) {
  return STOPS.reduce((best, stop, k) => (Math.abs(stop - weight) < Math.abs(STOPS[best] - weight) ? k : best), 0);
}

/** A number that a reader wrote; in words what is wrong with it, else. @param {string} name @param {string} text @returns {number | string} */
export function read(name, text) {
  const plain = text.trim().replace("−", "-");
  const got = plain.length > 20 ? `${plain.slice(0, 20)}…` : plain;
  if (!plain) return `${name}: expected a number, such as 2.5, and got none.`;
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain))
    return `${name}: expected a number, such as 2.5, got “${got}”.`;
  if (Math.abs(Number(plain)) <= LIMIT) return Number(plain);
  const most = LIMIT.toLocaleString("en");
  return `${name}: expected a number from −${most} to ${most}, got “${got}”.`;
}

/** An axis with whole ticks around these values, and some room. @param {number[]} values @param {string} label */
export function around(values, label) {
  const known = values.filter(Number.isFinite);
  const [least, most] = known.length ? [Math.min(...known), Math.max(...known)] : [-1, 1];
  const room = (most - least || Math.abs(most) || 1) / 5;
  const [low, high] = [least - room, most + room];
  const size = 10 ** Math.floor(Math.log10((high - low) / 4));
  const step = /** @type {number} */ ([1, 2, 5, 10].map((k) => k * size).find((each) => (high - low) / each <= 6));
  const ticks = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) ticks.push(k * step);
  return { low, high, ticks, label };
}

/** @param {Model} model @param {HTMLElement} el */
function view(model, el) {
  el.classList.add("by-hand");
  const given = model.get("program");
  const program = {
    layout: given.layout,
    wasm: bytes(given.wasm),
    state: bytes(given.state),
    numbers: bytes(given.numbers),
  };
  const { lanes, outputs, parameters: count, steps: most } = program.layout;
  const [low, high, far] = ["low", "high", "far"].map((name) => model.get(name));
  /** @type {string[]} */
  const names = model.get("names");
  /** @type {Record<string, number[]>} */
  const batches = model.get("batches");
  /** @type {Record<string, number[]>} */
  const right = model.get("right");
  const goals = Object.keys(batches);
  const xs = Array.from({ length: POINTS }, (_, k) => -far + (2 * far * k) / (POINTS - 1));
  const trainer = new Trainer([{ name: "unit", program }], WORKER, failed);

  /** @type {Float32Array} */
  let weights = new Float32Array(bytes(model.get("weights")).slice().buffer);
  let mine = weights; // as the hand left them
  let [a, b] = [3, 4];
  let done = 0;
  let note = ""; // what is to be told of the last move
  let wrong = ""; // and of the reader's numbers
  let ready = false; // whether the worker has these weights
  let playing = false;
  let asked = false; // whether the reader has, or this is what is shown first
  /** @type {Float32Array[]} */
  let path = [weights];

  const goal = make("select", { "aria-label": "goal", change: () => moved() });
  for (const name of goals) goal.append(make("option", {}, name));
  const fields = ["a", "b"].map((name) => {
    const box = make("input", { type: "text", inputmode: "decimal", autocomplete: "off", "aria-label": name });
    box.addEventListener("input", () => typed());
    return box;
  });
  const sliders = names.map((name, k) =>
    slider(name, {
      min: 0,
      max: STOPS.length - 1,
      value: nearest(weights[k]),
      read: (stop) => words(stop === nearest(weights[k]) ? weights[k] : STOPS[stop]), // descent ends between stops
      moved: () => set(new Map([[k, STOPS[sliders[k].value]]])),
    }),
  );
  const exact = make("button", { type: "button", click: () => solve() }, "Set it right");
  const play = make("button", { type: "button", click: () => (playing ? halt() : descend()) }, "Let it descend");
  const once = make("button", { type: "button", click: () => (halt(), further(1)) }, "One step");
  const back = make("button", { type: "button", click: () => put(mine) }, "Back to my weights");
  const told = make("p", { class: "told", role: "status" });
  const inside = make("p", { class: "inside" });
  for (const box of fields) describe(box, told);

  const curve = new Plot({
    width: 560,
    height: 250,
    name: "Its answers over a.",
    x: { low: -far, high: far, ticks: [-far, 0, low, high, far].filter((tick) => tick !== low), label: "a" },
    y: around([-1, 1], ""),
  });
  drawn(
    "rect",
    {
      class: "shade",
      x: curve.x(low),
      width: curve.x(high) - curve.x(low),
      y: curve.box.top,
      height: curve.box.height,
    },
    curve.back,
  );
  const truth = drawn("path", { class: "right" }, curve.front);
  const line = drawn("path", { class: "curve strong" }, curve.front);
  const dot = drawn("circle", { class: "dot", r: 4 }, curve.front);
  const surface = new Surface(program, WORKER, names, {
    failed,
    turned: () => (map(), kept()),
    picked: (chosen) => set(chosen),
  });
  const form = make(
    "div",
    { class: "form weights" },
    make("label", { class: "choice" }, make("span", {}, "goal"), goal),
    make("div", { class: "pair" }, ...fields.map((box, k) => make("label", {}, make("span", {}, "ab"[k]), box))),
    ...sliders.map((each) => each.element),
    make("div", { class: "buttons" }, exact, play, once, back),
  );
  el.append(form, inside, told, curve.svg, surface.element);

  /** @param {string} why */
  function failed(why) {
    halt();
    told.textContent = `The training failed: ${why}.`;
    el.setAttribute("aria-busy", "false");
  }

  /** What is asked of the unit: the curve's points, and the reader's last. */
  function points() {
    return [...xs.flatMap((x) => [x, b]), a, b];
  }

  /** These weights are the reader's from now on. @param {Float32Array} to @param {string} [why] */
  function put(to, why = "") {
    halt();
    weights = mine = to;
    path = [to];
    note = why;
    asked = true;
    evaluate();
  }

  /** Other values for some weights, by their numbers. @param {Map<number, number>} chosen */
  function set(chosen) {
    put(weights.map((weight, k) => chosen.get(k) ?? weight));
  }

  /** Another goal: what was learned for the one before is the start for this one. */
  function moved() {
    scale();
    put(weights);
  }

  function solve() {
    const why = `No weight can be 2, so one NALU cannot square: these multiply, which is right where b is a.`;
    put(new Float32Array(right[goal.value]), goal.value === "a ^ 2" ? why : "");
  }

  function typed() {
    const found = fields.map((box, k) => read("ab"[k], box.value));
    fields.forEach((box, k) => box.setAttribute("aria-invalid", String(typeof found[k] === "string")));
    wrong = /** @type {string} */ (found.find((each) => typeof each === "string") ?? "");
    if (wrong) {
      halt();
      told.textContent = wrong;
      return;
    }
    [a, b] = /** @type {number[]} */ (found);
    asked = true;
    note = "";
    scale();
    if (!playing) ask({ further: true, steps: 0 });
  }

  /** The answers at the weights as they are, before any step. */
  function evaluate() {
    done = 0;
    ask({ networks: weights, steps: 0 });
  }

  /** @param {{networks?: Float32Array, further?: boolean, steps: number}} what */
  function ask(what) {
    el.setAttribute("aria-busy", "true");
    // Before the first answer there is nothing to go on from.
    const from = ready ? what : { networks: weights, steps: what.steps };
    trainer.run({ name: "unit", batch: batches[goal.value], points: points(), ...from }, show);
  }

  function descend() {
    playing = true;
    play.textContent = "Pause";
    told.setAttribute("aria-live", "off"); // else each frame is read out
    further(1);
  }

  /** So many steps more than were done. @param {number} steps */
  function further(steps) {
    asked = true;
    note = "";
    if (done < most) return ask({ further: true, steps });
    halt();
    note = `That is all: ${words(most)} steps. Move a weight, and it can go on.`;
    ask({ further: true, steps: 0 });
  }

  function halt() {
    if (!playing) return;
    playing = false;
    play.textContent = "Let it descend";
    told.setAttribute("aria-live", "polite");
    requestAnimationFrame(() => (told.textContent += "")); // written again, so that the end is read out
    kept();
  }

  /** The axis of the answers, and the right ones; they depend on the goal and on b alone. */
  function scale() {
    const own = FUNCTIONS[goal.value];
    const exact = xs.map((x) => own(x, b));
    const name = { "a ^ 2": "a²", "sqrt(a)": "√a" }[goal.value] ?? goal.value.replace("*", "·").replace("-", "−");
    curve.axes.y = around(exact, name);
    curve.axes.x.label = goal.value.includes("b") ? `a, where b is ${words(b)}` : `a (b is ${words(b)})`;
    curve.axis();
    truth.setAttribute(
      "d",
      curve.path(xs, (k) => exact[k]),
    );
  }

  /** @param {Report} report */
  function show(report) {
    const { parameters } = report;
    if (!parameters) return;
    const now = Float32Array.from({ length: count }, (_, row) => parameters[row * lanes]);
    const stuck =
      report.losses.length > 0 && now.every(Number.isFinite) && now.every((weight, k) => Object.is(weight, weights[k]));
    ready = true;
    weights = now;
    done = report.done;
    if (report.losses.length) path.push(now);
    sliders.forEach((each, k) => (each.value = nearest(now[k])));

    const answers = (/** @type {number} */ point) =>
      Array.from({ length: outputs }, (_, k) => report.answers[(point * outputs + k) * lanes]);
    line.setAttribute(
      "d",
      curve.path(xs, (k) => answers(k)[0]),
    );
    const [y, gate, added, multiplied, first, second] = answers(POINTS);
    const [x, at] = [curve.x(a), curve.y(y)];
    dot.setAttribute("visibility", Number.isFinite(x + at) && Math.abs(at) < 1e4 ? "visible" : "hidden");
    dot.setAttribute(
      "transform",
      `translate(${Number.isFinite(x + at) ? `${x} ${Math.max(-1e4, Math.min(1e4, at))}` : "0 0"})`,
    );

    const exact = FUNCTIONS[goal.value](a, b);
    const judged = Number.isFinite(exact) ? `right is ${words(exact)}` : "there is no right answer";
    const answer = `Asked for ${goal.value} where a is ${words(a)} and b is ${words(b)}, it answers ${words(y)}; ${judged}.`;
    inside.textContent = `The weight W is ${words(first)} for a and ${words(second)} for b. The gate is ${words(gate)}, between ${words(added)} from adding (1) and ${words(multiplied)} from multiplying (0).`;
    if (stuck) {
      halt();
      note =
        report.losses[0] === 0
          ? "It makes no mistake: nothing moves."
          : "Stuck: the gradients are 0, or too small to move a weight.";
    }
    const steps = done ? `After ${words(done)} ${done === 1 ? "step" : "steps"} of descent. ` : "";
    told.textContent = wrong || `${answer} ${steps}${note}`;
    curve.svg.setAttribute("aria-label", `What it answers for a from ${words(-far)} to ${words(far)}. ${answer}`);
    el.dataset.digest = String(report.digest);
    el.setAttribute("aria-busy", "false");
    map();
    if (playing) requestAnimationFrame(() => playing && further(1 + Math.round(done / CAREFUL)));
    else kept();
  }

  function map() {
    surface.show(batches[goal.value], weights, path);
  }

  /** Let Python have the weights, and the address the settings. */
  function kept() {
    if (!asked) return;
    const now = { goal: goal.value, a, b, across: surface.across, along: surface.along };
    remember(NAME, { ...now, weights: [...weights].map((each) => Number(each.toPrecision(9))).join(" ") });
    model.set("settings", { ...now, steps: done });
    model.set("weights", new DataView(weights.slice().buffer));
    model.save_changes();
  }

  /** @param {Record<string, any>} to */
  function arrange(to) {
    goal.value = to.goal;
    [a, b] = [to.a, to.b];
    wrong = note = "";
    fields.forEach((box, k) => {
      box.value = String([a, b][k]);
      box.setAttribute("aria-invalid", "false");
    });
    surface.turn(to.across, to.along);
    scale();
  }

  /** Put the controls to what the address says, if it does. */
  function taken() {
    const to = remembered(NAME);
    const found = ["a", "b"].map((name) => read(name, to[name] ?? ""));
    const [across, along] = [to.across, to.along].map(Number);
    const own = (to.weights ?? "").split(" ").map(Number);
    const known = goals.includes(to.goal) && names[across] && names[along] && across !== along;
    if (!known || found.some((each) => typeof each === "string")) return false;
    if (own.length !== count || !own.every((each) => Math.abs(each) <= LIMIT)) return false;
    arrange({ goal: to.goal, a: found[0], b: found[1], across, along });
    weights = mine = new Float32Array(own);
    path = [weights];
    return true;
  }
  const followed = () => taken() && (halt(), evaluate());

  arrange(model.get("settings"));
  if (taken()) requestAnimationFrame(() => el.scrollIntoView());
  addEventListener("hashchange", followed);
  evaluate();
  return () => {
    halt();
    removeEventListener("hashchange", followed);
    trainer.close();
    surface.close();
  };
}

export default { render: shown(view) };
