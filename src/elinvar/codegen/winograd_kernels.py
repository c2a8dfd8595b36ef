"""The kernels of Winograd's algorithm: transformed before, or where they are used.

    winograd_kernel_text   kernels [3][3][C][O] → 36 matrices [C][O], in panels of columns
    winograd_tiles_text    the tiles of an image → 36 times their panels of rows
    winograd_few_text      these times kernels → results: a task transforms a panel of columns, a
                           block of channels at a time, and keeps the sums of all tiles

Transformed kernels are four times as large as kernels. Where there are few tiles it takes longer to
write and read them than to multiply; then they never leave a core's cache. The sums are the same.
"""

from __future__ import annotations

from elinvar.codegen.body import Body, kernel_module
from elinvar.codegen.llvm_scalars import llvm_type
from elinvar.codegen.numerics import EXACT
from elinvar.codegen.product_parts import Tile, load_as, module, pointer, store
from elinvar.codegen.winograd import APART, PLANE, Tiles, collect, micros
from elinvar.codegen.winograd_transforms import (
    collecting,
    image_line,
    kernel_line,
    result_line,
    spreading,
)
from elinvar.core.dtypes import DType
from elinvar.ops.winograd import CHANNELS, POINTS, SEEN, TILE, WINDOW

_SOURCE = ["%w.row", "%w.column", "%w.input", "%w.output"]  # strides of the kernels


