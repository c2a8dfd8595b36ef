"""Every op against its own record: types, error texts, derivatives to order two, batching, index
maps and examples."""

import doctest
import itertools

import numpy as np
import pytest
from arrays import Tape, stored_name

import elinvar as el
from elinvar.core.dtypes import float64, int64
from elinvar.core.errors import ElinvarError
from elinvar.core.shapes import evaluate
from elinvar.core.types import parse_type
from elinvar.graph.regions import build_params
from elinvar.ops import cumulative
from elinvar.ops.movement import aligned_groups
from elinvar.ops.record import FAMILIES, Absent
from elinvar.ops.table import BY_NAME, TABLE


def per_op(keep=lambda op: True):
    """Run a test once for each op that `keep` accepts."""
    return pytest.mark.parametrize("op", [op for op in TABLE if keep(op)], ids=lambda op: op.name)


def quiet(function, *arguments, **params):
    with np.errstate(all="ignore"):
        return function(*arguments, **params)


def as_tuple(found):
    return found if isinstance(found, tuple) else (found,)


# ---- the table, types and errors ----------------------------------------------------------------


def test_names_are_unique_and_families_known():
    assert len(BY_NAME) == len(TABLE)
    assert {op.family for op in TABLE} <= set(FAMILIES)


@per_op()
def test_fields_are_present_or_absent_for_a_reason(op):
    for field in ("derivative", "batching", "lowering", "stablehlo"):
        value = getattr(op, field)
        assert value is not None
        if isinstance(value, Absent):
            assert len(value.reason) > 10
    assert op.samples()
    assert len(op.doc) > 40


@per_op()
def test_type_rule_agrees_with_reference(op):
    for sample in op.samples():
        params = build_params(sample.params)
        assert set(params) <= set(op.params)
        types = op.result_types(sample.types, params)
        found = as_tuple(quiet(op.reference, *sample.operands, **params))
        count = op.results if isinstance(op.results, int) else op.results(**params)
        assert count == len(types) == len(found)
        for array, kind in zip(found, types, strict=True):
            assert isinstance(array, np.ndarray), (sample.params, type(array))
            assert array.shape == kind.shape, sample.params
            assert array.dtype.name == stored_name(kind.dtype), sample.params


@per_op()
def test_bad_samples_are_refused_with_the_text(op):
    for bad in op.bad_samples():
        with pytest.raises(ElinvarError) as caught:
            op.result_types(bad.types, build_params(bad.params))
        first = str(caught.value).split("\n")[0]
        assert bad.expected in first
        assert first.startswith(f"[{op.name}] ")


@per_op(lambda op: op.family != "elementwise" and ">>>" in op.doc)
def test_example(op):
    names = {op.name: op.reference, "array": np.array, "int64": int64}
    test = doctest.DocTestParser().get_doctest(op.doc, names, op.name, None, 0)
    text = []
    doctest.DocTestRunner(verbose=False).run(test, out=text.append)
    assert not text, "".join(text)


# ---- derivatives --------------------------------------------------------------------------------


def smooth_samples(op):
    """The samples to which finite differences apply: floats are f64, in operands and results."""
    for sample in op.samples():
        if isinstance(op.derivative, Absent) or not sample.differentiable:
            continue
        kinds = [*sample.types, *op.result_types(sample.types, build_params(sample.params))]
        floating = [kind for kind in kinds if kind.dtype.is_floating]
        if floating and all(kind.dtype is float64 for kind in floating):
            yield sample


class Case:
    """One op on one sample, as a number that depends on the floating operands (the points)."""

    def __init__(self, op, sample, generator):
        self.op, self.params = op, build_params(sample.params)
        self.operands = sample.operands
        self.places = [k for k, x in enumerate(sample.operands) if x.dtype.kind == "f"]
        self.points = [sample.operands[k] for k in self.places]
        results = op.result_types(sample.types, self.params)
        self.weights = [generator.normal(size=r.shape) for r in results if r.dtype.is_floating]
        self.probes = [generator.normal(size=x.shape) for x in self.points]

    def outputs(self, tape, points):
        operands = [tape.array(x) for x in self.operands]
        for place, point in zip(self.places, points, strict=True):
            operands[place] = point
        found = as_tuple(tape.apply(self.op, tuple(operands), self.params))
        return [y for y in found if y.dtype.is_floating]

    def loss(self, tape, points, weights):
        """Σ results · weights."""
        return inner(tape.f, self.outputs(tape, points), weights)

    def slope(self, tape, points, weights):
        """Σ gradients · probes."""
        gradients = tape.gradients(self.outputs(tape, points), weights, points)
        return inner(tape.f, gradients, [tape.array(probe) for probe in self.probes])


