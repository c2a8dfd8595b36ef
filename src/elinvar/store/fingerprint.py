"""Fingerprints of arrays, files and folders, and which version a path belongs to."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from elinvar.core.errors import DataMissingError, DTypeError, fail
from elinvar.store.hashing import algorithm
from elinvar.store.manifest import Builder
from elinvar.store.steady import hash_file
from elinvar.store.version import Version, read_marker
from elinvar.store.walk import MARKER, refuse_special, shown, walk

_BLOCK = 1 << 24  # bytes of an array with gaps that are gathered at a time


def fingerprint(arrays: Sequence[Any], algorithm: str | None = None) -> str:
    """One hash for the values of several arrays: data types, shapes and bytes, in C order.

    Large arrays are hashed by all processors, and Python's lock is free meanwhile. Memory layout
    and byte order make no difference.

    Args:
        arrays: NumPy arrays, or what `np.asarray` makes arrays of without a change.
        algorithm: the hash, by its name or by an earlier fingerprint; by default BLAKE3 where the
            package is there, else SHA-256.

    Raises:
        DTypeError: an array holds Python objects.

    Example:
        >>> import numpy as np
        >>> import elinvar as el
        >>> el.data.fingerprint([np.arange(3)], "sha256")[:20]
        'sha256:39c8896b89da2'
    """
    kind = _algorithm(algorithm)
    hasher = kind.threaded()
    for position, one in enumerate(arrays):
        array = np.asarray(one)
        if array.dtype.hasobject:
            text = f"array {position} holds Python objects ({array.dtype}), which have no bytes"
            fail(DTypeError, "fingerprint", text)
        hasher.update(f"array {type_name(array.dtype)} {list(array.shape)}\n".encode())
        for block in _blocks(array):
            hasher.update(block)
    return kind.text(hasher.digest())


def type_name(dtype: np.dtype[Any]) -> str:
    """A data type's name, whatever the order of its bytes."""
    if dtype.fields is None and dtype.subdtype is None:
        return dtype.name
    return str(dtype.newbyteorder("<").descr)


def _blocks(array: Any) -> Any:
    """The bytes of an array in C order, least byte first."""
    if array.dtype.byteorder == ">" or (array.dtype.fields and not array.dtype.isnative):
        array = array.astype(array.dtype.newbyteorder("<"))
    if array.size == 0 or array.dtype.itemsize == 0:
        return
    if array.flags.c_contiguous:
        yield array.reshape(-1).view(np.uint8)
        return
    if array.ndim > 1 and array[0].nbytes > _BLOCK:
        for row in array:
            yield from _blocks(row)
        return
    count = max(1, _BLOCK // max(1, array[:1].nbytes))
    for start in range(0, len(array), count):
        part = np.ascontiguousarray(array[start : start + count])
        yield part.reshape(-1).view(np.uint8)


def fingerprint_path(path: str | os.PathLike[str], algorithm: str | None = None) -> str:
    """The hash of a file's content; of a folder, the id that a version of it has.

    Args:
        path: a file or a folder.
        algorithm: as for `fingerprint`.

    Raises:
        DataMissingError: nothing is there.
        DataError: there is something that is no file, or a file changes while it is read.

    Example:
        >>> import tempfile
        >>> import elinvar as el
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     el.data.fingerprint_path(file.name, "sha256")[:15]
        'sha256:e3b0c442'
    """
    kind = _algorithm(algorithm)
    whole = os.fsencode(path)
    try:
        found = os.stat(whole)
    except (FileNotFoundError, NotADirectoryError):
        text = f"there is neither file nor folder at {shown(whole)}"
        fail(DataMissingError, "fingerprint", text)
    if stat.S_ISREG(found.st_mode):
        return kind.text(hash_file(whole, kind)[0])
    if not stat.S_ISDIR(found.st_mode):
        refuse_special(whole, found.st_mode)
    builder = Builder(kind)
    for folder in walk(whole):
        if not folder.names:
            builder.add_folder(folder.prefix)
        for name in folder.names:
            digest, size = hash_file(os.path.join(folder.whole, name), kind)
            builder.add(folder.prefix + name, size, digest)
    return kind.text(builder.finish())


def version_of(path: str | os.PathLike[str], *, check: bool = False) -> Version | None:
    """The version whose checked-out folder a path lies in; None where there is none.

    The folder's marker says so. Whoever changes files there leaves the marker as it is; `check`
    hashes them again.

    Args:
        path: a file or a folder; it need not exist, unless it is checked.
        check: whether what is there must be what was committed: the file itself, or else all files
            of the checked-out folder.

    Example:
        >>> import elinvar as el
        >>> el.data.version_of("/") is None
        True
    """
    place = Path(os.path.abspath(path))
    for folder in (place, *place.parents):
        found = read_marker(folder / MARKER)
        if found is not None:
            return found if not check or _is_as_committed(found, folder, place) else None
    return None


def _is_as_committed(version: Version, folder: Path, place: Path) -> bool:
    try:
        files = version.files if place.is_file() else None
    except DataMissingError:  # the store is elsewhere; the folder speaks for itself
        files = None
    if files is None:
        return fingerprint_path(folder, version.id) == version.id
    entry = files.get(place.relative_to(folder).as_posix())
    return entry is not None and fingerprint_path(place, version.id) == entry.hash


_algorithm = algorithm
