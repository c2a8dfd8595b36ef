"""Whether a run's folder holds what was written: hashes, checks, and how they fit together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elinvar.core.errors import ElinvarError, RunError
from elinvar.nn import serialization
from elinvar.runs import checkpoints, events
from elinvar.runs import run as layout
from elinvar.runs.code import LARGEST_FILE
from elinvar.runs.digests import digest_of
from elinvar.runs.files import canonical, hash_of, is_locked, read_sealed
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
        if not folder.is_dir() or not (folder / layout.MANIFEST).exists():
            raise
        report.faults.append(_text(error))
        manifest = {}
    data = _data(folder, report)
    _code(folder, manifest, report)
    rows = _steps(folder, report)
    _logs(folder, report)
    _states(folder, manifest, rows, report)
    last = rows[max(rows)].chain.hex() if rows else ""
    word = [manifest.get("seal"), data.get("seal"), last]
    report.identity = hashlib.sha256(canonical(word)).hexdigest()
    return report


def _text(error: Exception) -> str:
    return str(error).splitlines()[0].removeprefix("[run] ")


def _data(folder: Path, report: Report) -> dict[str, Any]:
    path = folder / layout.DATA
    if not path.exists():
        report.notes.append("data.json is not there: the process ended before it was written")
        return {}
    try:
        found = read_sealed(path)
    except RunError as error:
        report.faults.append(_text(error))
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
        if not path.exists():
            original = Path(about.get("folder", "")) / name
            if not (original.exists() and original.stat().st_size > LARGEST_FILE):
                report.faults.append(f"code: {name} is missing")
        elif hash_of(path)[1] != digest:
            report.faults.append(f"code: {name} was changed")
    report.checked.append(f"{len(wanted)} files of code")


def _steps(folder: Path, report: Report) -> dict[int, Row]:
    try:
        table = StepTable(folder / layout.STEPS)
    except RunError as error:
        report.faults.append(_text(error))
        return {}
    rows = {row.step: row for row in table}
    report.steps = len(rows)
    if any(table.after):
        report.faults.append("steps.bin begins in the middle: what came before was damaged")
    if table.trouble is not None:
        text = f"{layout.STEPS} {table.trouble}"
        ends = table.trouble.startswith("ends")
        (report.notes if ends else report.faults).append(text)
    report.checked.append(f"{len(rows)} steps of {len(table.tensors)} tensors")
    return rows


def _logs(folder: Path, report: Report) -> None:
    for name in (layout.METRICS, layout.PROCESSES):
        rows, trouble = layout.rows_of(folder / name)
        if trouble is not None:
            ends = trouble.endswith("within a line")
            (report.notes if ends else report.faults).append(trouble)
        report.checked.append(f"{len(rows)} lines of {name}")
    path = folder / layout.EVENTS
    try:
        trouble = events.check(path.read_bytes())
    except OSError as error:
        trouble = f"cannot be read: {error.strerror or error}"
    if trouble is not None:
        note = trouble.startswith("ends")
        (report.notes if note else report.faults).append(f"{layout.EVENTS} {trouble}")
    for path in sorted(folder.glob("*.damaged-*")):
        report.notes.append(f"{path.name} is what is left of a log that was damaged before")


def _states(folder: Path, manifest: dict[str, Any], rows: dict[int, Row], report: Report) -> None:
    count, place = 0, folder / layout.CHECKPOINTS
    for step, found in checkpoints.listed(place):
        try:
            if isinstance(found, RunError):
                raise found
            if manifest and found.table["manifest"] != manifest["seal"]:
                raise RunError(f"{found.path.name} is of another run, or the manifest was replaced")
            checkpoints.check(found)
            report.faults += [f"{found.path.name}: {x}" for x in _fits(found, folder, rows)]
        except RunError as error:
            if not is_locked(folder):  # a process that works on it may have deleted it just now
                report.faults.append(_text(error))
        else:
            count += 1
        del step
    names = {path.name for path in place.glob("step-*.safetensors")}
    whole = {path.with_suffix(".safetensors").name for path in place.glob("step-*.json")}
    report.notes += [f"{name} has no table: it was not complete" for name in sorted(names - whole)]
    report.notes += [f"{path.name} was set aside" for path in sorted(place.glob("*.damaged"))]
    report.checked.append(f"{count} checkpoints")


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
        yield f"its state cannot be read: {_text(error)}"
        return
    if len(tensors) != len(row.digests):
        yield f"it has {len(tensors)} tensors, the log {len(row.digests)}"
        return
    for (name, tensor), wanted in zip(tensors.items(), row.digests, strict=True):
        if digest_of(tensor) != int(wanted):
            yield f"tensor {name} is not what step {found.step} gave"
            return
