"""What a TOML configuration names: data, model and trainer."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from elinvar import nn
from elinvar.carbon import Forecast
from elinvar.core.errors import ConfigError, DataError, fail
from elinvar.core.other_names import nearest
from elinvar.data.fashion import digits, fashion_mnist
from elinvar.data.lines import CsvRows
from elinvar.nn.module import Module
from elinvar.optim.optimizer import Optimizer
from elinvar.runs.code import note_file
from elinvar.tensor.random import manual_seed
from elinvar.train import CarbonAware, Checkpoint, EarlyStopping, Trainer
from elinvar.train.optimizers import NAMED as OPTIMIZERS

Pair = tuple[npt.NDArray[Any], npt.NDArray[Any]]


@dataclass
class Data:
    """Arrays: training, validation, test. `classes` is 0 where targets are numbers."""

    train: Pair
    validation: Pair | None
    test: Pair | None
    classes: int


def data_of(wish: Mapping[str, Any], folder: Path) -> Data:
    """The data of a section: `name` of a known set, or `path` of a CSV file with `target`.

    Raises:
        ConfigError: neither is there, or the name is unknown.
        DataError: the file is not what it should be.
    """
    limit = wish.get("limit")
    if "path" in wish:
        train, test, classes = _table(folder / wish["path"], wish.get("target"))
    else:
        name = wish.get("name")
        if name is None or name not in SETS:
            text = f"[data] needs `path`, or `name` of a known set, received {name!r}"
            fail(ConfigError, "config", text, nearest(str(name), SETS))
        train, test, classes = SETS[name]()
    if wish.get("flatten"):
        train = _flat(train)
        test = None if test is None else _flat(test)
    if limit is not None:
        train = (train[0][:limit], train[1][:limit])
    share = float(wish.get("validation", 0.1))
    if not 0 <= share < 1:
        fail(ConfigError, "config", f"data.validation must be in 0 … 1, received {share}")
    held = round(len(train[0]) * share)
    validation = None if not held else (train[0][-held:], train[1][-held:])
    if held:
        train = (train[0][:-held], train[1][:-held])
    return Data(train, validation, test, classes)


def _flat(pair: Pair) -> Pair:
    return pair[0].reshape(len(pair[0]), -1), pair[1]


def _images(load: Callable[[str], Pair]) -> tuple[Pair, Pair, int]:
    def ready(pair: Pair) -> Pair:
        x, y = np.asarray(pair[0]), np.asarray(pair[1])
        return x.astype(np.float32) / max(float(x.max()), 1.0) - 0.5, y.astype(np.int64)

    return ready(load("train")), ready(load("test")), 10


SETS: dict[str, Callable[[], tuple[Pair, Pair, int]]] = {
    "fashion_mnist": lambda: _images(fashion_mnist),
    "digits": lambda: _images(digits),
}


def _table(file: Path, target: str | None) -> tuple[Pair, Pair | None, int]:
    """Columns of numbers, and texts as one column for each value; every fifth row is for testing.

    Rows are mixed by a fixed seed. Columns are scaled by mean and deviation of the training rows.
    """
    columns = read_csv(file)
    if target is None or target not in columns:
        text = f"[data] needs `target`, a column of {file}"
        hint = nearest(str(target), columns)
        mark = next((mark for mark in (";", "\t", "|") if mark in next(iter(columns))), None)
        if len(columns) == 1 and mark:
            hint = f"is it separated by {mark!r}? Columns are separated by commas"
        fail(ConfigError, "config", text if target is None else f"{text}; {target!r} is none", hint)
    count = len(columns[target])
    order = np.random.Generator(np.random.Philox(0)).permutation(count)
    columns = {name: [column[i] for i in order] for name, column in columns.items()}
    wanted, classes = _target(target, columns.pop(target))
    if not columns:
        fail(DataError, "config", f"{file} has no column beside the target {target!r}")
    features = np.concatenate([_features(name, column) for name, column in columns.items()], 1)
    is_test = np.arange(count) % 5 == 4
    mean, deviation = features[~is_test].mean(0), features[~is_test].std(0)
    features = ((features - mean) / np.where(deviation > 0, deviation, 1)).astype(np.float32)
    train, test = (features[~is_test], wanted[~is_test]), (features[is_test], wanted[is_test])
    return train, test if is_test.any() else None, classes


def read_csv(file: Path) -> dict[str, list[str]]:
    """The columns of a CSV file, as texts.

    Raises:
        DataError: it is not there, is not UTF-8, or a row has another number of fields.
    """
    if not file.is_file():
        fail(DataError, "config", f"there is no file {str(file)!r}")
    try:
        names = CsvRows(str(file), None, None, ",", "utf-8-sig").names
        rows = CsvRows(str(file), dict.fromkeys(names, "str"), None, ",", "utf-8-sig")
        found: dict[str, list[str]] = rows.take(range(len(rows)), 0)
    except DataError as error:
        text = str(error).splitlines()[0].removeprefix("[csv] ")
        fail(DataError, "config", text if str(file) in text else f"{file}: {text}")
    if not len(rows):
        fail(DataError, "config", f"{file} has no rows below its head")
    return found


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _features(name: str, column: list[str]) -> npt.NDArray[np.float64]:
    """A column as numbers (an empty field is the mean), or one column for each of its texts."""
    numbers = [_number(text) for text in column if text]
    if numbers and all(x is not None for x in numbers):
        found = np.array([float(text) if text else np.nan for text in column])
        bad = ~np.isfinite(found)
        found[bad] = found[~bad].mean() if (~bad).any() else 0.0
        return found[:, None]
    kinds = sorted(set(column))
    if len(kinds) > 100:
        text = f"column {name!r} has {len(kinds)} different texts"
        fail(DataError, "config", text, "leave it out of the file, or group its values")
    places = {kind: place for place, kind in enumerate(kinds)}
    return np.eye(len(kinds))[[places[text] for text in column]]


def _target(name: str, column: list[str]) -> tuple[npt.NDArray[Any], int]:
    """Classes where they are texts or few whole numbers, else numbers."""
    numbers = [_number(text) for text in column]
    empty = column.count("")
    if empty:
        text = f"the target {name!r} is empty in {empty} of {len(column)} rows"
        fail(DataError, "config", text, "leave such rows out of the file")
    if len(set(column)) == 1:
        text = f"the target {name!r} is {column[0]!r} in all {len(column)} rows"
        fail(DataError, "config", text, "there is nothing to learn")
    odd = next((text for text, x in zip(column, numbers, strict=True) if x is None), None)
    if odd is not None and len({x for x in numbers if x is not None}) > 20:
        text = f"the target {name!r} has numbers, and texts such as {odd!r}"
        fail(DataError, "config", text, "make all of them numbers, or leave such rows out")
    if any(x is None for x in numbers) or (
        all(float(x or 0).is_integer() for x in numbers) and len(set(numbers)) <= 20
    ):
        kinds = sorted(set(column), key=lambda text: (_number(text) is None, _number(text), text))
        places = {kind: place for place, kind in enumerate(kinds)}
        return np.array([places[text] for text in column], np.int64), len(kinds)
    found = np.array(numbers, np.float32)
    if not np.isfinite(found).all():
        fail(DataError, "config", f"the target {name!r} has values that are not finite")
    return found[:, None], 0


# ---- models -----------------------------------------------------------------------------------


def _mlp(data: Data, hidden: tuple[int, ...] = (128, 64), dropout: float = 0.0) -> Module:
    layers: list[Module] = [nn.Flatten()]
    width = int(np.prod(data.train[0].shape[1:]))
    for size in hidden:
        if not isinstance(size, int) or size < 1:
            text = f"model.args.hidden must be whole numbers from 1, received {list(hidden)}"
            fail(ConfigError, "config", text)
        layers += [nn.Linear(width, size), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
        width = size
    return nn.Sequential(*layers, nn.Linear(width, data.classes or data.train[1].shape[1]))


def _cnn(data: Data, channels: tuple[int, ...] = (16, 32), hidden: int = 128) -> Module:
    shape = data.train[0].shape[1:]
    if len(shape) not in (2, 3):
        fail(ConfigError, "config", f"the model cnn needs images, the data have shape {shape}")
    layers: list[Module] = []
    if len(shape) == 2:
        layers.append(nn.Unflatten(1, (1, shape[0])))
    before, height, width = (1, *shape) if len(shape) == 2 else shape
    for size in channels:
        layers += [nn.Conv2d(before, size, 3, padding=1), nn.BatchNorm2d(size), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
        before, height, width = size, height // 2, width // 2
    layers += [nn.Flatten(), nn.Linear(before * height * width, hidden), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden, data.classes or data.train[1].shape[1]))


MODELS: dict[str, Callable[..., Module]] = {"mlp": _mlp, "cnn": _cnn}


def model_of(wish: Mapping[str, Any], data: Data, folder: Path, seed: int) -> Module:
    """The model of a section: `name` of a known one, or `path = "file.py:function"`; `args` go
    to the function."""
    manual_seed(seed)
    args = {k: tuple(v) if isinstance(v, list) else v for k, v in wish.get("args", {}).items()}
    if "path" in wish:
        return _own_model(str(wish["path"]), args, folder)
    name = wish.get("name")
    if name not in MODELS:
        text = f"[model] needs `path`, or `name` of a known model, received {name!r}"
        fail(ConfigError, "config", text, nearest(str(name), MODELS))
    try:
        return MODELS[name](data, **args)
    except TypeError as error:
        fail(ConfigError, "config", f"[model.args] does not fit the model {name}: {error}")


def _own_model(path: str, args: dict[str, Any], folder: Path) -> Module:
    file, _, function = path.partition(":")
    source = folder / file
    if not function or not source.is_file():
        fail(ConfigError, "config", f"model.path must be 'file.py:function', received {path!r}")
    note_file(source)
    spec = importlib.util.spec_from_file_location("elinvar_model", source)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, function):
        hint = nearest(function, [name for name in vars(module) if not name.startswith("_")])
        fail(ConfigError, "config", f"{source} has no function {function!r}", hint)
    found = getattr(module, function)(**args)
    if not isinstance(found, Module):
        kind = type(found).__name__
        fail(ConfigError, "config", f"{path} must give an el.nn.Module, received {kind}")
    return found


PASSED_ON = ("schedule", "precision", "accumulate", "clip_norm", "clip_value", "ema", "folder")


def trainer_of(wish: Mapping[str, Any], model: Module, data: Data) -> Trainer:
    """The trainer of a section."""
    is_class = data.classes > 0
    callbacks: list[Any] = []
    monitor = wish.get("monitor", "val_loss" if data.validation is not None else "loss")
    if wish.get("early_stopping"):
        callbacks.append(EarlyStopping(monitor, int(wish["early_stopping"])))
    if "folder" in wish:
        callbacks.append(Checkpoint(wish["folder"], monitor))
    options = {name: wish[name] for name in PASSED_ON if name in wish}
    return Trainer(
        model,
        _optimizer(wish, model),
        wish.get("loss", "cross_entropy" if is_class else "mse"),
        wish.get("metrics", ["accuracy"] if is_class else ["mae", "r2"]),
        callbacks,
        **options,
    )


def carbon_of(wish: Mapping[str, Any], folder: Path) -> CarbonAware:
    """What waits for a cleaner grid, as a table says."""
    if "forecast" not in wish:
        fail(ConfigError, "config", "[carbon] needs a forecast, the path of a CSV file")
    options = dict(wish)
    file, zone = folder / options.pop("forecast"), options.pop("timezone", None)
    return CarbonAware(Forecast.from_csv(file, timezone=zone), **options)


def _optimizer(wish: Mapping[str, Any], model: Module) -> Optimizer:
    name = wish.get("optimizer", "adamw")
    if name not in OPTIMIZERS:
        text = f"trainer.optimizer: there is no optimizer {name!r}"
        fail(ConfigError, "config", text, nearest(str(name), OPTIMIZERS))
    options = {key: wish[key] for key in ("lr", "weight_decay") if key in wish}
    return OPTIMIZERS[name](model.parameters(), **options)
