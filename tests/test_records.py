"""Every op against its own record: types, error texts, derivatives to order two, batching, index
maps and examples; and some references against simpler ones."""

import doctest
import itertools

import numpy as np
import pytest
from arrays import Tape, stored_name

from elinvar.core.dtypes import float64, int64, uint32, uint64
from elinvar.core.errors import ElinvarError
from elinvar.core.shapes import evaluate
from elinvar.core.types import TensorType, parse_type
from elinvar.graph.regions import build_params
from elinvar.ops import cumulative, random
from elinvar.ops.movement import aligned_groups
from elinvar.ops.record import FAMILIES, Absent
from elinvar.ops.scalars import Scalar
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


@pytest.mark.parametrize("reverse", [False, True])
def test_cumprod_derivative_for_symbolic_lengths(reverse):
    """The rule for lengths that are not known yet agrees with the one for known lengths."""
    tape = Tape()
    x, g = (tape.array(np.random.default_rng(k).normal(size=(2, 5, 3))) for k in (0, 1))
    back = 1 if reverse else -1
    found = cumulative._recurrence_by_matrix(tape.f, x, g, 1, back)
    np.testing.assert_allclose(found.array, cumulative._recurrence(tape.f, x, g, 1, back).array)


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


# ---- references against simpler ones ------------------------------------------------------------


def convolution_by_loops(x, w, p):
    """The definition, element by element."""
    kind = BY_NAME["convolution"]
    types = tuple(TensorType(float64, a.shape) for a in (x, w))
    result = np.zeros(kind.result_types(types, p)[0].shape)
    parts = max(p["groups"], p["batch_groups"])
    for n, o, *place in np.ndindex(*result.shape):
        part = o // (w.shape[0] // parts)
        row = n + part * result.shape[0] if p["batch_groups"] > 1 else n
        first = part * w.shape[1] if p["groups"] > 1 else 0
        for c, *k in np.ndindex(*w.shape[1:]):
            at = [
                q * s + j * d - low
                for q, s, j, d, low in zip(
                    place, p["stride"], k, p["dilation"], p["low"], strict=True
                )
            ]
            spread = zip(at, p["input_dilation"], x.shape[2:], p["high"], strict=True)
            if all(a % d == 0 and 0 <= a // d < m for a, d, m, _ in spread):
                source = tuple(a // d for a, d in zip(at, p["input_dilation"], strict=True))
                result[(n, o, *place)] += x[(row, first + c, *source)] * w[(o, c, *k)]
    return result


def test_convolution_reference_follows_the_definition():
    op = BY_NAME["convolution"]
    for sample in op.samples():
        if sample.operands[0].dtype == np.float64:
            expected = convolution_by_loops(*sample.operands, sample.params)
            found = op.reference(*sample.operands, **sample.params)
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_contract_reference_agrees_with_einsum():
    op = BY_NAME["contract"]
    for sample in op.samples():
        x, y = sample.operands
        if x.dtype != np.float64:
            continue
        left, right = list(range(x.ndim)), [100 + dim for dim in range(y.ndim)]
        for pairs in sample.params.values():
            for i, j in zip(*pairs, strict=True):
                right[j] = i
        batch, axes = sample.params["batch"], sample.params["axes"]
        letters = {label: chr(97 + k) for k, label in enumerate(dict.fromkeys(left + right))}
        kept = [left[i] for i in batch[0]]
        kept += [label for i, label in enumerate(left) if i not in (*batch[0], *axes[0])]
        kept += [label for j, label in enumerate(right) if j not in (*batch[1], *axes[1])]
        one, two, out = ("".join(letters[k] for k in part) for part in (left, right, kept))
        expected = np.einsum(f"{one},{two}->{out}", x, y)
        np.testing.assert_allclose(op.reference(x, y, **sample.params), expected, atol=1e-12)


def test_fold_is_the_adjoint_of_windows():
    windows, fold = BY_NAME["windows"], BY_NAME["fold"]
    for sample in windows.samples():
        (x,) = sample.operands
        if x.dtype != np.float64:
            continue
        y = np.random.default_rng(3).normal(size=windows.reference(x, **sample.params).shape)
        back = fold.reference(y, shape=x.shape, **sample.params)
        left = np.sum(windows.reference(x, **sample.params) * y)
        np.testing.assert_allclose(left, np.sum(x * back), rtol=1e-12)


def test_sorting_is_stable_with_nan_last():
    x = np.array([np.nan, 2.0, 1.0, np.nan, 2.0, -0.0, 0.0])
    argsort, top_k = BY_NAME["argsort"].reference, BY_NAME["top_k"].reference
    assert argsort(x, axis=0, descending=False).tolist() == [5, 6, 2, 1, 4, 0, 3]
    assert argsort(x, axis=0, descending=True).tolist() == [1, 4, 2, 5, 6, 0, 3]
    assert top_k(x, k=4)[1].tolist() == [0, 3, 1, 4]


# ---- Philox -------------------------------------------------------------------------------------

ONES = 0xFFFFFFFF
KNOWN = [  # (counter, key, words): known answers of the Random123 library
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
]


class Whole:
    """A handler of scalar instructions on unsigned Python ints."""

    def instruction(self, name, dtype, arguments):
        a, b, *rest = (*(getattr(x, "payload", x) for x in arguments), 0)
        found = {
            "const": lambda: a, "cast": lambda: a, "add": lambda: a + b, "mul": lambda: a * b,
            "and": lambda: a & b, "xor": lambda: a ^ b, "shr": lambda: a >> b,
            "eq": lambda: a == b, "lt": lambda: a < b, "select": lambda: b if a else rest[0],
        }[name]()  # fmt: skip
        return found if isinstance(found, bool) else found & ((1 << dtype.bits) - 1)

    def scalar(self, value, dtype):
        return Scalar(self, dtype, value)


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_philox_gives_the_known_answers(counter, key, words):
    assert tuple(int(word) for word in random.philox_words(counter, key)) == words
    handler = Whole()
    found = random.philox_block(
        tuple(handler.scalar(word, uint32) for word in counter),
        tuple(handler.scalar(word, uint32) for word in key),
    )
    assert tuple(scalar.payload for scalar in found) == words


def test_philox_in_scalars_agrees_with_the_reference():
    op, handler = BY_NAME["random_bits"], Whole()
    for sample in op.samples():
        key, counter = (handler.scalar(int(word), uint64) for word in sample.operands[0])
        for linear, expected in enumerate(op.reference(*sample.operands, **sample.params).flat):
            found = op.lowering(handler.scalar(linear, uint64), key, counter)
            assert found.dtype is uint32
            assert found.payload == int(expected)
