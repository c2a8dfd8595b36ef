"""Files of data sets: looked for in folders, downloaded otherwise, believed only by checksum."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from elinvar.core.errors import DataError, DataMissingError, fail
from elinvar.data.idx import unzip

_TIMEOUT_SECONDS = 30
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class File:
    """One file of a data set.

    Attributes:
        name: the file's name, in folders and at the end of addresses. Its ending says how it is
            packed: `.gz`, `.zip` (of one member), or not at all.
        nbytes: the length of its unpacked content.
        sha256: the checksum of its unpacked content, which survives being packed anew.
    """

    name: str
    nbytes: int
    sha256: str

    @property
    def most_packed(self) -> int:
        """More bytes than any honest packing of the content has."""
        return self.nbytes + self.nbytes // 100 + 4096


def checked_content(packed: bytes, file: File, place: str) -> bytes:
    """Unpack a file and compare its checksum; `place` names it in errors."""
    content = _unpacked(packed, file, place)
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        fail(
            DataError,
            "data",
            f"{place} has the checksum {found[:16]}…, expected {file.sha256[:16]}…",
            "delete the file and fetch it again",
        )
    return content


def _unpacked(packed: bytes, file: File, place: str) -> bytes:
    if file.name.endswith(".gz"):
        return unzip(packed, file.nbytes, place)
    if not file.name.endswith(".zip"):
        return packed
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            names = archive.namelist()
            if len(names) != 1:
                fail(DataError, "data", f"{place} has {len(names)} members, expected one")
            with archive.open(names[0]) as stream:
                content = stream.read(file.nbytes + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        fail(DataError, "data", f"{place} is no whole zip file: {error}")
    if len(content) > file.nbytes:
        fail(DataError, "data", f"{place} unpacks to more than the {file.nbytes} bytes expected")
    return content


def read_checked(path: Path, file: File) -> bytes:
    """The unpacked content of a file on disk, after its checks."""
    size = path.stat().st_size
    if size > file.most_packed:
        fail(DataError, "data", f"{path} has {size} bytes, more than {file.name} can have")
    return checked_content(path.read_bytes(), file, str(path))


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that is either whole or absent, also when several processes write it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def keep_copy(path: Path, content: bytes, name: str) -> None:
    """Write what was downloaded, for the next time; where that cannot be, warn."""
    try:
        write_atomically(path, content)
    except OSError as error:
        warnings.warn(f"{name} cannot be kept in {path.parent}: {error}", stacklevel=5)


def download(address: str, most: int) -> bytes:
    """The bytes at an address, at most `most` of them.

    Raises:
        OSError: the network or the server refuses.
        DataError: there is more to read than `most`.
    """
    from urllib.request import urlopen  # slow to import, and rarely needed

    with urlopen(address, timeout=_TIMEOUT_SECONDS) as stream:
        chunks: list[bytes] = []
        total = 0
        while chunk := stream.read(_CHUNK):
            total += len(chunk)
            if total > most:
                fail(DataError, "data", f"{address} sends more than the {most} bytes expected")
            chunks.append(chunk)
    return b"".join(chunks)


def obtain(
    file: File, folders: Iterable[Path], addresses: Iterable[str], keep: Path | None
) -> bytes:
    """The content of a file: from the first folder that has it whole, else downloaded.

    A damaged file in one of the folders is passed over with a warning. What was downloaded is kept
    in the folder `keep`; where that cannot be written, the data is used all the same.

    Raises:
        DataMissingError: neither a folder nor an address has the file.
    """
    tried: list[str] = []
    for folder in folders:
        path = folder / file.name
        try:
            if path.is_file():
                return read_checked(path, file)
            tried.append(f"{folder}: no {file.name}")
        except (DataError, OSError) as error:
            reason = str(error).splitlines()[0]
            warnings.warn(f"{path} is passed over: {reason}", stacklevel=3)
            tried.append(f"{folder}: {reason}")
    for address in addresses:
        try:
            packed = download(address + file.name, file.most_packed)
            content = checked_content(packed, file, address + file.name)
        except (DataError, OSError) as error:
            tried.append(f"{address}: {str(error).splitlines()[0]}")
            continue
        if keep is not None:
            keep_copy(keep / file.name, packed, file.name)
        return content
    fail(DataMissingError, "data", f"{file.name} is nowhere to be had\n  " + "\n  ".join(tried))
