"""Winograd's algorithm as kernels that keep their tiles in the cache of one core.

    winograd_text            a task: some tiles of the image → 36 panels of rows, times the matrices
                             for a block of columns, point by point → results
    winograd_sums_text       a task: 256 tiles of image and gradient → 36 matrices [C][O], and,
                             where there are no more tiles → the gradient of the kernel
    winograd_collect_text    the matrices of all tasks, added in order → the same

The sum over channels at a point runs in increasing order with fma, in blocks of 64 whose sums are
added in order. That over tiles, which are counted sample by sample, row by row, has blocks of 32,
whose sums are added in order within groups of 256, and those of the groups in order. (Blocks are
shorter than those of other products because the points make their rounding errors larger.) Which
tiles and columns a task takes, and where transformed tiles stand meanwhile (on its stack), changes
no bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from elinvar.codegen.body import Body, kernel_module
from elinvar.codegen.llvm_scalars import llvm_type
from elinvar.codegen.numerics import EXACT, Numerics
from elinvar.codegen.product_parts import (
    Tile,
    fma,
    function,
    load,
    module,
    pointer,
    splat,
    store,
)
from elinvar.codegen.winograd_transforms import (
    collecting,
    gradient_line,
    image_line,
    kernel_gradient_line,
    result_line,
    spreading,
)
from elinvar.core.dtypes import DType
from elinvar.ops.winograd import CHANNELS, POINTS, SEEN, TILE, WINDOW

STEP = 32  # tiles of a block, and
GROUP = 256  # of a group: part of the numerics contract
CHUNK = 64  # columns whose sums are collected at once
APART = CHANNELS  # elements between planes: or all 36 would fall on the same lines of the cache

PLANE = "%tiles %down %across %height %width %x.sample %x.row %x.column %y.sample %y.row %y.column"


def winograd_collect_text(name: str, stored: DType, dtype: DType, tile: Tile) -> str:
    """Kernel: [blocks] times 36 times [C][O] → [C][3][3][O]. Slots: source, target, blocks, C, O.
    Tasks: C."""
    body, element = Body(), llvm_type(dtype)
    lanes = min(tile.vector, CHANNELS)
    vector = f"<{lanes} x {element}>"
    sums = body.stack_slot(f"[{POINTS * CHUNK} x {element}]", "sums")
    total = body.stack_slot(vector, "total")
    plane = body.add(body.mul("%inputs", "%outputs"), str(APART))
    block = body.mul(plane, str(POINTS))
    with body.loop("%begin", "%end", hint="task") as task:
        line = body.mul(task, "%outputs")
        with body.loop("0", "%outputs", CHUNK, "first") as first:
            count = body.minimum(body.sub("%outputs", first), str(CHUNK))
            with (
                body.loop("0", str(POINTS), hint="point") as point,
                body.loop("0", count, lanes, "c") as channel,
            ):
                place = body.add(body.mul(point, plane), body.add(line, body.add(first, channel)))
                start = load(body, "%source", vector, dtype, place)
                body.emit(f"store {vector} {start}, ptr {total}, align 64")
                with body.loop("1", "%blocks", hint="block") as number:
                    there = body.add(place, body.mul(number, block))
                    more = load(body, "%source", vector, dtype, there)
                    old = body.instruction(f"load {vector}, ptr {total}, align 64")
                    new = body.instruction(f"fadd {vector} {old}, {more}")
                    body.emit(f"store {vector} {new}, ptr {total}, align 64")
                found = body.instruction(f"load {vector}, ptr {total}, align 64")
                store(
                    body, sums, vector, dtype,
                    body.add(body.mul(point, str(CHUNK)), channel), found,
                )  # fmt: skip
            place = body.add(body.mul(line, str(WINDOW**2)), first)
            target = pointer(body, "%target", element, place)
            body.emit(
                f"call void @{name}.collect(ptr {sums}, i64 {CHUNK}, ptr {target}, "
                f"i64 {body.mul('%outputs', str(WINDOW))}, i64 %outputs, i64 {count})"
            )
    body.emit("ret void")
    sizes = ["%blocks", "%inputs", "%outputs"]
    outer = kernel_module(name, body, ["%source", "%target"], sizes)
    return module(outer, [collecting(f"{name}.collect", kernel_gradient_line, dtype, lanes)])


class Tiles:
    """What the kernels over tiles share: where a tile stands, and its transform."""

    dtype: DType
    stored: DType
    name: str
    tile: Tile
    element: str
    lanes: int
    body: Body
    plane: str

    def __init__(self, name: str, stored: DType, dtype: DType, tile: Tile) -> None:
        self.name, self.stored, self.dtype, self.tile = name, stored, dtype, tile
        self.element = llvm_type(dtype)
        self.lanes = min(tile.vector, CHANNELS)
        self.body = Body()
        self.plane = self.body.mul("%down", "%across")

    def stack(self, hint: str, size: str) -> str:
        """Memory on the stack for `size` elements."""
        found = self.body.fresh(hint)
        self.body.entry.append(f"  {found} = alloca {self.element}, i64 {size}, align 64")
        return found

    def at(self, base: str, *terms: str) -> str:
        """The pointer moved by a sum of elements."""
        return self._moved(base, self.element, terms)

    def operand(self, base: str, *terms: str) -> str:
        """The same in an operand, whose elements are as they are stored."""
        return self._moved(base, llvm_type(self.stored), terms)

    def _moved(self, base: str, element: str, terms: Sequence[str]) -> str:
        total = "0"
        for term in terms:
            total = self.body.add(total, term)
        return pointer(self.body, base, element, total)

    def row(self, number: str) -> tuple[str, str]:
        """Where a row's panel starts, and its first group of 16 channels in there."""
        body, rows = self.body, str(self.tile.rows)
        panel = body.mul(body.div(number, rows), body.mul("%inputs", rows))
        return panel, body.mul(body.rem(number, rows), str(CHANNELS))

    def where(self, number: str) -> tuple[str, str, str]:
        """(sample, first row, first column) of a tile."""
        body = self.body
        rest = body.rem(number, self.plane)
        row, column = body.div(rest, "%across"), body.rem(rest, "%across")
        return body.div(number, self.plane), body.mul(row, str(TILE)), body.mul(column, str(TILE))

    def element_of(self, letter: str, place: tuple[str, str, str]) -> str:
        """The offset of a place in the image (x) or the results (y)."""
        names = ("sample", "row", "column")
        parts = [self.body.mul(n, f"%{letter}.{k}") for n, k in zip(place, names, strict=True)]
        return self.body.add(self.body.add(parts[0], parts[1]), parts[2])

    def rest(self, place: tuple[str, str, str], size: int) -> tuple[str, str]:
        """How many rows and columns of a square of `size` there are from a place on."""
        body, beyond = self.body, str(size - TILE)
        return (
            body.minimum(body.sub(body.add("%height", beyond), place[1]), str(size)),
            body.minimum(body.sub(body.add("%width", beyond), place[2]), str(size)),
        )

    def is_whole(self, rest: tuple[str, str], size: int) -> str:
        tests = [self.body.instruction(f"icmp eq i64 {n}, {size}") for n in rest]
        return self.body.instruction(f"and i1 {tests[0]}, {tests[1]}")

    def square(
        self, size: int, rest: tuple[str, str], copy: Callable[[str, str, str, str], None]
    ) -> None:
        """For each element of a square: copy(row, column, is it there, its number)."""
        body = self.body
        with (
            body.loop("0", str(size), hint="i") as i,
            body.loop("0", str(size), hint="j") as j,
        ):
            tests = [
                body.instruction(f"icmp slt i64 {n}, {most}")
                for n, most in zip((i, j), rest, strict=True)
            ]
            known = body.instruction(f"and i1 {tests[0]}, {tests[1]}")
            copy(i, j, known, body.add(body.mul(i, str(size)), j))

    def spread(
        self, word: str, base: str, letter: str, size: int, number: str, to: tuple[str, str, str],
        count: str, patch: str,
    ) -> None:  # fmt: skip
        """Transform tile `number`; what lies beyond the border counts as zeros. `to`: target, the
        distance of its planes and of its groups of channels."""
        body, vector = self.body, f"<{CHANNELS} x {llvm_type(self.stored)}>"
        place = self.where(number)
        source = self.operand(base, self.element_of(letter, place))
        rest = self.rest(place, size)
        whole = self.is_whole(rest, size)
        down, across = f"%{letter}.row", f"%{letter}.column"
        partly = body.instruction(f"xor i1 {whole}, true")
        with body.when(partly):

            def copy(i: str, j: str, known: str, at: str) -> None:
                with body.loop("0", count, CHANNELS, "c") as channel:
                    offset = body.add(body.mul(i, down), body.mul(j, across))
                    offset = body.add(offset, channel)
                    inside = body.instruction(f"select i1 {known}, i64 {offset}, i64 {channel}")
                    value = load(body, source, vector, self.stored, inside)
                    value = body.instruction(
                        f"select i1 {known}, {vector} {value}, {vector} zeroinitializer"
                    )
                    to_place = body.add(body.mul(at, count), channel)
                    store(body, patch, vector, self.stored, to_place, value)

            self.square(size, rest, copy)
        steps = [
            body.instruction(f"select i1 {whole}, i64 {one}, i64 {other}")
            for one, other in ((down, body.mul(count, str(size))), (across, count))
        ]
        source = body.instruction(f"select i1 {whole}, ptr {source}, ptr {patch}")
        target, plane, group = to
        body.emit(
            f"call void @{self.name}.{word}(ptr {source}, i64 {steps[0]}, i64 {steps[1]}, "
            f"ptr {target}, i64 {plane}, i64 {group}, i64 {count})"
        )

    def choose(
        self, word: str, height: str, width: str, arguments: str
    ) -> None:  # fmt: skip
        """Call the micro-kernel for so many rows and columns."""
        body = self.body
        below = 0
        for most in self.tile.heights:
            above = body.instruction(f"icmp sgt i64 {height}, {below}")
            fits = body.instruction(f"icmp sle i64 {height}, {most}")
            below = most
            for columns in _widths(self.tile):
                enough = body.instruction(f"icmp sge i64 {width}, {columns}")
                if columns < self.tile.columns:
                    enough = body.instruction(f"icmp eq i64 {width}, {columns}")
                chosen = body.instruction(f"and i1 {above}, {fits}")
                chosen = body.instruction(f"and i1 {chosen}, {enough}")
                with body.when(chosen):
                    body.emit(f"call void @{self.name}.{word}{most}x{columns}({arguments})")


