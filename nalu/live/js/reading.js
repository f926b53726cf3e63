// Chapter 6's networks read what one types: what they have added up after each word, and what is right.
import { Networks } from "./networks.js";
import { meaning, meanings, read, soFar, wording } from "./numbers.js";
import { bytes, make, remember, remembered, shown } from "./page.js";
import { Plot, drawn, words } from "./plot.js";

/** @typedef {import("./page.js").Model} Model */

const NAME = "reading";
const PAUSE = 400; // milliseconds without a key, after which the answer is told: else each letter is read out
const WIDTH = 560;
const HEIGHT = 300;
const ASLANT = 44; // more room for words that lie aslant, on a phone in large letters
const LEVEL = 5; // so many words have room side by side

/** @param {Model} model @param {HTMLElement} el */
function view(model, el) {
  el.classList.add("reading");
  /** @type {string[]} */
  const vocabulary = model.get("vocabulary");
  /** @type {Record<string, number[]>} */
  const sets = model.get("sets");
  const [largest, most] = [model.get("largest"), model.get("most")];
  const { wasm, state, layout } = model.get("program");
  const known = meanings(vocabulary, largest);
  /** @type {Networks | undefined} */
  let networks;
  /** @type {string[]} */
  let spoken = [];
  let timer = 0;

  const text = make("input", {
    type: "text",
    "aria-label": "number in words",
    autocomplete: "off",
    autocapitalize: "none",
    spellcheck: "false",
    enterkeyhint: "done",
    input: () => update(PAUSE),
  });
  const number = make("input", {
    type: "number",
    "aria-label": "number",
    min: 0,
    max: largest,
    step: 1,
    input: () => counted(),
  });
  const random = make(
    "button",
    { type: "button", click: () => put(wording(Math.floor(Math.random() * (largest + 1)), vocabulary)) },
    "Random number",
  );
  const shuffle = make("button", { type: "button", click: () => shuffled() }, "Shuffle the words");
  const keys = make("div", { class: "buttons" });
  for (const word of vocabulary)
    keys.append(make("button", { type: "button", click: () => put([...spoken, word]) }, word));
  keys.append(make("button", { type: "button", click: () => put(spoken.slice(0, -1)) }, "Remove the last word"));
  const told = make("p", { class: "told", role: "status" });
  const nothing = { low: 0, high: 1, ticks: [], label: "" };
  const plot = new Plot({ width: WIDTH, height: HEIGHT, name: "", x: { ...nothing }, y: { ...nothing } });
  const clip = /** @type {Element} */ (plot.svg.querySelector("clipPath rect"));
  const full = plot.box.height;
  const lines = Array.from({ length: layout.replicas }, () => drawn("path", { class: "curve" }, plot.front));
  lines[0].classList.add("own");
  plot.front.append(lines[0]); // above the others
  const right = drawn("path", { class: "right" }, plot.front);
  const table = make("table");
  const others = make("p", { class: "others" });
  el.append(
    make(
      "div",
      { class: "form" },
      make("label", { class: "text" }, make("span", {}, "in words"), text),
      make("label", { class: "number" }, make("span", {}, "number"), number),
      make("div", { class: "buttons" }, random, shuffle),
      make("details", { class: "keys" }, make("summary", {}, `The ${vocabulary.length} words`), keys),
    ),
    told,
    make(
      "p",
      { class: "legend" },
      "Added up after each word: the chosen network (thick), the others, the truth (dashed).",
    ),
    plot.svg,
    make("div", { class: "steps", tabindex: 0, role: "region", "aria-label": "word by word" }, table),
    others,
  );

  /** Say these words. @param {string[]} to */
  function put(to) {
    text.value = to.join(" ");
    update(0);
  }

  /** What is in the box for a number, in words. */
  function counted() {
    const value = number.valueAsNumber;
    if (Number.isInteger(value) && value >= 0 && value <= largest) {
      text.value = wording(value, vocabulary).join(" ");
      update(PAUSE);
    } else if (number.value || number.validity.badInput) {
      text.value = "";
      clear();
      tell(`The networks know whole numbers from 0 to ${largest}; this is none.`, PAUSE);
    }
  }

  /** The same words in another order. */
  function shuffled() {
    if (new Set(spoken).size < 2) return tell("To shuffle takes two words that differ.", 0);
    let other = spoken;
    while (other.join() === spoken.join())
      other = spoken
        .map((word) => ({ word, at: Math.random() }))
        .sort((a, b) => a.at - b.at)
        .map(({ word }) => word);
    put(other);
  }

  /** Read what is typed. @param {number} wait milliseconds until it is told */
  function update(wait, asked = true) {
    if (!networks) return; // yet
    const sentence = read(text.value, vocabulary, { largest, most });
    if (typeof sentence === "string") {
      clear();
      if (document.activeElement !== number) number.value = "";
      return tell(sentence, wait);
    }
    spoken = sentence.words;
    const tokens = spoken.map((word) => 1 + vocabulary.indexOf(word));
    const answers = networks.answers(spoken.map((_, k) => tokens.slice(0, k + 1)));
    const truth = spoken.map((_, k) => soFar(spoken, k + 1, known));
    if (document.activeElement !== number) number.value = String(known.get(spoken.join(" ")) ?? "");
    draw(answers, truth);
    list(answers, truth);
    const open = sentence.open && ` “${sentence.open}” is left out, for it is no whole word.`;
    tell(outcome([...answers[answers.length - 1]]) + open, wait);
    if (!asked) return;
    remember(NAME, { words: spoken.join(" ") });
    model.set("words", spoken.join(" "));
    model.save_changes();
  }

  /** Nothing is read. */
  function clear() {
    spoken = [];
    for (const line of [right, ...lines]) line.setAttribute("d", "");
    plot.axis();
    plot.svg.setAttribute("aria-label", "Nothing to read.");
    table.replaceChildren();
    others.textContent = "";
  }

  /** @param {string} sentence @param {number} wait */
  function tell(sentence, wait) {
    clearTimeout(timer);
    el.setAttribute("aria-busy", "true");
    const now = () => {
      told.textContent = sentence;
      el.setAttribute("aria-busy", "false");
    };
    if (wait) timer = setTimeout(now, wait);
    else now();
  }

  /** What comes of it, in words. @param {number[]} ends each network's answer */
  function outcome(ends) {
    const sentence = spoken.join(" ");
    const value = meaning(sentence, known);
    const own = `The chosen network answers ${figure(ends[0])}`;
    const many = ends.length > 1;
    if (value === undefined) {
      const sorted = ends.filter(Number.isFinite).sort((a, b) => a - b);
      const [least, middle, greatest] = [0, sorted.length >> 1, sorted.length - 1].map((k) => figure(sorted[k]));
      const spread = `; the ${sorted.length} networks answer ${least} to ${greatest}, the middle one ${middle}`;
      return `“${sentence}” is no number. ${own}${many ? spread : ""}.`;
    }
    const close = ends.map((end) => Math.abs(end - value) < 0.5);
    const others = `; ${close.filter(Boolean).length} of ${ends.length} networks are right`;
    const shown = known.has(sentence) ? part(value) : "but the networks were always shown it with an “and”";
    const after = `which is ${close[0] ? "right" : "wrong"} after rounding${many ? others : ""}`;
    return `“${sentence}” is ${value}, ${shown}. ${own}, ${after}.`;
  }

  /** Which of the sets a number is of. @param {number} value */
  function part(value) {
    if (sets.training.includes(value))
      return `one of the ${sets.training.length} numbers that the networks were trained on`;
    if (sets.validation.includes(value))
      return `one of the ${sets.validation.length} numbers by which the network was chosen`;
    return "a test number, which no network was shown";
  }

  /** @param {Float32Array[]} answers @param {(number | undefined)[]} truth */
  function draw(answers, truth) {
    const own = answers.map((row) => row[0]);
    const values = [0, ...own, ...truth.filter((value) => value !== undefined)].filter(Number.isFinite);
    const { low, high, ticks } = scale(Math.min(...values), Math.max(...values));
    const aslant = spoken.length > LEVEL;
    plot.box.height = full - (aslant ? ASLANT : 0);
    clip.setAttribute("height", String(plot.box.height));
    plot.axes.x.high = spoken.length;
    plot.axes.y = { ...nothing, low, high };
    plot.axis();
    for (const tick of ticks) plot.write(plot.box.left - 6, plot.y(tick) + 4, short(tick), "end");
    const floor = plot.box.top + plot.box.height + 18;
    spoken.forEach((word, k) => {
      const x = plot.x(k + 0.5);
      const label = plot.write(x, floor, word, aslant ? "end" : "middle");
      if (aslant) label.setAttribute("transform", `rotate(-40 ${x} ${floor})`);
    });
    // A step for each word: its two ends.
    const ends = spoken.flatMap((_, k) => [k, k + 1]);
    lines.forEach((line, r) =>
      line.setAttribute(
        "d",
        plot.path(ends, (k) => answers[k >> 1][r]),
      ),
    );
    right.setAttribute(
      "d",
      plot.path(ends, (k) => truth[k >> 1] ?? NaN),
    );
    const each = spoken.map((word, k) => `${word} ${figure(own[k])}`).join(", ");
    plot.svg.setAttribute("aria-label", `What the chosen network has added up after each word: ${each}.`);
  }

  /** @param {Float32Array[]} answers @param {(number | undefined)[]} truth */
  function list(answers, truth) {
    const own = answers.map((row) => row[0]);
    /** @param {string} name @param {(k: number) => string} cell @param {"th" | "td"} kind */
    const row = (name, cell, kind = "td") =>
      make(
        "tr",
        {},
        make("th", { scope: "row" }, name),
        ...spoken.map((_, k) => make(kind, kind === "th" ? { scope: "col" } : {}, cell(k))),
      );
    table.replaceChildren(
      row("word", (k) => spoken[k], "th"),
      row("adds", (k) => figure(own[k] - (k ? own[k - 1] : 0))),
      row("so far", (k) => figure(own[k])),
      row("right", (k) => String(truth[k] ?? "–")),
    );
    const ends = [...answers[answers.length - 1]].map(figure);
    others.replaceChildren(
      "All answers, the chosen network’s first: ",
      make("b", {}, ends[0]),
      ...ends.slice(1).map((end) => ` ${end}`),
    );
  }

  /** Say what the address says, if it does. */
  function taken() {
    const given = remembered(NAME).words;
    if (given !== undefined) text.value = given;
    return given !== undefined;
  }
  const followed = () => taken() && update(0);

  text.value = model.get("words");
  if (taken()) requestAnimationFrame(() => el.scrollIntoView());
  addEventListener("hashchange", followed);
  el.setAttribute("aria-busy", "true");
  Networks.load({ wasm: bytes(wasm), state: bytes(state), layout }).then(
    (loaded) => {
      networks = loaded;
      update(0, false);
    },
    (error) => tell(`The networks could not be started: ${error}.`, 0),
  );
  return () => {
    clearTimeout(timer);
    removeEventListener("hashchange", followed);
  };
}

/** An answer as one reads it, or that there is none. @param {number} value */
function figure(value) {
  if (!Number.isFinite(value)) return "no number";
  return Math.abs(value) < 1000
    ? value
        .toFixed(2)
        .replace(/^-(?=0\.00$)/, "")
        .replace("-", "−")
    : words(value);
}

/** A number on the axis, where five digits have no room. @param {number} value */
function short(value) {
  const compact = Math.abs(value) >= 1e4;
  return compact ? value.toLocaleString("en", { notation: "compact" }).replace("-", "−") : words(value);
}

/** An axis that holds two numbers, with round ticks. @param {number} least @param {number} greatest */
function scale(least, greatest) {
  const span = Math.max(greatest - least, 1);
  const power = 10 ** Math.floor(Math.log10(span / 4));
  const step = power * /** @type {number} */ ([1, 2, 5, 10].find((factor) => 5 * factor * power >= span));
  const [low, high] = [least - 0.05 * span, greatest + 0.08 * span];
  const ticks = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) ticks.push(k * step);
  return { low, high, ticks };
}

export default { render: shown(view) };
