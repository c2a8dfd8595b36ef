"""What clients of NumPy lean on: operators in place, mixed operands, arrays beside tensors, DLPack."""

import copy
import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import elinvar as el
from elinvar.core import errors

pytestmark = pytest.mark.any_level

QUICK = settings(max_examples=150, deadline=None, derandomize=True, database=None)
NAMES = ["bool", "int8", "int32", "int64", "uint8", "uint16", "uint64", "float16", "float32", "float64"]
IN_PLACE = {
    "+": operator.iadd, "-": operator.isub, "*": operator.imul, "//": operator.ifloordiv, "%": operator.imod,
    "&": operator.iand, "|": operator.ior, "^": operator.ixor, "<<": operator.ilshift, ">>": operator.irshift,
}  # fmt: skip


def array_of(name, shape=(3,), start=1):
    return np.arange(start, start + int(np.prod(shape))).reshape(shape).astype(name)


@QUICK
@given(st.sampled_from(sorted(IN_PLACE)), st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_operators_in_place_keep_the_dtype(symbol, left, right):
    """Where NumPy refuses, so do we; where it does not, the result is that of NumPy."""
    function = IN_PLACE[symbol]
    array, other = array_of(left), array_of(right)
    x, y = el.asarray(array), el.asarray(other)
    try:
        with np.errstate(all="ignore"):
            expected = function(array.copy(), other)
    except TypeError:
        with pytest.raises(TypeError):
            function(x, y)
        assert x.tolist() == array.tolist()
        return
    try:
        found = function(x, y)
    except errors.DTypeError:  # uint64 with signed integers, bits of bool with integers: see promotion
        assert {left, right} & {"uint64", "bool"} or symbol in "<<>>&|^", (symbol, left, right)
        return
    assert found is x and x.dtype.name == left
    kinds = {np.dtype(left).kind, np.dtype(right).kind}
    if kinds <= {"i", "u", "b"} and left != "bool":
        np.testing.assert_array_equal(np.asarray(x), expected)


def test_numbers_in_place():
    for name, number in (("int32", 0.5), ("uint8", 1.5), ("bool", 2), ("float32", 1j)):
        x = el.ones(2, dtype=getattr(el, name))
        with pytest.raises(TypeError, match="does not fit"):
            x += number
        assert x.tolist() == [1, 1] and x.dtype.name == name
    x = el.ones(2, dtype=el.uint8)
    with pytest.raises(TypeError, match="in place"):
        x += el.asarray([1, 2], dtype=el.int8)
    x.add_(el.asarray([1, 2], dtype=el.int8))  # as in PyTorch
    assert x.tolist() == [2, 3]
    x = el.ones((2, 1))
    with pytest.raises(ValueError, match="in place"):
        x += el.ones((2, 3))


def test_parts_in_place():
    array = np.arange(12.0).reshape(3, 4)
    x = el.asarray(array)
    for key, value in ((0, 1), (slice(1, None), 2.5), ([2, 0], 3), ((slice(None), 1), 4)):
        array[key] += value
        x[key] += value
    mask = array > 8
    array[mask] *= -1
    x[x > 8] *= -1
    array[[0, 0, 1]] += 1  # NumPy adds once
    x[[0, 0, 1]] += 1
    array[np.array([True, False, True])] = [1, 2, 3, 4]
    x[el.asarray([True, False, True])] = [1, 2, 3, 4]
    array[True] -= 1
    x[True] -= 1
    array[False] = 99
    x[False] = 99
    np.testing.assert_array_equal(np.asarray(x), array)


def test_a_mask_without_axes_is_assigned_under_jit():
    def set_where(x, condition):
        x[condition] = 7
        return x

    x = el.asarray([1, 2])
    for truth in (True, False):
        expected = np.array([1, 2])
        expected[truth] = 7
        assert el.jit(set_where)(x.clone(), el.asarray(truth)).tolist() == expected.tolist()
        assert set_where(x.clone(), el.asarray(truth)).tolist() == expected.tolist()
    with pytest.raises(errors.TraceError, match="depends on its value"):
        el.jit(lambda x, t: x[t])(x, el.asarray(True))


def test_mixed_operands():
    rows = {
        ("int32", "float32"): "float32", ("int64", "float32"): "float32", ("int64", "float64"): "float64",
        ("uint8", "float16"): "float16", ("bool", "int8"): "int8", ("bool", "float32"): "float32",
        ("int8", "uint8"): "int16", ("int32", "uint32"): "int64", ("float16", "float32"): "float32",
    }  # fmt: skip
    for (left, right), result in rows.items():
        x, y = el.ones(2, dtype=getattr(el, left)), el.ones(2, dtype=getattr(el, right))
        assert (x + y).dtype.name == (y * x).dtype.name == el.result_type(x, y).name == result
    x = el.ones(2, dtype=el.int8)
    assert (x + 1).dtype is el.int8 and (x + 0.5).dtype is el.float32 and (x + True).dtype is el.int8
    with pytest.raises(errors.DTypeError, match="no common integer type"):
        el.ones(2, dtype=el.uint64) + el.ones(2, dtype=el.int64)
    with pytest.raises(errors.ValueRangeError, match="does not fit"):
        x + 300


def test_shapes_may_be_lists_and_ints():
    x = el.zeros([2, 3])
    assert x.shape == el.ones((2, 3)).shape == el.full([2, 3], 1).shape == el.reshape(x, [2, 3]).shape
    assert el.zeros(3).shape == (3,) == el.broadcast_to(el.asarray(1), [3]).shape
    assert el.zeros(np.int64(2)).shape == (2,) and el.empty([]).shape == ()
    assert el.broadcast_shapes() == () and el.broadcast_shapes([5, 1], (3,), 1) == (5, 3)
    assert el.broadcast_shapes((0,), (1,)) == (0,) and el.broadcast_shapes((2, 1), (1, 0)) == (2, 0)
    assert el.expand_dims(x, (0, -1)).shape == (1, 2, 3, 1)
    for shapes in (((2,), (3,)), ((2, 0), (3,)), ((-1,), (1,))):
        with pytest.raises(ValueError, match="broadcast_shapes"):
            el.broadcast_shapes(*shapes)


@pytest.mark.parametrize("other", [np.arange(3.0), np.float32(2), np.float64(2), np.int64(2), 2, 2.5])
def test_our_operators_win(other):
    x = el.asarray([1.0, 2.0, 4.0])
    for function in (operator.add, operator.mul, operator.sub, operator.truediv, operator.pow, operator.lt, operator.eq):
        for found, left, right in ((function(other, x), other, np.asarray(x)), (function(x, other), np.asarray(x), other)):
            assert isinstance(found, el.Tensor)
            with np.errstate(divide="ignore"):
                expected = function(left, right)
            np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-6)


