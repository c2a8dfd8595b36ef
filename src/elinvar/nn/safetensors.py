"""The safetensors file format: tensors by name, as plain bytes behind a JSON header.

    8 bytes            length n of the header, little endian
    n bytes            JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, …,
                       "__metadata__": {"text": "text"}}
    the rest           the elements, row-major, little endian; offsets count from here

A file is data from others: every number in it is checked against the file's size before anything is
read, and nothing in it is executed.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from elinvar.core import dtypes, durable
from elinvar.core.dtypes import DType
from elinvar.core.errors import DTypeError, StateError, fail, message
from elinvar.tensor.cell import detached
from elinvar.tensor.storage import from_stored, stored_array
from elinvar.tensor.tensor import Tensor

LONGEST_HEADER = 100_000_000  # bytes; the limit of the format's own library
MOST_DIMENSIONS = 64
ALIGNMENT = 8

_CODES = {
    "BOOL": dtypes.bool_,
    "U8": dtypes.uint8,
    "I8": dtypes.int8,
    "U16": dtypes.uint16,
    "I16": dtypes.int16,
    "U32": dtypes.uint32,
    "I32": dtypes.int32,
    "U64": dtypes.uint64,
    "I64": dtypes.int64,
    "F16": dtypes.float16,
    "BF16": dtypes.bfloat16,
    "F32": dtypes.float32,
    "F64": dtypes.float64,
}
# How files start that PyTorch users take for weights. They may run code when they are loaded.
_FOREIGN = {b"PK\x03\x04": "a zip archive (of `torch.save`?)", b"\x80": "a pickle"}
_CODE_OF = {dtype: code for code, dtype in _CODES.items()}


def write(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a file. An older file of this name is replaced only when the new one is complete."""
    target = Path(path)
    if not target.parent.is_dir():
        why = f"there is no folder {os.fspath(target.parent)!r} to save {target.name!r} in"
        raise FileNotFoundError(message("save", why, "make it first: `os.makedirs`"))
    durable.replace(target, chunks(tensors, metadata))


def chunks(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> Iterator[Any]:
    """The bytes of a file, piece by piece. The tensors may be rebound as soon as this returns."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    # wide types first, so that every tensor starts at a multiple of its element's size
    names = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    position = 0
    for name in names:
        kind = tensors[name]._type
        end = position + math.prod(tensors[name].shape) * kind.dtype.itemsize
        code = _CODE_OF[kind.dtype]
        header[name] = {"dtype": code, "shape": list(kind.shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return _pieces(text, [detached(tensors[name]) for name in names])


def _pieces(text: bytes, held: list[Tensor]) -> Iterator[Any]:
    yield len(text).to_bytes(8, "little") + text
    for tensor in held:
        whole = np.ascontiguousarray(stored_array(tensor, "save"))
        yield (whole.byteswap() if sys.byteorder == "big" else whole).reshape(-1).view(np.uint8)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a file by name, in the order of the file, and its metadata.

    Raises:
        StateError: the file is damaged or no safetensors file.
        DTypeError: it holds elements of a type that Elinvar does not have.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        header, start = _header(file, size, path)
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(
            isinstance(text, str) for text in metadata.values()
        ):
            _refuse(path, "its metadata is no table of texts")
        rows = [(name, *_entry(name, row, path)) for name, row in header.items()]
        rows.sort(key=lambda row: row[3])
        position = 0
        for name, _, _, first, last in rows:
            if first != position or last > size - start:
                _refuse(path, f"the bytes of {name!r} are not where they belong")
            position = last
        if position != size - start:
            _refuse(path, f"{size - start - position} bytes belong to no tensor")
        found = {}
        for name, dtype, shape, first, last in rows:
            data = bytearray(last - first)
            if file.readinto(data) != len(data):
                _refuse(path, f"it ends within {name!r}")
            array = np.frombuffer(data, dtype.storage.newbyteorder("<")).reshape(shape)
            if dtype is dtypes.bool_ and array.size and array.view(np.uint8).max() > 1:
                _refuse(path, f"{name!r} holds bytes that are neither 0 nor 1")
            found[name] = from_stored(array, dtype)
    return {name: found[name] for name in header}, metadata


def _refuse(path: Any, why: str) -> NoReturn:
    fail(StateError, "load", f"{os.fspath(path)!r} is no valid safetensors file: {why}")


def _refuse_foreign(begin: bytes, path: Any) -> None:
    """Name what PyTorch users take for weights. (A header's length may begin like a pickle.)"""
    for mark, what in _FOREIGN.items():
        if begin.startswith(mark):
            why = f"{os.fspath(path)!r} is no safetensors file but {what}, which is not read"
            hint = "save the state dict with `safetensors.torch.save_file` where it was made"
            fail(StateError, "load", why, hint)


def _header(file: BinaryIO, size: int, path: Any) -> tuple[dict[str, Any], int]:
    """The header, and where the data starts."""
    begin = file.read(8)
    length = int.from_bytes(begin, "little")
    fits = size >= 8 and length <= min(LONGEST_HEADER, size - 8)
    text = file.read(length) if fits else b""
    if not text.startswith(b"{"):
        _refuse_foreign(begin, path)
        if not fits:
            _refuse(path, f"the header's length {length} does not fit into {size} bytes")
        _refuse(path, "its header is no table")
    try:
        header = json.loads(text.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        _refuse(path, f"its header cannot be read ({error})")
    return header, 8 + length


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name appears twice")
    return found


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62


def _entry(name: str, row: Any, path: Any) -> tuple[DType, tuple[int, ...], int, int]:
    """dtype, shape, first and last byte of one tensor, checked against each other."""
    if not isinstance(row, dict) or set(row) != {"dtype", "shape", "data_offsets"}:
        _refuse(path, f"the entry of {name!r} is not dtype, shape and data_offsets")
    shape, offsets = row["shape"], row["data_offsets"]
    if (
        not isinstance(shape, list)
        or len(shape) > MOST_DIMENSIONS
        or not all(map(_is_count, shape))
    ):
        _refuse(path, f"the shape of {name!r} is no list of sizes")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_count, offsets)):
        _refuse(path, f"the offsets of {name!r} are no pair of positions")
    if row["dtype"] not in _CODES:
        text = f"{os.fspath(path)!r} holds {name!r} as {row['dtype']}, which Elinvar does not have"
        fail(DTypeError, "load", text, f"types that it has: {', '.join(_CODES)}")
    dtype = _CODES[row["dtype"]]
    if offsets[1] - offsets[0] != math.prod(shape) * dtype.itemsize:
        _refuse(path, f"the bytes of {name!r} do not fit its shape {shape}")
    return dtype, tuple(shape), offsets[0], offsets[1]