def inner(f, xs, ys):
    """The sum of all products of two lists of arrays."""
    result = f.scalar(0, float64)
    for x, y in zip(xs, ys, strict=True):
        result = f.add(result, f.sum(f.multiply(x, y), axes=tuple(range(len(x.shape)))))
    return result


def check_gradient(function, arrays, generator, what, step=1e-4):
    """The tape's gradient of a number against differences of fourth order, array by array."""

    def at(shift, place, direction):
        tape = Tape()
        moved = [tape.array(x) for x in arrays]
        moved[place] = tape.array(arrays[place] + shift * direction)
        return float(function(tape, moved).array)

    tape = Tape()
    inputs = [tape.array(x) for x in arrays]
    output = function(tape, inputs)
    gradients = tape.gradients([output], [tape.array(np.array(1.0))], inputs)
    for place, gradient in enumerate(gradients):
        direction = generator.normal(size=gradient.shape)
        near = at(step, place, direction) - at(-step, place, direction)
        far = at(2 * step, place, direction) - at(-2 * step, place, direction)
        expected = (8 * near - far) / (12 * step)
        found = float(np.sum(gradient.array * direction))
        scale = max(1.0, abs(expected), float(np.sum(np.abs(gradient.array * direction))))
        assert abs(found - expected) <= 2e-6 * scale, (what, place, found, expected)


differentiable = per_op(lambda op: any(True for _ in smooth_samples(op)))


@differentiable
def test_derivative_agrees_with_differences(op):
    generator = np.random.default_rng(11)
    for sample in smooth_samples(op):
        case = Case(op, sample, generator)

        def loss(tape, points, case=case):
            return case.loss(tape, points, [tape.array(w) for w in case.weights])

        check_gradient(loss, case.points, generator, sample.params)


@pytest.mark.slow
@differentiable
def test_second_derivative_agrees_with_differences(op):
    generator = np.random.default_rng(13)
    for sample in smooth_samples(op):
        case = Case(op, sample, generator)
        count = len(case.points)

        def slope(tape, arrays, case=case, count=count):
            return case.slope(tape, arrays[:count], arrays[count:])

        check_gradient(slope, [*case.points, *case.weights], generator, sample.params)


def gradient_of(name, x, weight, **params):
    tape = Tape()
    operand = tape.array(np.asarray(x, np.float64))
    result = tape.apply(BY_NAME[name], (operand,), params)
    return tape.gradients([result], [tape.array(np.asarray(weight, np.float64))], [operand])[
        0
    ].array


def test_ties_share_the_cotangent():
    found = gradient_of("max", [[1.0, 3.0, 3.0], [2.0, 0.0, 1.0]], [1.0, 5.0], axes=(1,))
    assert found.tolist() == [[0.0, 0.5, 0.5], [5.0, 0.0, 0.0]]
    found = gradient_of(
        "cummax", [1.0, 3.0, 3.0, 2.0], [1.0, 10.0, 100.0, 1000.0], axis=0, reverse=False
    )
    assert found.tolist() == [1.0, 10.0, 1100.0, 0.0]
    found = gradient_of("cummin", [1.0, 3.0, 3.0], [1.0, 10.0, 100.0], axis=0, reverse=True)
    assert found.tolist() == [1.0, 10.0, 100.0]