def test_numpys_functions_give_arrays():
    x = el.asarray([[1.0, 4.0], [9.0, 16.0]])
    for found in (np.sqrt(x), np.asarray(x), np.multiply(x, x), np.add.reduce(x), np.concatenate([x, x]), np.where(x > 2, x, 0)):
        assert isinstance(found, np.ndarray)
    array = np.asarray(x)
    for name in ("sum", "prod", "max", "min", "mean", "std", "var", "any", "all", "argmax", "ptp", "median", "sort"):
        found = getattr(np, name)(x, axis=0)  # some of them ask the tensor's own method
        np.testing.assert_allclose(np.asarray(found), getattr(np, name)(array, axis=0), rtol=1e-6)
    assert np.sum(x) == 30 and np.var(x, ddof=1) == np.var(array, ddof=1)
    target = np.ones((2, 2), np.float32)
    target += x
    assert type(target) is np.ndarray and target.tolist() == [[2, 5], [10, 17]]
    assert np.array_equal(np.arange(6)[el.asarray([1, 3])], [1, 3])
    with pytest.raises(errors.TraceError, match="has no value yet"):
        el.jit(np.sqrt)(x)
    with pytest.raises(errors.ValueRangeError, match="cannot write into a tensor"):
        np.sqrt(x, out=x)
    assert el.jit(lambda x: np.ones(2, np.float32) * x)(x).tolist() == x.tolist()


def test_copies_are_copies():
    array = np.arange(3.0)
    shared = el.from_numpy(array)
    twins = [el.asarray(shared, copy=True), el.from_dlpack(shared, copy=True), shared.clone(), el.asarray(array)]
    twins += [el.astype(shared, el.float64), copy.deepcopy(el.asarray(array)), el.from_dlpack(array, copy=True)]
    assert el.from_dlpack(shared) is shared and el.asarray(shared) is shared
    array[0] = 9
    assert shared.tolist() == [9, 1, 2] and all(twin.tolist() == [0, 1, 2] for twin in twins)
    y = el.from_numpy(np.ones(2, np.float32)).requires_grad_()
    (el.asarray(y, copy=True) * 3).sum().backward()
    assert y.grad.tolist() == [3, 3]


# ---- DLPack and buffers -------------------------------------------------------------------------


def pointer(x):
    return x.numpy().__array_interface__["data"][0]


