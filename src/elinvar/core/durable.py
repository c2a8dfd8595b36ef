"""Files that are there whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def replace(
    path: str | os.PathLike[str],
    chunks: Iterable[Any],
    seen: Callable[[Any], object] | None = None,
) -> int:
    """Write a file; one of the same name is replaced when the new one is complete and on the disk.

    A process that is killed, a full disk and a power cut leave the old file or the new one. What a
    killed process leaves beside it is called `.NAME.PID.THREAD` (see `leftovers`).

    Args:
        path: the file; its folder exists.
        chunks: objects with the buffer protocol, written one after the other.
        seen: called with each chunk, such as a hash's `update`.

    Returns:
        The file's bytes.

    Raises:
        OSError: it could not be written; then the old file is as it was.
    """
    target = Path(path)
    name = target.name if len(os.fsencode(target.name)) < 200 else target.name[:40]  # of 255
    temporary = target.with_name(f".{name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with open(temporary, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
                if seen is not None:
                    seen(chunk)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)
    return size


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Make names in a folder last; where a system cannot, they are left to it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def leftovers(folder: str | os.PathLike[str], alone: bool = False) -> list[Path]:
    """Files that `replace` had begun when its process was killed.

    Args:
        folder: where.
        alone: no process writes there now, so that all such files are left over. Otherwise a number
            that a later process has got, as the first one in a container always does, counts as
            that of a process which still writes.
    """
    found = []
    for path in Path(folder).glob(".*.*.*"):
        pid, thread = path.name.split(".")[-2:]
        if pid.isdigit() and thread.isdigit() and (alone or not _lives(int(pid))):
            found.append(path)
    return found


def _lives(pid: int) -> bool:
    if pid == os.getpid():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
