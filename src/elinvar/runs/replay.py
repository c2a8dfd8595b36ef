"""`elinvar replay`: start the program of a run again, and say whether it is the same run."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elinvar.core.errors import DataMissingError, RunError, ValueRangeError, fail
from elinvar.runs import checkpoints, code, identity
from elinvar.runs import run as layout
from elinvar.runs.files import read_sealed, refuse
from elinvar.runs.naming import counted
from elinvar.runs.rows import rows_of
from elinvar.runs.steps import StepTable


@dataclass
class Answer:
    """What a replay found.

    Attributes:
        same: whether each compared step had the same bits.
        first, last: the steps that were to be compared.
        compared: how many were the same.
        difference: the first one: step, epoch, batch, and what differs; None where there is none.
        changes: recorded things that are not as they were, as (kind, what).
        outside: random numbers that are not Elinvar's and were not where they had been.
        machine: what is another machine's or another number of threads; it changes no value.
    """

    same: bool
    first: int
    last: int
    compared: int
    tensors: int
    difference: dict[str, Any] | None
    changes: list[tuple[str, str]] = field(default_factory=list)
    machine: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = []
        if self.same:
            lines.append(
                f"the same run, bit for bit: steps {self.first} to {self.last}, "
                f"{counted(self.tensors, 'tensor')} after each"
            )
        else:
            assert self.difference is not None
            step, what = self.difference["step"], self.difference["what"]
            place = f"epoch {self.difference['epoch']}, batch {self.difference['batch']}"
            begins = step <= self.first
            where = "before the first step" if begins else f"at step {step} ({place})"
            lines.append(f"not the same run: the first difference is {where}: {what}")
        if self.changes:
            lines.append("changed, but without effect:" if self.same else "what changed:")
            lines += [f"  {kind}: {what}" for kind, what in self.changes]
        elif not self.same:
            lines.append(
                "nothing that is recorded changed: look for random numbers that are not Elinvar's, "
                "the time, the order of a set or of files in a folder, and values from outside"
            )
        known = {kind for kind, _ in self.changes} - {"data"}
        if self.outside and not self.same and not known:
            lines.append("random numbers that are not Elinvar's stood elsewhere (not seeded?):")
            lines += [f"  {text}" for text in self.outside]
        if self.machine:
            lines.append("another machine or number of threads, which changes no value:")
            lines += [f"  {text}" for text in self.machine]
        return "\n".join(lines)


def replay(
    folder: Path,
    *,
    start: int | None = None,
    stop: int | None = None,
    program: Sequence[str] | None = None,
    inside: Path | None = None,
    checkout: bool = False,
    threads: int | None = None,
    quiet: bool = False,
) -> Answer:
    """Run a recorded run again, and compare.

    Args:
        folder: the run's.
        start: begin at the newest checkpoint that is not after this step; by default the program
            itself makes the first state, which is compared, too.
        stop: the last step to compare.
        program: the command line, where it is not the recorded one.
        inside: a folder in which the program's code lies now.
        checkout: take the code of the recorded commit and diff, in a folder of its own.
        threads: how many.
        quiet: hide the program's own output, which otherwise goes to standard error.

    Raises:
        RunError: the run is damaged, or its program cannot be started or ended before the run.
    """
    if threads is not None and threads < 1:
        fail(ValueRangeError, "replay", f"threads must be 1 or more, received {threads}")
    if start is not None and stop is not None and start > stop:
        fail(ValueRangeError, "replay", f"step {start} comes after step {stop}")
    if inside is not None and not inside.is_dir():
        fail(DataMissingError, "replay", f"there is no folder {os.fspath(inside)!r}")
    manifest = layout.opened(folder)
    rows = StepTable(folder / layout.STEPS)
    steps = [row.step for row in rows]
    if rows.trouble is not None and not rows.trouble.startswith("ends"):
        refuse(rows.path, rows.trouble, f"elinvar verify {folder} says more")
    if not steps:
        refuse(folder, "has no steps to compare")
    state, first = _state(folder, manifest, start)
    first = max(first, steps[0])
    last = min(steps[-1], stop if stop is not None else steps[-1])
    if last <= first and last != 0:
        refuse(folder, f"has no steps after {first} up to {last}; it has {steps[-1]}")
    data = _sealed(folder / layout.DATA)
    started = _newest_start(folder, manifest)
    with tempfile.TemporaryDirectory(prefix="elinvar-replay-") as temporary:
        place = Path(temporary)
        request = {
            "run": str(folder.resolve()),
            "number": started["number"],
            "state": None if state is None else str(state.resolve()),
            "first": first,
            "last": last,
            "answer": str(place / "answer.json"),
            "algorithm": _algorithm(data.get("data", {})),
        }
        (place / "request.json").write_text(json.dumps(request), encoding="utf-8")
        with _code(folder, manifest, place, inside, checkout) as root:
            said = _run(manifest, started["entry"], place, root, program, threads, quiet)
        try:
            found = json.loads((place / "answer.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            why = f"the program ended {said}, before its run {started['number']} was complete"
            hint = "without --quiet you see what the program says" if quiet else None
            refuse(folder, f"could not be replayed: {why}", hint)
        contents = _contents(folder / layout.CODE, place / layout.CODE)
        changes = _changes(manifest, data, found, contents)
    return Answer(
        found["first"] is None,
        first,
        last,
        found["compared"],
        len(rows.tensors),
        found["first"],
        changes,
        _changed("machine", manifest, found),
        [text.partition(":")[0] for text in _changed("outside", manifest, found)],
    )


def _state(folder: Path, manifest: Mapping[str, Any], start: int | None) -> tuple[Path | None, int]:
    """Where to begin: a state, and its step."""
    if start is None:
        return None, 0
    for step, found in checkpoints.listed(folder / layout.CHECKPOINTS):
        if step <= start:
            if isinstance(found, RunError):
                raise found
            checkpoints.check(found)
            return found.path, step
    refuse(folder, f"has no checkpoint at or before step {start}")


def _newest_start(folder: Path, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """How the newest process that worked on the run was started: it knows of all its epochs."""
    rows, _ = rows_of(folder / layout.PROCESSES)
    starts = [row for row in rows if row.get("event") == "start" and "entry" in row]
    return starts[-1] if starts else manifest


def _sealed(path: Path) -> dict[str, Any]:
    return read_sealed(path) if path.exists() else {}


def _algorithm(data: Mapping[str, Any]) -> str | None:
    """The algorithm of the recorded fingerprints."""
    for use in data.values():
        for row in (*use.get("arrays", ()), *use.get("files", ())):
            if "fingerprint" in row:
                return str(row["fingerprint"]).partition(":")[0]
    return None


# ---- the program -----------------------------------------------------------------------------


@contextmanager
def _code(
    folder: Path, manifest: Mapping[str, Any], place: Path, inside: Path | None, checkout: bool
) -> Iterator[Path | None]:
    """Where the program's code is; None for where it was."""
    if not checkout:
        yield None if inside is None else inside.resolve()
        return
    about = manifest["code"]
    if "commit" not in about:
        refuse(folder, "was recorded without git: there is no commit to check out")
    source, tree = Path(about["folder"] if inside is None else inside), place / "tree"
    _git(source, "worktree", "add", "--detach", "--quiet", str(tree), about["commit"])
    try:
        if "diff" in about:
            _git(
                tree,
                "apply",
                "--whitespace=nowarn",
                str((folder / "code" / about["diff"]).resolve()),
            )
        for name, digest in about["files"].items():  # those that git does not know
            kept = folder / layout.CODE / digest
            if not Path(name).is_absolute() and not (tree / name).exists() and kept.exists():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                (tree / name).write_bytes(kept.read_bytes())
        _linked(source, tree)
        folder_now = Path(manifest["entry"]["folder"])
        if folder_now != source and folder_now.is_relative_to(source):
            _linked(folder_now, tree / folder_now.relative_to(source))
        yield tree
    finally:
        _git(source, "worktree", "remove", "--force", str(tree))


