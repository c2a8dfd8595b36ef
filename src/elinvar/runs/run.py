"""A run: the folder in which a training is recorded, and from which it goes on.

    manifest.json      what went in: program, code, packages, configuration, seeds, machine
    data.json          what the data were (hashes take a while, so they have a table of their own)
    steps.bin          after each step the loss and a number for each tensor (`steps.py`)
    metrics.jsonl      figures of epochs, and of every so many steps
    processes.jsonl     when a process began or ended working on it, and how
    checkpoints/       states to go on from (`checkpoints.py`)
    code/              the program's files, by SHA-256
    events.out.…       the figures for TensorBoard (`events.py`)

Whatever can wait is done by a thread in the background. Recording never ends a training: where the
disk is full or gone, it is said once, and tried again at the next checkpoint.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from elinvar.core.errors import RunError, fail
from elinvar.core.version import VERSION
from elinvar.runs import checkpoints, code, events, facts
from elinvar.runs.checkpoints import Checkpoint, Writer
from elinvar.runs.files import Lock, Log, read_sealed, refuse, write_sealed
from elinvar.runs.steps import Row, StepLog, StepTable, first_difference

MANIFEST, DATA, STEPS, METRICS = "manifest.json", "data.json", "steps.bin", "metrics.jsonl"
PROCESSES, CHECKPOINTS, CODE = "processes.jsonl", "checkpoints", "code"
EVENTS = "events.out.tfevents.elinvar"
GROWING = (STEPS, METRICS, EVENTS)  # what checkpoints have marks of
FLUSH_SECONDS = 1.0
_MOST_EXPECTED = 1_000_000  # rows of a log's tail that are compared when they come again


def now() -> str:
    """The time, for people."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def say(text: str) -> None:
    """A word to the user."""
    print(f"[run] {text}", file=sys.stderr)


def new_folder(base: Path, name: str | None = None) -> Path:
    """Make a folder for a run: `name` in `base`, or the time and the program's name."""
    base.mkdir(parents=True, exist_ok=True)
    if name is not None:
        folder = base / name
        try:
            folder.mkdir()
        except FileExistsError:
            why = "is there already"
            refuse(folder, why, "choose another name, or go on with resume=…")
        return folder
    stem = f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}-{facts.program()}"
    for number in range(1, 10_000):
        folder = base / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    refuse(base, "has no free name for a run")


