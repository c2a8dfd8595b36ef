"""Convolutions as steps on the product kernel: which operand gives rows, which columns.

    channels last    rows are output positions, columns output channels
    channels first   rows are output channels, columns output positions
    many groups      of few channels: rows are output positions, the groups go in lanes

Any way what is written next to each other is computed next to each other, and the operands are
read where they stand. The order of k is the same, so the bits are.
"""

from __future__ import annotations

from collections.abc import Sequence

from elinvar.codegen.lower_lanes import MOST_COLUMNS, LanesLowering, LineAxes, lanes_of
from elinvar.codegen.lower_products import is_better_turned
from elinvar.codegen.lower_winograd import WinogradLowering
from elinvar.codegen.numerics import EXACT
from elinvar.codegen.product_parts import GROUP, tile_for
from elinvar.codegen.products import Axes, Result, Side
from elinvar.core.shapes import DimLike, size
from elinvar.core.sizing import invert
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
        self.channels = channels = x.shape[1] // groups
        # how far groups are apart
        self.lane = xs[1] * channels if groups > 1 else xs[0] * self.samples
        self.w_lane = ws[0] * self.filters
        self.sample_step = xs[0]
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


def _dense(places: Sequence[DimLike], step: DimLike) -> Dims:
    """Row-major dims whose innermost stride is `step`."""
    found: Dims = []
    for extent in reversed(places):
        found.insert(0, (extent, step))
        step = step * extent
    return found


def _side(place: Place, batch: Dims, free: Dims, depth: Dims) -> Side:
    return Side(place, Axes(batch), Axes(free), Axes(depth))


class ConvolutionLowering(WinogradLowering, LanesLowering):
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
            self._only(self.steps[before:], node, lambda sizes: invert(is_used(sizes)))

    def _direct(self, node: Node) -> None:
        x, w = node.operands
        image, xs = self.operand(x)
        weights, ws = self.operand(w)
        parts = _Parts(node, tuple(xs), tuple(ws))
        samples = (parts.samples, xs[0])
        filters = (parts.filters, ws[0])
        if self._in_lanes(node, parts, tuple(xs), tuple(ws)):
            return
        if node.params["channels_last"]:
            self._channels_last(node, parts, image, weights, samples, filters)
        else:
            self._channels_first(node, parts, image, weights, samples, filters)

    def _in_lanes(
        self, node: Node, parts: _Parts, xs: tuple[DimLike, ...], ws: tuple[DimLike, ...]
    ) -> bool:
        """[samples × positions, k] times [k, filters] for all groups side by side, where these are
        many and narrow."""
        x, w = node.operands
        image, weights = self.operand(x)[0], self.operand(w)[0]
        plane, filters, count = size(parts.places), parts.filters, parts.count
        width = lanes_of(count, tile_for(node.results[0].dtype, self.vector_bits))
        if not width or not isinstance(filters, int) or not 0 < filters <= MOST_COLUMNS:
            return False
        if parts.lane != 1 and self._in_lines(node, parts, image, weights, ws[0]):
            return True
        if width < filters:  # panels of columns are fuller than these vectors
            return False
        apart = parts.lane
        if apart != 1 and not self._turns_lanes(node, parts):
            image, xs = self._groups_innermost(node, parts, image, xs)
            parts, apart = _Parts(node, xs, ws), 1
        out = count * filters
        strides: tuple[DimLike, DimLike, DimLike] = (out, filters, 1)
        if not node.params["channels_last"]:
            strides = (1, filters * plane, plane)
        step, lane, column = strides
        rows = [(parts.samples, plane * out), *_dense(parts.places, step)]
        self._lanes_over_batch(
            node,
            count,
            _side(
                image, [(count, apart)], [(parts.samples, xs[0]), *parts.positions], parts.x_depth
            ),
            _side(weights, [(count, ws[0] * filters)], [(filters, ws[0])], parts.w_depth),
            Result(Axes([(count, lane)]), Axes(rows), Axes([(filters, column)])),
        )
        return True

    def _turns_lanes(self, node: Node, parts: _Parts) -> bool:
        """Whether the groups of a sum over positions are turned as they are read: positions must be
        innermost in memory, and results few."""
        if node.params["batch_groups"] == 1 or not parts.places:
            return False
        depth = size(extent for extent, _ in parts.x_depth)
        is_long = not isinstance(depth, int) or depth > EXACT.stretch
        width = lanes_of(parts.count, tile_for(node.results[0].dtype, self.vector_bits))
        ends = [parts.x_depth[-1][1]]
        if parts.w_lane != 1:
            ends.append(parts.w_depth[-1][1])
        return is_long and width % GROUP == 0 and ends == [1] * len(ends)

    def _in_lines(
        self, node: Node, parts: _Parts, image: Place, weights: Place, apart: DimLike
    ) -> bool:
        """The same for channels first, with neighbouring positions of a line side by side."""
        if node.params["channels_last"] or node.params["groups"] == 1 or not parts.places:
            return False
        tile = tile_for(node.results[0].dtype, self.vector_bits)
        *outer, (length, step) = parts.positions
        if not isinstance(length, int) or not isinstance(step, int) or step not in (1, 2):
            return False
        width = lanes_of(length, tile)
        if not width:
            return False
        plane, filters, count = size(parts.places), parts.filters, parts.count
        *lines, (_, one) = _dense(parts.places, 1)
        batch = [(parts.samples, count * filters * plane), (count, filters * plane)]
        w_batch: Dims = [(parts.samples, 0), (count, apart * filters)]
        x_batch = [(parts.samples, parts.sample_step), parts.x_batch[1]]
        self._lanes_over_rows(
            node,
            width,
            step,
            Side(image, Axes(x_batch), LineAxes(outer, length, step, width), Axes(parts.x_depth)),
            _side(weights, w_batch, [(filters, apart)], parts.w_depth),
            Result(Axes(batch), LineAxes(lines, length, one, width), Axes([(filters, plane)])),
        )
        return True

    def _groups_innermost(
        self, node: Node, parts: _Parts, image: Place, xs: tuple[DimLike, ...]
    ) -> tuple[Place, tuple[DimLike, ...]]:
        """A copy of the image whose groups are innermost in memory, and its strides."""
        x = node.operands[0]
        ends = [(parts.samples, xs[0]), (parts.channels, xs[1])]
        if node.params["groups"] == 1:  # in the order of k
            ends.reverse()
        dims = [ends[0], *zip(x.shape[2:], xs[2:], strict=True), ends[1], (parts.count, parts.lane)]
        place, strides = self._turned_copy(x, image, dims)
        found = [strides[0], strides[-2]]
        if node.params["groups"] == 1:
            found.reverse()
        return place, (*found, *strides[1:-2])

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
        targets = _dense(parts.places, out)
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
            columns = Axes([(count, parts.filters * plane), (plane, 1)])
            by_filter = Side(weights, Axes([]), Axes([filters]), Axes(parts.w_depth))
            by_place = Side(
                image, Axes([]), Axes([samples, *parts.positions]), Axes(parts.x_depth)
            )
            rows = Axes([(parts.filters, plane)])
            if is_better_turned(rows.size, columns.size):
                self._multiply(node, by_place, by_filter, Result(Axes([]), columns, rows))
            else:
                self._multiply(node, by_filter, by_place, Result(Axes([]), rows, columns))
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
