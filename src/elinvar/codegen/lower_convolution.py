"""Convolutions as steps on the product kernel: which operand gives rows, which columns.

    channels last    rows are output positions, columns output channels
    channels first   rows are output channels, columns output positions

Either way what is written next to each other is computed next to each other, and the operands are
read where they stand. The order of k is the same, so the bits are.
"""

from __future__ import annotations

from elinvar.codegen.lower_winograd import WinogradLowering
from elinvar.codegen.products import Axes, Result, Side
from elinvar.core.shapes import DimLike, size
from elinvar.graph.ir import Node
from elinvar.kernels.plan import Place
from elinvar.passes.winograd import winograd

SMALL_PLANE = 256  # below this many output positions, samples of a convolution share panels
Dims = list[tuple[DimLike, DimLike]]  # (extent, stride)


class _Parts:
    """The dims of a convolution's operands and result by their role, as (extent, stride)."""

    def __init__(self, node: Node, xs: tuple[DimLike, ...], ws: tuple[DimLike, ...]) -> None:
        x, w = node.operands
        p = node.params
        spatial = range(2, x.type.rank)
        groups, batch_groups = p["groups"], p["batch_groups"]
        result = node.results[0].shape
        self.places = result[1:-1] if p["channels_last"] else result[2:]
        self.count = groups * batch_groups
        self.filters = w.shape[0] // self.count
        self.samples = x.shape[0] // batch_groups
        channels = x.shape[1] // groups
        self.x_batch: Dims = [(batch_groups, xs[0] * self.samples), (groups, xs[1] * channels)]
        self.w_batch: Dims = [(batch_groups, ws[0] * self.filters), (groups, ws[0] * self.filters)]
        strides = zip(self.places, spatial, p["stride"], strict=True)
        self.positions: Dims = [(n, xs[i] * s) for n, i, s in strides]
        window = zip(spatial, p["dilation"], strict=True)
        x_window: Dims = [(w.shape[i], xs[i] * d) for i, d in window]
        w_window: Dims = [(w.shape[i], ws[i]) for i in spatial]
        x_channels, w_channels = (channels, xs[1]), (channels, ws[1])
        if p["channels_inner"]:
            self.x_depth, self.w_depth = [*x_window, x_channels], [*w_window, w_channels]
        else:
            self.x_depth, self.w_depth = [x_channels, *x_window], [w_channels, *w_window]


class ConvolutionLowering(WinogradLowering):
    """Convolutions without padding and input dilation (see `passes/legalize.py`)."""

    def _lower_convolution(self, node: Node) -> None:
        """By Winograd's algorithm or directly; both stand there where sizes decide."""
        tiled = winograd(node)
        if tiled is None:
            self._direct(node)
            return
        found, is_used = tiled
        self._winograd(node, found, is_used)
        try:
            is_used({})
        except KeyError:
            before = len(self.steps)
            self._direct(node)
            self._only(self.steps[before:], node, lambda sizes: not is_used(sizes))

    def _direct(self, node: Node) -> None:
        x, w = node.operands
        image, xs = self.operand(x)
        weights, ws = self.operand(w)
        parts = _Parts(node, tuple(xs), tuple(ws))
        samples = (parts.samples, xs[0])
        filters = (parts.filters, ws[0])
        if node.params["channels_last"]:
            self._channels_last(node, parts, image, weights, samples, filters)
        else:
            self._channels_first(node, parts, image, weights, samples, filters)

    def _channels_last(
        self,
        node: Node,
        parts: _Parts,
        image: Place,
        weights: Place,
        samples: tuple[DimLike, DimLike],
        filters: tuple[DimLike, DimLike],
    ) -> None:
        """[samples × positions, k] times [k, filters]."""
        out = parts.count * parts.filters
        plane = size(parts.places)
        targets: Dims = []
        step = out
        for extent in reversed(parts.places):
            targets.insert(0, (extent, step))
            step = step * extent
        rows, row_targets = [samples, *parts.positions], [(samples[0], plane * out), *targets]
        if samples[1] == 1:  # neighbours in memory are neighbouring rows
            rows, row_targets = [*rows[1:], rows[0]], [*row_targets[1:], row_targets[0]]
        (batch_groups, _), (groups, _) = parts.x_batch
        batch = [(batch_groups, parts.filters), (groups, parts.filters)]
        self._multiply(
            node,
            Side(image, Axes(parts.x_batch), Axes(rows), Axes(parts.x_depth)),
            Side(weights, Axes(parts.w_batch), Axes([filters]), Axes(parts.w_depth)),
            Result(Axes(batch), Axes(row_targets), Axes([(parts.filters, 1)])),
        )

    def _channels_first(
        self,
        node: Node,
        parts: _Parts,
        image: Place,
        weights: Place,
        samples: tuple[DimLike, DimLike],
        filters: tuple[DimLike, DimLike],
    ) -> None:
        """[filters, k] times [k, positions] for each sample, or for all at once."""
        plane = size(parts.places)
        if parts.count == 1 and isinstance(plane, int) and plane < SMALL_PLANE:
            # few positions per sample: let the samples be columns too
            count = samples[0]
            columns = [(count, parts.filters * plane), (plane, 1)]
            self._multiply(
                node,
                Side(weights, Axes([]), Axes([filters]), Axes(parts.w_depth)),
                Side(image, Axes([]), Axes([samples, *parts.positions]), Axes(parts.x_depth)),
                Result(Axes([]), Axes([(parts.filters, plane)]), Axes(columns)),
            )
            return
        self._multiply(
            node,
            Side(
                weights,
                Axes([(samples[0], 0), *parts.w_batch]),
                Axes([filters]),
                Axes(parts.w_depth),
            ),
            Side(
                image,
                Axes([samples, *parts.x_batch]),
                Axes(parts.positions),
                Axes(parts.x_depth),
            ),
        )