def _linked(source: Path, tree: Path) -> None:
    """Links to what git does not have: data beside the program, which is not in a commit."""
    if not source.is_dir():
        return
    tree.mkdir(parents=True, exist_ok=True)
    for entry in os.scandir(source):
        if entry.name != ".git" and not os.path.lexists(tree / entry.name):
            (tree / entry.name).symlink_to(os.path.abspath(entry.path))


def _git(folder: Path, *words: str) -> None:
    done = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["?"])[-1]
        fail(RunError, "replay", f"git {words[0]} in {str(folder)!r}: {why}")


def _run(
    manifest: Mapping[str, Any],
    entry: Mapping[str, Any],
    place: Path,
    root: Path | None,
    program: Sequence[str] | None,
    threads: int | None,
    quiet: bool,
) -> str:
    """Run the program; how it ended, in words."""
    arguments = list(program) if program else entry["arguments"]
    if arguments is None:
        text = f"{manifest['name']} was made in a notebook or at a prompt"
        hint = "put its code in a script: elinvar replay RUN -- python script.py"
        fail(RunError, "replay", text, hint)
    recorded = Path(manifest["code"]["folder"])
    folder = Path(entry["folder"])
    if root is not None:
        moved = [_moved(word, recorded, root) for word in arguments]
        arguments = moved
        inside = folder.is_relative_to(recorded)
        folder = root / folder.relative_to(recorded) if inside else root
    if not folder.is_dir():
        text = f"the folder in which the program ran is gone: {folder}"
        fail(RunError, "replay", text, "say where its code is now: --in FOLDER")
    if not program:
        arguments[0] = sys.executable
    layout.say(f"starting {shlex.join(arguments)} in {folder}")
    environment = {
        **os.environ,
        "ELINVAR_REPLAY": str(place / "request.json"),
        **({} if threads is None else {"ELINVAR_NUM_THREADS": str(threads)}),
    }
    try:
        done = subprocess.run(
            arguments,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if quiet else 2,
            stderr=subprocess.DEVNULL if quiet else None,
            check=False,
        )
    except OSError as error:
        fail(RunError, "replay", f"{arguments[0]!r} cannot be started: {error.strerror or error}")
    return f"with exit code {done.returncode}"


