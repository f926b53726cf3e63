// Names for those who hear the page.

// A slider is called by its label, and its value is what it reads, "±20", not the place of that in a list.
function name(slider) {
  const [handle, label, readout] = [".noUi-handle", ".widget-label", ".widget-readout"].map((part) =>
    slider.querySelector(part),
  );
  if (!handle || !label || !readout) return;
  for (const [attribute, { textContent }] of [["aria-label", label], ["aria-valuetext", readout]]) {
    const words = textContent.trim();
    if (handle.getAttribute(attribute) !== words) handle.setAttribute(attribute, words);
  }
}

// Sliders come when they are ready, and write their handle's value anew at each move.
new MutationObserver((changes) => {
  const sliders = new Set();
  for (const { target } of changes) {
    const element = target.closest ? target : target.parentElement;
    const around = element?.closest(".widget-hslider");
    for (const slider of around ? [around] : (element?.querySelectorAll(".widget-hslider") ?? [])) sliders.add(slider);
  }
  sliders.forEach(name);
}).observe(document, {
  subtree: true,
  childList: true,
  characterData: true,
  attributes: true,
  attributeFilter: ["aria-valuetext"],
});

document.addEventListener("DOMContentLoaded", () => {
  // The theme calls its button "Search" and writes "Search Ctrl+K" on it: its name should be what is read there.
  for (const button of document.querySelectorAll(".search-button-field")) button.removeAttribute("aria-label");
  // It leaves the title and the search outside of all landmarks.
  const sidebar = document.querySelector(".bd-sidebar-primary");
  sidebar?.setAttribute("role", "region");
  sidebar?.setAttribute("aria-label", "Book");
});

// In the side bar, what opens a page's list of pages says whose it is.
document.addEventListener("DOMContentLoaded", () => {
  for (const summary of document.querySelectorAll(".bd-sidebar-primary summary")) {
    const page = summary.closest("li").querySelector("a");
    summary.setAttribute("aria-label", `Pages under ${page.textContent.trim()}`);
  }
});
