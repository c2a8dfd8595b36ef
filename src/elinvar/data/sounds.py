"""Recordings: PCM in WAV files is read here, other formats by soundfile where it is installed."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np
import numpy.typing as npt

from elinvar.core.errors import DataError, fail
from elinvar.data.files import ByteFile, Paths, files_of, need
from elinvar.data.source import Source

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")


def read_sound(content: bytes, name: str = "sound") -> tuple[npt.NDArray[np.float32], int]:
    """A recording from the bytes of its file.

    WAV files of whole numbers (PCM of 8, 16, 24 or 32 bits) need no package.

    Args:
        content: the bytes of the file.
        name: what errors call it.

    Returns:
        values: float32 `(channels, frames)`, from -1 to 1.
        rate: frames per second.

    Raises:
        DataError: the bytes are no recording, are cut short, or soundfile is needed and missing.
    """
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        found = _pcm(content, name)
        if found is not None:
            return found
    soundfile = need("soundfile", "soundfile", "sound other than PCM in WAV files")
    try:
        values, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except (RuntimeError, TypeError) as error:
        fail(DataError, "sound", f"{name} is no recording: {error}")
    return np.ascontiguousarray(values.T), int(rate)


def _pcm(content: bytes, name: str) -> tuple[npt.NDArray[np.float32], int] | None:
    """What `read_sound` gives; None if the WAV file has something else than whole numbers."""
    try:
        with wave.open(io.BytesIO(content)) as stream:
            channels, width, rate = (
                stream.getnchannels(), stream.getsampwidth(), stream.getframerate(),
            )  # fmt: skip
            frames = stream.getnframes()
            packed = stream.readframes(frames)
    except wave.Error as error:
        if "unknown format" in str(error):
            return None
        fail(DataError, "sound", f"{name} is no whole WAV file: {error}")
    except EOFError:
        fail(DataError, "sound", f"{name} is no whole WAV file: it ends within its header")
    if len(packed) != frames * channels * width:
        text = f"{name} announces {frames} frames and has {len(packed) // (channels * width)}"
        fail(DataError, "sound", text)
    if width == 1:  # the one width without a sign
        values = np.frombuffer(packed, np.uint8).astype(np.float32) / 128 - 1
    elif width == 3:
        octets = np.frombuffer(packed, np.uint8).reshape(-1, 3)
        wide = np.zeros((len(octets), 4), np.uint8)
        wide[:, 1:] = octets
        values = (wide.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
    else:
        values = (np.frombuffer(packed, f"<i{width}") / 2.0 ** (8 * width - 1)).astype(np.float32)
    return np.ascontiguousarray(values.reshape(frames, channels).T), rate


class SoundFiles(Source):
    """Recordings, one a file: float32 `(channels, frames)`.

    Args:
        paths: files, or patterns such as `"prompts/*.wav"`.
        rate: frames per second that each must have; None: that of the first.

    Attributes:
        files: their paths, in the order of the samples.
        rate: None before the first was read, if none was given.
    """

    def __init__(self, paths: Paths, rate: int | None) -> None:
        self.files = files_of("sound_files", paths)
        self.rate = rate
        self.name = f"sound_files({len(self.files)} files)"

    def contents(self) -> tuple[list[Any], list[str], list[Any]]:
        """The files."""
        return [], list(self.files), []

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> npt.NDArray[np.float32]:
        values, rate = self._read(index)
        if self.rate is None:
            self.rate = rate if index == 0 else self._read(0)[1]
        if rate != self.rate:
            text = f"{self.files[index]} has {rate} frames a second, expected {self.rate}"
            fail(DataError, "sound_files", text, "bring all recordings to one rate beforehand")
        return values

    def _read(self, index: int) -> tuple[npt.NDArray[np.float32], int]:
        path: Any = self.files[index]
        file = ByteFile(path)
        return read_sound(file.read(0, file.size), str(path))

    def describe(self, index: int) -> str:
        """The file of a sample."""
        return self.files[index]
