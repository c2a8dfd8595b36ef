"""Checkpoints of a run: written in the background, and found again.

A checkpoint is two files: `step-00000120.safetensors`, the state, and `step-00000120.json`, which
is written after it and says how long it is and what its SHA-256 is, how far the logs of the run
were, and which checkpoint came before. Without the second the first does not count.
"""

from __future__ import annotations

import hashlib
import os
import queue
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from elinvar.core import durable
from elinvar.core.errors import RunError
from elinvar.runs.files import hash_of, read_sealed, refuse, write_sealed

_NAME = re.compile(r"step-(\d{8,})\.json")
_NEEDED = {
    "step": int, "epoch": int, "file": str, "bytes": int, "sha256": str, "chain": str,
    "logs": dict, "manifest": str,
}  # fmt: skip


class Checkpoint(NamedTuple):
    """A checkpoint that is whole, as far as its table says."""

    path: Path  # the state
    table: dict[str, Any]

    @property
    def step(self) -> int:
        """The step after which it was taken."""
        return int(self.table["step"])


def file_name(step: int) -> str:
    """The state's file.

    Example:
        >>> file_name(120)
        'step-00000120.safetensors'
    """
    return f"step-{step:08d}.safetensors"


class Writer:
    """A thread that does one thing after the other, and gives way to those that compute.

    Attributes:
        errors: what went wrong, with what was being done.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[str, Callable[[], object]] | None] = queue.SimpleQueue()
        self._idle = threading.Condition()
        self._open = 0
        self.errors: list[tuple[str, Exception]] = []
        self._thread: threading.Thread | None = None

    def do(self, what: str, job: Callable[[], object]) -> None:
        """Do something soon."""
        with self._idle:
            self._open += 1
        self._jobs.put((what, job))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="elinvar-run", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        try:  # Linux has priorities by thread
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        except (AttributeError, OSError):
            pass
        while (item := self._jobs.get()) is not None:
            what, job = item
            try:
                job()
            except Exception as error:
                self.errors.append((what, error))
            finally:
                del job, item
                with self._idle:
                    self._open -= 1
                    self._idle.notify_all()

    @property
    def busy(self) -> bool:
        """Whether something is still to be done."""
        return self._open > 0

    def wait(self) -> None:
        """Wait until all is done."""
        with self._idle:
            self._idle.wait_for(lambda: not self._open)

    def close(self) -> None:
        """Do what is left, and end."""
        self.wait()
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None


def write(folder: Path, pieces: Iterator[Any], table: dict[str, Any]) -> str:
    """Write a checkpoint: its seal.

    Args:
        folder: where.
        pieces: the bytes of the state.
        table: what goes with it; it has the step.
    """
    path = folder / file_name(table["step"])
    found = hashlib.sha256()
    size = durable.replace(path, pieces, found.update)
    whole = {**table, "file": path.name, "bytes": size, "sha256": found.hexdigest()}
    return write_sealed(path.with_suffix(".json"), whole)


def thin(folder: Path, keep: int, kept_steps: tuple[int, ...] = (0,)) -> None:
    """Delete all but the newest `keep` checkpoints and those of `kept_steps`."""
    steps = sorted(_steps(folder))
    for step in [step for step in steps[: max(len(steps) - keep, 0)] if step not in kept_steps]:
        state = folder / file_name(step)
        state.with_suffix(".json").unlink(missing_ok=True)  # first: without it none is there
        state.unlink(missing_ok=True)


def _steps(folder: Path) -> list[int]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return [int(found[1]) for name in names if (found := _NAME.fullmatch(name))]


def listed(folder: Path) -> Iterator[tuple[int, Checkpoint | RunError]]:
    """All checkpoints, the newest first; in place of one whose table is damaged the reason."""
    for step in sorted(_steps(folder), reverse=True):
        state = folder / file_name(step)
        try:
            yield step, Checkpoint(state, _table(state.with_suffix(".json"), step))
        except RunError as error:
            yield step, error


def _table(path: Path, step: int) -> dict[str, Any]:
    table = read_sealed(path)
    for name, kind in _NEEDED.items():
        if type(table.get(name)) is not kind:
            refuse(path, f"lacks {name!r}")
    if table["step"] != step or table["file"] != file_name(step):
        refuse(path, f"is the table of {table['file']!r}: files were mixed up")
    return table


def check(checkpoint: Checkpoint) -> None:
    """Compare a checkpoint's state with its table.

    Raises:
        RunError: it is missing, cut, or damaged.
    """
    path, table = checkpoint
    try:
        size, found = hash_of(path)
    except FileNotFoundError:
        refuse(path, "is missing")
    except OSError as error:
        refuse(path, f"cannot be read: {error.strerror or error}")
    if size != table["bytes"]:
        refuse(path, f"has {size} bytes instead of {table['bytes']}: it was cut, or replaced")
    if found != table["sha256"]:
        refuse(path, "is damaged: its SHA-256 is not what its table says")


def newest(folder: Path, manifest: str | None = None) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that is whole, and why newer ones are not used.

    Args:
        folder: where they are.
        manifest: the seal of the run's manifest; those of other runs do not count.
    """
    reasons = []
    for _, found in listed(folder):
        try:
            if isinstance(found, RunError):
                raise found
            if manifest is not None and found.table["manifest"] != manifest:
                refuse(found.path, "is of another run, or the manifest was replaced")
            check(found)
        except RunError as error:
            reasons.append(str(error).splitlines()[0].removeprefix("[run] "))
        else:
            return found, reasons
    return None, reasons


def set_aside(folder: Path, after: int) -> None:
    """Make way for a run that goes on after a step: checkpoints of later steps, which are damaged,
    get other names; what a killed process had begun to write is deleted."""
    for path in durable.leftovers(folder):
        path.unlink(missing_ok=True)
    for path in folder.glob("step-*.safetensors"):
        if not path.with_suffix(".json").exists():
            path.unlink(missing_ok=True)
    for step in _steps(folder):
        if step > after:
            for suffix in (".json", ".safetensors"):
                path = folder / file_name(step)
                path = path.with_suffix(suffix)
                if path.exists():
                    os.replace(path, path.with_name(path.name + ".damaged"))
