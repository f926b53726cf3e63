"""A widget alone in a page: its state as a saved notebook holds it, and its view; no notebook has to run for it."""

import json
from pathlib import Path

import anywidget

from helpers.scripts import plain

PAGE = """<!doctype html>
<html lang="en" data-theme="{theme}">
<meta charset="utf-8" /><meta name="viewport" content="width=device-width" /><title>A widget</title>
<style>
body {{ font-family: sans-serif; margin: 1rem }}
html[data-theme="dark"] {{ background: #14181e; color: #ced6dd }}
{style}
</style>
<article class="bd-article"></article>
<script type="module">
const bytes = (text) => new DataView(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
const state = JSON.parse({state}, (_, value) => (value?.base64 !== undefined ? bytes(value.base64) : value));
window.saved = [];
const model = {{
  get: (name) => state[name],
  set: (name, value) => (state[name] = value),
  save_changes: () => saved.push({{ ...state }}),
  on() {{}},
  off() {{}},
}};
const view = await import(URL.createObjectURL(new Blob([{view}], {{ type: "text/javascript" }})));
const el = document.createElement("div");
document.querySelector("article").append(el);
window.ended = view.default.render({{ model, el }});
</script>
</html>
"""


def alone(widget: anywidget.AnyWidget, path: Path, theme: str = "light") -> str:
    """Write the page, and return its address."""
    state = {name: plain(getattr(widget, name)) for name in widget.traits(sync=True) if not name.startswith("_")}
    text = {
        "state": json.dumps({name: value for name, value in state.items() if name != "layout"}),
        "view": widget._esm,
    }
    words = {name: json.dumps(each).replace("</", "<\\/") for name, each in text.items()}
    path.write_text(PAGE.format(theme=theme, style=widget._css, **words), encoding="utf-8")
    return path.as_uri()
