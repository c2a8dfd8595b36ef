"""`elinvar train`, `eval`, `predict` and `baseline`."""

from __future__ import annotations

import argparse
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from elinvar.cli.config import Config, load
from elinvar.core.errors import ConfigError, DataError, StateError, fail
from elinvar.metrics import AUROC, R2, Accuracy
from elinvar.nn.serialization import load as load_file
from elinvar.tensor.tensor import Tensor
from elinvar.train import Trainer
from elinvar.train.averaging import evaluating
from elinvar.train.baseline import Comparison, network, rows_of, trees
from elinvar.train.figures import figure

CONFIG_EPILOG = """\
A configuration is a Python file that defines `trainer` and `data` (and if it likes `validation`,
`test`, `epochs`, `batch_size`; `categorical`: columns of codes, for the trees of `baseline`), or a
TOML file with the sections [model], [data], [trainer], [fit], [carbon].
Values are overridden as name=value (Python: plain values at the file's top; TOML: section.name).

Options and values may stand in any order; --json prints nothing else on standard output.

examples:
  elinvar train fashion.toml fit.epochs=3 trainer.lr=0.002
  elinvar train train.py rate=3e-4 --resume
  elinvar train train.py rate=3e-4 --resume checkpoints/last.safetensors
  elinvar eval fashion.toml --checkpoint checkpoints/last.safetensors --json
  elinvar predict fashion.toml --checkpoint last.safetensors --input images.npy --output said.csv
  elinvar baseline fashion.toml data.limit=5000
"""


def add_commands(commands: Any) -> None:
    """Add the four commands to a parser."""
    one = _command(commands, "train", "train a model as a configuration says", train)
    about = "go on from a run or a checkpoint; alone: the newest run, if it did not finish"
    one.add_argument("--resume", metavar="RUN", nargs="?", const=True, help=about)
    one.add_argument("--dry-run", action="store_true", help="one batch, to see that all works")
    one.add_argument("--save", metavar="FILE", help="write the state to this file at the end")
    one = _command(commands, "eval", "loss and metrics of a trained model on test data", evaluate)
    one.add_argument("--checkpoint", metavar="FILE", help="weights, or the state of a run")
    one.add_argument(
        "--on", choices=("test", "validation", "data"), help="which data (test if there are some)"
    )
    one = _command(commands, "predict", "what a trained model says of inputs", predict)
    one.add_argument("--checkpoint", metavar="FILE", help="weights, or the state of a run")
    one.add_argument("--input", metavar="FILE", help="a .npy file of inputs (default: test data)")
    one.add_argument("--output", metavar="FILE", help="a .npy or .csv file (default: the screen)")
    one.add_argument("--classes", action="store_true", help="the class, not the model's outputs")
    about = "gradient-boosted trees on the same data, beside the network"
    one = _command(commands, "baseline", about, baseline)
    one.add_argument("--checkpoint", metavar="FILE", help="a trained network (default: train it)")
    one.add_argument("--rounds", type=_rounds, default=100, help="rounds of boosting (100)")


