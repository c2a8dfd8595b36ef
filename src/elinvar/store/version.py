"""What a version is, and the marker that a checked-out folder carries."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

_LONGEST_MARKER = 1 << 16


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
    store: Path = field(default=Path(), repr=False)
    is_new: bool = field(default=True, repr=False, compare=False)

    @property
    def spec(self) -> str:
        """What names it: `flowers@3`."""
        return f"{self.name}@{self.number}"

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
