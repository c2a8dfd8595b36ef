"""Fashion-MNIST: 70,000 pictures of clothes in ten classes (Xiao, Rasul and Vollgraf, 2017)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from elinvar.core.errors import DataError, DataMissingError, ValueRangeError, fail
from elinvar.core.settings import settings
from elinvar.data.fetch import File, obtain, read_checked
from elinvar.data.idx import parse_idx

Arrays = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]

FASHION_CLASSES = (
    "T-shirt", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

_FILES = {
    "train": (
        File(
            "train-images-idx3-ubyte.gz",
            47_040_016,
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        File(
            "train-labels-idx1-ubyte.gz",
            60_008,
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
    ),
    "test": (
        File(
            "t10k-images-idx3-ubyte.gz",
            7_840_016,
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        File(
            "t10k-labels-idx1-ubyte.gz",
            10_008,
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
}
_DEBIAN = Path("/usr/share/datasets/fashion-mnist")
_UNPACKED = Path(".data/usr/share/datasets/fashion-mnist")  # where `make data` unpacks the package
_ADDRESSES = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
)


def fashion_mnist(
    split: str = "train", folder: str | os.PathLike[str] | None = None, download: bool = True
) -> Arrays:
    """Fashion-MNIST: grey pictures of 28 × 28 pixels and their classes.

    Looked for in this order: Elinvar's cache folder, the folder of Debian's package
    `dataset-fashion-mnist`, `.data/` below the working directory (where `make data` unpacks that
    package without root), then the publisher's addresses. Every file is checked by its SHA-256.

    Args:
        split: `"train"` (60,000 pictures) or `"test"` (10,000).
        folder: read the four .gz files from this folder and nowhere else.
        download: whether the network may be used.

    Returns:
        images: uint8 `(N, 1, 28, 28)`, 0 to 255.
        labels: int64 `(N,)`, indices into `elinvar.data.FASHION_CLASSES`.

    Raises:
        DataMissingError: the files are nowhere to be had.
        DataError: a file in `folder` is damaged.
    """
    if split not in _FILES:
        fail(ValueRangeError, "fashion_mnist", f"split must be 'train' or 'test', not {split!r}")
    contents = []
    for file in _FILES[split]:
        if folder is not None:
            path = Path(folder) / file.name
            if not path.is_file():
                fail(DataMissingError, "fashion_mnist", f"there is no {path}")
            contents.append(read_checked(path, file))
            continue
        cache = settings.cache_dir / "data" / "fashion-mnist" if settings.cache_dir else None
        folders = [place for place in (cache, _DEBIAN, _UNPACKED) if place is not None]
        contents.append(obtain(file, folders, _ADDRESSES if download else (), cache))
    images = parse_idx(contents[0], _FILES[split][0].name)
    labels = parse_idx(contents[1], _FILES[split][1].name)
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        fail(DataError, "fashion_mnist", f"{images.shape} pictures and {labels.shape} labels")
    count, height, width = images.shape
    return images.astype(np.uint8).reshape(count, 1, height, width), labels.astype(np.int64)


def digits(split: str = "train", size: int = 8) -> Arrays:
    """The 1,797 handwritten digits that come with scikit-learn (an optional extra: `data`).

    Args:
        split: `"train"` (the first 1,500 pictures) or `"test"` (the other 297).
        size: the pictures' side: the 8 × 8 originals are enlarged by the whole factor that fits
            and framed in black.

    Returns:
        images: uint8 `(N, 1, size, size)`, 0 to 255.
        labels: int64 `(N,)`, 0 to 9.

    Raises:
        DataMissingError: scikit-learn is not installed.
    """
    if split not in _FILES:
        fail(ValueRangeError, "digits", f"split must be 'train' or 'test', not {split!r}")
    if size < 8:
        fail(ValueRangeError, "digits", f"size must be at least 8, received {size}")
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        hint = "pip install elinvar[data]"
        fail(DataMissingError, "digits", "scikit-learn is not installed", hint)
    found: Any = load_digits()
    part = slice(0, 1500) if split == "train" else slice(1500, None)
    small = np.clip(found.images[part] * 16, 0, 255).astype(np.uint8)  # (N, 8, 8), 0 to 16 before
    factor = size // 8
    large = small.repeat(factor, axis=1).repeat(factor, axis=2)
    before = (size - 8 * factor) // 2
    images = np.zeros((len(small), 1, size, size), np.uint8)
    inside = slice(before, before + 8 * factor)
    images[:, 0, inside, inside] = large
    return images, found.target[part].astype(np.int64)
