"""Files read in a piece: what changes meanwhile is read again, and in the end refused.

They are read, never mapped into memory: a mapped file that somebody cuts ends the process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn, Self

from elinvar.core.errors import DataError, fail
from elinvar.store.hashing import Algorithm, hash_stream, reader
from elinvar.store.walk import Look, look_of, shown, unreadable, vanished

TRIES = 3
_THREADS = 4
_PROBED = 128  # files read one by one, to see whether the disk is waited for
_SHARE = 32  # files that a thread reads at a time
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe that took a file's place blocks nobody


def open_source(path: bytes) -> int:
    """Open a file of the user's.

    Raises:
        DataError: it cannot be read.
        DataMissingError: it is no longer there.
    """
    try:
        return os.open(path, _FLAGS)
    except FileNotFoundError:
        vanished(path)
    except OSError as error:
        unreadable(path, error)


def hash_file(path: bytes, kind: Algorithm) -> tuple[bytes, int]:
    """The digest of a file's content, and its size.

    Raises:
        DataError: it changes again and again while it is read.
    """
    for _ in range(TRIES):
        handle = open_source(path)
        try:
            before = os.fstat(handle)
            if before.st_size < 1 << 16:
                content = os.read(handle, before.st_size + 1)
                digest, count = kind.whole(content), len(content)
            else:
                digest = hash_stream(reader(handle), kind, before.st_size).digest()
                count = before.st_size
            after = os.fstat(handle)
        finally:
            os.close(handle)
        if look_of(before) == look_of(after) and count == before.st_size:
            return digest, count
    changing(path)


def changing(path: bytes) -> NoReturn:
    """Say that a file does not hold still.

    Raises:
        DataError: always.
    """
    text = f"{shown(path)} changes while it is read"
    fail(DataError, "data", text, "try again when nothing writes to it")


def read_small(path: bytes) -> tuple[bytes, Look]:
    """A small file's content and its look.

    Raises:
        DataError: it changes again and again while it is read.
    """
    for _ in range(TRIES):
        handle = open_source(path)
        try:
            before = os.fstat(handle)
            content = os.read(handle, before.st_size + 1)
            after = os.fstat(handle)
        finally:
            os.close(handle)
        look = look_of(after)
        if look_of(before) == look and len(content) == before.st_size:
            return content, look
    changing(path)


class SmallFiles:
    """Reads small files, with several threads where they come from the disk.

    Files that the system has in memory are read faster by one thread; those that it has not, by
    several, since a disk serves several as fast as one. So some are read by one, to see how it is.
    Use it as a context.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def read(self, paths: Sequence[bytes]) -> list[tuple[bytes, Look]]:
        """Contents and looks.

        Raises:
            DataError: a file changes again and again while it is read.
        """
        if len(paths) < 2 * _PROBED:
            return [read_small(path) for path in paths]
        clock, work = time.perf_counter(), time.thread_time()
        found = [read_small(path) for path in paths[:_PROBED]]
        clock, work = time.perf_counter() - clock, time.thread_time() - work
        rest = paths[_PROBED:]
        if clock < 2 * work:
            return found + [read_small(path) for path in rest]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_THREADS)
        shares = [rest[start : start + _SHARE] for start in range(0, len(rest), _SHARE)]
        for share in self._pool.map(_read_share, shares):
            found += share
        return found


def _read_share(paths: Sequence[bytes]) -> list[tuple[bytes, Look]]:
    return [read_small(path) for path in paths]
