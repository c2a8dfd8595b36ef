"""`commit`: what is in a folder, a file or arrays becomes a version."""

from __future__ import annotations

import getpass
import os
import stat
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from elinvar.core.errors import DataError, DataMissingError, DTypeError, fail
from elinvar.store.manifest import Builder
from elinvar.store.names import Store, check_name, check_tag, load, put_tag, save
from elinvar.store.objects import PACKED, Intake
from elinvar.store.place import Place, open_place, writing
from elinvar.store.seen import Notes, Seen
from elinvar.store.steady import SmallFiles
from elinvar.store.tables import canonical
from elinvar.store.version import Version
from elinvar.store.walk import (
    MARKER,
    SIZE,
    Folder,
    look_of,
    refuse_special,
    shown,
    unreadable,
    walk,
)

_BATCH = 4096  # files looked at together
_BATCH_BYTES = 1 << 25


def commit(
    source: Any,
    name: str,
    message: str = "",
    *,
    tag: str | None = None,
    author: str | None = None,
    store: Store = None,
    progress: Callable[[int, int], None] | None = None,
) -> Version:
    """Make a version of a data set, which never changes.

    Data that are as they were in the newest version give that version (`is_new` is False then).
    Commits of several processes may run at the same time; their versions come one after the other.

    Args:
        source: a folder or a file; or an array, a tuple or dict of arrays (of NumPy or Elinvar), a
            pyarrow Table, a pandas DataFrame.
        name: of the data set, such as `"flowers"`.
        message: what is new.
        tag: another name of the version, such as `"v1"`.
        author: who made it; by default the user's name on this machine.
        store: the store's folder; by default that of `ELINVAR_STORE`, which is made if needed.
        progress: called now and then with how many files and bytes are done.

    Raises:
        DataMissingError: nothing is there.
        DataError: there is something that is no file, a file changes while it is read, the disk is
            full or cannot be written. Nothing has changed then.

    Example:
        >>> import tempfile, numpy as np
        >>> import elinvar as el
        >>> folder = tempfile.TemporaryDirectory()
        >>> one = el.data.commit({"x": np.arange(3)}, "numbers", "the first", store=folder.name)
        >>> one.spec, one.num_files, one.is_new
        ('numbers@1', 1, True)
        >>> el.data.commit({"x": np.arange(3)}, "numbers", store=folder.name).is_new
        False
        >>> folder.cleanup()
    """
    check_name(name)
    if tag is not None:
        check_tag(tag)
    if not isinstance(message, str):
        fail(DTypeError, "data", f"message must be a text, received {type(message).__name__}")
    path = _path_of(source)
    files = None if path is not None else canonical(source)
    place = open_place(store, create=True)
    place.tidy()
    with writing(place.folder), place.locked("objects", shared=True), Intake(place) as intake:
        if progress is not None:
            intake.progress = progress
        if files is not None:
            root, builder, kind = _of_memory(intake, files)
        elif stat.S_ISDIR(os.stat(path or b"").st_mode):
            root, builder, kind = *_of_folder(intake, path or b""), "folder"
        else:
            root, builder, kind = *_of_file(intake, path or b""), "file"
        intake.finish()
        record = {
            "id": place.kind.text(root),
            "message": message,
            "created": round(time.time(), 3),
            "author": _user() if author is None else author,
            "kind": kind,
            "num_files": builder.num_files,
            "num_bytes": builder.num_bytes,
        }
        with place.locked("names"):
            return _record(place, name, record, tag)


def _record(place: Place, name: str, record: dict[str, Any], tag: str | None) -> Version:
    history = load(place, name)
    last = history.entries[-1] if history.entries else {}
    is_new = (last.get("id"), last.get("kind")) != (record["id"], record["kind"])
    is_back = not is_new and len(history.entries) in history.dropped
    if is_new:
        history.append(place.kind, record)
    number = len(history.entries)
    if is_back:
        history.dropped.remove(number)
    if tag is not None:
        put_tag(history, number, tag)
    if is_new or is_back or tag is not None:
        save(place, history)
    found = history.version(number, place.folder)
    object.__setattr__(found, "is_new", is_new)
    return found


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def _path_of(source: Any) -> bytes | None:
    """The path of a source that is one, checked; None for values."""
    if not isinstance(source, str | bytes | os.PathLike):
        return None
    path = os.fsencode(source)
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        here = f" (in {os.getcwd()})" if not os.path.isabs(path) else ""
        text = f"there is neither file nor folder at {shown(path)}{here}"
        fail(DataMissingError, "data", text, "was it moved or deleted?")
    except ValueError:
        fail(DataError, "data", f"{shown(path)} is no path")
    except OSError as error:
        unreadable(path, error)
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        refuse_special(path, found.st_mode)
    return path


