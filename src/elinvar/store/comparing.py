"""`diff`: what was added, removed and changed between two versions."""

from __future__ import annotations

import importlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from elinvar.store.manifest import Entry, Manifest
from elinvar.store.names import Store, find
from elinvar.store.objects import Objects
from elinvar.store.place import open_place
from elinvar.store.tables import arrow
from elinvar.store.version import Version

_SHOWN = 20
_READ = 1 << 28  # bytes of files whose values are compared
_ARRAYS = ("array", "tuple", "dict")
_READERS = {
    ".arrow": ("pyarrow.feather", "read_table"),
    ".csv": ("pyarrow.csv", "read_csv"),
    ".feather": ("pyarrow.feather", "read_table"),
    ".jsonl": ("pyarrow.json", "read_json"),
    ".parquet": ("pyarrow.parquet", "read_table"),
}


@dataclass(frozen=True)
class Difference:
    """What distinguishes two versions.

    Attributes:
        before, after: the versions.
        added, removed, changed: paths of files, in order.
        moved: pairs of paths, before and after, of files that have the same content; they are among
            those removed and added, too.
        bytes_added, bytes_removed: of the files that are new or other ones, and of those before.
        values: for tables and arrays, also those in files (.npy, .csv, .jsonl, .parquet, .arrow),
            what changed in them, a line each.
    """

    before: Version
    after: Version
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    moved: tuple[tuple[str, str], ...] = ()
    bytes_added: int = 0
    bytes_removed: int = 0
    values: tuple[str, ...] = field(default=())

    def __bool__(self) -> bool:
        return self.before.id != self.after.id

    def __str__(self) -> str:
        lines = [f"{self.before.spec} → {self.after.spec}: {self.counts()}"]
        lines += [f"  {line}" for line in self.values]
        targets = dict(self.moved)
        sources = {after for _, after in self.moved}
        removed = [path for path in self.removed if path not in targets]
        added = [path for path in self.added if path not in sources]
        moved = [f"{before} → {after}" for before, after in self.moved]
        groups = (("+", added), ("-", removed), ("~", self.changed), (">", moved))
        for mark, paths in groups:
            lines += [f"  {mark} {_printable(path)}" for path in paths[:_SHOWN]]
            if len(paths) > _SHOWN:
                lines.append(f"  {mark} … and {len(paths) - _SHOWN} more")
        return "\n".join(lines)

    def counts(self) -> str:
        """How much changed, in a line."""
        if not self:
            return "nothing changed"
        counts = ((self.added, "added"), (self.removed, "removed"), (self.changed, "changed"))
        told = [f"{len(paths)} {what}" for paths, what in counts if paths]
        if self.moved:
            told.append(f"{len(self.moved)} of them moved")
        return ", ".join(told)


def _printable(path: str) -> str:
    return path if path.isprintable() else repr(path)


def diff(
    before: str | Version, after: str | Version | None = None, *, store: Store = None
) -> Difference:
    """What was added, removed and changed from one version to another.

    Pages of the manifests that both have are not read, so two versions of a million files that
    differ in one are compared in a moment. Tables and arrays are compared by their values, too.

    Args:
        before: the older version, such as `"flowers@1"`.
        after: the newer one; by default the newest of the same name.
        store: the store's folder.

    Raises:
        DataMissingError: there is no such version.
    """
    given = [one.store for one in (before, after) if isinstance(one, Version)]
    place = open_place(given[0] if store is None and given else store)
    old = find(place, before)
    new = find(place, old.name if after is None else after)
    with Objects(place) as objects:
        files_old, files_new = old.manifest(objects), new.manifest(objects)
        olds, news = _apart(files_old, files_new)
        added = sorted(path for path in news if path not in olds)
        removed = sorted(path for path in olds if path not in news)
        changed = sorted(path for path in olds if path in news and olds[path][1:] != news[path][1:])
        by_content = {olds[path][1:]: path for path in reversed(removed) if olds[path][2]}
        moved = []
        for path in added:
            source = by_content.pop(news[path][1:], None)
            if source is not None:
                moved.append((os.fsdecode(source), os.fsdecode(path)))
        sizes = {path: max(olds[path][1], news[path][1]) for path in changed}
        values = _values(old, new, sizes)
    return Difference(
        old,
        new,
        tuple(map(os.fsdecode, added)),
        tuple(map(os.fsdecode, removed)),
        tuple(map(os.fsdecode, changed)),
        tuple(moved),
        sum(news[path][1] for path in (*added, *changed)),
        sum(olds[path][1] for path in (*removed, *changed)),
        tuple(values),
    )


def _apart(before: Manifest, after: Manifest) -> tuple[dict[bytes, Entry], dict[bytes, Entry]]:
    """Entries of those pages that the other one does not have."""
    same = {digest for _, _, digest in before.pages} & {digest for _, _, digest in after.pages}

    def rest(manifest: Manifest) -> Iterator[Entry]:
        for number, (_, _, digest) in enumerate(manifest.pages):
            if digest not in same:
                yield from manifest.page(number)

    return {one[0]: one for one in rest(before)}, {one[0]: one for one in rest(after)}


