"""The history of each name: its versions one after the other, and its tags.

Each entry is chained to the one before it by a hash, and the file has one of all of it: what was
changed in it is seen, and a history continues another one if that one's last link is found in it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from elinvar.core.errors import DataError, DataMissingError, ValueRangeError, fail
from elinvar.core.other_names import nearest
from elinvar.store.hashing import Algorithm
from elinvar.store.place import Place, open_place, write_file, writing
from elinvar.store.version import Version, from_record
from elinvar.store.walk import shown

_LONGEST = 100
_TAG = re.compile(r"[A-Za-z_][A-Za-z0-9_.+-]*")
_HEX = re.compile(r"(?:(?:blake3|sha256):)?([0-9a-f]{4,64})")
_ENDING = ".json"


@dataclass
class History:
    """The versions of a name.

    Attributes:
        name: of the data set.
        entries: records of versions, the oldest first; each has its `link`.
        tags: numbers of versions by tag.
        dropped: numbers of versions whose files were given up.
    """

    name: str
    entries: list[dict[str, Any]] = field(default_factory=list)
    tags: dict[str, int] = field(default_factory=dict)
    dropped: list[int] = field(default_factory=list)

    def version(self, number: int, store: Path) -> Version:
        """The version of a number, 1 for the first."""
        tags = tuple(sorted(tag for tag, at in self.tags.items() if at == number))
        parent = self.entries[number - 2]["id"] if number > 1 else None
        more = {"name": self.name, "number": number, "tags": tags, "parent": parent}
        more["dropped"] = number in self.dropped
        return from_record(self.entries[number - 1], store=store, **more)

    def kept(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Numbers and records of the versions that were not dropped."""
        for number, entry in enumerate(self.entries, 1):
            if number not in self.dropped:
                yield number, entry

    def append(self, kind: Algorithm, record: dict[str, Any]) -> None:
        """One more version."""
        self.entries.append({**record, "link": self._link(kind, len(self.entries), record)})

    def _link(self, kind: Algorithm, number: int, record: dict[str, Any]) -> str:
        before = self.entries[number - 1]["link"] if number else self.name
        told = {name: value for name, value in record.items() if name != "link"}
        return kind.text(kind.whole(_canonical([before, told])))

    def to_bytes(self, kind: Algorithm) -> bytes:
        """The file's content."""
        told: dict[str, Any] = {
            "elinvar": "name",
            "name": self.name,
            "versions": self.entries,
            "tags": self.tags,
        }
        if self.dropped:
            told["dropped"] = self.dropped
        told["check"] = kind.text(kind.whole(_canonical(told)))
        return _written(told)

    @staticmethod
    def from_bytes(content: bytes, kind: Algorithm, place: str) -> History:
        """A history out of its file.

        Args:
            place: names the file in errors.

        Raises:
            DataError: the file was changed or cut.
        """
        try:
            told = json.loads(content)
            whole = content == _written(told) and told["elinvar"] == "name"
            check = told.pop("check")
            whole = whole and check == kind.text(kind.whole(_canonical(told)))
            found = History(told["name"], told["versions"], told["tags"], told.get("dropped", []))
            whole = whole and all(
                entry["link"] == found._link(kind, number, entry)
                for number, entry in enumerate(found.entries)
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            whole = False
        if not whole:
            text = f"the history {place} is damaged: it is not what was written"
            hint = "move it away, and pull the name from a remote, or take it from a backup"
            fail(DataError, "data", text, hint)
        return found


def _written(told: Any) -> bytes:
    return json.dumps(told, indent=1).encode() + b"\n"


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def check_name(name: Any) -> str:
    """A name that a data set may have.

    Raises:
        ValueRangeError: it may not.
    """
    good = isinstance(name, str) and 0 < len(name) <= _LONGEST and name.isprintable()
    if good and not ("@" in name or name != name.strip() or name.startswith((".", "-"))):
        try:
            name.encode()
        except UnicodeEncodeError:
            good = False
        if good and len(_file_name(name)) < 250:
            return str(name)
    text = f"a data set's name has 1 to {_LONGEST} printable characters, without @, and begins "
    fail(ValueRangeError, "data", f"{text}with neither . nor -, received {name!r}")


def check_tag(tag: Any) -> str:
    """A tag that a version may have.

    Raises:
        ValueRangeError: it may not.
    """
    good = isinstance(tag, str) and len(tag) <= _LONGEST and _TAG.fullmatch(tag)
    if not good or _HEX.fullmatch(tag) or tag == "latest":
        text = "a tag begins with a letter, goes on with letters, digits and _ . + -, and is "
        fail(ValueRangeError, "data", f"{text}neither `latest` nor like an id, received {tag!r}")
    return str(tag)


def _file_name(name: str) -> str:
    return quote(name, safe=" ") + _ENDING


def file_of(place: Place, name: str) -> Path:
    """Where a name's history lies."""
    return place / "names" / _file_name(name)


def name_of(file_name: str) -> str:
    """The name whose history has this file name."""
    return unquote(file_name.removesuffix(_ENDING))


def all_names(place: Place) -> list[str]:
    """The names of a store, in order."""
    files = os.listdir(place / "names")
    return sorted(name_of(one) for one in files if one.endswith(_ENDING))


def load(place: Place, name: str) -> History:
    """The history of a name; an empty one where there is none."""
    file = file_of(place, name)
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return History(name)
    found = History.from_bytes(content, place.kind, shown(str(file)))
    if found.name != name:
        text = f"the history {shown(str(file))} is damaged: it is that of {found.name!r}"
        fail(DataError, "data", text)
    return found


def save(place: Place, history: History) -> None:
    """Put a history in the place of the one before it. The lock `names` must be held."""
    write_file(file_of(place, history.name), history.to_bytes(place.kind))


def known(place: Place, name: str) -> History:
    """The history of a name that is there.

    Raises:
        DataMissingError: it is not; the text suggests the nearest one.
    """
    check_name(name)
    found = load(place, name)
    if not found.entries:
        text = f"there is no data set {name!r} in {place.folder}"
        others = all_names(place)
        fail(DataMissingError, "data", text, nearest(name, others) if others else None)
    return found


def find(place: Place, spec: str | Version) -> Version:
    """A version by its name: `flowers`, `flowers@v1`, `flowers@3` or `flowers@1f2e3d…`.

    Raises:
        DataMissingError: there is none; the text suggests the nearest one.
        ValueRangeError: several versions have such an id.
    """
    if isinstance(spec, Version):
        return spec
    if not isinstance(spec, str):
        text = f"a version is named like 'flowers@v1', received {type(spec).__name__}"
        fail(ValueRangeError, "data", text)
    name, at, wanted = spec.partition("@")
    history = known(place, name)
    count = len(history.entries)
    if not at or wanted == "latest":
        return history.version(count, place.folder)
    if wanted in history.tags:
        return history.version(history.tags[wanted], place.folder)
    if wanted.isascii() and wanted.isdigit() and 1 <= int(wanted) <= count:
        return history.version(int(wanted), place.folder)
    return history.version(_by_id(history, wanted), place.folder)


def _by_id(history: History, wanted: str) -> int:
    match = _HEX.fullmatch(wanted.lower().removesuffix("…"))
    numbers = [
        number
        for number, entry in enumerate(history.entries, 1)
        if match and entry["id"].partition(":")[2].startswith(match[1])
    ]
    ids = {history.entries[number - 1]["id"] for number in numbers}
    if len(ids) == 1:
        return numbers[-1]
    if ids:
        text = f"{len(ids)} versions of {history.name!r} have ids that begin with {wanted}"
        fail(ValueRangeError, "data", text, "write more of the id")
    count = len(history.entries)
    numbers_told = "1" if count == 1 else f"1 … {count}"
    text = f"{history.name!r} has no version, tag or id {wanted!r}; versions are {numbers_told}"
    tags = ", ".join(sorted(history.tags))
    told = f"{text}, tags {tags}" if tags else text
    near = nearest(wanted, history.tags) if tags and wanted else None
    fail(DataMissingError, "data", told, near)


# ---- what users call ----------------------------------------------------------------------------

Store = str | os.PathLike[str] | None


def names(store: Store = None) -> list[str]:
    """The names of all data sets.

    Args:
        store: its folder; by default that of `ELINVAR_STORE`.
    """
    return all_names(open_place(store))


def version(spec: str | Version, store: Store = None) -> Version:
    """A version by its name.

    Args:
        spec: `"flowers"` for the newest, `"flowers@v1"` by tag, `"flowers@3"` by number,
            `"flowers@1f2e"` by the first digits of its id (at least four).
        store: the store's folder.

    Raises:
        DataMissingError: there is no such name or version; the text suggests the nearest one.
    """
    return find(open_place(store), spec)


def log(name: str, store: Store = None) -> list[Version]:
    """All versions of a name, the newest first.

    Raises:
        DataMissingError: there is no such name; the text suggests the nearest one.
    """
    place = open_place(store)
    history = known(place, name)
    return [history.version(number, place.folder) for number in range(len(history.entries), 0, -1)]


def versions(store: Store = None) -> list[Version]:
    """The newest version of each name."""
    place = open_place(store)
    found: Iterable[History] = (load(place, name) for name in all_names(place))
    return [one.version(len(one.entries), place.folder) for one in found if one.entries]


def tag(spec: str | Version, tag: str, *, move: bool = False, store: Store = None) -> Version:
    """Give a version another name, such as `v1`.

    Args:
        spec: the version.
        tag: its new name.
        move: whether the tag may be taken from another version.
        store: the store's folder.

    Raises:
        ValueRangeError: another version has this tag, or it is none.
    """
    check_tag(tag)
    place = open_place(spec.store if store is None and isinstance(spec, Version) else store)
    with writing(place.folder), place.locked("names"):
        wanted = find(place, spec)
        history = known(place, wanted.name)
        put_tag(history, wanted.number, tag, move)
        save(place, history)
    return history.version(wanted.number, place.folder)


def put_tag(history: History, number: int, tag: str, move: bool = False) -> None:
    """Set a tag.

    Raises:
        ValueRangeError: another version has it.
    """
    if not move and history.tags.get(tag, number) != number:
        text = f"the tag {tag!r} is that of {history.name}@{history.tags[tag]}"
        fail(ValueRangeError, "data", text, "move=True (--move) takes it from there")
    history.tags[tag] = number