def _moved(word: str, old: Path, new: Path) -> str:
    """A path in the recorded folder of code as one in the new folder."""
    path = Path(word)
    if path.is_absolute() and path.is_relative_to(old):
        return str(new / path.relative_to(old))
    return word


# ---- what changed ----------------------------------------------------------------------------


def _contents(*folders: Path) -> Any:
    def content(digest: str) -> bytes | None:
        for folder in folders:
            path = folder / digest
            if path.exists():
                return path.read_bytes()
        return None

    return content


def _changes(
    manifest: Mapping[str, Any], data: Mapping[str, Any], found: Mapping[str, Any], contents: Any
) -> list[tuple[str, str]]:
    now = found.get("manifest", {})
    if not now:
        return []
    changes = [
        ("code", f"{name}: {what}")
        for name, what in code.differences(manifest["code"], now["code"], contents)
    ]
    if data:
        changes += [("data", x) for x in identity.differences(data["data"], found["data"])]
    changes += differences("configuration", manifest["config"], now["config"])
    changes += elinvar_differences(manifest["numerics"], now["numerics"])
    changes += differences("package", manifest["packages"], now["packages"])
    return changes


def elinvar_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How Elinvar itself differs: its version, rules, and files."""
    kind = "elinvar"
    old, new = dict(before), dict(now)
    a, b = old.pop("source", {}), new.pop("source", {})
    odd = sorted(name for name in {**a, **b} if a.get(name) != b.get(name))
    if odd:
        old.pop("compiler", None)  # it is made of those files
        new.pop("compiler", None)
    found = differences(kind, old, new)
    if odd:
        more = f" and {len(odd) - 3} more of its files" if len(odd) > 3 else ""
        found.append((kind, f"{', '.join(odd[:3])}{more}: changed"))
    return found


def _changed(part: str, manifest: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """How a part of the manifest differs, in words."""
    before = manifest.get(part, {})
    return [what for _, what in differences("", before, found["manifest"].get(part, before))]


def differences(kind: str, before: Any, now: Any, name: str = "") -> list[tuple[str, str]]:
    """How two tables differ, entry by entry.

    Example:
        >>> differences("configuration", {"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "c": 2}})
        [('configuration', 'a.b: 1 → 3')]
    """
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        pairs = {key: (before.get(key), now.get(key)) for key in {**before, **now}}
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = dict(enumerate(zip(before, now, strict=True)))
    else:
        return [] if before == now else [(kind, f"{name}: {_short(before)} → {_short(now)}")]
    found = []
    for key, (old, new) in pairs.items():
        found += differences(kind, old, new, f"{name}.{key}" if name else str(key))
    return found


def _short(value: Any) -> str:
    return "none" if value is None else f"{value!s:.60}"
