"""Parquet and Arrow files, through pyarrow: rows by number, read in the groups of the file."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from elinvar.core.errors import DataError, fail
from elinvar.data.counters import Integers
from elinvar.data.files import Paths, files_of, need, unknown
from elinvar.data.gathering import gathered
from elinvar.data.source import Source

Group = dict[str, Any]


class _Parquet:
    """The row groups of a Parquet file."""

    def __init__(self, path: str, arrow: Any) -> None:
        parquet = need("pyarrow.parquet", "pyarrow", "Parquet files")
        self._file = parquet.ParquetFile(path, memory_map="://" not in path)
        self.names: list[str] = list(self._file.schema_arrow.names)
        meta = self._file.metadata
        self.sizes = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]

    def group(self, number: int, columns: list[str]) -> Any:
        """Some columns of a group."""
        return self._file.read_row_group(number, columns, use_threads=False)


class _Arrow:
    """The record batches of an Arrow (Feather) file, mapped into memory."""

    def __init__(self, path: str, arrow: Any) -> None:
        ipc = need("pyarrow.ipc", "pyarrow", "Arrow files")
        self._file = ipc.open_file(arrow.memory_map(path))
        self.names: list[str] = list(self._file.schema.names)
        count = self._file.num_record_batches
        self.sizes = [self._file.get_batch(i).num_rows for i in range(count)]

    def group(self, number: int, columns: list[str]) -> Any:
        """Some columns of a group."""
        return self._file.get_batch(number).select(columns)


class TableSource(Source):
    """Rows of Parquet or Arrow files.

    Args:
        op: `"parquet"` or `"arrow"`.
        paths: files; patterns are matched.
        columns: which; None for all.
        cache: bytes of decoded groups that each process keeps.
    """

    takes_batches = True

    def __init__(self, op: str, paths: Paths, columns: Sequence[str] | None, cache: int) -> None:
        self._op, self._cache = op, cache
        self._process, self._lock = os.getpid(), threading.RLock()
        self._paths = files_of(op, paths)
        self._seen = [_stamp(path) for path in self._paths]
        self._open: tuple[int, list[Any]] | None = None
        self._groups: OrderedDict[int, tuple[Group, int]] = OrderedDict()
        files = self._files()
        self._columns = list(files[0].names if columns is None else columns)
        for file, path in zip(files, self._paths):
            for name in self._columns:
                if name not in file.names:
                    unknown(op, f"column in {path} called", name, file.names)
        sizes = [size for file in files for size in file.sizes]
        self._owner = [
            (number, group) for number, file in enumerate(files) for group in range(len(file.sizes))
        ]
        self._sums = np.cumsum([0, *sizes])
        self.name = f"{op}({len(self._paths)} files)"

    def contents(self) -> tuple[list[Any], list[str], list[Any]]:
        """The files."""
        return [], list(self._paths), []

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": None, "_groups": OrderedDict(), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock())

    def __len__(self) -> int:
        return int(self._sums[-1])

    def _files(self) -> list[Any]:
        """The open files; a forked process opens them anew."""
        if self._open is None or self._open[0] != os.getpid():
            arrow = need("pyarrow", "pyarrow", f"{self._op} files")
            kind = _Parquet if self._op == "parquet" else _Arrow
            found = []
            for path in self._paths:
                try:
                    found.append(kind(path, arrow))
                except (arrow.ArrowException, OSError) as error:
                    raise DataError(f"[{self._op}] {path} cannot be read: {error}") from error
            self._open = (os.getpid(), found)
            self._groups = OrderedDict()
        return self._open[1]

    def _group(self, number: int) -> Group:
        """The columns of a group, kept as long as there is room."""
        if self._process != os.getpid():  # another thread may have held the lock at the fork
            self._process, self._lock = os.getpid(), threading.RLock()
        with self._lock:
            return self._kept(number)

    def _kept(self, number: int) -> Group:
        files = self._files()
        if number in self._groups:
            self._groups.move_to_end(number)
            return self._groups[number][0]
        file, inner = self._owner[number]
        if _stamp(self._paths[file]) != self._seen[file]:
            fail(DataError, self._op, f"{self._paths[file]} was changed while it was in use")
        table = files[file].group(inner, self._columns)
        found = {name: self._column(name, table.column(name)) for name in self._columns}
        size = sum(array.nbytes for array in found.values())
        self._groups[number] = (found, size)
        while len(self._groups) > 1 and sum(s for _, s in self._groups.values()) > self._cache:
            self._groups.popitem(last=False)
        return found

    def _column(self, name: str, column: Any) -> Any:
        if column.null_count:
            text = f"column {name!r} has {column.null_count} missing values in one group"
            fail(DataError, self._op, text, "leave it out with columns=[…], or fill it before")
        kind = str(column.type)
        if "list" in kind and "<" in kind:
            found = np.empty(len(column), object)
            found[:] = [np.asarray(row) for row in column.to_pylist()]
            return found
        array = column.to_numpy(zero_copy_only=False)
        return array if array.dtype.kind in "biuf" else np.asarray(column.to_pylist(), object)

    def __getitem__(self, index: int) -> Any:
        number = int(np.searchsorted(self._sums, index, "right")) - 1
        group = self._group(number)
        return {name: array[index - self._sums[number]] for name, array in group.items()}

    def take(self, indices: range | Integers, epochs: int | Integers) -> Any:
        """Columns of the rows; each group is looked up once."""
        rows = np.asarray(indices, np.int64)
        numbers = np.searchsorted(self._sums, rows, "right") - 1
        found: dict[str, Any] = {}
        for number in np.unique(numbers):
            there = np.flatnonzero(numbers == number)
            inner = rows[there] - self._sums[number]
            for name, array in self._group(int(number)).items():
                if name not in found:
                    found[name] = np.empty(len(rows), array.dtype)
                found[name][there] = array[inner]
        return {name: gathered(list(array)) if array.dtype == object else array
                for name, array in found.items()}  # fmt: skip

    def describe(self, index: int) -> str:
        """The file and the row of a sample."""
        file, _ = self._owner[int(np.searchsorted(self._sums, index, "right")) - 1]
        first = next(i for i, (owner, _) in enumerate(self._owner) if owner == file)
        return f"{self._paths[file]}, row {index - int(self._sums[first])}"


def _stamp(path: str) -> Any:
    if "://" in path:
        return None
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns
