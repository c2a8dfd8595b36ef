"""How files looked when they were hashed: what looks the same need not be hashed again.

A look is size, times of change, number and device of a file. The time of change of its entry cannot
be set by programs, so a file whose content was changed and whose date was put back is seen, too.
What was changed just before it was hashed is not remembered: clocks of file systems are coarse.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import zlib
from bisect import bisect_left, bisect_right
from pathlib import Path
from typing import Any

import numpy as np

from elinvar.store.hashing import DIGEST
from elinvar.store.place import Place
from elinvar.store.walk import CHANGED, TOUCHED

_HEAD = b"elinvar seen 1\n"
_BLOCK = struct.Struct("<QQI")  # entries, bytes of their paths, checksum of all that follows
_COARSE = 2_000_000_000  # nanoseconds
_NOTHING = bytes(DIGEST)


def _file_of(place: Place, root: bytes) -> Path:
    return place / "seen" / hashlib.sha256(os.path.realpath(root)).hexdigest()[:32]


class Seen:
    """What was remembered of a folder; asked in the order of the paths.

    Args:
        place: the store.
        root: the folder.
    """

    def __init__(self, place: Place, root: bytes) -> None:
        self._paths: list[bytes] = []
        self._looks: Any = np.zeros((0, 5), np.int64)
        self._digests = b""
        self._stream: Any = None
        try:
            self._stream = open(_file_of(place, root), "rb")
            if self._stream.read(len(_HEAD)) != _HEAD:
                self.close()
        except OSError:
            return

    def close(self) -> None:
        """Ask no more."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _more(self) -> bool:
        """Read a block; False at the end, or where the file is damaged."""
        if self._stream is None:
            return False
        head = self._stream.read(_BLOCK.size)
        if len(head) == _BLOCK.size:
            count, length, checksum = _BLOCK.unpack(head)
            body = self._stream.read(length + count * (40 + DIGEST))
            if len(body) == length + count * (40 + DIGEST) and zlib.crc32(body) == checksum:
                self._paths += body[:length].split(b"\0")
                looks = np.frombuffer(body, np.int64, 5 * count, length).reshape(-1, 5)
                self._looks = np.concatenate([self._looks, looks])
                self._digests += body[length + 40 * count :]
                return True
        self.close()
        return False

    def digests(self, paths: list[bytes], looks: Any) -> list[bytes | None]:
        """The digests of files that look as they did; None for all others.

        Args:
            paths, looks: files, after those that were asked before.
        """
        while (not self._paths or self._paths[-1] < paths[-1]) and self._more():
            pass
        first = bisect_left(self._paths, paths[0])
        last = bisect_right(self._paths, paths[-1])
        known, rows = self._paths[first:last], np.arange(first, last)
        found: list[bytes | None] = [None] * len(paths)
        mine = np.arange(len(paths))
        if known != paths:
            place = {path: i for i, path in enumerate(known)}
            at = np.array([place.get(path, -1) for path in paths], np.int64)
            mine, rows = np.flatnonzero(at >= 0), first + at[at >= 0]
        same = np.all(self._looks[rows] == looks[mine], axis=1)
        for i, row in zip(mine[same].tolist(), rows[same].tolist()):
            digest = self._digests[row * DIGEST : (row + 1) * DIGEST]
            found[i] = None if digest == _NOTHING else digest
        del self._paths[:last]
        self._looks, self._digests = self._looks[last:], self._digests[last * DIGEST :]
        return found


class Notes:
    """Writes what is to be remembered; kept only if `finish` is called.

    Args:
        place: the store.
        root: the folder.
        now: nanoseconds since 1970, before anything was hashed.
    """

    def __init__(self, place: Place, root: bytes, now: int) -> None:
        self._target = _file_of(place, root)
        handle, self._path = place.new_file()
        self._stream = os.fdopen(handle, "wb", 1 << 20)
        self._stream.write(_HEAD)
        self._before = now - _COARSE

    def add(self, paths: list[bytes], looks: Any, digests: list[bytes]) -> None:
        """Some files, after those that were added before."""
        if not paths:
            return
        old = (looks[:, CHANGED] < self._before) & (looks[:, TOUCHED] < self._before)
        kept = [digest if sure else _NOTHING for digest, sure in zip(digests, old.tolist())]
        names = b"\0".join(paths)
        body = names + np.ascontiguousarray(looks).tobytes() + b"".join(kept)
        self._stream.write(_BLOCK.pack(len(paths), len(names), zlib.crc32(body)) + body)

    def finish(self) -> None:
        """Put them in the place of the old ones."""
        self._stream.close()
        os.replace(self._path, self._target)

    def abandon(self) -> None:
        """Throw them away."""
        with contextlib.suppress(OSError):  # as where the disk is full
            self._stream.close()
        self._path.unlink(missing_ok=True)
