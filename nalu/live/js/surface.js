// The loss over two of a network's weights, where the others stay as they are, and a path over it.
import { Plot, drawn, words } from "./plot.js";
import { Trainer, make } from "./page.js";

/** @typedef {import("./kernel.js").Program} Program */

const SIDE = 61; // weights on either axis
const REACHES = [6, 21, 50, 110]; // how far the axes go: to the first that holds the path
const BANDS = 14; // colours from the least loss of a map to its greatest, evenly spaced in the loss's logarithm
const DEPTH = 1e-7; // parts of the greatest below which losses are not told apart
// Five colours of viridis (Smith, van der Walt 2015), from dark to light.
const COLOURS = [
  [68, 1, 84],
  [59, 82, 139],
  [33, 145, 140],
  [94, 201, 98],
  [253, 231, 37],
];

/** The colour of a loss on a map with losses from low to high; grey where it is no number. @param {number} loss @param {number} low @param {number} high */
export function colour(loss, low, high) {
  if (Number.isNaN(loss)) return [128, 128, 128];
  const share = high > low ? Math.log(Math.max(loss, low) / low) / Math.log(high / low) : 0;
  const at = (Math.min(BANDS - 1, Math.floor(BANDS * share)) / (BANDS - 1)) * (COLOURS.length - 1);
  const [first, second] = [COLOURS[Math.floor(at)], COLOURS[Math.ceil(at)]];
  return first.map((part, k) => Math.round(part + (second[k] - part) * (at % 1)));
}

/** From where to where colours go, for these losses. @param {Float32Array} losses */
export function span(losses) {
  const known = losses.filter(Number.isFinite);
  if (!known.length) return [1, 1];
  const high = known.reduce((most, loss) => Math.max(most, loss), 1e-30);
  return [
    Math.max(
      known.reduce((least, loss) => Math.min(least, loss)),
      high * DEPTH,
    ),
    high,
  ];
}

/**
 * The networks of a map, one after the other, by rows from below: two parameters vary between -reach and reach.
 * @param {Float32Array} weights @param {number} across @param {number} along @param {number} reach @param {number} side
 */
export function grid(weights, across, along, reach, side = SIDE) {
  const networks = new Float32Array(side * side * weights.length);
  const value = (/** @type {number} */ k) => -reach + (2 * reach * k) / (side - 1);
  for (let k = 0; k < side * side; k++) {
    const own = networks.subarray(k * weights.length, (k + 1) * weights.length);
    own.set(weights);
    own[across] = value(k % side);
    own[along] = value(Math.floor(k / side));
  }
  return networks;
}

export class Surface {
  /**
   * @param {Program} program @param {string} source of the worker @param {string[]} names of the weights
   * @param {{failed: (why: string) => void, turned: () => void, picked: (chosen: Map<number, number>) => void}} heard
   */
  constructor(program, source, names, { failed, turned, picked }) {
    this.trainer = new Trainer([{ name: "map", program }], source, (why) => {
      this.busy = false;
      failed(why);
    });
    this.names = names;
    this.across = 0;
    this.along = 1;
    this.busy = false;
    /** @type {(() => void) | undefined} */
    this.next = undefined;
    this.choices = ["across", "up"].map((name) => {
      const choice = make(
        "select",
        { "aria-label": `map ${name}` },
        ...names.map((each, k) => make("option", { value: k }, each)),
      );
      choice.addEventListener("change", () => (this.chosen(), turned()));
      return choice;
    });
    this.plot = new Plot({
      width: 560,
      height: 300,
      name: "The loss over two weights.",
      x: this.axis(6, 0),
      y: this.axis(6, 1),
    });
    this.plot.box.width -= 70; // for the colours' names
    const { left, top, width, height } = this.plot.box;
    this.image = drawn("image", { x: left, y: top, width, height, preserveAspectRatio: "none" }, this.plot.front);
    this.halo = drawn("path", { class: "halo" }, this.plot.front);
    this.line = drawn("path", { class: "way" }, this.plot.front);
    this.dot = drawn("circle", { class: "here", r: 5 }, this.plot.front);
    this.canvas = make("canvas", { width: SIDE, height: SIDE });
    this.said = make("p", { class: "said" });
    this.ticks = this.legend();
    this.plot.svg.addEventListener("click", (event) => {
      const chosen = this.under(event);
      if (chosen.size) picked(chosen);
    });
    const labels = this.choices.map((choice, k) =>
      make("label", {}, make("span", {}, ["map across", "map up"][k]), choice),
    );
    this.element = make(
      "div",
      { class: "surface" },
      make("div", { class: "form" }, ...labels),
      this.plot.svg,
      this.said,
    );
  }

  /** @param {number} reach @param {number} weight */
  axis(reach, weight) {
    const whole = Math.floor(reach / 2 / 5) * 5 || reach / 2;
    return { low: -reach, high: reach, ticks: [-2 * whole, -whole, 0, whole, 2 * whole], label: this.names[weight] };
  }

