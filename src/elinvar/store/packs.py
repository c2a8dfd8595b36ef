r"""Packs: the contents of many small objects in one file, with an index at its end.

    elinvar pack 1\n\0
    content content content …
    index:   digests (32 bytes each, in order), offsets (8 bytes each), lengths (8 bytes each)
    trailer: digest of the index, offset of the index, number of objects, "elinvar pack end"

A pack's file name is the digest of its index. So the index is known to be whole before it is
believed, and each content is known by its own digest.
"""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from elinvar.core.errors import DataError
from elinvar.store.hashing import DIGEST, Algorithm
from elinvar.store.place import Place, sync_folder

HEAD = b"elinvar pack 1\n\0"
_END = b"elinvar pack end"
_TRAILER = struct.Struct("<32sQQ16s")
_MOST_BYTES = 1 << 27
_MOST_OBJECTS = 1 << 17
_BUFFER = 1 << 20

Digests = npt.NDArray[np.void]
_DIGEST = np.dtype((np.void, DIGEST))


class Index:
    """What a pack holds.

    Attributes:
        path: the pack.
        digests, offsets, lengths: of its objects, in the order of the digests.
    """

    path: Path
    digests: Digests
    offsets: Any
    lengths: Any

    def __init__(self, path: Path, digests: Digests, offsets: Any, lengths: Any) -> None:
        self.path, self.digests, self.offsets, self.lengths = path, digests, offsets, lengths

    def __len__(self) -> int:
        return len(self.digests)


def prefixes(digests: Digests) -> npt.NDArray[np.uint64]:
    """The first 8 bytes of digests, as numbers in the same order."""
    words = np.ascontiguousarray(digests).view(np.uint8).reshape(-1, DIGEST)[:, :8]
    return np.ascontiguousarray(words).view(">u8").reshape(-1).astype(np.uint64)


def as_digests(digests: list[bytes]) -> Digests:
    """Digests in an array."""
    return np.frombuffer(b"".join(digests), _DIGEST)


def index_bytes(digests: list[bytes], offsets: list[int], lengths: list[int]) -> bytes:
    """The index of a pack, in the order of the digests."""
    order = sorted(range(len(digests)), key=digests.__getitem__)
    numbers = np.array([offsets, lengths], "<u8")[:, order]
    return b"".join([digests[i] for i in order]) + numbers.tobytes()


def parse_index(path: Path, index: bytes) -> Index:
    """The index out of its bytes."""
    count = len(index) // (DIGEST + 16)
    digests = np.frombuffer(index, _DIGEST, count)
    numbers = np.frombuffer(index, "<u8", 2 * count, DIGEST * count).reshape(2, count)
    return Index(path, digests, numbers[0], numbers[1])


