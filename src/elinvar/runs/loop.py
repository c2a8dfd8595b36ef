"""`el.run`: a training loop of one's own as a recorded run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from elinvar.carbon import Account
from elinvar.core.errors import DTypeError, RunError, StateError, fail
from elinvar.core.settings import settings
from elinvar.data.loader import DataLoader
from elinvar.data.pipeline import Pipeline
from elinvar.nn import serialization
from elinvar.nn.module import Module
from elinvar.nn.state import cells_of
from elinvar.runs import facts, latest, replaying
from elinvar.runs.digests import Digests
from elinvar.runs.identity import identities, optimizer_table, seeds
from elinvar.runs.naming import check_options
from elinvar.runs.run import Run, begun, how_it_ended
from elinvar.tensor.random import default_generator

FORMAT = 1


class LoopRun:
    """What `el.run` gives: tell it of each step.

    Attributes:
        folder: where it is recorded; None where it is not.
        steps_done: steps by now, those before a stop included.
        epoch: whole epochs by now.
        resumed: whether it goes on with an earlier process's work.
        energy: what it takes, and its carbon.
    """

    folder: Path | None
    steps_done: int
    epoch: int
    resumed: bool
    energy: Account

    def __init__(
        self,
        config: Mapping[str, Any],
        parts: Mapping[str, Any],
        folder: str | os.PathLike[str] | None,
        name: str | None,
        options: Mapping[str, Any],
        log_every: int,
        resume: Any,
    ) -> None:
        self._config, self._parts = dict(config), dict(parts)
        self._where, self._name, self._options = folder, name, dict(options)
        self._log_every, self._resume = log_every, resume
        self.folder, self.steps_done, self.epoch, self.resumed = None, 0, 0, False
        self._batch, self.energy = 0, Account()
        self._recorder: Any = None
        self._total, self._count = 0.0, 0
        modules = {key: part for key, part in parts.items() if isinstance(part, Module)}
        prefix = len(modules) > 1
        self._cells = {
            f"{key}.{path}" if prefix else path: cell
            for key, module in modules.items()
            for path, cell in cells_of(module)
        }
        self._modules = modules

    # ---- the beginning and the end ---------------------------------------------------------

    def __enter__(self) -> LoopRun:
        self._digests = Digests(self._cells)
        names = self._digests.names
        number, request = replaying.next_number(), replaying.request()
        table: dict[str, Any] = {k: type(p).__name__ for k, p in self._parts.items()}
        optimizers = {k: p for k, p in self._parts.items() if hasattr(p, "param_groups")}
        table |= {k: optimizer_table(p) for k, p in optimizers.items()}
        config = {"parts": table, **self._config}
        config |= seeds()
        resume = self._resumed(number)
        if request is not None:
            self._recorder = request.recorder(number, names)
            if self._recorder is not None:
                self._recorder.gather(config, self._data(self._recorder.algorithm))
        elif resume is not None:
            self._recorder = Run.go_on(
                resume, names, number=number, load=self._taken_over, **self._options
            )
        else:
            self._recorder = self._begun(names, config, number)
        recorder = self._recorder
        if recorder is not None:
            self._load(recorder)
        self.energy.start()
        self.energy.begin_epoch()
        return self

    def _load(self, recorder: Any) -> None:
        """Take over the state to go on from, and begin."""
        try:
            if recorder.checkpoint is not None and not isinstance(recorder, Run):
                self._taken_over(recorder.checkpoint.path)
            if isinstance(recorder, Run):
                self.folder = recorder.folder
                recorder.describe_data(self._data())
        except BaseException as error:
            if isinstance(recorder, Run):
                recorder.close("failed", error=str(error).splitlines()[0])
            raise
        recorder.start(self.epoch, self._batch, self.steps_done, self._digests())
        if recorder.checkpoint is None:
            self._save()

    def _taken_over(self, path: Path) -> None:
        self._restore(serialization.load(path))
        self.resumed = True

    def _resumed(self, number: int) -> Path | None:
        if settings.replay is not None or not self._resume:
            return None
        if self._resume is True:
            base = latest.runs_folder(self._where)
            return latest.newest_open(base, facts.program(), number)
        return latest.find(self._resume, latest.runs_folder(self._where))

    def _begun(self, names: list[str], config: dict[str, Any], number: int) -> Run | None:
        if settings.runs_dir is None and self._where is None:
            return None
        base = latest.runs_folder(self._where)
        wished = self._where is not None or self._name is not None
        return begun(base, self._name, wished, names, config, number, self._options)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        recorder, self._recorder = self._recorder, None
        self.energy.stop()
        if recorder is None or kind is not None and issubclass(kind, replaying.ReplayDone):
            return
        if error is None:
            recorder.save(self._pieces, self.steps_done, self.epoch)
            recorder.close("finished", energy=self.energy.as_dict())
            return
        outcome, text = how_it_ended(error)
        recorder.close(outcome, energy=self.energy.as_dict(), error=text)

    def _data(self, algorithm: str | None = None) -> Any:
        kinds = DataLoader | Pipeline
        sources = {key: part for key, part in self._parts.items() if isinstance(part, kinds)}
        return identities(sources, algorithm)

    # ---- what the loop tells ---------------------------------------------------------------

    def epochs(self, count: int) -> Iterator[int]:
        """The numbers of the epochs that are left of `count`, from 0 on.

        After each its mean loss is recorded, and it may be time for a checkpoint.
        """
        while self.epoch < count:
            yield self.epoch
            self.epoch, self._batch = self.epoch + 1, 0
            if self._count:
                mean, energy = self._total / self._count, self.energy.epoch()
                self.log("epoch", epoch=self.epoch, loss=mean, **energy)
            self.energy.begin_epoch()
            self._total, self._count = 0.0, 0
            self._save_if_due()

    def step(self, loss: Any = float("nan"), **figures: Any) -> None:
        """A step was done: the parameters are changed.

        Args:
            loss: a tensor or a number.
            figures: others, which stand in the metrics beside it.
        """
        value = float(loss.item() if hasattr(loss, "item") else loss)
        self.steps_done += 1
        self._batch += 1
        self._total, self._count = self._total + value, self._count + 1
        recorder = self._recorder
        if recorder is None:
            return
        recorder.step(self.steps_done, self.epoch, self._batch, value, self._digests())
        if self.steps_done % self._log_every == 0 or figures:
            self.log("step", loss=value, **figures)
        if recorder.reached(self.steps_done):
            recorder.close("stopped")
        self._save_if_due()

    def log(self, kind: str = "figures", /, **figures: Any) -> None:
        """Record figures at the present step."""
        if self._recorder is not None:
            plain = {k: v.item() if hasattr(v, "item") else v for k, v in figures.items()}
            self._recorder.figures(kind, self.steps_done, plain)

    def save(self) -> None:
        """Write a checkpoint now, and wait for it."""
        if self._recorder is not None:
            self._recorder.save(self._pieces, self.steps_done, self.epoch, True)

    def _save_if_due(self) -> None:
        if self._recorder is not None and self._recorder.is_due():
            self._save()

    def _save(self) -> None:
        self._recorder.save(self._pieces, self.steps_done, self.epoch)

    # ---- the state -------------------------------------------------------------------------

    def _pieces(self) -> Iterator[Any]:
        parts = {
            key: part.state_dict()
            for key, part in self._parts.items()
            if not isinstance(part, Module)
        }
        return serialization.chunks(
            {
                "loop": FORMAT,
                "step": self.steps_done,
                "epoch": self.epoch,
                "batch": self._batch,
                "loss": [self._total, self._count],
                "generator": default_generator.get_state(),
                "model": {name: cell.detach() for name, cell in self._cells.items()},
                "parts": parts,
                "energy": self.energy.state_dict(),
            }
        )

    def _restore(self, state: Any) -> None:
        if not isinstance(state, dict) or state.get("loop") != FORMAT:
            fail(RunError, "run", "the state is not one of el.run", "was it a Trainer's run?")
        held, own = set(state["parts"]), {k for k in self._parts if k not in self._modules}
        if held != own:
            odd = ", ".join(sorted(held ^ own))
            fail(StateError, "run", f"it was recorded with other parts: {odd}")
        prefix = len(self._modules) > 1
        for key, module in self._modules.items():
            start = f"{key}." if prefix else ""
            tensors = state["model"].items()
            module.load_state_dict(
                {name[len(start) :]: cell for name, cell in tensors if name.startswith(start)}
            )
        for key, saved in state["parts"].items():
            self._parts[key].load_state_dict(saved)
        default_generator.set_state(state["generator"])
        self.steps_done, self.epoch, self._batch = state["step"], state["epoch"], state["batch"]
        self._total, self._count = state["loss"]
        self.energy.load_state_dict(state["energy"])


def run(
    config: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    log_every: int = 10,
    checkpoint_every: float = 300.0,
    keep: int = 2,
    resume: str | os.PathLike[str] | bool | None = None,
    **parts: Any,
) -> LoopRun:
    """Record a training loop of one's own, as a Trainer records its `fit`.

        with el.run(config={"rate": 0.1}, model=model, optimizer=optimizer, data=loader) as run:
            for epoch in run.epochs(3):
                for x, y in loader:
                    loss = step(x, y)
                    run.step(loss)

    Args:
        config: what you chose: numbers, texts, and lists and dicts of them.
        name: of the run's folder; by default the time and the program's name.
        folder: in which the run's folder is made; by default `ELINVAR_RUNS`, or `runs`.
        log_every: steps between lines of figures.
        checkpoint_every: seconds between checkpoints.
        keep: checkpoints that are kept beside the first.
        resume: a run's folder or name: go on in it; `True` is the newest run of this program, if it
            did not finish. Then models, optimizers, loaders and the random numbers are as they were
            after the step that was saved.
        parts: by name, what the state consists of: modules, optimizers, schedules, loaders,
            pipelines, and whatever else has `state_dict` and `load_state_dict`. Tensors of modules
            are digested after each step.

    Raises:
        DTypeError: a part has no state.
        RunError: there is no such run, or it is in use or damaged beyond use.

    Example:
        >>> import elinvar as el, tempfile
        >>> model = el.nn.Linear(2, 1)
        >>> optimizer = el.optim.SGD(model.parameters(), lr=0.1)
        >>> x = el.ones(4, 2)
        >>> folder = tempfile.mkdtemp()
        >>> with el.run({"rate": 0.1}, folder=folder, model=model, optimizer=optimizer) as run:
        ...     for _ in range(3):
        ...         optimizer.zero_grad()
        ...         loss = (model(x) ** 2).mean()
        ...         loss.backward()
        ...         optimizer.step()
        ...         run.step(loss)
        >>> run.steps_done
        3
    """
    if config is not None and not isinstance(config, Mapping):
        fail(DTypeError, "run", f"config must be a dict, received {type(config).__name__}")
    for key, part in parts.items():
        if not (hasattr(part, "state_dict") and hasattr(part, "load_state_dict")):
            text = f"{key} must have state_dict and load_state_dict, received {part!r:.60}"
            fail(DTypeError, "run", text, "numbers and texts go in config={…}")
    check_options(log_every, checkpoint_every, keep)
    options = {"every": checkpoint_every, "keep": keep}
    return LoopRun(config or {}, parts, folder, name, options, log_every, resume)
