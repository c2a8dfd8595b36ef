"""The IDX format of the MNIST family: a magic number, the sizes, then the elements, big-endian."""

from __future__ import annotations

import gzip
import io
import math
import zlib

import numpy as np
import numpy.typing as npt

from elinvar.core.errors import DataError, fail

# Type code → numpy dtype of the stored elements.
_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_AXES = 8


def unzip(packed: bytes, most: int, name: str = "file") -> bytes:
    """Unpack gzip bytes, and refuse more than `most` bytes of content.

    Args:
        packed: the bytes of a .gz file.
        most: the largest content that is accepted; nothing beyond it is unpacked.
        name: what errors call the file.

    Raises:
        DataError: the bytes are no gzip, are cut short, or hold more than `most` bytes.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as stream:
            content = stream.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        fail(DataError, "data", f"{name} is no whole gzip file: {error}")
    if len(content) > most:
        fail(DataError, "data", f"{name} unpacks to more than the {most} bytes expected")
    return content


def parse_idx(content: bytes, name: str = "file") -> npt.NDArray[np.generic]:
    """Read an array from the bytes of an IDX file.

    The layout: two zero bytes, a type code, the number of axes, each size as a 32-bit big-endian
    integer, then the elements in row-major order.

    Args:
        content: the bytes, unpacked.
        name: what errors call the file.

    Returns:
        The array in the machine's own byte order.

    Raises:
        DataError: the bytes break the format or do not have exactly the length they announce.

    Example:
        >>> parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9])).tolist()
        [7, 8, 9]
    """
    if len(content) < 4 or content[:2] != b"\0\0":
        fail(DataError, "data", f"{name} is no IDX file: it begins with {content[:4].hex()!r}")
    code, rank = content[2], content[3]
    if code not in _TYPES:
        fail(DataError, "data", f"{name} has the unknown IDX type code 0x{code:02x}")
    if not 1 <= rank <= _MOST_AXES:
        fail(DataError, "data", f"{name} has {rank} axes, expected 1 to {_MOST_AXES}")
    start = 4 + 4 * rank
    if len(content) < start:
        fail(DataError, "data", f"{name} ends within its header")
    sizes = [int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4)]
    dtype = np.dtype(_TYPES[code])
    expected = start + math.prod(sizes) * dtype.itemsize
    if len(content) != expected:
        fail(
            DataError,
            "data",
            f"{name} announces {'×'.join(map(str, sizes))} elements, {expected} bytes in all, "
            f"and has {len(content)}",
        )
    stored = np.frombuffer(content, dtype, offset=start).reshape(sizes)
    return stored.astype(dtype.newbyteorder("="))
