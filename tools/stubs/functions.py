"""The stub of one function, and the lines around them."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from stubs.words import ALIAS_NAMES, FUNCTION_FORMS, PARAMETERS, RESULTS, SPECIAL

HEADER = "# Made by `python tools/type_stubs.py` from the op table and the sources. Do not edit.\n"
LONGEST = 88  # columns of a definition, before it is indented and gets its dots
EMPTY = inspect.Parameter.empty


def named(annotation: str) -> str:
    """An annotation in the words of a stub: aliases are private, builtins that are shadowed too."""
    words = "|".join(sorted({*ALIAS_NAMES} - {"Number", "Nested"}, key=len, reverse=True))
    return re.sub(rf"(?<![\w_])({words})\b", r"_\1", annotation)


def joined(parts: Iterable[str]) -> str:
    """Definitions one below the other; a blank line follows those that have a docstring."""
    bare = ("...\n", "]\n")
    text = "".join(part if part.endswith(bare) else f"{part}\n" for part in parts)
    return text.rstrip() + "\n"


def type_of(function: str, parameter: inspect.Parameter) -> str:
    """The annotation of a parameter in the stub."""
    given = parameter.annotation
    special = SPECIAL.get((function, parameter.name))
    if special is not None:
        return named(special)
    loose = given is EMPTY or given == "ArrayLike" or "Any" in str(given).split("[")[0]
    if not loose:
        text = str(given).replace("Sequence[Any]", "Sequence[ArrayLike]")
        return named(text)
    found = PARAMETERS.get(parameter.name, "ArrayLike")
    if parameter.default is None and "None" not in found and found not in ("Any", "Axis"):
        found += " | None"
    return named(found)


def default_of(parameter: inspect.Parameter) -> str:
    """The default as it stands in the stub; `...` for what has no literal."""
    value = parameter.default
    if isinstance(value, str):
        return f'"{value}"'
    if value is None or isinstance(value, bool | int | float) or value == ():
        return repr(value)
    return "..."


def parameters_of(
    function: str, parameters: Iterable[inspect.Parameter], is_method: bool
) -> list[str]:
    """The parameters of a signature, one text each, with the marks `/` and `*`."""
    found: list[str] = []
    previous = None
    for place, parameter in enumerate(parameters):
        kind = parameter.kind
        if previous is parameter.POSITIONAL_ONLY and kind is not previous:
            found.append("/")
        if kind is parameter.KEYWORD_ONLY and previous not in (kind, parameter.VAR_POSITIONAL):
            found.append("*")
        previous = kind
        mark = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(kind, "")
        if is_method and place == 0:
            found.append(parameter.name)  # `x` where a method is a function of the top level
            continue
        text = f"{mark}{parameter.name}: {type_of(function, parameter)}"
        if parameter.default is not EMPTY:
            text += f" = {default_of(parameter)}"
        found.append(text)
    if previous is inspect.Parameter.POSITIONAL_ONLY:
        found.append("/")
    return found


def result_of(function: str, annotation: Any, is_method: bool = False) -> str:
    """The result type in the stub."""
    found = RESULTS.get(f"{function} method") if is_method else None
    found = found or RESULTS.get(function)
    if found is None:
        text = "Any" if annotation is EMPTY else str(annotation)
        found = text.replace("Any", "Tensor")
    return named(found)


def summary(doc: str | None) -> str:
    """The first line of a docstring; of a long line as many sentences as fit."""
    line = (doc or "").strip().split("\n")[0].strip()
    while len(line) > 85 and ". " in line:
        line = line.rpartition(". ")[0] + "."
    return textwrap.shorten(line, 86, placeholder=" …")


def definition(name: str, parameters: list[str], result: str, doc: str, before: str = "") -> str:
    """`def name(...) -> result:` with its summary, on one line or a line for each parameter."""
    head = f"def {name}({', '.join(parameters)}) -> {result}:"
    if len(head) > LONGEST:
        inner = "".join(f"    {part},\n" for part in parameters)
        head = f"def {name}(\n{inner}) -> {result}:"
    return f'{before}{head}\n    """{doc}"""\n' if doc else f"{before}{head} ...\n"


def function_stub(name: str, function: Callable[..., Any]) -> str:
    """The stub of a function of a module."""
    if name in FUNCTION_FORMS:
        return "".join(overload(name, form) for form in FUNCTION_FORMS[name])
    signature = inspect.signature(function)
    parameters = parameters_of(name, signature.parameters.values(), False)
    result = result_of(name, signature.return_annotation)
    return definition(name, parameters, result, summary(function.__doc__))


def overload(name: str, form: str) -> str:
    """One form of a method: `(parameters) -> result`."""
    inside, result = form.removeprefix("(").split(") -> ")
    return definition(name, named(inside).split(", "), named(result), "", "@overload\n")


def imports(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


def private_imports(text: str, own: str = "") -> str:
    """The import of those private aliases that a text uses."""
    used = [f"_{name}" for name in ALIAS_NAMES if re.search(rf"\b_{name}\b", text)]
    names = sorted({*used, *(["Tensor"] if "Tensor" in text else [])} - {own})
    joined = ", ".join(sorted(names))
    line = f"from elinvar.tensor.tensor import {joined}"
    if len(line) <= 100:
        return line
    rows = "".join(f"    {name},\n" for name in sorted(names))
    return f"from elinvar.tensor.tensor import (\n{rows})"


def all_list(module: ModuleType) -> str:
    return "__all__ = [\n" + "".join(f'    "{name}",\n' for name in module.__all__) + "]\n"
