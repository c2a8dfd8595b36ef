"""Sizes of the models: the defaults are the ones the figures are about, `TINY` is for tests."""

from __future__ import annotations

from typing import Any, NamedTuple


class MLPSize(NamedTuple):
    """A perceptron with two hidden layers."""

    inputs: int = 784
    hidden: int = 512
    classes: int = 10
    batch: int = 128


class CNNSize(NamedTuple):
    """The demo's network for pictures of 28 × 28."""

    classes: int = 10
    batch: int = 128


class ResNetSize(NamedTuple):
    """ResNet-18 for small pictures: a 3 × 3 stem, no pooling before the blocks."""

    width: int = 64
    pixels: int = 32
    classes: int = 10
    batch: int = 64


class GPTSize(NamedTuple):
    """A small GPT."""

    vocabulary: int = 128
    width: int = 256
    layers: int = 4
    heads: int = 8
    length: int = 128
    batch: int = 8


class LSTMSize(NamedTuple):
    """A language model of characters with LSTM layers."""

    vocabulary: int = 128
    width: int = 256
    layers: int = 2
    length: int = 64
    batch: int = 32


class ViTSize(NamedTuple):
    """ViT-tiny (width 192, 12 layers, 3 heads) on patches of 4 × 4."""

    width: int = 192
    layers: int = 12
    heads: int = 3
    pixels: int = 32
    patch: int = 4
    classes: int = 10
    batch: int = 32


class UNetSize(NamedTuple):
    """A U-Net of three levels for pictures of 64 × 64."""

    width: int = 32
    pixels: int = 64
    classes: int = 4
    batch: int = 8


SIZES: dict[str, Any] = {
    "mlp": MLPSize,
    "cnn": CNNSize,
    "resnet": ResNetSize,
    "gpt": GPTSize,
    "lstm": LSTMSize,
    "vit": ViTSize,
    "unet": UNetSize,
}

TINY: dict[str, Any] = {
    "mlp": MLPSize(12, 16, 5, 4),
    "cnn": CNNSize(10, 4),
    "resnet": ResNetSize(4, 16, 5, 3),
    "gpt": GPTSize(13, 16, 2, 4, 6, 2),
    "lstm": LSTMSize(11, 8, 2, 5, 3),
    "vit": ViTSize(12, 2, 3, 8, 4, 5, 2),
    "unet": UNetSize(4, 16, 3, 2),
}
