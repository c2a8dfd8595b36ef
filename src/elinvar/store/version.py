"""What a version is, and the marker that a checked-out folder carries."""

from __future__ import annotations

import errno
import itertools
import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from elinvar.core.errors import DataMissingError, fail
from elinvar.core.other_names import nearest
from elinvar.store.filling import place_whole
from elinvar.store.manifest import Manifest
from elinvar.store.objects import Objects
from elinvar.store.place import open_place, writing
from elinvar.store.tables import arrays_of, table_of
from elinvar.store.walk import MARKER, shown

_LONGEST_MARKER = 1 << 16
_SUGGESTED = 100_000


@dataclass(frozen=True)
class Version:
    """A version of a data set: a name, a number in its history, and the hash of what it holds.

    Attributes:
        id: the hash of the manifest, such as `blake3:…`. The same content has the same id, under
            whatever name and message.
        name, number: of the data set, and 1 for its first version, 2 for the next.
        message, created, author: what was said, when (seconds since 1970), by whom if known.
        parent: the id of the version before it; None for the first.
        kind: `folder`, `file`, `table`, `array`, `tuple` or `dict`.
        num_files, num_bytes: of the content.
        tags: its other names, such as `v1`.
        dropped: whether its files were given up.
        is_new: False where `commit` found nothing changed.
    """

    id: str
    name: str
    number: int
    message: str = ""
    created: float = 0.0
    author: str = ""
    parent: str | None = None
    kind: str = "folder"
    num_files: int = 0
    num_bytes: int = 0
    tags: tuple[str, ...] = ()
    dropped: bool = False
    store: Path = field(default=Path(), repr=False)
    is_new: bool = field(default=True, repr=False, compare=False)

    @property
    def spec(self) -> str:
        """What names it: `flowers@3`."""
        return f"{self.name}@{self.number}"

    @property
    def files(self) -> Manifest:
        """The files by path, each with size and hash; read when they are needed."""
        return self.manifest(Objects(open_place(self.store)))

    def manifest(self, objects: Objects) -> Manifest:
        """The same, for those who have opened the store.

        Raises:
            DataMissingError: the files were given up, and are gone.
        """
        try:
            return objects.manifest(self.id)
        except DataMissingError:
            if not self.dropped:
                raise
        fail(DataMissingError, "data", f"the files of {self.spec} were given up by `drop`")

    @property
    def path(self) -> Path:
        """A read-only folder in the store with the version's files, made when first asked for.

        Large files there are the store's own, by another name, and take no room. Whoever makes them
        writable and changes them changes the store; `verify` finds that.
        """
        place = open_place(self.store)
        target = self.kept_folder
        if (target / MARKER).is_file():
            return target
        with writing(target), place.locked("objects", shared=True), Objects(place) as objects:
            self.manifest(objects)
            try:
                place_whole(objects, self.marker(), target, read_only=True, link=True)
            except FileExistsError:  # another process was first
                pass
            except OSError as error:
                if error.errno != errno.ENOTEMPTY:
                    raise
        return target

    @property
    def kept_folder(self) -> Path:
        """Where the folder of `path` is, once it was made."""
        return self.store / "checkouts" / self.id.replace(":", "-")

    def arrays(self) -> Any:
        """The arrays that were committed: one, a tuple, or a dict; a table's columns by name.

        Raises:
            DataError: the version is one of a folder or a file.
        """
        return arrays_of(self.kind, self.files, self.read)

    def table(self) -> Any:
        """The pyarrow Table that was committed.

        Raises:
            DataError: the version is not one of a table.
        """
        return table_of(self.kind, self.read)

    def read(self, path: str) -> bytes:
        """A file's content, checked.

        Raises:
            DataMissingError: the version has no such file; the text suggests the nearest one.
        """
        place = open_place(self.store)
        with Objects(place) as objects:
            files = self.manifest(objects)
            found = files.find(os.fsencode(path))
            if found is None or not found[2]:
                near = nearest(path, itertools.islice(files, _SUGGESTED))
                text = f"{self.spec} has no file {shown(path)}"
                fail(DataMissingError, "data", text, near)
            return objects.read(found[2])

    def marker(self) -> dict[str, Any]:
        """What the marker of a folder says."""
        told = asdict(self)
        told.pop("is_new")
        return {"elinvar": "version", **told, "store": str(self.store), "tags": list(self.tags)}


def from_record(record: dict[str, Any], **more: Any) -> Version:
    """A version from JSON; what a newer program added is passed over."""
    names = {one.name for one in fields(Version)} - {"is_new"}
    told = {name: value for name, value in {**record, **more}.items() if name in names}
    told["tags"] = tuple(told.get("tags", ()))
    told["store"] = Path(told.get("store", ""))
    return Version(**told)


def read_marker(file: Path) -> Version | None:
    """What a marker says; None where there is none, or it is none of ours."""
    try:
        with open(file, "rb") as stream:
            told = json.loads(stream.read(_LONGEST_MARKER))
    except (OSError, ValueError):
        return None
    if not isinstance(told, dict) or told.get("elinvar") != "version":
        return None
    wanted = {"id": str, "name": str, "number": int}
    if any(not isinstance(told.get(key), kind) for key, kind in wanted.items()):
        return None
    return from_record(told)
