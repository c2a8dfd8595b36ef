"""The log of steps: for each its loss, and what all tensors were after it.

    {"elinvar steps": 1, "run": "…", "tensors": ["0.weight", "0.bias", …], "after": "…"}\\n
    rows of equal length, little endian:
        u64 step · u32 epoch · u32 batch · f64 loss · 16 bytes chain · u32 × tensors · u32 CRC-32

A row's chain is BLAKE2b over the chain before it and the row, so that one row stands for all that
came before. Row 0 is what training began with; its loss is NaN.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from elinvar.runs.files import Log, open_to_read, refuse

_HEAD = struct.Struct("<QIId")
CHAIN_BYTES = 16
BEGIN = bytes(CHAIN_BYTES)
_KEY = "elinvar steps"
_LONGEST_HEADER = 16 << 20


class Row(NamedTuple):
    """One step."""

    step: int
    epoch: int
    batch: int
    loss: float
    chain: bytes
    digests: Any  # uint32[tensors]

    def same(self, other: Row) -> bool:
        """Whether loss and tensors have the same bits."""
        return self.content() == other.content()

    def content(self) -> bytes:
        """All but the chain."""
        return _HEAD.pack(self.step, self.epoch, self.batch, self.loss) + self.digests.tobytes()


def chained(before: bytes, content: bytes) -> bytes:
    """The chain after a row."""
    return hashlib.blake2b(before + content, digest_size=CHAIN_BYTES).digest()


class StepLog:
    """Writes the log.

    Args:
        path: the file.
        tensors: their names.
        mark: where to go on; None begins a new log.
        chain: that of the last row before.
        run: the run's own number.
    """

    log: Log
    chain: bytes

    def __init__(
        self,
        path: Path,
        tensors: Sequence[str],
        mark: dict[str, Any] | None = None,
        chain: bytes = BEGIN,
        run: str = "",
    ) -> None:
        self.log = Log(path, mark)
        self.chain = chain
        if mark is None:
            header = {_KEY: 1, "run": run, "tensors": list(tensors), "after": chain.hex()}
            self.log.append(json.dumps(header).encode() + b"\n")
            try:
                self.log.flush()
            except OSError:
                self.log.abandon()
                raise

    def add(self, step: int, epoch: int, batch: int, loss: float, digests: Any) -> Row:
        """Add a row."""
        head = _HEAD.pack(step, epoch, batch, loss)
        numbers = digests.tobytes()
        self.chain = chained(self.chain, head + numbers)
        data = head + self.chain + numbers
        self.log.append(data + zlib.crc32(data).to_bytes(4, "little"))
        return Row(step, epoch, batch, loss, self.chain, digests)


class StepTable:
    """Reads the log.

    Args:
        path: the file.

    Attributes:
        tensors: their names.
        run: the run's own number.
        trouble: why the log ends before the file does; None where it does not.

    Raises:
        RunError: it is missing, or no such log.
    """

    tensors: list[str]
    run: str
    trouble: str | None

    after: bytes

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_to_read(path) as file:
            line = file.readline(_LONGEST_HEADER)
        try:
            header = json.loads(line)
            self.tensors = [str(name) for name in header["tensors"]]
            self.after = bytes.fromhex(header["after"])
            version, self.run = header[_KEY], str(header["run"])
        except (ValueError, KeyError, TypeError, RecursionError):
            what = "is damaged: its first line is not that of a log of steps"
            refuse(path, what if line else "is empty")
        if version != 1 or len(self.after) != CHAIN_BYTES:
            refuse(path, f"is of version {version!r}, this version of Elinvar reads 1")
        self._start = len(line)
        self._count = len(self.tensors)
        self._length = _HEAD.size + CHAIN_BYTES + 4 * self._count + 4
        self.trouble = None

    def __iter__(self) -> Iterator[Row]:
        """The rows, up to the first that is damaged or cut; then `trouble` says so."""
        self.trouble, chain, number = None, self.after, 0
        with open_to_read(self.path) as file:
            file.seek(self._start)
            while data := file.read(self._length):
                row = self._row(data)
                if row is None or row.chain != chained(chain, row.content()):
                    what = "ends within" if len(data) < self._length else "is damaged in"
                    self.trouble = f"{what} row {number}"
                    return
                chain, number = row.chain, number + 1
                yield row

    def _row(self, data: bytes) -> Row | None:
        if len(data) < self._length:
            return None
        if zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
            return None
        end = _HEAD.size + CHAIN_BYTES
        digests = np.frombuffer(data, "<u4", self._count, end)
        step, epoch, batch, loss = _HEAD.unpack_from(data)
        return Row(step, epoch, batch, loss, data[_HEAD.size : end], digests)

    def rows_after(self, length: int) -> list[Row]:
        """The rows behind the first `length` bytes, whatever their chain."""
        with open_to_read(self.path) as file:
            file.seek(max(length, self._start))
            found = []
            while row := self._row(file.read(self._length)):
                found.append(row)
        return found


def first_difference(wanted: Row, found: Row, tensors: Sequence[str]) -> str:
    """What differs first: the tensors that do, or else the loss.

    Args:
        tensors: names of the digests.
    """
    odd = np.flatnonzero(wanted.digests != found.digests)
    if len(wanted.digests) != len(found.digests):
        return "the model has other tensors"
    if odd.size:
        more = f" and {odd.size - 1} more of {len(tensors)}" if odd.size > 1 else ""
        return f"tensor {tensors[int(odd[0])]}{more}"
    if wanted.loss != found.loss and not (math.isnan(wanted.loss) and math.isnan(found.loss)):
        return f"the loss: {wanted.loss!r} before, {found.loss!r} now"
    return "its place: another epoch or batch"
