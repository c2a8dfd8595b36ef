"""Files read from any place: local ones, remote ones through fsspec; lines found once."""

from __future__ import annotations

import difflib
import glob
import importlib
import os
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from elinvar.core.errors import DataError, DataMissingError, ValueRangeError, fail
from elinvar.core.other_names import nearest
from elinvar.data.counters import Integers

_CHUNK = 1 << 24
KEPT = 1 << 28  # bytes of files with lines that are kept in memory
Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def need(module: str, package: str, what: str) -> Any:
    """A module of an optional package.

    Raises:
        DataError: the package is not installed; the text has the line that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        text = f"{what} needs the package {package}"
        raise DataError(f"[data] {text}\n  hint: pip install {package}") from error


def unknown(op: str, what: str, name: Any, known: Sequence[Any]) -> NoReturn:
    """Fail because of a name that is not known, and say which one may be meant."""
    hint = nearest(str(name), [str(one) for one in known])
    fail(DataError, op, f"there is no {what} {name!r}", hint)


def files_of(op: str, paths: Paths) -> list[str]:
    """Paths of files: given, matched by patterns such as `part-*.jsonl`; those in order of name.

    Raises:
        DataMissingError: there is no such file.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found: list[str] = []
    for path in given:
        text = os.fspath(path)
        if "://" in text or os.path.isfile(text):
            found.append(text)
            continue
        matched = sorted(name for name in glob.glob(text) if os.path.isfile(name))
        if not matched:
            what = "is a folder, not a file" if os.path.isdir(text) else "does not exist"
            hint = None
            parent = Path(text).parent
            if parent.is_dir():
                close = difflib.get_close_matches(Path(text).name, os.listdir(parent), 1)
                hint = f"did you mean {str(parent / close[0])!r}?" if close else None
            fail(DataMissingError, op, f"{text!r} {what}", hint)
        found += matched
    if not found:
        fail(DataMissingError, op, "no file was given")
    return found


