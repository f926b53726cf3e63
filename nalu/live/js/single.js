// The Single Module Arithmetic Task: a unit, an operation, a range, and many seeds, trained and tested as by `nalu.benchmark`.
import { Kernel, digest, unpacked } from "./kernel.js";
import { Restarts } from "./restarts.js";

/** @typedef {import("./restarts.js").Rule} Rule */
/** @typedef {{low: number, high: number, beyond: [number, number][]}} Range */
/**
 * What is the same for all units, as nalu/live/single_module.py tells it.
 * @typedef {object} Task
 * @property {number} steps
 * @property {number} checkpoints
 * @property {string[]} operations
 * @property {Range[]} ranges
 * @property {Record<string, number[]>} thresholds of each operation and range
 * @property {number[]} seeds of the replicas
 * @property {number[]} data the seeds of what they train on
 * @property {[number, number]} tests the seeds of the points of interpolation and extrapolation
 * @property {number} points of each test
 */
/**
 * What lies where, for one operation; all but `numbers` in rows of sixteen lanes.
 * @typedef {object} Layout
 * @property {number} size bytes of its code
 * @property {number} lanes
 * @property {number} tile points that are tested together
 * @property {number} parameters
 * @property {number} state
 * @property {number[]} moments what the rest of the state starts from
 * @property {number} batch
 * @property {number} scratch
 * @property {string[]} numbers names of the columns that each step is told
 * @property {boolean} measured whether it has weights
 * @property {Rule | null} restart
 */
/**
 * @typedef {object} Row what became of a replica: see `nalu.experiments.benchmarking.Benchmark`
 * @property {number} seed
 * @property {boolean} success
 * @property {number} solved_at
 * @property {number} sparsity
 * @property {number} best_step
 * @property {number} interpolation
 * @property {number} extrapolation
 * @property {boolean} diverged
 */
/** @typedef {{step: number, interpolation: number, extrapolation: number, sparsity: number, diverged: boolean}} Check a replica at a checkpoint */

/** @typedef {{wasm: Uint8Array, starts: Uint8Array, fresh: Uint8Array, layouts: Layout[]}} Program a unit, packed by gzip */
/** @typedef {{task: Task, programs: Record<string, Program>, columns: Record<string, Uint8Array>}} Told all there is */
/** @typedef {{unit: string, operation: string, range: number, from: number, seeds: number}} Choice the places of a range and of the first seed, the number of seeds */
/** @typedef {{own: number[], left: boolean[], state: number, words: number, position: number, done: number, last: number}} Block the seeds of its lanes; addresses */

const AHEAD = 10; // steps whose data is drawn at once; replicas start anew at a multiple of it
const TWISTER = 624;

/** @type {Record<string, (a: number, b: number) => number>} */
const OPERATIONS = {
  "a + b": (a, b) => a + b,
  "a - b": (a, b) => a - b,
  "a * b": (a, b) => a * b,
  "a / b": (a, b) => a / b,
};

/** @param {Uint8Array} packed */
async function numbers(packed) {
  return new Float32Array(packed.length ? await unpacked(packed) : new ArrayBuffer(0));
}

/** The numbers of one lane. @param {Float32Array} rows @param {number} lane @param {number} lanes */
function column(rows, lane, lanes) {
  return Float32Array.from({ length: rows.length / lanes }, (_, k) => rows[k * lanes + lane]);
}

/** A run: up to sixteen replicas a block, all of which are looked at after the same steps. */
export class Run {
  /**
   * @param {WebAssembly.Exports} code
   * @param {Task} task
   * @param {Layout} layout
   * @param {Omit<Choice, "unit">} choice
   * @param {{starts: Float32Array, fresh: Float32Array, columns: Float32Array[]}} told
   */
  constructor(code, task, layout, { operation, range, from, seeds }, { starts, fresh, columns }) {
    this.kernel = new Kernel(code);
    this.task = task;
    this.layout = layout;
    this.from = from;
    this.seeds = seeds;
    const { lanes, state, batch, scratch, tile } = layout;
    const { low, high, beyond } = task.ranges[range];
    const width = columns.length + 2;
    const kernel = this.kernel;
    this.width = width;
    this.threshold = Math.fround(task.thresholds[operation][range]);
    this.told = kernel.room(task.steps * width);
    this.drawn = kernel.room(AHEAD * batch * lanes);
    this.lost = kernel.room(AHEAD * lanes);
    this.scratch = kernel.room(scratch * lanes);
    this.trial = kernel.room(state * lanes);
    this.out = kernel.room(tile * lanes);
    this.sums = kernel.room(2 * lanes);
    this.chosen = kernel.room(lanes);
    this.tests = [
      { low, high, beyond: [[low, high]] },
      { low, high, beyond },
    ].map(({ beyond: halves }, k) => ({
      x: kernel.room((task.points + tile) * 2),
      y: kernel.room(task.points),
      halves: /** @type {[number, number][]} */ (halves),
      seed: task.tests[k],
    }));
    this.blocks = Array.from({ length: Math.ceil(seeds / lanes) }, (_, k) => {
      const own = Array.from({ length: lanes }, (_, lane) => from + Math.min(seeds - 1, k * lanes + lane));
      const at = { state: kernel.room(state * lanes), words: kernel.room(TWISTER * lanes) };
      return {
        own,
        ...at,
        position: TWISTER,
        done: 0,
        last: this.drawn,
        left: own.map((seed, lane) => seed === from + k * lanes + lane),
      };
    });
    // From here on, the memory has its size.
    const steps = kernel.at(this.told, task.steps * width);
    for (let t = 0; t < task.steps; t++)
      for (let k = 0; k < width; k++)
        steps[t * width + k] = k < width - 2 ? columns[k][t] : k === width - 2 ? low : high;
    for (const test of this.tests) this.fill(test, OPERATIONS[operation]);
    const count = task.seeds.length;
    this.restarts = this.blocks.map(({ own }) =>
      layout.restart ? new Restarts(layout.restart, own, fresh, layout.parameters, count) : undefined,
    );
    this.blocks.forEach((block) => {
      const rows = kernel.at(block.state, state * lanes);
      block.own.forEach((seed, lane) => {
        for (let k = 0; k < state; k++)
          rows[k * lanes + lane] =
            k < layout.parameters ? starts[k * count + seed] : layout.moments[k - layout.parameters];
      });
      this.begin(block);
    });
    /** @type {Check[][]} */
    this.checks = Array.from({ length: seeds }, () => []);
    /** The parameters of those that are trained no more. @type {Record<number, Float32Array>} */
    this.kept = {};
  }

