"""Convolutions by Winograd's algorithm as steps: transform kernels, then tiles; or sum and collect.

Channels must be neighbours in memory. Where they are not, the image (or the gradient, or the
result) is copied.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from elinvar.codegen.lower_long import LongLowering
from elinvar.codegen.lowering import PLACEHOLDER, cached_text
from elinvar.codegen.product_parts import Tile, tile_for
from elinvar.codegen.winograd import (
    APART,
    GROUP,
    STEP,
    winograd_collect_text,
    winograd_sums_text,
    winograd_text,
)
from elinvar.codegen.winograd_kernels import (
    winograd_few_text,
    winograd_kernel_text,
    winograd_tiles_text,
)
from elinvar.core.shapes import DimLike, evaluate, row_major_strides, size
from elinvar.core.sizing import ceil_div, choose, invert, least, most
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder, Node, Value
from elinvar.kernels.cost import Cost
from elinvar.kernels.plan import Number, Place, Sizes, Step
from elinvar.ops.winograd import CHANNELS, POINTS, Winograd

BLOCK_PANELS = 2  # panels of tiles of a task: transformed they stay in a core's cache
MANY_CHANNELS = 512  # from so many on a panel is enough
SHARED = 64, 64  # channels and columns of a task that sums over tiles
FEW_TASKS = 4
FEW_TILES = 96  # of them it is cheaper to transform kernels where they are used
ALONE_TILES = GROUP  # a task that sums all of them transforms its sums itself


class Cut(NamedTuple):
    """How the product is cut: tiles and columns of a task, tasks of columns, tasks in all."""

    block: int
    columns: int
    column_tasks: int
    tasks: int


def cut_tiles(tiles: int, inputs: int, outputs: int, tile: Tile) -> Cut:
    """Cut by shape alone; no bit depends on it. Each task of columns transforms its tiles again."""
    row_panels, column_panels = ceil_div(tiles, tile.rows), ceil_div(outputs, tile.columns)
    panels = choose(inputs < MANY_CHANNELS, BLOCK_PANELS, 1)
    block = most(1, least(panels, row_panels // FEW_TASKS))
    blocks = ceil_div(row_panels, block)
    wanted = most(1, least(column_panels, FEW_TASKS // most(1, blocks)))
    each = most(1, ceil_div(column_panels, wanted))
    column_tasks = ceil_div(column_panels, each)
    return Cut(block * tile.rows, each * tile.columns, column_tasks, blocks * column_tasks)


_Read = tuple[Place, tuple[DimLike, ...]]  # where an operand stands, and its strides


def _result_strides(found: Winograd) -> tuple[DimLike, ...]:
    """Strides of results that stand dense, channels last."""
    return row_major_strides((found.samples, found.height, found.width, found.outputs))


class WinogradLowering(LongLowering):
    """Convolutions with a window of 3 × 3 and their gradients with respect to the kernel."""

    def _winograd(self, node: Node, found: Winograd, is_used: Callable[[Sizes], bool]) -> None:
        """The steps; for sizes that do not use them they have no tasks."""
        before = len(self.steps)
        if found.by_kernel:
            self._by_kernel(node, found)
        else:
            self._by_tiles(node, found)
        self._only(self.steps[before:], node, is_used)

    def _only(
        self,
        steps: list[Step],
        node: Node,
        is_used: Callable[[Sizes], bool],
        target: Place | None = None,
    ) -> None:
        """Give steps their tasks, and the memory between them, where they are used."""
        kept = {place.storage for place in (self.place(node.results[0]), target) if place}
        written = {storage for step in steps for storage in step.writes}
        between = {s for s in written if s.kind == "arena" and s not in kept}
        for step in steps:
            step.tasks = functools.partial(_if_used, step.tasks, is_used)
        for storage in between:
            nbytes = storage.nbytes
            size_of = nbytes if callable(nbytes) else functools.partial(evaluate, nbytes)
            storage.nbytes = functools.partial(_if_used, size_of, is_used)

    def _turned(self, value: Value, order: Sequence[int]) -> tuple[Place, tuple[DimLike, ...]]:
        """The value with its dims in another order, neighbours along the last: as it stands, or
        copied. (place, strides)"""
        place, given = self.operand(value)
        strides = tuple(given[axis] for axis in order)
        if strides[-1] == 1:
            return place, strides
        shape = tuple(value.shape[axis] for axis in order)
        return self._copied(value, place, shape, strides), row_major_strides(shape)

    def _copied(
        self, value: Value, place: Place, shape: tuple[DimLike, ...], strides: tuple[DimLike, ...]
    ) -> Place:
        target = Place(self.arena(size(shape) * value.dtype.itemsize))
        self.copy(_leaf(value, shape), place, target, strides)
        return target

    def _written(self, node: Node, order: Sequence[int]) -> tuple[Place, Callable[[], None]]:
        """Where the result is written with its dims in this order, and what is to be done then."""
        (result,) = node.results
        target = self.place(result)
        if list(order) == sorted(order):
            return target, lambda: None
        shape = tuple(result.shape[axis] for axis in order)
        dense = row_major_strides(shape)
        strides = tuple(dense[list(order).index(axis)] for axis in range(len(order)))
        source = Place(self.arena(size(shape) * result.dtype.itemsize))
        leaf = _leaf(result, result.shape)
        return source, lambda: self.copy(leaf, source, target, strides)

    def _step(
        self, node: Node, word: str, make: Callable[..., str], slots: list[Any],
        tasks: Callable[[Sizes], int], label: str, work: Callable[[Sizes], int],
        cost: Cost | None = None,
    ) -> None:  # fmt: skip
        stored, dtype = node.operands[0].dtype, node.results[0].dtype
        tile = tile_for(dtype, self.vector_bits)
        if make is winograd_text:
            make = functools.partial(make, numerics=self.numerics)
        key = (word, stored, dtype, tile, self.numerics)
        name, text = cached_text(key, word, lambda: make(PLACEHOLDER, stored, dtype, tile))
        places = [slot for slot in slots if isinstance(slot, Place)]
        reads = [place.storage for place in places[:-1]]
        writes = [places[-1].storage]
        self.steps.append(Step(name, text, slots, tasks, reads, writes, label, work, cost))

    def _planes(
        self, found: Winograd, image: Sequence[DimLike], result: Sequence[DimLike]
    ) -> list[Any]:
        """Slots: tiles, the plane, and strides of sample, row and column."""
        return [
            Number(found.tiles),
            Number(lambda sizes: found.plane(sizes)[0]),
            Number(lambda sizes: found.plane(sizes)[1]),
            *(Number(n) for n in (found.height, found.width, *image[:3], *result[:3])),
            Number(found.inputs),
            Number(found.outputs),
        ]

    def _by_tiles(self, node: Node, found: Winograd) -> None:
        """Kernels transformed before, or, for few tiles, where they are used; once for all calls
        where they stay the same."""
        image = self._turned(node.operands[0], (0, 2, 3, 1))
        places = node.params["channels_last"]
        target, finish = self._written(node, (0, 1, 2, 3) if places else (0, 2, 3, 1))

        settled = self._has_settled_kernels(node, found)

        def is_few(sizes: Sizes) -> Any:
            return 0 if settled else found.tiles(sizes) <= FEW_TILES

        def few() -> None:
            self._few_tiles(node, found, image, target)

        def many() -> None:
            self._many_tiles(node, found, image, target)

        self._either(node, target, is_few, few, many)
        finish()

    def _either(
        self,
        node: Node,
        target: Place,
        is_first: Callable[[Sizes], bool],
        first: Callable[[], None],
        second: Callable[[], None],
    ) -> None:
        """The steps of one way, or of both where sizes decide."""
        for make, is_used in ((first, is_first), (second, lambda sizes: invert(is_first(sizes)))):
            try:
                if not is_used({}):
                    continue
            except KeyError:  # symbolic sizes
                pass
            before = len(self.steps)
            make()
            self._only(self.steps[before:], node, is_used, target)

    def _has_settled_kernels(self, node: Node, found: Winograd) -> bool:
        sized = isinstance(found.inputs, int) and isinstance(found.outputs, int)
        return sized and self.is_settled(self.operand(node.operands[1])[0])

    def _few_tiles(self, node: Node, found: Winograd, image: _Read, target: Place) -> None:
        dtype = node.results[0].dtype
        tile = tile_for(dtype, self.vector_bits)
        kernels, strides = self.operand(node.operands[1])
        inputs, outputs = found.inputs, found.outputs

        def block(sizes: Sizes) -> int:
            return ceil_div(found.tiles(sizes), tile.rows) * tile.rows

        def elements(sizes: Sizes) -> int:
            return POINTS * (block(sizes) * evaluate(inputs, sizes) + APART)

        tiles = Place(self.arena(lambda sizes: elements(sizes) * dtype.itemsize))
        planes = self._planes(found, image[1], _result_strides(found))
        self._step(
            node, "winograd_tiles", winograd_tiles_text,
            [image[0], tiles, *planes, Number(block), Number(POINTS * inputs)],
            found.tiles, "transform tiles", lambda sizes: 2 * elements(sizes),
        )  # fmt: skip
        slots = [
            tiles, kernels, target, *planes, *(Number(strides[i]) for i in (2, 3, 1, 0)),
            Number(block), Number(lambda sizes: POINTS * (block(sizes) * tile.columns + APART)),
        ]  # fmt: skip
        both = inputs * outputs
        self._step(
            node, "winograd_few", winograd_few_text, slots,
            lambda sizes: ceil_div(evaluate(outputs, sizes), tile.columns), node.op_name,
            lambda sizes: found.products(sizes) // 4 + POINTS * evaluate(both, sizes),
            Cost((node,), node.results),
        )  # fmt: skip

    def _many_tiles(self, node: Node, found: Winograd, image: _Read, target: Place) -> None:
        dtype = node.results[0].dtype
        tile = tile_for(dtype, self.vector_bits)
        place, strides = self.operand(node.operands[1])
        inputs, outputs = found.inputs, found.outputs

        def panels(sizes: Sizes) -> int:
            return ceil_div(evaluate(outputs, sizes), tile.columns)

        def elements(sizes: Sizes) -> int:
            return (panels(sizes) * evaluate(inputs, sizes) * tile.columns + APART) * POINTS

        settled = self._has_settled_kernels(node, found)
        with self.preparing() if settled else contextlib.nullcontext():
            kernels = Place(self.arena(lambda sizes: elements(sizes) * dtype.itemsize))
            self._step(
                node, "winograd_kernel", winograd_kernel_text,
                [place, kernels, *(Number(strides[i]) for i in (2, 3, 1, 0)), Number(inputs),
                 Number(outputs)],
                lambda sizes: panels(sizes) * evaluate(inputs, sizes) // CHANNELS,
                "transform kernels", lambda sizes: 2 * elements(sizes),
            )  # fmt: skip

        def cut(sizes: Sizes) -> Cut:
            channels, columns = evaluate(inputs, sizes), evaluate(outputs, sizes)
            return cut_tiles(found.tiles(sizes), channels, columns, tile)

        slots = [
            image[0], kernels, target,
            *self._planes(found, image[1], _result_strides(found)),
            Number(lambda sizes: cut(sizes).block),
            Number(lambda sizes: cut(sizes).columns),
            Number(lambda sizes: cut(sizes).column_tasks),
            Number(lambda s: POINTS * (cut(s).block * evaluate(inputs, s) + APART)),
            Number(lambda s: POINTS * (cut(s).block * tile.columns + APART)),
            Number(lambda sizes: POINTS * most(evaluate(inputs, sizes), tile.columns)),
        ]  # fmt: skip
        self._step(
            node, "winograd", winograd_text, slots, lambda sizes: cut(sizes).tasks,
            node.op_name, lambda sizes: found.products(sizes) // 4 + 1,
            Cost((node,), node.results),
        )  # fmt: skip

    def _by_kernel(self, node: Node, found: Winograd) -> None:
        """One launch, or, for many tiles, one that leaves sums and one that adds them."""
        operands = [self._turned(operand, (1, 2, 3, 0)) for operand in node.operands]
        order = (0, 1, 2, 3) if node.params["channels_last"] else (0, 2, 3, 1)
        target, finish = self._written(node, order)

        def is_alone(sizes: Sizes) -> bool:
            return found.tiles(sizes) <= ALONE_TILES

        def few() -> None:
            self._sums(node, found, operands, target, True)

        def many() -> None:
            self._many_sums(node, found, operands, target)

        self._either(node, target, is_alone, few, many)
        finish()

    def _many_sums(self, node: Node, found: Winograd, operands: list[_Read], target: Place) -> None:
        inputs, outputs = found.inputs, found.outputs
        itemsize = node.results[0].dtype.itemsize

        def groups(sizes: Sizes) -> int:
            return most(1, ceil_div(found.tiles(sizes), GROUP))

        def elements(sizes: Sizes) -> int:
            both = evaluate(inputs, sizes) * evaluate(outputs, sizes)
            return groups(sizes) * (both + APART) * POINTS

        sums = Place(self.arena(lambda sizes: elements(sizes) * itemsize))
        self._sums(node, found, operands, sums, False)
        self._step(
            node, "winograd_collect", winograd_collect_text,
            [sums, target, Number(groups), Number(inputs), Number(outputs)],
            lambda sizes: evaluate(inputs, sizes), "transform sums", elements,
            Cost((), (), inputs * outputs * (POINTS * itemsize), node.source),
        )  # fmt: skip

    def _sums(
        self, node: Node, found: Winograd, operands: list[_Read], target: Place, alone: bool
    ) -> None:
        (image, image_strides), (gradient, strides) = operands
        inputs, outputs = found.inputs, found.outputs

        def tasks(sizes: Sizes) -> int:
            both = zip((inputs, outputs), SHARED, strict=True)
            blocks = math.prod(ceil_div(evaluate(n, sizes), room) for n, room in both)
            return blocks * most(1, ceil_div(found.tiles(sizes), GROUP))

        scratch = [POINTS * (room * STEP + APART) for room in SHARED]
        own = POINTS * (math.prod(SHARED) + APART) if alone else 0
        slots = [
            image, gradient, target,
            *self._planes(found, image_strides, strides),
            Number(lambda sizes: least(SHARED[0], evaluate(inputs, sizes))),
            Number(lambda sizes: least(SHARED[1], evaluate(outputs, sizes))),
            *(Number(n) for n in (*scratch, POINTS * max(SHARED), own, int(alone))),
        ]  # fmt: skip
        self._step(
            node, "winograd_sums", winograd_sums_text, slots, tasks,
            node.op_name, lambda sizes: found.products(sizes) // 4 + 1,
            Cost((node,), node.results),
        )  # fmt: skip


def _if_used(number: Callable[[Sizes], int], is_used: Callable[[Sizes], Any], sizes: Sizes) -> Any:
    return choose(is_used(sizes), lambda: number(sizes), 0)


def _leaf(value: Value, shape: tuple[DimLike, ...]) -> Value:
    """A value of the same type and another shape, to copy from."""
    return Builder(capture_source=False).input(TensorType(value.dtype, shape))
