"""The models that both frameworks run: written once, against the names they share."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class GPTSize(NamedTuple):
    """Sizes of the small GPT; the defaults are the ones the figures are about."""

    vocabulary: int = 128
    width: int = 256
    layers: int = 4
    heads: int = 8
    length: int = 128
    batch: int = 8


def make_gpt(nn: Any, functional: Any, size: GPTSize) -> Any:
    """A GPT (Radford et al., 2019): pre-norm blocks, learned positions, no dropout.

    Args:
        nn, functional: `elinvar.nn` and `elinvar.nn.functional`, or PyTorch's.
        size: the sizes.

    Shape:
        tokens int64 `(B, T)` → logits `(B, T, vocabulary)`.
    """

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention_norm = nn.LayerNorm(size.width)
            self.to_qkv = nn.Linear(size.width, 3 * size.width)
            self.from_heads = nn.Linear(size.width, size.width)
            self.mlp_norm = nn.LayerNorm(size.width)
            self.up = nn.Linear(size.width, 4 * size.width)
            self.down = nn.Linear(4 * size.width, size.width)

        def forward(self, x: Any) -> Any:
            batch, length, width = x.shape
            qkv = self.to_qkv(self.attention_norm(x))
            q, k, v = (
                part.reshape(batch, length, size.heads, width // size.heads).transpose(1, 2)
                for part in qkv.chunk(3, dim=-1)
            )  # (B, heads, T, head_dim)
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            mixed = mixed.transpose(1, 2).reshape(batch, length, width)  # (B, T, width)
            x = x + self.from_heads(mixed)
            return x + self.down(functional.gelu(self.up(self.mlp_norm(x))))

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Embedding(size.vocabulary, size.width)
            self.position = nn.Embedding(size.length, size.width)
            self.blocks = nn.ModuleList([Block() for _ in range(size.layers)])
            self.norm = nn.LayerNorm(size.width)
            self.head = nn.Linear(size.width, size.vocabulary, bias=False)

        def forward(self, tokens: Any) -> Any:
            x = self.token(tokens) + self.position.weight[: tokens.shape[1]]  # (B, T, width)
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))

    return GPT()


def make_mlp(nn: Any) -> Any:
    """784 → 512 → 512 → 10, on batches of 128."""
    return nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )


def make_cnn(nn: Any) -> Any:
    """The demo's network, on batches of 128 pictures of 28 × 28."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


def weights(model: Any, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights for a model of either framework that depend on names and shapes alone.

    Matrices are normal with standard deviation 0.02 or 1/√fan-in, biases 0, scales 1.
    """
    made = {}
    for number, (name, value) in enumerate(sorted(model.state_dict().items())):
        shape = tuple(value.shape)
        if len(shape) < 2:
            start = np.array(value.detach().numpy())  # ones and zeros, except for biases
            made[name] = np.zeros_like(start) if name.endswith("bias") else start
            continue
        generator = np.random.Generator(np.random.Philox(key=[seed, number]))
        fan_in = int(np.prod(shape[1:]))
        scale = 0.02 if "token" in name or "position" in name else fan_in**-0.5
        made[name] = (generator.standard_normal(shape) * scale).astype(np.float32)
    return made


def tokens(size: GPTSize, steps: int, seed: int = 1) -> np.ndarray:
    """Batches of text with something to learn, int64 `(steps, B, T + 1)`.

    Each row walks through a fixed cycle of the vocabulary with a stride of its own and makes a
    random jump now and then.
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, 0]))
    shape = (steps, size.batch, size.length + 1)
    stride = generator.integers(1, 8, shape[:2] + (1,))
    jump = generator.integers(0, size.vocabulary, shape) * (generator.random(shape) < 0.1)
    return np.cumsum(stride + jump, axis=-1) % size.vocabulary
