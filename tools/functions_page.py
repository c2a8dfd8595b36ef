"""Write docs/functions.md, a line for each public function: `python tools/functions_page.py`."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import elinvar as el

PAGE = Path(__file__).resolve().parent.parent / "docs" / "functions.md"
HEAD = """# The functions

Made by `tools/functions_page.py` from the docstrings, which say more: `help(el.quantile)`.

- Names of the [array API standard](https://data-apis.org/array-api/latest/) mean what they mean
  there; what lies beyond it has NumPy's names and arguments.
- `el.special` has SciPy's names ([special.md](special.md) states errors), `el.random` those of
  NumPy and JAX. Methods of tensors are PyTorch's.
"""


def summary(function: Any) -> str:
    """The first sentence of a docstring, on one line."""
    text = " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
    return text.replace("|", "\\|").replace("](", "] (")  # no links by chance


def title_of(module: str) -> str:
    """What a module says about itself in its first line."""
    text = (importlib.import_module(module).__doc__ or module).strip().split("\n")[0]
    return text.rstrip(".").replace("|", "\\|")


def rows(prefix: str, items: Iterable[tuple[str, Any]]) -> list[str]:
    """A table of names and summaries."""
    found = ["| | |", "|---|---|"]
    return found + [f"| `{prefix}{name}` | {summary(value)} |" for name, value in items]


def functions(place: Any, names: Iterable[str]) -> list[tuple[str, Callable[..., Any]]]:
    """The functions and classes among names of a module."""
    found = [(name, getattr(place, name)) for name in names if not name.startswith("_")]
    return [
        (name, value)
        for name, value in found
        if callable(value) and not isinstance(value, ModuleType | el.DType)
    ]


def random_names() -> list[str]:
    """What `el.random` offers: its own functions and those that it imports later."""
    module = el.random
    own = [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", "").startswith("elinvar.tensor.")
        and inspect.isfunction(value)
        and value.__module__ == module.__name__
    ]
    return sorted({"Generator", *own, *module._LATER} - {"keep_mask"}, key=str.lower)


def page() -> str:
    """The text of the page."""
    lines = [HEAD]
    by_module: dict[str, list[tuple[str, Any]]] = {}
    for name, value in functions(el, el.__all__):
        by_module.setdefault(getattr(value, "__module__", "elinvar"), []).append((name, value))
    for module in sorted(by_module, key=title_of):
        lines += [f"## {title_of(module)}", "", *rows("el.", sorted(by_module[module])), ""]
    for title, prefix, place, names in (
        ("Special functions", "el.special.", el.special, el.special.__all__),
        ("Random numbers", "el.random.", el.random, random_names()),
        ("Linear algebra", "el.linalg.", el.linalg, el.linalg.__all__),
    ):
        lines += [f"## {title}", "", *rows(prefix, functions(place, names)), ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