  /** The colours and, empty as yet, the losses that some of them stand for. */
  legend() {
    const { left, top, width, height } = this.plot.box;
    const at = left + width + 14;
    for (let band = 0; band < BANDS; band++) {
      const fill = `rgb(${colour(10 ** (band + 0.5), 1, 10 ** BANDS)})`;
      const y = top + height * (1 - (band + 1) / BANDS);
      drawn("rect", { x: at, y, width: 12, height: height / BANDS + 0.5, fill }, this.plot.back);
    }
    const write = (/** @type {number} */ y, /** @type {string} */ text) => {
      const name = drawn("text", { x: at + 17, y }, this.plot.back);
      name.textContent = text;
      return name;
    };
    write(top + height * 0.25 + 4, "loss");
    return [0, 0.5, 1].map((share) => write(top + height * (1 - share) + 4 + 4 * share, ""));
  }

  /** @param {number} across @param {number} along */
  turn(across, along) {
    [this.across, this.along] = [across, along];
    this.choices[0].value = String(across);
    this.choices[1].value = String(along);
  }

  /** What was chosen anew pushes the other to where it was itself, if both are the same. */
  chosen() {
    const [across, along] = this.choices.map((choice) => Number(choice.value));
    if (across !== along) this.turn(across, along);
    else this.turn(this.along, this.across);
  }

  /** The weights under the pointer. @param {MouseEvent} event */
  under(event) {
    const frame = this.plot.svg.getBoundingClientRect();
    const { left, top, width, height } = this.plot.box;
    const scale = 560 / frame.width;
    const share = [
      ((event.clientX - frame.left) * scale - left) / width,
      1 - ((event.clientY - frame.top) * scale - top) / height,
    ];
    if (share.some((each) => each < 0 || each > 1)) return new Map();
    const values = share.map((each) => Math.round(10 * this.plot.axes.x.high * (2 * each - 1)) / 10);
    return new Map([
      [this.across, values[0]],
      [this.along, values[1]],
    ]);
  }

  /** Draw the losses around these weights, and the path to them; the last of many asked for meanwhile. @param {number[]} batch @param {Float32Array} weights @param {Float32Array[]} path */
  show(batch, weights, path) {
    if (this.busy) {
      this.next = () => this.show(batch, weights, path);
      return;
    }
    const { across, along } = this;
    const furthest = Math.max(...path.map((each) => Math.max(Math.abs(each[across]), Math.abs(each[along]))));
    const reach = REACHES.find((each) => furthest < each) ?? 1.1 * furthest;
    const way = path.slice();
    const networks = new Float32Array([...grid(weights, across, along, reach), ...weights]);
    this.busy = true;
    this.trainer.run({ name: "map", batch, points: [], steps: 0, survey: true, networks }, ({ losses }) => {
      this.plot.axes.x = this.axis(reach, across);
      this.plot.axes.y = this.axis(reach, along);
      this.plot.axis();
      this.draw(losses, way);
      this.busy = false;
      const next = this.next;
      this.next = undefined;
      next?.();
    });
  }

  /** @param {Float32Array} losses of the map, and of the network itself @param {Float32Array[]} path */
  draw(losses, path) {
    const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    const pixels = context.createImageData(SIDE, SIDE);
    const [low, high] = span(losses);
    for (let k = 0; k < SIDE * SIDE; k++) {
      const row = SIDE - 1 - Math.floor(k / SIDE);
      pixels.data.set([...colour(losses[k], low, high), 255], 4 * (row * SIDE + (k % SIDE)));
    }
    const least = losses.reduce((best, loss) => Math.min(best, Number.isNaN(loss) ? Infinity : loss), Infinity);
    this.ticks.forEach((tick, k) => (tick.textContent = words(Number((low * (high / low) ** (k / 2)).toPrecision(2)))));
    context.putImageData(pixels, 0, 0);
    this.image.setAttribute("href", this.canvas.toDataURL());
    const xs = path.map((each) => each[this.across]);
    const way = this.plot.path(xs, (k) => path[k][this.along]);
    this.halo.setAttribute("d", way);
    this.line.setAttribute("d", way);
    const last = path[path.length - 1];
    this.dot.setAttribute("transform", `translate(${this.plot.x(last[this.across])} ${this.plot.y(last[this.along])})`);
    const here = `The loss on its pairs is ${words(losses[SIDE * SIDE])}; the least on this map, where only two weights differ, is ${words(least)}.`;
    this.said.textContent = here;
    const [across, along] = [this.names[this.across], this.names[this.along]];
    this.plot.svg.setAttribute("aria-label", `The loss over ${across} and ${along}. ${here}`);
    this.element.dataset.loss = String(losses[SIDE * SIDE]);
  }

  close() {
    this.trainer.close();
  }
}
