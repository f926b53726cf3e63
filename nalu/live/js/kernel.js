// Networks that train in WebAssembly: sixteen at a time, each in a lane of its own, with the bits of `nalu.fit`.

/**
 * What lies where, as nalu/live/programs.py tells it; what is in memory counts rows of sixteen lanes.
 * @typedef {object} Layout
 * @property {number} lanes
 * @property {number} tile points whose outputs are computed together
 * @property {number} replicas lanes that hold a network of their own
 * @property {number} parameters rows of the state that are parameters; moments follow
 * @property {number} state
 * @property {number} batch
 * @property {number} scratch
 * @property {number} numbers how many each step is told
 * @property {number} inputs numbers of a point
 * @property {number} outputs numbers that a network answers at a point
 * @property {number} steps the most that can be trained
 */

/** @typedef {{wasm: Uint8Array, state: Uint8Array, numbers: Uint8Array, layout: Layout}} Program packed by gzip */

const PAGE = 65536;
const LONG = 100; // steps of one call: where there is something to see or to stop, it is seen that soon

/** @param {Uint8Array} packed @returns {Promise<ArrayBuffer>} */
export function unpacked(packed) {
  const stream = new Blob([/** @type {BlobPart} */ (packed)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/** A model's functions, and their memory. */
export class Kernel {
  /** @param {WebAssembly.Exports} code */
  constructor(code) {
    this.code = /** @type {Record<string, any>} */ (code);
    this.memory = /** @type {WebAssembly.Memory} */ (this.code.memory);
    this.free = /** @type {WebAssembly.Global} */ (this.code.__heap_base).value;
  }

  /** Room for so many numbers of four bytes, where a vector may lie: its address. @param {number} count */
  room(count) {
    const at = (this.free + 63) & ~63;
    this.free = at + 4 * count;
    const missing = Math.ceil((this.free - this.memory.buffer.byteLength) / PAGE);
    if (missing > 0) this.memory.grow(missing);
    return at;
  }

  /** The numbers at an address; good until there is more room. @param {number} at @param {number} count */
  at(at, count) {
    return new Float32Array(this.memory.buffer, at, count);
  }
}

/** Networks in training; they learn one batch, the same for all and in each step, where nothing else says so. */
export class Training extends Kernel {
  /**
   * @param {WebAssembly.Exports} code
   * @param {Layout} layout
   * @param {Float32Array} start the untrained state
   * @param {Float32Array} numbers what all steps are told, one column after the other
   */
  constructor(code, layout, start, numbers) {
    super(code);
    this.layout = layout;
    this.start = start;
    this.numbers = numbers;
    const { lanes, state, batch, scratch } = layout;
    this.state = this.room(state * lanes);
    this.batch = this.room(batch * lanes);
    this.scratch = this.room(scratch * lanes);
    this.told = this.room(LONG * layout.numbers);
    this.lost = this.room(LONG * lanes);
    this.points = { at: 0, answers: 0, count: 0 };
    this.looked = 0;
    this.done = 0;
  }

  /**
   * @template {Training} T
   * @this {new (code: WebAssembly.Exports, layout: Layout, start: Float32Array, numbers: Float32Array) => T}
   * @param {Program} program
   * @returns {Promise<T>}
   */
  static async load({ wasm, state, numbers, layout }) {
    const [code, start, told] = await Promise.all([wasm, state, numbers].map(unpacked));
    const { instance } = await WebAssembly.instantiate(code, {});
    return new this(instance.exports, layout, new Float32Array(start), new Float32Array(told));
  }

  /**
   * Back to untrained networks, which are to learn this batch, the same for all.
   * @param {number[]} batch
   * @param {Float32Array} [networks] the parameters to begin with, one network after the other; the last fills all lanes
   */
  begin(batch, networks) {
    const { lanes, state, parameters } = this.layout;
    if (batch.length !== this.layout.batch)
      throw new Error(`expected a batch of ${this.layout.batch} numbers, got ${batch.length}`);
    const own = this.at(this.state, state * lanes);
    own.set(this.start);
    if (networks)
      for (let row = 0; row < parameters; row++)
        for (let lane = 0; lane < lanes; lane++)
          own[row * lanes + lane] = networks[Math.min(lane, networks.length / parameters - 1) * parameters + row];
    const rows = this.at(this.batch, batch.length * lanes);
    batch.forEach((number, row) => rows.fill(number, row * lanes, (row + 1) * lanes));
    this.done = 0;
  }

  /** Train for so many steps more. Returns each step's losses before it, by lane. @param {number} steps */
  advance(steps) {
    const { lanes, numbers, steps: most } = this.layout;
    const losses = new Float32Array(steps * lanes);
    for (let first = 0; first < steps; first += LONG) {
      const now = Math.min(LONG, steps - first);
      const told = this.at(this.told, now * numbers);
      for (let t = 0; t < now; t++)
        for (let k = 0; k < numbers; k++) told[t * numbers + k] = this.numbers[k * most + this.done + t];
      this.code.train(this.state, this.batch, 0, 0, 0, this.told, this.lost, this.scratch, now);
      losses.set(this.at(this.lost, now * lanes), first * lanes);
      this.done += now;
    }
    return losses;
  }

  /** The losses on this batch of networks that are given by their parameters, one after the other. @param {number[]} batch @param {Float32Array} networks */
  survey(batch, networks) {
    const { lanes, parameters } = this.layout;
    const found = new Float32Array(networks.length / parameters);
    for (let first = 0; first < found.length; first += lanes) {
      this.begin(batch, networks.subarray(first * parameters, (first + lanes) * parameters));
      found.set(this.advance(1).subarray(0, found.length - first), first); // a step tells the loss before it
    }
    return found;
  }

  /** The points at which to predict from now on. @param {ArrayLike<number>} numbers of one point after the other */
  look(numbers) {
    const { lanes, tile, inputs, outputs } = this.layout;
    this.looked = numbers.length / inputs;
    const count = Math.ceil(this.looked / tile) * tile;
    if (count > this.points.count)
      this.points = { at: this.room(count * inputs), answers: this.room(count * outputs * lanes), count };
    this.at(this.points.at, this.points.count * inputs).fill(0);
    this.at(this.points.at, numbers.length).set(numbers);
  }

  /** What each network answers at these points: one number after the other, for all lanes. */
  predict() {
    const { lanes, tile, inputs, outputs } = this.layout;
    const { at, answers } = this.points;
    const tiles = Math.ceil(this.looked / tile);
    this.code.predict_0(this.state, 0, 0, at, tile * inputs, 0, answers, this.scratch, tiles);
    return this.at(answers, this.looked * outputs * lanes).slice();
  }

  /** The trained parameters, in rows of lanes. */
  parameters() {
    return this.at(this.state, this.layout.parameters * this.layout.lanes).slice();
  }
}

/** One number that tells bits apart, as `digest` in nalu/live/programs.py. @param {Float32Array} numbers */
export function digest(numbers) {
  let hash = 0x811c9dc5;
  const words = new Uint32Array(numbers.buffer, numbers.byteOffset, numbers.length);
  for (let k = 0; k < words.length; k++)
    hash = Math.imul(hash ^ (Number.isNaN(numbers[k]) ? 0x7fc00000 : words[k]), 0x01000193) >>> 0;
  return hash;
}
