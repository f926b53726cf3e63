"""Print the site as one file, with Chromium: python book/pdf.py, which prints the path of the file.

The pages of _build/html, in the order of their "next" links, are put into one document once their formulas and sliders
are drawn, so that links between them lead to sheets, and sheets and outline go through the whole book.
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from execute import alone
from pairs import ROOT
from playwright.sync_api import Browser, Page, TimeoutError, sync_playwright
from publish import SITE
from pypdf import PdfWriter
from pypdf.generic import DictionaryObject, NameObject, TextStringObject

BOOK = ROOT / "_build/neural-arithmetic.pdf"
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]  # a page may read fonts beside it
SCALE = 0.85
WIDTH = int(680 / SCALE)  # CSS pixels between the margins of A4
# Whether a page's formulas are there, its sliders over figures, and its networks that train.
DRAWN = """() => (!document.querySelector("span.math, div.math") || document.querySelector("mjx-container")) &&
  document.querySelectorAll("script[type*='widget-view']").length <=
  document.querySelectorAll(".widget-vbox:has(.noUi-handle), .live:has(.told:not(:empty), img)").length"""

# One page as a part of the book: what its elements are named, and what its links lead to, begins with the page's path.
PART = """site => {
  const page = location.href.slice(site.length).split("#")[0];
  const name = (path, id) => path.replace(/\\.html$/, "").replaceAll("/", "-") + "--" + id;
  const article = document.querySelector("article");
  for (const script of article.querySelectorAll("script, noscript, .headerlink")) script.remove();
  for (const details of article.querySelectorAll("details")) details.open = true;
  for (const image of article.querySelectorAll("img")) { image.src = image.src; image.loading = "eager"; }
  for (const element of article.querySelectorAll("[id]")) element.id = name(page, element.id);
  for (const kind of ["for", "aria-labelledby", "aria-describedby", "aria-controls"])
    for (const element of article.querySelectorAll(`[${kind}]`))
      element.setAttribute(kind, element.getAttribute(kind).split(" ").map(id => name(page, id)).join(" "));
  for (const clipped of article.querySelectorAll("[clip-path]")) {
    const [, id] = clipped.getAttribute("clip-path").match(/#([^)"]+)/);
    clipped.setAttribute("clip-path", `url(#${name(page, id)})`);
  }
  for (const link of article.querySelectorAll("a[href]"))
    if (link.href.startsWith(site)) {
      const target = new URL(link.href);
      link.setAttribute("href", "#" + name(link.href.slice(site.length).split("#")[0], target.hash.slice(1)));
    }
  article.id = name(page, "");
  article.classList.add("part");
  const styles = [...document.querySelectorAll("head style")]; // those of this page's formulas and sliders
  return { html: article.outerHTML, style: styles.map(style => style.outerHTML).join("") };
}"""

# All parts in the place of one page's article. What leads to no part, such as the index of names, is no link on paper.
JOINED = """async parts => {
  document.head.insertAdjacentHTML("beforeend", parts.map(part => part.style).join(""));
  document.querySelector("#jb-print-docs-body")?.remove(); // the theme's title and contents of the one page
  document.querySelector("article").outerHTML = parts.map(part => part.html).join("");
  document.title = "Neural arithmetic";
  for (const link of document.querySelectorAll("a[href^='#']"))
    if (!document.getElementById(decodeURIComponent(link.getAttribute("href").slice(1)))) link.removeAttribute("href");
  await Promise.all([...document.images].map(image => image.decode().catch(() => null)));
  return [...document.querySelectorAll("article :is(h1, h2, h3, h4, h5, h6)")].map(h => h.textContent.trim());
}"""

# The theme hides an article's title, for it prints one before it.
PAPER = """
@page { size: A4; margin: 16mm 15mm; @bottom-center { content: counter(page); font: 9pt sans-serif; } }
article.part ~ article.part { break-before: page; }
article.part h1 { display: block !important; }
"""


def parts(page: Page, first: str, site: str) -> list[dict[str, str]]:
    """All pages from `first` on, each as HTML whose names are its own, and the styles that came with its scripts."""
    found, address = [], first
    while address:
        page.goto(address, wait_until="networkidle")
        try:
            page.wait_for_function(DRAWN, timeout=60_000)
        except TimeoutError:
            sys.exit(f"the formulas or sliders of {address} are not drawn: without a network, run `make offline` first")
        following = page.locator("link[rel=next]")
        address = following.evaluate("link => link.href") if following.count() else ""
        found.append(page.evaluate(PART, site))
    return found


def children(parent: DictionaryObject) -> Iterator[DictionaryObject]:
    """The entries one level below the outline itself, or below one of its entries."""
    entry = parent.get("/First")
    while entry is not None:
        yield entry.get_object()
        entry = entry.get_object().get("/Next")


def in_order(parent: DictionaryObject) -> Iterator[DictionaryObject]:
    """All entries below, from the first sheet to the last."""
    for entry in children(parent):
        yield entry
        yield from in_order(entry)


def named(file: Path, headings: list[str]) -> None:
    """Give the outline its headings. Chromium repeats what moved to the next sheet, and joins words at a line's end."""
    book = PdfWriter(clone_from=file)
    for entry, heading in zip(in_order(book.root_object["/Outlines"]), headings, strict=True):
        entry[NameObject("/Title")] = TextStringObject(heading)
    book.write(file)


def print_book(browser: Browser, target: Path) -> Path:
    """Print _build/html into one PDF. A file that is there is replaced only by a whole one."""
    site = f"{SITE.as_uri()}/"
    first = f"{site}notebooks/index.html"
    page = browser.new_page(viewport={"width": WIDTH, "height": 1000}, color_scheme="light")
    joined = parts(page, first, site)
    page.goto(first, wait_until="networkidle")
    headings = page.evaluate(JOINED, joined)
    page.add_style_tag(content=PAPER)
    with alone(ROOT / "_build") as scratch:
        printed = scratch / target.name
        page.pdf(path=printed, scale=SCALE, prefer_css_page_size=True, outline=True, tagged=True, print_background=True)
        named(printed, headings)
        shutil.move(printed, target)
    page.close()
    return target


if __name__ == "__main__":
    if not (chromium := next(filter(None, map(shutil.which, NAMES)), None)):
        sys.exit("Chromium is not installed. On Debian and Ubuntu: apt-get install chromium")
    with sync_playwright() as playwright:
        print(print_book(playwright.chromium.launch(executable_path=chromium, args=FLAGS), BOOK))
