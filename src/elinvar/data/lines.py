"""Sources of one sample in a line: text, JSON lines, CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from elinvar.core import dtypes
from elinvar.core.errors import DataError, DTypeError, fail
from elinvar.data.counters import Integers
from elinvar.data.files import Paths, Records, unknown
from elinvar.data.source import Source

DEPTH = 100  # of JSON
_LOOKED_AT = 100  # records from which the types of CSV columns are guessed


class TextLines(Source):
    """Lines of text files."""

    takes_batches = True
    reads_lists = True

    def __init__(self, paths: Paths, encoding: str) -> None:
        self._records = Records("text_lines", paths, encoding)
        self.name = f"text_lines({len(self._records.files)} files)"

    def contents(self) -> tuple[list[Any], list[str], list[Any]]:
        """The files."""
        return [], [file.path for file in self._records.files], []

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> str:
        return self._records.text(index)

    def take(self, indices: range | Integers, epochs: int | Integers) -> list[str]:
        """Lines as a list."""
        plain = indices if isinstance(indices, range) else indices.tolist()
        return self._records.texts(plain)

    def describe(self, index: int) -> str:
        """The file and the line of a sample."""
        return self._records.describe(index)


def parsed_json(content: bytes | str, where: str) -> Any:
    """A JSON value of bounded depth; lists of numbers become arrays.

    Raises:
        DataError: the text is no JSON, or too deep.
    """
    if isinstance(content, bytes):
        openings = content.count(b"[") + content.count(b"{")
    else:
        openings = content.count("[") + content.count("{")
    if openings > DEPTH and _depth(content) > DEPTH:
        fail(DataError, "json", f"{where} is nested deeper than {DEPTH}")
    try:
        return _with_arrays(json.loads(content))
    except UnicodeDecodeError as error:
        fail(DataError, "json", f"byte {error.start} of {where} is not utf-8")
    except (ValueError, RecursionError) as error:
        fail(DataError, "json", f"{where} is no JSON: {error}")


def _depth(content: bytes | str) -> int:
    """How deep brackets are nested, texts left out."""
    text = content.decode("utf-8", "replace") if isinstance(content, bytes) else content
    depth = deepest = place = 0
    while place < len(text):
        letter = text[place]
        if letter == '"':
            place += 1
            while place < len(text) and text[place] != '"':
                place += 2 if text[place] == "\\" else 1
        elif letter in "[{":
            depth += 1
            deepest = max(deepest, depth)
            if deepest > DEPTH:
                return deepest
        elif letter in "]}":
            depth -= 1
        place += 1
    return deepest


def _with_arrays(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_arrays(part) for key, part in value.items()}
    if not isinstance(value, list):
        return value
    if value and isinstance(value[0], bool | int | float | list):
        try:
            array = np.asarray(value)
        except (ValueError, OverflowError):
            array = np.empty(0, object)
        if array.dtype.kind == "f":
            return array.astype(dtypes.default_float.storage)
        if array.dtype.kind in "bi":
            return array
    return [_with_arrays(part) for part in value]


class JsonLines(Source):
    """One JSON value in each line."""

    def __init__(self, paths: Paths, fields: Sequence[str] | None) -> None:
        self._records = Records("json_lines", paths, blank=False)
        self._fields = None if fields is None else tuple(fields)
        self.name = f"json_lines({len(self._records.files)} files)"

    def contents(self) -> tuple[list[Any], list[str], list[Any]]:
        """The files."""
        return [], [file.path for file in self._records.files], []

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Any:
        value = parsed_json(self._records.raw(index), f"record {index}")
        if self._fields is None:
            return value
        if not isinstance(value, dict):
            text = f"record {index} is a {type(value).__name__}, which has no fields"
            fail(DataError, "json_lines", text)
        for field in self._fields:
            if field not in value:
                unknown("json_lines", "field", field, list(value))
        return {field: value[field] for field in self._fields}

    def describe(self, index: int) -> str:
        """The file and the line of a sample."""
        return self._records.describe(index)


class CsvRows(Source):
    """Rows of CSV files with one header in each.

    Args:
        paths: the files.
        columns: names, or names with types (`"float32"`, `"int64"`, `"str"`); None for all.
        missing: stands for empty and NaN numbers; None: they are errors.
        delimiter: between fields.
        encoding: of the text.

    Attributes:
        names: of all columns, as the header has them.
    """

    takes_batches = True

    def __init__(
        self,
        paths: Paths,
        columns: Sequence[str] | Mapping[str, Any] | None,
        missing: float | None,
        delimiter: str,
        encoding: str,
    ) -> None:
        self._records = Records("csv", paths, encoding, quoted=True, blank=False, header=1)
        self._delimiter, self._missing = delimiter, missing
        self.name = f"csv({len(self._records.files)} files)"
        headers = [self._header(head, encoding) for head in self._records.headers]
        if not headers:
            fail(DataError, "csv", "the file is empty: there is no header")
        self.names = headers[0]
        for header, file in zip(headers, self._records.files):
            if header != self.names:
                text = f"{file.path} has the columns {header}, the first file has {self.names}"
                fail(DataError, "csv", text)
        wanted = list(self.names if columns is None else columns)
        for name in wanted:
            if name not in self.names:
                unknown("csv", "column", name, self.names)
        self._places = [(name, self.names.index(name)) for name in wanted]
        given = dict(columns) if isinstance(columns, Mapping) else {}
        guessed = self._guessed([name for name in wanted if name not in given])
        self._types = {name: _type(given[name]) if name in given else guessed[name]
                       for name in wanted}  # fmt: skip

    def contents(self) -> tuple[list[Any], list[str], list[Any]]:
        """The files."""
        return [], [file.path for file in self._records.files], []

    def __len__(self) -> int:
        return len(self._records)

    def _header(self, content: bytes, encoding: str) -> list[str]:
        try:
            names = self._split([content.decode(encoding).rstrip("\r\n")])[0]
        except UnicodeDecodeError as error:
            name = encoding.removesuffix("-sig")
            fail(DataError, "csv", f"byte {error.start} of the header is not {name}")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            fail(DataError, "csv", f"the header has {', '.join(map(repr, twice))} twice")
        return names

    def _split(self, lines: list[str]) -> list[list[str]]:
        try:
            return list(csv.reader(lines, delimiter=self._delimiter, strict=True))
        except csv.Error as error:
            fail(DataError, "csv", f"a record is no CSV: {error}")

    def _guessed(self, names: list[str]) -> dict[str, str]:
        rows = [self._rows([index])[0] for index in range(min(len(self), _LOOKED_AT))]
        found = {}
        for name in names:
            texts = [row[self.names.index(name)].strip() for row in rows]
            texts = [text for text in texts if text]
            found[name] = "str"
            for kind, number in (("int64", int), ("float32", float)):
                try:
                    for text in texts:
                        number(text)
                except ValueError:
                    continue
                found[name] = kind if texts else "str"
                break
        return found

    def _rows(self, indices: Sequence[int]) -> list[list[str]]:
        texts = self._records.texts(indices)
        rows = self._split(texts)
        if len(rows) != len(texts):  # a quote that opens within a field joins records
            rows = [self._split([text])[0] for text in texts]
        for index, row in zip(indices, rows):
            if len(row) != len(self.names):
                text = f"record {index} has {len(row)} fields, the header has {len(self.names)}"
                fail(DataError, "csv", text)
        return rows

    def __getitem__(self, index: int) -> Any:
        row = self._rows([index])[0]
        found = {}
        for name, place in self._places:
            values = self._column(name, [row[place]])
            found[name] = values[0]
        return found

    def take(self, indices: range | Integers, epochs: int | Integers) -> Any:
        """Columns of the rows."""
        rows = self._rows([int(index) for index in indices])
        return {name: self._column(name, [row[place] for row in rows])
                for name, place in self._places}  # fmt: skip

    def _column(self, name: str, texts: list[str]) -> Any:
        kind = self._types[name]
        if kind == "str":
            return texts
        try:
            if self._missing is not None:
                fill = str(self._missing)
                texts = [fill if not text.strip() or text.strip().lower() == "nan" else text
                         for text in texts]  # fmt: skip
            if kind.startswith(("int", "uint")):
                return np.array([int(text) for text in texts], kind)
            found = np.array([float(text) for text in texts], kind)
        except (ValueError, OverflowError) as error:
            text = f"column {name!r} has a value that is no {kind}: {error}"
            hint = "missing=0 fills empty fields; columns={name: type} gives types"
            fail(DataError, "csv", text, hint)
        if np.isnan(found).any():
            text = f"column {name!r} has NaN"
            fail(DataError, "csv", text, "missing=0 puts a number there")
        return found

    def describe(self, index: int) -> str:
        """The file and the line of a sample."""
        return self._records.describe(index)


def _type(value: Any) -> str:
    if value is str or value == "str":
        return "str"
    if value in (int, float):
        return "int64" if value is int else dtypes.default_float.name
    try:
        found = np.dtype(getattr(value, "name", value))
    except TypeError:
        found = np.dtype(object)
    if found.kind not in "iuf":
        fail(DTypeError, "csv", f"a column's type must be a number type or 'str', not {value!r}")
    return found.name
