"""Fourier transforms as steps."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from elinvar.codegen.fft import LOCAL, NO_FACTORS
from elinvar.codegen.fft_ends import chirp_text, merge_text, split_text
from elinvar.codegen.fft_kernels import PASS_NUMBERS, fft_text
from elinvar.codegen.lowering import PLACEHOLDER, FusedLowering, cached_text
from elinvar.core.dtypes import DType
from elinvar.core.shapes import DimLike, evaluate, row_major_strides, size
from elinvar.core.sizing import ceil_div
from elinvar.graph.ir import Node, Value
from elinvar.kernels import fft_plan as plan
from elinvar.kernels.plan import Number, Place, Sizes, Step, Storage, Table
from elinvar.ops.fourier import is_smooth

GROUP = 4096  # about how many numbers a task transforms
BLOCK, LINES = 4096, 64
PADDING = 16  # numbers between lines of a task's memory, so that they fall into different sets


@dataclass(frozen=True)
class Grid:
    """Where numbers [outer, numbers, inner] stand: strides and offsets in elements of the parts."""

    place: Place
    re: DimLike
    im: DimLike
    outer: DimLike
    step: DimLike
    lane: DimLike

    def exchanged(self) -> Grid:
        """With real and imaginary parts in each other's place."""
        return Grid(self.place, self.im, self.re, self.outer, self.step, self.lane)


@dataclass(frozen=True)
class Work:
    """What all launches of a node share: [outer, numbers, inner], the dtype of the parts."""

    node: Node
    part: DType
    outer: DimLike
    inner: DimLike

    @property
    def rows(self) -> bool:
        """Whether a transform's numbers are neighbours."""
        return self.inner == 1


def _block(work: Work) -> int:
    """How many numbers of a row, or lines along the inner axis, a task of the ends takes."""
    return BLOCK if work.rows else LINES


def _scale(value: float) -> Number:
    return Number(struct.unpack("<q", struct.pack("<d", value))[0])


