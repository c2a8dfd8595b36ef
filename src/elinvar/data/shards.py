"""Tar shards: files whose names share a beginning are one sample, as WebDataset writes them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from elinvar.core.errors import DataError, fail
from elinvar.data import sounds
from elinvar.data.files import ByteFile, Paths, files_of, unknown
from elinvar.data.images import SUFFIXES, Decoder
from elinvar.data.lines import parsed_json
from elinvar.data.source import Source

_LARGEST = 1 << 31


class TarSource(Source):
    """Samples of uncompressed tar files: a dict of `key` and one entry for each ending.

    Args:
        paths: the shards; patterns such as `train-*.tar` are matched.
        fields: endings that a sample must have, and that are read; None for all there are.
        decoder: of images.
        decode: make values of the bytes, by the ending.
    """

    def __init__(
        self, paths: Paths, fields: Sequence[str] | None, decoder: Any, decode: bool
    ) -> None:
        self._decoder, self._decode = decoder, decode
        self._files = [ByteFile(path) for path in files_of("tar", paths)]
        self._fields = None if fields is None else [field.lstrip(".") for field in fields]
        self._endings: list[str] = []
        self._keys: list[str] = []
        owners: list[int] = []
        members: list[tuple[int, int, int]] = []  # ending, place, size
        counts: list[int] = []
        for number, file in enumerate(self._files):
            for key, parts in _samples(file).items():
                for ending in self._fields or ():
                    if ending not in parts:
                        unknown("tar", f"member of {key!r} in {file.path} ending in", ending,
                                list(parts))  # fmt: skip
                for ending, (place, size) in parts.items():
                    if ending not in self._endings:
                        self._endings.append(ending)
                    members.append((self._endings.index(ending), place, size))
                self._keys.append(key)
                owners.append(number)
                counts.append(len(parts))
        self._owners = np.array(owners, np.int32)
        self._members = np.array(members, np.int64).reshape(-1, 3)
        self._starts = np.cumsum([0, *counts])
        self.name = f"tar({len(self._files)} files)"

    def contents(self) -> tuple[list[Any], list[str], list[Any]]:
        """The shards."""
        return [], [file.path for file in self._files], []

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} is out of range for {len(self)} samples")
        found: dict[str, Any] = {"key": self._keys[index]}
        file = self._files[self._owners[index]]
        for member in self._members[self._starts[index] : self._starts[index + 1]]:
            ending = self._endings[member[0]]
            if self._fields is None or ending in self._fields:
                content = file.read(int(member[1]), int(member[2]))
                found[ending] = self._value(ending, content) if self._decode else content
        return found

    def _value(self, ending: str, content: bytes) -> Any:
        last = "." + ending.rsplit(".", 1)[-1].lower()
        if last in SUFFIXES:
            if self._decoder is None:
                self._decoder = Decoder(None, "RGB", False)
            return self._decoder(content)
        if last in sounds.SUFFIXES:
            return sounds.read_sound(content, f"the member ending in {ending}")[0]
        if last == ".json":
            return parsed_json(content, f"the member ending in {ending}")
        if last == ".npy":
            return np.load(io.BytesIO(content), allow_pickle=False)
        if last in (".txt", ".text"):
            return content.decode()
        return int(content) if last in (".cls", ".id") else content

    def describe(self, index: int) -> str:
        """The shard and the name of a sample."""
        return f"{self._files[self._owners[index]].path}, {self._keys[index]}"


class _Reading(io.RawIOBase):
    """A `ByteFile` as the file object that `tarfile` reads headers from."""

    def __init__(self, file: ByteFile) -> None:
        self._file, self._place = file, 0

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._file.size - self._place)
        size = left if size < 0 else min(size, left)
        content = self._file.read(self._place, size) if size else b""
        self._place += size
        return content

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._place, self._file.size)[whence]
        self._place = max(0, base + offset)
        return self._place

    def tell(self) -> int:
        return self._place

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


def _samples(file: ByteFile) -> dict[str, dict[str, tuple[int, int]]]:
    """Where the members of each sample begin, and how long they are.

    Raises:
        DataError: the file is no plain tar file, or has members with dangerous names, or links.
    """
    found: dict[str, dict[str, tuple[int, int]]] = {}
    try:
        with tarfile.open(fileobj=_Reading(file), mode="r:") as archive:
            for member in archive:
                name = member.name
                if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/"):
                    fail(DataError, "tar", f"{file.path} has a member called {name!r}, which "
                         "points outside of the archive")  # fmt: skip
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    kind = "a link" if member.islnk() or member.issym() else "no plain file"
                    fail(DataError, "tar", f"member {name!r} of {file.path} is {kind}")
                if member.offset_data + member.size > file.size or member.size > _LARGEST:
                    text = f"member {name!r} of {file.path} announces {member.size} bytes"
                    fail(DataError, "tar", f"{text}, more than the file has")
                folder, _, base = name.rpartition("/")
                key, _, ending = base.partition(".")
                if not key:
                    continue  # hidden files
                key = f"{folder}/{key}" if folder else key
                parts = found.setdefault(key, {})
                if ending in parts:
                    fail(DataError, "tar", f"{file.path} has {name!r} twice")
                parts[ending] = (member.offset_data, member.size)
    except tarfile.TarError as error:
        text = f"{file.path} is no uncompressed tar file: {error}"
        raise DataError(f"[tar] {text}\n  hint: unpack .tar.gz with gunzip first") from error
    return found