class ByteFile:
    """Bytes of a file by position. Safe to share between processes and threads.

    Args:
        path: local, or an address that fsspec knows.

    Attributes:
        size: in bytes.
        content: all of it, where it is kept in memory.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._remote: tuple[int, Any, str] | None = None
        self._descriptor = -1
        self._seen: tuple[int, int] | None = None
        self.content: bytes | None = None
        if "://" in path:
            _, files, name = self._files()
            self.size = int(files.info(name)["size"])
        else:
            status = os.stat(path)
            self.size, self._seen = status.st_size, (status.st_size, status.st_mtime_ns)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_remote": None, "_descriptor": -1}

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def _files(self) -> tuple[int, Any, str]:
        """The file system of a remote file; each process has its own."""
        if self._remote is None or self._remote[0] != os.getpid():
            fsspec = need("fsspec", "fsspec", f"an address such as {self.path!r}")
            files, name = fsspec.core.url_to_fs(self.path, skip_instance_cache=True)
            self._remote = (os.getpid(), files, name)
        return self._remote

    def keep(self) -> None:
        """Read all of the file now, and never again."""
        self.content = self.read(0, self.size)

    def read(self, start: int, count: int) -> bytes:
        """So many bytes from a place on.

        Raises:
            DataError: the file is shorter now, or was changed since it was opened.
        """
        if self.content is not None:
            return self.content[start : start + count]
        if self._seen is None:
            _, files, name = self._files()
            content: bytes = files.cat_file(name, start, start + count)
        else:
            if self._descriptor < 0:
                self._descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            status = os.fstat(self._descriptor)
            if (status.st_size, status.st_mtime_ns) != self._seen:
                fail(DataError, "data", f"{self.path} was changed while it was in use")
            content = os.pread(self._descriptor, count, start)
            while len(content) < count:  # the system gives large reads in parts
                more = os.pread(self._descriptor, count - len(content), start + len(content))
                if not more:
                    break
                content += more
        if len(content) != count:
            text = f"{self.path} ends at byte {start + len(content)} of {start + count}"
            fail(DataError, "data", text)
        return content


def record_starts(file: ByteFile, quoted: bool = False) -> Integers:
    """Where the lines of a file begin, and the file's end.

    Args:
        file: what is read, once, in pieces.
        quoted: line ends within double quotes are part of a record, as in CSV.
    """
    found, inside = [], 0
    first = 3 if file.size >= 3 and file.read(0, 3) == b"\xef\xbb\xbf" else 0
    for start in range(first, file.size, _CHUNK):
        piece = np.frombuffer(file.read(start, min(_CHUNK, file.size - start)), np.uint8)
        ends = piece == 10
        if quoted:
            quotes = piece == 34
            ends &= (np.cumsum(quotes) + inside) % 2 == 0
            inside = (inside + int(quotes.sum())) % 2
        found.append(np.flatnonzero(ends).astype(np.int64) + (start + 1))
    if inside:
        fail(DataError, "csv", f"{file.path} ends within a quoted field")
    ends = np.concatenate([np.array([first], np.int64), *found])
    return ends if ends[-1] >= file.size else np.append(ends, np.int64(file.size))


def _without_line_ends(content: bytes | None, begins: Integers, ends: Integers) -> Any:
    """Where records stop without their line ends; None for files that are not in memory."""
    if content is None:
        return None
    letters, stops = np.frombuffer(content, np.uint8), ends.copy()
    if not len(ends):
        return stops
    closed = letters[ends - 1] == 10
    stops -= closed
    stops -= closed & (stops > begins) & (letters[np.maximum(stops - 1, 0)] == 13)
    return stops


class Records:
    """The lines of some files, by number.

    Args:
        op: for errors.
        paths: files; patterns such as `part-*.txt` are matched.
        encoding: of the text; one in which a line end is one byte.
        quoted: line ends within quotes do not count.
        blank: whether empty lines are records.
        header: lines at the beginning of each file that are none.
    """

    def __init__(
        self,
        op: str,
        paths: Paths,
        encoding: str = "utf-8",
        quoted: bool = False,
        blank: bool = True,
        header: int = 0,
    ) -> None:
        if encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32", "utf16", "utf32")):
            text = f"encoding {encoding} has no line ends of one byte"
            fail(ValueRangeError, op, text, "convert the file to utf-8")
        self.encoding, self.files = encoding, [ByteFile(path) for path in files_of(op, paths)]
        if sum(file.size for file in self.files) <= KEPT:
            for file in self.files:
                file.keep()
        self.headers: list[bytes] = []
        self._spans: list[tuple[Integers, Integers, Integers | None]] = []
        self._stops: list[Integers | None] = []
        for file in self.files:
            if file.size >= 2 and file.read(0, 2) == b"\x1f\x8b":
                text = f"{file.path} is compressed, so its lines cannot be read by number"
                fail(DataError, op, text, f"unpack it first: gunzip {file.path}")
            starts = record_starts(file, quoted)
            if header:
                if len(starts) > header:
                    self.headers.append(file.read(int(starts[0]), int(starts[1] - starts[0])))
                starts = starts[min(header, len(starts) - 1) :]
            begins, ends, numbers = starts[:-1], starts[1:], None
            if not blank:
                kept = self._filled(file, begins, ends)
                if not kept.all():
                    begins, ends, numbers = begins[kept], ends[kept], np.flatnonzero(kept)
            self._spans.append((begins, ends, numbers))
            self._stops.append(_without_line_ends(file.content, begins, ends))
        self._header = header
        self._sums = np.cumsum([0, *(len(begins) for begins, _, _ in self._spans)]).tolist()

    @staticmethod
    def _filled(file: ByteFile, begins: Integers, ends: Integers) -> Any:
        kept = ends - begins > 1
        for number in np.flatnonzero(ends - begins == 2):
            kept[number] = file.read(int(begins[number]), 2) != b"\r\n"
        if len(kept) and ends[-1] - begins[-1] == 1:  # the last line may have no end
            kept[-1] = file.read(int(begins[-1]), 1) != b"\n"
        return kept

    def __len__(self) -> int:
        return int(self._sums[-1])

    def _place(self, index: int) -> tuple[int, int]:
        """The file of a record, and its number there."""
        if not 0 <= index < self._sums[-1]:
            raise IndexError(f"record {index} is out of range for {len(self)} records")
        number = bisect_right(self._sums, index) - 1
        return number, index - self._sums[number]

    def raw(self, index: int) -> bytes:
        """The bytes of a record without its line end."""
        number, inner = self._place(index)
        begins, ends, _ = self._spans[number]
        start, stops = int(begins[inner]), self._stops[number]
        if stops is not None:
            return self.files[number].read(start, int(stops[inner]) - start)
        content = self.files[number].read(start, int(ends[inner]) - start)
        if content.endswith(b"\n"):
            content = content[:-2] if content.endswith(b"\r\n") else content[:-1]
        return content

    def text(self, index: int) -> str:
        """A record as text.

        Raises:
            DataError: it is not text of the encoding; names the byte.
        """
        return self.decoded(self.raw(index), index)

    def texts(self, indices: Sequence[int]) -> list[str]:
        """Several records as texts."""
        content, stops = self.files[0].content, self._stops[0]
        if len(self.files) > 1 or content is None or stops is None:
            return [self.text(index) for index in indices]
        begin, stop = self._spans[0][0].data, stops.data
        try:
            return [str(content[begin[i] : stop[i]], self.encoding) for i in indices]
        except UnicodeDecodeError:
            return [self.text(index) for index in indices]  # names the byte

    def decoded(self, content: bytes, index: int) -> str:
        """The bytes of a record as text."""
        try:
            return content.decode(self.encoding)
        except UnicodeDecodeError as error:
            number, inner = self._place(index)
            place = int(self._spans[number][0][inner]) + error.start
            byte = content[error.start]
            text = (
                f"byte {place} of {self.files[number].path} (0x{byte:02x}) is not {self.encoding}"
            )
            fail(DataError, "data", text, "give the file's encoding, such as encoding='latin-1'")

    def describe(self, index: int) -> str:
        """The file and the line of a record."""
        number, inner = self._place(index)
        begins, _, numbers = self._spans[number]
        line = int(inner if numbers is None else numbers[inner]) + self._header + 1
        return f"{self.files[number].path}, record {line}, byte {int(begins[inner])}"
