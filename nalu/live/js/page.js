// What all views share: their worker, what Python handed over, the address, and the small parts of a form.

/** @typedef {{get(name: string): any, set(name: string, value: any): void, save_changes(): void, on(event: string, heard: () => void): void, off(event: string, heard: () => void): void}} Model as anywidget hands it over */

// The smallest module that holds a vector; https://webassembly.github.io/spec/core/binary
const VECTOR = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
];

/** What this browser lacks, in words; nothing, if it can train. */
function lacking() {
  const able = typeof WebAssembly === "object" && WebAssembly.validate(new Uint8Array(VECTOR));
  if (!able) return "WebAssembly with vectors (SIMD)";
  if (typeof DecompressionStream === "undefined") return "DecompressionStream";
  return typeof Worker === "undefined" ? "workers" : "";
}

/**
 * What shows a widget by this view, and returns what ends it; the stored picture where nothing trains.
 * @param {(model: Model, el: HTMLElement) => () => void} view
 */
export function shown(view) {
  return (/** @type {{model: Model, el: HTMLElement}} */ { model, el }) => {
    el.classList.add("live");
    const missing = lacking();
    if (missing) return without(model, el, `To run this, a browser needs ${missing}, which this one lacks.`);
    try {
      const end = view(model, el);
      // In JupyterLab, keys are those of the control that has the focus, and no shortcuts of the notebook.
      for (const control of el.querySelectorAll("input, select, button, textarea"))
        control.toggleAttribute("data-lm-suppress-shortcuts", true);
      return end;
    } catch (error) {
      return without(model, el, `The training could not start: ${error}.`);
    }
  };
}

/** The stored picture, where nothing trains. @param {Model} model @param {HTMLElement} el @param {string} words */
function without(model, el, words) {
  el.innerHTML = model.get("still");
  el.append(make("p", {}, words));
}

/** Bytes as Python sent them, which come as a DataView. @param {DataView | ArrayBuffer | Uint8Array} value */
export function bytes(value) {
  if (value instanceof DataView) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return value instanceof Uint8Array ? value : new Uint8Array(value);
}

/**
 * A worker, and what it is told before its first job.
 * @template J, R
 */
export class Trainer {
  /** @param {object[]} told @param {string} source of the worker @param {(words: string) => void} failed */
  constructor(told, source, failed) {
    const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    this.worker = new Worker(address);
    this.address = address;
    for (const each of told) this.worker.postMessage(each);
    this.newest = 0;
    /** @type {(report: R) => void} */
    this.heard = () => {};
    this.worker.onerror = ({ message }) => failed(message || "the browser lets no worker start here");
    this.worker.onmessage = ({ data }) => {
      if (data.id !== this.newest) return; // of a job that was ended meanwhile
      if (data.error) failed(data.error);
      else this.heard(data);
    };
  }

  /** Start a job, in the place of the one before. @param {Omit<J, "id">} job @param {(report: R) => void} heard */
  run(job, heard) {
    this.heard = heard;
    this.worker.postMessage({ ...job, id: ++this.newest });
  }

  stop() {
    this.worker.postMessage({ id: ++this.newest });
  }

  close() {
    this.worker.terminate();
    URL.revokeObjectURL(this.address);
  }
}

/** Whether this is a page of the book, whose address a reader may share; in a notebook it is somebody else's. */
function published() {
  return document.querySelector("article.bd-article") !== null;
}

/** The settings that the page's address holds for a widget. @param {string} name @returns {Record<string, string>} */
export function remembered(name) {
  const [, query] = published() ? location.hash.split(`#${name}:`) : [];
  return query ? Object.fromEntries(new URLSearchParams(query)) : {};
}

/** Put settings into the page's address. @param {string} name @param {Record<string, string | number>} settings */
export function remember(name, settings) {
  if (!published()) return;
  const query = new URLSearchParams(Object.entries(settings).map(([key, value]) => [key, String(value)]));
  try {
    history.replaceState(null, "", `#${name}:${query}`);
  } catch {
    // Some browsers take only so many in half a minute; the next one will do.
  }
}

/** Rows of numbers as Python reads them: of what is no number, it has other words than JavaScript. @param {number[][]} rows */
export function literal(rows) {
  const digits = rows.map((row) => row.map((number) => (Object.is(number, -0) ? "-0.0" : String(number))));
  const words = JSON.stringify(digits).replace(/"/g, "");
  return words.replace(/NaN/g, "float('nan')").replace(/Infinity/g, "float('inf')");
}

/** Hand the reader a file. @param {string} name @param {string} text */
export function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

/** A notebook of one cell. @param {string} code */
export function notebook(code) {
  const cell = {
    cell_type: "code",
    id: "train",
    metadata: {},
    execution_count: null,
    outputs: [],
    source: code.trimEnd(),
  };
  const kernelspec = { name: "python3", display_name: "Python 3 (ipykernel)", language: "python" };
  return JSON.stringify({ cells: [cell], metadata: { kernelspec }, nbformat: 4, nbformat_minor: 5 }, null, 1);
}

/** A text with what is in braces filled in. @param {string} text @param {Record<string, unknown>} values */
export function filled(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/**
 * An element with its attributes and what lies in it.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} kind @param {Record<string, unknown>} [attributes] @param {(Node | string)[]} inside
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(kind, attributes = {}, ...inside) {
  const element = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, /** @type {EventListener} */ (value));
    else element.setAttribute(name, String(value));
  }
  element.append(...inside);
  return element;
}

/** What is told of a control where it is heard. @param {Element} control @param {Element} by */
export function describe(control, by) {
  by.id ||= `told-${Math.random().toString(36).slice(2)}`; // pages hold several views
  control.setAttribute("aria-describedby", by.id);
}

/**
 * A slider with its name in front and its value, as one reads it, behind.
 * @param {string} name @param {{min: number, max: number, value: number, read: (value: number) => string, moved: () => void}} settings
 */
export function slider(name, { min, max, value, read, moved }) {
  const output = make("output");
  const input = make("input", { type: "range", min, max, value, step: 1, "aria-label": name });
  const show = () => {
    output.value = read(input.valueAsNumber);
    input.setAttribute("aria-valuetext", output.value);
  };
  input.addEventListener("input", () => (show(), moved()));
  show();
  return {
    element: make("label", { class: "slider" }, make("span", {}, name), input, output),
    get value() {
      return input.valueAsNumber;
    },
    set value(to) {
      input.valueAsNumber = to;
      show();
    },
  };
}
