// Networks that learn a reader's rows: each step takes a batch from them, as `nalu.fit` does for a task with a pool.
import { Training } from "./kernel.js";

const TWISTER = 624;
const AHEAD = 50; // steps whose batches are picked at once

/** @typedef {{x: number[], y: number[]}} Rows x holds the numbers of one row after the other */

export class Learning extends Training {
  size = 0; // rows of a batch
  count = 0; // rows to take them from
  position = TWISTER;
  words = 0;
  chosen = 0;
  drawn = 0;
  out = 0;
  sums = 0;
  pool = { x: 0, y: 0 };
  /** @type {{x: number, y: number, count: number}[]} */
  tests = [];

  /**
   * Make room for these rows, and go back to the untrained networks.
   * @param {Rows} training what batches are taken from
   * @param {Rows[]} tests
   * @param {number[]} seeds of the data, one for each lane
   */
  take(training, tests, seeds) {
    const { lanes, batch, inputs, tile } = this.layout;
    this.size = batch / (inputs + 1);
    this.count = training.y.length;
    this.words = this.room(TWISTER * lanes);
    const chosen = this.room(lanes);
    this.chosen = this.room(AHEAD * this.size * lanes);
    this.drawn = this.room(AHEAD * batch * lanes);
    this.out = this.room(tile * lanes);
    this.sums = this.room(2 * lanes);
    this.pool = { x: this.room(training.x.length), y: this.room(training.y.length) };
    this.tests = tests.map(({ x, y }) => ({
      x: this.room(x.length + tile * inputs), // behind the last one, a whole tile is read
      y: this.room(y.length),
      count: y.length,
    }));
    this.at(this.pool.x, training.x.length).set(training.x);
    this.at(this.pool.y, training.y.length).set(training.y);
    this.tests.forEach(({ x, y }, k) => {
      const room = this.at(x, tests[k].x.length + tile * inputs);
      room.forEach((_, place) => (room[place] = tests[k].x[place] ?? tests[k].x[place % inputs]));
      this.at(y, tests[k].y.length).set(tests[k].y);
    });
    new Uint32Array(this.memory.buffer, chosen, lanes).set(seeds);
    this.code.seed(this.words, chosen);
    this.position = TWISTER;
    this.at(this.state, this.start.length).set(this.start);
    this.done = 0;
  }

  /** Train for so many steps more. @param {number} steps */
  learn(steps) {
    const { batch, inputs, numbers, steps: most, lanes } = this.layout;
    const { size, count, pool, chosen, drawn } = this;
    for (let left = steps; left > 0; left -= AHEAD) {
      const now = Math.min(AHEAD, left);
      this.position = this.code.below(this.words, this.position, chosen, now * size, count);
      this.code.take(chosen, now, size, pool.x, inputs, drawn, batch);
      this.code.take(chosen, now, size, pool.y, 1, drawn + 4 * lanes * size * inputs, batch);
      const told = this.at(this.told, now * numbers);
      for (let t = 0; t < now; t++)
        for (let k = 0; k < numbers; k++) told[t * numbers + k] = this.numbers[k * most + this.done + t];
      this.code.train(this.state, drawn, batch, 0, 0, this.told, this.lost, this.scratch, now);
      this.done += now;
    }
  }

  /** The mean absolute error of each lane on each test. @returns {number[][]} */
  errors() {
    return this.tests.map(({ x, y, count }) => {
      this.code.test_0(this.state, x, y, count, 0, this.out, this.scratch, this.sums);
      return [...new Float64Array(this.memory.buffer, this.sums, this.layout.lanes)].map((sum) => sum / count);
    });
  }

  /** Put parameters in the place of those of all lanes. @param {number[]} parameters of one network */
  put(parameters) {
    const { lanes } = this.layout;
    const rows = this.at(this.state, parameters.length * lanes);
    parameters.forEach((number, row) => rows.fill(number, row * lanes, (row + 1) * lanes));
  }
}