  /** @param {Told} told @param {Choice} choice @returns {Promise<Run>} */
  static async load({ task, programs, columns }, choice) {
    const { wasm, starts, fresh, layouts } = programs[choice.unit];
    const k = task.operations.indexOf(choice.operation);
    const first = layouts.slice(0, k).reduce((sum, { size }) => sum + size, 0);
    const code = (await unpacked(wasm)).slice(first, first + layouts[k].size);
    const { instance } = await WebAssembly.instantiate(code, {});
    const given = {
      starts: await numbers(starts),
      fresh: await numbers(fresh),
      columns: await Promise.all(layouts[k].numbers.map((name) => numbers(columns[name]))),
    };
    return new Run(instance.exports, task, layouts[k], choice, given);
  }

  /** @param {number} words @param {number[]} seeds */
  seed(words, seeds) {
    new Uint32Array(this.kernel.memory.buffer, this.chosen, seeds.length).set(seeds);
    this.kernel.code.seed(words, this.chosen);
  }

  /** Back to a block's first batch. @param {Block} block */
  begin(block) {
    this.seed(
      block.words,
      block.own.map((seed) => this.task.data[seed]),
    );
    block.position = TWISTER;
  }

  /** The batches of so many steps. @param {Block} block @param {number} steps */
  draw(block, steps) {
    block.position = this.kernel.code.uniform(block.words, block.position, this.drawn, steps * this.layout.batch);
  }

  /**
   * Test points, as `nalu.tasks.single_module.uniform` draws them.
   * @param {{x: number, y: number, halves: [number, number][], seed: number}} test @param {(a: number, b: number) => number} operation
   */
  fill({ x, y, halves, seed }, operation) {
    const { points } = this.task;
    const { lanes, tile } = this.layout;
    const state = this.blocks[0].words; // free as yet, as are the batches
    this.seed(state, Array(lanes).fill(seed));
    let position = TWISTER;
    const most = AHEAD * this.layout.batch;
    let [next, there] = [0, 0];
    const word = () => {
      if (next === there) {
        position = this.kernel.code.words(state, position, this.drawn, most);
        [next, there] = [0, most];
      }
      return new Uint32Array(this.kernel.memory.buffer, this.drawn + 4 * lanes * next++, 1)[0];
    };
    const shares = Array.from({ length: 2 * points }, () => ((word() & 0x1fffff) * 2 ** 32 + word()) / 2 ** 53); // 53 bits
    const inputs = this.kernel.at(x, 2 * (points + tile));
    shares.forEach((share, k) => {
      const [low, high] = halves[word() % halves.length];
      inputs[k] = low + (high - low) * share;
    });
    for (let k = 2 * points; k < inputs.length; k++) inputs[k] = inputs[k & 1];
    const targets = this.kernel.at(y, points);
    for (let k = 0; k < points; k++) targets[k] = operation(inputs[2 * k], inputs[2 * k + 1]);
  }

  /** Whether there is a replica that can still change. */
  get going() {
    return this.blocks.some(({ left }) => left.includes(true));
  }

  /** The steps after which all replicas are looked at. */
  get stops() {
    const { steps, checkpoints } = this.task;
    return [...new Set(Array.from({ length: checkpoints + 1 }, (_, k) => Math.round((steps * k) / checkpoints)))];
  }

