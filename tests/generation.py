"""A small GPT with a cache of keys and values, for tests of batch invariance.

The cache is made of plain tensors: for each layer keys and values `(B, heads, S, head_dim)`, of which
a row's first ones are known. Queries stand at positions of their own in each row; a query sees the
keys up to its own position.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import elinvar as el
import elinvar.nn.functional as F
from elinvar import nn

VOCABULARY, WIDTH, HEADS, LAYERS, LONGEST = 50, 48, 3, 2, 200
SIZE = WIDTH // HEADS


def rotated(x: Any, places: Any) -> Any:
    """Rotary positions (Su et al., 2021): pairs of features turned by their place."""
    half = x.shape[-1] // 2
    speed = 1.0 / 100.0 ** (el.arange(half, dtype=el.float32) / half)
    angle = places.astype(el.float32)[:, None, :, None] * speed  # (B, 1, T, d/2)
    cosine, sine = el.cos(angle), el.sin(angle)
    left, right = x[..., :half], x[..., half:]
    turned = el.concat([left * cosine - right * sine, left * sine + right * cosine], axis=-1)
    return turned.astype(x.dtype)


def slopes(heads: int) -> Any:
    """ALiBi's slopes (Press et al., 2022)."""
    return 2.0 ** (-8.0 * (el.arange(heads, dtype=el.float32) + 1.0) / heads)


class Block(nn.Module):
    def __init__(self, kind: str, shared: int, dtype: Any) -> None:
        self.kind, self.shared = kind, shared
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, dtype=dtype), nn.LayerNorm(WIDTH, dtype=dtype)
        self.to_q = nn.Linear(WIDTH, WIDTH, dtype=dtype)
        self.to_kv = nn.Linear(WIDTH, 2 * SIZE * shared, dtype=dtype)
        self.out = nn.Linear(WIDTH, WIDTH, dtype=dtype)
        self.up, self.down = (
            nn.Linear(WIDTH, 4 * WIDTH, dtype=dtype),
            nn.Linear(4 * WIDTH, WIDTH, dtype=dtype),
        )

    def heads(self, x: Any, places: Any) -> tuple[Any, Any, Any]:
        """Queries, keys and values, (B, heads, T, head_dim)."""
        batch, length, _ = x.shape
        x = self.norm1(x)
        q = self.to_q(x).reshape(batch, length, HEADS, SIZE).transpose(1, 2)
        kv = self.to_kv(x).reshape(batch, length, 2, self.shared, SIZE)
        k, v = kv.permute(2, 0, 3, 1, 4)
        if self.kind == "rotary":
            q, k = rotated(q, places), rotated(k, places)
        return q, k, v

    def rest(self, x: Any, mixed: Any) -> Any:
        """What follows attention."""
        batch, length, _ = x.shape
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, WIDTH))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    """Tokens (B, T) → logits (B, T, VOCABULARY).

    Args:
        kind: of the positions: `learned`, `rotary` or `alibi`.
        shared: heads of keys and values.
    """

    def __init__(self, kind: str = "learned", shared: int = HEADS, dtype: Any = None) -> None:
        self.kind, self.shared = kind, shared
        self.token = nn.Embedding(VOCABULARY, WIDTH, dtype=dtype)
        self.place = nn.Embedding(LONGEST, WIDTH, dtype=dtype) if kind == "learned" else None
        self.blocks = nn.ModuleList([Block(kind, shared, dtype) for _ in range(LAYERS)])
        self.norm = nn.LayerNorm(WIDTH, dtype=dtype)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False, dtype=dtype)

    def embedded(self, tokens: Any, places: Any) -> Any:
        x = self.token(tokens)
        return x if self.place is None else x + self.place(places)

    def bias(self, keys: Any, places: Any, visible: Any, dtype: Any) -> Any:
        """What is added to the scores: ALiBi's distances, -inf where a key is not visible."""
        distance = (places[:, :, None] - keys).astype(el.float32)  # (B, T, S)
        added = -slopes(HEADS)[:, None, None] * distance[:, None]
        return added if visible is True else el.where(visible, added, float("-inf"))

    def forward(self, tokens: Any) -> Any:
        """The whole sequence at once; a row sees nothing behind its tokens."""
        places = el.broadcast_to(el.arange(tokens.shape[1]), tokens.shape)
        x = self.embedded(tokens, places)
        for block in self.blocks:
            q, k, v = block.heads(x, places)
            mask = None
            if self.kind == "alibi":
                keys = el.arange(tokens.shape[1])
                visible = keys <= places[:, None, :, None]
                mask = self.bias(keys, places, visible, x.dtype)
            mixed = F.scaled_dot_product_attention(
                q, k, v, mask, is_causal=mask is None, enable_gqa=True
            )
            x = block.rest(x, mixed)
        return self.head(self.norm(x))

    def cache(self, batch: int, length: int, dtype: Any = None) -> list[Any]:
        """Room for the keys and values of all layers; what stands there at first is never seen."""
        shape = (batch, self.shared, length, SIZE)
        dtype = dtype or el.float32
        return [el.full(shape, float("nan"), dtype=dtype) for _ in range(2 * LAYERS)]

    def step(self, tokens: Any, first: Any, cache: list[Any]) -> tuple[Any, list[Any]]:
        """The next tokens (B, T) of rows that know `first` (B,) tokens already.

        Returns the logits and the cache with the new keys and values written into it.
        """
        batch, length = tokens.shape
        places = first[:, None] + el.arange(length)  # (B, T)
        rows = el.arange(batch)[:, None]
        x = self.embedded(tokens, places)
        found = []
        keys = el.arange(cache[0].shape[2])
        visible = keys <= places[:, None, :, None]  # (B, 1, T, S)
        for number, block in enumerate(self.blocks):
            q, k, v = block.heads(x, places)
            known_k, known_v = (cache[2 * number + part].clone() for part in range(2))
            known_k[rows, :, places] = k.transpose(1, 2)
            known_v[rows, :, places] = v.transpose(1, 2)
            mask = visible
            if self.kind == "alibi":
                mask = self.bias(keys, places, visible, x.dtype)
            mixed = F.scaled_dot_product_attention(q, known_k, known_v, mask, enable_gqa=True)
            x = block.rest(x, mixed)
            found += [known_k, known_v]
        return self.head(self.norm(x)), found


def prompts(count: int, longest: int = 90, seed: int = 0) -> list[Any]:
    """Token numbers of mixed lengths, numpy int64."""
    rng = np.random.default_rng(seed)
    lengths = [longest, 1, *rng.integers(1, longest, count)][:count]
    return [rng.integers(0, VOCABULARY, length) for length in lengths]
