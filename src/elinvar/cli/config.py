"""Configurations of training runs: a Python file or a TOML file, and values from the command line.

A Python file defines `trainer` and `data`, and if it likes `validation`, `test` and `epochs`. Each
assignment of a plain value at its top (`rate = 1e-3`) can be overridden by its name. A TOML file
names model, data and settings; its values are overridden as `section.name=value`.
"""

from __future__ import annotations

import ast
import math
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from elinvar.cli import parts
from elinvar.core.errors import ConfigError, fail
from elinvar.core.other_names import nearest
from elinvar.train import Trainer


@dataclass
class Config:
    """A training run, ready to start.

    Attributes:
        trainer, data, validation, test: as the file gave them; None where it gave none.
        options: arguments of `fit`, such as `epochs` and `batch_size`.
        values: the plain values of the file, after overriding.
        categorical: columns of the inputs that hold codes of categories, for the baseline's trees.
    """

    trainer: Trainer
    data: Any
    validation: Any = None
    test: Any = None
    options: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    categorical: Any = None


FIT_OPTIONS = ("epochs", "batch_size", "shuffle", "seed", "steps")


def load(path: str, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration.

    Args:
        path: of the file.
        overrides: texts `name=value`.

    Raises:
        ConfigError: the file or a value is not what it should be; the text names the nearest key.
    """
    file = Path(path)
    if not file.is_file():
        fail(ConfigError, "config", f"there is no file {path!r}")
    given = dict(_pair(text) for text in overrides)
    if file.suffix == ".toml":
        return _from_toml(file, given)
    if file.suffix == ".py":
        return _from_python(file, given)
    text = f"{path!r} is neither a Python file (.py) nor a TOML file (.toml)"
    fail(ConfigError, "config", text)


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        fail(ConfigError, "config", f"expected name=value, received {text!r}")
    return name.strip(), value.strip()


def value_of(text: str) -> Any:
    """A value of the command line: a literal of Python or TOML, else the text itself.

    Example:
        >>> value_of("1e-3"), value_of("[1, 2]"), value_of("true"), value_of("adam")
        (0.001, [1, 2], True, 'adam')
    """
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def replaced(name: str, old: Any, text: str) -> Any:
    """The new value of a name; of the old one's type, where that has one.

    Raises:
        ConfigError: it is of another type.
    """
    new = value_of(text)
    if isinstance(old, float) and isinstance(new, int) and not isinstance(new, bool):
        return float(new)
    if isinstance(old, str) and not isinstance(new, str):
        return text
    if old is None or new is None or type(new) is type(old):
        return new
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        return type(old)(new)
    kind = type(old).__name__
    fail(ConfigError, "config", f"{name} is of type {kind} ({old!r}), received {text!r}")


# ---- Python -----------------------------------------------------------------------------------


def _from_python(file: Path, given: dict[str, str]) -> Config:
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    except (SyntaxError, UnicodeDecodeError) as error:
        fail(ConfigError, "config", f"{file} is not Python: {error}")
    values: dict[str, Any] = {}
    for node in tree.body:
        _plain_assignment(node, values, given)
    odd = [name for name in given if name not in values]
    if odd:
        text = f"{file} has no plain value {odd[0]!r} at its top"
        fail(ConfigError, "config", text, nearest(odd[0], values) if values else None)
    module = ModuleType("elinvar_config")
    module.__file__ = str(file)
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)
    try:
        exec(compile(tree, str(file), "exec"), module.__dict__)
    finally:
        sys.path.remove(folder)
    found = vars(module)
    for name in ("trainer", "data"):
        if name not in found:
            alike = nearest(name, [n for n in found if not n.startswith("_")] or [name])
            fail(ConfigError, "config", f"{file} does not define `{name}`", alike)
    if not isinstance(found["trainer"], Trainer):
        kind = type(found["trainer"]).__name__
        fail(ConfigError, "config", f"`trainer` in {file} must be an el.Trainer, received {kind}")
    options = {name: found[name] for name in FIT_OPTIONS if name in found}
    return Config(
        found["trainer"], found["data"], found.get("validation"), found.get("test"), options,
        values, found.get("categorical"),
    )  # fmt: skip


def _plain_assignment(node: ast.stmt, values: dict[str, Any], given: dict[str, str]) -> None:
    """Note `name = literal`, and put the new value there if there is one."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        target = node.target
    else:
        return
    if not isinstance(target, ast.Name) or node.value is None:
        return
    try:
        values[target.id] = ast.literal_eval(node.value)
    except ValueError:
        return
    if target.id in given:
        values[target.id] = replaced(target.id, values[target.id], given[target.id])
        node.value = ast.copy_location(_literal(values[target.id]), node.value)


def _literal(value: Any) -> ast.expr:
    if isinstance(value, float) and not math.isfinite(value):
        return ast.parse(f"float({str(value)!r})", mode="eval").body
    return ast.parse(repr(value), mode="eval").body


# ---- TOML -------------------------------------------------------------------------------------

SECTIONS: dict[str, tuple[str, ...]] = {
    "model": ("name", "path", "args"),
    "data": ("name", "path", "target", "test", "validation", "limit", "flatten"),
    "trainer": (
        "optimizer", "loss", "metrics", "lr", "weight_decay", "schedule", "precision",
        "accumulate", "clip_norm", "clip_value", "ema", "seed", "early_stopping", "folder",
        "monitor",
    ),
    "fit": FIT_OPTIONS,
}  # fmt: skip


def _from_toml(file: Path, given: dict[str, str]) -> Config:
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        fail(ConfigError, "config", f"{file} is not TOML: {error}")
    for name, text in given.items():
        _override(found, name, text)
    for section, content in found.items():
        _need_known(f"{file}", section, SECTIONS)
        if not isinstance(content, dict):
            fail(ConfigError, "config", f"[{section}] in {file} must be a table")
        for key in content:
            _need_known(f"[{section}] in {file}", key, SECTIONS[section])
    for section in ("model", "data"):
        if section not in found:
            fail(ConfigError, "config", f"{file} has no section [{section}]")
    data = parts.data_of(found["data"], file.parent)
    model_wish = found["model"]
    trainer_wish = found.get("trainer", {})
    model = parts.model_of(model_wish, data, file.parent, trainer_wish.get("seed", 0))
    trainer = parts.trainer_of(trainer_wish, model, data)
    options = {"epochs": 1, "batch_size": 64, **found.get("fit", {})}
    return Config(trainer, data.train, data.validation, data.test, options, found)


def _override(found: dict[str, Any], name: str, text: str) -> None:
    """Put a value at a dotted name."""
    words = name.split(".")
    if len(words) < 2:
        _need_known("the configuration", name, SECTIONS)
        fail(ConfigError, "config", f"expected section.name=value, received {name}={text}")
    _need_known("the configuration", words[0], SECTIONS)
    if len(words) == 2:
        _need_known(f"[{words[0]}]", words[1], SECTIONS[words[0]])
    place = found
    for word in words[:-1]:
        place = place.setdefault(word, {})
        if not isinstance(place, dict):
            fail(ConfigError, "config", f"{word} in {name} is a value, not a table")
    old = place.get(words[-1])
    place[words[-1]] = value_of(text) if old is None else replaced(name, old, text)


def _need_known(where: str, key: str, known: Mapping[str, Any] | Sequence[str]) -> None:
    if key not in known:
        fail(ConfigError, "config", f"{where} has no key {key!r}", nearest(key, known))