def _keeper(intake: Intake) -> Any:
    """Puts pages of manifests into the store."""

    def keep(digest: bytes, page: bytes) -> None:
        if not intake.has([digest])[0]:
            intake.add(digest, page)

    return keep


def _of_memory(intake: Intake, files: Any) -> tuple[bytes, Builder, str]:
    builder = Builder(intake.place.kind, _keeper(intake))
    kind, contents = files
    for path, parts in contents:
        hasher = intake.place.kind.threaded()
        for part in parts:
            hasher.update(part)
        intake.add_parts(hasher.digest(), parts)
        builder.add(path.encode(), sum(map(len, parts)), hasher.digest())
    return builder.finish(), builder, kind


def _of_file(intake: Intake, path: bytes) -> tuple[bytes, Builder]:
    builder = Builder(intake.place.kind, _keeper(intake))
    name = os.path.basename(os.path.abspath(path))
    if name == os.fsencode(MARKER):
        fail(DataError, "data", f"{shown(path)} is the marker of a version, and no data")
    looks = np.array([look_of(os.stat(path))], np.int64)
    run = Folder(b"", os.path.dirname(os.path.abspath(path)), [name], looks)
    _take_all(intake, [run], path, builder)
    return builder.finish(), builder


def _of_folder(intake: Intake, path: bytes) -> tuple[bytes, Builder]:
    builder = Builder(intake.place.kind, _keeper(intake))
    own = os.stat(intake.place.folder)
    _take_all(intake, walk(path, (own.st_dev, own.st_ino)), path, builder)
    if not builder.num_files:
        text = f"there is no file in {shown(path)}"
        fail(DataMissingError, "data", text, "a version has at least one")
    return builder.finish(), builder


def _take_all(intake: Intake, runs: Iterable[Folder], path: bytes, builder: Builder) -> None:
    """Take all files in."""
    seen = Seen(intake.place, path)
    try:
        notes = Notes(intake.place, path, time.time_ns())
        try:
            with SmallFiles() as small:
                for run in runs:
                    if not run.names:
                        builder.add_folder(run.prefix)
                    for start in range(0, len(run.names), _BATCH):
                        part = slice(start, start + _BATCH)
                        _take_batch(intake, run, part, builder, seen, notes, small)
                        intake.progress(builder.num_files, builder.num_bytes)
            notes.finish()
        except BaseException:
            notes.abandon()
            raise
    finally:
        seen.close()


def _take_batch(
    intake: Intake,
    run: Folder,
    part: slice,
    builder: Builder,
    seen: Seen,
    notes: Notes,
    small: SmallFiles,
) -> None:
    names, looks = run.names[part], run.looks[part].copy()
    paths = [run.prefix + name for name in names]
    digests = seen.digests(paths, looks)
    _forget_lost(intake, digests)
    wholes = [os.path.join(run.whole, name) for name in names]
    found = _take(intake, wholes, looks, digests, small)
    for path, size, digest in zip(paths, looks[:, SIZE].tolist(), found):
        builder.add(path, size, digest)
    notes.add(paths, looks, found)


def _forget_lost(intake: Intake, digests: list[bytes | None]) -> None:
    """What is no longer in the store, as after damage, must be read again."""
    known = [i for i, digest in enumerate(digests) if digest is not None]
    there = intake.has([digests[i] or b"" for i in known])
    for i, here in zip(known, there):
        if not here:
            digests[i] = None


def _take(
    intake: Intake, wholes: list[bytes], looks: Any, digests: list[bytes | None], small: SmallFiles
) -> list[bytes]:
    """Some files of a folder: hashed unless they are known, stored unless they are there.

    Args:
        wholes: their places on disk.
        looks: how they looked; of those that are read, how they looked then.
        digests: of those that are known.
    """
    group: list[int] = []
    group_bytes = 0
    for i, digest in enumerate(digests):
        if digest is not None:
            continue
        size = int(looks[i, SIZE])
        if size > PACKED:
            digests[i], looks[i] = intake.add_file(wholes[i])
            continue
        group.append(i)
        group_bytes += size
        if group_bytes > _BATCH_BYTES:
            _take_group(intake, group, wholes, looks, digests, small)
            group, group_bytes = [], 0
    _take_group(intake, group, wholes, looks, digests, small)
    return [digest or b"" for digest in digests]


def _take_group(
    intake: Intake,
    group: list[int],
    wholes: list[bytes],
    looks: Any,
    digests: list[bytes | None],
    small: SmallFiles,
) -> None:
    whole = intake.place.kind.whole
    read = small.read([wholes[i] for i in group])
    hashes = [whole(content) for content, _ in read]
    here = intake.has(hashes)
    for i, (content, look), digest, is_there in zip(group, read, hashes, here):
        digests[i], looks[i] = digest, look
        if not is_there:
            intake.add(digest, content)
