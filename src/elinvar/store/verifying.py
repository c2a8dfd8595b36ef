"""`verify`: whether what the store holds is what was committed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from elinvar.core.errors import DataError, ElinvarError
from elinvar.core.log import log
from elinvar.store.fingerprint import fingerprint_path
from elinvar.store.hashing import DIGEST, hash_stream, reader
from elinvar.store.manifest import Manifest
from elinvar.store.names import Store, all_names, find, known
from elinvar.store.objects import REPAIR, Objects
from elinvar.store.packs import Index
from elinvar.store.place import Place, open_place, write_file
from elinvar.store.version import Version
from elinvar.store.walk import shown

_CHUNK = 1 << 24
_NAMED = 20  # files that are named for each damaged object


@dataclass(frozen=True)
class Problem:
    """Something that is not as it was written.

    Attributes:
        place: the file of the store, or the name that is concerned.
        what: the damage, such as `was changed`.
        files: the files of versions that are concerned, such as `flowers@1: red/1.png`.
    """

    place: str
    what: str
    files: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.place} {self.what}" + "".join(f"\n  {one}" for one in self.files)


@dataclass
class Verification:
    """What `verify` found.

    Attributes:
        objects, num_bytes: how much was looked at.
        problems: what is wrong; nothing, if all is well.
    """

    objects: int = 0
    num_bytes: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether all is as it was written."""
        return not self.problems

    def __str__(self) -> str:
        if self.problems:
            return "\n".join([*map(str, self.problems), REPAIR])
        return f"{self.objects} objects, {self.num_bytes} bytes: as they were written"


def verify(
    spec: str | Version | None = None, *, deep: bool = True, store: Store = None
) -> Verification:
    """Compare what the store holds with the hashes of what was committed.

    What was changed is set aside, so that committing or pulling the same data brings it back.

    Args:
        spec: a name for all its versions, or one version; by default every name.
        deep: hash every byte again. Otherwise what is there is compared by size alone.
        store: the store's folder.

    Raises:
        DataMissingError: there is no such name or version.
    """
    place = open_place(spec.store if store is None and isinstance(spec, Version) else store)
    found = Verification()
    with place.locked("objects", shared=True), Objects(place) as objects:
        check = _Check(objects, found)
        for path, why in objects.packed.damaged.items():
            found.problems.append(Problem(str(path), f"is damaged: {why}"))
        for version in _chosen(place, spec, found):
            check.version(version)
        check.contents(deep)
        check.name_files()
        for version in check.versions if deep else ():
            _check_folder(version, found)
    if check.bad:
        _set_aside(place, check)
    return found


def _chosen(place: Place, spec: str | Version | None, found: Verification) -> list[Version]:
    if isinstance(spec, Version) or (isinstance(spec, str) and "@" in spec):
        return [find(place, spec)]
    chosen: list[Version] = []
    for name in all_names(place) if spec is None else [spec]:
        try:
            history = known(place, name)
        except DataError as error:
            if spec is not None:
                raise
            found.problems.append(Problem(f"the name {name!r}", _first_line(error)))
            continue
        chosen += [history.version(number, place.folder) for number, _ in history.kept()]
    return chosen


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].removeprefix("[data] ")


