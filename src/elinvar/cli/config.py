"""Configurations of training runs: a Python file or a TOML file, and values from the command line.

A Python file defines `trainer` and `data`, and if it likes `validation`, `test` and `epochs`. Each
assignment of a plain value at its top (`rate = 1e-3`) can be overridden by its name. A TOML file
names model, data and settings; its values are overridden as `section.name=value`.
"""

from __future__ import annotations

import ast
import difflib
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
from elinvar.runs.code import note_file
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
    if file.is_dir():
        text = f"{path!r} is a folder"
        fail(ConfigError, "config", text, "name the .py or .toml file in it")
    if not file.is_file():
        fail(ConfigError, "config", f"there is no file {path!r}")
    given = dict(_pair(text) for text in overrides)
    note_file(file)
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
    content = _text(file)
    try:
        tree = ast.parse(content, str(file))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
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
    except SystemExit as error:
        text = f"{file} ended itself (SystemExit: {error}) before `trainer` and `data` were there"
        fail(ConfigError, "config", text, "keep sys.exit below `if __name__ == '__main__'`")
    finally:
        sys.path.remove(folder)
    found = vars(module)
    for name in ("trainer", "data"):
        if name not in found:
            own = [n for n in found if not n.startswith("_")]
            alike = difflib.get_close_matches(name, own, 1)
            hint = "a configuration defines `trainer` and `data`: see elinvar train --help"
            hint = f"did you mean {alike[0]!r}?" if alike else hint
            fail(ConfigError, "config", f"{file} does not define `{name}`", hint)
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


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")  # some editors begin files by a mark
    except UnicodeDecodeError as error:
        text = f"{file} is no text in UTF-8: byte {error.start} is wrong"
        fail(ConfigError, "config", text)


# ---- TOML -------------------------------------------------------------------------------------

COUNT, NUMBER, TEXT, SWITCH = "a whole number from 0", "a number", "a text", "true or false"
TEXTS, TABLE = "a text or a list of them", "a table"
SECTIONS: dict[str, dict[str, str]] = {
    "model": {"name": TEXT, "path": TEXT, "args": TABLE},
    "data": {
        "name": TEXT, "path": TEXT, "target": TEXT, "validation": NUMBER, "limit": COUNT,
        "flatten": SWITCH,
    },
    "trainer": {
        "optimizer": TEXT, "loss": TEXT, "metrics": TEXTS, "lr": NUMBER, "weight_decay": NUMBER,
        "schedule": TEXT, "precision": TEXT, "accumulate": COUNT, "clip_norm": NUMBER,
        "clip_value": NUMBER, "ema": NUMBER, "seed": COUNT, "early_stopping": COUNT,
        "folder": TEXT, "monitor": TEXT,
    },
    "fit": {
        "epochs": COUNT, "batch_size": COUNT, "shuffle": SWITCH, "seed": COUNT, "steps": COUNT,
    },
    "carbon": {
        "forecast": TEXT, "deadline": TEXT, "budget": NUMBER, "hours": NUMBER, "watts": NUMBER,
        "timezone": TEXT, "exit_when_paused": SWITCH,
    },
}  # fmt: skip


def _need_kind(name: str, value: Any, kind: str) -> None:
    """Refuse a value of another kind than its key has.

    Raises:
        ConfigError: the text says what was expected.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {
        COUNT: is_number and isinstance(value, int) and value >= 0,
        NUMBER: is_number and math.isfinite(value),
        TEXT: isinstance(value, str),
        SWITCH: isinstance(value, bool),
        TEXTS: isinstance(value, str)
        or (isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)),
        TABLE: isinstance(value, dict),
    }
    if not fits[kind]:
        fail(ConfigError, "config", f"{name} must be {kind}, received {value!r}")


def _from_toml(file: Path, given: dict[str, str]) -> Config:
    content = _text(file)
    try:
        found = tomllib.loads(content)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        fail(ConfigError, "config", f"{file} is not TOML: {error}")
    for name, text in given.items():
        _override(found, name, text)
    for section, content in found.items():
        _need_known(f"{file}", section, SECTIONS)
        if not isinstance(content, dict):
            kind = "an array of tables" if isinstance(content, list) else type(content).__name__
            text = f"{section} in {file} must be a table [{section}], received {kind}"
            fail(ConfigError, "config", text)
        for key in content:
            _need_known(f"[{section}] in {file}", key, SECTIONS[section])
            _need_kind(f"{section}.{key}", content[key], SECTIONS[section][key])
    for section in ("model", "data"):
        if section not in found:
            text = f"{file} has no section [{section}]"
            fail(ConfigError, "config", text, "[model] and [data] are needed: see docs/training.md")
    data = parts.data_of(found["data"], file.parent)
    model_wish = found["model"]
    trainer_wish = found.get("trainer", {})
    model = parts.model_of(model_wish, data, file.parent, trainer_wish.get("seed", 0))
    trainer = parts.trainer_of(trainer_wish, model, data)
    if "carbon" in found:
        trainer.callbacks.append(parts.carbon_of(found["carbon"], file.parent))
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
    is_text = len(words) == 2 and SECTIONS[words[0]][words[1]] == TEXT
    new = value_of(text) if old is None else replaced(name, old, text)
    if new is None:
        place.pop(words[-1], None)  # `none` is as if nothing were said
    else:
        place[words[-1]] = text if is_text else new


def _need_known(where: str, key: str, known: Mapping[str, Any] | Sequence[str]) -> None:
    if key not in known:
        fail(ConfigError, "config", f"{where} has no key {key!r}", nearest(key, known))