def _widths(tile: Tile) -> list[int]:
    """How many columns a micro-kernel takes."""
    return sorted({min(CHANNELS, tile.columns), tile.columns})


def winograd_text(
    name: str, stored: DType, dtype: DType, tile: Tile, numerics: Numerics = EXACT
) -> str:
    """Kernel: images times transformed kernels. Slots: image, kernels, result; tiles in all, from
    top to bottom and from left to right; the results' height and width; strides of image and result
    (sample, row, column); C, O; tiles per task, columns per task, tasks of columns; elements of
    scratch for tiles, for sums and for a tile at the border.
    Tasks: blocks of tiles × blocks of columns.
    """
    kernel = Tiles(name, stored, dtype, tile)
    body = kernel.body
    image = kernel.stack("image", "%tiles.scratch")
    sums = kernel.stack("sums", "%sums.scratch")
    patch = kernel.stack("patch", "%patch.scratch")
    image_plane = body.add(body.mul("%block", "%inputs"), str(APART))
    sums_plane = body.add(body.mul("%block", str(tile.columns)), str(APART))
    panels = body.div(body.add("%outputs", str(tile.columns - 1)), str(tile.columns))
    kernel_plane = body.mul(body.mul(panels, "%inputs"), str(tile.columns))
    kernel_plane = body.add(kernel_plane, str(APART))
    with body.loop("%begin", "%end", hint="task") as task:
        first = body.mul(body.div(task, "%column.tasks"), "%block")
        count = body.minimum("%block", body.sub("%tiles", first))
        with body.loop("0", count, hint="row") as row:
            to = (kernel.at(image, *kernel.row(row)), image_plane, str(CHANNELS * tile.rows))
            kernel.spread("spread", "%image", "x", SEEN, body.add(first, row), to, "%inputs", patch)
        first_column = body.mul(body.rem(task, "%column.tasks"), "%columns")
        last_column = body.minimum(body.add(first_column, "%columns"), "%outputs")
        with body.loop(first_column, last_column, tile.columns, "column") as column:
            width = body.minimum(str(tile.columns), body.sub(last_column, column))
            with (
                body.loop("0", str(POINTS), hint="point") as point,
                body.loop("0", count, tile.rows, "row") as row,
                body.loop("0", "%inputs", numerics.points, "k") as k,
            ):
                arguments = [
                    "ptr " + kernel.at(
                        image, body.mul(point, image_plane), body.mul(row, "%inputs"),
                        body.mul(k, str(tile.rows)),
                    ),
                    "ptr " + kernel.at(
                        "%kernels", body.mul(point, kernel_plane), body.mul(column, "%inputs"),
                        body.mul(k, str(tile.columns)),
                    ),
                    f"i64 {tile.columns}",
                    "ptr " + kernel.at(
                        sums, body.mul(point, sums_plane), body.mul(row, str(tile.columns))
                    ),
                    f"i64 {tile.columns}",
                    "i64 " + body.minimum(body.sub("%inputs", k), str(numerics.points)),
                    "i1 " + body.instruction(f"icmp eq i64 {k}, 0"),
                ]  # fmt: skip
                height = body.minimum(body.sub(count, row), str(tile.rows))
                kernel.choose("rows", height, width, ", ".join(arguments))
            with body.loop("0", count, hint="row") as row:
                source = kernel.at(sums, body.mul(row, str(tile.columns)))
                collect(kernel, body.add(first, row), source, sums_plane, column, width, patch)
    body.emit("ret void")
    sizes = [*PLANE.split(), "%inputs", "%outputs", "%block", "%columns"]
    sizes += ["%column.tasks", "%tiles.scratch", "%sums.scratch", "%patch.scratch"]
    outer = kernel_module(name, body, ["%image", "%kernels", "%result"], sizes)
    inner = [
        spreading(f"{name}.spread", image_line, SEEN, stored, dtype, kernel.lanes),
        collecting(f"{name}.collect", result_line, dtype, kernel.lanes),
    ]
    return module(outer, [*inner, *micros(f"{name}.rows", dtype, tile, False)])


