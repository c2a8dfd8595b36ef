"""Bringing contents from file to file: blocks shared where that can be, else a copy."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import Any

from elinvar.store.hashing import Algorithm, chunks, hash_stream, reader

_FICLONE = 0x40049409  # of Linux; on btrfs, XFS, bcachefs, OCFS2 and others
_CANNOT = {
    errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM,
    errno.EBADF, errno.EISDIR, errno.ETXTBSY, errno.EACCES,
}  # fmt: skip


def clone(source: int, target: int) -> bool:
    """Have a new file share the blocks of another one, until one of them is written to.

    Args:
        source, target: open files.

    Returns:
        Whether the file system could.
    """
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    return True


def take(source: int, target: int, kind: Algorithm, nbytes: int) -> bytes:
    """Bring a file's content into a new one; the digest is that of what the new one holds.

    Args:
        nbytes: about how large it is.
    """
    if clone(source, target):
        return bytes(hash_stream(reader(target), kind, nbytes).digest())
    return copy(source, target, kind, nbytes)


def copy(source: int, target: int, kind: Algorithm, nbytes: int) -> bytes:
    """Copy a file of about so many bytes; gives the digest of what was written."""
    hasher: Any = kind.threaded() if nbytes >= 1 << 20 else kind.start()
    for chunk in chunks(reader(source), nbytes):
        write_all(target, chunk)
        hasher.update(chunk)
    return bytes(hasher.digest())


def write_all(handle: int, data: Any) -> None:
    """Write every byte."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
