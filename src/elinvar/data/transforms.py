"""Transforms of whole batches of images and sequences, for `Pipeline.augment`.

A transform takes a batch as a numpy array and `Draws`, which give one random number for each sample
at every call. Images are uint8 or float, channels first or last: the axis of 1, 3 or 4 elements
that stands first or last in an image says which, or `channels_last` does. uint8 stays uint8
(rounded to nearest), except in `Normalise`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from elinvar.core.errors import DTypeError, ShapeError, ValueRangeError, fail
from elinvar.data.counters import Draws

Array = npt.NDArray[Any]


class Transform:
    """A transform of images.

    Args:
        channels_last: where channels stand; None: seen from the shape.
    """

    def __init__(self, channels_last: bool | None = None) -> None:
        self.channels_last = channels_last

    def _axes(self, images: Array) -> tuple[int, int, int]:
        """The axes of height, width and channels."""
        name = type(self).__name__
        if images.ndim != 4:
            text = f"expected images with three axes each, received shape {list(images.shape[1:])}"
            fail(ShapeError, name, text)
        last = self.channels_last
        if last is None:
            first_fits, last_fits = images.shape[1] in (1, 3, 4), images.shape[3] in (1, 3, 4)
            if first_fits == last_fits:
                text = f"the shape {list(images.shape[1:])} does not say where channels stand"
                fail(ShapeError, name, text, "give channels_last=True or False")
            last = last_fits
        return (1, 2, 3) if last else (2, 3, 1)


def _per_image(values: Array, ndim: int, dtype: Any = np.float32) -> Array:
    return values.astype(dtype).reshape(-1, *(1,) * (ndim - 1))


def _back(values: Array, dtype: np.dtype[Any]) -> Array:
    """Floats in the dtype of the images: uint8 is rounded and bounded."""
    if dtype == np.uint8:
        np.clip(values, 0, 255, values)
        np.rint(values, values)
    return values.astype(dtype, copy=False)


class Flip(Transform):
    """Mirror images at random.

    Args:
        probability: of each image.
        vertical: upside down instead of left to right.
        channels_last: see the module.
    """

    def __init__(
        self,
        probability: float = 0.5,
        vertical: bool = False,
        channels_last: bool | None = None,
    ) -> None:
        super().__init__(channels_last)
        self.probability, self.vertical = _share("Flip", "probability", probability), vertical

    def __call__(self, images: Array, draws: Draws) -> Array:
        height, width, _ = self._axes(images)
        chosen = draws.chance(self.probability)
        found = images.copy()
        found[chosen] = np.flip(images[chosen], height if self.vertical else width)
        return found


class Crop(Transform):
    """Cut a random window out of images, with a border around them.

    Args:
        size: (height, width), or one number for both; None for the images' own size.
        padding: of the border.
        fill: its value; `"reflect"` mirrors the image.
        channels_last: see the module.
    """

    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        padding: int = 0,
        fill: float | str = 0,
        channels_last: bool | None = None,
    ) -> None:
        super().__init__(channels_last)
        self.size = (size, size) if isinstance(size, int) else size
        self.padding, self.fill = padding, fill
        if padding < 0:
            fail(ValueRangeError, "Crop", f"padding must be 0 or more, not {padding}")

    def __call__(self, images: Array, draws: Draws) -> Array:
        axes = self._axes(images)
        rows, columns = images.shape[axes[0]], images.shape[axes[1]]
        height, width = self.size or (rows, columns)
        border = [(0, 0)] * 4
        border[axes[0]] = border[axes[1]] = (self.padding, self.padding)
        if self.padding and self.fill == "reflect":
            images = np.pad(images, border, "reflect")
        elif self.padding:
            images = np.pad(images, border, constant_values=self.fill)
        room = images.shape[axes[0]] - height, images.shape[axes[1]] - width
        if min(room) < 0:
            text = f"a window of {height} × {width} does not fit into {rows} × {columns}"
            fail(ShapeError, "Crop", text, "take a smaller size or more padding")
        tops, lefts = draws.integers(room[0] + 1), draws.integers(room[1] + 1)
        windows = np.lib.stride_tricks.sliding_window_view(
            images, (height, width), (axes[0], axes[1])
        )
        every = np.arange(len(images))
        if axes[0] == 1:  # (N, rows, columns, C, height, width)
            return np.ascontiguousarray(np.moveaxis(windows[every, tops, lefts], 1, -1))
        return np.ascontiguousarray(windows[every, :, tops, lefts])  # (N, C, height, width)


class Cutout(Transform):
    """Blank out a square at a random place, which may reach over the edge.

    Source: DeVries, Taylor: Improved regularization of convolutional networks with Cutout (2017).

    Args:
        size: of the square.
        fill: its value.
        probability: of each image.
        channels_last: see the module.
    """

    def __init__(
        self,
        size: int,
        fill: float = 0,
        probability: float = 1.0,
        channels_last: bool | None = None,
    ) -> None:
        super().__init__(channels_last)
        if size < 1:
            fail(ValueRangeError, "Cutout", f"size must be 1 or more, not {size}")
        self.size, self.fill = size, fill
        self.probability = _share("Cutout", "probability", probability)

    def __call__(self, images: Array, draws: Draws) -> Array:
        axes = self._axes(images)
        chosen = draws.chance(self.probability)
        inside = _rectangles(images, axes, draws, self.size, self.size)
        mask = inside & chosen[:, None, None]
        return np.where(np.expand_dims(mask, axes[2]), np.asarray(self.fill, images.dtype), images)


def _rectangles(images: Array, axes: Any, draws: Draws, height: Any, width: Any) -> Array:
    """Masks of rectangles around random centres, of shape (N, height, width)."""
    rows, columns = images.shape[axes[0]], images.shape[axes[1]]
    tops = draws.integers(rows) - np.asarray(height) // 2
    lefts = draws.integers(columns) - np.asarray(width) // 2
    down, right = np.arange(rows), np.arange(columns)
    vertical = (down >= tops[:, None]) & (down < (tops + height)[:, None])
    horizontal = (right >= lefts[:, None]) & (right < (lefts + width)[:, None])
    found: Array = vertical[:, :, None] & horizontal[:, None, :]
    return found


class Brightness(Transform):
    """Multiply images by random factors.

    y = x · f, f in 1 - amount … 1 + amount

    Args:
        amount: in 0 … 1.
    """

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.amount = _share("Brightness", "amount", amount)

    def __call__(self, images: Array, draws: Draws) -> Array:
        factors = draws.uniform(1 - self.amount, 1 + self.amount)
        return _back(images * _per_image(factors, images.ndim), images.dtype)


class Contrast(Transform):
    """Move the pixels of images away from their mean, or towards it.

    y = m + (x - m) · f, f in 1 - amount … 1 + amount, m the mean of the image

    Args:
        amount: in 0 … 1.
    """

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.amount = _share("Contrast", "amount", amount)

    def __call__(self, images: Array, draws: Draws) -> Array:
        factors = _per_image(draws.uniform(1 - self.amount, 1 + self.amount), images.ndim)
        axes = tuple(range(1, images.ndim))
        middle = images.mean(axes, np.float64, keepdims=True).astype(np.float32)
        return _back(middle + (images - middle) * factors, images.dtype)


class Normalise(Transform):
    """Floats with a mean and a spread.

    y = (x / scale - mean) / std, by channel

    Args:
        mean, std: one number, or one for each channel.
        scale: 255 for uint8 and 1 for floats, unless given.
        channels_last: see the module.
    """

    def __init__(
        self,
        mean: float | Sequence[float],
        std: float | Sequence[float],
        scale: float | None = None,
        channels_last: bool | None = None,
    ) -> None:
        super().__init__(channels_last)
        self.mean, self.std = np.asarray(mean, np.float32), np.asarray(std, np.float32)
        self.scale = scale
        if not (self.std > 0).all():
            fail(ValueRangeError, "Normalise", f"std must be above 0, received {std}")

    def __call__(self, images: Array, draws: Draws) -> Array:
        scale = self.scale or (255.0 if images.dtype == np.uint8 else 1.0)
        factor, shift = 1 / (scale * self.std), self.mean / self.std
        if factor.ndim or shift.ndim:
            channels = self._axes(images)[2]
            shape = [1] * images.ndim
            shape[channels] = -1
            if images.shape[channels] != max(factor.size, shift.size):
                text = f"{max(factor.size, shift.size)} values for {images.shape[channels]}"
                fail(ShapeError, "Normalise", f"{text} channels")
            factor = factor.reshape(shape) if factor.ndim else factor
            shift = shift.reshape(shape) if shift.ndim else shift
        found = np.multiply(images, factor.astype(np.float32), dtype=np.float32)
        found -= shift.astype(np.float32)
        return found


class Window:
    """Cut a random piece of a given length out of sequences.

    Args:
        length: of the piece; the sequences must be as long at least.
    """

    def __init__(self, length: int) -> None:
        if length < 1:
            fail(ValueRangeError, "Window", f"length must be 1 or more, not {length}")
        self.length = length

    def __call__(self, sequences: Array, draws: Draws) -> Array:
        room = sequences.shape[1] - self.length
        if room < 0:
            text = f"a window of {self.length} does not fit into length {sequences.shape[1]}"
            fail(ShapeError, "Window", text, "filter short sequences out before")
        starts = draws.integers(room + 1)
        return sequences[
            np.arange(len(sequences))[:, None], starts[:, None] + np.arange(self.length)
        ]


class _Mixing(Transform):
    """What mixes each sample with another of the batch, and its target, too."""

    def __init__(self, alpha: float, classes: int, target: Any, channels_last: bool | None) -> None:
        super().__init__(channels_last)
        if not alpha > 0:
            fail(ValueRangeError, type(self).__name__, f"alpha must be above 0, not {alpha}")
        self.alpha, self.classes, self.target = alpha, classes, target

    def mix(self, batch: Any, field: Any, draws: Draws) -> Any:
        """The batch with images and targets mixed; targets become shares of the classes."""
        name = type(self).__name__
        if field is None:
            fail(DTypeError, name, "the batch is one array: there is no target to mix")
        target = self.target
        if target is None:
            known = ("target", "label", "y") if isinstance(batch, dict) else (len(batch) - 1,)
            there = [key for key in known if not isinstance(batch, dict) or key in batch]
            if not there:
                text = f"no target among {', '.join(map(str, batch))}"
                fail(ValueRangeError, name, text, "give target='…'")
            target = there[0]
        images, targets = np.asarray(batch[field]), np.asarray(batch[target])
        if targets.ndim == 1:
            targets = np.eye(self.classes, dtype=np.float32)[targets]
        partners = np.argsort(draws.uniform(), kind="stable")
        images, shares = self._mixed(images, images[partners], self._shares(draws), draws)
        shares = _per_image(shares, targets.ndim)
        targets = shares * targets + (1 - shares) * targets[partners]
        parts = dict(batch) if isinstance(batch, dict) else list(batch)
        parts[field], parts[target] = images, targets
        return parts if isinstance(batch, dict) else type(batch)(parts)

    def _shares(self, draws: Draws) -> Array:
        """Of Beta(α, α), by Jöhnk's way: u^(1/α) / (u^(1/α) + v^(1/α)) where the sum is ≤ 1."""
        found = np.full(draws.count, 0.5)
        open_ = np.ones(draws.count, bool)
        for _ in range(64):
            u, v = draws.uniform() ** (1 / self.alpha), draws.uniform() ** (1 / self.alpha)
            fits = open_ & (u + v <= 1) & (u + v > 0)
            found[fits] = u[fits] / (u + v)[fits]
            open_ &= ~fits
            if not open_.any():
                break
        return found

    def _mixed(self, a: Array, b: Array, shares: Array, draws: Draws) -> tuple[Array, Array]:
        return a, shares


