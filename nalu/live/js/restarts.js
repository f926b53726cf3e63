// Starting anew where a loss stays high: the rule of `nalu.recipe.Restart`, for the lanes of a block.

/** @typedef {{every: number, after: number, above: number}} Rule */

export class Restarts {
  /**
   * @param {Rule} rule
   * @param {number[]} own the seed of each lane
   * @param {Float32Array} fresh the parameters after each restart, (restarts, parameters, seeds)
   * @param {number} parameters
   * @param {number} seeds
   */
  constructor(rule, own, fresh, parameters, seeds) {
    this.rule = rule;
    this.own = own;
    this.fresh = fresh;
    this.parameters = parameters;
    this.seeds = seeds;
    this.since = own.map(() => 0);
    this.times = own.map(() => 0);
    this.now = own.map(() => [0, 0]);
    /** The sums of losses and of their squares, at multiples of `every`. @type {number[][][]} */
    this.sums = [this.now];
  }

  /**
   * Count the losses of the last steps, and start anew what it is time for.
   * @param {number} done steps
   * @param {Float32Array} losses of all lanes, (steps, lanes)
   * @param {Float32Array} state their parameters, (parameters, lanes), changed in place
   */
  look(done, losses, state) {
    const lanes = this.own.length;
    const { every, after } = this.rule;
    this.now = this.now.map(([sum, squares], lane) => {
      for (let k = lane; k < losses.length; k += lanes) {
        sum += losses[k];
        squares += losses[k] * losses[k];
      }
      return [sum, squares];
    });
    if (done % every) return;
    this.sums[done / every] = this.now;
    this.own.forEach((seed, lane) => {
      if (done - this.since[lane] <= after || !this.due(done / every, lane)) return;
      const from = this.times[lane]++ * this.parameters;
      for (let k = 0; k < this.parameters; k++) state[k * lanes + lane] = this.fresh[(from + k) * this.seeds + seed];
      this.since[lane] = done;
    });
  }

  /** @param {number} last @param {number} lane */
  due(last, lane) {
    const { every, above } = this.rule;
    const first = Math.floor(this.since[lane] / every);
    const middle = Math.floor((first + last) / 2);
    /** @param {number} from @param {number} to @param {number} k */
    const average = (from, to, k) => (this.sums[to][lane][k] - this.sums[from][lane][k]) / ((to - from) * every);
    const before = average(first, middle, 0);
    const mean = average(middle, last, 0);
    const spread = Math.max(0, average(middle, last, 1) - mean * mean); // what is no number compares false
    return mean > above && before <= mean + Math.sqrt(spread);
  }
}
