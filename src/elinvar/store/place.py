"""A store's folder: what it is made of, what it may be opened by, and its locks.

    format.json     which format and which hash; written first and never again
    objects/ab/…    contents of large files, each under its hash
    packs/*.pack    contents of small files and pages of manifests, many in one
    names/*.json    the history of each name, with its tags
    seen/…          how files looked when they were hashed, so that they need not be hashed again
    checkouts/…     folders that `Version.path` made
    work/…          what is being written; worthless once its process has ended
    locks/…         empty files that are locked

Objects are written first and names last. A file is written beside its place, flushed to disk and
renamed: whenever a process is ended, every name leads to whole versions.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elinvar.core.errors import DataError, DataMissingError, ValueRangeError, fail
from elinvar.core.log import log
from elinvar.core.settings import settings
from elinvar.store.hashing import Algorithm, algorithm
from elinvar.store.walk import shown

FORMAT = 1
_FOLDERS = ("objects", "packs", "names", "seen", "checkouts", "work", "locks")
_PATIENCE = 2.0  # seconds after which a wait is told
_REFUSED = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota of the disk is used up",
    errno.EROFS: "it lies on a disk that can only be read",
    errno.EACCES: "permission is denied",
    errno.EPERM: "permission is denied",
}


class Place:
    """A store that is there and can be read.

    Args:
        folder: its folder.
        kind: its hash.
    """

    folder: Path
    kind: Algorithm

    def __init__(self, folder: Path, kind: Algorithm) -> None:
        self.folder, self.kind = folder, kind

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    @contextlib.contextmanager
    def locked(self, name: str, shared: bool = False) -> Iterator[None]:
        """Hold a lock, waiting for it; the system opens it when the process ends, however.

        Args:
            name: `objects` (shared by those who add some, alone for who deletes) or `names`.
            shared: together with others who share it.
        """
        path = self.folder / "locks" / name
        flags = os.O_RDONLY if shared and not os.access(path, os.W_OK) else os.O_RDWR | os.O_CREAT
        handle = os.open(path, flags | os.O_CLOEXEC, 0o666)
        try:
            mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            _wait(handle, mode, f"{self.folder} ({name})")
            yield
        finally:
            os.close(handle)

    def tidy(self) -> None:
        """Throw away what ended processes have left in `work`, where no other one is at it."""
        with contextlib.suppress(OSError):
            handle = os.open(self.folder / "locks" / "objects", os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for left in (self.folder / "work").iterdir():
                    remove(left)
            finally:
                os.close(handle)

    def new_file(self) -> tuple[int, Path]:
        """An open file in `work`."""
        handle, name = tempfile.mkstemp(dir=self.folder / "work")
        return handle, Path(name)


def _wait(handle: int, mode: int, what: str) -> None:
    started, told = time.monotonic(), False
    while True:
        try:
            fcntl.flock(handle, mode | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not told and time.monotonic() - started > _PATIENCE:
                told = True
                log.warning("waiting for another process that is at work in the store %s", what)
            time.sleep(0.005 if not told else 0.1)


def remove(path: Path) -> None:
    """Delete a file or a folder of ours, even where its folders can only be read."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for folder, _, _ in os.walk(path):
        with contextlib.suppress(OSError):
            os.chmod(folder, 0o700)
    shutil.rmtree(path, ignore_errors=True)


def open_place(store: str | os.PathLike[str] | None = None, create: bool = False) -> Place:
    """The store in a folder; by default the one of `ELINVAR_STORE`.

    Args:
        create: make it where there is none.

    Raises:
        DataMissingError: there is none.
        DataError: the folder holds something else, or a store of a newer version.
    """
    folder = settings.store_dir if store is None else Path(store).expanduser()
    if folder is None:
        text = "there is no folder for versions of data: this user has no home"
        fail(ValueRangeError, "data", text, "name one with store=…, or in ELINVAR_STORE")
    folder = folder.absolute()
    file = folder / "format.json"
    if not file.is_file():
        if any((folder / "names").glob("*.json")):
            hint = f"of a store with hashes of blake3 it is {format_bytes('blake3').decode()!r}"
            fail(DataError, "data", f"{shown(str(file))} is missing; the rest is there", hint)
        if not create:
            text = f"there is no version of data in {shown(str(folder))}"
            fail(DataMissingError, "data", text, "el.data.commit makes the first one")
        with writing(folder):
            _create(folder)
    return Place(folder, _checked(file))


def _create(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    others = {one.name for one in folder.iterdir()} - {*_FOLDERS}
    if [name for name in others if not name.startswith("format.json")]:
        text = f"{shown(str(folder))} is no store, and holds other files"
        fail(DataError, "data", text, "name an empty or a new folder")
    for name in _FOLDERS:
        (folder / name).mkdir(exist_ok=True)
    for name in ("objects", "names"):
        (folder / "locks" / name).touch()
    with contextlib.suppress(FileExistsError):  # another process was first
        write_file(folder / "format.json", format_bytes(algorithm().name), replace=False)


def format_bytes(kind: str) -> bytes:
    """The content of `format.json` of a store with such hashes."""
    return json.dumps({"elinvar": "store", "format": FORMAT, "algorithm": kind}).encode() + b"\n"


def _checked(file: Path) -> Algorithm:
    """The hash of a store, if we can read it."""
    told = read_json(file, "store")
    form = told.get("format")
    if not isinstance(form, int) or form > FORMAT:
        text = f"the store {file.parent} has format {form}, made by a newer version of Elinvar"
        fail(DataError, "data", f"{text}; this one reads up to {FORMAT}", "pip install -U elinvar")
    kind = str(told.get("algorithm"))
    if file.read_bytes() != format_bytes(kind):
        fail(DataError, "data", f"{shown(str(file))} is damaged: it is not what was written")
    return algorithm(kind)


def read_json(file: Path, kind: str) -> dict[str, Any]:
    """The object of a file of ours.

    Raises:
        DataError: it is damaged.
    """
    try:
        told = json.loads(file.read_bytes())
    except ValueError:
        told = None
    if not isinstance(told, dict) or told.get("elinvar") != kind:
        fail(DataError, "data", f"{shown(str(file))} is damaged: it is no {kind} of Elinvar's")
    return told


def write_file(path: Path, content: bytes, replace: bool = True) -> None:
    """Write a file that is whole and on disk, or not there.

    Args:
        replace: whether it may take the place of another one.

    Raises:
        FileExistsError: it is there, and may not be replaced.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o644)
        if replace:
            os.replace(name, path)
        else:
            os.link(name, path)
            os.unlink(name)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder written to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EROFS):  # some file systems know no such thing
            raise
    finally:
        os.close(handle)


@contextlib.contextmanager
def writing(folder: str | os.PathLike[str], kept: str = "nothing was changed") -> Iterator[None]:
    """Say in a line why a folder cannot be written.

    Args:
        folder: what is written to.
        kept: what of that is left.
    """
    try:
        yield
    except OSError as error:
        reason = _REFUSED.get(error.errno or 0)
        if reason is None or isinstance(error, DataMissingError):
            raise
        place = shown(os.fspath(folder))
        where = "" if error.filename is None else f" (at {shown(error.filename)})"
        text = f"{place} cannot be written: {reason}{where}; {kept}"
        raise DataError(f"[data] {text}") from error