def test_arrays_of_all_kinds_come_in():
    array = np.arange(24.0).reshape(4, 6)
    for view in (array, array[::2, ::-1], array.T, array[1:, 2:4], array[:0], array[2, 3:4].reshape(())):
        x = el.from_dlpack(view)
        np.testing.assert_array_equal(np.asarray(x), view)
        if view.size:
            assert pointer(x) == view.__array_interface__["data"][0]
        np.testing.assert_array_equal(np.from_dlpack(x), view)
    frozen = np.arange(3)
    frozen.flags.writeable = False
    assert el.from_dlpack(frozen).tolist() == [0, 1, 2]
    assert pointer(el.asarray(frozen, copy=False)) == frozen.__array_interface__["data"][0]
    swapped = np.arange(3).astype(">i8")
    assert el.asarray(swapped).tolist() == [0, 1, 2] == el.from_numpy(swapped).tolist()
    packed = np.zeros(3, [("a", "i1"), ("b", "f8")])["b"]  # not aligned
    assert el.from_numpy(packed).tolist() == el.asarray(packed).tolist() == [0, 0, 0]
    for made in (bytearray(b"ab"), memoryview(b"ab"), b"ab"):
        assert el.asarray(made).tolist() == [97, 98] and el.asarray(made).dtype is el.uint8
    numbers = memoryview(np.arange(3, dtype=np.int16))
    assert el.asarray(numbers, copy=False).dtype is el.int16


def test_what_dlpack_cannot_say():
    for array in (np.arange(3).astype(">i8"), np.array(["a"]), np.zeros(2, "M8[s]"), np.zeros(2, object)):
        with pytest.raises((errors.BufferError_, errors.DTypeError)) as caught:
            el.from_dlpack(array)
        assert "[from_dlpack]" in str(caught.value)
    with pytest.raises(ValueError, match="has to be copied"):
        el.asarray(np.arange(3), dtype=el.float32, copy=False)
    assert issubclass(errors.BufferError_, BufferError)


class Producer:
    """One that wants to know how it is asked."""

    def __init__(self, device=(1, 0)):
        self.asked, self.device = [], device

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **options):
        self.asked.append(options)
        return np.arange(3).__dlpack__(max_version=options.get("max_version"))


def test_how_producers_are_asked():
    here, there = Producer(), Producer((2, 0))
    assert el.from_dlpack(here, copy=False).tolist() == [0, 1, 2]
    assert here.asked == [{"max_version": (1, 0), "copy": False}]
    assert el.from_dlpack(there, device="cpu").tolist() == [0, 1, 2]
    assert there.asked == [{"max_version": (1, 0), "dl_device": (1, 0)}]
    with pytest.raises(BufferError, match="ask for a copy"):
        el.from_dlpack(there)
    x = el.ones(2)
    for version, name in (((1, 0), "dltensor_versioned"), ((1, 9), "dltensor_versioned"), ((0, 8), "dltensor"), (None, "dltensor")):
        assert f'"{name}"' in repr(x.__dlpack__(max_version=version))
    for name in NAMES:
        assert np.from_dlpack(el.ones(2, dtype=getattr(el, name))).dtype == name


def test_the_last_word_on_conversions():
    with pytest.raises(TypeError):
        float(el.asarray(1j))
    with pytest.raises(TypeError):
        el.asarray(1.0).__index__()
    with pytest.raises(TypeError):
        el.asarray(True).__index__()
    for convert in (bool, int, float, complex):
        with pytest.raises((ValueError, TypeError)):
            convert(el.ones(3))
    assert complex(el.asarray(2)) == 2 + 0j and int(el.asarray(True)) == 1 and float(el.asarray(3, dtype=el.uint8)) == 3.0
    for special, error in ((el.nan, ValueError), (el.inf, OverflowError)):
        with pytest.raises(error):
            int(el.asarray(special))


# ---- what Python asks ----------------------------------------------------------------------------


def test_a_number_in_a_text_is_a_number():
    for value in (2.5, 3, True, 1 + 2j, -0.0, float("nan"), float("inf")):
        array = np.asarray(value)
        x = el.asarray(array)
        assert f"{x}" == f"{array}" == str(array) and "{}".format(x) == str(array)  # noqa: UP032
    assert f"{el.asarray(0.1, dtype=el.float32)}" == "0.1"
    assert f"{el.asarray(3):03d} {el.asarray(2.5):.2f} {el.asarray(0.25):.0%}" == "003 2.50 25%"
    assert f"{el.asarray(1.5, dtype=el.bfloat16)}" == "1.5"
    assert f"{el.ones(1)}" == str(el.ones(1)) and f"{el.asarray(1)!r}".startswith("Tensor(")
    seen = []
    el.jit(lambda x: seen.append(f"{x}") or x)(el.asarray(1.0))
    assert "f32[]" in seen[0] or "Tensor" in seen[0]


