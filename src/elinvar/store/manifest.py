r"""A version's manifest: each path with size and hash of its content, and one hash for all of it.

    page:  hash size path\0   hash size path\0   …          paths in the order of their bytes
    root:  elinvar manifest 1\n
           {"bytes": …, "files": …}\n
           hash entries path\0   hash entries path\0   …    one for each page: its first path

Hashes are 64 hexadecimal digits. An empty folder is `- 0 path/`. The id of a version is the hash
of its root. A page ends where a checksum of a path says so, about every thousand entries:
what is added or removed changes the page it is in and no other, so versions share pages, and a
difference looks into those pages that are not the same.
"""

from __future__ import annotations

import json
import os
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

from elinvar.core.errors import DataError, fail
from elinvar.store.hashing import Algorithm

HEAD = b"elinvar manifest 1\n"
_MASK = (1 << 10) - 1
_LONGEST = 1 << 13  # entries of a page at most, whatever the checksums say
EMPTY = b"-"


@dataclass(frozen=True, slots=True)
class File:
    """A file of a version.

    Attributes:
        path: below the version's folder, with `/` between its parts.
        size: in bytes.
        hash: of its content, such as `blake3:…`.
    """

    path: str
    size: int
    hash: str


class Builder:
    """Takes entries in the order of their paths; gives the id.

    Args:
        kind: how the hashes are made.
        keep: gets each page and the root, with their hashes; by default they are thrown away.
    """

    num_files: int
    num_bytes: int

    def __init__(
        self, kind: Algorithm, keep: Callable[[bytes, bytes], None] = lambda digest, page: None
    ) -> None:
        self.num_files = self.num_bytes = 0
        self._kind, self._keep = kind, keep
        self._lines: list[bytes] = []
        self._first = b""
        self._pages: list[bytes] = []

    def add(self, path: bytes, size: int, digest: bytes) -> None:
        """One file."""
        self.num_files += 1
        self.num_bytes += size
        self._line(path, b"%s %d %s" % (digest.hex().encode(), size, path))

    def add_folder(self, path: bytes) -> None:
        """A folder with nothing in it; the path ends with `/`."""
        self._line(path, EMPTY + b" 0 " + path)

    def _line(self, path: bytes, line: bytes) -> None:
        if not self._lines:
            self._first = path
        self._lines.append(line)
        if zlib.crc32(path) & _MASK == 0 or len(self._lines) == _LONGEST:
            self._end_page()

    def _end_page(self) -> None:
        page = b"\0".join(self._lines) + b"\0"
        digest = self._kind.whole(page)
        self._keep(digest, page)
        entry = b"%s %d %s" % (digest.hex().encode(), len(self._lines), self._first)
        self._pages.append(entry + b"\0")
        self._lines = []

    def finish(self) -> bytes:
        """The digest of the root, which is written now."""
        if self._lines:
            self._end_page()
        told = {"bytes": self.num_bytes, "files": self.num_files}
        line = json.dumps(told, sort_keys=True, ensure_ascii=True).encode() + b"\n"
        root = HEAD + line + b"".join(self._pages)
        digest = self._kind.whole(root)
        self._keep(digest, root)
        return digest


Entry = tuple[bytes, int, bytes]  # path, size, digest; the digest is empty for an empty folder


def parse_page(page: bytes) -> list[Entry]:
    """The entries of a page.

    Raises:
        DataError: it is none, as a stranger's may be.
    """
    found: list[Entry] = []
    try:
        for line in page[:-1].split(b"\0"):
            digest, size, path = line.split(b" ", 2)
            is_empty = digest == EMPTY
            found.append((path, int(size), b"" if is_empty else bytes.fromhex(digest.decode())))
    except ValueError:
        malformed()
    return found


def malformed() -> NoReturn:
    """Say that a manifest is none.

    Raises:
        DataError: always.
    """
    fail(DataError, "data", "a manifest is not what Elinvar writes, though its hash is right")


class Manifest(Mapping[str, File]):
    """The files of a version by path; pages are read when they are needed.

    Args:
        read: gives the content of an object by its digest, checked.
        kind: how the hashes were made.
        root: the digest of the root.
    """

    kind: Algorithm
    root: bytes

    def __init__(self, read: Callable[[bytes], bytes], kind: Algorithm, root: bytes) -> None:
        self.kind, self.root = kind, root
        content = read(root)
        head, _, rest = content.partition(b"\n")
        if head + b"\n" != HEAD:
            text = f"{kind.text(root)} is no manifest that this version of Elinvar reads"
            fail(DataError, "data", text)
        line, _, rest = rest.partition(b"\n")
        self.pages = parse_page(rest) if rest else []
        try:
            self.about: dict[str, Any] = json.loads(line)
            self._count = int(self.about["files"])
        except (ValueError, KeyError, TypeError):
            malformed()
        self._firsts = [path for path, _, _ in self.pages]
        self._page = lru_cache(maxsize=8)(lambda number: self._read_page(read, number))

    def _read_page(self, read: Callable[[bytes], bytes], number: int) -> list[Entry]:
        return parse_page(read(self.pages[number][2]))

    def page(self, number: int) -> list[Entry]:
        """The entries of a page."""
        return self._page(number)

    def entries(self) -> Iterator[Entry]:
        """All entries, in order, with those of empty folders."""
        for number in range(len(self.pages)):
            yield from self._page(number)

    def find(self, path: bytes) -> Entry | None:
        """The entry of a path."""
        number = bisect_right(self._firsts, path) - 1
        if number < 0:
            return None
        page = self._page(number)
        place = bisect_right(page, path, key=lambda entry: entry[0]) - 1
        return page[place] if place >= 0 and page[place][0] == path else None

    def __getitem__(self, path: str) -> File:
        found = self.find(os.fsencode(path))
        if found is None or not found[2]:
            raise KeyError(path)
        return File(path, found[1], self.kind.text(found[2]))

    def __iter__(self) -> Iterator[str]:
        for path, _, digest in self.entries():
            if digest:
                yield os.fsdecode(path)

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"<{len(self)} files>"
