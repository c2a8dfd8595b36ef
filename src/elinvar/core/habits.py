"""What training's words are called here that Keras, Lightning and PyTorch call otherwise.

By place: keywords of a function, attributes of an object, names of a module. What stands behind
a name is said in the hint; it is not always one word.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from elinvar.core.errors import DTypeError, fail

P = ParamSpec("P")
R = TypeVar("R")

_RATE = "the optimizer has the rate: el.Trainer(model, el.optim.AdamW(model.parameters(), lr=…))"
_DEVICE = "there is one device, the processor; leave it out"
_TUPLE = "inputs and targets go in one tuple: fit((x, y))"
_FIT = "it stands in fit(data, epochs=…)"
_MADE = "it stands where the trainer is made: el.Trainer(…, callbacks=[…])"

HABITS: dict[str, dict[str, str]] = {
    "Trainer.fit": {
        **dict.fromkeys(("validation_data", "val_data", "valid", "eval_data"), "validation=…"),
        **dict.fromkeys(("val_dataloaders", "val_loader", "val"), "validation=…"),
        **dict.fromkeys(("max_epochs", "num_epochs", "n_epochs", "nb_epoch"), "epochs=…"),
        **dict.fromkeys(("max_steps", "steps_per_epoch"), "steps=… (all in all)"),
        **dict.fromkeys(("train_dataloaders", "train_loader", "train_data", "loader"), "data"),
        **dict.fromkeys(("x", "y", "X", "inputs", "targets", "labels"), _TUPLE),
        **dict.fromkeys(("lr", "learning_rate"), _RATE),
        **dict.fromkeys(("ckpt_path", "checkpoint", "resume_from_checkpoint"), "resume=…"),
        **dict.fromkeys(("verbose", "progress"), "el.Trainer(…, progress=False)"),
        "callbacks": _MADE,
        "metrics": "it stands where the trainer is made: el.Trainer(…, metrics=[…])",
        "validation_split": "cut the arrays: validation=(x[n:], y[n:])",
        "class_weight": "a loss with weights: el.nn.CrossEntropyLoss(weight=…)",
        "sample_weight": "put weights into the batch, and use them in a loss of your own",
        "fast_dev_run": "dry_run=True",
        "initial_epoch": "resume=…",
    },
    "Trainer": {
        **dict.fromkeys(("max_epochs", "num_epochs", "epochs", "max_steps", "batch_size"), _FIT),
        **dict.fromkeys(("lr", "learning_rate"), _RATE),
        **dict.fromkeys(("device", "devices", "accelerator", "strategy", "num_nodes"), _DEVICE),
        **dict.fromkeys(("gradient_clip_val", "max_grad_norm", "clip"), "clip_norm=…"),
        **dict.fromkeys(("accumulate_grad_batches", "gradient_accumulation_steps"), "accumulate=…"),
        **dict.fromkeys(("scheduler", "lr_scheduler"), "schedule=…"),
        **dict.fromkeys(("enable_progress_bar", "verbose", "progress_bar"), "progress=…"),
        **dict.fromkeys(("compile", "jit", "jit_compile", "run_eagerly"), "compiled=…"),
        **dict.fromkeys(("default_root_dir", "output_dir", "dirpath", "log_dir"), "folder=…"),
        **dict.fromkeys(("amp", "fp16", "bf16", "mixed_precision"), 'precision="bf16"'),
        "seed": "el.manual_seed(…) before the model is made; fit(…, seed=…) for the order",
        "criterion": "loss=…",
        "loss_fn": "loss=…",
        "callback": "callbacks=[…]",
        "metric": "metrics=[…]",
        "logger": "a Callback of your own, or trainer.history",
        "fast_dev_run": "fit(…, dry_run=True)",
        "overfit_batches": "trainer.overfit(data)",
        "use_ema": "ema=0.999",
    },
    "Checkpoint": {
        **dict.fromkeys(("dirpath", "filepath", "path", "output_dir"), "folder"),
        **dict.fromkeys(("save_best_only", "save_top_k"), "keep=…, how many of the best"),
        **dict.fromkeys(("save_last", "save_freq"), "last=…, every=…"),
        "every_n_train_steps": "every=…",
    },
    "EarlyStopping": {
        "restore_best_weights": "restore_best=…",
        "start_from_epoch": "patience=…",
        "verbose": "the reason stands in trainer.stop_reason",
    },
    "Trainer object": {
        **dict.fromkeys(("train", "fit_generator", "train_model", "run"), "fit"),
        **dict.fromkeys(("test", "validate", "score", "eval"), "evaluate"),
        **dict.fromkeys(("predict_proba", "predict_on_batch"), "predict"),
        **dict.fromkeys(("save_checkpoint", "save_model", "save_weights"), "save"),
        **dict.fromkeys(("load_checkpoint", "load_model", "load_weights"), "load"),
        **dict.fromkeys(("should_stop", "stop_training"), "stop(reason)"),
        **dict.fromkeys(("callback_metrics", "logged_metrics", "metrics_names"), "logs"),
        **dict.fromkeys(("current_epoch", "max_epochs"), "epoch (finished) and epochs (in all)"),
        **dict.fromkeys(("lr", "lr_schedulers"), "learning_rate and schedule"),
        **dict.fromkeys(("lr_find", "tune"), "find_lr"),
        **dict.fromkeys(("to", "cuda", "device"), "nothing: there is one device, the processor"),
        "global_step": "step",
        "compile": "nothing: el.Trainer(model, optimizer, loss) is made at once",
        "train_on_batch": "a plain loop, or fit([batch])",
        "optimizers": "optimizer",
        "log": "a metric, or a line in trainer.logs",
        "summary": "model.summary(example)",
        "state": "state_dict()",
    },
    "History object": {
        "history": "columns: history['loss'] is one, history[-1] the newest row",
        "losses": "history['loss']",
        "epoch": "history['epoch']",
        "keys": "columns",
    },
    "Module object": {
        **dict.fromkeys(("fit", "training_step"), "el.Trainer(model, optimizer, loss).fit(data)"),
        **dict.fromkeys(("evaluate", "validation_step"), "el.Trainer(…).evaluate(data)"),
        **dict.fromkeys(("predict", "predict_step"), "el.Trainer(model).predict(x), or model(x)"),
        **dict.fromkeys(("save", "save_weights"), "el.save(model.state_dict(), file)"),
        **dict.fromkeys(("load", "load_weights"), "model.load_state_dict(el.load(file))"),
        **dict.fromkeys(("weights", "trainable_variables", "trainable_weights"), "parameters()"),
        **dict.fromkeys(("freeze", "trainable"), "requires_grad_(False)"),
        "unfreeze": "requires_grad_(True)",
        "layers": "children(), or model[i] of a Sequential",
        "get_weights": "state_dict()",
        "set_weights": "load_state_dict(…)",
        "count_params": "sum(p.size for p in model.parameters())",
        "compile": "el.jit(model)",
        "configure_optimizers": "el.Trainer(model, optimizer, loss)",
        "call": "forward",
        "device": "nothing: there is one device, the processor",
    },
    "callback": {
        **dict.fromkeys(("on_train_start", "on_train_begin"), "on_fit_start"),
        "on_train_end": "on_fit_end",
        **dict.fromkeys(("on_train_epoch_start", "on_epoch_begin"), "on_epoch_start"),
        "on_train_epoch_end": "on_epoch_end",
        **dict.fromkeys(("on_train_batch_start", "on_train_batch_begin"), "on_step_start"),
        **dict.fromkeys(("on_batch_begin", "on_batch_start"), "on_step_start"),
        **dict.fromkeys(("on_train_batch_end", "on_batch_end"), "on_step_end"),
        **dict.fromkeys(("on_validation_epoch_start", "on_test_begin"), "on_validation_start"),
        **dict.fromkeys(("on_validation_epoch_end", "on_test_end"), "on_validation_end"),
        "on_keyboard_interrupt": "on_exception",
        "on_save_checkpoint": "state_dict",
        "on_load_checkpoint": "load_state_dict",
    },
    "loss": {
        **dict.fromkeys(("binary_crossentropy", "bce_with_logits", "binary_cross_entropy"), "bce"),
        **dict.fromkeys(("categorical_crossentropy", "ce", "logloss"), "cross_entropy"),
        "sparse_categorical_crossentropy": "cross_entropy",
        **dict.fromkeys(("mean_squared_error", "l2", "mseloss"), "mse"),
        **dict.fromkeys(("mean_absolute_error", "l1", "l1_loss"), "mae"),
        **dict.fromkeys(("nll_loss", "nllloss"), "nll"),
        **dict.fromkeys(("smooth_l1", "huber_loss"), "huber"),
    },
    "metric": {
        **dict.fromkeys(("acc", "binary_accuracy", "categorical_accuracy"), "accuracy"),
        "sparse_categorical_accuracy": "accuracy",
        "f1_score": "f1",
        **dict.fromkeys(("auc", "roc_auc"), "auroc"),
        "pr_auc": "average_precision",
        **dict.fromkeys(("mean_squared_error",), "mse"),
        **dict.fromkeys(("mean_absolute_error", "l1"), "mae"),
        "r2_score": "r2",
        "confusion_matrix": "confusion",
        "top5": "top_k",
    },
    "train": {
        **dict.fromkeys(("ModelCheckpoint", "BackupAndRestore"), "Checkpoint"),
        **dict.fromkeys(("ReduceLROnPlateau", "LearningRateScheduler"), "el.Trainer(schedule=…)"),
        **dict.fromkeys(("TQDMProgressBar", "ProgbarLogger", "ProgressBar"), "progress='bar'"),
        **dict.fromkeys(("CSVLogger", "TensorBoard", "LearningRateMonitor"), "trainer.history"),
        **dict.fromkeys(("EMA", "ExponentialMovingAverage"), "MovingAverage"),
        "LambdaCallback": "a class C(el.train.Callback)",
    },
}


def habit(place: str, name: str, known: Iterable[str] = ()) -> str | None:
    """What to say of a word that a place does not know: what it is called here, or the nearest."""
    table = HABITS.get(place, {})
    found = table.get(name, table.get(name.lower()))
    if found is not None:
        return f"here: {found}"
    alike = difflib.get_close_matches(name, list(known), 1)
    return f"did you mean {alike[0]!r}?" if alike else None


def attribute(owner: Any, place: str, name: str) -> Any:
    """For `__getattr__`: raise the error of an attribute that is not there.

    Raises:
        AttributeError: with what it is called here; or as Python has it, with the nearest name, or
            with the error of a property that failed.
    """
    found = habit(place, name)
    if found is None:
        return object.__getattribute__(owner, name)
    text = f"{type(owner).__name__!r} object has no attribute {name!r}; {found}"
    raise AttributeError(text, name=name, obj=owner)


class Refused:
    """An attribute that other frameworks let one set, and which would change nothing here."""

    def __init__(self, place: str, name: str) -> None:
        self._place, self._name = place, name

    def __get__(self, owner: Any, kind: Any) -> Any:
        raise AttributeError(self._name)  # `__getattr__` says the rest

    def __set__(self, owner: Any, value: Any) -> None:
        text = f"{self._name} and the like cannot be set"
        fail(DTypeError, type(owner).__name__, text, habit(self._place, self._name))


def named(place: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator: keywords that a function does not have are named, with what they are here.

    Raises:
        DTypeError: on a call with such a keyword, or with arguments too many.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        parameters = inspect.signature(function).parameters.values()
        known = [p.name for p in parameters if p.name != "self"]
        most = sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)
        words = place.rpartition(".")

        @wraps(function)
        def checked(*arguments: P.args, **options: P.kwargs) -> R:
            for name in options:
                if name not in known:
                    hint = habit(place, name, known) or f"there are {', '.join(known)}"
                    text = f"{words[2]} has no argument {name!r}"
                    fail(DTypeError, words[0] or place, text, hint)
            if len(arguments) > most:
                text = f"{words[2]} takes {most - 1} arguments without names, received "
                fail(DTypeError, words[0] or place, f"{text}{len(arguments) - 1}", _TUPLE)
            return function(*arguments, **options)

        return checked

    return decorate
