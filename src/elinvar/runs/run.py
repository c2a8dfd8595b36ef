"""A run: the folder in which a training is recorded, and from which it goes on.

    manifest.json      what went in: program, code, packages, configuration, seeds, machine
    data.json          what the data were (hashes take a while, so they have a table of their own)
    steps.bin          after each step the loss and a number for each tensor (`steps.py`)
    metrics.jsonl      figures of epochs, and of every so many steps
    processes.jsonl     when a process began or ended working on it, and how
    end.json           all of it in one table, from the last process that ended by itself
    checkpoints/       states to go on from (`checkpoints.py`)
    code/              the program's files, by SHA-256
    events.out.…       the figures for TensorBoard (`events.py`)

Each of them has the run's own number, so that files of two runs are not taken for each other's.
Whatever can wait is done by a thread in the background. Recording never ends a training: where the
disk is full or gone, it is said once, and tried again at the next checkpoint.
"""

from __future__ import annotations

import datetime
import json
import os
import secrets
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from elinvar.core import durable
from elinvar.core.errors import ElinvarError, RunError, fail
from elinvar.core.version import VERSION
from elinvar.runs import checkpoints, code, ending, events, facts
from elinvar.runs.checkpoints import Checkpoint, Writer, text_of
from elinvar.runs.files import Lock, Log, read_sealed, refuse, write_sealed
from elinvar.runs.naming import counted, new_folder
from elinvar.runs.rows import line, plain, rows_of, whole_lines
from elinvar.runs.steps import Row, StepLog, StepTable, first_difference

MANIFEST, DATA, STEPS, METRICS = "manifest.json", "data.json", "steps.bin", "metrics.jsonl"
PROCESSES, END = ending.PROCESSES, ending.END
CHECKPOINTS, CODE = "checkpoints", "code"
EVENTS = "events.out.tfevents.elinvar"
GROWING = (STEPS, METRICS, EVENTS)  # what checkpoints have marks of
FLUSH_SECONDS, AGAIN_SECONDS = 1.0, 30.0  # between writes of the logs; after one that failed
PATIENCE = 5.0  # seconds that a program which was stopped waits for the hashes of its data
_MANIFEST_PARTS = {
    "id": str, "name": str, "created": str, "number": int, "entry": dict, "config": dict,
    "code": dict, "packages": dict, "numerics": dict, "machine": dict,
}  # fmt: skip
_MOST_EXPECTED = 1_000_000  # rows of a log's tail that are compared when they come again


