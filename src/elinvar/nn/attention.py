"""Multi-head attention with PyTorch's packed projection."""

from __future__ import annotations

import math
from typing import Any

from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.nn import functional, init
from elinvar.nn.linear import Linear, new_parameter
from elinvar.nn.module import Module
from elinvar.tensor.creation import arange
from elinvar.tensor.elementwise import where
from elinvar.tensor.tensor import Tensor


class MultiheadAttention(Module):
    """Attention with several heads: concat(headᵢ) W_O, headᵢ = softmax(Qᵢ Kᵢᵀ / √d) Vᵢ.

    Args:
        embed_dim: size of the query vectors and of the result.
        num_heads: number of heads; each has embed_dim/num_heads features.
        dropout: probability of dropping attention weights, in training.
        bias: whether the projections have biases.
        kdim, vdim: sizes of the key and value vectors; embed_dim unless told.
        batch_first: whether inputs are (batch, time, features); (time, batch, features) if not.
        dtype: of the parameters; float32 unless told.

    Shape:
        query (T, B, embed_dim), key (S, B, kdim), value (S, B, vdim) → (T, B, embed_dim) and the
        weights (B, T, S), or (B, heads, T, S) if they are not averaged; without B for 2-D inputs.

    Attributes:
        in_proj_weight: (3·embed_dim, embed_dim), the rows of queries, keys and values; or
            q_proj_weight, k_proj_weight, v_proj_weight if kdim or vdim differ.
        in_proj_bias: (3·embed_dim,).
        out_proj: the Linear behind the heads.

    Example:
        >>> import elinvar as el
        >>> attention = el.nn.MultiheadAttention(16, 4, batch_first=True)
        >>> x = el.ones((2, 5, 16))
        >>> y, weights = attention(x, x, x)
        >>> y.shape, weights.shape
        ((2, 5, 16), (2, 5, 5))
    """

    dropout: float
    embed_dim: int
    num_heads: int
    kdim: int
    vdim: int
    batch_first: bool
    head_dim: int
    out_proj: Linear

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        *,
        dtype: Any = None,
    ) -> None:
        if num_heads < 1 or embed_dim % num_heads:
            text = f"embed_dim {embed_dim} is not divisible by num_heads {num_heads}"
            fail(ValueRangeError, "MultiheadAttention", text)
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.batch_first, self.head_dim = batch_first, embed_dim // num_heads
        packed = self.kdim == embed_dim and self.vdim == embed_dim
        weights: dict[str, tuple[int, int] | None] = {
            "in_proj_weight": (3 * embed_dim, embed_dim) if packed else None,
            "q_proj_weight": None if packed else (embed_dim, embed_dim),
            "k_proj_weight": None if packed else (embed_dim, self.kdim),
            "v_proj_weight": None if packed else (embed_dim, self.vdim),
        }
        for name, shape in weights.items():
            value = None if shape is None else new_parameter(shape, dtype)
            self.register_parameter(name, value)
        bias_value = new_parameter((3 * embed_dim,), dtype) if bias else None
        self.register_parameter("in_proj_bias", bias_value)
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the input projections by Xavier's rule; set the biases to 0."""
        for name, parameter in self.named_parameters(recurse=False):
            (init.zeros_ if name == "in_proj_bias" else init.xavier_uniform_)(parameter)
        self.out_proj.reset_parameters()
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend from the queries to the keys.

        Args:
            query, key, value: see Shape.
            key_padding_mask: (B, S); True (or -inf, for floats, which are added) hides a key.
            need_weights: whether the attention weights are returned; False is faster.
            attn_mask: (T, S) or (B·heads, T, S); True hides, floats are added.
            average_attn_weights: whether the weights are averaged over the heads.
            is_causal: hides later keys; needs no attn_mask.
        """
        batched = query.ndim == 3
        if query.ndim not in (2, 3) or key.ndim != query.ndim or value.ndim != query.ndim:
            text = f"expected three inputs of 2 or 3 dimensions, received {query._type}, "
            fail(ShapeError, "MultiheadAttention", f"{text}{key._type} and {value._type}")
        if not batched:
            query, key, value = (x.unsqueeze(0) for x in (query, key, value))
            if key_padding_mask is not None:
                key_padding_mask = key_padding_mask.unsqueeze(0)
        elif not self.batch_first:
            query, key, value = _batch_first(query, key, value)
        batch, length, _ = query.shape
        q, k, v = (self._heads(x) for x in self._project(query, key, value))  # (B, heads, ·, d)
        hidden = self._hidden(q, key.shape[1], key_padding_mask, attn_mask)
        causal = is_causal and attn_mask is None
        if causal and need_weights:
            hidden = _add(hidden, causal_mask(q, length, key.shape[1]))
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = (q * (1 / math.sqrt(self.head_dim))) @ k.transpose(-2, -1)
            weights = functional.softmax(scores if hidden is None else scores + hidden, dim=-1)
            weights = functional.dropout(weights, dropout, self.training)
            mixed = weights @ v
        else:
            mixed = functional.scaled_dot_product_attention(
                q, k, v, attn_mask=hidden, dropout_p=dropout, is_causal=causal
            )
        joined = mixed.transpose(1, 2).reshape(batch, length, self.embed_dim)  # (B, T, embed)
        output = self.out_proj(joined)
        if weights is not None and average_attn_weights:
            weights = weights.mean(dim=1)
        if not batched:
            return output.squeeze(0), None if weights is None else weights.squeeze(0)
        return (output if self.batch_first else output.transpose(0, 1)), weights

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        """The three projections; one product where all inputs are one tensor."""
        biases: Any = (None, None, None)
        if self.in_proj_weight is None:
            weights: Any = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        elif query is key and key is value:
            both = functional.linear(query, self.in_proj_weight, self.in_proj_bias)
            return both.chunk(3, -1)
        else:
            weights = self.in_proj_weight.chunk(3, 0)
        if self.in_proj_bias is not None:
            biases = self.in_proj_bias.chunk(3, 0)
        inputs = (query, key, value)
        rows = zip(inputs, weights, biases, strict=True)
        return tuple(functional.linear(x, weight, bias) for x, weight, bias in rows)

    def _heads(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        split = x.reshape(batch, length, self.num_heads, self.head_dim)
        return split.transpose(1, 2)  # (B, heads, T, d)

    def _hidden(
        self,
        queries: Tensor,
        keys: int,
        key_padding_mask: Tensor | None,
        attn_mask: Tensor | None,
    ) -> Tensor | None:
        """Both masks as one tensor that is added to the scores, (B or 1, heads or 1, T, S)."""
        batch, heads, length, _ = queries.shape
        total: Tensor | None = None
        if attn_mask is not None:
            shape = tuple(attn_mask.shape)
            if shape == (length, keys):
                mask = attn_mask.reshape(1, 1, length, keys)
            elif shape == (batch * heads, length, keys):
                mask = attn_mask.reshape(batch, heads, length, keys)
            else:
                wanted = f"({length}, {keys}) or ({batch * heads}, {length}, {keys})"
                text = f"attn_mask must have shape {wanted}, received {attn_mask._type}"
                fail(ShapeError, "MultiheadAttention", text)
            total = _additive(mask, queries)
        if key_padding_mask is not None:
            if tuple(key_padding_mask.shape) != (batch, keys):
                text = f"key_padding_mask must have shape ({batch}, {keys})"
                fail(ShapeError, "MultiheadAttention", f"{text}, received {key_padding_mask._type}")
            padding = _additive(key_padding_mask.reshape(batch, 1, 1, keys), queries)
            total = _add(total, padding)
        return total

    def extra_repr(self) -> str:
        """The arguments."""
        return f"{self.embed_dim}, {self.num_heads}, batch_first={self.batch_first}"


def _batch_first(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Swap time and batch, so that inputs which were one tensor stay one."""
    turned = query.transpose(0, 1)
    turned_key = turned if key is query else key.transpose(0, 1)
    turned_value = turned_key if value is key else value.transpose(0, 1)
    return turned, turned_key, turned_value


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    """A mask that is added: True becomes -inf, False 0; floats stay."""
    if mask.dtype.kind != "b":
        return mask.astype(like.dtype)
    return where(mask, float("-inf"), 0.0).astype(like.dtype)


def _add(first: Tensor | None, second: Tensor) -> Tensor:
    return second if first is None else first + second


def causal_mask(like: Tensor, length: int, keys: int) -> Tensor:
    """(length, keys): 0 where key ≤ query, -inf where the key lies later; dtype of `like`."""
    return _additive(later_keys(length, keys), like)


def later_keys(length: int, keys: int) -> Tensor:
    """(length, keys) of bool: True where the key lies later than the query."""
    return arange(keys).unsqueeze(0) > arange(length).unsqueeze(1)
