"""Every function of the Python Array API standard gives the same bits eagerly and under jit.

Also: results whose shape would depend on values are refused in a trace, and the error names the way
out; the ways out have the bits of what they stand for.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import elinvar as el
from elinvar.core import errors
from tests import array_api_table as table

pytestmark = [pytest.mark.slow, pytest.mark.any_level]  # many programs to compile

QUICK = settings(max_examples=60, deadline=None, derandomize=True, database=None)
DTYPES = (
    el.bool, el.int8, el.int32, el.int64, el.uint8, el.uint16, el.uint64, el.float16, el.bfloat16, el.float32,
    el.float64, el.complex64, el.complex128,
)  # fmt: skip
FEW = (el.bool, el.int64, el.uint8, el.bfloat16, el.float32, el.complex64)
SHAPES = ((), (0,), (1,), (5,), (2, 0, 3), (2, 3))
PAIRS = (((), (4,)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((0,), (1,)), ((2, 1, 0), (3, 1)), ((), ()))


def numbers(shape, dtype, seed=0):
    """Small numbers of both signs where the dtype has them, some equal, some special."""
    generator = np.random.default_rng([seed, *shape])
    found = generator.integers(0, 5, shape)
    if dtype.kind == "b":
        return el.asarray(found > 2)
    if dtype.kind in "if":
        found = found - 2
    if dtype.kind in "fc":
        special = np.array([0.25, -0.0, 1.5, np.inf, np.nan, 0.75])
        found = np.where(generator.random(shape) < 0.5, found, special[generator.integers(0, 6, shape)])
    if dtype.kind == "c":
        found = found + 1j * generator.integers(-2, 3, shape)
    return el.asarray(np.asarray(found)).to(dtype)


def leaves(value):
    if isinstance(value, (tuple, list)):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


def same_bits(left, right):
    assert left.dtype is right.dtype and left.shape == right.shape
    a, b = (np.array(x.float() if x.dtype is el.bfloat16 else x, order="C") for x in (left, right))
    if a.dtype.kind not in "fc":
        np.testing.assert_array_equal(a, b)
        return
    parts = a.view(a.real.dtype) if a.ndim else a.reshape(1).view(a.real.dtype)
    others = b.view(b.real.dtype) if b.ndim else b.reshape(1).view(b.real.dtype)
    number = ~np.isnan(parts)
    np.testing.assert_array_equal(number, ~np.isnan(others))
    kind = f"u{parts.itemsize}"
    np.testing.assert_array_equal(parts[number].view(kind), others[number].view(kind))


MOST_CALLS = 6  # in a program: LLVM takes its time over larger ones


def check(calls):
    """All calls (function, *tensors) in a few programs, against each of them alone and at once."""
    calls = list(calls)
    groups = [calls[i : i + MOST_CALLS] for i in range(0, len(calls), MOST_CALLS)]
    return sum(check_together(group) for group in groups)


def check_together(calls):
    expected, kept = [], []
    for function, *operands in calls:
        try:
            expected.append(leaves(function(*operands)))
        except errors.ElinvarError:
            continue  # a dtype that the function does not take
        kept.append((function, operands))
    if not kept:
        return 0

    def all_of_them(*tensors):
        tensors, results = list(tensors), []
        for function, operands in kept:
            given = [tensors.pop(0) for _ in operands]
            results.append(tuple(leaves(function(*given))))
        return tuple(results)

    found = el.jit(all_of_them)(*(x for _, operands in kept for x in operands))
    for eager, compiled in zip(expected, found, strict=True):
        for left, right in zip(eager, leaves(compiled), strict=True):
            same_bits(left, right)
    return len(kept)


@pytest.mark.parametrize("name", table.ONE_OPERAND.split())
def test_one_operand(name):
    function = getattr(el, name)
    calls = [(function, numbers((7,), dtype)) for dtype in DTYPES]
    calls += [(function, numbers(shape, dtype)) for shape in SHAPES for dtype in (el.int64, el.float32)]
    assert check(calls) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("name", table.TWO_OPERANDS.split())
def test_two_operands(name):
    function = getattr(el, name)
    calls = [(function, numbers((11,), d, 1), numbers((11,), d, 2)) for d in DTYPES]
    calls += [(function, numbers(a, el.float32, 1), numbers(b, el.float32, 2)) for a, b in PAIRS]
    calls += [(function, numbers(a, el.int64, 1), numbers(b, el.int64, 2)) for a, b in PAIRS[-2:]]
    for d in (el.int64, el.float32, el.complex64):
        calls += [(lambda x, n=n: function(x, n), numbers((5,), d)) for n in (2, 0.5)]
        calls.append((lambda x: function(3, x), numbers((5,), d)))
    mixed = ((el.int8, el.uint8), (el.int32, el.float32), (el.bool, el.float16), (el.float32, el.float64))
    calls += [(function, numbers((5,), a, 1), numbers((5,), b, 2)) for a, b in mixed]
    assert check(calls) >= 8


X, M, V = (2, 3, 4), (3, 3), (5,)
GRIDS = {
    "clip": [lambda x: el.clip(x, 0, 1), lambda x: el.clip(x, max=1), lambda x: el.clip(x, x[:1], None)],
    "take": [
        lambda x: el.take(x, el.asarray([1, 0, -1]), axis=2),
        lambda x: el.take(x, el.asarray([], dtype=el.int64), axis=0),
    ],
    "take_along_axis": [
        lambda x: el.take_along_axis(x, el.argsort(x, axis=1, stable=True), axis=1),
        lambda x: el.take_along_axis(x, el.asarray([[[0]], [[-1]]]), axis=-1),
    ],
    "broadcast_arrays": [lambda x: el.broadcast_arrays(x, x[0, :1], el.asarray(1))],
    "broadcast_to": [lambda x: el.broadcast_to(x, (2, *X)), lambda x: el.broadcast_to(x[:, :0], (2, 0, 4))],
    "concat": [lambda x: el.concat([x, x[:1]]), lambda x: el.concat([x, x], axis=None)],
    "expand_dims": [lambda x: el.expand_dims(x, -1), lambda x: el.expand_dims(x, (0, -2))],
    "flip": [el.flip, lambda x: el.flip(x, axis=(0, -1)), lambda x: el.flip(x, axis=1)],
    "moveaxis": [lambda x: el.moveaxis(x, 0, -1), lambda x: el.moveaxis(x, (0, 1), (-1, 0))],
    "permute_dims": [lambda x: el.permute_dims(x, (2, 0, 1))],
    "repeat": [
        lambda x: el.repeat(x, 2), lambda x: el.repeat(x, [1, 0, 2], axis=1), lambda x: el.repeat(x, 0, axis=-1),
    ],
    "reshape": [lambda x: el.reshape(x, (-1,)), lambda x: el.reshape(x, [4, 6], copy=True)],
    "roll": [lambda x: el.roll(x, -5), lambda x: el.roll(x, (1, 2), axis=(0, -1))],
    "squeeze": [lambda x: el.squeeze(x[:1], 0), lambda x: el.squeeze(x[:1, :1], (0, 1))],
    "stack": [lambda x: el.stack([x, x], axis=-1), lambda x: el.stack((x, x))],
    "tile": [lambda x: el.tile(x, (2, 1)), lambda x: el.tile(x, (2, 1, 1, 3)), lambda x: el.tile(x, (0,))],
    "unstack": [el.unstack, lambda x: el.unstack(x, axis=-2)],
    "tril": [el.tril, lambda x: el.tril(x, k=-1)],
    "triu": [el.triu, lambda x: el.triu(x, k=2**70)],
    "empty_like": [lambda x: el.empty_like(x).shape and el.zeros(2)],
    "full_like": [lambda x: el.full_like(x, 2), lambda x: el.full_like(x, 1, dtype=el.float64)],
    "ones_like": [el.ones_like],
    "zeros_like": [el.zeros_like, lambda x: el.zeros_like(x, dtype=el.int8)],
    "meshgrid": [lambda x: el.meshgrid(x[0, 0], x[1, :, 0], indexing="ij"), lambda x: el.meshgrid(x[0, 0])],
    "asarray": [el.asarray, lambda x: el.asarray(x, copy=True), lambda x: el.asarray([x[0], x[1]])],
    "astype": [lambda x, d=d: el.astype(x, d) for d in (el.bool, el.int32, el.uint8, el.float32, el.bfloat16)],
    "matrix_transpose": [el.matrix_transpose],
    "matmul": [lambda x: el.matmul(x, el.matrix_transpose(x)), lambda x: el.matmul(x, x[0, 0]),
               lambda x: el.matmul(x[:, :0], el.matrix_transpose(x))],
    "tensordot": [lambda x: el.tensordot(x, x, axes=((1, 2), (1, 2))), lambda x: el.tensordot(x, x, axes=0)],
    "vecdot": [lambda x: el.vecdot(x, x), lambda x: el.vecdot(x, x[:1], axis=-2)],
    "argsort": [el.argsort, lambda x: el.argsort(x, axis=0, descending=True)],
    "sort": [el.sort, lambda x: el.sort(x, axis=1, descending=True, stable=False)],
    "searchsorted": [
        lambda x: el.searchsorted(el.sort(x[0, 0]), x), lambda x: el.searchsorted(el.sort(x[0, 0]), 1, side="right"),
        lambda x: el.searchsorted(x[0, 0], x[1, 0], sorter=el.argsort(x[0, 0])),
    ],
    "where": [lambda x: el.where(x == 1, x, 0), lambda x: el.where(x[0] != 0, x, x[:1])],
    "isin": [lambda x: el.isin(x, x[0]), lambda x: el.isin(x, 1, invert=True), lambda x: el.isin(x, el.tile(x, (1, 1, 9)))],
    "diff": [el.diff, lambda x: el.diff(x, axis=0, n=2, prepend=x, append=x[:1]), lambda x: el.diff(x, n=9)],
}  # fmt: skip
for _name in ("all", "any", "argmax", "argmin", "count_nonzero", "max", "mean", "min", "prod", "std", "sum", "var"):
    _f = getattr(el, _name)
    GRIDS[_name] = [_f, lambda x, f=_f: f(x, axis=1, keepdims=True), lambda x, f=_f: f(x, axis=-1)]
    if not _name.startswith("arg"):
        GRIDS[_name] += [lambda x, f=_f: f(x, axis=(0, -1)), lambda x, f=_f: f(x, axis=())]
    if _name in ("all", "any", "count_nonzero", "prod", "sum"):
        GRIDS[_name].append(lambda x, f=_f: f(x[:, :0], axis=1))
GRIDS["std"].append(lambda x: el.std(x, correction=1))
GRIDS["var"].append(lambda x: el.var(x, axis=0, correction=1.5))
GRIDS["sum"].append(lambda x: el.sum(x, axis=0, dtype=el.float64))
GRIDS["prod"].append(lambda x: el.prod(x, axis=0, dtype=el.float64))
for _name in ("cumulative_sum", "cumulative_prod"):
    _f = getattr(el, _name)
    GRIDS[_name] = [
        lambda x, f=_f: f(x, axis=1), lambda x, f=_f: f(x[0, 0]),
        lambda x, f=_f: f(x, axis=-1, include_initial=True, dtype=el.float64),
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(GRIDS))
def test_other_functions(name):
    assert check((call, numbers(X, dtype)) for call in GRIDS[name] for dtype in FEW) >= 4


CREATED = {
    "arange": [lambda: el.arange(5), lambda: el.arange(5, -2, -1.5), lambda: el.arange(3, 3), lambda: el.arange(2.0, dtype=el.float64)],
    "empty": [lambda: el.empty((2, 0))],
    "eye": [lambda: el.eye(3), lambda: el.eye(2, 4, k=1, dtype=el.int8), lambda: el.eye(0), lambda: el.eye(2, k=9)],
    "full": [lambda: el.full((2, 3), 7), lambda: el.full([2], True), lambda: el.full((), 1.5), lambda: el.full(3, 2j)],
    "linspace": [lambda: el.linspace(0, 1, 7), lambda: el.linspace(-1.0, 3.0, num=4, endpoint=False), lambda: el.linspace(1, 2, 0)],
    "ones": [lambda: el.ones((2, 3)), lambda: el.ones([0, 2], dtype=el.bool)],
    "zeros": [lambda: el.zeros(4), lambda: el.zeros((), dtype=el.uint16)],
}  # fmt: skip
REST = {
    "cross": [lambda x: el.linalg.cross(x[:, :3], x[:, :3], axis=1)],
    "diagonal": [el.linalg.diagonal, lambda x: el.linalg.diagonal(x, offset=-1), lambda x: el.linalg.diagonal(x, offset=9)],
    "trace": [el.linalg.trace, lambda x: el.linalg.trace(x, offset=1, dtype=el.float64)],
    "outer": [lambda x: el.linalg.outer(x[0, 0], x[1, :, 0])],
    "matrix_power": [lambda x, n=n: el.linalg.matrix_power(x @ x.mT, n) for n in (0, 1, 5)],
    "matrix_norm": [el.linalg.matrix_norm, lambda x: el.linalg.matrix_norm(x, ord=1, keepdims=True)],
    "vector_norm": [lambda x, p=p: el.linalg.vector_norm(x, axis=1, ord=p) for p in (0, 1, 2, 3.5, math.inf, -math.inf)],
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CREATED))
def test_creation(name):
    check((call,) for call in CREATED[name])


@pytest.mark.parametrize("name", sorted(REST))
def test_linear_algebra(name):
    kinds = (el.int64, el.float32, el.complex64)
    assert check((call, numbers(X, dtype)) for call in REST[name] for dtype in kinds) >= 2


# ---- shapes that depend on values ---------------------------------------------------------------

DEPENDENT = {
    "nonzero": (el.nonzero, "pass `size=`"),
    "unique_all": (el.unique_all, "pass `size=`"),
    "unique_counts": (el.unique_counts, "pass `size=`"),
    "unique_inverse": (el.unique_inverse, "pass `size=`"),
    "unique_values": (el.unique_values, "pass `size=`"),
    "where": (lambda x: el.where(x > 1), "pass `size=`"),
    "repeat": (lambda x: el.repeat(x, x), "pass `total_repeat_length=`"),
    "getitem": (lambda x: x[x > 1], "el.nonzero(mask, size=n)"),
    "setitem": (lambda x: x.__setitem__(x > 1, el.arange(2)), "el.where"),
    "single": (lambda x: x[x[0] > 1], "el.where"),
}


@pytest.mark.parametrize("name", sorted(DEPENDENT))
def test_the_error_names_the_way_out(name):
    function, hint = DEPENDENT[name]
    with pytest.raises(errors.TraceError) as caught:
        el.jit(function)(el.asarray([0, 2, 1, 2]))
    assert hint in str(caught.value) and "jit" in str(caught.value)


def test_everything_of_the_standard_is_here():
    data_types = {*table.lines(table.DATA_TYPES)} - {"astype"}  # no tensors come out of them
    dependent = {"nonzero", "unique_all", "unique_counts", "unique_inverse", "unique_values"}
    elsewhere = data_types | dependent | {"broadcast_shapes", "from_dlpack"}
    here = {*table.ONE_OPERAND.split(), *table.TWO_OPERANDS.split(), *GRIDS, *CREATED}
    assert here | elsewhere == {*table.functions()} and not here & elsewhere
    linalg = {*REST, "matmul", "matrix_transpose", "tensordot", "vecdot"}
    assert linalg == {*table.lines(table.LINALG)}


values = st.sampled_from([0, 1, 2, 7]).flatmap(
    lambda count: st.lists(st.integers(-2, 2), min_size=count, max_size=count)
)


@QUICK
@given(values, st.sampled_from([0, 2, 9]), st.sampled_from(["int64", "uint8", "float32", "bool"]))
def test_sized_results_are_the_first_of_all(numbers, size, dtype):
    array = np.array(numbers, np.int64).astype(dtype)
    x = el.asarray(array)
    positions = np.flatnonzero(array)
    (found,) = el.jit(lambda x: el.nonzero(x, size=size, fill_value=-7))(x)
    expected = np.concatenate([positions, np.full(size, -7)])[:size]
    assert found.tolist() == expected.tolist() == el.where(x, size=size, fill_value=-7)[0].tolist()

    found = el.jit(lambda x: tuple(el.unique_all(x, size=size, fill_value=1)))(x)
    kept, first, inverse, counts = np.unique(array, return_index=True, return_inverse=True, return_counts=True)
    padded = np.concatenate([kept, np.ones(size, dtype)])[:size]
    assert found[0].tolist() == padded.tolist() == el.unique_values(x, size=size, fill_value=1).tolist()
    assert found[1].tolist()[: len(first)] == first.tolist()[:size]
    assert found[2].tolist() == inverse.tolist()
    assert found[3].tolist() == np.concatenate([counts, np.zeros(size, int)])[:size].tolist()
    for left, right in zip(found, el.unique_all(x, size=size, fill_value=1), strict=True):
        same_bits(left, right)


@QUICK
@given(st.lists(st.integers(0, 3), min_size=5, max_size=5), st.sampled_from([0, 3, 12]))
def test_repeats_of_a_given_length(repeats, total):
    x = np.arange(len(repeats)) + 10
    expected = np.repeat(x, repeats)
    assert el.repeat(el.asarray(x), el.asarray(repeats)).tolist() == expected.tolist()
    expected = np.concatenate([expected, np.full(total, x[-1])])[:total]
    run = el.jit(lambda x, r: el.repeat(x, r, total_repeat_length=total))
    assert run(el.asarray(x), el.asarray(repeats)).tolist() == expected.tolist()


def test_sized_results_of_symbolic_sizes():
    def found(x):
        n = x.shape[0]
        return (*el.nonzero(x, size=n, fill_value=n), *el.unique_all(x, size=4), el.isin(x, x), el.searchsorted(x, x))

    run = el.jit(found, specs=("i64[n]",))
    for array in ([0, 3, 0, 5, 5], [7], [1, 0, 2], list(range(-3, 4))):
        x = el.asarray(array)
        for left, right in zip(run(x), found(x), strict=True):
            same_bits(left, right)


def test_distinct_complex_numbers():
    nan = math.nan
    x = el.asarray([[2 + 1j, -0.0 + 3j, 2 - 1j], [0.0 + 3j, 2 + 1j, complex(1, nan)], [0.0 - 3j, -0.0 - 3j, nan]])
    found = el.unique_all(x)
    expected = [-3j, 3j, complex(1, nan), 2 - 1j, 2 + 1j, complex(nan, 0)]
    np.testing.assert_array_equal(np.asarray(found.values), np.array(expected, np.complex64))
    assert found.counts.tolist() == [2, 2, 1, 1, 2, 1] and found.indices.tolist() == [6, 1, 5, 2, 0, 8]
    np.testing.assert_array_equal(np.asarray(found.values[found.inverse_indices]), np.asarray(x))
    sized = el.jit(lambda x: tuple(el.unique_all(x, size=7, fill_value=1j)))(x)
    same_bits(sized[0][:6], found.values)
    assert sized[0].tolist()[6] == 1j and sized[3].tolist() == [2, 2, 1, 1, 2, 1, 0]
    many = el.asarray([1j * k for k in range(40)])
    assert el.isin(el.asarray([5j, 0.5j]), many).tolist() == [True, False]


def test_gradients_flow_to_distinct_and_repeated_values():
    x = el.tensor([3.0, 1.0, 3.0], requires_grad=True)
    (el.unique_values(x, size=3, fill_value=0.0) * el.asarray([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad.tolist() == [10.0, 1.0, 0.0]
    y = el.tensor([1.0, 2.0], requires_grad=True)
    el.repeat(y, el.asarray([3, 1])).sum().backward()
    assert y.grad.tolist() == [3.0, 1.0]
