// A trained unit as a formula, and its weights rounded to what it computes exactly.

/**
 * The formula may hold for positive inputs alone; none, "", where it would be another one for negative ones.
 * @typedef {{formula: (weights: number[], signs: boolean) => string, rounded: (weights: number[]) => number[]}} Reading
 */

/** A number as a formula has it. @param {number} value */
function told(value) {
  return String(Number(value.toPrecision(4))).replace("-", "−");
}

/** Terms as a sum, each with its sign. @param {[number, string][]} terms of a factor and a name */
function sum(terms) {
  const parts = terms.filter(([factor]) => Number(factor.toPrecision(4)) !== 0);
  const words = parts.map(([factor, name], k) => {
    const size = told(Math.abs(factor));
    const sign = factor < 0 ? "− " : k ? "+ " : "";
    return sign + (!name ? size : size === "1" ? name : `${size} · ${name}`);
  });
  return words.join(" ").replace(/^− /, "−") || "0";
}

/** A product of powers. @param {[number, string][]} factors of an exponent and a name */
function powers(factors) {
  const parts = factors.filter(([exponent]) => Number(exponent.toPrecision(4)) !== 0);
  const written = (/** @type {number} */ exact, /** @type {string} */ name) => {
    const exponent = Number(exact.toPrecision(4));
    return exponent === 1
      ? name
      : exponent === 0.5
        ? `√${name}`
        : exponent === 2
          ? `${name}²`
          : `${name}^${told(exponent)}`;
  };
  const above = parts.filter(([exponent]) => exponent > 0).map(([exponent, name]) => written(exponent, name));
  const below = parts.filter(([exponent]) => exponent < 0).map(([exponent, name]) => written(-exponent, name));
  const bottom = below.length > 1 ? `(${below.join(" · ")})` : below[0];
  return (above.join(" · ") || "1") + (bottom ? ` / ${bottom}` : "");
}

/** A factor that an NMU makes of an input: all of it, none of it, or something between. @param {number} weight @param {string} name */
function factor(weight, name) {
  return weight === 1
    ? name
    : weight === 0
      ? ""
      : `(${sum([
          [weight, name],
          [1 - weight, ""],
        ])})`;
}

/** @param {number[]} weights @param {string[]} names */
function product(weights, names) {
  return (
    weights
      .map((weight, k) => factor(weight, names[k]))
      .filter(Boolean)
      .join(" · ") || "1"
  );
}

const ends = (/** @type {number} */ low) => (/** @type {number[]} */ weights) =>
  weights.map((weight) => Math.min(1, Math.max(low, Math.round(weight))));

/** By the name of the unit; the others have no formula that one could read. @type {Record<string, Reading>} */
export const READINGS = {
  Linear: {
    formula: ([a, b, c]) =>
      sum([
        [a, "x1"],
        [b, "x2"],
        [c, ""],
      ]),
    rounded: (weights) => weights.map((weight) => (Math.abs(weight) < 0.005 ? 0 : Number(weight.toPrecision(2)))),
  },
  NAU: {
    formula: ([a, b]) =>
      sum([
        [a, "x1"],
        [b, "x2"],
      ]),
    rounded: ends(-1),
  },
  NMU: { formula: (weights) => product(weights, ["x1", "x2"]), rounded: ends(0) },
  NMRU: {
    formula: ([a, b, c, d], signs) => {
      if ([a, b, c, d].every((weight) => weight === 0 || weight === 1))
        return powers([
          [a - c, "x1"],
          [b - d, "x2"],
        ]);
      return signs ? "" : product([a, b, c, d], ["x1", "x2", "(1 / x1)", "(1 / x2)"]);
    },
    rounded: ends(0),
  },
  RealNPU: {
    formula: ([a, b, g, h], signs) => {
      const whole = [a, b].every((weight) => Math.abs(weight - Math.round(weight)) < 5e-4);
      const open = [g, h].every((gate) => gate <= 0 || gate >= 1);
      if (signs && !(whole && open)) return ""; // it has a cosine then
      return powers([
        [g > 0 ? a : 0, gated(g, "x1")],
        [h > 0 ? b : 0, gated(h, "x2")],
      ]);
    },
    rounded: ([a, b, g, h]) => [...[a, b].map((weight) => Math.round(2 * weight) / 2), ...ends(0)([g, h])],
  },
};

/** An input as a RealNPU's gate, which is above 0, lets it through. @param {number} gate @param {string} name */
function gated(gate, name) {
  return gate >= 1
    ? name
    : `(${sum([
        [gate, `|${name}|`],
        [1 - gate, ""],
      ])})`;
}
