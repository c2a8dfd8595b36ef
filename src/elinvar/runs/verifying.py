"""Whether a run's folder holds what was written: hashes, checks, and how they fit together."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elinvar.core.errors import ElinvarError, RunError
from elinvar.nn import serialization
from elinvar.runs import checkpoints, ending, events
from elinvar.runs import run as layout
from elinvar.runs.checkpoints import text_of
from elinvar.runs.code import LARGEST_FILE
from elinvar.runs.digests import digest_of
from elinvar.runs.files import canonical, content_of, hash_of, is_locked, read_sealed, refuse
from elinvar.runs.rows import UNFINISHED, rows_of
from elinvar.runs.steps import Row, StepTable


@dataclass
class Report:
    """What was found.

    Attributes:
        folder: the run's.
        checked: what was looked at, in words.
        faults: what is damaged, missing or changed.
        notes: what is no damage: the end of a log that a killed process was writing.
        steps: rows in the log of steps.
        identity: SHA-256 over manifest, data and steps: the run in one word.
    """

    folder: Path
    checked: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    steps: int = 0
    identity: str = ""

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


def verify(folder: Path) -> Report:
    """Check all files of a run.

    Raises:
        RunError: there is no such run.
    """
    report = Report(folder)
    try:
        manifest = layout.opened(folder)
        report.checked.append("manifest")
    except RunError as error:
        if not folder.is_dir() or not _looks_like_a_run(folder):
            raise
        report.faults.append(text_of(error))
        manifest = {}
    run = str(manifest.get("id") or layout.id_of(folder))
    data = _data(folder, run, report)
    _code(folder, manifest, report)
    rows = _steps(folder, run, report)
    processes = _logs(folder, run, report)
    held = _states(folder, run, manifest, rows, report)
    _end(folder, run, (manifest, data, processes, held), report)
    last = rows[max(rows)].chain.hex() if rows else ""
    word = [manifest.get("seal"), data.get("seal"), last]
    report.identity = hashlib.sha256(canonical(word)).hexdigest()
    return report


def _looks_like_a_run(folder: Path) -> bool:
    names = (layout.MANIFEST, layout.STEPS, layout.PROCESSES)
    return sum(os.path.lexists(folder / name) for name in names) > 1


def _data(folder: Path, run: str, report: Report) -> dict[str, Any]:
    path = folder / layout.DATA
    if not os.path.lexists(path):
        report.notes.append("data.json is not there: the process ended before it was written")
        return {}
    try:
        found = read_sealed(path)
        if not isinstance(found.get("data"), dict):
            refuse(path, "is no description of data")
        if found.get("run") != run:
            refuse(path, "is of another run")
    except RunError as error:
        report.faults.append(text_of(error))
        return {}
    report.checked.append("what the data were")
    return found


def _code(folder: Path, manifest: dict[str, Any], report: Report) -> None:
    held = folder / layout.CODE
    about = manifest.get("code", {})
    wanted = dict(about.get("files", {}))
    if "diff" in about:
        wanted["the diff of git"] = about["diff"]
    for name, digest in wanted.items():
        path = held / digest
        try:
            if hash_of(path)[1] != digest:
                report.faults.append(f"code: {name} was changed")
        except RunError as error:
            original = Path(about.get("folder", "")) / name
            large = os.path.exists(original) and original.stat().st_size > LARGEST_FILE
            if not large or os.path.lexists(path):
                report.faults.append(f"code: {name}: {text_of(error)}")
    report.checked.append(f"{len(wanted)} files of code")


def _steps(folder: Path, run: str, report: Report) -> dict[int, Row]:
    try:
        table = StepTable(folder / layout.STEPS)
    except RunError as error:
        report.faults.append(text_of(error))
        return {}
    if table.run != run:
        report.faults.append(f"{layout.STEPS} is of another run")
    rows = {row.step: row for row in table}
    report.steps = len(rows)
    if any(table.after):
        report.faults.append(f"{layout.STEPS} begins in the middle: what came before was damaged")
    if table.trouble is not None:
        text = f"{layout.STEPS} {table.trouble}"
        ends = table.trouble.startswith("ends")
        (report.notes if ends else report.faults).append(text)
    report.checked.append(f"{len(rows)} steps of {len(table.tensors)} tensors")
    return rows


def _logs(folder: Path, run: str, report: Report) -> list[dict[str, Any]]:
    """Check the other logs; the rows of that of processes."""
    rows: list[dict[str, Any]] = []
    for name in (layout.METRICS, layout.PROCESSES):
        rows, trouble = rows_of(folder / name)
        if trouble is not None:
            ends = trouble.endswith(UNFINISHED)
            (report.notes if ends else report.faults).append(trouble)
        wanted = ("run",) if name == layout.METRICS else ("start",)
        first = rows[0].get("kind", rows[0].get("event")) if rows else None
        if rows and (first not in wanted or rows[0].get("run") != run):
            report.faults.append(f"{name} is of another run, or lacks its beginning")
        elif not rows and trouble is None and name == layout.PROCESSES:
            report.faults.append(f"{name} is empty")
        report.checked.append(f"{len(rows)} lines of {name}")
    try:
        trouble = events.check(content_of(folder / layout.EVENTS))
        text = f"{layout.EVENTS} {trouble}"
        if trouble is not None:
            (report.notes if trouble.startswith("ends") else report.faults).append(text)
    except RunError as error:
        report.faults.append(text_of(error))
    for path in sorted(folder.glob("*.damaged-*")):
        report.notes.append(f"{path.name} is what is left of a log that was damaged before")
    return rows


def _states(
    folder: Path, run: str, manifest: dict[str, Any], rows: dict[int, Row], report: Report
) -> dict[str, str]:
    """Check the checkpoints; the seals of those that are whole."""
    held, place = dict[str, str](), folder / layout.CHECKPOINTS
    for _, found in checkpoints.listed(place):
        try:
            if isinstance(found, RunError):
                raise found
            checkpoints.belongs(found, run, manifest.get("seal"))
            checkpoints.check(found)
            report.faults += [f"{found.path.name}: {x}" for x in _fits(found, folder, rows)]
            held[found.path.name] = found.table["seal"]
        except RunError as error:
            if not is_locked(folder):  # a process that works on it may have deleted it just now
                report.faults.append(text_of(error))
    for name in checkpoints.strays(place):
        report.notes.append(f"{name} has no table: it was not complete, or is no longer needed")
    report.notes += [f"{path.name} was set aside" for path in sorted(place.glob("*.damaged-*"))]
    report.checked.append(f"{len(held)} checkpoints")
    return held


def _end(folder: Path, run: str, parts: tuple[Any, ...], report: Report) -> None:
    """Compare with what the last process that ended by itself has sealed."""
    manifest, data, processes, held = parts
    path = folder / layout.END
    last = processes[-1] if processes else {}
    if is_locked(folder):
        return
    if not os.path.lexists(path):
        if last.get("event") == "end" and last.get("sealed"):
            report.faults.append(f"{layout.END} is missing")
        return
    try:
        end, standing = ending.read(folder)
        if end["run"] != run:
            refuse(path, "is of another run")
    except RunError as error:
        report.faults.append(text_of(error))
        return
    if standing == ending.OLDER and last.get("event") != "end":
        report.notes.append(f"{layout.END} is of an earlier process")
        return
    if standing == ending.UNTOLD:
        report.notes.append(f"{layout.PROCESSES} lacks its last row, which is in {layout.END}")
    for name, mark in end["logs"].items():
        if name == layout.PROCESSES and standing in (ending.UNTOLD, ending.WHOLE):
            continue
        try:
            if hash_of(folder / name) != (mark["bytes"], mark["sha256"]):
                report.faults.append(f"{name} is not what it was at the end of the run")
        except RunError:
            pass  # it was said before
    for name, seal in (("manifest", manifest.get("seal")), ("data", data.get("seal"))):
        if end[name] and seal != end[name]:
            report.faults.append(f"{name}.json is not that of the end of the run")
    for name, seal in end["checkpoints"].items():
        if held.get(name) != seal:
            report.faults.append(f"{name} is not that of the end of the run, or is missing")
    report.checked.append("how it ended")


def _fits(found: checkpoints.Checkpoint, folder: Path, rows: dict[int, Row]) -> Iterator[str]:
    """What of a checkpoint does not fit the logs."""
    for name, mark in found.table["logs"].items():
        path = folder / name
        if path.exists() and hash_of(path, mark["bytes"]) != (mark["bytes"], mark["sha256"]):
            yield f"{name} is not what it was when this was saved"
    row = rows.get(found.step)
    if row is None:
        yield f"step {found.step} is not in {layout.STEPS}"
        return
    if row.chain.hex() != found.table["chain"]:
        yield f"its chain is not that of step {found.step}"
    try:
        state = serialization.load(found.path)
        tensors = state["model"] if isinstance(state, dict) else {}
    except (ElinvarError, KeyError) as error:
        yield f"its state cannot be read: {text_of(error)}"
        return
    if len(tensors) != len(row.digests):
        yield f"it has {len(tensors)} tensors, the log {len(row.digests)}"
        return
    for (name, tensor), wanted in zip(tensors.items(), row.digests, strict=True):
        if digest_of(tensor) != int(wanted):
            yield f"tensor {name} is not what step {found.step} gave"
            return
