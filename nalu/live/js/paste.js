// Rows of numbers as people paste them: from a spreadsheet, a file, a German one.

/** @typedef {{rows: number[][]} | {problem: string}} Pasted rows, or a sentence that says what is in the way */

const LEAST = 20;
const MOST = 5000;
const LARGEST = 1e6;

/** The numbers of a text, three a line: x1, x2 and y. @param {string} text @returns {Pasted} */
export function pasted(text) {
  const lines = text.split(/\r?\n|\r/).map((line, k) => ({ line: line.trim(), at: k + 1 }));
  const full = lines.filter(({ line }) => line !== "");
  if (full.length === 0) return { problem: "Paste some rows first: three numbers a line, x1, x2 and y." };
  const split = separator(full.map(({ line }) => line));
  if (full.length > 1 && split(full[0].line).every((word) => Number.isNaN(number(word, split)))) full.shift(); // names
  if (full.length > MOST) return { problem: `Expected at most ${MOST} rows, got ${full.length}.` };
  /** @type {number[][]} */
  const rows = [];
  for (const { line, at } of full) {
    const words = split(line);
    if (words.length !== 3)
      return { problem: `Line ${at}: expected three numbers, got ${words.length} in “${shortened(line)}”.` };
    const row = words.map((word) => number(word, split));
    const wrong = row.findIndex((value) => !Number.isFinite(value));
    if (wrong >= 0) return { problem: `Line ${at}: expected a number, got “${shortened(words[wrong])}”.` };
    const large = row.findIndex((value) => Math.abs(value) > LARGEST);
    if (large >= 0)
      return { problem: `Line ${at}: expected numbers of at most a million, got “${shortened(words[large])}”.` };
    rows.push(row);
  }
  if (rows.length < LEAST)
    return { problem: `Expected at least ${LEAST} rows to learn from and be tested on, got ${rows.length}.` };
  for (const [k, name] of ["x1", "x2", "y"].entries())
    if (rows.every((row) => row[k] === rows[0][k]))
      return { problem: `Expected ${name} to differ between rows, but it is ${rows[0][k]} in all of them.` };
  return { rows };
}

/** What cuts a line of this text into words. @param {string[]} lines @returns {(line: string) => string[]} */
function separator(lines) {
  const cut = (/** @type {string | RegExp} */ by) => (/** @type {string} */ line) =>
    line.split(by).map((word) => word.trim());
  if (lines.some((line) => line.includes("\t"))) return cut("\t");
  if (lines.some((line) => line.includes(";"))) return cut(";");
  const spaced = lines.every((line) => /^\S+\s+\S+\s+\S+$/.test(line) && !/,\s/.test(line));
  return spaced ? cut(/\s+/) : lines.some((line) => line.includes(",")) ? cut(",") : cut(/\s+/);
}

/** A word as a number; a decimal comma is one where commas cut nothing. @param {string} word @param {(line: string) => string[]} split */
function number(word, split) {
  const commas = split("0,0").length === 1;
  const plain = (commas ? word.replace(",", ".") : word).replace("−", "-");
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(plain) ? Number(plain) : NaN;
}

/** @param {string} text */
function shortened(text) {
  return text.length > 30 ? `${text.slice(0, 30)}…` : text;
}

/**
 * Three parts of the rows, in an order that only their number decides: to learn from, to choose by, to judge by.
 * @param {number[][]} rows
 */
export function parted(rows) {
  const order = [...rows.keys()];
  let state = 1;
  for (let k = order.length - 1; k > 0; k--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // Numerical Recipes' generator
    const other = Math.floor((state / 2 ** 32) * (k + 1));
    [order[k], order[other]] = [order[other], order[k]];
  }
  const [first, second] = [Math.round(0.6 * rows.length), Math.round(0.8 * rows.length)];
  return [order.slice(0, first), order.slice(first, second), order.slice(second)].map((part) => ({
    x: part.flatMap((k) => rows[k].slice(0, 2)),
    y: part.map((k) => rows[k][2]),
  }));
}
