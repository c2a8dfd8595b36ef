"""Folders of images, through Pillow."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from elinvar.core.errors import DataError, DataMissingError, ShapeError, ValueRangeError, fail
from elinvar.data.counters import Integers
from elinvar.data.files import need
from elinvar.data.source import Source

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


class Decoder:
    """Images as uint8 arrays.

    Args:
        size: (height, width) to which images are scaled; None leaves them.
        mode: Pillow's name of the kind of pixel: `"RGB"`, `"L"`, `"RGBA"`.
        channels_last: (height, width, channels) instead of (channels, height, width).
    """

    def __init__(self, size: Any, mode: str, channels_last: bool) -> None:
        if isinstance(size, int):
            size = (size, size)
        if size is not None and (len(size) != 2 or min(size) < 1):
            fail(ValueRangeError, "image_folder", f"size must be (height, width), not {size!r}")
        if mode not in ("RGB", "L", "RGBA"):
            text = f"mode must be 'RGB', 'L' or 'RGBA', not {mode!r}"
            fail(ValueRangeError, "image_folder", text)
        self.size, self.mode, self.channels_last = size, mode, channels_last
        self._images = need("PIL.Image", "pillow", "reading images")

    def __getstate__(self) -> Any:
        return self.size, self.mode, self.channels_last

    def __setstate__(self, state: Any) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def __call__(self, content: Any) -> np.ndarray[Any, Any]:
        """One image, from a path or from bytes.

        Raises:
            DataError: it has more pixels than Pillow's limit.
        """
        source = io.BytesIO(content) if isinstance(content, bytes) else content
        with self._images.open(source) as image:
            limit = self._images.MAX_IMAGE_PIXELS
            if limit is not None and image.width * image.height > limit:
                text = f"an image of {image.width} × {image.height} pixels is above the limit"
                fail(DataError, "image_folder", f"{text} of {limit} pixels")
            if self.size is not None:
                height, width = self.size
                if image.format == "JPEG":  # decodes at ½, ¼ or ⅛ of the size where that is enough
                    image.draft(self.mode, (width, height))
                found = image if image.mode == self.mode else image.convert(self.mode)
                if found.size != (width, height):
                    found = found.resize((width, height), self._images.Resampling.BILINEAR)
            else:
                found = image if image.mode == self.mode else image.convert(self.mode)
            pixels = np.asarray(found)
        if pixels.ndim == 2:
            pixels = pixels[:, :, None]
        return pixels if self.channels_last else pixels.transpose(2, 0, 1)


class ImageFolder(Source):
    """Images in folders by class: `path/cat/1.jpg` is of class `cat`.

    Attributes:
        classes: names of the classes in order; the place is the label. Empty without classes.
    """

    takes_batches = True

    def __init__(self, path: str | os.PathLike[str], decoder: Decoder, labels: bool) -> None:
        self._root, self._decoder = os.fspath(path), decoder
        if not os.path.isdir(self._root):
            fail(DataMissingError, "image_folder", f"{self._root!r} is not a folder")
        self.classes: list[str] = []
        found = sorted(os.scandir(self._root), key=lambda entry: entry.name)
        folders = [entry for entry in found if entry.is_dir()]
        names, numbers = [], []
        if labels:
            if not folders:
                text = f"{self._root!r} has no folders, which would be the classes"
                fail(DataError, "image_folder", text, "labels=False gives images without labels")
            self.classes = [entry.name for entry in folders]
        for number, entry in enumerate(folders if labels else [None]):
            base = self._root if entry is None else entry.path
            for name in _images_in(base):
                names.append(os.path.relpath(name, self._root))
                numbers.append(number)
        if not names:
            text = f"there is no image in {self._root!r}"
            fail(DataError, "image_folder", text, f"images end in {', '.join(SUFFIXES)}")
        self._names, self._labels = names, np.array(numbers, np.int64)
        self._with_labels = labels
        self.name = "image_folder"

    def contents(self) -> tuple[list[Any], list[str], list[Any]]:
        """The folder."""
        return [], [self._root], []

    def __len__(self) -> int:
        return len(self._names)

    def path(self, index: int) -> str:
        """The file of a sample."""
        return os.path.join(self._root, self._names[index])

    def __getitem__(self, index: int) -> Any:
        image = self._decoder(self.path(index))
        return (image, self._labels[index]) if self._with_labels else image

    def take(self, indices: range | Integers, epochs: int | Integers) -> Any:
        """Images in one array, and their labels; each is decoded straight to its place."""
        found = None
        for row, index in enumerate(indices):
            if self.told is not None:
                self.told(int(index))
            image = self._decoder(self.path(int(index)))
            if found is None:
                found = np.empty((len(indices), *image.shape), np.uint8)
            if image.shape != found.shape[1:]:
                self._fail_about(int(indices[0]), found.shape[1:], int(index), image.shape)
            found[row] = image
        labels = self._labels[np.asarray(indices)]
        return (found, labels) if self._with_labels else found

    def _fail_about(self, first: int, shape: Sequence[int], other: int, wrong: Any) -> None:
        text = f"images of a batch have different shapes: {self.path(first)} {list(shape)}"
        text += f" and {self.path(other)} {list(wrong)}"
        fail(ShapeError, "image_folder", text, "give size=(height, width)")

    def describe(self, index: int) -> str:
        """The file of a sample."""
        return self.path(index)


def _images_in(folder: str) -> list[str]:
    found = []
    for base, folders, names in os.walk(folder):
        folders.sort()
        found += [os.path.join(base, n) for n in sorted(names) if n.lower().endswith(SUFFIXES)]
    return found
