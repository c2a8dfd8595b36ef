"""`checkout`: a version's files in a folder."""

from __future__ import annotations

import os
from pathlib import Path

from elinvar.core.errors import DataError, fail
from elinvar.store.filling import place_whole
from elinvar.store.names import Store, find
from elinvar.store.objects import Objects
from elinvar.store.place import open_place, writing
from elinvar.store.version import Version
from elinvar.store.walk import shown


def checkout(
    spec: str | Version,
    folder: str | os.PathLike[str],
    *,
    read_only: bool = False,
    store: Store = None,
) -> Path:
    """Write a version's files into a new folder, which is there as a whole or not at all.

    Large files share their blocks with the store's where the file system can (btrfs, XFS, …), and
    are copied elsewhere; all that is copied is checked on the way. The folder gets a marker,
    `.elinvar-version.json`, which later commits leave out.

    Args:
        spec: the version, such as `"flowers@v1"`.
        folder: a new one, or an empty one.
        read_only: whether files and folders are protected against writing.
        store: the store's folder.

    Raises:
        DataMissingError: there is no such version.
        DataError: there are files in the folder; or what the store holds was changed.
    """
    place = open_place(spec.store if store is None and isinstance(spec, Version) else store)
    version = find(place, spec)
    target = Path(folder).expanduser().absolute()
    _check_target(target)
    with writing(target), place.locked("objects", shared=True), Objects(place) as objects:
        version.manifest(objects)
        target.parent.mkdir(parents=True, exist_ok=True)
        place_whole(objects, version.marker(), target, read_only, link=False)
    return target


def _check_target(target: Path) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        fail(DataError, "data", f"{shown(str(target))} is there already, and is no folder")
    if target.is_dir() and any(target.iterdir()):
        text = f"there are files in {shown(str(target))}; checkout wants a new or an empty folder"
        fail(DataError, "data", text, "name another folder, or move the files away")