class Run:
    """Records a training in a folder. Made by `Run.begin` and `Run.go_on`.

    Args:
        folder: the run's.
        lock: on the folder.
        tensors: names of what is digested after each step.
        every: seconds between checkpoints; those at the end of an epoch count.
        keep: checkpoints that are kept beside the first.

    Attributes:
        folder: where it is recorded.
        checkpoint: the state that it went on from; None for a run from its beginning.
        rows_seen: steps that came out again as before the stop.
    """

    folder: Path
    checkpoint: Checkpoint | None

    def __init__(
        self, folder: Path, lock: Lock, tensors: Sequence[str], every: float, keep: int
    ) -> None:
        self.folder, self._lock, self._every, self._keep = folder, lock, every, keep
        self.tensors = list(tensors)
        self.checkpoint = None
        self._writer = Writer()
        self._said: set[str] = set()
        self._seal = ""
        self._previous: str | None = None
        self._last_saved: tuple[int, int] | None = None
        self._last_time = self._last_flush = time.monotonic()
        self._expected: dict[int, Row] = {}
        self.rows_seen = 0
        self._row: Row | None = None
        self._began = time.monotonic()

    # ---- beginnings ------------------------------------------------------------------------

    @classmethod
    def begin(
        cls,
        folder: Path,
        tensors: Sequence[str],
        config: Mapping[str, Any],
        *,
        number: int = 1,
        every: float = 300.0,
        keep: int = 2,
    ) -> Run:
        """Begin to record in a new folder.

        Args:
            folder: it is there, and empty.
            tensors: the names of the model's tensors.
            config: what the user chose.
            number: which run of the program it is.
            every, keep: see `Run`.
        """
        run = cls(folder, Lock(folder), tensors, every, keep)
        (folder / CHECKPOINTS).mkdir()
        run._steps = StepLog(folder / STEPS, tensors)
        run._metrics = Log(folder / METRICS)
        run._events = Log(folder / EVENTS)
        run._events.append(events.first_record())
        run._processes = Log(folder / PROCESSES)
        entry = facts.entry()
        run._begin_process(0, entry, number)
        first = {"name": folder.name, "created": now(), "number": number, "entry": entry}
        run._do("write the manifest", lambda: run._write_manifest(first, dict(config)))
        return run

    def _write_manifest(self, first: dict[str, Any], config: dict[str, Any]) -> None:
        manifest, contents = gather(config)
        folder = self.folder / CODE
        folder.mkdir()
        for digest, data in contents.items():
            (folder / digest).write_bytes(data)
        self._seal = write_sealed(self.folder / MANIFEST, {**first, **manifest})

    @classmethod
    def go_on(
        cls,
        folder: Path,
        tensors: Sequence[str],
        *,
        number: int = 1,
        every: float = 300.0,
        keep: int = 2,
    ) -> Run:
        """Go on recording where the newest checkpoint that is whole was taken.

        Raises:
            RunError: it is in use, damaged beyond use, or of another model. Nothing is changed.
        """
        manifest = opened(folder)
        lock = Lock(folder)
        try:
            found, reasons = checkpoints.newest(folder / CHECKPOINTS, manifest["seal"])
            for reason in reasons:
                say(f"{reason}; an older checkpoint is used")
            if found is None:
                refuse(folder, "has no checkpoint that is whole", "begin a new run")
            run = cls(folder, lock, tensors, every, keep)
            run.checkpoint, run._seal = found, manifest["seal"]
            run._previous = found.table["seal"]
            run._last_saved = (found.step, found.table["epoch"])
            run._open_logs(found)
        except BaseException:
            lock.release()
            raise
        checkpoints.set_aside(folder / CHECKPOINTS, found.step)
        run._begin_process(found.step, facts.entry(), number)
        return run

    def _open_logs(self, found: Checkpoint) -> None:
        """Cut the logs to what they were at the checkpoint; keep what was behind it, to compare."""
        marks, path = found.table["logs"], self.folder / STEPS
        chain = bytes.fromhex(found.table["chain"])
        try:
            table = StepTable(path)
            if table.tensors != self.tensors:
                why = "was recorded for a model with other tensors"
                refuse(self.folder, why, "make the model as it was made before")
            for row in table.rows_after(marks[STEPS]["bytes"])[:_MOST_EXPECTED]:
                if row.step > found.step:
                    self._expected[row.step] = row
            self._steps = StepLog(path, self.tensors, marks[STEPS], chain)
        except RunError as error:
            if "other tensors" in str(error):
                raise
            self._move_away(path, error)
            self._steps = StepLog(path, self.tensors, None, chain)
        self._metrics = self._reopened(METRICS, marks)
        self._events = self._reopened(EVENTS, marks)
        path = self.folder / PROCESSES
        whole = path.stat().st_size if path.exists() else None
        mark = None if whole is None else dict(zip(("bytes", "sha256"), files_hash(path)))
        self._processes = Log(path, mark)

    def _reopened(self, name: str, marks: Mapping[str, Any]) -> Log:
        path = self.folder / name
        try:
            return Log(path, marks[name])
        except RunError as error:
            self._move_away(path, error)
        log = Log(path)
        if name == EVENTS:
            log.append(events.first_record())
        return log

    def _move_away(self, path: Path, error: RunError) -> None:
        """Keep a damaged log under another name."""
        text = str(error).splitlines()[0].removeprefix("[run] ")
        if path.exists():
            for number in range(1, 1000):
                other = path.with_name(f"{path.name}.damaged-{number}")
                if not other.exists():
                    os.replace(path, other)
                    text += f"; it is kept as {other.name}"
                    break
        say(f"{text}; a new one is begun, the training itself loses nothing")

    def _begin_process(self, step: int, entry: Mapping[str, Any], number: int) -> None:
        row = {"event": "start", "time": now(), "step": step, "pid": os.getpid()}
        about = {"threads": facts.get_num_threads(), "elinvar": VERSION, "number": number}
        self._tell({**row, **about, "entry": entry})

    def _tell(self, row: dict[str, Any]) -> None:
        self._processes.append(line(row))
        self._guard("write the log of processes", self._processes.flush)

    # ---- what training tells ---------------------------------------------------------------

    def start(self, epoch: int, batch: int, step: int, digests: Any) -> None:
        """Training is about to begin, or to go on, with these tensors."""
        if self.checkpoint is None:
            self._row = self._steps.add(step, epoch, batch, float("nan"), digests)

    def step(self, step: int, epoch: int, batch: int, loss: float, digests: Any) -> None:
        """A step was done.

        Args:
            step: its number, from 1 on.
            epoch, batch: whole epochs before, and batches of the present one by now.
            loss: of its last batch.
            digests: uint32, one for each tensor, after the step.
        """
        row = self._row = self._steps.add(step, epoch, batch, loss, digests)
        if self._expected:
            wanted = self._expected.pop(step, None)
            if wanted is not None and not wanted.same(row):
                what = first_difference(wanted, row, self.tensors)
                say(f"step {step} came out otherwise than before the stop: {what}")
                self._expected.clear()
            elif wanted is not None:
                self.rows_seen += 1
        moment = time.monotonic()
        if moment - self._last_flush > FLUSH_SECONDS:
            self._last_flush = moment
            self._guard("write the logs", self._flush)
            self._report()

    def figures(self, kind: str, step: int, row: Mapping[str, Any]) -> None:
        """Figures of an epoch or a step."""
        self._metrics.append(line({"kind": kind, "step": step, **row}))
        self._events.append(events.record_of(kind, step, row))

    @property
    def _logs(self) -> tuple[Log, ...]:
        return self._steps.log, self._metrics, self._events

    def _flush(self) -> None:
        for log in self._logs:
            log.flush()

    def describe_data(self, job: Callable[[], dict[str, Any]]) -> None:
        """Find out in the background what the data are; the answer is kept."""

        def write() -> None:
            found = job()
            path = self.folder / DATA
            if not path.exists():
                write_sealed(path, {"data": found})
            elif read_sealed(path)["data"] != found:
                say("the data are not those that this run began with")
                self._tell({"event": "data", "time": now(), "data": found})

        self._do("describe the data", write)

    # ---- checkpoints -----------------------------------------------------------------------

    def reached(self, step: int) -> bool:
        """Whether recording wants training to end; it never does."""
        return False

    def is_due(self) -> bool:
        """Whether it is time for a checkpoint, and the one before is written."""
        return time.monotonic() - self._last_time >= self._every and not self._writer.busy

    def save(
        self,
        pieces: Callable[[], Iterator[Any]],
        step: int,
        epoch: int,
        wait: bool = False,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a checkpoint in the background.

        Args:
            pieces: gives the bytes of the state; what it holds may change once it has returned.
            step, epoch: where training stands.
            wait: until it is on the disk.
            extra: for its table.

        Raises:
            OSError: `wait`, and it could not be written.
        """
        if self._last_saved != (step, epoch):
            self._guard("write the logs", self._flush)
            marks = {log.path.name: log.mark() for log in self._logs}
            chain = self._steps.chain.hex()
            table = {"step": step, "epoch": epoch, "chain": chain, "logs": marks, **(extra or {})}
            held = pieces()
            self._last_saved, self._last_time = (step, epoch), time.monotonic()
            self._do(f"save step {step}", lambda: self._write(held, table, (step, epoch)))
        if wait:
            self._writer.wait()
            for what, error in self._writer.errors:
                if what == f"save step {step}":
                    self._report()
                    raise error

    def _write(self, pieces: Any, table: dict[str, Any], key: tuple[int, int]) -> None:
        folder = self.folder / CHECKPOINTS
        try:
            for log in self._logs:
                log.sync()
            whole = {**table, "manifest": self._seal, "previous": self._previous}
            self._previous = checkpoints.write(folder, pieces, whole)
        except BaseException:
            if self._last_saved == key:
                self._last_saved = None
            raise
        checkpoints.thin(folder, self._keep)

    # ---- the end ---------------------------------------------------------------------------

    def close(self, outcome: str, **more: Any) -> None:
        """Write what waits, and let go of the folder.

        Args:
            outcome: `finished`, `stopped`, `interrupted` or `failed`.
            more: for the log of processes.
        """
        self._writer.close()
        seconds = round(time.monotonic() - self._began, 3)
        step = self._row.step if self._row else (self.checkpoint.step if self.checkpoint else 0)
        end = {"event": "end", "time": now(), "outcome": outcome, "step": step}
        self._tell({**end, "seconds": seconds, "chain": self._steps.chain.hex(), **more})
        for log in (*self._logs, self._processes):
            self._guard("write the logs", log.close)
        self._report()
        self._lock.release()

    def _do(self, what: str, job: Callable[[], object]) -> None:
        self._writer.do(what, job)

    def _guard(self, what: str, job: Callable[[], object]) -> None:
        try:
            job()
        except (OSError, ValueError) as error:
            self._writer.errors.append((what, error))

    def _report(self) -> None:
        """Say what went wrong, each kind of thing once."""
        errors, self._writer.errors = self._writer.errors, []
        for what, error in errors:
            why = getattr(error, "strerror", None) or str(error).splitlines()[0]
            kind = f"{what.partition(' step ')[0]}: {why}"
            if kind not in self._said:
                self._said.add(kind)
                say(f"could not {what}: {why}; training goes on, what was saved before is kept")


def line(row: Mapping[str, Any]) -> bytes:
    """A row of a log in JSON, with a checksum."""
    text = json.dumps(row, default=_plain, ensure_ascii=False)
    check = zlib.crc32(text.encode("utf-8", "surrogatepass"))
    return f'{text[:-1]}, "crc": "{check:08x}"}}\n'.encode("utf-8", "surrogatepass")


def rows_of(path: Path) -> tuple[list[dict[str, Any]], str | None]:
    """The rows of a log, and what is wrong with the first that is damaged or cut."""
    found: list[dict[str, Any]] = []
    try:
        data = path.read_bytes()
    except OSError as error:
        return found, f"{path.name} cannot be read: {error.strerror or error}"
    for number, text in enumerate(data.split(b"\n")[:-1], 1):
        head, mark, tail = text.rpartition(b', "crc": "')
        if not mark or tail != b'%08x"}' % zlib.crc32(head + b"}"):
            return found, f"{path.name} is damaged in line {number}"
        try:
            found.append(json.loads(head + b"}"))
        except (ValueError, RecursionError):
            return found, f"{path.name} is damaged in line {number}"
    if data and not data.endswith(b"\n"):
        return found, f"{path.name} ends within a line"
    return found, None


def _plain(value: Any) -> Any:
    """What JSON has no word for: arrays, numbers of numpy, tensors."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return repr(value)


def files_hash(path: Path) -> tuple[int, str]:
    """Bytes and SHA-256 of a whole file."""
    return checkpoints.hash_of(path)


def gather(config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What goes in a manifest, and the contents of the program's files."""
    about, contents = code.snapshot()
    manifest = {
        "config": json.loads(json.dumps(config, default=_plain)),
        "code": about,
        "packages": facts.packages(),
        "numerics": facts.numerics(),
        "machine": facts.machine(),
    }
    return manifest, contents


def opened(folder: Path) -> dict[str, Any]:
    """The manifest of a run's folder.

    Raises:
        RunError: there is no such run, or its manifest is not as it was written.
    """
    if not folder.is_dir():
        fail(RunError, "run", f"there is no run {os.fspath(folder)!r}", "`elinvar runs` lists them")
    if not (folder / MANIFEST).exists():
        if (folder / STEPS).exists():
            refuse(folder, "was stopped before its manifest was written", "begin a new run")
        refuse(folder, "is not the folder of a run", "`elinvar runs` lists them")
    return read_sealed(folder / MANIFEST)
