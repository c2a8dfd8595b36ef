"""568 recordings of one voice, the prompts of a telephone exchange (Asterisk, CC-BY-SA-3.0)."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from elinvar.core.errors import DataError, DataMissingError, fail
from elinvar.core.settings import settings
from elinvar.data.fetch import download as downloaded
from elinvar.data.fetch import write_atomically
from elinvar.data.sounds import read_sound

_INSTALLED = Path("usr/share/asterisk/sounds/en_US_f_Allison")  # of the Debian package
_ARCHIVE = "asterisk-core-sounds-en-wav-1.6.1.tar.gz"
_ADDRESS = "https://downloads.asterisk.org/pub/telephony/sounds/releases/"
_SHA256 = "38f9634d8ac744446c1b12d9ae400cb8347a8adc874d26abb848558762340117"
_MOST = 30_000_000  # bytes of all recordings, and of the archive, with some to spare


def spoken_prompts(
    folder: str | os.PathLike[str] | None = None, download: bool = True
) -> dict[str, npt.NDArray[np.float32]]:
    """568 recordings of one voice at 8,000 frames a second: the prompts of a telephone exchange.

    Spoken by Allison Smith for Asterisk (CC-BY-SA-3.0). They are looked for where the Debian
    package `asterisk-core-sounds-en-wav` puts them, in `.data/` below the working directory (where
    `make data` unpacks that package without root), in elinvar's cache, then at the publisher's
    address. One SHA-256 over all names and files is compared.

    Args:
        folder: read the `.wav` files below this folder and nowhere else; whatever there is.
        download: whether the network may be used.

    Returns:
        Recordings by name, such as `"digits/7"`, in order of name: float32 `(frames,)`, from
        -1 to 1.

    Raises:
        DataMissingError: they are nowhere to be had.
        DataError: a file in `folder` is no recording.
    """
    if folder is not None:
        found = _below(Path(folder))
        if not found:
            fail(DataMissingError, "spoken_prompts", f"there is no .wav file below {folder}")
        return _decoded(found)
    archive = settings.cache_dir / "data" / "asterisk" / _ARCHIVE if settings.cache_dir else None
    tried: list[str] = []
    for place, found in _candidates(archive, download, tried):
        if _checksum(found) == _SHA256:
            return _decoded(found)
        tried.append(f"{place}: " + ("other recordings than expected" if found else "none"))
    text = "the recordings are nowhere to be had\n  " + "\n  ".join(tried)
    hint = "`make data` unpacks the Debian package asterisk-core-sounds-en-wav into .data/"
    fail(DataMissingError, "spoken_prompts", text, hint)


def _candidates(
    archive: Path | None, download: bool, tried: list[str]
) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Places and the files found there; the archive is kept if it is right."""
    for folder in (Path("/") / _INSTALLED, Path(".data") / _INSTALLED):
        yield str(folder), _below(folder)
    try:
        if archive is not None and archive.is_file():
            yield str(archive), _within(archive.read_bytes(), str(archive))
        if download:
            packed = downloaded(_ADDRESS + _ARCHIVE, _MOST)
            found = _within(packed, _ADDRESS + _ARCHIVE)
            if archive is not None and _checksum(found) == _SHA256:
                write_atomically(archive, packed)
            yield _ADDRESS, found
    except (DataError, OSError) as error:
        tried.append(str(error).splitlines()[0])


def _below(folder: Path) -> dict[str, bytes]:
    files = sorted(folder.rglob("*.wav")) if folder.is_dir() else []
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _within(packed: bytes, place: str) -> dict[str, bytes]:
    """The recordings of an archive; nothing is unpacked to the disk, and no more than is right."""
    found: dict[str, bytes] = {}
    left = _MOST
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isreg() else None
                left -= member.size
                if left < 0:
                    fail(DataError, "data", f"{place} unpacks to more than {_MOST} bytes")
                if stream is not None and member.name.endswith(".wav"):
                    found[member.name.removeprefix("./")] = stream.read()
    except (tarfile.TarError, EOFError, zlib.error) as error:
        fail(DataError, "data", f"{place} is no whole tar.gz file: {error}")
    return found


def _checksum(files: dict[str, bytes]) -> str:
    """One SHA-256 over all names and contents, in order of name."""
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(f"{name} {len(files[name])}\n".encode())
        whole.update(files[name])
    return whole.hexdigest()


def _decoded(files: dict[str, bytes]) -> dict[str, npt.NDArray[np.float32]]:
    return {
        name.removesuffix(".wav"): read_sound(files[name], name)[0][0] for name in sorted(files)
    }