class Mixup(_Mixing):
    """Mix each image, and its target, with another of the batch.

    y = λ · x + (1 - λ) · x', λ of Beta(α, α)

    Behind `batch` only, since the partner depends on the batch. Targets become float32 shares.
    Source: Zhang, Cisse, Dauphin, Lopez-Paz: mixup: beyond empirical risk minimization (2018).

    Args:
        classes: the number of classes.
        alpha: α; small values mix little.
        target: the targets' place; None: a tuple's last part, or the entry called `target`,
            `label` or `y`.
    """

    def __init__(self, classes: int, alpha: float = 0.2, target: Any = None) -> None:
        super().__init__(alpha, classes, target, None)

    def _mixed(self, a: Array, b: Array, shares: Array, draws: Draws) -> tuple[Array, Array]:
        factors = _per_image(shares, a.ndim)
        return _back(factors * a + (1 - factors) * b, a.dtype), shares


class CutMix(_Mixing):
    """Put a rectangle of another image of the batch into each, and mix the targets by its area.

    Behind `batch` only. Source: Yun and others: CutMix (2019).

    Args:
        classes: the number of classes.
        alpha: of the Beta(α, α) that the areas come from.
        target: as of `Mixup`.
        channels_last: see the module.
    """

    def __init__(
        self,
        classes: int,
        alpha: float = 1.0,
        target: Any = None,
        channels_last: bool | None = None,
    ) -> None:
        super().__init__(alpha, classes, target, channels_last)

    def _mixed(self, a: Array, b: Array, shares: Array, draws: Draws) -> tuple[Array, Array]:
        axes = self._axes(a)
        sides = np.sqrt(1 - shares)
        height = (sides * a.shape[axes[0]]).astype(np.int64)
        width = (sides * a.shape[axes[1]]).astype(np.int64)
        inside = _rectangles(a, axes, draws, height, width)
        kept = 1 - inside.mean((1, 2))
        return np.where(np.expand_dims(inside, axes[2]), b, a), kept


def _share(op: str, name: str, value: float) -> float:
    if not 0 <= value <= 1:
        fail(ValueRangeError, op, f"{name} must be in 0 … 1, not {value}")
    return value


__all__ = [
    "Brightness",
    "Contrast",
    "Crop",
    "CutMix",
    "Cutout",
    "Flip",
    "Mixup",
    "Normalise",
    "Transform",
    "Window",
]
