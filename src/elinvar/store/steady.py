"""Files read in a piece: what changes meanwhile is read again, and in the end refused.

They are read, never mapped into memory: a mapped file that somebody cuts ends the process.
"""

from __future__ import annotations

import os
from typing import NoReturn

from elinvar.core.errors import DataError, fail
from elinvar.store.hashing import Algorithm, hash_stream, reader
from elinvar.store.walk import Look, look_of, shown, unreadable, vanished

TRIES = 3
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
