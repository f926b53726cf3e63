// Widgets typeset their labels by calling MathJax 2, and the pages have MathJax 3: translate, whichever loads first.
let mathjax;
Object.defineProperty(window, "MathJax", {
  get: () => mathjax,
  set: (value) => {
    const typeset = (element) => mathjax.startup?.promise?.then(() => mathjax.typesetPromise([element]));
    mathjax = Object.assign(value, { Hub: { Queue: ([, , element]) => typeset(element) } });
  },
});
