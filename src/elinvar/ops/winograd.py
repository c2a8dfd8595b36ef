"""Which convolutions are computed by Winograd's algorithm F(4×4, 3×3), and in which pieces.

A tile of 4 × 4 results of a 3 × 3 window sees 6 × 6 elements. Seen as polynomials, tile and kernel
are multiplied at 36 points, with 36 products where the window itself has 144:

    Y = Aᵀ [(G g Gᵀ) · (Bᵀ d B)] A                   d: 6 × 6 of the image, g: 3 × 3, Y: 4 × 4

summed over the channels between the brackets. The gradient with respect to the kernel is the same
read from the other end, summed over all tiles:

    Gᵀ [(Bᵀ d B) · (A y Aᵀ)] G                       y: 4 × 4 of the gradient of the results

Which convolutions are done so depends on channels and planes alone. The number of samples has no
say, so that a batch has the bits of its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from elinvar.core import dtypes
from elinvar.core.shapes import DimLike, evaluate
from elinvar.core.sizing import both, ceil_div, same
from elinvar.core.types import TensorType

Sizes = Mapping[str, int]
TILE, SEEN, WINDOW = 4, 6, 3
POINTS = SEEN * SEEN
CHANNELS = 16  # channels go in groups of so many
MOST_CHANNELS = 512  # transformed, the tiles of more would not stay in the cache
GAIN = 2  # how many times fewer products there must be at least


class Winograd(NamedTuple):
    """A convolution as tiles. `by_kernel`: the gradient with respect to the kernel.

    Attributes:
        samples: of the batch.
        inputs, outputs: channels of the image and of the results (or their gradient).
        height, width: of the plane of results (or of their gradient).
    """

    by_kernel: bool
    samples: DimLike
    inputs: DimLike
    outputs: DimLike
    height: DimLike
    width: DimLike

    def plane(self, sizes: Sizes) -> tuple[int, int]:
        """(tiles from top to bottom, tiles from left to right)"""
        height, width = evaluate(self.height, sizes), evaluate(self.width, sizes)
        return ceil_div(height, TILE), ceil_div(width, TILE)

    def tiles(self, sizes: Sizes) -> int:
        """Tiles of all samples."""
        down, across = self.plane(sizes)
        return evaluate(self.samples, sizes) * down * across

    def is_used(self, sizes: Sizes) -> Any:
        """The rule. It does not look at the number of samples."""

        def fits(channels: Any) -> Any:
            between = both(channels > 0, lambda: channels <= MOST_CHANNELS)
            return both(between, lambda: same(channels % CHANNELS, 0))

        def pays() -> Any:
            down, across = self.plane(sizes)
            places = evaluate(self.height, sizes) * evaluate(self.width, sizes)
            spent = GAIN * down * across * POINTS
            return both(spent > 0, lambda: places * WINDOW**2 >= spent)

        outputs = evaluate(self.outputs, sizes)
        narrow = both(fits(evaluate(self.inputs, sizes)), lambda: fits(outputs))
        return both(narrow, pays)

    def products(self, sizes: Sizes) -> int:
        """How many multiplications there are at the points."""
        both = evaluate(self.inputs, sizes) * evaluate(self.outputs, sizes)
        return self.tiles(sizes) * POINTS * both


Used = Callable[[Sizes], Any]


def winograd_of(
    x: TensorType, w: TensorType, places: tuple[DimLike, ...], params: Mapping[str, Any]
) -> tuple[Winograd, Used] | None:
    """A convolution as tiles, and for which sizes it is used; None: for none.

    `places`: the plane of results. 16-bit floats are widened as they are read, and the results,
    in f32, rounded once. Padding is not looked at: it becomes an operation of its own.
    """
    if dtypes.accumulator(x.dtype) is not dtypes.float32 or x.rank != 4:
        return None
    if params["groups"] != 1 or params["batch_groups"] != 1:
        return None
    if any(params[name] != (1, 1) for name in ("stride", "dilation", "input_dilation")):
        return None
    if params["channels_inner"]:
        window, found = w.shape[2:], Winograd(False, x.shape[0], x.shape[1], w.shape[0], *places)
    else:  # samples stand where channels are summed
        window = places
        found = Winograd(True, x.shape[1], x.shape[0], w.shape[0], *w.shape[2:])

    def is_used(sizes: Sizes) -> Any:
        height, width = (same(evaluate(n, sizes), WINDOW) for n in window)
        return both(both(height, width), lambda: found.is_used(sizes))

    try:
        return (found, is_used) if is_used({}) else None
    except KeyError:  # symbolic sizes
        return found, is_used
