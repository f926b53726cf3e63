"""What YAML cannot say of the book: launch buttons, front-end files of its own, and no scripts for thebe."""

import os
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config


def configure(app: Sphinx, config: Config) -> None:
    """Set what depends on the environment, and on whether `make offline` was run."""
    theme = config.html_theme_options
    if url := os.environ.get("BOOK_REPOSITORY_URL", "").rstrip("/"):
        branch = os.environ.get("BOOK_READERS_BRANCH", "readers")  # what launch buttons open: the edition for readers
        theme.update(repository_url=url, repository_branch=branch, use_repository_button=True, use_issues_button=True)
    else:  # without an address of ours the buttons would lead to an example's
        theme.pop("launch_buttons", None)
        theme["repository_url"] = ""
    if (Path(app.confdir) / "book/_static/offline").is_dir():
        config.mathjax_path = "offline/mathjax/tex-mml-chtml.js"
        scripts = ("require.js", "widgets-local.js", "html-manager/embed-amd.js")
        config.nb_ipywidgets_js = {f"offline/{script}": {} for script in scripts}


def drop_thebe(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """The book does not use thebe, whose two scripts declare one constant twice: an error on every page."""
    scripts = context.get("script_files", [])
    context["script_files"] = [
        script
        for script in scripts
        if "thebe" not in f"{script} {getattr(script, 'attributes', {}).get('body', '')}".lower()
    ]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", configure)
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
