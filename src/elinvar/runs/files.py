"""Files of a run's folder: sealed tables, logs that grow, and the lock."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn

from elinvar.core import durable
from elinvar.core.errors import RunError, fail

FORMAT = 1  # of everything in a run's folder
LARGEST_TABLE = 64 << 20  # bytes
_PIECE = 1 << 20
_LOCK_SECONDS = 0.5  # who only asks whether a run is locked holds the lock for a moment

try:
    import fcntl
except ImportError:  # Windows has no such locks: there nothing keeps two processes apart
    fcntl = None  # type: ignore[assignment]


def refuse(path: str | os.PathLike[str], why: str, hint: str | None = None) -> NoReturn:
    """Raise the error of a file that is not what it should be."""
    fail(RunError, "run", f"{os.fspath(path)!r} {why}", hint)


# ---- sealed tables ---------------------------------------------------------------------------


def canonical(table: Any) -> bytes:
    """The one text of a table."""
    text = json.dumps(table, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def seal_of(table: dict[str, Any]) -> str:
    """SHA-256 of all but the seal itself."""
    held = {key: value for key, value in table.items() if key != "seal"}
    return hashlib.sha256(canonical(held)).hexdigest()


def write_sealed(path: Path, table: dict[str, Any]) -> str:
    """Write a table with its seal, which is returned."""
    whole = {"format": FORMAT, **table}
    whole["seal"] = seal_of(whole)
    text = json.dumps(whole, indent=1, ensure_ascii=False)
    durable.replace(path, [text.encode("utf-8", "surrogatepass"), b"\n"])
    return str(whole["seal"])


def read_sealed(path: Path) -> dict[str, Any]:
    """Read a table.

    Raises:
        RunError: it is missing, damaged, changed by hand, or of a newer version.
    """
    with open_to_read(path) as file:
        data = _read(path, file, LARGEST_TABLE + 1)
    if len(data) > LARGEST_TABLE:
        refuse(path, f"has more than {LARGEST_TABLE} bytes: it is not of a run")
    try:
        table = json.loads(data.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        refuse(path, "is damaged: it is no JSON" if data else "is empty")
    if not isinstance(table, dict) or "format" not in table or "seal" not in table:
        refuse(path, "is not of a run")
    if type(table["format"]) is int and table["format"] > FORMAT:
        why = f"has format {table['format']}; this version of Elinvar reads up to {FORMAT}"
        refuse(path, why, "use the version that made it, or a newer one")
    if table["seal"] != seal_of(table):
        refuse(path, "was changed after it was written: its seal does not fit")
    return table


# ---- reading ---------------------------------------------------------------------------------


def open_to_read(path: Path) -> IO[bytes]:
    """Open a file. A pipe or a device in its place would be waited for, or read without end.

    Raises:
        RunError: it is missing, is no file, or cannot be opened.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        refuse(path, "is a link to nothing" if os.path.islink(path) else "is missing")
    except OSError as error:
        refuse(path, f"cannot be read: {error.strerror or error}")
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        what = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
        refuse(path, f"is {what} in the place of a file")
    return os.fdopen(descriptor, "rb")


def _read(path: Path, file: IO[bytes], most: int = -1) -> bytes:
    try:
        return file.read(most)
    except OSError as error:
        refuse(path, f"cannot be read: {error.strerror or error}")


def content_of(path: Path) -> bytes:
    """All of a file.

    Raises:
        RunError: see `open_to_read`.
    """
    with open_to_read(path) as file:
        return _read(path, file)


def hash_of(path: Path, length: int | None = None) -> tuple[int, str]:
    """Bytes and SHA-256 of a file, or of its first `length` bytes.

    Raises:
        RunError: see `open_to_read`.
    """
    found, count = hashlib.sha256(), 0
    with open_to_read(path) as file:
        while length is None or count < length:
            piece = _read(path, file, _PIECE if length is None else min(_PIECE, length - count))
            if not piece:
                break
            found.update(piece)
            count += len(piece)
    return count, found.hexdigest()


