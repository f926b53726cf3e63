// Trained networks that are asked in WebAssembly: sixteen at a time, each in a lane of its own.
import { Kernel, unpacked } from "./kernel.js";

/**
 * What lies where, as nalu/live/networks.py tells it.
 * @typedef {object} Shape
 * @property {number} lanes
 * @property {number} tile points that are answered together
 * @property {number} replicas lanes that hold a network of their own
 * @property {number} parameters rows of the state
 * @property {number} scratch rows to compute in
 * @property {number} inputs numbers of a point
 */

/** @typedef {{wasm: Uint8Array, state: Uint8Array, layout: Shape}} Trained packed by gzip */

export class Networks extends Kernel {
  /** @param {WebAssembly.Exports} code @param {Shape} layout @param {Float32Array} state */
  constructor(code, layout, state) {
    super(code);
    this.layout = layout;
    const { lanes, tile, parameters, scratch, inputs } = layout;
    this.state = this.room(parameters * lanes);
    this.scratch = this.room(scratch * lanes);
    this.points = this.room(tile * inputs);
    this.found = this.room(tile * lanes);
    this.at(this.state, state.length).set(state);
  }

  /** @param {Trained} trained @returns {Promise<Networks>} */
  static async load({ wasm, state, layout }) {
    const [code, numbers] = await Promise.all([wasm, state].map(unpacked));
    const { instance } = await WebAssembly.instantiate(code, {});
    return new Networks(instance.exports, layout, new Float32Array(numbers));
  }

  /** What each network answers, by point. What a point lacks is zero. @param {number[][]} points */
  answers(points) {
    const { lanes, tile, replicas, inputs } = this.layout;
    /** @type {Float32Array[]} */
    const all = [];
    for (let first = 0; first < points.length; first += tile) {
      const some = points.slice(first, first + tile);
      const rows = this.at(this.points, tile * inputs).fill(0);
      some.forEach((point, k) => rows.set(point, k * inputs));
      this.code.predict_0(this.state, 0, 0, this.points, tile * inputs, 0, this.found, this.scratch, 1);
      const found = this.at(this.found, tile * lanes);
      some.forEach((_, k) => all.push(found.slice(k * lanes, k * lanes + replicas)));
    }
    return all;
  }
}
