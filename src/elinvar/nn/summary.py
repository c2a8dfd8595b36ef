"""The table of a model: modules, shapes, parameters, arithmetic and bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elinvar.core.errors import DTypeError, TraceError, fail
from elinvar.core.shapes import format_shape
from elinvar.core.tree import flatten, unflatten
from elinvar.graph.ir import Node
from elinvar.kernels.cost import Cost
from elinvar.nn.state import modes_kept
from elinvar.tensor.creation import zeros
from elinvar.tensor.tape import no_grad
from elinvar.tensor.tensor import Tensor
from elinvar.tensor.trace import Trace

if TYPE_CHECKING:
    from elinvar.nn.module import Module


@dataclass(frozen=True)
class Row:
    """One module: its path, class, input and output shapes, the size of its own parameters, and
    the floating-point operations of one call of it, with all that is inside (None: not known)."""

    path: str
    kind: str
    inputs: str
    outputs: str
    parameters: int
    trainable: int
    nbytes: int
    flops: int | None = None


@dataclass(frozen=True)
class Summary:
    """The rows of the table and their totals; prints as the table.

    Shared parameters are counted once, with the module that comes first.
    """

    rows: tuple[Row, ...]
    buffers_nbytes: int
    depth: int | None

    @property
    def parameters(self) -> int:
        """Number of parameters (elements)."""
        return sum(row.parameters for row in self.rows)

    @property
    def trainable(self) -> int:
        """Number of parameters that get gradients."""
        return sum(row.trainable for row in self.rows)

    @property
    def nbytes(self) -> int:
        """Bytes of the parameters."""
        return sum(row.nbytes for row in self.rows)

    @property
    def flops(self) -> int | None:
        """Floating-point operations of one forward pass; None without inputs, or where the model
        needs values of tensors in Python, so that it cannot be traced."""
        return self.rows[0].flops if self.rows else None

    def __str__(self) -> str:
        shaped = any(row.outputs for row in self.rows)
        counted = self.flops is not None
        head = ["module", "class", *(("input", "output") if shaped else ()), "parameters", "bytes"]
        head += ["FLOPs"] if counted else []
        body = []
        for row in self.rows:
            level = row.path.count(".") + 1 if row.path else 0
            if self.depth is not None and level > self.depth:
                continue
            inside = [r for r in self.rows if self._is_folded(row, level, r)]
            counts = sum(r.parameters for r in inside), sum(r.nbytes for r in inside)
            shapes = [row.inputs, row.outputs] if shaped else []
            name = "  " * level + (row.path.rsplit(".", 1)[-1] or "(model)")
            amount = [_short(row.flops)] if counted else []
            body.append([name, row.kind, *shapes, f"{counts[0]:,}", readable(counts[1]), *amount])
        total = f"{self.parameters:,} parameters ({readable(self.nbytes)})"
        rest = f"{self.trainable:,} trainable, buffers {readable(self.buffers_nbytes)}"
        if counted:
            rest += f", {_short(self.flops)} FLOPs forward"
        return table(head, body, right=2 + counted) + f"\n{total}, {rest}"

    __repr__ = __str__

    def _is_folded(self, row: Row, level: int, other: Row) -> bool:
        """Whether `other` is counted in the line of `row`: itself, or below a cut at `depth`."""
        if other is row:
            return True
        prefix = f"{row.path}." if row.path else ""
        return level == self.depth and other.path.startswith(prefix)


def readable(nbytes: int) -> str:
    """A number of bytes as people read it: `512 B`, `1.5 KiB`."""
    amount = float(nbytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def _short(count: int | None) -> str:
    """A number of operations as people read it: `1.23 M`."""
    if not count:
        return "" if count is None else "0"
    amount = float(count)
    for unit in ("", " k", " M", " G"):
        if amount < 1000:
            return f"{amount:.3g}{unit}"
        amount /= 1000
    return f"{amount:.3g} T"


def table(head: list[str], body: list[list[str]], right: int) -> str:
    """Columns of text under a head; the last `right` columns are aligned to the right."""
    widths = [max(len(row[column]) for row in [head, *body]) for column in range(len(head))]
    left = len(head) - right

    def line(row: list[str]) -> str:
        cells = (
            text.ljust(width) if column < left else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([line(head), rule, *(line(row) for row in body), rule])


def summarize(module: Module, inputs: tuple[Any, ...], dtype: Any, depth: int | None) -> Summary:
    """The summary of a module. See `Module.summary`."""
    shapes = _looked_at(module, tuple(_as_input(item, dtype) for item in inputs)) if inputs else {}
    seen: set[int] = set()
    rows = []
    for path, part in module.named_modules():
        own = [p for p in part.parameters(recurse=False) if id(p) not in seen]
        seen.update(id(p) for p in own)
        given, returned, flops = shapes.get(id(part), ("", "", None))
        rows.append(
            Row(
                path,
                type(part).__name__,
                given,
                returned,
                sum(_size(p) for p in own),
                sum(_size(p) for p in own if p.requires_grad),
                sum(_size(p) * p.dtype.itemsize for p in own),
                flops,
            )
        )
    buffers = sum(_size(buffer) * buffer.dtype.itemsize for buffer in module.buffers())
    return Summary(tuple(rows), buffers, depth)


def _size(tensor: Tensor) -> int:
    size = 1
    for dim in tensor.shape:
        size *= dim
    return size


def _as_input(item: Any, dtype: Any) -> Any:
    if isinstance(item, Tensor):
        return item
    if isinstance(item, (tuple, list)) and all(isinstance(dim, int) for dim in item):
        return zeros(tuple(item), dtype=dtype)
    text = f"expected tensors or shapes, received {type(item).__name__}"
    fail(DTypeError, "summary", text, "for example model.summary((1, 3, 32, 32))")


Look = tuple[str, str, int | None]


def _looked_at(module: Module, inputs: tuple[Any, ...]) -> dict[int, Look]:
    """Run forward once in evaluation mode; id of a module → texts of its shapes, operations.

    It is traced, so nothing is computed; what cannot be traced runs, and is not counted.
    """
    with modes_kept(module), no_grad():
        module.eval()
        try:
            return _traced(module, inputs)
        except TraceError:
            return _watched(module, inputs, lambda *_: None)


def _traced(module: Module, inputs: tuple[Any, ...]) -> dict[int, Look]:
    with Trace("summary") as trace:
        leaves, structure = flatten(inputs)
        stand_ins = [trace.input(x._type) if isinstance(x, Tensor) else x for x in leaves]
        return _watched(module, unflatten(structure, stand_ins), _flops)


def _watched(module: Module, inputs: Any, count: Callable[[Any, Any], int | None]) -> Any:
    found: dict[int, Look] = {}

    def record(part: Module, args: Any, kwargs: Any, output: Any) -> None:
        given = (args, kwargs)
        found.setdefault(id(part), (_shapes(given), _shapes(output), count(given, output)))

    handles = [
        part.register_forward_hook(record, with_kwargs=True) for part in module.modules()
    ]
    try:
        module(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _flops(given: Any, output: Any) -> int:
    """Operations on the way from arguments to results, which are values of a trace."""
    known = {leaf._value for leaf in flatten(given)[0] if isinstance(leaf, Tensor)}
    waiting = [leaf._value for leaf in flatten(output)[0] if isinstance(leaf, Tensor)]
    nodes: dict[Node, None] = {}
    while waiting:
        value = waiting.pop()
        if value in known:
            continue
        known.add(value)
        if value.node not in nodes:
            nodes[value.node] = None
            waiting += value.node.operands
    return Cost(tuple(nodes), ()).flops({})


def _shapes(values: Any) -> str:
    tensors = [leaf for leaf in flatten(values)[0] if isinstance(leaf, Tensor)]
    return " ".join(format_shape(tensor.shape) for tensor in tensors)
