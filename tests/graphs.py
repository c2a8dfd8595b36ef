"""Random graphs for the property tests, with inputs on which they can run."""

import numpy as np
from hypothesis import strategies as st

from elinvar.core import dtypes
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder
from elinvar.graph.reference import stored

BATCH = Dim("B")
SHAPES = ((), (3,), (1,), (2, 3), (BATCH, 3), (3, BATCH), (2 * BATCH + 1,))
DTYPES = (dtypes.float32, dtypes.float64, dtypes.bfloat16, dtypes.int32, dtypes.int64, dtypes.bool_)
SPECIAL = (0.0, -0.0, 1.0, -1.0, 2.5, 1e-40, 1e30, np.inf, -np.inf, np.nan)
NUMBERS = (0, 1, -1, 2, 7)


def types():
    return st.builds(TensorType, st.sampled_from(DTYPES), st.sampled_from(SHAPES))


def arrays_for(graph, batch, seed):
    """Arrays for the inputs of a graph, with zeros, infinities and NaN among their elements."""
    rng = np.random.default_rng(seed)
    found = []
    for kind in graph.input_types:
        shape = tuple(d.evaluate({"B": batch}) if isinstance(d, Dim) else d for d in kind.shape)
        if kind.dtype.is_floating:
            values = np.where(
                rng.random(shape) < 0.3, rng.choice(SPECIAL, shape), rng.normal(size=shape)
            )
        else:
            values = rng.integers(0, 2 if kind.dtype.kind == "b" else 5, shape)
        with np.errstate(over="ignore"):
            found.append(stored(values, kind.dtype))
    return found


# ---- moves: each adds a node to a builder, or gives None where no value suits it ------------------


def pick(draw, values, test):
    fitting = [value for value in values if test(value)]
    return draw(st.sampled_from(fitting)) if fitting else None


def is_float(value):
    return value.dtype.is_floating


def is_number(value):
    return value.dtype.kind != "b"


def unary(draw, f, values):
    x = pick(draw, values, is_float)
    name = draw(st.sampled_from(("negative", "abs", "floor", "ceil", "stop_gradient")))
    return None if x is None else getattr(f, name)(x)


def binary(draw, f, values):
    x = pick(draw, values, is_number)
    if x is None:
        return None
    y = pick(draw, values, lambda value: value.type == x.type)
    names = ["add", "subtract", "multiply", "maximum", "minimum", "less", "equal"]
    names += ["divide"] if is_float(x) else ["bitwise_and", "bitwise_xor"]
    return getattr(f, draw(st.sampled_from(names)))(x, y)


def with_number(draw, f, values):
    """A binary op with a constant: what the rules of simplify are about."""
    x = pick(draw, values, is_number)
    if x is None:
        return None
    number = draw(st.sampled_from(SPECIAL if is_float(x) else NUMBERS))
    operands = [x, f.full(number, x)]
    if draw(st.booleans()):
        operands.reverse()
    names = ("add", "subtract", "multiply", "maximum", "divide" if is_float(x) else "bitwise_or")
    return getattr(f, draw(st.sampled_from(names)))(*operands)


def logical(draw, f, values):
    x = pick(draw, values, lambda value: value.dtype.kind == "b")
    if x is None:
        return None
    if draw(st.booleans()):
        return f.bitwise_invert(x)
    other = pick(draw, [*values, f.full(draw(st.booleans()), x)], lambda v: v.type == x.type)
    return getattr(f, draw(st.sampled_from(("bitwise_and", "bitwise_or"))))(x, other)


def where(draw, f, values):
    x = pick(draw, values, lambda value: True)
    y = pick(draw, values, lambda value: value.type == x.type)
    condition = TensorType(dtypes.bool_, x.shape)
    known = [value for value in values if value.type == condition]
    constant = f.constant(value=draw(st.booleans()), dtype=dtypes.bool_)
    if x.shape:
        constant = f.broadcast(constant, shape=x.shape)
    return f.where(draw(st.sampled_from([*known, constant])), x, y)


def cast(draw, f, values):
    x = pick(draw, values, lambda value: True)
    return f.cast(x, dtype=draw(st.sampled_from(DTYPES)))


def move(draw, f, values):
    x = pick(draw, values, lambda value: len(value.shape) > 0)
    if x is None:
        return None
    rank = len(x.shape)
    kind = draw(st.sampled_from(("permute", "reshape", "flip", "broadcast", "slice", "pad")))
    if kind == "permute":
        return f.permute(x, axes=tuple(draw(st.permutations(range(rank)))))
    if kind == "reshape":
        flat = (x.type.size,)
        return f.reshape(x, shape=draw(st.sampled_from((flat, (1, *x.shape), (*x.shape, 1)))))
    if kind == "flip":
        return f.flip(x, axes=tuple(sorted(draw(st.sets(st.integers(0, rank - 1))))))
    if kind == "broadcast":
        return f.broadcast(x, shape=(draw(st.sampled_from((1, 2))), *x.shape))
    if kind == "slice":
        return part(draw, f, x)
    zero = f.constant(value=0, dtype=x.dtype)
    low, high = (tuple(draw(st.integers(0, 1)) for _ in x.shape) for _ in range(2))
    interior = tuple(0 if isinstance(n, Dim) else draw(st.integers(0, 1)) for n in x.shape)
    return f.pad(x, zero, low=low, high=high, interior=interior)