class FourierLowering(FusedLowering):
    """fft, rfft and irfft."""

    def _lower_fft(self, node: Node) -> None:
        (x,), (y,) = node.operands, node.results
        axis, scale = node.params["axis"], node.params["scale"]
        work = self._numbers_of(node, x, axis)
        source, target = self._source(x, axis, work), self._result_grid(y, axis, work)
        if node.params["inverse"]:
            source, target = source.exchanged(), target.exchanged()
        length = x.shape[axis]
        assert isinstance(length, int)
        if is_smooth(length):
            self._transform(work, source, target, length, scale)
        else:
            self._by_chirp(work, x, target, length, scale)

    def _lower_rfft(self, node: Node) -> None:
        """Of even length with a smooth half; pairs of real numbers are complex ones."""
        (x,), (y,) = node.operands, node.results
        axis, length = node.params["axis"], x.shape[node.params["axis"]]
        assert isinstance(length, int)
        work, half = self._numbers_of(node, x, axis), length // 2
        flat = self._flat(x, axis, 1)
        source = Grid(flat.place, 0, flat.step, flat.outer, 2 * flat.step, flat.lane)
        middle = self._buffer(work, half)
        self._transform(work, source, middle, half, 1.0)
        slots = [
            middle.place, self.place(y),
            Table(lambda sizes: plan.half_roots(length, work.part)),
            Number(half), Number(work.inner), Number(half), Number(_block(work)),
            Number(middle.im), _scale(node.params["scale"]),
        ]  # fmt: skip
        self._ends(work, "split", split_text, slots, (half - 1) // 2, middle.place.storage)

    def _lower_irfft(self, node: Node) -> None:
        (x,), (y,) = node.operands, node.results
        axis, length = node.params["axis"], node.params["length"]
        work, half = self._numbers_of(node, x, axis), length // 2
        middle = self._buffer(work, half)
        source = self.dense(x)
        slots = [
            source, middle.place, Table(lambda sizes: plan.half_roots(length, work.part)),
            Number(half), Number(work.inner), Number(half), Number(_block(work)),
            Number(middle.im),
        ]  # fmt: skip
        self._ends(work, "merge", merge_text, slots, (half - 1) // 2, source.storage)
        inner = work.inner
        target = Grid(self.place(y), 0, inner, length * inner, 2 * inner, 1)
        self._transform(work, middle.exchanged(), target.exchanged(), half, node.params["scale"])

    # ---- where numbers stand ----

    def _numbers_of(self, node: Node, x: Value, axis: int) -> Work:
        kind = x.dtype
        part = kind.part if kind.kind == "c" else kind
        return Work(node, part, size(x.shape[:axis]), size(x.shape[axis + 1 :]))

    def _flat(self, x: Value, axis: int, width: int) -> Grid:
        """An operand's elements, each `width` parts; copied where its axes are not one stride."""
        place, strides = self.operand(x)
        outer = _merged(x.shape[:axis], strides[:axis])
        inner = _merged(x.shape[axis + 1 :], strides[axis + 1 :])
        if outer is None or inner is None:
            place, strides = self.dense(x), row_major_strides(x.shape)
            outer = _merged(x.shape[:axis], strides[:axis])
            inner = _merged(x.shape[axis + 1 :], strides[axis + 1 :])
        assert outer is not None and inner is not None
        return Grid(place, 0, 1, outer * width, strides[axis] * width, inner * width)

    def _source(self, x: Value, axis: int, work: Work) -> Grid:
        return self._flat(x, axis, 2)

    def _result_grid(self, y: Value, axis: int, work: Work) -> Grid:
        """A dense result."""
        inner = work.inner
        return Grid(self.place(y), 0, 1, y.shape[axis] * inner * 2, 2 * inner, 2)

    def _buffer(self, work: Work, length: int) -> Grid:
        """Memory for [outer, length, inner], the real parts before the imaginary ones."""
        inner = work.inner
        plane = work.outer * length * inner
        place = Place(self.arena(plane * (2 * work.part.itemsize)))
        return Grid(place, 0, plane, length * inner, inner, 1)

    # ---- launches ----

    def _transform(
        self,
        work: Work,
        source: Grid,
        target: Grid,
        length: int,
        scale: float,
        factors: Callable[[Sizes], Any] | None = None,
    ) -> None:
        """Steps for a smooth length. `factors`: planes by which results are multiplied."""
        parts = plan.split(length)
        if parts is None:
            self._in_one(work, source, target, length, scale, factors)
        elif length <= LOCAL:
            self._in_a_task(work, source, target, parts, scale, factors)
        else:
            self._in_two(work, source, target, parts, scale, factors)

    def _in_one(
        self, work: Work, source: Grid, target: Grid, length: int, scale: float, factors: Any
    ) -> None:
        one = _Pass(length, factors, work.part)
        one |= {"step": source.step, "to.step": target.step}
        if factors is not None:
            one |= {"f.im": length, "f.step": 1, "f.lane": 0}
        if work.rows:  # rows are the lanes
            one |= {"inner": source.outer, "lane": source.outer}
            one |= {"to.inner": target.outer, "to.lane": target.outer}
            self._launch(work, source, target, [one], 1, work.outer, 1, length, scale)
        else:
            one |= _by_outer(source, target)
            self._launch(work, source, target, [one], work.outer, work.inner, 1, length, scale)

    def _in_a_task(
        self, work: Work, source: Grid, target: Grid, parts: plan.Split, scale: float, factors: Any
    ) -> None:
        """Both passes of a transform, or of as many as a vector has lanes."""
        columns, rows = parts
        first, second = self._two(work, source, target, parts, factors)
        if work.rows:
            line = rows + PADDING
            first |= {"to.step": line, "to.lane": 1}
            second |= {"step": 1, "lane": line}
            plane: Any = columns * line
        else:
            vector = self.vector_bits // work.part.bits
            first |= {"to.middle": vector, "to.step": rows * vector, "to.lane": 1}
            second |= {"middle": rows * vector, "step": vector, "lane": 1}
            plane = columns * rows * vector
        first |= {"to.re": 0, "to.im": plane}
        second |= {"re": 0, "im": plane}
        first |= {"outer": source.outer}
        second |= {"to.outer": target.outer}
        if not work.rows:
            first |= {"inner": source.lane}
            second |= {"to.inner": target.lane}
        inner = None if work.rows else work.inner
        self._launch(
            work, source, target, [first, second], work.outer, inner, 1, columns * rows, scale,
            plane,
        )  # fmt: skip

    def _in_two(
        self, work: Work, source: Grid, target: Grid, parts: plan.Split, scale: float, factors: Any
    ) -> None:
        """Two launches, cut along the columns and along the rows."""
        columns, rows = parts
        length = columns * rows
        first, second = self._two(work, source, target, parts, factors)
        middle = self._buffer(work, length)
        inner = work.inner
        first |= {"outer": source.outer, "to.outer": middle.outer}
        second |= {"outer": middle.outer, "to.outer": target.outer}
        if work.rows:  # a unit takes a vector of columns
            first |= {"to.step": rows, "to.lane": 1, "to.inner": 1, "lanes": 0}
            first |= {"inner": source.step, "f.inner": 1}
            second |= {"step": 1, "lane": rows, "inner": rows, "to.inner": target.step, "lanes": 0}
            second |= {"f.inner": 1}
            self._launch(work, source, middle, [first], work.outer, rows, 1, columns, 1.0)
            self._launch(work, middle, target, [second], work.outer, columns, 1, rows, scale)
            return
        first |= {"unit": first.pop("middle"), "f.unit": first.pop("f.middle"), "middles": 1}
        first |= {"inner": source.lane, "to.inner": 1, "to.unit": inner}
        first |= {"to.step": rows * inner, "to.lane": 1}
        second |= {"to.unit": second.pop("to.middle"), "f.unit": second.pop("f.middle")}
        second |= {"middles": 1, "unit": rows * inner, "step": inner, "lane": 1, "inner": 1}
        second |= {"to.inner": target.lane}
        self._launch(work, source, middle, [first], work.outer, inner, rows, columns, 1.0)
        self._launch(work, middle, target, [second], work.outer, inner, columns, rows, scale)

    def _two(
        self, work: Work, source: Grid, target: Grid, parts: plan.Split, factors: Any
    ) -> tuple[_Pass, _Pass]:
        """What the two passes read and write outside: x[i·rows + j] → y[k + columns·l]."""
        columns, rows = parts
        part = work.part
        first = _Pass(columns, lambda sizes: plan.between(parts, part), part)
        second = _Pass(rows, factors, part)
        first |= {"step": rows * source.step, "f.im": columns * rows, "f.step": rows}
        second |= {"to.step": columns * target.step}
        if factors is not None:
            second |= {"f.im": columns * rows, "f.step": columns}
        if work.rows:
            first |= {"lane": source.step, "f.lane": 1, "lanes": rows}
            second |= {"to.lane": target.step, "lanes": columns}
            if factors is not None:
                second |= {"f.lane": 1}
        else:
            first |= {"middle": source.step, "middles": rows, "lane": source.lane}
            first |= {"f.middle": 1, "f.lane": 0}
            second |= {"to.middle": target.step, "middles": columns, "to.lane": target.lane}
            second |= {"f.middle": 1 if factors is not None else 0}
            if factors is not None:
                second |= {"f.lane": 0}
        return first, second

    def _launch(
        self,
        work: Work,
        source: Grid,
        target: Grid,
        passes: list[_Pass],
        outer: DimLike,
        inner: DimLike | None,
        units: int,
        length: int,
        scale: float,
        plane: int = 0,
    ) -> None:
        passes[0] |= {"re": source.re, "im": source.im}
        passes[-1] |= {"to.re": target.re, "to.im": target.im}
        vector = self.vector_bits // work.part.bits
        name, text = cached_text(
            ("fft", work.part, self.vector_bits, len(passes)),
            "fft",
            functools.partial(fft_text, PLACEHOLDER, work.part, self.vector_bits, len(passes)),
        )

        def blocks(sizes: Sizes) -> Any:
            return 1 if inner is None else ceil_div(evaluate(inner, sizes), vector)

        def total(sizes: Sizes) -> Any:
            return evaluate(outer, sizes) * units * blocks(sizes)

        wide = length if inner is None else length * vector
        group = max(1, GROUP // wide)
        numbers = [
            Number(units), Number(1 if inner is None else inner), Number(group), Number(total),
            Number(4 * vector * max(one.length for one in passes)), Number(plane), _scale(scale),
        ]  # fmt: skip
        slots: list[Any] = [source.place, target.place]
        for one in passes:
            slots += one.tables()
        slots += numbers
        for one in passes:
            slots += [Number(one[name]) for name in PASS_NUMBERS]
        depth = max(1, length.bit_length())
        self.steps.append(
            Step(
                name,
                text,
                slots,
                lambda sizes: ceil_div(total(sizes), group),
                [source.place.storage],
                [target.place.storage],
                work.node.op_name,
                lambda sizes: (
                    evaluate(outer * units, sizes)
                    * (1 if inner is None else evaluate(inner, sizes))
                    * (length * depth)
                ),
            )
        )

    def _ends(
        self, work: Work, name: str, make: Any, slots: list[Any], length: int, read: Storage,
        *options: Any,
    ) -> None:  # fmt: skip
        """A launch of what stands before or behind a transform, in blocks of `length` numbers."""
        blocks = max(1, ceil_div(length, _block(work)))
        label, text = cached_text(
            (name, work.part, self.vector_bits, work.rows, *options),
            f"fft_{name}",
            functools.partial(make, PLACEHOLDER, work.part, self.vector_bits, work.rows, *options),
        )
        self.steps.append(
            Step(
                label,
                text,
                slots,
                lambda sizes: evaluate(work.outer, sizes) * blocks,
                [read],
                [slots[1].storage],
                name,
                lambda sizes: evaluate(work.outer * work.inner, sizes) * (4 * length),
            )
        )

    def _by_chirp(self, work: Work, x: Value, target: Grid, length: int, scale: float) -> None:
        """A circular convolution with a chirp, by transforms of a power of two."""
        part, padded = work.part, plan.padded_length(length)
        swaps = Number(int(bool(work.node.params["inverse"])))
        source = self.dense(x)
        before, after, back = (self._buffer(work, padded) for _ in range(3))

        def numbers(grid: Grid, factor: float) -> list[Number]:
            return [
                Number(length), Number(padded), Number(work.inner), Number(_block(work)),
                Number(grid.im), _scale(factor), swaps,
            ]  # fmt: skip

        table = Table(lambda sizes: plan.chirp_table(length, part))
        slots = [source, before.place, table, *numbers(before, 1.0)]
        self._ends(work, "chirp", chirp_text, slots, padded, source.storage, True)
        self._transform(
            work, before, after, padded, 1.0, lambda sizes: plan.spectrum_table(length, part)
        )
        self._transform(work, after.exchanged(), back.exchanged(), padded, 1.0)
        slots = [back.place, target.place, table, *numbers(back, scale)]
        self._ends(work, "chirp", chirp_text, slots, length, back.place.storage, False)


class _Pass(dict[str, Any]):
    """The numbers of a pass; what is not set is 0."""

    def __init__(self, length: int, factors: Any, part: DType) -> None:
        super().__init__({"length": length, "middles": 1, "f.lane": NO_FACTORS})
        self.length, self.factors, self.part = length, factors, part

    def __ior__(self, other: Any) -> _Pass:  # type: ignore[override, misc]
        self.update(other)
        return self

    def __missing__(self, name: str) -> int:
        return 0

    def tables(self) -> list[Table]:
        """Factors, stages, roots."""
        length, part = self.length, self.part
        return [
            Table(self.factors or (lambda sizes: plan.stages(length))),
            Table(lambda sizes: plan.stages(length)),
            Table(lambda sizes: plan.stage_roots(length, part)),
        ]


def _by_outer(source: Grid, target: Grid) -> dict[str, DimLike]:
    """Strides of lanes along the inner axis."""
    return {
        "outer": source.outer, "inner": source.lane, "lane": source.lane,
        "to.outer": target.outer, "to.inner": target.lane, "to.lane": target.lane,
    }  # fmt: skip


def _merged(shape: Any, strides: Any) -> DimLike | None:
    """The one stride with which some axes are walked; None if there is none."""
    found: DimLike | None = None
    step: DimLike = 0
    for extent, stride in reversed(list(zip(shape, strides, strict=True))):
        if extent == 1:
            continue
        if found is None:
            found, step = stride, stride * extent
        elif stride == step:
            step = stride * extent
        else:
            return None
    return 0 if found is None else found