def _values(old: Version, new: Version, sizes: dict[bytes, int]) -> list[str]:
    """What changed in tables and arrays.

    Args:
        sizes: of the files that changed, the larger of both.
    """
    if old.kind == new.kind == "table":
        return table_changes(old.table(), new.table())
    lines = []
    small = [path for path, size in sizes.items() if size <= _READ]
    for path in map(os.fsdecode, small[:_SHOWN]):
        name = path.removesuffix(".npy") if old.kind == new.kind in _ARRAYS else path
        if os.path.splitext(path)[1].lower() in (".npy", *_READERS):
            changes = _file_changes(path, old.read(path), new.read(path))
            lines += [f"{_printable(name)}: {line}" for line in changes]
    return lines


def _file_changes(path: str, before: bytes, after: bytes) -> list[str]:
    """What changed in a file, if it is one that we can read: nothing is said of others."""
    ending = os.path.splitext(path)[1].lower()
    try:
        if ending == ".npy":
            first, second = (
                np.load(io.BytesIO(content), allow_pickle=False) for content in (before, after)
            )
            return [array_changes(first, second)]
        module, function = _READERS[ending]
        read = getattr(importlib.import_module(module), function)
        first, second = (read(arrow().BufferReader(content)) for content in (before, after))
        return table_changes(first, second)
    except Exception:  # the file may be anything, and pyarrow may be missing
        return []


def array_changes(before: Any, after: Any) -> str:
    """What changed in an array, in a line.

    Example:
        >>> array_changes(np.arange(3), np.array([0, 5, 2, 3]))
        '3 → 4 rows, 1 of the first 3 changed'
    """
    if before.dtype != after.dtype:
        return f"{before.dtype} {before.shape} → {after.dtype} {after.shape}"
    if before.ndim == 0 or before.shape[1:] != after.shape[1:]:
        return f"{before.shape} → {after.shape}" if before.shape != after.shape else "another value"
    rows = min(len(before), len(after))
    first, second = (_bytes(one[:rows]) for one in (before, after))
    count = int(np.any(first != second, axis=1).sum()) if rows else 0
    told = [] if len(before) == len(after) else [f"{len(before)} → {len(after)} rows"]
    if count or not told:
        of = f"of the first {rows}" if told else f"of {rows} rows"
        told.append(f"{count} {of} changed")
    return ", ".join(told)


def _bytes(array: Any) -> Any:
    """The bytes of each row."""
    if not array.size:
        return np.zeros((len(array), 0), np.uint8)
    return np.ascontiguousarray(array).reshape(len(array), -1).view(np.uint8)


def table_changes(before: Any, after: Any) -> list[str]:
    """What changed in a table: columns, and rows wherever they stand, a line each."""
    lines = []
    types = [{one.name: one.type for one in table.schema} for table in (before, after)]
    lines += [f"+ column {name}: {kind}" for name, kind in types[1].items() if name not in types[0]]
    lines += [f"- column {name}: {kind}" for name, kind in types[0].items() if name not in types[1]]
    shared = [name for name in types[0] if name in types[1]]
    for name in shared:
        if types[0][name] != types[1][name]:
            lines.append(f"~ column {name}: {types[0][name]} → {types[1][name]}")
    kept = [name for name in shared if types[0][name] == types[1][name]]
    lines.append(f"rows: {len(before)} → {len(after)}{_rows(before, after, kept)}")
    return lines


def _rows(before: Any, after: Any, columns: list[str]) -> str:
    """How many rows the other table does not have, whatever the order."""
    if not columns or len(set(columns)) < len(columns):
        return ""
    pa = arrow()
    try:
        counted = [
            table.select(columns)
            .group_by(columns, use_threads=False)
            .aggregate([([], "count_all")])
            for table in (before, after)
        ]
        mark = pa.array([1]).type
        signed = [
            table.append_column("elinvar sign", pa.array(np.full(len(table), sign), mark))
            for table, sign in zip(counted, (-1, 1))
        ]
        both = pa.concat_tables(signed)
        compute = importlib.import_module("pyarrow.compute")
        change = compute.multiply(both["count_all"], both["elinvar sign"])
        both = both.append_column("elinvar change", change)
        sums = both.group_by(columns, use_threads=False).aggregate([("elinvar change", "sum")])
        net = sums["elinvar change_sum"].to_numpy()
    except (pa.ArrowException, ValueError):  # values that cannot be grouped, such as lists
        return ""
    added, removed = int(net[net > 0].sum()), int(-net[net < 0].sum())
    where = f" in columns {', '.join(columns)}" if len(columns) < before.num_columns else ""
    return f"; {added} added, {removed} removed{where}"
