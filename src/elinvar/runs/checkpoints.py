"""Checkpoints of a run: written in the background, and found again.

A checkpoint is two files: `step-00000120.safetensors`, the state, and `step-00000120.json`, which
is written after it and says how long it is and what its SHA-256 is, how far the logs of the run
were, and which checkpoint came before. Without the second the first does not count. Where a step is
saved again, as at the end of an epoch, the new state is `step-00000120b.safetensors`: the old one
is there until the table names the new one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from elinvar.core import durable
from elinvar.core.errors import RunError
from elinvar.runs.files import hash_of, read_sealed, refuse, write_sealed

_NAME = re.compile(r"step-(\d{8,})\.json")
_STATE = re.compile(r"step-(\d{8,})b?\.safetensors")
_NEEDED = {
    "step": int, "epoch": int, "file": str, "bytes": int, "sha256": str, "chain": str,
    "logs": dict, "manifest": str, "run": str, "first": int,
}  # fmt: skip


class Checkpoint(NamedTuple):
    """A checkpoint that is whole, as far as its table says."""

    path: Path  # the state
    table: dict[str, Any]

    @property
    def step(self) -> int:
        """The step after which it was taken."""
        return int(self.table["step"])


def table_name(step: int) -> str:
    """The table's file.

    Example:
        >>> table_name(120)
        'step-00000120.json'
    """
    return f"step-{step:08d}.json"


def state_names(step: int) -> tuple[str, str]:
    """The two files in one of which the state is.

    Example:
        >>> state_names(120)
        ('step-00000120.safetensors', 'step-00000120b.safetensors')
    """
    return f"step-{step:08d}.safetensors", f"step-{step:08d}b.safetensors"


PIECE = 1 << 18  # bytes that are written and hashed at a time
PAUSE = 30  # times as long as a piece took
LONGEST_PAUSES = 60.0  # seconds in all, for one checkpoint


class Writer:
    """A thread that does one thing after the other.

    Attributes:
        errors: what went wrong, with what was being done.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[str, Callable[[], object]] | None] = queue.SimpleQueue()
        self._idle = threading.Condition()
        self._open = 0
        self._hurry = threading.Event()  # somebody waits
        self.errors: list[tuple[str, Exception]] = []
        self._thread: threading.Thread | None = None

    def do(self, what: str, job: Callable[[], object]) -> None:
        """Do something soon."""
        with self._idle:
            self._open += 1
        self._jobs.put((what, job))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="elinvar-run", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # the system has no more threads: then it is done here and now
                self._thread = None
                self._jobs.put(None)
                self._work()

    def give_way(self) -> None:
        """From now on do things only while nobody computes; called by what is done. A thread on
        Linux cannot take this back."""
        if threading.current_thread() is self._thread:
            try:  # Linux has priorities by thread
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
            except (AttributeError, OSError):
                pass

    def paced(self, pieces: Iterable[Any]) -> Iterator[Any]:
        """The pieces, cut small, with pauses in which those who compute have all cores; without
        pauses as soon as somebody waits.

        A step of training ends when its slowest thread does, so what is taken from one core makes
        it longer by as much: all at once that was 27 ms for a GPT's 37 MB, a pace of 3 % of a
        core makes each of the next steps a little longer.
        """
        held = [memoryview(piece).cast("B") for piece in pieces]
        longest = LONGEST_PAUSES / max(sum(map(len, held)), 1)
        for piece in held:
            for start in range(0, len(piece), PIECE):
                part, before = piece[start : start + PIECE], time.thread_time()
                yield part
                took = time.thread_time() - before
                self._hurry.wait(min(took * PAUSE, len(part) * longest))

    def _work(self) -> None:
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

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until all is done, or for so long: whether it is."""
        self._hurry.set()
        with self._idle:
            done = self._idle.wait_for(lambda: not self._open, seconds)
        if done:
            self._hurry.clear()
        return done

    def close(self, seconds: float | None = None) -> None:
        """Do what is left, and end; what takes longer than that is left to itself."""
        if self.wait(seconds) and self._thread is not None:
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
    step = int(table["step"])
    place, names = folder / table_name(step), state_names(step)
    old = _named(place, step) or names[1]
    path = folder / names[old == names[0]]
    found = hashlib.sha256()
    size = durable.replace(path, pieces, found.update)
    whole = {**table, "file": path.name, "bytes": size, "sha256": found.hexdigest()}
    try:
        seal = write_sealed(place, whole)
    except BaseException:
        if _named(place, step) != path.name:  # where a disk is full, its room is needed
            path.unlink(missing_ok=True)
        raise
    with contextlib.suppress(OSError):
        (folder / old).unlink(missing_ok=True)
    return seal


def _named(place: Path, step: int) -> str | None:
    """The state that a table names; None where there is no table that is whole."""
    try:
        return str(_table(place, step)["file"])
    except RunError:
        return None


def thin(folder: Path, keep: int, first: int = 0) -> None:
    """Delete all but the newest `keep` checkpoints, and the first one of the run."""
    steps = sorted(steps_in(folder))
    for step in [step for step in steps[: max(len(steps) - keep, 0)] if step != first]:
        for name in (table_name(step), *state_names(step)):  # without the first none is there
            with contextlib.suppress(OSError):
                (folder / name).unlink(missing_ok=True)


def steps_in(folder: Path) -> list[int]:
    """The steps of which there is a checkpoint's table."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [int(found[1]) for name in names if (found := _NAME.fullmatch(name))]