def now(timespec: str = "seconds") -> str:
    """The time, for people."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec=timespec)


def say(text: str) -> None:
    """A word to the user."""
    print(f"[run] {text}", file=sys.stderr)


def how_it_ended(error: BaseException) -> tuple[str, str]:
    """What ended a training early: the outcome, and the error in a line."""
    leaves = isinstance(error, KeyboardInterrupt | SystemExit)
    text = f"{type(error).__name__}: {error}".splitlines()[0][:500]
    return "interrupted" if leaves else "failed", text


class Run:
    """Records a training in a folder. Made by `Run.begin` and `Run.go_on`.

    Args:
        folder: the run's.
        lock: on the folder.
        tensors: names of what is digested after each step.
        every: seconds between checkpoints; those at the end of an epoch count.
        keep: checkpoints that are kept beside the first.

    In a process that was forked from the one that made it, all of it does nothing.

    Attributes:
        folder: where it is recorded.
        id: the run's own number, which all of its files have.
        checkpoint: the state that it went on from; None for a run from its beginning.
    """

    folder: Path
    checkpoint: Checkpoint | None

    id: str
    tensors: list[str]

    def __init__(
        self, folder: Path, lock: Lock, tensors: Sequence[str], every: float, keep: int
    ) -> None:
        self.folder, self._lock, self._every, self._keep = folder, lock, every, keep
        self._place = folder.absolute()  # the program may change its working folder
        self.id = secrets.token_hex(8)
        self.tensors = list(tensors)
        self.checkpoint = None
        self._pid = os.getpid()
        self._writer, self._scribe = Writer(), Writer()
        self._said: set[str] = set()
        self._words: list[str] = []  # to be said by the main thread
        self._telling = threading.Lock()
        self._seal, self._data_seal = "", ""
        self._manifest: tuple[dict[str, Any], dict[str, Any]] | None = None
        self._first_step = 0
        self._previous: str | None = None
        self._last_saved: tuple[int, int] | None = None
        self._last_time = self._last_flush = time.monotonic()
        self._expected: dict[int, Row] = {}
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
        try:
            run = cls(folder, Lock(folder), tensors, every, keep)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        try:
            run._begin_files(tensors)
            entry = facts.entry()
            run._begin_process(0, entry, number)
        except BaseException:
            run._abandon()
            shutil.rmtree(folder, ignore_errors=True)  # it was made for this run a moment ago
            raise
        first = {"id": run.id, "name": folder.name, "created": now("microseconds")}
        run._manifest = {**first, "number": number, "entry": entry}, dict(config)
        run._do("write the manifest", run._write_manifest)
        return run

    def _begin_files(self, tensors: Sequence[str]) -> None:
        place = self._place
        (place / CHECKPOINTS).mkdir()
        self._steps = StepLog(place / STEPS, tensors, run=self.id)
        self._metrics = Log(place / METRICS)
        self._metrics.append(line({"kind": "run", "run": self.id}))
        self._events = Log(place / EVENTS)
        self._events.append(events.first_record())
        self._processes = Log(place / PROCESSES)

    def _abandon(self) -> None:
        """Let go of everything, without a word in the logs."""
        for name in ("_steps", "_metrics", "_events", "_processes"):
            log = getattr(self, name, None)
            if log is not None:
                (log.log if isinstance(log, StepLog) else log).abandon()
        self._lock.release()

    def _write_manifest(self) -> None:
        assert self._manifest is not None
        first, config = self._manifest
        manifest, contents = gather(config)
        folder = self._place / CODE
        folder.mkdir(exist_ok=True)
        for digest, data in contents.items():
            if not (folder / digest).exists():
                durable.replace(folder / digest, [data])
        self._seal = write_sealed(self._place / MANIFEST, {**first, **manifest})
        self._manifest = None

    @classmethod
    def go_on(
        cls,
        folder: Path,
        tensors: Sequence[str],
        *,
        number: int = 1,
        every: float = 300.0,
        keep: int = 2,
        load: Callable[[Path], object] | None = None,
    ) -> Run:
        """Go on recording where the newest checkpoint that is whole was taken.

        Args:
            folder, tensors, number, every, keep: see `begin`.
            load: takes over a state; if it raises, the run is as it was.

        Raises:
            RunError: it is in use, damaged beyond use, or of another model. Nothing is changed.
        """
        words = []
        try:
            manifest = opened(folder)
        except RunError as error:
            if not checkpoints.steps_in(folder / CHECKPOINTS):
                raise
            manifest = {"id": id_of(folder)}
            words.append(f"{text_of(error)}; going on without it")
        lock = Lock(folder)
        try:
            place, seal = folder / CHECKPOINTS, manifest.get("seal")
            found, reasons = checkpoints.newest(place, manifest["id"], seal)
            if found is None:
                why = f": {reasons[0]}" if reasons else ""
                refuse(folder, f"has no checkpoint that is whole{why}", "begin a new run")
            for text in (*words, *(f"{why}; an older checkpoint is used" for why in reasons)):
                say(text)
            _same_model(folder, found.table["run"], list(tensors))
            if load is not None:
                load(found.path)
            run = cls(folder, lock, tensors, every, keep)
            run.checkpoint, run._seal = found, seal or found.table["manifest"]
            run.id, run._first_step = found.table["run"], found.table["first"]
            run._previous = found.table["seal"]
            run._last_saved = (found.step, found.table["epoch"])
            run._open_logs(found)
            checkpoints.set_aside(place, found.step, run._first_step)
            run._begin_process(found.step, facts.entry(), number)
            ending.remove(folder)  # after the new process is in the log
            more = f"; {counted(len(run._expected), 'step')} after it will be computed again"
            say(f"going on with {folder} after step {found.step}{more if run._expected else ''}")
        except OSError as error:
            lock.release()
            refuse(folder, f"cannot be gone on with: {error.strerror or error}")
        except BaseException:
            lock.release()
            raise
        return run

    def _open_logs(self, found: Checkpoint) -> None:
        """Cut the logs to what they were at the checkpoint; keep what was behind it, to compare."""
        marks, path = found.table["logs"], self._place / STEPS
        chain = bytes.fromhex(found.table["chain"])
        try:
            table = StepTable(path)
            for row in table.rows_after(marks[STEPS]["bytes"])[:_MOST_EXPECTED]:
                if row.step > found.step:
                    self._expected[row.step] = row
            self._steps = StepLog(path, self.tensors, marks[STEPS], chain)
        except RunError as error:
            self._expected.clear()
            self._move_away(path, error)
            self._steps = StepLog(path, self.tensors, None, chain, self.id)
        self._metrics = self._reopened(METRICS, marks)
        self._events = self._reopened(EVENTS, marks)
        self._processes = self._reopened(PROCESSES, {PROCESSES: None})

    def _reopened(self, name: str, marks: Mapping[str, Any]) -> Log:
        path = self._place / name
        try:
            return Log(path, marks[name] or whole_lines(path))
        except RunError as error:
            self._move_away(path, error)
        log = Log(path)
        if name == EVENTS:
            log.append(events.first_record())
        elif name == METRICS:
            log.append(line({"kind": "run", "run": self.id}))
        return log

    def _move_away(self, path: Path, error: RunError) -> None:
        """Keep a damaged log under another name."""
        text = text_of(error)
        if os.path.lexists(path):
            other = checkpoints.other_name(path)
            text += f"; it is kept as {other.name}" if other is not None else ""
        say(f"{text}; a new one is begun, the training itself loses nothing")

    def _begin_process(self, step: int, entry: Mapping[str, Any], number: int) -> None:
        row = {"event": "start", "run": self.id, "time": now(), "step": step, "pid": os.getpid()}
        about = {"threads": facts.get_num_threads(), "elinvar": VERSION, "number": number}
        self._tell({**row, **about, "entry": entry})

    def _tell(self, row: dict[str, Any]) -> None:
        with self._telling:
            self._processes.append(line(row))
            self._guard("write the log of processes", self._processes.flush)

    # ---- what training tells ---------------------------------------------------------------

    def start(self, epoch: int, batch: int, step: int, digests: Any) -> None:
        """Training is about to begin, or to go on, with these tensors."""
        if self.checkpoint is None:
            self._first_step = step
            self._row = self._steps.add(step, epoch, batch, float("nan"), digests)

    def step(self, step: int, epoch: int, batch: int, loss: float, digests: Any) -> None:
        """A step was done.

        Args:
            step: its number, from 1 on.
            epoch, batch: whole epochs before, and batches of the present one by now.
            loss: of its last batch.
            digests: uint32, one for each tensor, after the step.
        """
        if os.getpid() != self._pid:
            return
        row = self._row = self._steps.add(step, epoch, batch, loss, digests)
        if self._expected:
            wanted = self._expected.pop(step, None)
            if wanted is not None and not wanted.same(row):
                what = first_difference(wanted, row, self.tensors)
                say(f"step {step} came out otherwise than before the stop: {what}")
                self._expected.clear()
        moment = time.monotonic()
        if moment - self._last_flush > FLUSH_SECONDS:
            whole = self._guard("write the logs", self._flush)
            self._last_flush = moment if whole else moment + AGAIN_SECONDS
            self._report()

    def figures(self, kind: str, step: int, row: Mapping[str, Any]) -> None:
        """Figures of an epoch or a step."""

        def write() -> None:
            texts = line({"kind": kind, "step": step, **row}), events.record_of(kind, step, row)
            self._metrics.append(texts[0])
            self._events.append(texts[1])

        self._guard("write figures", write)

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
            path = self._place / DATA
            if not os.path.lexists(path):
                self._data_seal = write_sealed(path, {"run": self.id, "data": found})
                return
            before = read_sealed(path)
            self._data_seal = before["seal"]
            if before.get("data") != found:
                self._words.append("the data are not those that this run began with")
                self._tell({"event": "data", "time": now(), "data": found})

        self._scribe.do("describe the data", write)

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
    ) -> None:
        """Write a checkpoint in the background.

        Args:
            pieces: gives the bytes of the state; what it holds may change once it has returned.
            step, epoch: where training stands.
            wait: until it is on the disk.

        Raises:
            OSError: `wait`, and it could not be written.
        """
        if os.getpid() != self._pid:
            return
        if self._last_saved != (step, epoch):
            self._last_time = time.monotonic()
            try:
                self._flush()
                held = pieces()
            except (OSError, ElinvarError) as error:
                self._writer.errors.append((f"save step {step}", error))
                self._report()
                if wait:
                    raise
                return
            marks = {log.path.name: log.mark() for log in self._logs}
            chain = self._steps.chain.hex()
            table = {"step": step, "epoch": epoch, "chain": chain, "logs": marks}
            self._last_saved = (step, epoch)
            self._do(f"save step {step}", lambda: self._write(held, table, (step, epoch)))
        if wait:
            self._writer.wait()
            for what, reason in self._writer.errors:
                if what == f"save step {step}":
                    self._report()
                    raise reason

    def _write(self, pieces: Any, table: dict[str, Any], key: tuple[int, int]) -> None:
        folder = self._place / CHECKPOINTS
        if self._manifest is not None:  # there was no room for it before
            try:
                self._write_manifest()
            except Exception as error:
                self._writer.errors.append(("write the manifest", error))
        if self._previous is not None:  # the first one shall be there soon
            self._writer.give_way()
            pieces = self._writer.paced(pieces)
        try:
            for log in self._logs:
                log.sync()
            more = {"run": self.id, "manifest": self._seal, "first": self._first_step}
            whole = {**table, **more, "previous": self._previous}
            self._previous = checkpoints.write(folder, pieces, whole)
        except BaseException:
            if self._last_saved == key:
                self._last_saved = None
            raise
        checkpoints.thin(folder, self._keep, self._first_step)

    # ---- the end ---------------------------------------------------------------------------

    def close(self, outcome: str, **more: Any) -> None:
        """Write what waits, and let go of the folder.

        Args:
            outcome: `finished`, `stopped`, `interrupted` or `failed`.
            more: for the log of processes.
        """
        if os.getpid() != self._pid:
            return
        self._writer.close()
        self._scribe.close(None if outcome in ("finished", "stopped") else PATIENCE)
        seconds = round(time.monotonic() - self._began, 3)
        step = self._row.step if self._row else (self.checkpoint.step if self.checkpoint else 0)
        row = {"event": "end", "time": now(), "outcome": outcome, "step": step}
        row |= {"seconds": seconds, "chain": self._steps.chain.hex(), **more}
        if self._manifest is not None:
            self._guard("write the manifest", self._write_manifest)
        jobs = [job for log in self._logs for job in (log.flush, log.sync)]
        whole = [self._guard("write the logs", job) for job in jobs]
        seal = lambda: self._write_end(row)  # noqa: E731
        row["sealed"] = all(whole) and self._guard("write how it ended", seal)
        self._tell(row)
        for log in (*self._logs, self._processes):
            self._guard("write the logs", log.close)
        self._report()
        self._lock.release()

    def _write_end(self, row: dict[str, Any]) -> None:
        """Seal everything in one table; `row` will be the last one of the log of processes."""
        place = self._place
        marks = {log.path.name: log.mark() for log in self._logs}
        with self._telling:
            last = line({**row, "sealed": True})
            marks[PROCESSES] = self._processes.mark(True, last)
        held = {
            found.path.name: found.table["seal"]
            for _, found in checkpoints.listed(place / CHECKPOINTS)
            if isinstance(found, Checkpoint)
        }
        seals = {"run": self.id, "manifest": self._seal, "data": self._data_seal}
        about = {name: row[name] for name in ("outcome", "step", "chain")}
        ending.write(place, {**seals, **about, "checkpoints": held}, marks, last)

    def _do(self, what: str, job: Callable[[], object]) -> None:
        self._writer.do(what, job)

    def _guard(self, what: str, job: Callable[[], object]) -> bool:
        """Do something that may fail; whether it did not."""
        try:
            job()
        except (OSError, ArithmeticError, ElinvarError, RecursionError, TypeError, ValueError) as e:
            self._writer.errors.append((what, e))
            return False
        return True

    def _report(self) -> None:
        """Say what went wrong, each kind of thing once."""
        words, self._words = self._words, []
        for writer in (self._writer, self._scribe):
            errors, writer.errors = writer.errors, []
            for what, error in errors:
                why = getattr(error, "strerror", None) or text_of(error)
                kind = f"{what.partition(' step ')[0]}: {why}"
                if kind not in self._said:
                    self._said.add(kind)
                    end = "training goes on, what was saved before is kept"
                    words.append(f"could not {what}: {why}; {end}")
        for text in words:
            say(text)


def _same_model(folder: Path, run: str, tensors: list[str]) -> None:
    try:
        table = StepTable(folder / STEPS)
    except RunError:
        return  # what is damaged is seen to later
    if table.run == run and table.tensors != tensors:
        why = "was recorded for a model with other tensors"
        refuse(folder, why, "make the model as it was made before")


def begun(
    base: Path,
    name: str | None,
    wished: bool,
    tensors: Sequence[str],
    config: Mapping[str, Any],
    number: int,
    options: Mapping[str, Any],
) -> Run | None:
    """A new run; None where it cannot be written, but nobody asked for its place.

    Raises:
        RunError: it cannot be written where it is wished.
    """
    try:
        folder = new_folder(base, name)
        return Run.begin(folder, tensors, config, number=number, **options)
    except OSError as error:
        is_file = isinstance(error, FileExistsError | NotADirectoryError)
        why = "a file is in the place of the folder" if is_file else error.strerror or str(error)
        if wished:
            text = f"cannot record in {os.fspath(base)!r}: {why}"
            fail(RunError, "run", text, "record=False trains without a record")
        say(f"this training is not recorded: {base}: {why}")
        return None


def id_of(folder: Path) -> str:
    """A run's own number where its manifest does not tell it; empty where nothing does."""
    try:
        return StepTable(folder / STEPS).run
    except RunError:
        rows, _ = rows_of(folder / PROCESSES)
        return next((str(row["run"]) for row in rows if "run" in row), "")


def gather(config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What goes in a manifest, and the contents of the program's files."""
    about, contents = code.snapshot()
    manifest = {
        "config": json.loads(json.dumps(config, default=plain)),
        "code": about,
        "packages": facts.packages(),
        "numerics": facts.numerics(),
        "machine": facts.machine(),
        "outside": facts.outside(),
    }
    return manifest, contents


def opened(folder: Path) -> dict[str, Any]:
    """The manifest of a run's folder.

    Raises:
        RunError: there is no such run, or its manifest is not as it was written.
    """
    if not folder.is_dir():
        fail(RunError, "run", f"there is no run {os.fspath(folder)!r}", "`elinvar runs` lists them")
    if not os.path.lexists(folder / MANIFEST):
        if (folder / STEPS).exists():
            refuse(folder, "was stopped before its manifest was written", "begin a new run")
        refuse(folder, "is not the folder of a run", "`elinvar runs` lists them")
    found = read_sealed(folder / MANIFEST)
    for name, kind in _MANIFEST_PARTS.items():
        if type(found.get(name)) is not kind:
            refuse(folder / MANIFEST, f"is no manifest: it lacks {name!r}")
    return found
