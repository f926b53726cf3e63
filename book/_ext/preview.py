"""What a page shows of itself where its address is shared: title, first sentences and first picture (Open Graph)."""

import html
import os
import posixpath

from docutils import nodes
from sphinx.application import Sphinx

LONGEST = 200  # characters of a description, of which most places show fewer


def described(doctree: nodes.document) -> str:
    """The first paragraph, which in this book is the finding with the numbers of the run."""
    first = next((each for each in doctree.findall(nodes.paragraph) if isinstance(each.parent, nodes.section)), None)
    words = " ".join(first.astext().split()) if first else ""
    return words if len(words) <= LONGEST else words[:LONGEST].rsplit(" ", 1)[0] + " …"


def add_preview(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None) -> None:
    """Add the tags. Places that show previews want whole addresses: BOOK_SITE_URL says where the site will be."""
    if doctree is None:  # the search page and its like
        return
    title = app.env.titles[pagename].astext()
    tags = {"og:type": "article", "og:site_name": app.config.html_title, "og:title": title}
    if description := described(doctree):
        tags["og:description"] = description
    if site := os.environ.get("BOOK_SITE_URL", "").rstrip("/"):
        tags["og:url"] = f"{site}/{app.builder.get_target_uri(pagename)}"
        names = (posixpath.basename(each["uri"]) for each in doctree.findall(nodes.image))
        picture = next((name for name in names if name in app.builder.images.values()), None)
        own = posixpath.join(app.builder.imagedir, picture) if picture else "_static/identity.png"
        tags["og:image"], tags["twitter:card"] = f"{site}/{own}", "summary_large_image"
    lines = [f'<meta property="{key}" content="{html.escape(value)}" />' for key, value in tags.items()]
    if description:
        lines.append(f'<meta name="description" content="{html.escape(description)}" />')
    context["metatags"] = "\n".join([context.get("metatags", ""), *lines])


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", add_preview)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
