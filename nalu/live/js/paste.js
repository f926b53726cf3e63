// Rows of numbers as people paste them: from a spreadsheet, a file, a German one.

/** @typedef {{rows: number[][]} | {problem: string}} Pasted rows, or a sentence that says what is in the way */

const LEAST = 20;
const MOST = 5000;
const LARGEST = 1e6;

/** The numbers of a text, three a line: x1, x2 and y. @param {string} text @returns {Pasted} */
export function pasted(text) {
  const lines = text.split(/\r?\n|\r/).map((line, k) => ({ line: line.replace(/["']/g, "").trim(), at: k + 1 }));
  const full = lines.filter(({ line }) => line !== "");
  if (full.length > 1 && /[a-z]/i.test(full[0].line) && !/(^|[\s,;])[-+]?\d/.test(full[0].line)) full.shift(); // names
  if (full.length === 0) return { problem: "Paste some rows first: three numbers a line, x1, x2 and y." };
  if (full.length > MOST) return { problem: `Expected at most ${MOST} rows, got ${full.length}.` };
  const split = separator(full.map(({ line }) => line));
  const commas = split("0,0").length === 1; // they cut nothing, so they are of the numbers
  const all = full.map(({ line }) => split(line));
  if (all.every((words) => words.length === 4 && words[3] === "")) all.forEach((words) => words.pop());
  const both = commas && all.flat().some((word) => word.includes(",")) && all.flat().some((word) => word.includes("."));
  /** @type {number[][]} */
  const rows = [];
  for (const [k, { line, at }] of full.entries()) {
    const words = all[k];
    if (words.length !== 3)
      return { problem: `Line ${at}: expected three numbers, got ${words.length} in “${shortened(line)}”.` };
    const odd = words.find((word) => both && word.includes(","));
    if (odd) return { problem: `Line ${at}: “${shortened(odd)}” has a comma where other numbers have a point.` };
    const row = words.map((word) => number(commas ? word.replace(",", ".") : word));
    const wrong = row.findIndex((value) => !Number.isFinite(value));
    if (wrong >= 0) return { problem: `Line ${at}: expected a number, got “${shortened(words[wrong])}”.` };
    const large = row.findIndex((value) => Math.abs(value) > LARGEST);
    if (large >= 0)
      return { problem: `Line ${at}: expected numbers of at most a million, got “${shortened(words[large])}”.` };
    rows.push(row);
  }
  if (commas && all.flat().some((word) => word.includes(",")) && all.flat().every(thousands))
    return { problem: "Is 1,000 a thousand or one? Write the numbers without commas, or all with a decimal point." };
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
  const spaced = lines.every((line) => /^\S+\s+\S+\s+\S+$/.test(line) && !/,\s|\s,/.test(line));
  return spaced ? cut(/\s+/) : lines.some((line) => line.includes(",")) ? cut(",") : cut(/\s+/);
}

/** @param {string} word */
function number(word) {
  const plain = word.replace("−", "-");
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(plain) ? Number(plain) : NaN;
}

/** Whether a comma may stand for thousands, as far as this number tells. @param {string} word */
function thousands(word) {
  return /^[-+−]?(\d{1,3}(,\d{3})+|\d{1,3})$/.test(word);
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
