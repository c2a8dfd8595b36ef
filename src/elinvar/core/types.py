"""The type of a value in a graph: dtype and shape."""

from __future__ import annotations

import re
from typing import NamedTuple

from elinvar.core import dtypes
from elinvar.core.dtypes import DType
from elinvar.core.errors import GraphError, fail
from elinvar.core.shapes import DimLike, Shape, format_shape, parse_dim, size


class TensorType(NamedTuple):
    """dtype and shape; prints as `f32[B,10]`."""

    dtype: DType
    shape: Shape

    def __repr__(self) -> str:
        return f"{self.dtype.short}{format_shape(self.shape)}"

    def __str__(self) -> str:
        return repr(self)

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> DimLike:
        return size(self.shape)

    def with_shape(self, shape: Shape) -> TensorType:
        return TensorType(self.dtype, tuple(shape))

    def with_dtype(self, dtype: DType) -> TensorType:
        return TensorType(dtype, self.shape)


_TYPE = re.compile(r"([a-z]+\d*)\[([^\]]*)\]")


def parse_type(text: str) -> TensorType:
    """Read a type as it prints: `f32[B,10]`."""
    match = _TYPE.fullmatch(text.strip())
    if match is None:
        fail(GraphError, "parse", f"expected a type such as f32[B,10], received {text!r}")
    dims = tuple(parse_dim(part) for part in match[2].split(",") if part.strip())
    return TensorType(dtypes.by_name(match[1]), dims)
