"""Numbers and figures of a run, for the text of its chapter: `{glue:text}` pastes what `glue` has kept.

As `myst_nb.glue` with `display=False` does, without the site's builder, which a reader's machine and Colab lack.
"""

from nalu import checks

with checks.extra("plots", "pages"):
    from IPython.core.formatters import format_display_data
    from IPython.display import display

HIDDEN = "application/papermill.record/"
"""Before a MIME type, says that the output is shown in the text alone, and not under the cell."""


def glue(name: str, value: object) -> None:
    """Keep how a notebook shows `value`, under a name, in the outputs of this cell."""
    data, metadata = format_display_data(value)
    hidden = {HIDDEN + kind: content for kind, content in data.items()}
    display(hidden, raw=True, metadata={**metadata, "scrapbook": {"name": name, "mime_prefix": HIDDEN}})
