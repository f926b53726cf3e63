// Widgets come from the book's own folder, not from a CDN.
{
  const here = document.currentScript.src.replace(/[^/]*$/, "");
  requirejs.config({
    paths: {
      "@jupyter-widgets/html-manager/dist": here + "html-manager",
      "@jupyter-widgets": here + "html-manager", // where its parts look for their icons
      anywidget: here + "anywidget",
    },
  });
}