def part(draw, f, x):
    start, size, step = [], [], []
    for dim in x.shape:
        if isinstance(dim, Dim) or draw(st.booleans()):
            start.append(0), size.append(dim), step.append(1)
            continue
        first = draw(st.integers(0, max(dim - 1, 0)))
        count = draw(st.integers(0, dim - first))
        backwards = draw(st.booleans()) and count == first + 1
        start.append(first), size.append(count), step.append(-1 if backwards else 1)
    return f.slice(x, start=tuple(start), size=tuple(size), step=tuple(step))


def join(draw, f, values):
    x = pick(draw, values, lambda value: len(value.shape) > 0)
    if x is None:
        return None
    y = pick(draw, values, lambda value: value.type == x.type)
    return f.concatenate(x, y, axis=draw(st.integers(0, len(x.shape) - 1)))


def reduce(draw, f, values):
    x = pick(draw, values, is_number)
    if x is None:
        return None
    axes = tuple(sorted(draw(st.sets(st.integers(0, len(x.shape) - 1))))) if x.shape else ()
    names = ["sum", "prod"]
    if all(isinstance(x.shape[axis], int) and x.shape[axis] for axis in axes):
        names += ["max", "min"]  # these need an element
    return getattr(f, draw(st.sampled_from(names)))(x, axes=axes)


def several(draw, f, values):
    x = pick(draw, values, lambda v: v.shape and is_number(v) and v.shape[-1] == 3)
    return None if x is None else f.top_k(x, k=draw(st.integers(1, 3)))


def conditional(draw, f, values):
    predicate = pick(draw, values, lambda value: value.type == TensorType(dtypes.bool_, ()))
    if predicate is None:
        predicate = f.constant(value=draw(st.booleans()), dtype=dtypes.bool_)
    operands = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3))
    x = operands[0]
    branches = {}
    for name in ("true", "false"):
        inner = Builder(capture_source=False)
        inputs = [inner.input(value.type) for value in operands]
        found = grow(draw, inner, inputs, 3)
        same = [value for value in found if value.type == x.type]
        branches[name] = inner.graph([draw(st.sampled_from(same)), inputs[0]], name)
    return f.cond(predicate, *operands, **branches)


def scan(draw, f, values):
    x = pick(draw, values, lambda v: v.shape and v.shape[0] != 0 and is_number(v))
    if x is None:
        return None
    slice_type = TensorType(x.dtype, x.shape[1:])
    constants = draw(st.lists(st.sampled_from(values), max_size=2))
    inner = Builder(capture_source=False)
    state = [inner.input(slice_type), inner.input(slice_type)]
    sequence = inner.input(slice_type)
    inputs = [*state, sequence, *(inner.input(value.type) for value in constants)]
    found = grow(draw, inner, inputs, 3)
    same = st.sampled_from([value for value in found if value.type == slice_type])
    body = inner.graph([draw(same), draw(same), draw(st.sampled_from(found))], "body")
    start = f.full(1, sequence)
    return f.scan(
        start, start, x, *constants, body=body, carry=2, sequences=1, length=x.shape[0],
        reverse=draw(st.booleans()),
    )  # fmt: skip


def loop(draw, f, values):
    """Count to 3; carries on one more value."""
    x = pick(draw, values, lambda value: True)
    kinds = (TensorType(dtypes.int32, ()), x.type)
    first = Builder(capture_source=False)
    i, _ = (first.input(kind) for kind in kinds)
    condition = first.graph([first.f.less(i, first.f.constant(value=3, dtype=dtypes.int32))])
    second = Builder(capture_source=False)
    i, y = (second.input(kind) for kind in kinds)
    found = grow(draw, second, [y], 2)
    after = draw(st.sampled_from([value for value in found if value.type == x.type]))
    body = second.graph([second.f.add(i, second.f.constant(value=1, dtype=dtypes.int32)), after])
    zero = f.constant(value=0, dtype=dtypes.int32)
    return f.while_loop(zero, x, condition=condition, body=body, carry=2)


SIMPLE = (unary, binary, with_number, logical, where, cast, move, join, reduce, several)
MOVES = (*SIMPLE, *SIMPLE, conditional, scan, loop)


def grow(draw, builder, values, most, moves=SIMPLE):
    """Add up to `most` nodes to a builder; returns all values."""
    values = list(values)
    for _ in range(draw(st.integers((most + 1) // 2, most))):
        found = draw(st.sampled_from(moves))(draw, builder.f, values)
        if found is not None:
            values += found if isinstance(found, tuple) else (found,)
    return values


@st.composite
def graphs(draw, most=10):
    """A graph of up to `most` nodes and what they need."""
    builder = Builder(capture_source=False)
    names = st.sampled_from(("", "x", 'layer."0".weight', "ω"))
    inputs = [builder.input(kind, draw(names)) for kind in draw(st.lists(types(), min_size=1, max_size=3))]
    values = grow(draw, builder, inputs, most, MOVES)
    read = {operand for value in values for operand in value.node.operands}
    unread = [value for value in values if value not in read]
    outputs = [*unread, draw(st.sampled_from(values))]
    return builder.graph(outputs, draw(st.sampled_from(("main", "a b", "True"))))


def bits(array):
    """The bits of an array; every NaN counts as the same."""
    if array.dtype.kind != "f":
        return array
    kept = np.where(np.isnan(array), array.dtype.type(np.nan), array)
    return kept.view(f"u{array.dtype.itemsize}")


def assert_same_bits(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_array_equal(bits(np.asarray(a)), bits(np.asarray(b)))
