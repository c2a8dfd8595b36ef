"""Transformer layers (Vaswani et al., 2017) with PyTorch's names and arguments."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from elinvar.core.dtypes import default_float
from elinvar.core.errors import ValueRangeError, fail
from elinvar.nn import functional, init
from elinvar.nn.attention import MultiheadAttention, causal_mask
from elinvar.nn.containers import ModuleList
from elinvar.nn.dropout import Dropout
from elinvar.nn.linear import Linear
from elinvar.nn.module import Module
from elinvar.nn.normalization import LayerNorm
from elinvar.tensor.creation import zeros
from elinvar.tensor.tensor import Tensor

Activation = str | Callable[[Tensor], Tensor]


def _activation(activation: Activation) -> Callable[[Tensor], Tensor]:
    if callable(activation):
        return activation
    known: dict[str, Any] = {
        "relu": functional.relu,
        "gelu": functional.gelu,
        "silu": functional.silu,
    }
    if activation not in known:
        text = f"activation must be callable or one of {tuple(known)}, received {activation!r}"
        fail(ValueRangeError, "Transformer", text)
    found: Callable[[Tensor], Tensor] = known[activation]
    return found


class _Layer(Module):
    """What encoder and decoder layers share: the feed-forward half and the norms."""

    linear1: Linear
    dropout: Dropout
    linear2: Linear

    def _setup(
        self,
        d_model: int,
        dim_feedforward: int,
        dropout: float,
        activation: Activation,
        layer_norm_eps: float,
        norm_first: bool,
        bias: bool,
        norms: int,
        dtype: Any,
    ) -> None:
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype=dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype=dtype)
        self.norm_first = norm_first
        for index in range(1, norms + 1):
            norm = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
            setattr(self, f"norm{index}", norm)
        for index in range(1, norms + 1):
            setattr(self, f"dropout{index}", Dropout(dropout))
        self.activation = _activation(activation)

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def _residual(self, x: Tensor, index: int, block: Callable[[Tensor], Tensor]) -> Tensor:
        """x + dropout(block(norm(x))) if norms come first, else norm(x + dropout(block(x)))."""
        norm, dropout = getattr(self, f"norm{index}"), getattr(self, f"dropout{index}")
        if self.norm_first:
            return x + dropout(block(norm(x)))
        return norm(x + dropout(block(x)))


class TransformerEncoderLayer(_Layer):
    """Self-attention and a feed-forward network, each with a residual and a LayerNorm.

    Args:
        d_model: features of the sequence's elements.
        nhead: number of heads.
        dim_feedforward: hidden features of the feed-forward network.
        dropout: probability, in training.
        activation: `relu`, `gelu`, `silu` or a function.
        layer_norm_eps: eps of the norms.
        batch_first: whether inputs are (batch, time, features).
        norm_first: whether a norm stands before its block (else behind the residual).
        bias: whether linear layers and norms have biases.
        dtype: of the parameters; float32 unless told.

    Shape:
        (T, B, d_model), or (B, T, d_model) with batch_first → the same

    Example:
        >>> import elinvar as el
        >>> layer = el.nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        >>> layer(el.ones((2, 5, 16))).shape
        (2, 5, 16)
    """

    self_attn: MultiheadAttention

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: Any = None,
    ) -> None:
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype
        )
        self._setup(
            d_model,
            dim_feedforward,
            dropout,
            activation,
            layer_norm_eps,
            norm_first,
            bias,
            2,
            dtype,
        )

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Encode `src`; masks as in `MultiheadAttention`."""

        def attend(x: Tensor) -> Tensor:
            return self.self_attn(
                x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal
            )[0]

        return self._residual(self._residual(src, 1, attend), 2, self._feed_forward)


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to the encoder's memory, and a feed-forward network.

    Arguments as `TransformerEncoderLayer`.

    Shape:
        tgt (T, B, d_model), memory (S, B, d_model) → (T, B, d_model); with batch_first B is first

    Example:
        >>> import elinvar as el
        >>> layer = el.nn.TransformerDecoderLayer(16, 4, 32, batch_first=True)
        >>> layer(el.ones((2, 5, 16)), el.ones((2, 7, 16))).shape
        (2, 5, 16)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: Any = None,
    ) -> None:
        for name in ("self_attn", "multihead_attn"):
            attention = MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype
            )
            setattr(self, name, attention)
        self._setup(
            d_model,
            dim_feedforward,
            dropout,
            activation,
            layer_norm_eps,
            norm_first,
            bias,
            3,
            dtype,
        )

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Decode `tgt` with a view on `memory`; masks as in `MultiheadAttention`."""

        def attend(x: Tensor) -> Tensor:
            return self.self_attn(
                x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal
            )[0]

        def look(x: Tensor) -> Tensor:
            return self.multihead_attn(
                x,
                memory,
                memory,
                memory_key_padding_mask,
                False,
                memory_mask,
                is_causal=memory_is_causal,
            )[0]

        x = self._residual(self._residual(tgt, 1, attend), 2, look)
        return self._residual(x, 3, self._feed_forward)


class _Stack(Module):
    """Copies of a layer, one after the other, and a last norm."""

    layers: ModuleList

    def __init__(self, layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self.layers = ModuleList(copy.deepcopy(layer) for _ in range(num_layers))
        self.num_layers = num_layers
        self.norm = norm


class TransformerEncoder(_Stack):
    """A stack of encoder layers.

    Args:
        encoder_layer: the layer; its copies start with equal values.
        num_layers: number of copies.
        norm: a module for the result.
        enable_nested_tensor, mask_check: accepted for PyTorch's sake; nothing depends on them.

    Example:
        >>> import elinvar as el
        >>> layer = el.nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        >>> el.nn.TransformerEncoder(layer, 2)(el.ones((2, 5, 16))).shape
        (2, 5, 16)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__(encoder_layer, num_layers, norm)

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """Encode `src`; masks as in `MultiheadAttention`."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, bool(is_causal))
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(_Stack):
    """A stack of decoder layers.

    Args:
        decoder_layer: the layer; its copies start with equal values.
        num_layers: number of copies.
        norm: a module for the result.
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(decoder_layer, num_layers, norm)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Decode `tgt` with a view on `memory`; masks as in `MultiheadAttention`."""
        for layer in self.layers:
            tgt = layer(
                tgt,
                memory,
                tgt_mask,
                memory_mask,
                tgt_key_padding_mask,
                memory_key_padding_mask,
                bool(tgt_is_causal),
                memory_is_causal,
            )
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """Encoder and decoder. Arguments as `TransformerEncoderLayer`, and the numbers of layers.

    Shape:
        src (S, B, d_model), tgt (T, B, d_model) → (T, B, d_model); with batch_first B is first

    Example:
        >>> import elinvar as el
        >>> model = el.nn.Transformer(16, 4, 1, 1, 32, batch_first=True)
        >>> model(el.ones((2, 7, 16)), el.ones((2, 5, 16))).shape
        (2, 5, 16)
    """

    batch_first: bool
    d_model: int
    nhead: int
    encoder: Module | TransformerEncoder
    decoder: Module | TransformerDecoder

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: Any = None,
    ) -> None:
        rest = (dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        norms = [LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype) for _ in range(2)]
        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(d_model, nhead, *rest, dtype=dtype),
            num_encoder_layers,
            norms[0],
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(d_model, nhead, *rest, dtype=dtype),
            num_decoder_layers,
            norms[1],
        )
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Encode `src` and decode `tgt`; masks as in `MultiheadAttention`."""
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask,
            memory_mask,
            tgt_key_padding_mask,
            memory_key_padding_mask,
            tgt_is_causal,
            memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, dtype: Any = None) -> Tensor:
        """(sz, sz): 0 on and below the diagonal, -inf above, to be added to scores."""
        return causal_mask(zeros((), dtype=default_float if dtype is None else dtype), sz, sz)