class Log:
    """A file that only grows. What stands in it up to a mark can be proved later.

    Args:
        path: the file. It is made, or cut to `mark`.
        mark: what `mark` gave before: the file's first bytes, and their SHA-256.

    Raises:
        RunError: the file's beginning is not what the mark says; nothing is changed.
    """

    def __init__(self, path: Path, mark: dict[str, Any] | None = None) -> None:
        self.path = path
        self._hash, self._count = hashlib.sha256(), 0
        self._waiting: list[bytes] = []
        self._file: IO[bytes]
        if mark is None:
            self._file = open(path, "xb", 0)
            return
        self._check(mark)
        self._file = open(path, "r+b", 0)
        self._file.truncate(self._count)

    def _check(self, mark: dict[str, Any]) -> None:
        wanted = mark["bytes"]
        with open_to_read(self.path) as file:
            while self._count < wanted:
                piece = _read(self.path, file, min(_PIECE, wanted - self._count))
                if not piece:
                    break
                self._hash.update(piece)
                self._count += len(piece)
        if self._count < wanted:
            refuse(self.path, f"is cut: {self._count} of {wanted} bytes are left")
        if self._hash.hexdigest() != mark["sha256"]:
            refuse(self.path, "is damaged: its hash is not what a checkpoint says")

    def append(self, data: bytes) -> None:
        """Add bytes; they may wait in memory."""
        self._waiting.append(data)

    def flush(self) -> None:
        """Hand over to the system what waits.

        Raises:
            OSError: the disk is full, or the like; then all still waits.
        """
        if not self._waiting:
            return
        data = b"".join(self._waiting)
        left = memoryview(data)
        try:
            self._file.seek(self._count)  # over what an earlier try may have left
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(self._count)
            raise
        self._waiting = []
        self._hash.update(data)
        self._count += len(data)

    def mark(self, waiting: bool = False, more: bytes = b"") -> dict[str, Any]:
        """What stands in the file now.

        Args:
            waiting: with what waits to be written.
            more: and with this.
        """
        found = self._hash.copy()
        parts = [*self._waiting, more] if waiting else []
        for part in parts:
            found.update(part)
        return {"bytes": self._count + sum(map(len, parts)), "sha256": found.hexdigest()}

    def sync(self) -> None:
        """Wait until it is on the disk."""
        os.fsync(self._file.fileno())

    def abandon(self) -> None:
        """Close it as it is."""
        self._file.close()

    def close(self) -> None:
        """Write what waits, and close."""
        try:
            self.flush()
            self.sync()
        finally:
            self._file.close()


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


class Lock:
    """One process at a time works on a run.

    It belongs to the process that took it, not to those that are forked from it: when that process
    is gone, however it ended, the run is free.

    Raises:
        RunError: another process has it, or it cannot be taken.
    """

    def __init__(self, folder: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
        path, self._file = folder / "lock", -1
        try:
            self._file = os.open(path, flags, 0o666)
        except OSError as error:
            refuse(path, f"cannot be opened: {error.strerror or error}", "what is in its place?")
        if not self._taken():
            self.release()
            refuse(folder, "is in use by another process", "wait for it, or stop it")
        _held.add(self)

    def _taken(self) -> bool:
        if fcntl is None:
            return True
        last = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > last:
                    return False
                time.sleep(0.02)
            except OSError:
                return True  # a file system without locks: there nothing keeps two apart
            else:
                return True

    def release(self) -> None:
        """Let others work on it."""
        descriptor, self._file = self._file, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def _let_go() -> None:
    """In a forked process: workers that outlive a killed parent must not keep its run locked."""
    for lock in list(_held):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def is_locked(folder: Path) -> bool:
    """Whether a process works on a run now."""
    if fcntl is None:
        return False
    try:
        with open_to_read(folder / "lock") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (RunError, OSError):
        return False
    return False
