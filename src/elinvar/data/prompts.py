"""568 recordings of one voice, the prompts of a telephone exchange (Asterisk, CC-BY-SA-3.0)."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from elinvar.core.errors import DataMissingError, fail
from elinvar.core.settings import settings
from elinvar.data.archive import Files, Part, obtain_part
from elinvar.data.sounds import read_sound

_INSTALLED = Path("usr/share/asterisk/sounds/en_US_f_Allison")  # of the Debian package
_ADDRESS = (
    "https://downloads.asterisk.org/pub/telephony/sounds/releases/"
    "asterisk-core-sounds-en-wav-1.6.1.tar.gz"
)
_PART = Part(
    "prompts",
    re.compile(r".*\.wav"),
    568,
    24_484_548,
    "11a71e70d6b395bd2aba7d4688c140714ab47c7152949ef35bbaf345ee86a854",
    is_flat=True,
)
_MOST = 30_000_000  # bytes of the archive, with some to spare


def spoken_prompts(
    folder: str | os.PathLike[str] | None = None, download: bool = True
) -> dict[str, npt.NDArray[np.float32]]:
    """568 recordings of one voice at 8,000 frames a second: the prompts of a telephone exchange.

    Spoken by Allison Smith for Asterisk (CC-BY-SA-3.0). They are looked for in Elinvar's cache,
    where the Debian package `asterisk-core-sounds-en-wav` puts them, in `.data/` below the working
    directory (where `make data` unpacks that package without root), then at the publisher's
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
    cache: Path | None = None
    if settings.cache_dir is not None:
        cache = settings.cache_dir / "data" / "asterisk" / "prompts.tar.gz"
    places = [cache, Path("/") / _INSTALLED, Path(".data") / _INSTALLED]
    present = [place for place in places if place is not None]
    return _decoded(obtain_part(_PART, present, [_ADDRESS] if download else [], cache, _MOST))


def _below(folder: Path) -> Files:
    files = sorted(folder.rglob("*.wav")) if folder.is_dir() else []
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _decoded(files: Files) -> dict[str, npt.NDArray[np.float32]]:
    return {
        name.removesuffix(".wav"): read_sound(files[name], name)[0][0] for name in sorted(files)
    }
