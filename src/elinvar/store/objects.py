"""The objects of a store: contents by their hashes, large ones as files and small ones in packs."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn, Self

from elinvar.core.errors import DataError, DataMissingError, fail
from elinvar.store.copying import take, write_all
from elinvar.store.manifest import Manifest
from elinvar.store.packs import Packed, Packer
from elinvar.store.place import Place, sync_folder
from elinvar.store.steady import TRIES, changing, open_source
from elinvar.store.walk import Look, look_of

PACKED = 1 << 18  # files up to here go into packs
_OPEN = 64
_FLUSHED, _FLUSHED_BYTES, _FLUSHERS = 128, 1 << 28, 16


class Objects:
    """Reads objects, and knows which are there.

    Args:
        place: the store.
    """

    packed: Packed

    def __init__(self, place: Place) -> None:
        self._files: OrderedDict[Path, int] = OrderedDict()
        self.place = place
        self.packed = Packed.of(place)
        self._folder = str(place / "objects")

    def loose(self, digest: bytes) -> Path:
        """Where an object of its own file lies, if it does."""
        return Path(self._loose(digest))

    def _loose(self, digest: bytes) -> str:
        text = digest.hex()
        return f"{self._folder}/{text[:2]}/{text[2:]}"

    def has(self, digests: list[bytes]) -> list[bool]:
        """Which objects are there."""
        exists = os.path.exists
        packs = self.packed.find(digests)[0].tolist()
        return [pack >= 0 or exists(self._loose(one)) for pack, one in zip(packs, digests)]

    def sizes(self, digests: list[bytes]) -> list[int]:
        """How large objects are that are there; -1 for those that are not."""
        packs, rows = self.packed.find(digests)
        found = []
        for pack, row, digest in zip(packs.tolist(), rows.tolist(), digests):
            if pack >= 0:
                found.append(int(self.packed.packs[pack].lengths[row]))
                continue
            try:
                found.append(os.stat(self._loose(digest)).st_size)
            except FileNotFoundError:
                found.append(-1)
        return found

    def _handle(self, path: Path) -> int:
        """An open pack; some are kept open."""
        handle = self._files.pop(path, None)
        if handle is None:
            if len(self._files) >= _OPEN:
                os.close(self._files.popitem(last=False)[1])
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._files[path] = handle
        return handle

    def close(self) -> None:
        """Close files."""
        for handle in self._files.values():
            os.close(handle)
        self._files.clear()

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def read_packed(self, digests: list[bytes]) -> list[bytes | None]:
        """The contents of small objects, unchecked; None for those that are in no pack."""
        packs, rows = self.packed.find(digests)
        found: list[bytes | None] = []
        for pack, row in zip(packs.tolist(), rows.tolist()):
            if pack < 0:
                found.append(None)
                continue
            one = self.packed.packs[pack]
            handle = self._handle(one.path)
            found.append(os.pread(handle, int(one.lengths[row]), int(one.offsets[row])))
        return found

    def read(self, digest: bytes) -> bytes:
        """A content, checked.

        Raises:
            DataError: it was changed.
            DataMissingError: it is not there.
        """
        content = self.read_packed([digest])[0]
        if content is None:
            try:
                content = self.loose(digest).read_bytes()
            except FileNotFoundError:
                self.lost(digest)
        if self.place.kind.whole(content) != digest:
            self.changed(digest)
        return content

    def manifest(self, text: str) -> Manifest:
        """The manifest of a version, by its id."""
        return Manifest(self.read, self.place.kind, self.place.kind.digest_of(text))

    def lost(self, digest: bytes, path: str = "") -> NoReturn:
        """Say that an object is not there.

        Raises:
            DataMissingError: always.
        """
        reasons = "".join(f"; {one} is damaged: {why}" for one, why in self.packed.damaged.items())
        text = f"{self._named(digest, path)} is missing in {self.place.folder}{reasons}"
        fail(DataMissingError, "data", text, REPAIR)

    def changed(self, digest: bytes, path: str = "") -> NoReturn:
        """Say that an object is not what it should be.

        Raises:
            DataError: always.
        """
        text = f"{self._named(digest, path)} was changed in {self.place.folder}"
        fail(DataError, "data", text, f"`elinvar data verify` finds all that was; {REPAIR}")

    def _named(self, digest: bytes, path: str) -> str:
        text = self.place.kind.text(digest)
        return f"{path} ({text})" if path else f"the object {text}"


REPAIR = "commit the same data again, or pull it, and it is whole again"


class Intake(Objects):
    """Adds objects. Use it as a context: what was begun and not finished is thrown away.

    Large files wait in `work` until there are some, and are flushed to disk by several threads at
    once, which takes a disk hardly longer than one of them; then they get their names.

    Attributes:
        progress: called now and then with how many files and bytes are done.
    """

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._packer = Packer(place)
        self._folders: set[Path] = set()
        self._waiting: dict[bytes, tuple[int, Path]] = {}
        self._waiting_bytes = 0
        self.progress: Callable[[int, int], None] = lambda files, nbytes: None

    def __exit__(self, *_: Any) -> None:
        self._packer.abandon()
        for handle, path in self._waiting.values():
            _throw_away(handle, path)
        self._waiting.clear()
        self.close()

    def has(self, digests: list[bytes]) -> list[bool]:
        """Which objects are there, or wait to be."""
        pending, waiting = self._packer.pending, self._waiting
        found = super().has(digests)
        return [here or one in pending or one in waiting for here, one in zip(found, digests)]

    def add(self, digest: bytes, content: bytes) -> None:
        """A small object that is not there."""
        if digest in self._packer.pending:
            return
        index = self._packer.add(digest, content)
        if index is not None:
            self.packed.add(index)

    def add_parts(self, digest: bytes, parts: list[Any]) -> None:
        """A content in parts, of any size, if it is not there."""
        if self.has([digest])[0]:
            return
        if sum(map(len, parts)) <= PACKED:
            self.add(digest, b"".join(map(bytes, parts)))
            return
        handle, path = self.place.new_file()
        try:
            for part in parts:
                write_all(handle, part)
        except BaseException:
            _throw_away(handle, path)
            raise
        self.settle(handle, path, digest)

    def add_file(self, path: bytes) -> tuple[bytes, Look]:
        """A large file: its digest and its look.

        Raises:
            DataError: it changes again and again while it is read.
        """
        for _ in range(TRIES):
            source = open_source(path)
            try:
                before = os.fstat(source)
                target, name = self.place.new_file()
                try:
                    digest = take(source, target, self.place.kind, before.st_size)
                    same = look_of(before) == look_of(os.fstat(source))
                    same = same and os.fstat(target).st_size == before.st_size
                except BaseException:
                    _throw_away(target, name)
                    raise
                if same:
                    self.settle(target, name, digest)
                    return digest, look_of(before)
                _throw_away(target, name)
            finally:
                os.close(source)
        changing(path)

    def settle(self, handle: int, path: Path, digest: bytes) -> None:
        """A written file becomes an object, unless its content is there already.

        The file is ours from now on; it is closed when it is on disk.
        """
        if self.has([digest])[0]:
            _throw_away(handle, path)
            return
        os.fchmod(handle, 0o444)
        self._waiting[digest] = (handle, path)
        self._waiting_bytes += os.fstat(handle).st_size
        if len(self._waiting) >= _FLUSHED or self._waiting_bytes >= _FLUSHED_BYTES:
            self._flush()

    def _flush(self) -> None:
        """Have the files that wait on disk, under their names."""
        handles = [handle for handle, _ in self._waiting.values()]
        if len(handles) == 1:
            os.fsync(handles[0])
        elif handles:
            with ThreadPoolExecutor(_FLUSHERS) as pool:
                list(pool.map(os.fsync, handles))
        for digest in list(self._waiting):
            handle, path = self._waiting[digest]
            target = self.loose(digest)
            if not target.parent.exists():
                target.parent.mkdir(exist_ok=True)
                self._folders.add(target.parent.parent)
            os.replace(path, target)
            self._folders.add(target.parent)
            del self._waiting[digest]
            os.close(handle)
        self._waiting_bytes = 0

    def finish(self) -> None:
        """Have everything on disk."""
        self._flush()
        index = self._packer.finish()
        if index is not None:
            self.packed.add(index)
        for folder in self._folders:
            sync_folder(folder)
        self._folders.clear()


def _throw_away(handle: int, path: Path) -> None:
    os.close(handle)
    path.unlink(missing_ok=True)