def _command(commands: Any, name: str, about: str, run: Any) -> argparse.ArgumentParser:
    found: argparse.ArgumentParser = commands.add_parser(
        name,
        help=about,
        description=about,
        epilog=CONFIG_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument("config", metavar="CONFIG", help="a .py or .toml file")
    about = "values to override"
    found.add_argument("values", metavar="NAME=VALUE", nargs="*", default=(), help=about)
    found.add_argument("--json", action="store_true", help="one line of JSON on standard output")
    found.set_defaults(run=run)
    return found


def train(options: argparse.Namespace) -> int:
    """Train, and evaluate on the test data if there are some."""
    if options.save is not None and not options.dry_run:
        _check_writable(options.save, "--save")
    config = load(options.config, options.values)
    history = config.trainer.fit(
        config.data,
        validation=config.validation,
        resume=options.resume,
        dry_run=options.dry_run,
        **config.options,
    )
    found: dict[str, Any] = dict(history[-1]) if len(history) else {}
    if config.test is not None and not options.dry_run:
        figures = config.trainer.evaluate(config.test)
        found.update({f"test_{name}": value for name, value in figures.items()})
    if options.save and not options.dry_run:
        config.trainer.save(options.save)
        found["saved"] = options.save
    _tell(found, options)
    return 0


def evaluate(options: argparse.Namespace) -> int:
    """Print the figures of a trained model."""
    config = load(options.config, options.values)
    _load_weights(config.trainer, options.checkpoint)
    data = _chosen(config, options.on)
    _tell(config.trainer.evaluate(data), options)
    return 0


def predict(options: argparse.Namespace) -> int:
    """Write what a trained model says."""
    if options.output is not None:
        if not options.output.endswith((".npy", ".csv")):
            text = f"--output must end in .npy or .csv, received {options.output!r}"
            fail(ConfigError, "predict", text)
        _check_writable(options.output, "--output")
    config = load(options.config, options.values)
    _load_weights(config.trainer, options.checkpoint)
    if options.input:
        output = config.trainer.predict(_inputs(options.input))
    else:
        output = config.trainer.predict(_chosen(config, None), has_target=True)
    if not isinstance(output, Tensor):
        text = f"the model gives {type(output).__name__}, not one tensor"
        fail(ConfigError, "predict", text, "use trainer.predict in Python")
    found = output.astype("float32").numpy() if output.dtype.is_floating else output.numpy()
    if options.classes:
        found = found.argmax(1) if found.ndim > 1 and found.shape[1] > 1 else (found > 0) * 1
    _write(found, options)
    return 0


def baseline(options: argparse.Namespace) -> int:
    """Print trees and network side by side."""
    config = load(options.config, options.values)
    test = config.test if config.test is not None else config.validation
    for name, pair in (("data", config.data), ("test or validation", test)):
        if not isinstance(pair, tuple) or len(pair) != 2:
            text = f"the baseline needs `{name}` as a tuple of two arrays"
            fail(ConfigError, "baseline", f"{text}, received {type(pair).__name__}")
    assert test is not None
    rounds, categorical = options.rounds, config.categorical
    one, measure = trees(config.data, test, max_iter=rounds, categorical=categorical)
    trainer = config.trainer
    metric = Accuracy() if measure == "accuracy" else R2()

    def fit() -> None:
        trainer.fit(config.data, validation=config.validation, **config.options)

    def score() -> float | tuple[float, float]:
        figures = {"score": metric, **({} if one.auroc is None else {"auroc": AUROC()})}
        judge = Trainer(trainer.model, metrics=figures, progress=False)
        with evaluating(trainer.model, trainer.average_in_use):
            found = judge.evaluate(test)
        if one.auroc is None:
            return float(found["score"])
        return float(found["score"]), float(found["auroc"])

    name = f"network ({sum(p.size for p in trainer.model.parameters()):,} parameters)"
    if options.checkpoint:
        _load_weights(trainer, options.checkpoint)
        name += ", trained before"
    other = network(trainer.model, None if options.checkpoint else fit, score, name)
    found = Comparison(measure, (one, other), len(rows_of(test)[0]))
    if options.json:
        print(json.dumps(_finite(found.as_dict())), file=options.out)
    else:
        print(found)
    return 0


def _chosen(config: Config, which: str | None) -> Any:
    """The data of a name; without one those for testing, or else for validation."""
    if which is not None:
        found = getattr(config, which)
        if found is None:
            fail(ConfigError, "config", f"the configuration has no `{which}`")
        return found
    for name in ("test", "validation"):
        if getattr(config, name) is not None:
            return getattr(config, name)
    text = "the configuration has neither `test` nor `validation`"
    fail(ConfigError, "config", text, "--on data looks at the training data")


def _load_weights(trainer: Trainer, path: str | None) -> None:
    """Weights from a file of weights, or from the state of a run."""
    if path is None:
        text = "a trained model is needed"
        fail(ConfigError, "config", text, "pass --checkpoint FILE, which `train --save FILE` wrote")
    if Path(path).is_dir():
        text = f"--checkpoint {path!r} is a folder"
        fail(ConfigError, "config", text, "name the file in it, such as last.safetensors")
    if not Path(path).is_file():
        fail(ConfigError, "config", f"there is no file {path!r}")
    found = load_file(path)
    is_run = isinstance(found, dict) and "model" in found and "batches_done" in found
    try:
        trainer.model.load_state_dict(found["model"] if is_run else found)
    except StateError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        lines = [line for line in lines if not line.startswith(("hint:", "at "))]
        details = "; ".join([*lines[:6], "…"] if len(lines) > 6 else lines).replace(":; ", ": ")
        text = f"{path!r} has weights of another model than {type(trainer.model).__name__} here"
        hint = "take the configuration, and the values, that the file was trained with"
        raise StateError(f"[config] {text}: {details}\n  hint: {hint}") from error
    if is_run and trainer.average is not None and found.get("average"):
        trainer.average.load_state_dict(found["average"])
        trainer.step = found["step"]  # from the first step on the averages are what is used


def _inputs(path: str) -> Any:
    try:
        found = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        fail(DataError, "predict", f"there is no file {path!r}")
    except (ValueError, OSError, EOFError) as error:
        fail(DataError, "predict", f"{path!r} is not a .npy file of numbers: {error}")
    if not isinstance(found, np.ndarray):
        fail(DataError, "predict", f"{path!r} holds several arrays", "save one with numpy.save")
    return found.astype(np.float32) if found.dtype.kind == "f" else found


def _write(found: Any, options: argparse.Namespace) -> None:
    path, rows = options.output, found.reshape(len(found), -1)
    if path is None:
        if options.json:
            print(json.dumps(_finite(found.tolist())), file=options.out)
        else:
            np.savetxt(options.out, rows, fmt="%g", delimiter=",")
        return
    if path.endswith(".npy"):
        np.save(path, found)
    else:
        np.savetxt(path, rows, fmt="%.9g", delimiter=",")
    if options.json:
        print(json.dumps({"saved": path, "shape": list(found.shape)}), file=options.out)


def _check_writable(path: str, option: str) -> None:
    """See that a file can be written, before hours of work: its folder is made."""
    place = Path(path)
    if not path or place.is_dir():
        fail(ConfigError, "config", f"{option} needs the name of a file, received {path!r}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = error.strerror or str(error)
        fail(ConfigError, "config", f"{option} {path!r}: the folder cannot be made: {why}")
    if not os.access(place.parent, os.W_OK) or (place.exists() and not os.access(place, os.W_OK)):
        fail(ConfigError, "config", f"{option} {path!r}: no right to write there")


def _rounds(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, received {text!r}")
    return int(text)


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: there they are null."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value


def _tell(found: dict[str, Any], options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps(_finite(found)), file=options.out)
        return
    plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in found.items()}
    width = max((len(name) for name in plain), default=0)
    for name, value in plain.items():
        print(f"{name:<{width}}  {figure(value)}")
