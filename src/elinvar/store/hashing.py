"""Hashes of content that carry their algorithm's name: `blake3:…`, or `sha256:…` where the package
blake3 is missing.

BLAKE3 is a tree of 1 KiB blocks, so one file is hashed by all processors at once; SHA-256 of the
standard library takes one block after the other. What was recorded with one can be computed with it
again wherever it is there.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from elinvar.core.errors import DataError, ValueRangeError, fail
from elinvar.core.other_names import nearest

DIGEST = 32  # bytes of either hash
_CHUNK = 1 << 23
_MANY = 1 << 20  # from here on several threads are worth their start


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A way to hash.

    Attributes:
        name: as in front of the colon.
        start: gives an object with `update` and `digest`, as those of hashlib.
        whole: the digest of a short text of bytes.
        threaded: gives one whose `update` takes all processors.
    """

    name: str
    start: Callable[[], Any]
    whole: Callable[[bytes], bytes]
    threaded: Callable[[], Any]

    def text(self, digest: bytes) -> str:
        """How a digest is written."""
        return f"{self.name}:{digest.hex()}"

    def digest_of(self, text: str) -> bytes:
        """The bytes of a written digest of this algorithm.

        Raises:
            DataError: it is of another one, or none at all.
        """
        name, _, digits = text.partition(":")
        try:
            digest = bytes.fromhex(digits)
        except ValueError:
            digest = b""
        if name != self.name or len(digest) != DIGEST:
            fail(DataError, "data", f"expected {self.name}:… with 64 digits, received {text!r}")
        return digest


def _sha256() -> Algorithm:
    return Algorithm(
        "sha256", hashlib.sha256, lambda data: hashlib.sha256(data).digest(), hashlib.sha256
    )


def _blake3() -> Algorithm:
    found = importlib.import_module("blake3").blake3

    def threaded() -> Any:
        return found() if _forked else found(max_threads=found.AUTO)

    return Algorithm("blake3", found, lambda data: found(data).digest(), threaded)


_MAKERS: dict[str, Callable[[], Algorithm]] = {"blake3": _blake3, "sha256": _sha256}
_known: dict[str, Algorithm] = {}

# A forked process has none of the threads that hash, and would wait for them for ever.
_forked: list[bool] = []
os.register_at_fork(after_in_child=lambda: _forked.append(True))


def algorithm(name: str | None = None) -> Algorithm:
    """An algorithm by its name; by default BLAKE3 where its package is there, else SHA-256.

    Args:
        name: `"blake3"`, `"sha256"`, or a whole fingerprint that begins with one of them.

    Raises:
        ValueRangeError: there is none of this name.
        DataError: the package blake3 is needed and not installed.

    Example:
        >>> algorithm("sha256").whole(b"").hex()[:8]
        'e3b0c442'
    """
    wanted = None if name is None else name.partition(":")[0]
    for one in _MAKERS if wanted is None else (wanted,):
        if one not in _MAKERS:
            text = f"there is no hash {one!r}; known are {', '.join(_MAKERS)}"
            fail(ValueRangeError, "data", text, nearest(one, _MAKERS))
        if one not in _known:
            try:
                _known[one] = _MAKERS[one]()
            except ImportError:
                if wanted is None:
                    continue
                text = f"hashes of {one} need the package {one}"
                fail(DataError, "data", text, "pip install 'elinvar[versions]'")
        return _known[one]
    raise AssertionError("SHA-256 is always there")


def hash_stream(read_into: Callable[[memoryview], int], kind: Algorithm, nbytes: int) -> Any:
    """A hasher that has seen all that `read_into` gives.

    Args:
        read_into: fills the front of a buffer; says with how many bytes, 0 at the end.
        nbytes: about how much there is.
    """
    hasher = kind.start() if nbytes < _MANY else kind.threaded()
    for chunk in chunks(read_into, nbytes):
        hasher.update(chunk)
    return hasher


def chunks(read_into: Callable[[memoryview], int], nbytes: int) -> Iterator[memoryview]:
    """The chunks of a stream. A chunk is a view of a buffer that later ones overwrite.

    Of a long one, a second thread reads each while the one before it is in use.

    Args:
        read_into: fills the front of a buffer; says with how many bytes, 0 at the end.
        nbytes: about how much there is.
    """
    if nbytes >= _MANY:
        yield from _ReadAhead(read_into, min(_CHUNK, max(_MANY, nbytes // 4)))
        return
    buffer = memoryview(bytearray(max(nbytes + 1, 1 << 12)))
    while count := read_into(buffer):
        yield buffer[:count]


class _ReadAhead:
    """The chunks of a stream, each read while the one before it is in use."""

    def __init__(self, read_into: Callable[[memoryview], int], size: int) -> None:
        self._read, self._size = read_into, size
        self._buffers = [memoryview(bytearray(size)) for _ in range(2)]
        self._filled = [0, 0]
        self._failed: BaseException | None = None

    def _fill(self, place: int) -> None:
        buffer, count = self._buffers[place], 0
        try:
            while count < len(buffer) and (more := self._read(buffer[count:])):
                count += more
        except BaseException as error:  # told to whoever asks for the chunk
            self._failed = error
        self._filled[place] = count

    def __iter__(self) -> Iterator[memoryview]:
        place = 0
        self._fill(place)
        while self._failed is None and self._filled[place]:
            count = self._filled[place]
            if count < self._size:  # the end
                yield self._buffers[place][:count]
                return
            ahead = threading.Thread(target=self._fill, args=(1 - place,), daemon=True)
            ahead.start()
            try:
                yield self._buffers[place][:count]
            finally:
                ahead.join()
            place = 1 - place
        if self._failed is not None:
            raise self._failed


def reader(handle: int) -> Callable[[memoryview], int]:
    """The `read_into` of an open file, which will be read from here to its end."""
    with contextlib.suppress(AttributeError, OSError):  # not every system and file takes advice
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_SEQUENTIAL)

    def read_into(buffer: memoryview) -> int:
        return os.readv(handle, [buffer])

    return read_into
