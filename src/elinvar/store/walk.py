"""The files of a folder in the order of their paths' bytes, and what each looked like.

A path is the bytes that the file system gives, with `/` between its parts, so names that are no
UTF-8 are kept as they are. Links are followed: what counts is the content that a reader would see.
"""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from elinvar.core.errors import DataError, DataMissingError, fail

MARKER = ".elinvar-version.json"  # left in checked-out folders; never part of a version
_MARKER = os.fsencode(MARKER)
_MODES = {
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}

# Size, change of the content, change of the entry, number, device: a file that looks as it did
# before is as it was before.
Look = tuple[int, int, int, int, int]
SIZE, CHANGED, TOUCHED, NUMBER, DEVICE = range(5)
_INT64 = (1 << 63) - 1


def look_of(found: os.stat_result) -> Look:
    """What `stat` says of a file."""
    return (
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
        found.st_ino & _INT64,
        found.st_dev & _INT64,
    )


def shown(path: bytes | str) -> str:
    """A path for people, in quotes: what is not printable is escaped, so it stays one line."""
    return repr(os.fsdecode(path))


@dataclass(slots=True)
class Folder:
    """One folder's files, or a run of them: `names[i]` looked like row i of `looks`.

    Attributes:
        prefix: the folder's path below the root: empty, or with a `/` at its end.
        whole: its place on disk.
    """

    prefix: bytes
    whole: bytes
    names: list[bytes] = field(default_factory=list)
    looks: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 5), np.int64))


def walk(root: bytes, avoid: tuple[int, int] | None = None) -> Iterator[Folder]:
    """The folders below a folder, in runs of files such that all paths together are in order.

    A folder without anything in it comes as one with no names.

    Args:
        avoid: device and number of a folder that must not be met: the store itself.

    Raises:
        DataError: there is something that is neither file nor folder, a link that leads nowhere, or
            links that lead round in a circle.
    """
    return _walk(root, b"", (), avoid)


def _walk(
    whole: bytes,
    prefix: bytes,
    above: tuple[tuple[int, int], ...],
    avoid: tuple[int, int] | None,
) -> Iterator[Folder]:
    try:
        handle = os.open(whole, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        vanished(whole)
    except OSError as error:
        unreadable(whole, error)
    try:
        own = os.fstat(handle)
        key = (own.st_dev, own.st_ino)
        if key in above:
            text = f"links lead round in a circle at {shown(whole)}"
            fail(DataError, "data", text, "take the link out, or commit the folder that it names")
        if key == avoid:
            text = f"the store itself lies in the data, at {shown(whole)}"
            fail(DataError, "data", text, "commit a folder beside it, or use another store")
        names, looks = _listed(handle, whole)
    finally:
        os.close(handle)
    if not names and prefix:
        yield Folder(prefix, whole)
    # A folder stands where its path with the `/` does: then all paths together are in order.
    order = sorted(range(len(names)), key=names.__getitem__)
    folders = [place for place, i in enumerate(order) if names[i].endswith(b"/")]
    start = 0
    for stop in [*folders, len(order)]:
        run = order[start:stop]
        if run:
            yield Folder(prefix, whole, [names[i] for i in run], looks[run])
        if stop < len(order):
            name = names[order[stop]]
            yield from _walk(os.path.join(whole, name[:-1]), prefix + name, (*above, key), avoid)
        start = stop + 1


def _listed(handle: int, whole: bytes) -> tuple[list[bytes], npt.NDArray[np.int64]]:
    """Names with their looks; those of folders have a `/` at the end."""
    names: list[bytes] = []
    flat = array("q")
    regular, is_folder, look, encode = stat.S_ISREG, stat.S_ISDIR, os.stat, os.fsencode
    for text in os.listdir(handle):
        try:
            found = look(text, dir_fd=handle)
        except OSError as error:
            _unseen(os.path.join(whole, encode(text)), error)
        name = encode(text)
        if is_folder(found.st_mode):
            name += b"/"
        elif not regular(found.st_mode):
            refuse_special(os.path.join(whole, name), found.st_mode)
        elif name == _MARKER:
            continue
        names.append(name)
        flat.extend(look_of(found))
    return names, np.frombuffer(flat, np.int64).reshape(-1, 5)


def _unseen(path: bytes, error: OSError) -> NoReturn:
    if os.path.islink(path):
        target = shown(os.readlink(path))
        text = f"{shown(path)} is a link to {target}, which is not there"
        fail(DataError, "data", text, "take the link out, or bring its target back")
    if isinstance(error, FileNotFoundError):
        vanished(path)
    unreadable(path, error)


def unreadable(path: bytes, error: OSError) -> NoReturn:
    """Say that a file or folder of the user's cannot be read.

    Raises:
        DataError: always.
    """
    raise DataError(f"[data] {shown(path)} cannot be read: {error.strerror}") from error


def vanished(path: bytes) -> NoReturn:
    """Say that a file or folder is no longer there.

    Raises:
        DataMissingError: always.
    """
    text = f"{shown(path)} was moved or deleted while the data were read"
    fail(DataMissingError, "data", text, "try again when nothing changes there")


def refuse_special(path: bytes, mode: int) -> NoReturn:
    """Say that something is no file.

    Raises:
        DataError: always.
    """
    kind = next((text for test, text in _MODES.items() if test(mode)), "no file")
    text = f"{shown(path)} is {kind}; a version holds files and folders"
    fail(DataError, "data", text, "take it out of the data")