def test_prod_of_zeros_has_a_gradient():
    assert gradient_of("prod", [0.0, 2.0, 5.0], 1.0, axes=(0,)).tolist() == [10.0, 0.0, 0.0]
    assert gradient_of("prod", [0.0, 2.0, 0.0], 1.0, axes=(0,)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("n", [1, 2, 5, 130])
def test_gradient_of_cumprod_has_the_same_bits_for_known_and_unknown_lengths(n):
    """Eager programs do not know the length, compiled ones do; infinities and zeros count, too."""
    numbers = np.random.default_rng(n).normal(size=(3, n)).astype(np.float32)
    numbers[1, n // 2], numbers[2, -1] = 0.0, np.inf

    def gradient(x):
        x = x.detach().requires_grad_()
        el.cumulative_prod(x, axis=1).backward(x.detach() * 0.5)
        return x.grad

    x = el.asarray(numbers)
    eager, compiled = gradient(x).numpy(), el.jit(gradient)(x).numpy()
    np.testing.assert_array_equal(eager, compiled)
    assert (np.signbit(eager) == np.signbit(compiled))[~np.isnan(eager)].all()


@pytest.mark.parametrize("reverse", [False, True])
def test_recurrence_of_cumprods_derivative(reverse):
    """S_i = g_i + x_{i+1} S_{i+1}, without a length that has to be known."""
    tape = Tape()
    x, g = (tape.array(np.random.default_rng(k).normal(size=(2, 5, 3))) for k in (0, 1))
    found = cumulative._recurrence(tape.f, x, g, 1, 1 if reverse else -1)
    order = range(5) if reverse else range(4, -1, -1)
    total, after = np.zeros((2, 3)), np.zeros((2, 3))
    for i in order:
        total = g.array[:, i] + after * total
        np.testing.assert_allclose(found.array[:, i], total)
        after = x.array[:, i]


def test_later_updates_win_in_the_derivative_of_scatter():
    tape = Tape()
    x, u = tape.array(np.zeros(3)), tape.array(np.ones(4))
    i = tape.array(np.array([1, 1, 7, 0]))
    y = tape.f.scatter(x, i, u, axis=0, mode="set")
    dx, du = tape.gradients([y], [tape.array(np.array([1.0, 2.0, 4.0]))], [x, u])
    assert dx.array.tolist() == [0.0, 0.0, 4.0]
    assert du.array.tolist() == [0.0, 2.0, 0.0, 1.0]


# ---- batching -----------------------------------------------------------------------------------


def variants(x):
    """Three arrays of one type, for a batch."""
    return [
        x,
        np.roll(x.reshape(-1), 1).reshape(x.shape),
        x[tuple([slice(None, None, -1)] * x.ndim)],
    ]


@pytest.mark.slow
@per_op(lambda op: callable(op.batching))
def test_batching_agrees_with_a_loop(op):
    for sample in op.samples():
        if sample.bfloat16:
            continue
        operands = sample.operands
        for mapped in itertools.product((False, True), repeat=len(operands)):
            if not any(mapped):
                continue
            tape = Tape()
            rows = [variants(x) if m else [x] * 3 for x, m in zip(operands, mapped, strict=True)]
            given = [
                tape.array(np.stack(row) if m else row[0])
                for row, m in zip(rows, mapped, strict=True)
            ]
            found = op.batching(tape.f, 3, tuple(given), mapped, **sample.params)
            for k in range(3):
                arrays = [row[k] for row in rows]
                expected = as_tuple(quiet(op.reference, *arrays, **sample.params))
                for got, want in zip(as_tuple(found), expected, strict=True):
                    assert got.shape == (3, *want.shape), (sample.params, mapped)
                    np.testing.assert_allclose(
                        got.array[k],
                        want,
                        rtol=1e-6,
                        atol=1e-6,
                        err_msg=f"{sample.params} {mapped}",
                    )


# ---- index maps ---------------------------------------------------------------------------------


class Index:
    """An index as a plain int; `//` and `%` round towards zero, as machine code does."""

    def __init__(self, value):
        self.value = value

    def __add__(self, other):
        return Index(self.value + plain(other))

    __radd__ = __add__

    def __sub__(self, other):
        return Index(self.value - plain(other))

    def __rsub__(self, other):
        return Index(plain(other) - self.value)

    def __mul__(self, other):
        return Index(self.value * plain(other))

    __rmul__ = __mul__

    def __floordiv__(self, other):
        return Index(int(self.value / plain(other)))

    def __mod__(self, other):
        return Index(self.value - plain(other) * int(self.value / plain(other)))

    def lt(self, other):
        return self.value < plain(other)

    def le(self, other):
        return self.value <= plain(other)

    def gt(self, other):
        return self.value > plain(other)

    def ge(self, other):
        return self.value >= plain(other)

    def eq(self, other):
        return self.value == plain(other)


def plain(value):
    return value.value if isinstance(value, Index) else value


class Loader:
    """What index maps call `ix`, on given operands."""

    def __init__(self, operands):
        self.operands = operands

    def load(self, operand, index):
        return Index(int(self.operands[operand][tuple(plain(i) for i in index)]))

    def clamp(self, index, size):
        return Index(min(max(plain(index), 0), size - 1))


def read_element(op, sample, position):
    reads = op.lowering(
        Loader(sample.operands), tuple(Index(i) for i in position), sample.types, **sample.params
    )
    assert reads[-1].guard is None
    read = next(read for read in reads if read.guard is None or read.guard)
    index = tuple(plain(i) for i in read.index)
    shape = sample.operands[read.operand].shape
    assert all(0 <= i < n for i, n in zip(index, shape, strict=True)), (sample.params, index)
    return sample.operands[read.operand][index]


def has_index_map(op):
    return (op.family == "movement" or op.name == "gather") and callable(op.lowering)


@per_op(has_index_map)
def test_index_map_agrees_with_reference(op):
    for sample in op.samples():
        expected = op.reference(*sample.operands, **sample.params)
        for position in np.ndindex(*expected.shape):
            found = read_element(op, sample, position)
            assert found == expected[position], (sample.params, position)


@pytest.mark.parametrize(
    ("old", "new", "groups"),
    [
        ("2,3,4", "6,2,2", [([0, 1], [0]), ([2], [1, 2])]),
        ("B,T,8", "B*T,8", [([0, 1], [0]), ([2], [1])]),
        ("B,12", "B,3,4", [([0], [0]), ([1], [1, 2])]),
        ("B,1,T", "B,T", [([0], [0]), ([2], [1])]),
        ("2*B,3", "B,6", [([0, 1], [0, 1])]),
        ("5,B", "1,5,1,B,1", [([0], [1]), ([1], [3])]),
        ("", "1,1", []),
    ],
)
def test_reshape_keeps_dims_that_correspond(old, new, groups):
    shapes = (parse_type(f"f32[{text}]").shape for text in (old, new))
    assert aligned_groups(*shapes) == groups


# ---- symbolic sizes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "operands", "params", "expected"),
    [
        ("sum", "f32[B,T]", {"axes": (0,)}, "f32[T]"),
        ("argmax", "f32[B,T]", {"axis": 1}, "i64[B]"),
        ("reshape", "f32[B,T,4]", {"shape": parse_type("f32[4*B,T]").shape}, "f32[4*B,T]"),
        ("broadcast", "f32[T]", {"shape": parse_type("f32[B,T]").shape}, "f32[B,T]"),
        ("slice", "f32[T]", {"start": (1,), "size": parse_type("f32[T-1]").shape, "step": (1,)}, "f32[T-1]"),
        ("pad", "f32[T] f32[]", {"low": (2,), "high": (1,), "interior": (0,)}, "f32[T+3]"),
        ("pad", "f32[T] f32[]", {"low": (0,), "high": (0,), "interior": (1,)}, "f32[2*T-1]"),
        ("concatenate", "f32[B,2] f32[T,2]", {"axis": 0}, "f32[B+T,2]"),
        ("windows", "f32[B,T]", {"axes": (1,), "sizes": (3,), "strides": (1,), "dilations": (2,)}, "f32[3,B,T-4]"),
        ("contract", "f32[B,T,4] f32[4,T]", {"batch": ((), ()), "axes": ((2,), (0,))}, "f32[B,T,T]"),
        ("gather", "f32[V,4] i64[B,T]", {"axis": 0}, "f32[B,T,4]"),
        ("top_k", "f32[B,9]", {"k": 2}, "f32[B,2] i64[B,2]"),
    ],
)  # fmt: skip
def test_types_with_symbolic_sizes(name, operands, params, expected):
    types = tuple(parse_type(text) for text in operands.split())
    found = BY_NAME[name].result_types(types, params)
    assert found == tuple(parse_type(text) for text in expected.split())


def test_convolution_with_symbolic_sizes():
    params = next(
        s.params for s in BY_NAME["convolution"].samples() if len(s.params["stride"]) == 1
    )
    x, w = parse_type("f32[N,3,T]"), parse_type("f32[4,3,3]")
    (found,) = BY_NAME["convolution"].result_types((x, w), params | {"low": (1,), "high": (1,)})
    assert found == parse_type("f32[N,4,T]")
    assert [evaluate(dim, {"N": 0, "T": 5}) for dim in found.shape] == [0, 4, 5]
