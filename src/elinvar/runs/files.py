"""Files of a run's folder: sealed tables, logs that grow, and the lock."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn

from elinvar.core import durable
from elinvar.core.errors import RunError, fail

FORMAT = 1  # of everything in a run's folder
LARGEST_TABLE = 64 << 20  # bytes
_PIECE = 1 << 20

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
    try:
        if path.stat().st_size > LARGEST_TABLE:
            refuse(path, f"has more than {LARGEST_TABLE} bytes: it is not of a run")
        data = path.read_bytes()
    except FileNotFoundError:
        refuse(path, "is missing")
    except OSError as error:
        refuse(path, f"cannot be read: {error.strerror or error}")
    try:
        table = json.loads(data.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        refuse(path, "is damaged: it is no JSON")
    if not isinstance(table, dict) or "format" not in table or "seal" not in table:
        refuse(path, "is not of a run")
    if type(table["format"]) is int and table["format"] > FORMAT:
        why = f"has format {table['format']}; this version of Elinvar reads up to {FORMAT}"
        refuse(path, why, "use the version that made it, or a newer one")
    if table["seal"] != seal_of(table):
        refuse(path, "was changed after it was written: its seal does not fit")
    return table


# ---- hashes of files -------------------------------------------------------------------------


def hash_of(path: Path, length: int | None = None) -> tuple[int, str]:
    """Bytes and SHA-256 of a file, or of its first `length` bytes."""
    found, count = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while length is None or count < length:
            piece = file.read(_PIECE if length is None else min(_PIECE, length - count))
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
            self._file = open(path, "xb")
            return
        self._check(mark)
        self._file = open(path, "r+b")
        self._file.truncate(self._count)
        self._file.seek(self._count)

    def _check(self, mark: dict[str, Any]) -> None:
        wanted = mark["bytes"]
        try:
            with open(self.path, "rb") as file:
                while self._count < wanted:
                    piece = file.read(min(_PIECE, wanted - self._count))
                    if not piece:
                        break
                    self._hash.update(piece)
                    self._count += len(piece)
        except FileNotFoundError:
            refuse(self.path, "is missing")
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
        try:
            self._file.write(data)
            self._file.flush()
        except OSError:
            # what was half written is cut off; the file object may hold the rest in its buffer
            self._again()
            raise
        self._waiting.clear()
        self._hash.update(data)
        self._count += len(data)

    def _again(self) -> None:
        """Open anew, at the end of what is whole."""
        descriptor = os.open(self.path, os.O_RDWR)
        try:
            os.ftruncate(descriptor, self._count)
        finally:
            os.close(descriptor)
        old, self._file = self._file, open(self.path, "r+b")
        self._file.seek(self._count)
        try:
            old.close()
        except OSError:
            self._file.seek(self._count)
            self._file.truncate()

    def mark(self) -> dict[str, Any]:
        """What stands in the file now."""
        return {"bytes": self._count, "sha256": self._hash.hexdigest()}

    def sync(self) -> None:
        """Wait until it is on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write what waits, and close."""
        try:
            self.flush()
            self.sync()
        finally:
            self._file.close()


class Lock:
    """One process at a time works on a run.

    Raises:
        RunError: another one does.
    """

    def __init__(self, folder: Path) -> None:
        self._file = open(folder / "lock", "a+b")
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            refuse(folder, "is in use by another process", "wait for it, or stop it")

    def release(self) -> None:
        """Let others work on it."""
        self._file.close()

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def is_locked(folder: Path) -> bool:
    """Whether a process works on a run now."""
    if fcntl is None or not (folder / "lock").exists():
        return False
    try:
        Lock(folder).release()
    except RunError:
        return True
    except OSError:
        return False
    return False
