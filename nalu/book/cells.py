"""An IPython extension, `%load_ext nalu.book.cells`: a cell that was run too early says so.

IPython itself says of a name from a cell further up only that it is not defined.
"""

from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

ADVICE = (
    "`{name}` is not known here yet. If a cell further up makes it, run that one first: "
    "in JupyterLab, Run > Run All Above Selected Cell runs all of them."
)


def load_ipython_extension(shell: "InteractiveShell") -> None:
    """Add a sentence to each NameError of a cell; the error is shown as ever."""
    shell.set_custom_exc((NameError,), _advise)


def unload_ipython_extension(shell: "InteractiveShell") -> None:
    shell.set_custom_exc((), None)


def _advise(
    shell: "InteractiveShell",
    kind: type[BaseException],
    error: NameError,
    traceback: TracebackType | None,
    tb_offset: int | None = None,
) -> None:
    last = traceback
    while last and last.tb_next:
        last = last.tb_next
    # Only where a cell asked for the name: in the code of a library the mistake is another one.
    if last and last.tb_frame.f_globals is shell.user_global_ns and getattr(error, "name", None):
        error.add_note(ADVICE.format(name=error.name))
    shell.showtraceback((kind, error, traceback), tb_offset=tb_offset)