def test_what_is_no_number_is_not_in_a_tensor():
    x = el.asarray([[1.0, 2.0], [3.0, el.nan]])
    assert 2.0 in x and 5 not in x and el.nan not in x
    assert None not in x and "x" not in x and object() not in x
    assert el.asarray([1.0, 2.0]) in x  # as in numpy: any element is equal
    assert (x == None) is False and (x != "x") is True  # noqa: E711


def test_divmod():
    x, array = el.asarray([7, -7, 8]), np.asarray([7, -7, 8])
    for left, right in ((x, 3), (30, x), (x, x - 1)):
        found = divmod(left, right)
        expected = divmod(*(np.asarray(value) for value in (left, right)))
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(np.asarray(ours), theirs)
    with pytest.raises(TypeError):
        divmod(x, "x")
    assert array[0] == 7


def test_methods_by_arguments_of_numpy():
    array = np.arange(12.0).reshape(3, 4) + 0.26
    x = el.asarray(array)
    pairs = [
        (x.round(1), array.round(1)),
        (x.transpose(), array.transpose()),
        (x.reshape(2, 2, 3).transpose(), array.reshape(2, 2, 3).transpose()),
        (x.repeat(2, axis=0), array.repeat(2, axis=0)),
        (x.repeat([1, 0, 2], axis=0), array.repeat([1, 0, 2], axis=0)),
        (x.repeat(2, axis=None), array.repeat(2)),
        (x.take([0, 2], axis=1), array.take([0, 2], axis=1)),
        (x.take([0, -1]), array.take([0, -1])),
        (x.astype("float32", copy=False), array.astype("float32")),
        (x.int().round(1), array.astype(int).round(1)),
        (el.zeros(np.asarray([2, 3])), np.zeros(np.asarray([2, 3]))),
        (el.zeros(el.asarray([2, 3])), np.zeros((2, 3))),
        (x.reshape(el.asarray(6), 2), array.reshape(6, 2)),
    ]
    for found, expected in pairs:
        assert found.shape == expected.shape
        np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-6)
    assert x.item(5) == array.item(5) and x.item(1, 2) == x.item((1, 2)) == array.item(1, 2)
    assert el.asarray([4.0, 5.0]).item(1) == 5.0 and el.asarray(3).item() == 3
    with pytest.raises(IndexError):
        x.item(12)
    assert x.T.tobytes() == array.T.tobytes()
    y = x.clone()
    assert y.fill(2) is None and y.tolist() == [[2.0] * 4] * 3


def test_dtypes_equal_their_names():
    for name in (*NAMES, "complex64"):
        dtype = getattr(el, name)
        assert dtype == name and dtype == np.dtype(name) and np.dtype(name) == dtype
        assert dtype == np.dtype(name).type and {dtype: 1}[getattr(el, name)] == 1
        assert dtype != "float128" and dtype != np.dtype("U3") and dtype is not None and dtype != 3
    assert el.float32 != "float64" and el.float32 != np.float64
    assert all(el.zeros(1, dtype=kind).dtype == kind for kind in (bool, int, float, complex))
    assert el.bfloat16 != "uint16" and el.bfloat16 == "bfloat16" and el.bfloat16 != np.uint16
    code = np.dtype("f4").str[1:]
    assert el.zeros(1, dtype=code).dtype is el.float32 and el.zeros(1, dtype="c16").dtype is el.complex128
    assert el.zeros(1, dtype="?").dtype is el.bool and el.zeros(1, dtype="u1").dtype is el.uint8
    for code in ("i8", "u8"):  # 8 bytes in numpy, 8 bits in printed graphs
        with pytest.raises(TypeError, match="write the whole name"):
            el.zeros(1, dtype=code)


@pytest.mark.parametrize("name", ["zeros", "ones", "empty"])
def test_sizes_one_after_another(name):
    make = getattr(el, name)
    assert make(2, 3).shape == make((2, 3)).shape == (2, 3)
    assert make(2, np.int64(3), dtype=el.int32).dtype is el.int32
    with pytest.raises(errors.ShapeError, match=r"(?s)received \(\(2, 3\), .*dtype=…"):
        make((2, 3), np.float32)
    with pytest.raises(errors.ShapeError, match=r"(?s)expected a shape or sizes, .*dtype=…"):
        make(2, el.float32)
    rows = el.jit(lambda x: make(x.shape[0], 2))
    assert [rows(el.ones(n)).shape for n in (3, 4, 5)] == [(3, 2), (4, 2), (5, 2)]