def collect(
    kernel: Tiles, number: str, source: str, plane: str, column: str, width: str, patch: str
) -> None:
    """The results of a tile; at the border through a square of their own."""
    body, together = kernel.body, min(CHANNELS, kernel.tile.columns)
    vector = f"<{together} x {kernel.element}>"
    place = kernel.where(number)
    target = kernel.at("%result", kernel.element_of("y", place), column)
    rest = kernel.rest(place, TILE)
    whole = kernel.is_whole(rest, TILE)
    steps = [
        body.instruction(f"select i1 {whole}, i64 {one}, i64 {other}")
        for one, other in (("%y.row", body.mul(width, str(TILE))), ("%y.column", width))
    ]
    there = body.instruction(f"select i1 {whole}, ptr {target}, ptr {patch}")
    body.emit(
        f"call void @{kernel.name}.collect(ptr {source}, i64 {plane}, ptr {there}, "
        f"i64 {steps[0]}, i64 {steps[1]}, i64 {width})"
    )
    partly = body.instruction(f"xor i1 {whole}, true")
    with body.when(partly):

        def copy(i: str, j: str, known: str, at: str) -> None:
            with body.when(known), body.loop("0", width, together, "c") as channel:
                from_place = body.add(body.mul(at, width), channel)
                value = load(body, patch, vector, kernel.dtype, from_place)
                offset = body.add(body.mul(i, "%y.row"), body.mul(j, "%y.column"))
                store(body, target, vector, kernel.dtype, body.add(offset, channel), value)

        kernel.square(TILE, rest, copy)


