"""What a Trainer records of its runs, and how it goes on with one."""

from __future__ import annotations

import inspect
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from elinvar.core.errors import DTypeError, ShapeError, fail
from elinvar.core.settings import settings
from elinvar.nn import serialization
from elinvar.nn.state import cells_of
from elinvar.runs import checkpoints, facts, latest, replaying
from elinvar.runs import run as layout
from elinvar.runs.digests import Digests
from elinvar.runs.identity import identities, optimizer_table, seeds
from elinvar.runs.naming import check_name, check_options
from elinvar.runs.run import Run, begun, how_it_ended, say
from elinvar.train import state
from elinvar.train.signals import leave

if TYPE_CHECKING:
    from elinvar.train.trainer import Trainer

_MOST_LINES = 1000  # of a model's description
PLAIN = (int, float, str, bool, type(None))


class Recording:
    """What `Trainer(record=…)` takes: where and how runs are recorded.

    Args:
        folder: in which each run makes its own folder; by default `ELINVAR_RUNS`, or `runs`.
        name: of the run's folder; by default the time and the program's name.
        log_every: steps between lines of figures in `metrics.jsonl`.
        checkpoint_every: seconds between checkpoints. They are written in the background, at the
            end of an epoch if one ends then, and after the last step.
        keep: how many checkpoints are kept beside the first, the state before any step.
    """

    folder: Path | None
    name: str | None
    log_every: int
    checkpoint_every: float
    keep: int

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        name: str | None = None,
        *,
        log_every: int = 10,
        checkpoint_every: float = 300.0,
        keep: int = 2,
    ) -> None:
        check_options(log_every, checkpoint_every, keep)
        if name is not None:
            check_name(name)
        self.folder = None if folder is None else Path(folder)
        self.name, self.log_every = name, log_every
        self.checkpoint_every, self.keep = checkpoint_every, keep


def wish_of(record: Any) -> Recording | None:
    """The argument `record` of a Trainer as a `Recording`; None where nothing is to be recorded."""
    if record is False or (record is None and settings.runs_dir is None):
        return None
    if record is None or record is True:
        return Recording()
    if isinstance(record, Recording):
        return record
    if isinstance(record, str | os.PathLike):
        return Recording(name=os.fspath(record))
    text = f"record must be True, False, a name or an el.train.Recording, received {record!r:.60}"
    fail(DTypeError, "Trainer", text)


def resumed(resume: Any, wish: Recording | None) -> Any:
    """What to go on from: a file, the folder of a run, or None.

    Args:
        resume: as of `fit`.
        wish: how the trainer records.
    """
    if resume is False or resume is None:
        return None
    base = wish.folder if wish is not None and wish.folder is not None else latest.runs_folder()
    if resume is True:
        if settings.replay is not None:
            return None
        if wish is not None and wish.name is not None:
            return latest.named_open(base / wish.name)
        return latest.newest_open(base, facts.program(), replaying.coming_number())
    if not Path(resume).exists() and not str(resume).endswith(".safetensors"):
        if (base / os.fspath(resume)).is_dir():
            return base / os.fspath(resume)
    return resume