  /** Train a block as far as a step, and look at it there. @param {number} k @param {number} stop */
  advance(k, stop) {
    const block = this.blocks[k];
    if (!block.left.includes(true)) return;
    const { lanes, parameters } = this.layout;
    if (stop === 0) {
      this.draw(block, 1); // to look at before the first step, which draws it again
      this.begin(block);
    }
    while (block.done < stop) {
      const steps = Math.min(AHEAD - (block.done % AHEAD), stop - block.done);
      this.draw(block, steps);
      const told = this.told + 4 * block.done * this.width;
      this.kernel.code.train(block.state, this.drawn, this.layout.batch, 0, 0, told, this.lost, this.scratch, steps);
      block.done += steps;
      block.last = this.drawn + 4 * (steps - 1) * this.layout.batch * lanes;
      this.restarts[k]?.look(
        block.done,
        this.kernel.at(this.lost, steps * lanes),
        this.kernel.at(block.state, parameters * lanes),
      );
    }
    this.check(block, stop);
  }

  /** @param {Block} block @param {number} step */
  check(block, step) {
    const { kernel, layout, task } = this;
    const { lanes, state, parameters } = layout;
    // A step on a copy tells the loss of the networks as they are now, on the last batch.
    kernel.at(this.trial, state * lanes).set(kernel.at(block.state, state * lanes));
    kernel.code.train(this.trial, block.last, 0, 0, 0, this.told, this.lost, this.scratch, 1);
    const losses = kernel.at(this.lost, lanes).slice();
    const rows = kernel.at(block.state, parameters * lanes);
    const errors = this.tests.map(({ x, y }) => {
      kernel.code.test_0(block.state, x, y, task.points, 1, this.out, this.scratch, this.sums);
      return [...new Float64Array(kernel.memory.buffer, this.sums, lanes)].map((sum) => Math.fround(sum / task.points));
    });
    if (layout.measured) kernel.code.measure_0(block.state, 0, 0, 0, 0, 0, this.out, this.scratch, 1);
    const sizes = kernel.at(this.out, lanes);
    block.own.forEach((seed, lane) => {
      if (!block.left[lane]) return;
      let finite = Number.isFinite(losses[lane]);
      for (let k = 0; k < parameters; k++) finite &&= Number.isFinite(rows[k * lanes + lane]);
      const [interpolation, extrapolation] = errors.map((each) => each[lane]);
      const sparsity = layout.measured ? sizes[lane] : NaN;
      this.checks[seed - this.from].push({ step, interpolation, extrapolation, sparsity, diverged: !finite });
      // No later checkpoint can change anything for one that is lost, or that has no error left.
      if ((!finite && !Number.isFinite(interpolation)) || interpolation === 0) {
        block.left[lane] = false;
        this.kept[seed - this.from] = column(rows, lane, lanes);
      }
    });
  }

  /** What became of each replica so far. @returns {Row[]} */
  rows() {
    return this.checks.map((checks, k) => {
      const sizes = checks.map(({ interpolation: size }) => (Number.isFinite(size) ? size : Infinity));
      const best = checks[sizes.indexOf(Math.min(...sizes))];
      const success = best.extrapolation < this.threshold;
      const first = checks.find(({ extrapolation }) => extrapolation < this.threshold);
      return {
        seed: this.task.seeds[this.from + k],
        success,
        solved_at: success && first ? first.step : NaN,
        sparsity: best.sparsity,
        best_step: best.step,
        interpolation: best.interpolation,
        extrapolation: best.extrapolation,
        diverged: checks[checks.length - 1].diverged,
      };
    });
  }

  /** The parameters as they are, or were when nothing could change any more, (parameters, seeds). */
  parameters() {
    const { lanes, parameters } = this.layout;
    const all = new Float32Array(parameters * this.seeds);
    this.blocks.forEach(({ own, state }) => {
      const rows = this.kernel.at(state, parameters * lanes);
      own.forEach((seed, lane) => {
        const place = seed - this.from;
        const found = this.kept[place] ?? column(rows, lane, lanes);
        found.forEach((number, k) => (all[k * this.seeds + place] = number));
      });
    });
    return all;
  }
}

/** As `row_digest` in nalu/live/single_module.py. @param {Row[]} rows */
export function rowDigest(rows) {
  const numbers = rows.flatMap((row) =>
    [
      Number(row.success),
      row.solved_at,
      row.sparsity,
      row.best_step,
      row.interpolation,
      row.extrapolation,
      Number(row.diverged),
    ].map(six),
  );
  return digest(new Float32Array(new Float64Array(numbers).buffer));
}

/** A number to six digits, as Python rounds it: where there are two as near, to the even one. @param {number} number */
export function six(number) {
  if (!Number.isFinite(number) || number === 0) return number;
  const seven = number.toPrecision(7);
  if (Number(seven) !== number || !/5(e|$)/.test(seven)) return Number(number.toPrecision(6));
  const [digits, power = "0"] = seven.split("e");
  const whole = BigInt(digits.replace(/[-.]/g, ""));
  const even = (whole / 10n) % 2n === 0n ? whole - 5n : whole + 5n;
  const places = (digits.split(".")[1] ?? "").length;
  return Number(`${number < 0 ? "-" : ""}${even}e${Number(power) - places}`);
}
