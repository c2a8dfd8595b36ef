"""The table of a model: modules, shapes, parameters and bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elinvar.core.errors import DTypeError, fail
from elinvar.core.shapes import format_shape
from elinvar.core.tree import flatten
from elinvar.tensor.creation import zeros
from elinvar.tensor.tape import no_grad
from elinvar.tensor.tensor import Tensor

if TYPE_CHECKING:
    from elinvar.nn.module import Module


@dataclass(frozen=True)
class Row:
    """One module: its path, class, input and output shapes, and the size of its own parameters."""

    path: str
    kind: str
    inputs: str
    outputs: str
    parameters: int
    trainable: int
    nbytes: int


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

    def __str__(self) -> str:
        shaped = any(row.outputs for row in self.rows)
        head = ["module", "class", *(("input", "output") if shaped else ()), "parameters", "bytes"]
        body = []
        for row in self.rows:
            level = row.path.count(".") + 1 if row.path else 0
            if self.depth is not None and level > self.depth:
                continue
            inside = [r for r in self.rows if self._is_folded(row, level, r)]
            counts = sum(r.parameters for r in inside), sum(r.nbytes for r in inside)
            shapes = [row.inputs, row.outputs] if shaped else []
            name = "  " * level + (row.path.rsplit(".", 1)[-1] or "(model)")
            body.append([name, row.kind, *shapes, f"{counts[0]:,}", readable(counts[1])])
        total = f"{self.parameters:,} parameters ({readable(self.nbytes)})"
        rest = f"{self.trainable:,} trainable, buffers {readable(self.buffers_nbytes)}"
        return table(head, body, right=2) + f"\n{total}, {rest}"

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
    shapes = _dry_run(module, tuple(_as_input(item, dtype) for item in inputs)) if inputs else {}
    seen: set[int] = set()
    rows = []
    for path, part in module.named_modules():
        own = [p for p in part.parameters(recurse=False) if id(p) not in seen]
        seen.update(id(p) for p in own)
        given, returned = shapes.get(id(part), ("", ""))
        rows.append(
            Row(
                path,
                type(part).__name__,
                given,
                returned,
                sum(_size(p) for p in own),
                sum(_size(p) for p in own if p.requires_grad),
                sum(_size(p) * p.dtype.itemsize for p in own),
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


def _dry_run(module: Module, inputs: tuple[Any, ...]) -> dict[int, tuple[str, str]]:
    """Run forward once in evaluation mode; id of a module → texts of its shapes."""
    found: dict[int, tuple[str, str]] = {}

    def record(part: Module, args: Any, kwargs: Any, output: Any) -> None:
        found.setdefault(id(part), (_shapes((args, kwargs)), _shapes(output)))

    modes = [(part, part._training) for part in module.modules()]
    handles = [part.register_forward_hook(record, with_kwargs=True) for part, _ in modes]
    try:
        module.eval()
        with no_grad():
            module(*inputs)
    finally:
        for handle in handles:
            handle.remove()
        for part, mode in modes:
            part.training = mode
    return found


def _shapes(values: Any) -> str:
    tensors = [leaf for leaf in flatten(values)[0] if isinstance(leaf, Tensor)]
    return " ".join(format_shape(tensor.shape) for tensor in tensors)
