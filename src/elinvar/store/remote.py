"""A remote: a store's objects and names at an address that fsspec knows.

    format.json           which format and which hash
    packs/*.pack          small objects, as in a store
    objects/ab/…          large objects, in parts of 16 MiB: ….0000, ….0001
    names/NAME/*.json     histories, numbered: the last whole one counts

A piece is there if it has the size that it should have; what arrives is believed by its hash alone.
Pieces that were half written count as missing, so whatever is interrupted goes on where it was.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from elinvar.core.errors import DataError, ElinvarError, fail
from elinvar.core.log import log
from elinvar.store.names import History, file_of
from elinvar.store.packs import TRAILER, Index, index_range, parse_index
from elinvar.store.place import FORMAT, Place, format_bytes

PART = 1 << 24
WAITS = (0.2, 1.0, 3.0)  # seconds before another try
_OURS = ("format.json", "packs/", "objects/")
_KEPT = 2  # histories of before
_NUMBERED = re.compile(r"/(\d{8})-[0-9a-f]{16}\.json$")
_FINAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.ENOTDIR, errno.EISDIR}
GOES_ON = "what was transferred so far is kept; the next try goes on there"

Result = TypeVar("Result")


class Remote:
    """A remote and what is there.

    Args:
        place: the store, whose hash the remote has, too.
        url: its address.
        options: arguments of the file system, such as credentials.

    Attributes:
        sizes: of the pieces that are there, by their names below the address.
    """

    url: str
    files: Any
    base: str

    def __init__(self, place: Place, url: str, options: dict[str, Any] | None) -> None:
        self.place, self.url = place, url
        try:
            fsspec = importlib.import_module("fsspec")
        except ImportError:
            text = "push and pull need the package fsspec"
            fail(DataError, "data", text, "pip install 'elinvar[remote]'")
        try:
            self.files, base = fsspec.core.url_to_fs(os.path.expanduser(url), **(options or {}))
        except Exception as error:  # of a package that is missing, of credentials, of the address
            raise DataError(f"[data] {url} cannot be opened: {_reason(error)}") from error
        self.base = str(base).rstrip("/")
        self._made: set[str] = set()
        self.sizes: dict[str, int] = {}

    def call(self, what: str, call: Callable[[], Result]) -> Result:
        """Do something there, and again some times where the connection fails.

        Args:
            what: it cannot be …

        Raises:
            FileNotFoundError: there is no such piece.
            DataError: it refuses, or failed each time.
        """
        for wait in (*WAITS, None):
            try:
                return call()
            except (FileNotFoundError, ElinvarError):
                raise
            except Exception as error:
                denied = isinstance(error, PermissionError)
                final = denied or (isinstance(error, OSError) and error.errno in _FINAL)
                if wait is None or final:
                    reason = "permission is denied" if denied else _reason(error)
                    text = f"[data] {self.url} cannot be {what}: {reason}"
                    hint = "" if final else f"\n  hint: {GOES_ON}"
                    raise DataError(text + hint) from error
                time.sleep(wait)
        raise AssertionError("the last try returns or raises")

    # ---- pieces ------------------------------------------------------------------------------

    def look(self) -> None:
        """List what is there."""

        def listed() -> dict[str, Any]:
            self.files.invalidate_cache()
            try:
                found: dict[str, Any] = self.files.find(self.base, detail=True)
            except FileNotFoundError:
                return {}
            return found

        found = self.call("listed", listed)
        start = len(self.base) + 1
        names = {name[start:]: int(told.get("size") or 0) for name, told in found.items()}
        self.sizes = names

    def read(self, name: str, start: int | None = None, end: int | None = None) -> bytes:
        """A piece, or a range of it."""
        path = f"{self.base}/{name}"
        return bytes(self.call("read", lambda: self.files.cat_file(path, start=start, end=end)))

    def write(self, name: str, content: bytes) -> None:
        """Write a piece."""
        path = f"{self.base}/{name}"
        try:
            self._make_parent(path.rpartition("/")[0])
            self.call("written", lambda: self.files.pipe_file(path, content))
        except FileNotFoundError as error:
            raise DataError(f"[data] {self.url} cannot be written: {_reason(error)}") from error
        self.sizes[name] = len(content)

    def _make_parent(self, parent: str) -> None:
        if parent not in self._made:
            with contextlib.suppress(FileExistsError):
                self.call("written", lambda: self.files.makedirs(parent, exist_ok=True))
            self._made.add(parent)

    # ---- what stands in them --------------------------------------------------------------------

    def check_format(self, create: bool) -> None:
        """See that we understand each other.

        Raises:
            DataError: nothing is there, or a store of a newer version or of another hash.
        """
        if "locks/objects" in self.sizes:
            text = f"{self.url} is a store, and no remote"
            fail(DataError, "data", text, "push from there to another folder, and pull from that")
        told = _parsed(self.read("format.json")) if "format.json" in self.sizes else None
        if told is None and any(one.startswith("names/") for one in self.sizes):
            fail(DataError, "data", f"{self.url}/format.json is damaged or missing")
        if told is None and not create:
            text = f"there are no versions of data at {self.url}"
            fail(DataError, "data", text, "el.data.push brings some there")
        if self.sizes and not any(one.startswith(_OURS) for one in self.sizes):
            text = f"{self.url} holds other files, and no versions of data"
            fail(DataError, "data", text, "name an empty or a new folder")
        if told is None:  # nothing was there, or half of it was written
            self.write("format.json", format_bytes(self.place.kind.name))
            return
        form, kind = told.get("format"), told.get("algorithm")
        if not isinstance(form, int) or form > FORMAT:
            text = f"{self.url} has format {form}, made by a newer version of Elinvar"
            fail(DataError, "data", text, "pip install -U elinvar")
        if kind != self.place.kind.name:
            text = f"{self.url} has hashes of {kind}, the store {self.place.folder} of "
            fail(
                DataError, "data", text + self.place.kind.name, "use another folder for this store"
            )

    def histories(self, name: str) -> list[str]:
        """Pieces with the history of a name: the one that counts first."""
        folder = f"names/{file_of(self.place, name).stem}/"
        found = [one for one in self.sizes if one.startswith(folder) and _NUMBERED.search(one)]
        return sorted(found, key=lambda one: (-_number(one), one))

    def history(self, name: str, wanted: bool = True) -> History:
        """The history of a name there; an empty one if there is none.

        Args:
            wanted: it is read for what it says; else it is replaced by a better one.

        Raises:
            DataError: it is damaged, and there is none of before.
        """
        damaged = ""
        for piece in self.histories(name):
            try:
                content = self.read(piece)
                found = History.from_bytes(content, self.place.kind, f"{self.url}/{piece}")
            except FileNotFoundError:
                continue  # a newer one came meanwhile
            except DataError as error:
                if "is damaged" not in str(error):
                    raise
                damaged = damaged or piece
                log.warning("%s/%s is no whole history; the one before counts", self.url, piece)
                continue
            if found.name == name:
                return found
            damaged = damaged or piece
        if damaged and wanted:
            text = f"{self.url}/{damaged} is damaged, or half of it was written"
            fail(DataError, "data", text, "push again from a whole store")
        return History(name)

    def save_history(self, history: History) -> None:
        """Write a history there, beside the one of before: what is half written does not count.

        Raises:
            DataError: another process has written one at the same time. At worst both give way;
                never does one of two count that were both said to be there.
        """
        before = self.histories(history.name)
        content = history.to_bytes(self.place.kind)
        number = _number(before[0]) + 1 if before else 1
        digits = self.place.kind.whole(content).hex()[:16]
        folder = f"names/{file_of(self.place, history.name).stem}"
        piece = f"{folder}/{number:08d}-{digits}.json"
        self.write(piece, content)
        self.look()
        others = [one for one in self.histories(history.name) if one != piece]
        if any(_number(one) >= number for one in others):  # who sees another one gives way
            self._delete(piece)
            text = f"somebody else has pushed {history.name!r} to {self.url} at the same time"
            fail(DataError, "data", text, "pull first, then push again")
        for old in before[_KEPT:]:
            self._delete(old)

    def _delete(self, piece: str) -> None:
        with contextlib.suppress(Exception):  # it does no harm where it is
            self.files.rm_file(f"{self.base}/{piece}")

    def indexes(self) -> list[Index]:
        """The indexes of the packs there, those that are whole; they are kept for the next time."""
        key = hashlib.sha256(f"{self.url}".encode()).hexdigest()[:32]
        kept = self.place / "remotes" / key
        with contextlib.suppress(OSError):  # the store's disk can only be read
            kept.mkdir(parents=True, exist_ok=True)
        found = []
        for name, size in self.sizes.items():
            if name.startswith("packs/") and name.endswith(".pack"):
                index = self._index(Path(name).stem, size, kept)
                if index is not None:
                    found.append(parse_index(Path(name), index))
        return found

    def _index(self, stem: str, size: int, kept: Path) -> bytes | None:
        whole = self.place.kind.whole
        file = kept / f"{stem}.{size}"
        with contextlib.suppress(OSError):
            index = file.read_bytes()
            if whole(index).hex() == stem:
                return index
        trailer = self.read(f"packs/{stem}.pack", max(0, size - TRAILER), size)
        found = index_range(trailer, size)
        if found is None or found[0].hex() != stem:
            return None  # half of it was written
        index = self.read(f"packs/{stem}.pack", found[1], found[2])
        if whole(index).hex() != stem:
            return None
        with contextlib.suppress(OSError):
            beside = file.with_name(f"{file.name}.{os.getpid()}")
            beside.write_bytes(index)
            os.replace(beside, file)
        return index


def _parsed(content: bytes) -> dict[str, Any] | None:
    try:
        told = json.loads(content)
    except ValueError:
        return None
    return told if isinstance(told, dict) and told.get("elinvar") == "store" else None


def _number(piece: str) -> int:
    found = _NUMBERED.search(piece)
    return int(found[1]) if found else 0


def _reason(error: Exception) -> str:
    """What another package's error says, in a line."""
    text = " ".join(str(error).split())
    return text or type(error).__name__


def part_names(digest: bytes, size: int) -> list[tuple[str, int, int]]:
    """The parts of a large object: name, begin and end of each."""
    text = digest.hex()
    return [
        (f"objects/{text[:2]}/{text[2:]}.{number:04d}", start, min(start + PART, size))
        for number, start in enumerate(range(0, size, PART))
    ]
