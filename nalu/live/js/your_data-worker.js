// Trains the models on a reader's rows, one after the other, beside the page.
import { Learning } from "./learning.js";
import { READINGS } from "./formulas.js";
import { digest } from "./kernel.js";
import { pause } from "./pause.js";

/** @typedef {import("./kernel.js").Program} Program */
/** @typedef {import("./learning.js").Rows} Rows */
/** @typedef {{id: number, parts: Rows[], points: number[], steps: number, seeds: number[]}} Job the rows to learn from, to choose by and to judge by */
/** @typedef {{weights: number[], validation: number, test: number}} Found a network, and its mean absolute errors */
/**
 * @typedef {object} Report
 * @property {number} id
 * @property {string} name of the model
 * @property {number} done the share of all work
 * @property {Found} [found] the network of the least error on the rows to choose by; none where no error is finite
 * @property {Found} [rounded] the same with its weights rounded, where it has a formula
 * @property {number[]} [curve] what it answers at the points
 * @property {Float32Array} [parameters] of all networks, (parameters, lanes)
 * @property {number} [digest] of these
 * @property {boolean} [over] whether this was the last model
 */

const GLANCE = 50; // milliseconds between two looks at the messages

/** @type {Record<string, Program>} */
let programs;
let newest = -1;

/** @param {Job} job */
async function work(job) {
  const names = Object.keys(programs);
  for (const [k, name] of names.entries()) {
    const learning = await Learning.load(programs[name]);
    if (job.id !== newest) return;
    learning.take(job.parts[0], job.parts.slice(1), job.seeds);
    learning.look(job.points);
    let seen = performance.now();
    while (learning.done < job.steps) {
      learning.learn(Math.min(50, job.steps - learning.done));
      if (performance.now() - seen < GLANCE) continue;
      seen = performance.now();
      postMessage({ id: job.id, name, done: (k + learning.done / job.steps) / names.length });
      await pause();
      if (job.id !== newest) return;
    }
    const parameters = learning.parameters();
    postMessage({
      id: job.id,
      name,
      done: (k + 1) / names.length,
      ...chosen(learning, name, parameters),
      parameters,
      digest: digest(parameters),
      over: k + 1 === names.length,
    });
  }
}

/** The network of the least error on the rows to choose by. @param {Learning} learning @param {string} name @param {Float32Array} parameters */
function chosen(learning, name, parameters) {
  const { lanes, parameters: size } = learning.layout;
  const [validation, test] = learning.errors();
  const finite = validation.map((error) => (Number.isFinite(error) ? error : Infinity));
  const best = finite.indexOf(Math.min(...finite));
  if (!Number.isFinite(finite[best])) return {};
  const answers = learning.predict();
  const curve = Array.from({ length: answers.length / lanes }, (_, k) => answers[k * lanes + best]);
  const weights = Array.from({ length: size }, (_, row) => parameters[row * lanes + best]);
  const found = { weights, validation: validation[best], test: test[best] };
  if (!READINGS[name]) return { found, curve };
  const near = READINGS[name].rounded(weights);
  learning.put(near);
  const [[first], [second]] = learning.errors();
  return { found, curve, rounded: { weights: near, validation: first, test: second } };
}

onmessage = ({ data }) => {
  if (data.programs) programs = data.programs;
  else {
    newest = data.id;
    if (data.parts) work(data).catch((error) => postMessage({ id: data.id, error: String(error) })); // "stop" has none
  }
};