class Recorder:
    """Records one `fit`. Where `run` is None it does nothing.

    Attributes:
        run: what is written to, or compared with.
    """

    trainer: Trainer
    run: Any

    def __init__(self, trainer: Trainer, wish: Recording | None, resume: Any, data: Any) -> None:
        self.trainer, self.run = trainer, None
        self._log_every = 10 if wish is None else wish.log_every
        number, request = replaying.next_number(), replaying.request()
        self._digests = Digests(dict(cells_of(trainer.model)))
        names, start = self._digests.names, resume
        if request is not None:
            self.run = request.recorder(number, names)
            if self.run is not None:
                start = None  # whatever the program says
                self.run.gather(_describe(trainer), identities(data, self.run.algorithm))
        elif resume is not None and latest.is_run(resume):
            options = _options(wish or Recording())
            self.run = Run.go_on(Path(resume), names, number=number, load=trainer.load, **options)
            start = None
        elif wish is not None:
            base = wish.folder or settings.runs_dir or Path("runs")
            wished = wish.name is not None or wish.folder is not None
            config = _describe(trainer)
            self.run = begun(base, wish.name, wished, names, config, number, _options(wish))
        if request is not None:
            start = _state_of(start)
            if self.run is not None and self.run.checkpoint is not None:
                start = self.run.checkpoint.path
        try:
            if start is not None:
                trainer.load(start)
            if isinstance(self.run, Run):
                self.run.describe_data(identities(data))
        except BaseException as error:
            if isinstance(self.run, Run):
                self.run.close("failed", error=str(error).splitlines()[0])
            raise
        trainer.run_folder = self.run_folder

    @property
    def run_folder(self) -> Path | None:
        """Where the run is recorded; None where it is not."""
        return self.run.folder if isinstance(self.run, Run) else None

    @contextmanager
    def recorded(self, tells: bool) -> Iterator[None]:
        """Within, training happens; then the record is complete.

        Args:
            tells: say where it is.
        """
        outcome, more = "failed", dict[str, Any]()
        try:
            yield
            outcome = "finished" if self.trainer.stop_reason is None else "stopped"
        except BaseException as error:
            outcome, more["error"] = how_it_ended(error)
            raise
        finally:
            if self.run is not None:
                self.run.close(outcome, energy=self.trainer.energy.as_dict(), **more)
                if tells and isinstance(self.run, Run) and outcome in ("finished", "stopped"):
                    say(f"recorded in {self.run.folder}; elinvar replay {self.run.folder}")

    # ---- what the trainer tells ------------------------------------------------------------

    def start(self) -> None:
        """Training is about to begin, or to go on."""
        if self.run is None:
            return
        trainer = self.trainer
        self.run.start(trainer.epoch, trainer.batches_done, trainer.step, self._digests())
        if self.run.checkpoint is None:
            self.save()

    def epoch_begins(self) -> None:
        """All that belongs to the epoch before is done."""
        if self.run is not None and self.run.is_due():
            self.save()

    def step_done(self, loss: float) -> None:
        """A step was done, and all callbacks know."""
        run, trainer = self.run, self.trainer
        if run is None:
            return
        step = trainer.step
        try:
            digests = self._digests()
        except ShapeError as error:
            if not isinstance(run, Run):
                raise
            why = checkpoints.text_of(error)
            say(f"step {step} and what comes after it is not recorded: {why}")
            run.close("failed", error=why)
            self.run = None
            return
        run.step(step, trainer.epoch, trainer.batches_done, loss, digests)
        if step % self._log_every == 0:
            row = {"loss": loss, "lr": trainer.learning_rate}
            run.figures("step", step, row)
        if run.is_due():
            self.save()
        if run.reached(step):
            trainer.stop("the steps to compare are done")

    def epoch_done(self) -> None:
        """The figures of an epoch are known."""
        if self.run is not None:
            row = state.plain(self.trainer.history.rows[-1])
            self.run.figures("epoch", self.trainer.step, row)

    def save(self, wait: bool = False) -> None:
        """Write a checkpoint."""
        trainer = self.trainer

        def pieces() -> Any:
            return serialization.chunks(state.captured(trainer))

        self.run.save(pieces, trainer.step, trainer.epoch, wait)

    def interrupted(self, by: signal.Signals) -> NoReturn:
        """Save, and leave: the signal's sender finds everything on disk.

        Raises:
            Interrupted: it was Ctrl-C; the text says where it was saved, or why not.
            SystemExit: it was SIGTERM.
        """
        trainer, trouble = self.trainer, None
        saved = self.run_folder or trainer.folder / "interrupted.safetensors"
        try:
            if self.run_folder is None:
                trainer.save(saved)
            else:
                self.save(wait=True)
        except Exception as error:  # a folder that is full or read-only: that training ends stays
            trouble = error
        where = f"step {trainer.step} (epoch {trainer.epoch + 1}, batch {trainer.batches_done})"
        leave(by, where, str(saved), trouble)

    def last_step(self) -> None:
        """No step comes after this one."""
        if self.run is not None:
            self.save()


def _options(wish: Recording) -> dict[str, Any]:
    return {"every": wish.checkpoint_every, "keep": wish.keep}


def _state_of(start: Any) -> Any:
    """What another run of a program that is replayed goes on from: the state in its folder, which
    stays as it is."""
    if start is None or not latest.is_run(start):
        return start
    folder = Path(start) / layout.CHECKPOINTS
    found, _ = checkpoints.newest(folder, layout.id_of(Path(start)))
    return None if found is None else found.path


def _describe(trainer: Trainer) -> dict[str, Any]:
    """What the user chose, as a table."""
    found: dict[str, Any] = {
        "model": {
            "class": type(trainer.model).__qualname__,
            "layers": repr(trainer.model).splitlines()[:_MOST_LINES],
            "tensors": {
                name: f"{cell.dtype.name}{list(cell.shape)}"
                for name, cell in trainer.model.state_dict().items()
            },
        },
        "loss": _name(trainer.loss),
        "metrics": list(trainer.metrics),
        "callbacks": [type(callback).__qualname__ for callback in trainer.callbacks],
        "accumulate": trainer.accumulate,
        "epochs": trainer.epochs if trainer.epochs < 1 << 60 else None,
        "schedule": _schedule(trainer.schedule or trainer.plateau),
        "average": None if trainer.average is None else trainer.average.decay,
        **seeds(),
        **{name: value for name, value in trainer.options.items() if isinstance(value, PLAIN)},
    }
    if trainer.optimizer is not None:
        found["optimizer"] = optimizer_table(trainer.optimizer)
    return found


def _schedule(schedule: Any) -> dict[str, Any] | None:
    """A schedule's class, and the plain values that it was made with."""
    if schedule is None:
        return None
    held, names = vars(schedule), inspect.signature(type(schedule)).parameters
    plain = {name: held[name] for name in names if isinstance(held.get(name, ()), PLAIN)}
    return {"class": type(schedule).__name__, **plain}


def _name(what: Any) -> str | None:
    if what is None:
        return None
    return str(getattr(what, "__qualname__", type(what).__qualname__))
