// A figure of curves over two axes, as SVG: it follows the theme, is sharp on paper, and is told to those who hear it.

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {{ticks: number[], low: number, high: number, log?: boolean, label: string}} Axis */

/** @param {string} kind @param {Record<string, string | number>} attributes @param {Element} [parent] */
export function drawn(kind, attributes, parent) {
  const element = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  parent?.append(element);
  return element;
}

export class Plot {
  /**
   * @param {{width: number, height: number, x: Axis, y: Axis, name: string}} figure
   */
  constructor({ width, height, x, y, name }) {
    const left = 60;
    const bottom = 34;
    this.box = { left, top: 8, width: width - left - 30, height: height - bottom - 8 };
    this.axes = { x, y };
    this.svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: "plot", "aria-label": name });
    this.back = drawn("g", {}, this.svg);
    const clip = `clip-${Math.random().toString(36).slice(2)}`; // pages hold several views, each with code of its own
    const area = drawn("clipPath", { id: clip }, this.svg);
    const { top, width: w, height: h } = this.box;
    drawn("rect", { x: left, y: top, width: w, height: h }, area);
    this.front = drawn("g", { "clip-path": `url(#${clip})` }, this.svg);
    this.frame = drawn("g", { class: "axes" }, this.svg);
    this.axis();
  }

  /** Draw the axes anew, after a change of `axes`. */
  axis() {
    const { left, top, width, height } = this.box;
    const { x, y } = this.axes;
    this.frame.replaceChildren();
    drawn("path", { d: `M${left} ${top}V${top + height}H${left + width}` }, this.frame);
    for (const tick of x.ticks) this.write(this.x(tick), top + height + 14, words(tick), "middle");
    for (const tick of y.ticks) this.write(left - 6, this.y(tick) + 4, words(tick), "end");
    this.write(left + width / 2, top + height + 29, x.label, "middle");
    const label = this.write(0, 0, y.label, "middle");
    label.setAttribute("transform", `translate(11 ${top + height / 2}) rotate(-90)`);
  }

  /** @param {number} x @param {number} y @param {string} text @param {string} anchor */
  write(x, y, text, anchor) {
    const element = drawn("text", { x, y, "text-anchor": anchor }, this.frame);
    element.textContent = text;
    return element;
  }

  /** @param {number} value */
  x(value) {
    return this.box.left + this.box.width * share(this.axes.x, value);
  }

  /** @param {number} value */
  y(value) {
    return this.box.top + this.box.height * (1 - share(this.axes.y, value));
  }

  /** The path through these points, with gaps where a number is not finite. @param {ArrayLike<number>} xs @param {(k: number) => number} y */
  path(xs, y) {
    let path = "";
    let pen = "M";
    const { height } = this.box;
    for (let k = 0; k < xs.length; k++) {
      const at = this.y(y(k));
      if (!Number.isFinite(at)) {
        pen = "M";
        continue;
      }
      // Far outside is as good as just outside, and an SVG knows no large numbers.
      path += `${pen}${this.x(xs[k]).toFixed(1)} ${Math.max(-height, Math.min(3 * height, at)).toFixed(1)}`;
      pen = "L";
    }
    return path;
  }
}

/** @param {Axis} axis @param {number} value */
function share({ low, high, log }, value) {
  return log ? Math.log(Math.max(value, low) / low) / Math.log(high / low) : (value - low) / (high - low);
}

/** A few round numbers between two others. @param {number} low @param {number} high */
export function between(low, high) {
  const rough = (high - low) / 4;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = size * ([1, 2, 5].find((each) => each * size >= rough) ?? 10);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, k) => (first + k) * step);
}

/** A number as one reads it. @param {number} value */
export function words(value) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "no number" : value < 0 ? "−∞" : "∞";
  const size = Math.abs(value);
  if (size >= 1e6 || (size > 0 && size < 1e-3))
    return value.toExponential(1).replace(".0e", "e").replace("e+", "e").replace(/-/g, "−");
  return Number(value.toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 }).replace("-", "−");
}
