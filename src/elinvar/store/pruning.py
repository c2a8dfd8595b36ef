"""`drop` and `prune`: versions that nobody needs any more, and the room that they took."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from elinvar.core.errors import DataError, ElinvarError, ValueRangeError, fail
from elinvar.store.names import History, Store, all_names, file_of, find, known, load, save
from elinvar.store.objects import Intake, Objects
from elinvar.store.packs import Index
from elinvar.store.place import Place, open_place, remove, sync_folder, writing

_REWRITTEN = 0.5  # packs of which less is needed are written anew
_SMALL = 1 << 22  # packs below this many bytes are put together
_SEEN_SECONDS = 90 * 86400  # notes about a folder that was not committed for so long go
_MANY = 16  # from so many of them on


@dataclass(frozen=True)
class Pruned:
    """What `prune` deleted, or would delete.

    A pack of which more than half is needed stays as it is until less is.

    Attributes:
        objects, num_bytes: how many contents, and the room they take.
        done: whether they are deleted.
        paths: files and folders of the store that go.
    """

    objects: int
    num_bytes: int
    done: bool
    paths: tuple[Path, ...]

    def __str__(self) -> str:
        what = "deleted" if self.done else "would delete"
        return f"{what} {self.objects} objects, {self.num_bytes} bytes"


def drop(spec: str, *, store: Store = None) -> int:
    """Give a version up, or a whole data set: its files go with the next `prune`.

    A dropped version stays in the history with its id and message.

    Args:
        spec: one version, such as `"flowers@2"`; or a name, for all its versions and its history.
        store: the store's folder.

    Returns:
        How many versions were dropped.

    Raises:
        DataMissingError: there is no such version.
        ValueRangeError: it has a tag.
    """
    place = open_place(store)
    with writing(place.folder), place.locked("names"):
        name, at, _ = spec.partition("@")
        history = known(place, name)
        if not at:
            file_of(place, name).unlink()
            sync_folder(place / "names")
            return len(history.entries)
        version = find(place, spec)
        if version.tags:
            text = f"{version.spec} has the tag {version.tags[0]!r}"
            fail(ValueRangeError, "data", text, "move the tag to another version first")
        history.dropped = sorted({*history.dropped, version.number})
        save(place, history)
    return 1


def prune(*, dry_run: bool = True, store: Store = None) -> Pruned:
    """Delete what no version needs: rests of interrupted commits, contents of dropped versions.

    Args:
        dry_run: only say what would go.
        store: the store's folder.

    Raises:
        DataError: a history or a manifest is damaged, so nobody knows what is needed.
    """
    place = open_place(store)
    with writing(place.folder), place.locked("objects", shared=dry_run):
        with Intake(place) as objects:
            found = _Needed(objects)
            loose = list(_unneeded_files(place, found))
            packs = _packs_to_rewrite(objects, found.rows)
            gone = sum(int((~rows).sum()) for _, rows in packs)
            room = sum(int(one.lengths[~rows].sum()) for one, rows in packs)
            room += sum(_room(path) for path in loose)
            if not dry_run:
                _rewrite(objects, packs, found.rows)
                for path in loose:
                    remove(path)
    paths = (*loose, *(one.path for one, _ in packs))
    return Pruned(gone + len(loose), room, not dry_run, paths)


class _Needed:
    """What versions need: rows of packs, and large objects by their digests."""

    def __init__(self, objects: Objects) -> None:
        self.rows = [np.zeros(len(one), bool) for one in objects.packed.packs]
        self.loose: set[bytes] = set()
        self._objects = objects
        self._pages: set[bytes] = set()
        place = objects.place
        self.ids: set[str] = set()
        for name in all_names(place):
            try:
                self._name(load(place, name))
            except ElinvarError as error:
                text = str(error).splitlines()[0].removeprefix("[data] ")
                hint = "elinvar data verify finds what is damaged"
                fail(DataError, "data", f"nothing was deleted, since {text}", hint)

    def _name(self, history: History) -> None:
        objects = self._objects
        for _, entry in history.kept():
            if entry["id"] in self.ids:
                continue
            self.ids.add(entry["id"])
            manifest = objects.manifest(entry["id"])
            self._want([manifest.root])
            for page, (_, _, digest) in enumerate(manifest.pages):
                if digest not in self._pages:
                    self._pages.add(digest)
                    self._want([digest, *(one[2] for one in manifest.page(page) if one[2])])

    def _want(self, digests: list[bytes]) -> None:
        packs, rows = self._objects.packed.find(digests)
        for pack, row, digest in zip(packs.tolist(), rows.tolist(), digests):
            if pack < 0:
                self.loose.add(digest)
            else:
                self.rows[pack][row] = True


def _unneeded_files(place: Place, needed: _Needed) -> Iterator[Path]:
    for folder in sorted((place / "objects").iterdir()):
        for path in sorted(folder.iterdir()):
            try:
                digest = bytes.fromhex(folder.name + path.name)
            except ValueError:
                continue  # none of ours
            if digest not in needed.loose:
                yield path
    for name in ("partial", "damaged"):
        if (place / name).is_dir():
            yield from sorted((place / name).iterdir())
    for path in sorted((place / "seen").iterdir()):
        if path.stat().st_mtime < time.time() - _SEEN_SECONDS:
            yield path
    for path in sorted((place / "checkouts").iterdir()):
        if path.name not in {one.replace(":", "-") for one in needed.ids}:
            yield path


def _room(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(
        os.lstat(os.path.join(folder, name)).st_size
        for folder, _, names in os.walk(path)
        for name in names
    )


def _packs_to_rewrite(
    objects: Objects, rows: list[npt.NDArray[Any]]
) -> list[tuple[Index, npt.NDArray[Any]]]:
    """Packs with little that is needed, and many small ones."""
    whole = [(one, needed) for one, needed in zip(objects.packed.packs, rows)]
    sizes = [int(one.lengths.sum()) for one, _ in whole]
    kept = [int(one.lengths[needed].sum()) for one, needed in whole]
    small = [size < _SMALL for size in sizes]
    together = sum(small) >= _MANY
    return [
        pair
        for pair, size, needed, is_small in zip(whole, sizes, kept, small)
        if not pair[1].any() or needed < _REWRITTEN * size or (together and is_small)
    ]


def _rewrite(
    objects: Intake,
    packs: list[tuple[Index, npt.NDArray[Any]]],
    rows: list[npt.NDArray[Any]],
) -> None:
    """Copy what is needed into new packs; the old ones go when the new ones are on disk."""
    for one, needed in packs:
        order = np.flatnonzero(needed)
        for row in order[np.argsort(one.offsets[order], kind="stable")].tolist():
            digest = one.digests[row].tobytes()
            content = objects.read_packed([digest])[0]
            if content is None or objects.place.kind.whole(content) != digest:
                objects.changed(digest)
            objects.add(digest, content)
    objects.finish()
    new = {one.path for one in objects.packed.packs[len(rows) :]}
    for one, _ in packs:
        if one.path not in new:
            one.path.unlink()
    sync_folder(objects.place / "packs")
