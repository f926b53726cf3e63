// Trains beside the page, so that it never stutters: a job at a time, and the newest one ends all others.
import { Training, digest } from "./kernel.js";
import { pause } from "./pause.js";

/** @typedef {import("./kernel.js").Program} Program */
/**
 * @typedef {object} Job
 * @property {number} id
 * @property {string} name of the program
 * @property {number[]} batch what each step trains on
 * @property {number[]} points where to predict
 * @property {number} steps to train
 * @property {boolean} [further] whether to go on from where the networks are, instead of from their start
 * @property {Float32Array} [networks] the parameters of their start, where it is not the untrained one
 * @property {boolean} [survey] whether nothing but the losses of these is asked for
 */
/**
 * @typedef {object} Report
 * @property {number} id
 * @property {number} done steps
 * @property {Float32Array} answers at the points, for all lanes
 * @property {Float32Array} losses since the last report, for all lanes
 * @property {number} since the step of the first of these
 * @property {number} milliseconds of training so far
 * @property {Float32Array} [parameters] of the trained networks, when the job is done
 * @property {number} [digest] of these
 */

const GLANCE = 14; // milliseconds between two reports
const CHUNK = 20; // steps between two looks at the clock, the first ones

/** @type {Map<string, Promise<Training>>} */
const trainings = new Map();
let newest = -1;

/** @param {Job} job */
async function work(job) {
  const training = await /** @type {Promise<Training>} */ (trainings.get(job.name));
  if (job.id !== newest) return;
  if (job.survey) {
    const losses = training.survey(job.batch, /** @type {Float32Array} */ (job.networks));
    return postMessage({ id: job.id, losses });
  }
  if (!job.further) training.begin(job.batch, job.networks);
  training.look(job.points);
  const stop = Math.min(training.done + job.steps, training.layout.steps);
  let milliseconds = 0;
  let chunk = CHUNK;
  for (;;) {
    const since = training.done;
    const losses = [];
    const start = performance.now();
    while (training.done < stop && performance.now() - start < GLANCE) {
      const before = performance.now();
      losses.push(training.advance(Math.min(chunk, stop - training.done)));
      if (performance.now() - before < GLANCE / 4) chunk *= 2;
    }
    milliseconds += performance.now() - start;
    const over = training.done >= stop;
    /** @type {Report} */
    const report = {
      id: job.id,
      done: training.done,
      answers: training.predict(),
      losses: joined(losses),
      since,
      milliseconds,
    };
    if (over) {
      report.parameters = training.parameters();
      report.digest = digest(report.parameters);
    }
    postMessage(report);
    if (over) return;
    await pause();
    if (job.id !== newest) return;
  }
}

/** @param {Float32Array[]} parts */
function joined(parts) {
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

onmessage = ({ data }) => {
  if (data.program) trainings.set(data.name, Training.load(data.program));
  else {
    newest = data.id;
    if (data.name !== undefined) work(data).catch((error) => postMessage({ id: data.id, error: String(error) })); // "stop" has no name
  }
};