def listed(folder: Path) -> Iterator[tuple[int, Checkpoint | RunError]]:
    """All checkpoints, the newest first; in place of one whose table is damaged the reason."""
    for step in sorted(steps_in(folder), reverse=True):
        try:
            table = _table(folder / table_name(step), step)
            yield step, Checkpoint(folder / table["file"], table)
        except RunError as error:
            yield step, error


def _table(path: Path, step: int) -> dict[str, Any]:
    table = read_sealed(path)
    for name, kind in _NEEDED.items():
        if type(table.get(name)) is not kind:
            refuse(path, f"lacks {name!r}")
    if table["step"] != step or table["file"] not in state_names(step):
        refuse(path, f"is the table of {table['file']!r}: files were mixed up")
    for mark in table["logs"].values():
        if not isinstance(mark, dict) or set(mark) != {"bytes", "sha256"}:
            refuse(path, "lacks how far the logs were")
    return table


def check(checkpoint: Checkpoint) -> None:
    """Compare a checkpoint's state with its table.

    Raises:
        RunError: it is missing, cut, or damaged.
    """
    path, table = checkpoint
    size, found = hash_of(path)
    if size != table["bytes"]:
        refuse(path, f"has {size} bytes instead of {table['bytes']}: it was cut, or replaced")
    if found != table["sha256"]:
        refuse(path, "is damaged: its SHA-256 is not what its table says")


def newest(
    folder: Path, run: str, manifest: str | None = None
) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that is whole, and why newer ones are not used.

    Args:
        folder: where they are.
        run: the run's own number; checkpoints of other runs do not count.
        manifest: the seal of the run's manifest.
    """
    reasons = []
    for _, found in listed(folder):
        try:
            if isinstance(found, RunError):
                raise found
            belongs(found, run, manifest)
            check(found)
        except RunError as error:
            reasons.append(text_of(error))
        else:
            return found, reasons
    return None, reasons


def belongs(found: Checkpoint, run: str, manifest: str | None) -> None:
    """See that a checkpoint is of a run.

    Raises:
        RunError: it is of another one.
    """
    if run and found.table["run"] != run:
        refuse(found.path, "is of another run")
    # a disk was full when the manifest was to be written, if the checkpoint knows of none
    if manifest is not None and found.table["manifest"] not in ("", manifest):
        refuse(found.path, "is of another run, or the manifest was replaced")


def text_of(error: Exception) -> str:
    """An error's first line, without its origin."""
    return str(error).splitlines()[0].removeprefix("[run] ")


def set_aside(folder: Path, after: int, first: int) -> None:
    """Make way for a run that goes on after a step: checkpoints of later steps, which are damaged,
    get other names; what a killed process had begun to write, or to delete, is deleted."""
    for path in (*durable.leftovers(folder, True), *durable.leftovers(folder.parent, True)):
        with contextlib.suppress(OSError):
            path.unlink()
    for path, step in _strays(folder):
        if step < after and step != first and path.is_file():  # `thin` had deleted its table
            path.unlink(missing_ok=True)
        elif step == after and path.is_file():  # it was saved again, or was about to be
            path.unlink(missing_ok=True)
        else:
            other_name(path)
    for step in steps_in(folder):
        if step > after:
            for name in (table_name(step), *state_names(step)):
                if os.path.lexists(folder / name):
                    other_name(folder / name)


def _strays(folder: Path) -> list[tuple[Path, int]]:
    """States that no table names, with their steps; those whose table is damaged are not among
    them."""
    named, unknown, found = set[str](), set[int](), []
    for step, one in listed(folder):
        if isinstance(one, RunError):
            unknown.add(step)
        else:
            named.add(one.path.name)
    for path in sorted(folder.glob("step-*.safetensors")):
        match = _STATE.fullmatch(path.name)
        if match and path.name not in named and int(match[1]) not in unknown:
            found.append((path, int(match[1])))
    return found


def strays(folder: Path) -> list[str]:
    """Names of states that no table names."""
    return [path.name for path, _ in _strays(folder)]


def other_name(path: Path) -> Path | None:
    """Keep something damaged under another name; None where there is none left."""
    for number in range(1, 1000):
        other = path.with_name(f"{path.name}.damaged-{number}")
        if not os.path.lexists(other):
            os.replace(path, other)
            return other
    return None
