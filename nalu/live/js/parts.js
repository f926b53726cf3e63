// How several workers share the seeds of a run.

const LANES = 16;

/** So many seeds in parts for several workers, each of whole blocks. @param {number} seeds @param {number} workers */
export function parts(seeds, workers) {
  const blocks = Math.ceil(seeds / LANES);
  const many = Math.min(blocks, workers);
  const first = (/** @type {number} */ k) => LANES * Math.floor((k * blocks) / many);
  return Array.from({ length: many }, (_, k) => ({ from: first(k), seeds: Math.min(seeds, first(k + 1)) - first(k) }));
}