class _Kernels:
    """Reads kernels where they stand, 16 channels at a time, and transforms them."""

    def __init__(self, name: str, body: Body, stored: DType, dtype: DType, tile: Tile) -> None:
        self.name, self.body, self.tile = name, body, tile
        self.stored, self.dtype = stored, dtype
        self.element = llvm_type(dtype)
        self.square = WINDOW**2 * tile.columns
        self.patch = body.stack_slot(f"[{CHANNELS * self.square} x {self.element}]", "kernels")

    def spread(self, channel: str, first: str, count: str, target: str, plane: str) -> None:
        """Channels from `channel` on, columns from `first` on → target[point · plane + …]."""
        body, columns = self.body, self.tile.columns
        place = body.add(body.mul(channel, "%w.input"), body.mul(first, "%w.output"))
        element = llvm_type(self.stored)
        source = pointer(body, "%kernels", element, place)
        with (
            body.loop("0", count, hint="column") as column,
            body.loop("0", str(CHANNELS), hint="c") as c,
        ):
            place = body.add(body.mul(column, "%w.output"), body.mul(c, "%w.input"))
            start = pointer(body, source, element, place)
            to_place = body.add(body.mul(c, str(self.square)), column)
            soon = body.mul("%w.input", str(CHANNELS))  # kernels are read from memory, in pieces
            soon = pointer(body, start, element, soon)
            body.declare("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
            body.emit(f"call void @llvm.prefetch.p0(ptr {soon}, i32 0, i32 3, i32 1)")
            for i in range(WINDOW):
                for j in range(WINDOW):
                    place = body.add(body.mul(str(i), "%w.row"), body.mul(str(j), "%w.column"))
                    one = load_as(body, start, 1, self.stored, self.dtype, place)
                    there = body.add(to_place, str((i * WINDOW + j) * columns))
                    store(body, self.patch, self.element, self.dtype, there, one)
        with body.loop("0", str(CHANNELS), hint="c") as c:
            source = pointer(body, self.patch, self.element, body.mul(c, str(self.square)))
            line = pointer(body, target, self.element, body.mul(c, str(columns)))
            together = min(CHANNELS, columns)
            body.emit(
                f"call void @{self.name}.kernels(ptr {source}, i64 {WINDOW * columns}, "
                f"i64 {columns}, ptr {line}, i64 {plane}, i64 {together}, i64 {count})"
            )

    def function(self) -> tuple[str, list[str]]:
        """The transform, which goes into the module."""
        lanes, together = min(self.tile.vector, CHANNELS), min(CHANNELS, self.tile.columns)
        name, dtype = f"{self.name}.kernels", self.dtype
        return spreading(name, kernel_line, WINDOW, dtype, dtype, lanes, together)


def winograd_kernel_text(name: str, stored: DType, dtype: DType, tile: Tile) -> str:
    """Kernel: kernels [3][3][C][O] → 36 times [panel][C][NR]. Slots: source, target, strides of the
    source's four dims, C, O. Tasks: panel × 16 of C."""
    body, element = Body(), llvm_type(dtype)
    kernels = _Kernels(name, body, stored, dtype, tile)
    panels = body.div(body.add("%outputs", str(tile.columns - 1)), str(tile.columns))
    plane = body.add(body.mul(body.mul(panels, "%inputs"), str(tile.columns)), str(APART))
    with body.loop("%begin", "%end", hint="task") as task:
        row = body.mul(task, str(CHANNELS))
        first = body.mul(body.div(row, "%inputs"), str(tile.columns))
        count = body.minimum(body.sub("%outputs", first), str(tile.columns))
        target = pointer(body, "%target", element, body.mul(row, str(tile.columns)))
        kernels.spread(body.rem(row, "%inputs"), first, count, target, plane)
    body.emit("ret void")
    sizes = [*_SOURCE, "%inputs", "%outputs"]
    return module(kernel_module(name, body, ["%kernels", "%target"], sizes), [kernels.function()])


def winograd_tiles_text(name: str, stored: DType, dtype: DType, tile: Tile) -> str:
    """Kernel: an image → 36 times [panel of rows][C // 16][MR][16]. Slots: image, target; tiles and
    planes as for `winograd_text`; C, O; tiles filled up to panels, elements of scratch for a tile
    at the border. Tasks: tiles."""
    kernel = Tiles(name, stored, dtype, tile)
    body = kernel.body
    patch = kernel.stack("patch", "%patch.scratch")
    plane = body.add(body.mul("%block", "%inputs"), str(APART))
    with body.loop("%begin", "%end", hint="task") as task:
        to = (kernel.at("%target", *kernel.row(task)), plane, str(CHANNELS * tile.rows))
        kernel.spread("spread", "%image", "x", SEEN, task, to, "%inputs", patch)
    body.emit("ret void")
    sizes = [*PLANE.split(), "%inputs", "%outputs", "%block", "%patch.scratch"]
    spread = spreading(f"{name}.spread", image_line, SEEN, stored, dtype, kernel.lanes)
    return module(kernel_module(name, body, ["%image", "%target"], sizes), [spread])


def winograd_few_text(name: str, stored: DType, dtype: DType, tile: Tile) -> str:
    """Kernel: transformed tiles times kernels. Slots: tiles (see `winograd_tiles_text`), kernels,
    result; tiles and planes as for `winograd_text`; C, O; strides of the kernels' four dims; tiles
    filled up to panels, elements of scratch for sums. Tasks: panels of columns."""
    kernel = Tiles(name, stored, dtype, tile)
    body, element = kernel.body, kernel.element
    kernels = _Kernels(name, body, stored, dtype, tile)
    columns, rows = str(tile.columns), str(tile.rows)
    chain = EXACT.points  # more transformed kernels would not stay in the cache
    kernel_plane = chain * tile.columns + APART
    matrices = body.stack_slot(f"[{POINTS * kernel_plane} x {element}]", "matrices")
    patch = body.stack_slot(f"[{TILE * TILE * tile.columns} x {element}]", "patch")
    sums = kernel.stack("sums", "%sums.scratch")
    image_plane = body.add(body.mul("%block", "%inputs"), str(APART))
    sums_plane = body.add(body.mul("%block", columns), str(APART))
    with body.loop("%begin", "%end", hint="task") as task:
        first = body.mul(task, columns)
        width = body.minimum(body.sub("%outputs", first), columns)
        with body.loop("0", "%inputs", chain, "k") as k:
            count = body.minimum(body.sub("%inputs", k), str(chain))
            with body.loop("0", count, CHANNELS, "c") as c:
                target = pointer(body, matrices, element, body.mul(c, columns))
                kernels.spread(body.add(k, c), first, width, target, str(kernel_plane))
            with (
                body.loop("0", str(POINTS), hint="point") as point,
                body.loop("0", "%tiles", tile.rows, "row") as row,
            ):
                left = [body.mul(point, image_plane), body.mul(row, "%inputs"), body.mul(k, rows)]
                to = [body.mul(point, sums_plane), body.mul(row, columns)]
                arguments = [
                    f"ptr {kernel.at('%image', *left)}",
                    f"ptr {kernel.at(matrices, body.mul(point, str(kernel_plane)))}",
                    f"i64 {columns}",
                    f"ptr {kernel.at(sums, *to)}",
                    f"i64 {columns}",
                    f"i64 {count}",
                    "i1 " + body.instruction(f"icmp eq i64 {k}, 0"),
                ]
                height = body.minimum(body.sub("%tiles", row), rows)
                kernel.choose("rows", height, width, ", ".join(arguments))
        with body.loop("0", "%tiles", hint="row") as row:
            source = kernel.at(sums, body.mul(row, columns))
            collect(kernel, row, source, sums_plane, first, width, patch)
    body.emit("ret void")
    sizes = [*PLANE.split(), "%inputs", "%outputs", *_SOURCE, "%block", "%sums.scratch"]
    outer = kernel_module(name, body, ["%image", "%kernels", "%result"], sizes)
    inner = [kernels.function(), collecting(f"{name}.collect", result_line, dtype, kernel.lanes)]
    return module(outer, [*inner, *micros(f"{name}.rows", dtype, tile, False)])
