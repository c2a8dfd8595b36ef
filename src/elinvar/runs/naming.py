"""The folder of a new run, and whether what was asked for makes sense."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

from elinvar.core.errors import ValueRangeError, fail
from elinvar.runs import facts
from elinvar.runs.files import refuse


def check_options(log_every: int, every: float, keep: int) -> None:
    """See that the settings of a recording make sense.

    Raises:
        ValueRangeError: one does not.
    """
    for name, value, least in (("log_every", log_every, 1), ("keep", keep, 1)):
        if type(value) is not int or value < least:
            text = f"{name} must be a whole number from {least}, received {value!r}"
            fail(ValueRangeError, "run", text)
    if not isinstance(every, int | float) or not every >= 0:
        text = f"checkpoint_every must be a number of seconds from 0, received {every!r}"
        fail(ValueRangeError, "run", text)


def check_name(name: str) -> str:
    """A run's name.

    Raises:
        ValueRangeError: it is no name of a folder, or cannot be said to the commands.
    """
    why = None
    if not name or name in (".", "..") or "/" in name or os.sep in name:
        why = "must be the name of a folder, not a path"
    elif not name.isprintable() or name.startswith(("-", ".")) or name != name.strip():
        why = "must consist of printable signs, and not begin with - or . or a blank"
    elif len(os.fsencode(name)) > 200:
        why = "must have at most 200 bytes"
    elif name == "last":
        why = "must not be 'last', which means the newest run"
    if why is not None:
        hint = "the folder in which runs are is said by folder=…, or by ELINVAR_RUNS"
        fail(ValueRangeError, "run", f"the name of a run {why}, received {name!r:.80}", hint)
    return name


def new_folder(base: Path, name: str | None = None) -> Path:
    """Make a folder for a run: `name` in `base`, or the time and the program's name.

    Raises:
        OSError: it cannot be made.
        RunError: there is one of this name.
    """
    base.mkdir(parents=True, exist_ok=True)
    if name is not None:
        folder = base / check_name(name)
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
