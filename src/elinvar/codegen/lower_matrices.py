"""Factorizations of matrices as steps: the `custom` operations that name a kernel."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from elinvar.codegen import matrix_positive, matrix_singular, matrix_solving, matrix_values
from elinvar.codegen.lowering import PLACEHOLDER, FusedLowering, cached_text
from elinvar.core.dtypes import DType, float64
from elinvar.core.errors import CompileError, fail
from elinvar.core.shapes import DimLike, evaluate, size
from elinvar.core.sizing import ceil_div
from elinvar.graph.ir import Node
from elinvar.kernels.plan import ControlStep, Loop, Number, Place, Sizes, Step

SMALL, PANEL = 64, 32  # as in `linalg/parts.py`: sizes of one panel, and the width of panels
ROOM = 64  # rotations that are noted at once, in units of n


@dataclass(frozen=True)
class _Stack:
    """Square matrices: how many, their size, their dtype."""

    count: DimLike
    size: DimLike
    dtype: DType


def _bits_of_epsilon(dtype: DType) -> int:
    """What rotations are worked out to, as the bits of an f64."""
    epsilon = 2.0**-52 if dtype is float64 else 2.0**-24
    found: int = struct.unpack("<q", struct.pack("<d", epsilon))[0]
    return found


class MatrixLowering(FusedLowering):
    """LU and Cholesky's decomposition, triangular systems, eigenvalues, singular values."""

    def _lower_custom(self, node: Node) -> None:
        kernel = node.params["kernel"]
        method = getattr(self, f"_kernel_{kernel}", None)
        if method is None:
            fail(CompileError, "custom", f"the CPU compiler has no kernel {kernel!r}")
        method(node)

    def _kernel_lu(self, node: Node) -> None:
        (a,) = node.operands
        *lead, height, width = a.shape
        stack = _Stack(size(tuple(lead)), width, a.dtype)
        found, order, swaps = (self.place(value) for value in node.results)
        least = swaps_length = node.results[2].shape[-1]
        long = width + 2 * matrix_values.LANES
        scratch = self._memory(stack.count * height * long, a.dtype.itemsize)
        start, going_on = self._memory(stack.count), self._memory(stack.count)

        def panel(sizes: Sizes) -> int:
            return SMALL if evaluate(swaps_length, sizes) <= SMALL else PANEL

        numbers = [height, width, least, Number(panel)]
        self._set(start, stack, -1)
        steps = [
            self._matrix_step(
                ("lu_panel", a.dtype),
                lambda: matrix_solving.lu_panel_text(PLACEHOLDER, a.dtype),
                ([self.dense(a)], [scratch, order, swaps, start, going_on]),
                numbers,
                stack,
                work=8,
            ),
            self._matrix_step(
                ("lu_update", a.dtype),
                lambda: matrix_solving.lu_update_text(PLACEHOLDER, a.dtype),
                ([], [scratch, found, start]),
                numbers,
                stack,
                matrix_solving.COLUMNS,
                8,
            ),
        ]
        self._set(going_on, stack, 1)
        self._until_done(stack, going_on, steps)

    def _set(self, place: Place, stack: _Stack, value: int) -> None:
        """The same number for each matrix."""
        name, text = cached_text(
            ("set_numbers",), "set_numbers", lambda: matrix_values.set_text(PLACEHOLDER)
        )
        slots = [place, Number(stack.count), Number(value)]
        self.steps.append(Step(name, text, slots, lambda sizes: 1, [], [place.storage], "set"))

    def _kernel_substitute(self, node: Node) -> None:
        self._substitute(node, 0, 0)

    def _kernel_substitute_unit(self, node: Node) -> None:
        self._substitute(node, 1, 0)

    def _kernel_substitute_upper(self, node: Node) -> None:
        self._substitute(node, 0, 1)

    def _kernel_substitute_upper_unit(self, node: Node) -> None:
        self._substitute(node, 1, 1)

    def _substitute(self, node: Node, unit: int, upper: int) -> None:
        b = node.operands[1]
        *lead, rows, columns = b.shape
        stack = _Stack(size(tuple(lead)), columns, b.dtype)
        block = matrix_solving.BLOCK
        strip = stack.count * rows * (columns + block)
        scratch = self._memory(strip, b.dtype.itemsize)
        self.steps.append(
            self._matrix_step(
                ("substitute", b.dtype),
                lambda: matrix_solving.substitute_text(PLACEHOLDER, b.dtype),
                (
                    [self.dense(value) for value in node.operands],
                    [scratch, self.place(node.results[0])],
                ),
                [rows, columns, unit, upper],
                stack,
                block,
                8,
            )
        )

    def _kernel_cholesky(self, node: Node) -> None:
        self._cholesky(node, False)

    def _kernel_cholesky_whole(self, node: Node) -> None:
        """As `cholesky`, where matrices are known to be small."""
        self._cholesky(node, True)

    def _cholesky(self, node: Node, is_whole: bool) -> None:
        (a,) = node.operands
        stack = _Stack(size(a.shape[:-2]), a.shape[-1], a.dtype)
        found, info = (self.place(value) for value in node.results)
        scratch = self._scratch(stack, matrix_positive.MORE)
        step, test = self._memory(1), self._memory(1, 1)

        def blocks(sizes: Sizes) -> int:
            n = evaluate(stack.size, sizes)
            is_small = is_whole or n <= matrix_positive.WHOLE
            return 1 if is_small else ceil_div(n, matrix_positive.PANEL)

        work = self._matrix_step(
            ("cholesky", a.dtype),
            lambda: matrix_positive.cholesky_text(PLACEHOLDER, a.dtype),
            ([self.dense(a)], [scratch, found, info, step]),
            [stack.size],
            stack,
            blocks,
        )
        if is_whole:
            self.steps.append(work)
            return
        name, text = cached_text(
            ("next_panel",), "next_panel", lambda: matrix_positive.next_panel_text(PLACEHOLDER)
        )
        slots = [step, test, Number(stack.size)]
        storages = [step.storage], [step.storage, test.storage]
        condition = Step(name, text, slots, lambda sizes: 1, *storages, "next_panel")
        self._set(step, _Stack(1, 1, a.dtype), -1)
        self._repeat(test, condition, [work])

    # eigenvalues

    def _matrix_step(
        self,
        key: tuple[Any, ...],
        make: Callable[[], str],
        places: tuple[list[Place], list[Place]],
        numbers: list[Any],
        stack: _Stack,
        block: int | Callable[[Sizes], int] = 0,
        work: int = 1,
    ) -> Step:
        """A launch over matrices, or over matrices and blocks of their columns.

        Args:
            places: what is read, and what is written (and may be read, too).
            block: columns of a block, or what tells how many blocks a matrix has.
            work: in units of n² for each task.
        """
        name, text = cached_text(key, key[0], make)
        count, n = stack.count, stack.size
        read, written = places

        def tasks(sizes: Any) -> int:
            if callable(block):
                return evaluate(count, sizes) * block(sizes)
            blocks = ceil_div(evaluate(n, sizes), block) if block else 1
            return evaluate(count, sizes) * blocks

        return Step(
            name,
            text,
            [*read, *written, *(x if isinstance(x, Number) else Number(x) for x in numbers)],
            tasks,
            [place.storage for place in (*read, *written)],
            [place.storage for place in written],
            key[0],
            lambda sizes: evaluate(count * n * n, sizes) * work,
        )

    def _memory(self, count: DimLike, itemsize: int = 8) -> Place:
        return Place(self.arena(count * itemsize))

    def _scratch(self, stack: _Stack, more: int = 0) -> Place:
        """Memory for matrices with longer rows, and for `more` of these."""
        long = stack.size + 2 * matrix_values.LANES
        return self._memory(stack.count * (stack.size + more) * long, stack.dtype.itemsize)

    def _kernel_eigh(self, node: Node) -> None:
        (a,) = node.operands
        n, dtype = a.shape[-1], a.dtype
        count = size(a.shape[:-2])
        stack = _Stack(count, n, dtype)
        vector, square, item = count * n, count * n * n, dtype.itemsize
        scratch = self._scratch(stack, 4)
        middle, below = self._memory(vector), self._memory(vector)
        vectors, factors = self._memory(square, item), self._memory(vector, item)
        turned = self._scratch(stack)
        going_on, tries = self._memory(count), self._memory(count)
        values, found = (self.place(value) for value in node.results)
        written = [scratch, middle, below, vectors, factors, turned, going_on, tries]
        self.steps.append(
            self._matrix_step(
                ("tridiagonal", dtype),
                lambda: matrix_values.tridiagonal_text(PLACEHOLDER, dtype),
                ([self.dense(a)], written),
                [n],
                stack,
                work=8,
            )
        )
        make = matrix_values.turn_values_text
        self._turn(stack, "turn_values", make, (middle, below), [turned], (going_on, tries))
        self._finish(stack, (middle, turned, vectors, factors, scratch), (values, found), False)

    def _kernel_svd(self, node: Node) -> None:
        (a,) = node.operands
        n, dtype = a.shape[-1], a.dtype
        count = size(a.shape[:-2])
        stack = _Stack(count, n, dtype)
        vector, square, item = count * n, count * n * n, dtype.itemsize
        scratch = self._scratch(stack, 4)
        middle, above = self._memory(vector), self._memory(vector)
        left, right = self._memory(square, item), self._memory(square, item)
        left_turned, right_turned = self._scratch(stack), self._scratch(stack)
        by_left, by_right = self._memory(vector, item), self._memory(vector, item)
        going_on, tries = self._memory(count), self._memory(count)
        u, values, v = (self.place(value) for value in node.results)
        written = [scratch, middle, above, left, by_left, right, by_right]
        written += [left_turned, right_turned, going_on, tries]
        self.steps.append(
            self._matrix_step(
                ("bidiagonal", dtype),
                lambda: matrix_singular.bidiagonal_text(PLACEHOLDER, dtype),
                ([self.dense(a)], written),
                [n],
                stack,
                work=16,
            )
        )
        turned = [left_turned, right_turned]
        make = matrix_singular.turn_singular_text
        self._turn(stack, "turn_singular", make, (middle, above), turned, (going_on, tries))
        memory = middle, left_turned, left, by_left, scratch
        order = self._finish(stack, memory, (values, u), True, 0)
        self._back(stack, (right_turned, order, middle, right, by_right, scratch), v, True, 1)

    def _turn(
        self,
        stack: _Stack,
        kernel: str,
        make: Callable[[str], str],
        arrays: tuple[Place, Place],
        turned: list[Place],
        state: tuple[Place, Place],
    ) -> None:
        """Steps of QL or QR on a diagonal and what stands beside it, until all matrices are done.

        Args:
            turned: what rotations are applied to; a list of rotations is noted for each.
            state: whether there is more to do, and how often it was tried.
        """
        count, room = stack.count, stack.size * ROOM
        records = [
            (self._memory(count * room * 2), self._memory(count * room * 2), self._memory(count))
            for _ in turned
        ]
        work = self._matrix_step(
            (kernel,),
            lambda: make(PLACEHOLDER),
            ([], [*arrays, *(place for record in records for place in record), *state]),
            [stack.size, room, _bits_of_epsilon(stack.dtype)],
            stack,
            work=64,
        )
        pairs = zip(turned, records, strict=True)
        steps = [work, *(self._rotations(stack, x, record, room) for x, record in pairs)]
        self._until_done(stack, state[0], steps)

    def _rotations(
        self, stack: _Stack, turned: Place, record: tuple[Place, ...], room: DimLike
    ) -> Step:
        dtype = stack.dtype
        return self._matrix_step(
            ("turn_rows", dtype),
            lambda: matrix_values.turn_rows_text(PLACEHOLDER, dtype),
            ([], [turned, *record]),
            [stack.size, room],
            stack,
            matrix_values.BLOCK,
            64,
        )

    def _until_done(self, stack: _Stack, going_on: Place, steps: list[Step]) -> None:
        """The steps again and again while a matrix is not done."""
        test = self._memory(1, 1)
        name, text = cached_text(
            ("any_open",), "any_open", lambda: matrix_values.any_text(PLACEHOLDER)
        )
        storages = [going_on.storage], [test.storage]
        slots = [going_on, test, Number(stack.count)]
        condition = Step(name, text, slots, lambda sizes: 1, *storages, "any")
        self._repeat(test, condition, steps)

    def _repeat(self, test: Place, condition: Step, steps: list[Step]) -> None:
        """The steps again and again while a step that comes before them finds it right."""
        touched = list(dict.fromkeys(storage for step in steps for storage in step.reads))
        self.steps.append(
            ControlStep(
                "while",
                test,
                [[condition], list(steps)],
                Loop(),
                reads=touched,
                writes=[*touched, test.storage],
                label="rotations",
            )
        )

    def _finish(
        self, stack: _Stack, memory: tuple[Place, ...], results: tuple[Place, Place],
        descending: bool, shift: int = 1,
    ) -> Place:  # fmt: skip
        """Values in order, and their vectors."""
        middle, turned, vectors, factors, scratch = memory
        values, found = results
        order = self._memory(stack.count * stack.size)
        self.steps.append(
            self._matrix_step(
                ("in_order", stack.dtype, descending),
                lambda: matrix_values.in_order_text(PLACEHOLDER, stack.dtype, descending),
                ([middle], [values, order]),
                [stack.size],
                stack,
            )
        )
        self._back(stack, (turned, order, middle, vectors, factors, scratch), found, False, shift)
        return order

    def _back(
        self, stack: _Stack, memory: tuple[Place, ...], found: Place, signed: bool, shift: int
    ) -> None:
        self.steps.append(
            self._matrix_step(
                ("turned_back", stack.dtype, signed),
                lambda: matrix_values.turned_back_text(PLACEHOLDER, stack.dtype, signed),
                (list(memory[:-1]), [memory[-1], found]),
                [stack.size, shift],
                stack,
                matrix_values.BLOCK,
                8,
            )
        )
