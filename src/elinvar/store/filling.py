"""Folders filled with a version's files: whole ones, or none."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from elinvar.core.errors import DataError, fail
from elinvar.store.copying import clone, copy, write_all
from elinvar.store.manifest import Entry
from elinvar.store.objects import Objects
from elinvar.store.place import remove
from elinvar.store.walk import MARKER, shown

_BATCH = 1024
_BATCH_BYTES = 1 << 25


def place_whole(
    objects: Objects, told: dict[str, Any], target: Path, read_only: bool, link: bool
) -> None:
    """Fill a folder beside the target and give it the target's name.

    Args:
        told: the marker, with the version's id.
        read_only: protect folders and files against writing.
        link: large files may be the store's own, by another name.

    Raises:
        DataError: what the store holds was changed.
    """
    work = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:100]}."))
    try:
        _fill(objects, told["id"], work, read_only, link)
        _write_small(os.fsencode(work / MARKER), json.dumps(told).encode(), 0o444)
        if read_only:
            for below, _, _ in os.walk(work):
                os.chmod(below, 0o555)
        else:
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(work, 0o777 & ~umask)
        os.rename(work, target)
    except BaseException:
        with contextlib.suppress(OSError):
            remove(work)
        raise


def _fill(objects: Objects, text: str, work: Path, read_only: bool, link: bool) -> None:
    root = os.fsencode(work)
    mode = 0o444 if read_only else 0o666
    made: set[bytes] = {b""}
    batch: list[Entry] = []
    size = 0
    for entry in objects.manifest(text).entries():
        path = entry[0]
        check_path(path)
        folder = os.path.dirname(path)
        if folder not in made:
            os.makedirs(os.path.join(root, folder), exist_ok=True)
            made.add(folder)
        if not entry[2]:
            continue
        batch.append(entry)
        size += entry[1]
        if len(batch) == _BATCH or size > _BATCH_BYTES:
            _write_batch(objects, batch, root, mode, link)
            batch, size = [], 0
    _write_batch(objects, batch, root, mode, link)


def check_path(path: bytes) -> None:
    """A path of a manifest must lie below the folder: manifests may come from others.

    Raises:
        DataError: it leads elsewhere.
    """
    parts = path.removesuffix(b"/").split(b"/")
    if any(part in (b"", b".", b"..") for part in parts) or path == os.fsencode(MARKER):
        fail(DataError, "data", f"the manifest has a path that leads elsewhere: {shown(path)}")


def _write_batch(objects: Objects, batch: list[Entry], root: bytes, mode: int, link: bool) -> None:
    whole = objects.place.kind.whole
    contents = objects.read_packed([digest for _, _, digest in batch])
    for (path, size, digest), content in zip(batch, contents):
        target = os.path.join(root, path)
        if content is None:
            _bring_large(objects, (path, size, digest), target, mode, link)
        elif whole(content) != digest:
            objects.changed(digest, shown(path))
        else:
            _write_small(target, content, mode)


def _write_small(path: bytes, content: Any, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        write_all(handle, content)
    finally:
        os.close(handle)


def _bring_large(objects: Objects, entry: Entry, target: bytes, mode: int, link: bool) -> None:
    path, size, digest = entry
    try:
        source = os.open(objects.loose(digest), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        objects.lost(digest, shown(path))
    try:
        if link:
            with contextlib.suppress(OSError):
                os.link(objects.loose(digest), target)
                return
        handle = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            if clone(source, handle):
                return
            if copy(source, handle, objects.place.kind, size) != digest:
                objects.changed(digest, shown(path))
        finally:
            os.close(handle)
    finally:
        os.close(source)
