"""The disk cache of object code: one file for each compiled text.

What is read here is executed, so an entry is taken only when it is a regular file of ours that
nobody else can write, when it carries the key that was asked for, and when its checksum fits.
Anything else counts as missing and is written anew. A cache that cannot be written (full disk,
read-only home) costs one warning and nothing more.

    file = magic (8 bytes) · SHA-256 of what follows (32 bytes) · key (32 bytes) · object code

The folder is kept below a limit: when it grows beyond, the entries used longest ago go.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
import time
import warnings
from pathlib import Path
from typing import NamedTuple

from elinvar.core.settings import settings

CACHE_VERSION = 1
"""Raised whenever entries of older versions must not be used any more."""

_MAGIC = b"ELNVR\x00" + CACHE_VERSION.to_bytes(2, "little")
_DIGEST_BYTES = 32
_HEADER_BYTES = len(_MAGIC) + _DIGEST_BYTES
_SUFFIX = ".object"
_TEMPORARY_SUFFIX = ".part"
_STORES_BETWEEN_TRIMS = 256
_KEY_DIGITS = 64
_DAY = 86400.0


def cache_key(*parts: str) -> str:
    """The key of an entry: SHA-256 over the cache version and all parts, as hexadecimal text.

    Example:
        >>> cache_key("text", "cpu") == cache_key("text", "cpu")
        True
        >>> cache_key("ab", "c") == cache_key("a", "bc")
        False
    """
    digest = hashlib.sha256(f"elinvar {CACHE_VERSION}\0".encode())
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


class Entry(NamedTuple):
    """One file of the cache."""

    path: str
    nbytes: int
    used: float  # when it was written or, to a day, read last: seconds since 1970

    @property
    def label(self) -> str:
        """What the key begins with, before its digest."""
        name = os.path.basename(self.path).removesuffix(_SUFFIX)
        return name[:-_KEY_DIGITS].removesuffix("-")


class DiskCache:
    """Object code by key in one folder; `folder=None` keeps nothing.

    A key is the answer of `cache_key`, after a label and a dash if one is wanted.

    Args:
        folder: where entries lie; made on the first store with permissions 0700.
        limit: bytes that the entries may take.
    """

    def __init__(self, folder: Path | None, limit: int = settings.cache_limit) -> None:
        self._folder = None if folder is None else folder / f"objects-{CACHE_VERSION}"
        self._limit = limit
        self._writable = folder is not None
        self._warned = False
        self._stores = 0

    def path(self, key: str) -> Path | None:
        """The file that holds, or would hold, the entry `key`."""
        return None if self._folder is None else self._folder / (key + _SUFFIX)

    def get(self, key: str) -> bytes | None:
        """The object code stored under `key`, or None when there is none that can be trusted."""
        path = self.path(key)
        if path is None:
            return None
        try:
            data = _read_own_file(path)
        except OSError:
            return None
        return None if data is None else _unpack(key, data)

    def put(self, key: str, code: bytes) -> bool:
        """Store `code` under `key`; the answer says whether it is on disk now."""
        path = self.path(key)
        if path is None or not self._writable:
            return False
        try:
            _prepare(path.parent)
            _write_atomically(path, _pack(key, code))
        except OSError as error:
            self._give_up(error)
            return False
        if self._stores % _STORES_BETWEEN_TRIMS == 0:  # the first one of a process, too
            self.trim()
        self._stores += 1
        return True

    def entries(self) -> list[Entry]:
        """All entries, the one used longest ago first. Leftovers of broken stores are deleted."""
        found: list[Entry] = []
        if self._folder is None:
            return found
        with contextlib.suppress(OSError), os.scandir(self._folder) as files:  # it may not be there
            for file in files:
                with contextlib.suppress(OSError):  # another process deletes at the same time
                    self._look_at(file, found)
        return sorted(found, key=lambda entry: entry.used)

    def _look_at(self, file: os.DirEntry[str], found: list[Entry]) -> None:
        status = file.stat(follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            return
        if file.name.endswith(_SUFFIX):
            found.append(Entry(file.path, status.st_size, status.st_mtime))
        elif file.name.endswith(_TEMPORARY_SUFFIX) and time.time() - status.st_mtime > _DAY:
            os.unlink(file.path)

    def trim(self, keep_bytes: int | None = None) -> None:
        """Delete the entries used longest ago until at most `keep_bytes` are left; by default
        until a quarter of the limit is free again, if it is exceeded."""
        entries = self.entries()
        total = sum(entry.nbytes for entry in entries)
        if keep_bytes is None:
            keep_bytes = self._limit // 4 * 3 if total > self._limit else total
        for entry in entries:
            if total <= keep_bytes:
                break
            _unlink(entry.path)
            total -= entry.nbytes

    def clear(self, before: float | None = None) -> tuple[int, int]:
        """Delete all entries, or those not used since `before`; (how many, bytes) went.

        Example:
            >>> DiskCache(None).clear()
            (0, 0)
        """
        gone = [
            entry
            for entry in self.entries()
            if (before is None or entry.used < before) and _unlink(entry.path)
        ]
        return len(gone), sum(entry.nbytes for entry in gone)

    def _give_up(self, error: OSError) -> None:
        self._writable = False
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"compiled kernels are not kept on disk: {error} (set ELINVAR_CACHE to another "
                "folder, or to `off`)",
                RuntimeWarning,
                stacklevel=2,
            )


def read_private(path: Path) -> bytes | None:
    """The bytes of a small file of ours that nobody else can write; None when it is not one."""
    try:
        return _read_own_file(path)
    except OSError:
        return None


def write_private(path: Path, data: bytes) -> None:
    """Write such a file; where that cannot be done, nothing happens."""
    try:
        _prepare(path.parent)
        _write_atomically(path, data)
    except OSError:
        return


def _prepare(folder: Path) -> None:
    """Make the folder, and refuse one that others own or can write."""
    try:
        status = os.stat(folder)
    except FileNotFoundError:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = os.stat(folder)
    if not _is_private(status):
        raise PermissionError(f"{folder} is owned or writable by another user")


def _unlink(path: str) -> bool:
    try:
        os.unlink(path)
    except OSError:
        return False
    return True


def _is_private(status: os.stat_result) -> bool:
    """Whether a file or folder is ours and nobody else can write it."""
    mine = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    return mine and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _read_own_file(path: Path) -> bytes | None:
    """The bytes of a private regular file; None when it is anything else.

    The checks are made on the open file, so that nobody can swap it in between.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or not _is_private(status):
            return None
        data = bytearray()
        while part := os.read(descriptor, max(1, status.st_size + 1 - len(data))):
            data += part
            if len(data) > status.st_size:
                return None
        if time.time() - status.st_mtime > _DAY:
            _touch(path)
        return bytes(data)
    finally:
        os.close(descriptor)


def _touch(path: Path) -> None:
    try:
        os.utime(path)  # `trim` keeps what is in use
    except OSError:
        return


def _write_atomically(path: Path, data: bytes) -> None:
    """Write a private file under a temporary name, then rename it."""
    descriptor, temporary = tempfile.mkstemp(suffix=_TEMPORARY_SUFFIX, dir=path.parent)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _pack(key: str, code: bytes) -> bytes:
    body = bytes.fromhex(key[-_KEY_DIGITS:]) + code
    return _MAGIC + hashlib.sha256(body).digest() + body


def _unpack(key: str, data: bytes) -> bytes | None:
    body = data[_HEADER_BYTES:]
    if (
        data[: len(_MAGIC)] != _MAGIC
        or data[len(_MAGIC) : _HEADER_BYTES] != hashlib.sha256(body).digest()
        or body[:_DIGEST_BYTES] != bytes.fromhex(key[-_KEY_DIGITS:])
    ):
        return None
    return body[_DIGEST_BYTES:]
