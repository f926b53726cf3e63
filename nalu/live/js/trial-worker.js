// Trains the units beside the page, checkpoint by checkpoint; the newest job ends all others.
import { Run } from "./single.js";
import { pause } from "./pause.js";

/** @typedef {import("./single.js").Told} Told */
/** @typedef {import("./single.js").Row} Row */
/** @typedef {import("./single.js").Choice & {id: number}} Job */
/**
 * @typedef {object} Report
 * @property {number} id
 * @property {number} step of the checkpoint
 * @property {Float32Array} errors in extrapolation of all seeds; what is trained no more has its last one
 * @property {Row[]} [rows] when the job is done
 * @property {Float32Array} [parameters] of the trained networks, (parameters, seeds)
 */

/** @type {Told} */
let told;
let newest = -1;

/** @param {Job} job */
async function work(job) {
  const run = await Run.load(told, job);
  for (const step of run.stops) {
    for (let k = 0; k < run.blocks.length; k++) {
      if (job.id !== newest) return;
      run.advance(k, step);
      await pause();
    }
    const errors = Float32Array.from(run.checks, (checks) => checks[checks.length - 1].extrapolation);
    const over = step === run.task.steps || !run.going;
    const rows = over ? run.rows() : [];
    /** @type {Report} */
    const report = { id: job.id, step, errors };
    if (over) Object.assign(report, { rows, parameters: run.parameters() });
    if (job.id !== newest) return;
    postMessage(report);
    if (over) return;
  }
}

onmessage = ({ data }) => {
  if (data.programs) told = data;
  else {
    newest = data.id;
    if (data.unit !== undefined) work(data).catch((error) => postMessage({ id: data.id, error: String(error) })); // "stop" has none
  }
};
