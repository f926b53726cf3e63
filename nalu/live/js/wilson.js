// A share with its interval.

const NORMAL = 1.959963984540054; // 95% of a normal distribution lie so many deviations around its mean

/** Wilson's 95% interval of a share, as `nalu.rate`. @param {number} count of @param {number} n @returns {[number, number]} */
export function wilson(count, n) {
  const square = NORMAL ** 2;
  const middle = (count + square / 2) / (n + square);
  const half = (NORMAL / (n + square)) * Math.sqrt((count * (n - count)) / n + square / 4);
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}