class _Check:
    """Goes through manifests once and through contents once.

    Attributes:
        versions: those whose manifests could be read.
        bad: objects that are not what they should be, by their digests: where, and what is wrong.
    """

    def __init__(self, objects: Objects, found: Verification) -> None:
        self.objects, self.found = objects, found
        self.versions: list[Version] = []
        self.bad: dict[bytes, tuple[str, str]] = {}
        self._pages: set[bytes] = set()
        self._rows = [np.zeros(len(one), bool) for one in objects.packed.packs]
        self._loose: dict[bytes, int] = {}
        self._sizes: list[tuple[int, int]] = []

    def version(self, version: Version) -> None:
        """Read a manifest, and note which contents it wants."""
        try:
            manifest = self.objects.manifest(version.id)
        except ElinvarError as error:
            self._fault(version, error)
            return
        self.versions.append(version)
        for number, (_, _, digest) in enumerate(manifest.pages):
            if digest in self._pages:
                continue
            self._pages.add(digest)
            try:
                page = manifest.page(number)
            except ElinvarError as error:
                self._fault(version, error)
                continue
            files = [entry for entry in page if entry[2]]
            self._want([entry[2] for entry in files], [entry[1] for entry in files])

    def _fault(self, version: Version, error: Exception) -> None:
        what = f"has a damaged manifest: {_first_line(error)}"
        self.found.problems.append(Problem(version.spec, what))
        digest = _digest_in(str(error))
        if digest is not None:
            self.bad.setdefault(digest, ("", ""))

    def _want(self, digests: list[bytes], sizes: list[int]) -> None:
        packs, rows = self.objects.packed.find(digests)
        for pack, row, digest, size in zip(packs.tolist(), rows.tolist(), digests, sizes):
            if pack < 0:
                self._loose[digest] = size
            elif int(self.objects.packed.packs[pack].lengths[row]) != size:
                self.bad[digest] = (str(self.objects.packed.packs[pack].path), "has another size")
            else:
                self._rows[pack][row] = True

    def contents(self, deep: bool) -> None:
        """Compare contents: all bytes, or sizes."""
        for index, wanted in zip(self.objects.packed.packs, self._rows):
            self.found.objects += int(wanted.sum())
            self.found.num_bytes += int(index.lengths[wanted].sum())
            if deep:
                for digest in _changed_in(self.objects, index, wanted):
                    self.bad[digest] = (str(index.path), "was changed")
        for digest, size in self._loose.items():
            path = self.objects.loose(digest)
            try:
                handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                self.bad[digest] = (str(path), "is missing")
                continue
            except OSError as error:
                self.bad[digest] = (str(path), f"cannot be read: {error.strerror}")
                continue
            try:
                self._check_file(handle, digest, size, deep)
            except OSError as error:
                self.bad[digest] = (str(path), f"cannot be read: {error.strerror}")
            finally:
                os.close(handle)

    def _check_file(self, handle: int, digest: bytes, size: int, deep: bool) -> None:
        path, kind = str(self.objects.loose(digest)), self.objects.place.kind
        self.found.objects += 1
        self.found.num_bytes += size
        there = os.fstat(handle).st_size
        if there != size:
            self.bad[digest] = (path, f"has {there} bytes in the place of {size}")
        elif deep and hash_stream(reader(handle), kind, size).digest() != digest:
            self.bad[digest] = (path, "was changed")

    def name_files(self) -> None:
        """Say which files are concerned."""
        if not self.bad:
            return
        files: dict[bytes, list[str]] = {digest: [] for digest in self.bad}
        for version in self.versions:
            for path, _, digest in _readable(self.objects.manifest(version.id)):
                if digest in files:
                    files[digest].append(f"{version.spec}: {shown(path)}")
        grouped: dict[tuple[str, str], list[str]] = {}
        for digest, (place, what) in self.bad.items():
            if place:
                grouped.setdefault((place, what), []).extend(files[digest])
        for (place, what), named in grouped.items():
            more = len(named) - _NAMED
            told = named[:_NAMED] + ([f"… and {more} more"] if more > 0 else [])
            self.found.problems.append(Problem(place, what, tuple(told)))


def _readable(manifest: Manifest) -> Iterator[tuple[bytes, int, bytes]]:
    for number in range(len(manifest.pages)):
        try:
            yield from manifest.page(number)
        except ElinvarError:
            continue  # told already


def _digest_in(text: str) -> bytes | None:
    """The digest that an error names."""
    _, colon, rest = text.partition("the object ")
    digits = rest.partition(":")[2][: 2 * DIGEST]
    try:
        return bytes.fromhex(digits) if colon else None
    except ValueError:
        return None


def _changed_in(objects: Objects, index: Index, wanted: np.ndarray) -> Iterator[bytes]:
    """Objects of a pack that are not what they should be; it is read from front to end."""
    whole = objects.place.kind.whole
    rows = np.flatnonzero(wanted)
    rows = rows[np.argsort(index.offsets[rows], kind="stable")]
    with open(index.path, "rb", buffering=_CHUNK) as stream:
        for row in rows.tolist():
            stream.seek(int(index.offsets[row]))
            digest = index.digests[row].tobytes()
            try:
                content = stream.read(int(index.lengths[row]))
            except OSError:
                content = b""
            if whole(content) != digest:
                yield digest


def _check_folder(version: Version, found: Verification) -> None:
    """The folder that `Version.path` made, if it did."""
    folder = version.kept_folder
    if not folder.is_dir():
        return
    try:
        what = "" if fingerprint_path(folder, version.id) == version.id else "was changed"
    except (ElinvarError, OSError) as error:
        what = f"cannot be read: {_first_line(error)}"
    if what and not any(problem.place == str(folder) for problem in found.problems):
        found.problems.append(Problem(str(folder), what, (f"{version.spec}: the folder of .path",)))


def _set_aside(place: Place, check: _Check) -> None:
    """Have damaged objects count as missing. Nothing is deleted."""
    packed = check.objects.packed
    digests = list(check.bad)
    packs, _ = packed.find(digests)
    lines: list[str] = []
    try:
        with place.locked("objects"):
            for digest, pack in zip(digests, packs.tolist()):
                path = check.objects.loose(digest)
                if pack >= 0:
                    lines.append(f"{packed.packs[pack].path.stem} {digest.hex()}")
                elif path.exists() and check.bad[digest][1] != "is missing":
                    (place / "damaged").mkdir(exist_ok=True)
                    os.replace(path, place / "damaged" / digest.hex())
            if lines:
                file = place / "packs" / "damaged"
                old = file.read_text() if file.exists() else ""
                write_file(file, (old + "\n".join(lines) + "\n").encode())
    except OSError as error:
        log.warning("damaged objects could not be set aside in %s: %s", place.folder, error)
