"""Control flow over tensors: cond, while_loop, scan, fori_loop.

The functions given are traced into sub-graphs. Tensors from outside that they read become operands,
tensors that they rebind (a random generator's state, running statistics) are carried along and
written back. They work at once and under a trace, and compose with the transforms (a `while_loop`
has no derivative in reverse, as its number of steps is not known; forward mode goes through it).
What is made of them stands in `looping.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple, Unpack

from elinvar.core import tree
from elinvar.core.dtypes import bool_, int64
from elinvar.core.errors import DTypeError, ShapeError, TraceError, ValueRangeError, fail
from elinvar.core.shapes import Dim, DimLike
from elinvar.core.types import TensorType
from elinvar.graph.ir import Graph, Value
from elinvar.ops.control import SCAN, WHILE_LOOP
from elinvar.ops.record import Op
from elinvar.tensor.cell import state, traces
from elinvar.tensor.dispatch import F, apply, as_tensor
from elinvar.tensor.stepping import by_steps
from elinvar.tensor.trace import Trace

R = TypeVar("R")
X = TypeVar("X")
Y = TypeVar("Y")
Xs = TypeVarTuple("Xs")


class Region:
    """A function as a sub-graph: its inputs, results, and the cells it reads and rebinds."""

    inputs: list[Any]
    structure: Any
    outputs: list[Value]
    written: dict[int, tuple[Any, Any]]
    read: dict[int, tuple[Any, Any]]

    def __init__(self, name: str, function: Callable[..., Any], types: Any, build: Any) -> None:
        self.name = name
        with Trace(name, region=True) as trace:
            self.inputs = [trace.input(kind)._value for kind in types]
            stand_ins = [trace.wrap(value) for value in self.inputs]
            found = function(*build(stand_ins))
            leaves, self.structure = tree.flatten(found)
            self.outputs = [trace.read(as_tensor(leaf)) for leaf in leaves]
            if trace.changed_gradients:
                text = "`backward` must not leave gradients in tensors outside of the function"
                fail(TraceError, name, text, "use `el.grad`, or call `backward` after the loop")
            self.written = {id(one.cell): (one.cell, one.cell._value) for one in trace.written}
            self.read = {id(one.cell): (one.cell, one.tensor._value) for one in trace.inputs}
            self._trace = trace

    def value_of(self, cell: Any) -> Value:
        """The input that stands for a cell; made here where the function does not read it."""
        found = self.read.get(id(cell))
        if found is None:
            found = self.read[id(cell)] = cell, self._trace.builder.input(cell._type)
        return found[1]

    def result_of(self, cell: Any) -> Value:
        """What the cell holds at the end."""
        found = self.written.get(id(cell))
        return self.value_of(cell) if found is None else found[1]

    def refuse_writes(self) -> None:
        """For functions that must not change anything."""
        for cell, _ in self.written.values():
            fail(TraceError, self.name, f"must not change a tensor from outside: {cell._type}")

    def graph(self, inputs: list[Value], outputs: list[Value]) -> Graph:
        """The sub-graph with these inputs and outputs."""
        return Graph(inputs, outputs, self.name)


def _cells(*found: dict[int, Any]) -> list[Any]:
    """The cells of several dicts, each once, in order."""
    return [cell for cell, _ in {k: v for one in found for k, v in one.items()}.values()]


def _types(leaves: list[Any]) -> list[TensorType]:
    return [leaf._type for leaf in leaves]


def _found(region: Region) -> list[TensorType]:
    return [value.type for value in region.outputs]


def _tensors(values: Any) -> tuple[list[Any], Any]:
    leaves, structure = tree.flatten(values)
    return [as_tensor(leaf) for leaf in leaves], structure


def _tuple(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)


def _write_back(cells: list[Any], values: Any) -> None:
    for cell, value in zip(cells, values, strict=True):
        cell._rebind(value)


def _need_functions(op: str, **functions: Any) -> None:
    for name, function in functions.items():
        if not callable(function):
            text = f"`{name}` must be a function, received {type(function).__name__}"
            fail(DTypeError, op, text, "write `lambda …: value`")


def cond(
    predicate: Any,
    true_fun: Callable[[Unpack[Xs]], R],
    false_fun: Callable[[Unpack[Xs]], R],
    *operands: *Xs,
) -> R:
    """`true_fun(*operands)` if the predicate holds, else `false_fun(*operands)`.

    Both functions must give the same structure, dtypes and shapes; only one of them runs.

    Args:
        predicate: a bool tensor without axes, or a Python bool.
        true_fun, false_fun: functions of the operands; they may read other tensors too.
        operands: nested containers of tensors.

    Example:
        >>> import elinvar as el
        >>> x = el.asarray([1.0, 4.0])
        >>> el.cond(x.sum() > 3, lambda v: v * 2, lambda v: -v, x).tolist()
        [2.0, 8.0]
    """
    return choose("cond", predicate, true_fun, false_fun, operands)


def choose(
    op: str,
    predicate: Any,
    true_fun: Callable[..., R],
    false_fun: Callable[..., R],
    operands: tuple[Any, ...],
) -> R:
    """`cond`, under the name `op` in errors."""
    _need_functions(op, true_fun=true_fun, false_fun=false_fun)
    predicate = as_tensor(predicate)
    if predicate.ndim:
        text = f"the predicate must have no axes, received {predicate._type}"
        hint = "`el.where(condition, x, y)` chooses element by element; or reduce it, `.all()`"
        fail(ShapeError, op, text, hint)
    if predicate.dtype is not bool_:
        predicate = F.cast(predicate, dtype=bool_)
    leaves, structure = _tensors(operands)
    if by_steps():
        chosen = true_fun if bool(predicate) else false_fun
        made: R = tree.map_tree(as_tensor, chosen(*tree.unflatten(structure, leaves)))
        return made

    def build(xs: list[Any]) -> Any:
        return tree.unflatten(structure, xs)

    types = _types(leaves)
    yes = Region(op, true_fun, types, build)
    no = Region(op, false_fun, types, build)
    if yes.structure != no.structure:
        shown = f"{tree.describe(yes.structure)} and {tree.describe(no.structure)}"
        fail(TraceError, op, f"the branches return different structures: {shown}")
    for one, other in zip(yes.outputs, no.outputs, strict=True):
        if one.type != other.type:
            text = f"the branches return different types: {one.type} and {other.type}"
            fail(ShapeError, op, text, "cast or broadcast one of them")
    written = _cells(yes.written, no.written)
    cells = _cells(yes.read, no.read, {id(cell): (cell, None) for cell in written})
    graphs = []
    for branch in (yes, no):
        inputs = [*branch.inputs, *(branch.value_of(cell) for cell in cells)]
        outputs = [*branch.outputs, *(branch.result_of(cell) for cell in written)]
        graphs.append(branch.graph(inputs, outputs))
    found = _tuple(F.cond(predicate, *leaves, *cells, true=graphs[0], false=graphs[1]))
    count = len(yes.outputs)
    _write_back(written, found[count:])
    return tree.unflatten(yes.structure, list(found[:count]))


def while_loop(cond_fun: Callable[[R], Any], body_fun: Callable[[R], R], init: R) -> R:
    """Repeat `state = body_fun(state)` while `cond_fun(state)` holds; gives the last state.

    Args:
        cond_fun: state → a bool tensor without axes.
        body_fun: state → state, of the same structure, dtypes and shapes.
        init: the first state, a nested container of tensors.

    Example:
        >>> import elinvar as el
        >>> el.while_loop(lambda n: n < 100, lambda n: n * 2, el.asarray(3)).item()
        192
    """
    _need_functions("while_loop", cond_fun=cond_fun, body_fun=body_fun)
    leaves, structure = _tensors(init)

    def build(xs: list[Any]) -> Any:
        return (tree.unflatten(structure, xs),)

    types = _types(leaves)
    if by_steps():
        now: R = tree.unflatten(structure, leaves)
        while bool(as_tensor(cond_fun(now))):
            now = _next("while_loop", "the body", body_fun(now), types, structure)
        return now
    test = Region("while_loop", cond_fun, types, build)
    test.refuse_writes()
    body = Region("while_loop", body_fun, types, build)
    _need_structure("while_loop", "the body's result", body.structure, structure)
    _need_types("while_loop", "the body returns", _found(body), types, structure)
    written = _cells(body.written)
    cells = [cell for cell in _cells(test.read, body.read) if id(cell) not in body.written]
    carried = [*leaves, *written]
    graphs = {}
    for name, region in (("condition", test), ("body", body)):
        inputs = [*region.inputs, *(region.value_of(cell) for cell in (*written, *cells))]
        outputs = region.outputs
        if region is body:
            outputs = [*outputs, *(region.result_of(cell) for cell in written)]
        graphs[name] = region.graph(inputs, outputs)
    params = {**graphs, "carry": len(carried)}
    found = _looped(WHILE_LOOP, [*carried, *cells], params)
    _write_back(written, found[len(leaves) :])
    return tree.unflatten(structure, list(found[: len(leaves)]))


def scan(
    body_fun: Callable[[R, X], tuple[R, Y]],
    init: R,
    xs: X = None,  # type: ignore[assignment]
    length: DimLike | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[R, Y]:
    """Run `carry, y = body_fun(carry, x)` over the leading axis of xs; gives (carry, stacked ys).

    Args:
        body_fun: (carry, x) → (carry, y); the carry keeps its structure, dtypes and shapes.
        init: the first carry, a nested container of tensors.
        xs: a nested container of tensors with equal leading sizes, or None.
        length: the number of steps, needed if xs holds no tensor.
        reverse: run from the last element to the first; y stays at the place of its x.
        unroll: how many steps one round of the compiled loop makes; True: all of them. No bit of
            the result depends on it.

    Raises:
        ShapeError: leading sizes differ, or the carry changes its type.

    Example:
        >>> import elinvar as el
        >>> total, sums = el.scan(lambda c, x: (c + x, c + x), el.asarray(0), el.arange(5))
        >>> total.item(), sums.tolist()
        (10, [0, 1, 3, 6, 10])
    """
    _need_functions("scan", body_fun=body_fun)
    leaves, structure = _tensors(init)
    rows, row_structure = _tensors(xs)
    length = _steps("scan", rows, length)
    if unroll is not False and unroll != 1:
        return _unrolled(body_fun, init, (rows, row_structure), length, reverse, unroll)
    if by_steps() and isinstance(length, int) and length:
        return _stepped(body_fun, tree.unflatten(structure, leaves), xs, length, reverse)
    slices = [row._type.with_shape(row.shape[1:]) for row in rows]

    def build(values: list[Any]) -> Any:
        carry = tree.unflatten(structure, values[: len(leaves)])
        return carry, tree.unflatten(row_structure, values[len(leaves) :])

    body = Region("scan", body_fun, [*_types(leaves), *slices], build)
    pair = body.structure
    _need_pair(pair)
    _need_structure("scan", "the body's carry", pair.children[0], structure)
    carried = _found(body)[: len(leaves)]
    _need_types("scan", "the body carries on", carried, _types(leaves), structure)
    written = _cells(body.written)
    cells = [cell for cell in _cells(body.read) if id(cell) not in body.written]
    count = len(leaves)
    inputs = [
        *body.inputs[:count],
        *(body.value_of(cell) for cell in written),
        *body.inputs[count:],
        *(body.value_of(cell) for cell in cells),
    ]
    outputs = [
        *body.outputs[:count],
        *(body.result_of(cell) for cell in written),
        *body.outputs[count:],
    ]
    carry = count + len(written)
    params = {
        "body": body.graph(inputs, outputs),
        "carry": carry,
        "sequences": len(rows),
        "length": length,
        "reverse": bool(reverse),
    }
    found = _looped(SCAN, [*leaves, *written, *rows, *cells], params)
    _write_back(written, found[count:carry])
    last = tree.unflatten(structure, list(found[:count]))
    return last, tree.unflatten(pair.children[1], list(found[carry:]))


def _looped(op: Op, operands: list[Any], params: dict[str, Any]) -> tuple[Any, ...]:
    """Run a loop; in forward mode, at once, together with its tangents."""
    if state.pushing is not None and not traces.active:
        found: tuple[Any, ...] | None = state.pushing.loop(op, operands, params)
        if found is not None:
            return found
    return _tuple(apply(op, tuple(operands), params))


def _steps(op: str, rows: list[Any], length: Any) -> DimLike:
    """The number of steps, which all sequences agree on."""
    for row in rows:
        if not row.ndim:
            text = f"a sequence needs a leading axis, received {row._type}"
            fail(ShapeError, op, text, "a list is a container: make one tensor of it, `el.asarray`")
        if length is None:
            length = row.shape[0]
        if row.shape[0] != length:
            fail(ShapeError, op, f"expected sequences of length {length}, received {row._type}")
    if length is None:
        fail(ValueRangeError, op, "expected xs or length", "pass `length=`")
    if not isinstance(length, int | Dim) or isinstance(length, bool):
        fail(ValueRangeError, op, f"length must be a number of steps, received {length!r:.60}")
    if isinstance(length, int) and length < 0:
        fail(ValueRangeError, op, f"length must not be negative, received {length}")
    return length if isinstance(length, Dim) else length.__index__()


def _unrolled(
    body_fun: Any, init: Any, xs: tuple[list[Any], Any], length: Any, reverse: bool, unroll: Any
) -> Any:
    """A scan whose rounds make several steps each, and one over the steps that remain."""
    rows, row_structure = xs
    if not isinstance(unroll, int) or unroll < 1:
        fail(
            ValueRangeError, "scan", f"unroll must be a positive int or a bool, received {unroll!r}"
        )
    if not isinstance(length, int):
        text = f"unroll needs the number of steps, which is {length}"
        fail(ValueRangeError, "scan", text, "leave `unroll` out")
    many = max(length if unroll is True else min(unroll, length), 1)
    rounds, rest = divmod(length, many)

    def part(first: int, count: int) -> list[Any]:
        return [_rows(x, first, count) for x in rows]

    def several(carry: Any, chunk: Any) -> Any:
        found: list[Any] = [None] * many
        for step in reversed(range(many)) if reverse else range(many):
            here = [F.reshape(_rows(x, step, 1), shape=x.shape[1:]) for x in chunk]
            carry, found[step] = body_fun(carry, tree.unflatten(row_structure, here))
        return carry, tree.map_tree(_stacked, *found)

    first = rest if reverse else 0
    chunks = [F.reshape(x, shape=(rounds, many, *x.shape[1:])) for x in part(first, rounds * many)]
    carry, ys = scan(several, init, chunks, rounds, reverse)
    ys = tree.map_tree(lambda y: F.reshape(y, shape=(rounds * many, *y.shape[2:])), ys)
    if rest:
        remaining = tree.unflatten(row_structure, part(0 if reverse else rounds * many, rest))
        carry, more = scan(body_fun, carry, remaining, rest, reverse)
        parts = (more, ys) if reverse else (ys, more)
        ys = tree.map_tree(lambda a, b: F.concatenate(a, b, axis=0), *parts)
    return carry, ys


def _stepped(body_fun: Any, carry: Any, xs: Any, length: int, reverse: bool) -> Any:
    """A scan as a loop of Python."""
    leaves, structure = tree.flatten(carry)
    types, found = _types(leaves), [None] * length
    for place in reversed(range(length)) if reverse else range(length):
        element = tree.map_tree(lambda x: as_tensor(x)[place], xs)  # noqa: B023
        pair = body_fun(carry, element)
        _need_pair(tree.flatten(pair)[1])
        carry = _next("scan", "the carry", pair[0], types, structure)
        found[place] = pair[1]
    return carry, tree.map_tree(_stacked, *found)


def _next(op: str, what: str, given: Any, types: list[TensorType], structure: Any) -> Any:
    """A state that must be like the first."""
    leaves, found = _tensors(given)
    _need_structure(op, what, found, structure)
    _need_types(op, what, _types(leaves), types, structure)
    return tree.unflatten(structure, leaves)


def _need_pair(pair: Any) -> None:
    if not isinstance(pair, tree.Branch) or pair.kind is not tuple or len(pair.children) != 2:
        text = f"the body must return a pair (carry, y), received {tree.describe(pair)}"
        fail(TraceError, "scan", text, "write `return carry, None` where there is no y")


def _rows(x: Any, first: int, count: int) -> Any:
    start = (first, *(0 for _ in x.shape[1:]))
    return F.slice(x, start=start, size=(count, *x.shape[1:]), step=(1,) * x.ndim)


def _stacked(*found: Any) -> Any:
    """Tensors of one type along a new leading axis."""
    tensors = [as_tensor(x) for x in found]
    rows = [F.reshape(x, shape=(1, *x.shape)) for x in tensors]
    return F.concatenate(*rows, axis=0)


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, R], R], init: R) -> R:
    """Repeat `state = body_fun(i, state)` for i from lower to upper - 1.

    With Python ints or sizes as bounds it is a `scan` and has a derivative; else a `while_loop`.

    Example:
        >>> import elinvar as el
        >>> el.fori_loop(0, 4, lambda i, total: total + i, el.asarray(0)).item()
        6
    """
    _need_functions("fori_loop", body_fun=body_fun)
    if isinstance(lower, int | Dim) and isinstance(upper, int | Dim):
        length = upper - lower
        count = max(0, length) if isinstance(length, int) else length
        steps = F.iota(size=count, dtype=int64)
        if lower:
            steps = steps + lower
        return scan(lambda state, i: (body_fun(i, state), None), init, steps)[0]
    first, last = as_tensor(lower), as_tensor(upper)
    for name, bound in (("lower", first), ("upper", last)):
        if bound.dtype.kind not in "iu" or bound.ndim:
            text = f"`{name}` must be an integer without axes, received {bound._type}"
            fail(DTypeError, "fori_loop", text)

    def step(pair: Any) -> Any:
        i, state = pair
        return i + 1, body_fun(i, state)

    return while_loop(lambda pair: pair[0] < last, step, (first, init))[1]


def _need_types(
    op: str, what: str, found: list[TensorType], expected: list[TensorType], structure: Any
) -> None:
    """Refuse results that are not of the types of the state, naming the first that is not."""
    for place, (given, wanted) in enumerate(zip(found, expected, strict=True)):
        if given == wanted:
            continue
        lists = [", ".join(str(kind) for kind in kinds) for kinds in (found, expected)]
        text = f"{what} ({lists[0]}), expected ({lists[1]})"
        path = tree.paths(structure)[place]
        if path:
            text += f": they differ at {''.join(f'[{key!r}]' for key in path)}"
        hint = "start with a value of that dtype (0.0, not 0), or cast the result"
        if given.shape != wanted.shape:
            hint = "every step must keep the shape of the first value"
        fail(ShapeError, op, text, hint)


def _need_structure(op: str, what: str, found: Any, expected: Any) -> None:
    if found != expected:
        shown = f"expected {tree.describe(expected)}, received {tree.describe(found)}"
        fail(TraceError, op, f"{what} must have the structure of the initial value: {shown}")