def winograd_sums_text(name: str, stored: DType, dtype: DType, tile: Tile) -> str:
    """Kernel: sums over tiles of image times gradient. Slots: image, gradient, target; tiles and
    planes as for `winograd_text`; C, O; channels and columns per task; elements of scratch for
    image, gradient, a tile at the border and sums; whether there is but one group of tiles: then
    the target is the gradient of the kernel, else it is [group][36][C][O].
    Tasks: groups of 256 tiles × blocks of channels × blocks of columns.
    """
    kernel = Tiles(name, stored, dtype, tile)
    body = kernel.body
    image = kernel.stack("image", "%image.scratch")
    gradient = kernel.stack("gradient", "%gradient.scratch")
    patch = kernel.stack("patch", "%patch.scratch")
    image_plane = body.add(body.mul("%channels", str(STEP)), str(APART))
    gradient_plane = body.add(body.mul("%columns", str(STEP)), str(APART))
    own_sums = kernel.stack("sums", "%sums.scratch")
    is_alone = body.instruction("icmp ne i64 %alone, 0")
    own_plane = body.add(body.mul("%channels", "%columns"), str(APART))
    plane = body.add(body.mul("%inputs", "%outputs"), str(APART))
    plane = body.instruction(f"select i1 {is_alone}, i64 {own_plane}, i64 {plane}")
    line = body.instruction(f"select i1 {is_alone}, i64 %columns, i64 %outputs")
    column_tasks = body.div(body.add("%outputs", body.sub("%columns", "1")), "%columns")
    channel_tasks = body.div(body.add("%inputs", body.sub("%channels", "1")), "%channels")
    with body.loop("%begin", "%end", hint="task") as task:
        column = body.mul(body.rem(task, column_tasks), "%columns")
        rest = body.div(task, column_tasks)
        channel = body.mul(body.rem(rest, channel_tasks), "%channels")
        block = body.div(rest, channel_tasks)
        height = body.minimum("%channels", body.sub("%inputs", channel))
        width = body.minimum("%columns", body.sub("%outputs", column))
        first = body.mul(block, str(GROUP))
        last = body.minimum(body.add(first, str(GROUP)), "%tiles")
        start = [body.mul(block, body.mul(plane, str(POINTS))), body.mul(channel, line), column]
        there = kernel.at("%target", *start)
        sums = body.instruction(f"select i1 {is_alone}, ptr {own_sums}, ptr {there}")
        once = body.maximum(last, body.add(first, "1"))  # sums over nothing are zeros
        with body.loop(first, once, STEP, "low") as low:
            count = body.minimum(body.sub(last, low), str(STEP))
            is_first = body.instruction(f"icmp eq i64 {low}, {first}")
            with body.loop("0", count, hint="row") as row:
                number = body.add(low, row)
                to = (kernel.at(image, body.mul(row, "%channels")), image_plane, str(CHANNELS))
                kernel.spread(
                    "image", kernel.operand("%image", channel), "x", SEEN, number, to, height, patch
                )
                to = (kernel.at(gradient, body.mul(row, "%columns")), gradient_plane, str(CHANNELS))
                here = kernel.operand("%gradient", column)
                kernel.spread("gradient", here, "y", TILE, number, to, width, patch)
            with (
                body.loop("0", str(POINTS), hint="point") as point,
                body.loop("0", height, tile.rows, "c") as c,
                body.loop("0", width, tile.columns, "o") as o,
            ):
                arguments = [
                    "ptr " + kernel.at(image, body.mul(point, image_plane), c),
                    "i64 %channels",
                    "ptr " + kernel.at(gradient, body.mul(point, gradient_plane), o),
                    "i64 %columns",
                    "ptr " + kernel.at(sums, body.mul(point, plane), body.mul(c, line), o),
                    f"i64 {line}",
                    f"i64 {count}",
                    f"i1 {is_first}",
                ]  # fmt: skip
                kernel.choose(
                    "sums", body.minimum(body.sub(height, c), str(tile.rows)),
                    body.sub(width, o), ", ".join(arguments),
                )  # fmt: skip
        with body.when(is_alone), body.loop("0", height, hint="c") as c:
            square = body.mul(body.mul(body.add(channel, c), "%outputs"), str(WINDOW**2))
            body.emit(
                f"call void @{name}.collect(ptr {kernel.at(sums, body.mul(c, line))}, i64 {plane}, "
                f"ptr {kernel.at('%target', square, column)}, "
                f"i64 {body.mul('%outputs', str(WINDOW))}, i64 %outputs, i64 {width})"
            )
    body.emit("ret void")
    sizes = [*PLANE.split(), "%inputs", "%outputs", "%channels", "%columns"]
    sizes += ["%image.scratch", "%gradient.scratch", "%patch.scratch", "%sums.scratch", "%alone"]
    outer = kernel_module(name, body, ["%image", "%gradient", "%target"], sizes)
    inner = [
        spreading(f"{name}.image", image_line, SEEN, stored, dtype, kernel.lanes),
        spreading(f"{name}.gradient", gradient_line, TILE, stored, dtype, kernel.lanes),
        collecting(f"{name}.collect", kernel_gradient_line, dtype, kernel.lanes),
    ]
    return module(outer, [*inner, *micros(f"{name}.sums", dtype, tile, True)])


