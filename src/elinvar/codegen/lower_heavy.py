"""Heavy nodes other than products as steps: cumulative ops, scatter, sorting."""

from __future__ import annotations

from elinvar.codegen.heavy import argsort_text, cumulative_text, scatter_text
from elinvar.codegen.lowering import PLACEHOLDER, FusedLowering, cached_text
from elinvar.core import dtypes
from elinvar.core.errors import CompileError, fail
from elinvar.core.shapes import DimLike, evaluate, size
from elinvar.core.sizing import ceil_div
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder, Node, Value
from elinvar.kernels.plan import Number, Place, Sizes, Step
from elinvar.passes.legalize import take_along


class HeavyLowering(FusedLowering):
    """Cumulative ops, scatter, sorting."""

    def _middle(self, value: Value, axis: int) -> tuple[DimLike, DimLike, DimLike]:
        """(outer, length, inner) around an axis."""
        return size(value.shape[:axis]), value.shape[axis], size(value.shape[axis + 1 :])

    def _cumulative(self, node: Node) -> None:
        (x,) = node.operands
        source, target = self.dense(x), self.place(node.results[0])
        outer, length, inner = self._middle(x, node.params["axis"])
        reverse = bool(node.params["reverse"])
        op = node.op
        assert op is not None
        name, text = cached_text(
            (op.name, x.dtype, reverse),
            op.name,
            lambda: cumulative_text(PLACEHOLDER, op, x.dtype, reverse),
        )
        self._columns_step(
            node, name, text, [source, target], [length, inner], outer, inner, length
        )

    _lower_cumsum = _lower_cumprod = _lower_cummax = _lower_cummin = _cumulative

    def _columns_step(
        self,
        node: Node,
        name: str,
        text: str,
        places: list[Place],
        numbers: list[DimLike],
        outer: DimLike,
        inner: DimLike,
        work: DimLike,
    ) -> None:
        block = 64

        def tasks(sizes: Sizes) -> int:
            return evaluate(outer, sizes) * ceil_div(evaluate(inner, sizes), block)

        slots = [*places, *(Number(n) for n in numbers), Number(block)]
        self.steps.append(
            Step(
                name,
                text,
                slots,
                tasks,
                [p.storage for p in places[:-1]],
                [places[-1].storage],
                node.op_name,
                lambda sizes: evaluate(outer * inner * work, sizes),
            )
        )

    def _lower_scatter(self, node: Node) -> None:
        x, indices, updates = node.operands
        axis = node.params["axis"]
        outer, length, inner = self._middle(x, axis)
        count = size(indices.shape)
        mode = node.params["mode"]
        name, text = cached_text(
            ("scatter", x.dtype, mode), "scatter", lambda: scatter_text(PLACEHOLDER, x.dtype, mode)
        )
        target = self.place(node.results[0])
        places = [self.dense(indices), self.dense(updates), target]
        source, strides = self.operand(x)
        self.copy(x, source, target, tuple(strides))
        self._columns_step(node, name, text, places, [length, inner, count], outer, inner, count)
        self.steps[-1].reads.append(target.storage)

    def _order(
        self, node: Node, x: Value, target: Place, descending: bool, nan_first: bool
    ) -> None:
        axis = x.type.rank - 1
        rows, length, _ = self._middle(x, axis)
        name, text = cached_text(
            ("argsort", x.dtype, descending, nan_first),
            "argsort",
            lambda: argsort_text(PLACEHOLDER, x.dtype, descending, nan_first),
        )
        source = self.dense(x)
        scratch = Place(self.arena(size(x.shape) * 8))
        slots = [source, target, scratch, Number(length)]
        self.steps.append(
            Step(
                name,
                text,
                slots,
                lambda sizes: evaluate(rows, sizes),
                [source.storage],
                [target.storage, scratch.storage],
                node.op_name,
                lambda sizes: evaluate(rows * length, sizes) * 16,
            )
        )

    def _lower_argsort(self, node: Node) -> None:
        if node.params["axis"] != node.operands[0].type.rank - 1:
            fail(CompileError, "argsort", "expected the last axis after legalization")
        self._order(
            node, node.operands[0], self.place(node.results[0]), node.params["descending"], False
        )

    def _lower_top_k(self, node: Node) -> None:
        """Order each row, largest first, then read the first k."""
        (x,) = node.operands
        order = Place(self.arena(size(x.shape) * 8))
        self._order(node, x, order, True, True)
        builder = Builder(capture_source=False)
        values = builder.input(x.type)
        places = builder.input(TensorType(dtypes.int64, x.shape))
        count = (*x.shape[:-1], node.params["k"])
        first = builder.f.slice(places, start=(0,) * len(count), size=count, step=(1,) * len(count))
        best = take_along(builder, values, first, len(count) - 1)
        steps, _ = self.sub_lowering(
            builder.graph([best, first]),
            [self.dense(x), order],
            [self.place(v) for v in node.results],
        )
        self.steps += steps
