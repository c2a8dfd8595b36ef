"""The models for Elinvar and PyTorch: one text, run with the names that the two share.

Every function takes the framework's module (`elinvar` or `torch`) and a size. The same models in
plain JAX and TensorFlow stand in `models_jax.py` and `models_tensorflow.py`; `plan.py` lists the
parameters that all four have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.sizes import (
    CNNSize,
    GPTSize,
    LSTMSize,
    MLPSize,
    ResNetSize,
    UNetSize,
    ViTSize,
)


def make_mlp(module: Any, size: MLPSize | None = None) -> Any:
    """784 → 512 → 512 → 10.

    Shape:
        pictures `(B, 784)` → logits `(B, 10)`.
    """
    size = size or MLPSize()
    nn = module.nn
    return nn.Sequential(
        nn.Linear(size.inputs, size.hidden), nn.ReLU(),
        nn.Linear(size.hidden, size.hidden), nn.ReLU(),
        nn.Linear(size.hidden, size.classes),
    )  # fmt: skip


def make_cnn(module: Any, size: CNNSize | None = None) -> Any:
    """The demo's network.

    Shape:
        pictures `(B, 1, 28, 28)` → logits `(B, 10)`.
    """
    size = size or CNNSize()
    nn = module.nn
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, size.classes),
    )  # fmt: skip


def make_resnet(module: Any, size: ResNetSize | None = None) -> Any:
    """ResNet-18 (He et al., 2015) with the stem for small pictures.

    Shape:
        pictures `(B, 3, 32, 32)` → logits `(B, 10)`.
    """
    size = size or ResNetSize()
    nn, functional = module.nn, module.nn.functional

    class Block(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
            self.norm1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
            self.norm2 = nn.BatchNorm2d(outputs)
            self.shortcut = nn.Sequential()
            if stride != 1 or inputs != outputs:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False),
                    nn.BatchNorm2d(outputs),
                )

        def forward(self, x: Any) -> Any:
            out = functional.relu(self.norm1(self.conv1(x)))
            out = self.norm2(self.conv2(out))
            return functional.relu(out + self.shortcut(x))

    class ResNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, size.width, 3, padding=1, bias=False)
            self.norm = nn.BatchNorm2d(size.width)
            blocks, inputs = [], size.width
            for stage in range(4):
                outputs = size.width * 2**stage
                for number in range(2):
                    stride = 2 if stage and number == 0 else 1
                    blocks.append(Block(inputs, outputs, stride))
                    inputs = outputs
            self.blocks = nn.Sequential(*blocks)
            self.head = nn.Linear(inputs, size.classes)

        def forward(self, x: Any) -> Any:
            x = functional.relu(self.norm(self.stem(x)))
            x = self.blocks(x)  # (B, 8 · width, 4, 4)
            return self.head(x.mean(dim=(2, 3)))

    return ResNet()


def make_gpt(module: Any, size: GPTSize | None = None) -> Any:
    """A GPT (Radford et al., 2019): pre-norm blocks, learned positions, no dropout.

    Shape:
        tokens int64 `(B, T)` → logits `(B, T, vocabulary)`.
    """
    size = size or GPTSize()
    nn, functional = module.nn, module.nn.functional

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Embedding(size.vocabulary, size.width)
            self.position = nn.Embedding(size.length, size.width)
            self.blocks = nn.ModuleList(
                [_make_block(nn, functional, size, True) for _ in range(size.layers)]
            )
            self.norm = nn.LayerNorm(size.width)
            self.head = nn.Linear(size.width, size.vocabulary, bias=False)

        def forward(self, tokens: Any) -> Any:
            x = self.token(tokens) + self.position.weight[: tokens.shape[1]]  # (B, T, width)
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))

    return GPT()


def _make_block(nn: Any, functional: Any, size: GPTSize | ViTSize, is_causal: bool) -> Any:
    """The pre-norm block of GPT and ViT: attention, then a perceptron four times as wide."""

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
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=is_causal)
            mixed = mixed.transpose(1, 2).reshape(batch, length, width)  # (B, T, width)
            x = x + self.from_heads(mixed)
            return x + self.down(functional.gelu(self.up(self.mlp_norm(x))))

    return Block()


def make_lstm(module: Any, size: LSTMSize | None = None) -> Any:
    """A language model with LSTM layers (Hochreiter and Schmidhuber, 1997).

    Shape:
        tokens int64 `(B, T)` → logits `(B, T, vocabulary)`.
    """
    size = size or LSTMSize()
    nn = module.nn

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Embedding(size.vocabulary, size.width)
            self.lstm = nn.LSTM(size.width, size.width, size.layers, batch_first=True)
            self.head = nn.Linear(size.width, size.vocabulary)

        def forward(self, tokens: Any) -> Any:
            hidden, _ = self.lstm(self.token(tokens))  # (B, T, width)
            return self.head(hidden)

    return Model()


def make_vit(module: Any, size: ViTSize | None = None) -> Any:
    """A vision transformer (Dosovitskiy et al., 2020) with a class token.

    Shape:
        pictures `(B, 3, pixels, pixels)` → logits `(B, classes)`.
    """
    size = size or ViTSize()
    nn, functional = module.nn, module.nn.functional
    patches = (size.pixels // size.patch) ** 2

    class ViT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch = nn.Conv2d(3, size.width, size.patch, stride=size.patch)
            self.class_token = nn.Parameter(module.zeros((1, 1, size.width)))
            self.position = nn.Parameter(module.zeros((1, patches + 1, size.width)))
            self.blocks = nn.Sequential(
                *[_make_block(nn, functional, size, False) for _ in range(size.layers)]
            )
            self.norm = nn.LayerNorm(size.width)
            self.head = nn.Linear(size.width, size.classes)

        def forward(self, x: Any) -> Any:
            x = self.patch(x).flatten(2).transpose(1, 2)  # (B, patches, width)
            first = self.class_token.expand(x.shape[0], -1, -1)
            x = module.concat([first, x], axis=1) + self.position  # (B, 1 + patches, width)
            return self.head(self.norm(self.blocks(x))[:, 0])

    return ViT()


def make_unet(module: Any, size: UNetSize | None = None) -> Any:
    """A U-Net (Ronneberger et al., 2015) with batch normalization and padded convolutions.

    Shape:
        pictures `(B, 3, pixels, pixels)` → logits `(B, classes, pixels, pixels)`.
    """
    size = size or UNetSize()
    nn = module.nn

    def double(inputs: int, outputs: int) -> Any:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            width = size.width
            self.down0, self.down1 = double(3, width), double(width, 2 * width)
            self.down2, self.bottom = double(2 * width, 4 * width), double(4 * width, 8 * width)
            self.up2 = nn.ConvTranspose2d(8 * width, 4 * width, 2, stride=2)
            self.up1 = nn.ConvTranspose2d(4 * width, 2 * width, 2, stride=2)
            self.up0 = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
            self.join2, self.join1 = double(8 * width, 4 * width), double(4 * width, 2 * width)
            self.join0 = double(2 * width, width)
            self.pool = nn.MaxPool2d(2)
            self.head = nn.Conv2d(width, size.classes, 1)

        def forward(self, x: Any) -> Any:
            level0 = self.down0(x)
            level1 = self.down1(self.pool(level0))
            level2 = self.down2(self.pool(level1))
            x = self.bottom(self.pool(level2))
            x = self.join2(module.concat([self.up2(x), level2], axis=1))
            x = self.join1(module.concat([self.up1(x), level1], axis=1))
            x = self.join0(module.concat([self.up0(x), level0], axis=1))
            return self.head(x)

    return UNet()


MODELS: dict[str, Callable[..., Any]] = {
    "mlp": make_mlp,
    "cnn": make_cnn,
    "resnet": make_resnet,
    "gpt": make_gpt,
    "lstm": make_lstm,
    "vit": make_vit,
    "unet": make_unet,
}


def weights(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    """Weights that depend on names and shapes alone.

    Matrices are normal with standard deviation 1/√fan-in (embeddings and positions: 0.02), biases
    and running means 0, scales and running variances 1.

    Args:
        shapes: the shape of each parameter and buffer.
        seed: which weights.
    """
    made = {}
    for number, (name, shape) in enumerate(sorted(shapes.items())):
        if name.endswith("num_batches_tracked"):
            made[name] = np.zeros(shape, np.int64)
        elif len(shape) < 2:
            is_zero = "bias" in name or name.endswith("running_mean")
            made[name] = (np.zeros if is_zero else np.ones)(shape, np.float32)
        else:
            generator = np.random.Generator(np.random.Philox(key=[seed, number]))
            is_table = any(part in name for part in ("token", "position"))
            scale = 0.02 if is_table else int(np.prod(shape[1:])) ** -0.5
            made[name] = (generator.standard_normal(shape) * scale).astype(np.float32)
    return made


def tokens(size: GPTSize | LSTMSize, steps: int, seed: int = 1) -> np.ndarray:
    """Batches of text with something to learn, int64 `(steps, B, T + 1)`.

    Each row walks through a fixed cycle of the vocabulary with a stride of its own and makes a
    random jump now and then.
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, 0]))
    shape = (steps, size.batch, size.length + 1)
    stride = generator.integers(1, 8, shape[:2] + (1,))
    jump = generator.integers(0, size.vocabulary, shape) * (generator.random(shape) < 0.1)
    return np.cumsum(stride + jump, axis=-1) % size.vocabulary


def batches(
    model: str, size: Any, count: int, seed: int = 1
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Inputs and targets of `count` training steps; pictures are NCHW.

    The classes of pictures shift their mean, so that there is something to learn.
    """
    if model in ("gpt", "lstm"):
        rows = tokens(size, count, seed)
        return [(row[:, :-1], row[:, 1:]) for row in rows]
    generator = np.random.Generator(np.random.Philox(key=[seed, 1]))
    shape: tuple[int, ...] = {
        "mlp": lambda: (size.inputs,),
        "cnn": lambda: (1, 28, 28),
    }.get(model, lambda: (3, size.pixels, size.pixels))()
    found = []
    for _ in range(count):
        labels_shape = (size.batch, *(shape[1:] if model == "unet" else ()))
        labels = generator.integers(0, size.classes, labels_shape)
        pictures = generator.standard_normal((size.batch, *shape), np.float32)
        if model == "unet":
            pictures += 0.1 * labels[:, None].astype(np.float32)
        else:
            pictures += 0.1 * labels.reshape(-1, *[1] * len(shape)).astype(np.float32)
        found.append((pictures, labels))
    return found
