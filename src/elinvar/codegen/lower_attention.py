"""Attention and its derivative as steps."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from elinvar.codegen.attention import ROWS, forward_text
from elinvar.codegen.attention_backward import backward_text
from elinvar.codegen.attention_tiles import KEYS, Shape, shape_for
from elinvar.codegen.lowering import PLACEHOLDER, FusedLowering, cached_text
from elinvar.core.dtypes import accumulator
from elinvar.core.shapes import DimLike, evaluate, row_major_strides, size
from elinvar.core.sizing import ceil_div, choose, most
from elinvar.graph.ir import Node, Value
from elinvar.kernels.cost import Cost
from elinvar.kernels.plan import Number, Place, Sizes, Step

EVERYTHING = 1 << 40  # an offset with which no key is hidden
FEW_TASKS = 8  # below this, forward is cut finer
FEW_HEADS = 4  # of keys: below this, backward runs twice, cut by queries and by keys


class AttentionLowering(FusedLowering):
    """attention and attention_backward on floats, as they are stored."""

    def _lower_attention(self, node: Node) -> None:
        q, k, v, *masks = node.operands
        result, log_sum = node.results
        places, numbers = self._numbers(node, q, k, v)
        mask_places, mask_numbers = self._mask(masks, q, k)
        shape = shape_for(accumulator(q.dtype), self.vector_bits)
        kind = masks[0].dtype if masks else None
        name, text = cached_text(
            ("attention", q.dtype, kind, shape),
            "attention",
            lambda: forward_text(PLACEHOLDER, q.dtype, kind, shape),
        )
        batch, rows = q.shape[0] * q.shape[1], q.shape[2]

        def block(sizes: Sizes) -> int:
            return _block(evaluate(batch, sizes), evaluate(rows, sizes), shape)

        def tasks(sizes: Sizes) -> int:
            return evaluate(batch, sizes) * ceil_div(evaluate(rows, sizes), block(sizes))

        targets = [self.place(result), self.place(log_sum)]
        strides = self.strides.get(result) or row_major_strides(result.shape)
        numbers += [Number(block), *(Number(stride) for stride in strides[:-1])]
        slots = [*places, *targets, *mask_places, *numbers, *mask_numbers]
        self.steps.append(
            Step(
                name,
                text,
                slots,
                tasks,
                [place.storage for place in (*places, *mask_places)],
                [place.storage for place in targets],
                node.op_name,
                _work(q, k, v, tasks),
                Cost([node], node.results),
            )
        )

    def _lower_attention_backward(self, node: Node) -> None:
        """One launch; two where there are few heads of keys, one for dq and one for dk and dv."""
        q, k, v, log_sum, delta, g, *masks = node.operands
        places, numbers = self._numbers(node, q, k, v)
        mask_places, mask_numbers = self._mask(masks, q, k)
        shape = shape_for(accumulator(q.dtype), self.vector_bits)
        kind = masks[0].dtype if masks else None
        name, text = cached_text(
            ("attention_backward", q.dtype, kind, shape),
            "attention_backward",
            lambda: backward_text(PLACEHOLDER, q.dtype, kind, shape),
        )
        g_place, g_strides = self._rows(g)
        sources = [*places, self.dense(log_sum), self.dense(delta), g_place]
        targets = [self.place(result) for result in node.results]
        wide = accumulator(q.dtype)
        if wide is not q.dtype:  # the sums of dq, before they are rounded
            targets.append(Place(self.arena(size(q.shape) * wide.itemsize)))
        queries, keys = q.shape[0] * q.shape[1], k.shape[0] * k.shape[1]
        rows, length = q.shape[2], k.shape[2]
        largest = ROWS // shape.rows * shape.rows

        def block(sizes: Sizes) -> int:
            return _block(evaluate(queries, sizes), evaluate(rows, sizes), shape)

        def is_cut(sizes: Sizes) -> bool:
            return evaluate(keys, sizes) < FEW_HEADS

        def launch(by_queries: bool, by_keys: bool) -> None:
            def tasks(sizes: Sizes) -> int:
                if by_queries:
                    blocks = ceil_div(evaluate(rows, sizes), block(sizes))
                    count = evaluate(queries, sizes) * blocks
                else:
                    parts = ceil_div(evaluate(length, sizes), KEYS) if by_keys else 1
                    count = evaluate(keys, sizes) * parts
                if by_queries or by_keys:
                    return choose(is_cut(sizes), count, 0)
                return choose(is_cut(sizes), 0, count)

            cuts = [Number(k.shape[1]), *g_strides, Number(int(by_queries)), Number(int(by_keys))]
            taken = Number(block) if by_queries else Number(largest)
            slots = [*sources, *targets, *mask_places, *numbers, taken, *cuts, *mask_numbers]
            self.steps.append(
                Step(
                    name,
                    text,
                    slots,
                    tasks,
                    [place.storage for place in (*sources, *mask_places)],
                    [place.storage for place in targets],
                    node.op_name,
                    _work(q, k, v, tasks),
                    Cost([node], node.results),
                )
            )

        # whether heads are few may be known with the sizes only: a launch without tasks is free
        few = {keys < FEW_HEADS} if isinstance(keys, int) else {True, False}
        for cut in sorted(few):
            for by_queries, by_keys in [(True, False), (False, True)] if cut else [(False, False)]:
                launch(by_queries, by_keys)

    def _rows(self, value: Value) -> tuple[Place, list[Number]]:
        """Where an operand starts and its strides, its last dimension being dense."""
        place, strides = self.operand(value)
        if strides[-1] != 1:
            place, strides = self.dense(value), row_major_strides(value.shape)
        return place, [Number(stride) for stride in strides[:-1]]

    def _numbers(
        self, node: Node, q: Value, k: Value, v: Value
    ) -> tuple[list[Place], list[Number]]:
        """The places of q, k and v; their strides, the sizes and the params."""
        places, numbers = [], []
        for value in (q, k, v):
            place, strides = self._rows(value)
            places.append(place)
            numbers += strides

        def each(sizes: Sizes) -> int:
            heads, shared = evaluate(q.shape[1], sizes), evaluate(k.shape[1], sizes)
            return most(1, heads // most(1, shared))

        offset = node.params["offset"] if node.params["causal"] else EVERYTHING
        (scale,) = struct.unpack("<q", struct.pack("<d", node.params["scale"]))
        numbers += [Number(q.shape[1]), Number(each), Number(q.shape[2]), Number(k.shape[2])]
        numbers += [Number(q.shape[3]), Number(v.shape[3]), Number(offset), Number(scale)]
        return places, numbers

    def _mask(self, masks: Sequence[Value], q: Value, k: Value) -> tuple[list[Place], list[Number]]:
        """The mask's place and its four strides: 0 where it is repeated."""
        if not masks:
            return [], []
        place, strides = self.operand(masks[0])
        shape = masks[0].shape
        wanted = (*q.shape[:3], k.shape[2])
        steps: list[DimLike] = [
            0 if dim == 1 and dim != full else stride
            for dim, full, stride in zip(shape, wanted, strides, strict=True)
        ]
        return [place], [Number(step) for step in steps]


def _block(batch: int, rows: int, shape: Shape) -> int:
    """How many queries a task takes: a multiple of the register tile, for some tasks at least."""
    steps = [ROWS // shape.rows * shape.rows]
    while steps[-1] > shape.rows:
        steps.append(max(shape.rows, steps[-1] // 2 // shape.rows * shape.rows))
    found: Any = steps.pop()
    for step in reversed(steps):
        found = choose(batch * ceil_div(rows, step) < FEW_TASKS, found, step)
    return found


def _work(q: Value, k: Value, v: Value, tasks: Callable[[Sizes], int]) -> Callable[[Sizes], int]:
    pairs = size(q.shape[:3]) * k.shape[2]
    total = pairs * (q.shape[3] + v.shape[3])
    return lambda sizes: choose(tasks(sizes) > 0, lambda: evaluate(total, sizes) // 4 + 1, 0)
