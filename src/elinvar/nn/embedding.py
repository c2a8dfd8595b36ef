"""Embedding: a learned vector for each index."""

from __future__ import annotations

from typing import Any

from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.nn import functional, init
from elinvar.nn.linear import new_parameter
from elinvar.nn.module import Module
from elinvar.nn.parameter import Parameter, set_value
from elinvar.tensor.creation import arange
from elinvar.tensor.elementwise import where
from elinvar.tensor.tensor import Tensor


class Embedding(Module):
    """A table of vectors, read by index.

    Args:
        num_embeddings: number of rows.
        embedding_dim: size of each row.
        padding_idx: a row that starts as zeros and gets no gradient.
        dtype: of the table; float32 unless told.

    Shape:
        (*) of integers → (*, embedding_dim)

    Attributes:
        weight: (num_embeddings, embedding_dim), drawn from N(0, 1).

    Example:
        >>> import elinvar as el
        >>> table = el.nn.Embedding(10, 3, padding_idx=0)
        >>> table(el.asarray([0, 4]))[0].tolist()
        [0.0, 0.0, 0.0]
    """

    embedding_dim: int
    num_embeddings: int
    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        dtype: Any = None,
    ) -> None:
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                text = f"padding_idx {padding_idx} is out of range for {num_embeddings} rows"
                fail(ValueRangeError, "Embedding", text)
            padding_idx %= num_embeddings
        self.padding_idx = padding_idx
        self.weight = new_parameter((num_embeddings, embedding_dim), dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            kept = (arange(self.num_embeddings) != self.padding_idx).unsqueeze(1)
            set_value(self.weight, where(kept, self.weight.detach(), 0.0))

    @classmethod
    def from_pretrained(
        cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None
    ) -> Embedding:
        """A layer with the given table (rows, size), not trained unless `freeze` is False."""
        if embeddings.ndim != 2:
            text = f"expected a table of 2 dimensions, received {embeddings._type}"
            fail(ShapeError, "Embedding.from_pretrained", text)
        rows, size = embeddings.shape
        layer = cls(rows, size, padding_idx, dtype=embeddings.dtype)
        layer.weight = Parameter(embeddings, requires_grad=not freeze)
        return layer

    def forward(self, input: Tensor) -> Tensor:
        """The rows at the given indices."""
        return functional.embedding(input, self.weight, padding_idx=self.padding_idx)

    def extra_repr(self) -> str:
        """The arguments."""
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"
