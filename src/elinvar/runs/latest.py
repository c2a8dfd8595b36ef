"""Runs in a folder: which there are, and how each of them stands."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elinvar.core.errors import RunError, fail
from elinvar.core.other_names import nearest
from elinvar.core.settings import settings
from elinvar.runs import checkpoints, ending
from elinvar.runs import run as layout
from elinvar.runs.checkpoints import text_of
from elinvar.runs.files import is_locked, refuse
from elinvar.runs.rows import UNFINISHED, rows_of


@dataclass(frozen=True)
class Standing:
    """How a run stands.

    Attributes:
        folder: the run's.
        state: `running`, `finished`, `stopped`, `interrupted`, `failed`, `killed` (it has no end,
            and nobody works on it) or `damaged`.
        step: the last one that its end, or else its newest row of figures, tells.
        manifest: what went in; where it is damaged, what the log of processes knows of that.
        processes: when processes worked on it.
        trouble: what is damaged; None where nothing that was looked at is.
    """

    folder: Path
    state: str
    step: int
    manifest: dict[str, Any]
    processes: list[dict[str, Any]]
    trouble: str | None = None

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name


def runs_folder(base: str | os.PathLike[str] | None = None) -> Path:
    """Where runs are: `base`, or `ELINVAR_RUNS`, or `runs`."""
    return Path(base) if base is not None else settings.runs_dir or Path("runs")


def is_run(path: Any) -> bool:
    """Whether a path is the folder of a run, rather than a file."""
    return isinstance(path, str | os.PathLike) and Path(path).is_dir()


def folders(base: Path) -> Iterator[Path]:
    """The runs in a folder, the newest first, by what their manifests say and by name."""
    found = []
    try:
        entries = list(os.scandir(base))
    except OSError:
        return
    for entry in entries:
        folder = Path(entry.path)
        if entry.is_dir() and _has_files(folder):
            found.append((_created(folder), entry.name, folder))
    for _, _, folder in sorted(found, reverse=True):
        yield folder


def _has_files(folder: Path) -> bool:
    """Whether a folder has the files of a run."""
    names = (layout.MANIFEST, layout.STEPS, layout.PROCESSES)
    return any(os.path.lexists(folder / name) for name in names)


def _created(folder: Path) -> str:
    try:
        return str(layout.opened(folder)["created"])
    except RunError:
        rows, _ = rows_of(folder / layout.PROCESSES)
        return str(rows[0].get("time", "")) if rows else ""


def standing(folder: Path) -> Standing:
    """How a run stands, from small files only."""
    trouble = None
    processes, other = rows_of(folder / layout.PROCESSES)
    if other is not None and not other.endswith(UNFINISHED):
        trouble = other
    ends = [row for row in processes if row.get("event") in ("start", "end")]
    try:
        manifest = layout.opened(folder)
    except RunError as error:
        manifest, trouble = dict(ends[0]) if ends else {}, text_of(error)
    step = max((_whole(row) for row in ends), default=0)
    if is_locked(folder):
        state = "running"
    elif ends and ends[-1]["event"] == "end":
        state = str(ends[-1].get("outcome", "finished"))
    else:
        state = ending.outcome(folder) or ("damaged" if trouble and manifest else "killed")
    if state in ("running", "killed", "damaged"):
        rows, _ = rows_of(folder / layout.METRICS)
        step = max([step, *map(_whole, rows)])
    return Standing(folder, state, step, manifest, processes, trouble)


def _whole(row: dict[str, Any]) -> int:
    step = row.get("step", 0)
    return step if type(step) is int else 0


def find(name: str | os.PathLike[str], base: Path | None = None) -> Path:
    """The folder of a run: a path, its name, or the beginning of its name; `last` is the newest.

    Raises:
        RunError: there is none, or several begin so.
    """
    text, base = os.fspath(name), runs_folder(base)
    if text and os.path.isdir(text) and _has_files(Path(text)):
        return Path(text)
    known = list(folders(base))
    if text == "last" and known:
        return known[0]
    begins = [folder for folder in known if folder.name.startswith(text)] if text else []
    exact = [folder for folder in begins if folder.name == text]
    if len(exact or begins) == 1:
        return (exact or begins)[0]
    if begins:
        names = ", ".join(folder.name for folder in begins[:4])
        fail(RunError, "run", f"{len(begins)} runs in {base} begin with {text!r}: {names}, …")
    if text and os.path.isdir(text):
        refuse(text, "is not the folder of a run", "`elinvar runs` lists them")
    hint = nearest(text, [folder.name for folder in known]) if known else None
    what = f"there is no run {text!r:.200}"
    where = f" in {os.fspath(base)!r}" if base.is_dir() else f": there is no folder {str(base)!r}"
    fail(
        RunError, "run", what + where, hint or "`elinvar runs --folder DIR` lists those of a folder"
    )


def newest_open(base: Path, program: str, number: int) -> Path | None:
    """The newest run of a program that did not finish; runs without a checkpoint do not count.

    Args:
        base: where runs are.
        program: its name.
        number: which of the program's runs.
    """
    for folder in folders(base):
        found = standing(folder)
        about = found.manifest
        if about.get("entry", {}).get("program") != program or about.get("number") != number:
            continue
        if found.state == "running":
            layout.say(f"{folder} is in use by another process; a new run begins")
            return None
        if found.state in ("finished", "stopped"):
            return None
        if checkpoints.steps_in(folder / layout.CHECKPOINTS):
            return folder
    return None


def named_open(folder: Path) -> Path | None:
    """A run of a certain name, where there is something to go on from.

    One that was stopped before its first checkpoint makes way.
    """
    if not os.path.lexists(folder):
        return None
    if checkpoints.steps_in(folder / layout.CHECKPOINTS):
        layout.say(f"going on with {folder}")
        return folder
    if folder.is_dir() and not is_locked(folder) and (folder / layout.PROCESSES).exists():
        other = checkpoints.other_name(folder)
        layout.say(f"{folder} was stopped before its first checkpoint; it is now {other}")
    return None
