"""The reference, from the package itself: `{modules}` lists what a module or a room of it has for others."""

import importlib
import inspect
import operator
import os
import pkgutil
import re
from pathlib import Path
from types import ModuleType

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

import nalu

OPTIONS = {"class": ["   :members:"], "data": ["   :no-value:"]}


def modules(name: str) -> list[ModuleType]:
    """The module of this name, and those in it if it is a package."""
    module = importlib.import_module(name)
    inside = pkgutil.iter_modules(module.__path__) if hasattr(module, "__path__") else []
    return [module, *(importlib.import_module(f"{name}.{each.name}") for each in inside)]


def public(module: ModuleType) -> list[tuple[str, str]]:
    """What autodoc calls each public thing that a module defines, and the name under which readers import it."""
    found = []
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        homes = (home for home in (nalu, importlib.import_module(module.__name__.rpartition(".")[0] or "nalu"), module))
        home = next(home for home in homes if getattr(home, name, None) is value)
        kind = "class" if inspect.isclass(value) else "function" if inspect.isroutine(value) else None
        if kind or hasattr(value, "__wrapped__"):  # a function with a cache is another kind of object
            found.append((kind or "function", f"{home.__name__}.{name}"))
    documented = [name for scope, name in ModuleAnalyzer.for_module(module.__name__).find_attr_docs() if not scope]
    return found + [("data", f"{module.__name__}.{name}") for name in documented if not name.startswith("_")]


class Modules(SphinxDirective):
    """```{modules} nalu.units``` : each module with its docstring, and under it what it defines."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        lines = []
        found = {module: public(module) for module in modules(self.arguments[0])}
        for module in sorted(found, key=lambda module: not any(name.count(".") == 1 for _, name in found[module])):
            things = found[module]  # first what is imported from nalu itself
            if things or module.__doc__.count("\n"):
                lines += [f"## `{module.__name__}`", "", "```{eval-rst}", f".. automodule:: {module.__name__}", ""]
                for kind, name in things:
                    lines += [f".. auto{kind}:: {name}", *OPTIONS.get(kind, []), ""]
                lines += ["```", ""]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def as_written(app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """Docstrings are plain text with `code`: a bar, a star or an underscore at the end of a word is itself.

    A unit's equation is shown as such, under its first sentence.
    """
    literal = False  # within an example, after a line that ends with ::
    for i, line in enumerate(lines):
        literal = literal and (not line or line.startswith(" "))
        if literal:
            continue
        literal = line.endswith("::")
        parts = re.split(r"(`[^`]*`)", line)
        parts[::2] = [re.sub(r"([|*\\]|_(?!\w))", r"\\\1", part) for part in parts[::2]]
        lines[i] = "".join(parts)
    if what == "class" and (equation := getattr(value, "equation", None)):
        end = lines.index("")
        paper = f" From `{value.paper} <{value.paper.url}>`__." if value.paper and value.paper.url else ""
        lines[end:end] = ["", re.sub(r"\$([^$]+)\$", r":math:`\1`", equation) + "." + paper]


def source(domain: str, info: dict[str, str]) -> str | None:
    """Where the code of a name is in the repository, whose address BOOK_REPOSITORY_URL tells."""
    url, branch = (os.environ.get(f"BOOK_REPOSITORY_{what}", "").rstrip("/") for what in ("URL", "BRANCH"))
    try:
        thing = inspect.unwrap(operator.attrgetter(info["fullname"])(importlib.import_module(info["module"])))
        file, line = inspect.getsourcefile(thing), inspect.getsourcelines(thing)[1]
    except (AttributeError, ImportError, OSError, TypeError, ValueError):  # data, or a field of a dataclass
        return None
    path = os.path.relpath(file, Path(nalu.__file__).parents[1]).replace(os.sep, "/")
    return f"{url}/blob/{branch or 'main'}/{path}#L{line}" if url and path.startswith("nalu/") else None


def configure(app: Sphinx, config: Config) -> None:
    config.linkcode_resolve = source


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("modules", Modules)
    app.add_css_file("reference.css")
    app.connect("config-inited", configure)
    app.connect("autodoc-process-docstring", as_written, priority=400)  # before napoleon, which makes markup of it
    return {"parallel_read_safe": True, "parallel_write_safe": True}