def trailer_bytes(kind: Algorithm, index: bytes, start: int) -> bytes:
    """What stands at the end of a pack whose index begins at `start`."""
    return _TRAILER.pack(kind.whole(index), start, len(index) // (DIGEST + 16), _END)


def index_range(trailer: bytes, size: int) -> tuple[bytes, int, int] | None:
    """Digest, begin and end of the index by a trailer; None where it is none.

    Args:
        size: of the whole pack.
    """
    if len(trailer) != _TRAILER.size:
        return None
    digest, start, count, end = _TRAILER.unpack(trailer)
    stop = size - _TRAILER.size
    if end != _END or start + count * (DIGEST + 16) != stop:
        return None
    return digest, start, stop


TRAILER = _TRAILER.size


def read_index(path: Path, kind: Algorithm) -> Index:
    """The index of a pack.

    Raises:
        DataError: the pack is damaged; the text says how.
    """
    with open(path, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        stream.seek(max(0, size - TRAILER))
        found = index_range(stream.read(TRAILER), size)
        if found is None:
            raise DataError("it was cut, or its end was changed")
        digest, start, stop = found
        stream.seek(start)
        index = stream.read(stop - start)
        stream.seek(0)
        head = stream.read(len(HEAD))
    if kind.whole(index) != digest:
        raise DataError("its index was changed")
    if path.name != digest.hex() + ".pack":
        raise DataError("it is another pack than its name says")
    if head != HEAD:
        raise DataError("its beginning was changed")
    return parse_index(path, index)


class Packer:
    """Writes objects into packs, which get their names when they are full.

    Args:
        place: the store.
        most: bytes of a pack, about.
        folder: where they are written and stay; by default they become the store's own.
    """

    def __init__(self, place: Place, most: int = _MOST_BYTES, folder: Path | None = None) -> None:
        self._place, self._most = place, most
        self._work, self._folder = folder or place / "work", folder or place / "packs"
        self._file: Any = None
        self._path = Path()
        self._digests: list[bytes] = []
        self._offsets: list[int] = []
        self._lengths: list[int] = []
        self._offset = 0
        self.pending: set[bytes] = set()

    def add(self, digest: bytes, content: bytes) -> Index | None:
        """Append an object; gives the index of the pack if it is full now."""
        if self._file is None:
            handle, name = tempfile.mkstemp(dir=self._work)
            self._path = Path(name)
            self._file = os.fdopen(handle, "wb", _BUFFER)
            self._file.write(HEAD)
            self._offset = len(HEAD)
        self._file.write(content)
        self._digests.append(digest)
        self._offsets.append(self._offset)
        self._lengths.append(len(content))
        self._offset += len(content)
        self.pending.add(digest)
        if self._offset >= self._most or len(self._digests) >= _MOST_OBJECTS:
            return self.finish()
        return None

    def finish(self) -> Index | None:
        """Write the index and give the pack its name; None where nothing was added."""
        if self._file is None:
            return None
        index = index_bytes(self._digests, self._offsets, self._lengths)
        trailer = trailer_bytes(self._place.kind, index, self._offset)
        self._file.write(index + trailer)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.chmod(self._path, 0o444)
        path = self._folder / (trailer[:DIGEST].hex() + ".pack")
        os.replace(self._path, path)
        sync_folder(path.parent)
        self._file, self.pending = None, set()
        self._digests, self._offsets, self._lengths = [], [], []
        return parse_index(path, index)

    def abandon(self) -> None:
        """Throw away what has no name yet."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # what is in its buffer may not find room, either
                self._file.close()
            self._path.unlink(missing_ok=True)
            self._file = None


class Packed:
    """Packs as one index.

    Args:
        packs: their indexes.
        bad: objects that are known to be damaged, by the pack's name.

    Attributes:
        damaged: packs that cannot be read, each with the reason.
    """

    packs: list[Index]

    def __init__(self, packs: Iterable[Index], bad: dict[str, set[bytes]] | None = None) -> None:
        self.packs = list(packs)
        self.damaged: dict[Path, str] = {}
        self._bad = bad or {}
        self._merged: tuple[Any, Any, Any] | None = None

    @classmethod
    def of(cls, place: Place) -> Packed:
        """All packs of a store."""
        self = cls((), _damaged_rows(place))
        for path in sorted((place / "packs").glob("*.pack")):
            try:
                self.packs.append(read_index(path, place.kind))
            except FileNotFoundError:
                continue  # deleted meanwhile, as no version needs it
            except (DataError, OSError) as error:
                self.damaged[path] = str(error)
        return self

    def add(self, index: Index) -> None:
        """One more pack."""
        self.packs.append(index)
        self._merged = None

    def _arrays(self) -> tuple[Any, Any, Any]:
        """Prefixes in order, and pack and row of each."""
        if self._merged is None:
            words = [prefixes(one.digests) for one in self.packs]
            packs = [np.full(len(one), i, np.int32) for i, one in enumerate(self.packs)]
            rows = [np.arange(len(one), dtype=np.int32) for one in self.packs]
            for i, one in enumerate(self.packs):
                bad = self._bad.get(one.path.stem)
                if bad:
                    good = np.array([bytes(digest) not in bad for digest in one.digests])
                    words[i], packs[i], rows[i] = words[i][good], packs[i][good], rows[i][good]
            word = np.concatenate([*words, np.zeros(0, np.uint64)])
            order = np.argsort(word, kind="stable")
            pack = np.concatenate([*packs, np.zeros(0, np.int32)])[order]
            row = np.concatenate([*rows, np.zeros(0, np.int32)])[order]
            self._merged = word[order], pack, row
        return self._merged

    def find(self, digests: list[bytes]) -> tuple[Any, Any]:
        """Pack and row of each object; -1 where none has it."""
        wanted = as_digests(digests)
        pack, row = np.full(len(wanted), -1, np.int32), np.zeros(len(wanted), np.int32)
        words, packs, rows = self._arrays()
        if not len(words) or not len(wanted):
            return pack, row
        keys = prefixes(wanted)
        places = np.searchsorted(words, keys)
        hit = np.flatnonzero((places < len(words)) & (words[places % len(words)] == keys))
        for i in hit.tolist():
            at = int(places[i])
            while at < len(words) and words[at] == keys[i]:
                if bytes(self.packs[packs[at]].digests[rows[at]]) == digests[i]:
                    pack[i], row[i] = packs[at], rows[at]
                    break
                at += 1
        return pack, row


def _damaged_rows(place: Place) -> dict[str, set[bytes]]:
    """Objects of packs that are known to be damaged, by the pack's name."""
    found: dict[str, set[bytes]] = {}
    try:
        lines = (place / "packs" / "damaged").read_text().split("\n")
    except (OSError, ValueError):
        return found
    for line in lines:
        pack, _, digest = line.partition(" ")
        if len(digest) == 2 * DIGEST:
            found.setdefault(pack, set()).add(bytes.fromhex(digest))
    return found
