"""Fashion-MNIST for every framework's environment: read with numpy alone, or made up."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (
    Path("/usr/share/datasets/fashion-mnist"),
    ROOT / ".data/usr/share/datasets/fashion-mnist",
)


def training_pictures(samples: int) -> tuple[np.ndarray, np.ndarray, bool]:
    """The first training pictures.

    Returns:
        images: uint8 `(samples, 1, 28, 28)`.
        labels: int64 `(samples,)`.
        real: False where the data set is not here and the pictures are noise.
    """
    for folder in FOLDERS:
        if (folder / "train-images-idx3-ubyte.gz").exists():
            images = np.frombuffer(_bytes(folder / "train-images-idx3-ubyte.gz"), np.uint8, -1, 16)
            labels = np.frombuffer(_bytes(folder / "train-labels-idx1-ubyte.gz"), np.uint8, -1, 8)
            images = images.reshape(-1, 1, 28, 28)[:samples].copy()
            return images, labels[:samples].astype(np.int64), True
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (samples, 1, 28, 28), np.uint8)
    return images, generator.integers(0, 10, samples), False


def _bytes(path: Path) -> bytes:
    with gzip.open(path) as file:
        return file.read()