def micros(name: str, dtype: DType, tile: Tile, along: bool) -> list[tuple[str, list[str]]]:
    """The micro-kernels of all heights and widths."""
    return [
        _micro(f"{name}{height}x{columns}", dtype, tile, height, columns, along)
        for height in tile.heights
        for columns in _widths(tile)
    ]


def _micro(
    name: str, dtype: DType, tile: Tile, height: int, columns: int, along: bool
) -> tuple[str, list[str]]:
    """target[i][j] = Σ over k of left[i, k] right[k][j], in order, or more by that unless `first`.

    left[i, k] stands in groups [k // 16][row of a panel][k % 16], with `along` at k · left.step + i
    """
    body = Body()
    element = llvm_type(dtype)
    lanes = min(tile.vector, columns)
    vector, parts = f"<{lanes} x {element}>", range(columns // lanes)
    slots = {(i, part): body.stack_slot(vector, "acc") for i in range(height) for part in parts}

    def there(i: int, part: int) -> str:
        return body.add(body.mul(str(i), "%target.step"), str(part * lanes))

    for slot in slots.values():
        body.emit(f"store {vector} zeroinitializer, ptr {slot}, align 64")

    def step(k: str, left: str) -> None:
        line = body.mul(k, "%right.step")
        right = [
            load(body, "%right", vector, dtype, body.add(line, str(part * lanes))) for part in parts
        ]
        for i in range(height):
            place = body.add(left, str(i if along else i * CHANNELS))
            one = splat(body, element, lanes, load(body, "%left", element, dtype, place))
            for part in parts:
                slot = slots[i, part]
                old = body.instruction(f"load {vector}, ptr {slot}, align 64")
                new = fma(body, dtype, lanes, one, right[part], old)
                body.emit(f"store {vector} {new}, ptr {slot}, align 64")

    if along:
        with body.loop("0", "%count", hint="k") as k:
            step(k, body.mul(k, "%left.step"))
    else:
        with (
            body.loop("0", "%count", CHANNELS, "group") as group,
            body.loop("0", str(CHANNELS), hint="k") as k,
        ):
            step(body.add(group, k), body.add(body.mul(group, str(tile.rows)), k))
    sums = {
        (i, part): body.instruction(f"load {vector}, ptr {slot}, align 64")
        for (i, part), slot in slots.items()
    }
    with body.when("%first"):
        for (i, part), value in sums.items():
            store(body, "%target", vector, dtype, there(i, part), value)
    later = body.instruction("xor i1 %first, true")
    with body.when(later):
        for (i, part), value in sums.items():
            old = load(body, "%target", vector, dtype, there(i, part))
            total = body.instruction(f"fadd {vector} {old}, {value}")
            store(body, "%target", vector, dtype, there(i, part), total)
    parameters = ["ptr noalias %left", *(["i64 %left.step"] if along else [])]
    parameters += ["ptr noalias %right", "i64 %right.step", "ptr noalias %target"]
    return function(name, [*parameters, "i64 %target.step", "i64 %count", "i1 %first"], body)
