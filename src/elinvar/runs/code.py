"""The user's own code in a run: which files, what was in them, what git says of them."""

from __future__ import annotations

import difflib
import functools
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LARGEST_FILE = 2 << 20  # bytes of a file of code; a larger one is named, but not kept
LARGEST_DIFF = 16 << 20
_GIT_SECONDS = 10
_noted: dict[str, None] = {}


def note_file(path: str | os.PathLike[str]) -> None:
    """Count a file as code of the program though it is no module, such as a configuration."""
    _noted[os.path.realpath(path)] = None


def configuration() -> str | None:
    """The file that was noted first: what the command line was asked to train."""
    return next(iter(_noted), None)


def root() -> Path:
    """The folder of the program: the top of its git checkout, or where the script is."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if main is None or _is_installed(Path(os.path.realpath(main))):
        begin = Path.cwd()
    else:
        begin = Path(os.path.realpath(main)).parent
    for folder in (begin, *begin.parents):
        if (folder / ".git").exists():
            return folder
    return begin


@functools.cache
def _library_folders() -> list[Path]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    found = {Path(os.path.realpath(sysconfig.get_path(name))) for name in names}
    own = Path(os.path.realpath(__file__)).parent.parent
    return [*found, own]


def _is_installed(path: Path) -> bool:
    """Whether a file belongs to Python, to a package, or to Elinvar."""
    if "site-packages" in path.parts or "dist-packages" in path.parts:
        return True
    return any(path.is_relative_to(folder) for folder in _library_folders())


@functools.cache
def _own(file: str) -> Path | None:
    """A module's file, if it is the user's own."""
    path = Path(os.path.realpath(file))
    return None if _is_installed(path) else path


def own_files() -> list[Path]:
    """The files of all modules that were imported by now and are the user's own; configurations."""
    found = dict[Path, None]()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith((".py", ".pyw")):
            path = _own(file)
            if path is not None and path.is_file():
                found[path] = None
    for name in _noted:
        if os.path.isfile(name):
            found[Path(name)] = None
    return sorted(found)


def label(path: Path, base: Path) -> str:
    """A file's name in the manifest: from the program's folder on, or else the whole path."""
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else path.as_posix()


def snapshot() -> tuple[dict[str, Any], dict[str, bytes]]:
    """What the code is: the manifest's part, and the files' contents by SHA-256."""
    base, files, contents = root(), {}, {}
    for path in own_files():
        try:
            data = path.read_bytes()
        except OSError:
            continue
        files[label(path, base)] = digest = hashlib.sha256(data).hexdigest()
        if len(data) <= LARGEST_FILE:
            contents[digest] = data
    found: dict[str, Any] = {"folder": str(base), "files": files, **_git(base)}
    diff = found.pop("diff", None)
    if diff is not None:
        found["diff"] = digest = hashlib.sha256(diff).hexdigest()
        contents[digest] = diff
    return found, contents


def _git(base: Path) -> dict[str, Any]:
    """The commit, and how tracked files differ from it; empty without git."""
    commit = _said(base, "rev-parse", "HEAD")
    if commit is None:
        return {}
    found: dict[str, Any] = {"commit": commit.decode(errors="replace").strip()}
    prefix = _said(base, "diff", "--no-ext-diff", "--no-color", "--binary", "HEAD", "--", ".")
    if prefix:
        if len(prefix) <= LARGEST_DIFF:
            found["diff"] = prefix
        else:
            found["diff_bytes"] = len(prefix)
    return found


def _said(base: Path, *words: str) -> bytes | None:
    """What git says; None where it refuses, or is not there.

    It says it to a file. At the end of a pipe one waits until all processes that have the other end
    have closed it, and to those belong worker processes that another thread forks meanwhile.
    """
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    program = shutil.which("git")
    if program is None:
        return None
    try:
        with tempfile.TemporaryDirectory(prefix="elinvar-git-") as folder:
            output = Path(folder) / "said"
            line = [program, "-C", str(base), *words]
            return output.read_bytes() if _run(line, environment, output) == 0 else None
    except (OSError, subprocess.SubprocessError):
        return None


def _run(line: list[str], environment: dict[str, str], output: Path) -> int:
    """Run a program, whose output goes to a file: its exit code."""
    if not hasattr(os, "posix_spawn"):  # there nothing is forked, either
        with open(output, "wb") as file:
            return subprocess.run(
                line,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.DEVNULL,
                timeout=_GIT_SECONDS,
                env=environment,
                check=False,
            ).returncode
    writes = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.fspath(output), writes, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
    ]
    child = os.posix_spawn(line[0], line, environment, file_actions=files)
    last, pause = time.monotonic() + _GIT_SECONDS, 0.001
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > last:
            os.kill(child, signal.SIGKILL)
            last += 1.0
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


# ---- differences -----------------------------------------------------------------------------


def differences(
    before: Mapping[str, Any], now: Mapping[str, Any], contents: Any
) -> list[tuple[str, str]]:
    """How the code differs: (file, what), with the first changed line where texts are kept.

    Args:
        before, now: the manifests' parts.
        contents: SHA-256 → bytes or None.
    """
    old, new = dict(before.get("files", {})), dict(now.get("files", {}))
    found = []
    for name in sorted(set(old) | set(new)):
        if name not in new:
            found.append((name, "is no longer used"))
        elif name not in old:
            found.append((name, "is new"))
        elif old[name] != new[name]:
            found.append((name, _first_change(contents(old[name]), contents(new[name]))))
    return found


def _first_change(old: bytes | None, new: bytes | None) -> str:
    if old is None or new is None:
        return "was changed"
    a, b = (data.decode(errors="replace").splitlines() for data in (old, new))
    for word, first, last, begin, end in difflib.SequenceMatcher(None, a, b, False).get_opcodes():
        if word == "equal":
            continue
        gone = a[first] if last > first else ""
        come = b[begin] if end > begin else ""
        if word == "replace":
            gone, come = _shortened(gone, come)
            return f"line {begin + 1}: {gone} → {come}"
        what = "new" if word == "insert" else "gone"
        return f"line {begin + 1}: {(come or gone).strip():.60} is {what}"
    return "has other line ends"


def _shortened(old: str, new: str, around: int = 24) -> tuple[str, str]:
    """Both lines where they differ, with a little of what is around it."""
    same = 0
    while same < min(len(old), len(new)) and old[same] == new[same]:
        same += 1
    first = max(same - around, 0)
    dots = "…" if first else ""
    found = []
    for text in (old, new):
        part = text[first : same + 2 * around]
        found.append((dots + part + ("…" if same + 2 * around < len(text) else "")).strip())
    return found[0], found[1]
