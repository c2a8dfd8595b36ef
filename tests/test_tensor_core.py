"""Cells, layouts and views, eager execution, index checks."""

import gc
import threading
import weakref

import numpy as np
import pytest

import elinvar as el
from elinvar.core.dtypes import FLOATS, bfloat16, float32
from elinvar.core.errors import DTypeError, OutOfBoundsError, ShapeError
from elinvar.tensor import oneop
from elinvar.tensor.cell import Cell
from elinvar.tensor.dispatch import F
from elinvar.tensor.layout import dense, layout
from elinvar.tensor.memory import bfloat16_bits, number_bytes


def counted(*shape):
    """0, 1, 2, … as float32."""
    return el.asarray(np.arange(np.prod(shape), dtype=np.float32).reshape(shape))


# layouts


def test_equal_layouts_are_one_object():
    assert dense(float32, (2, 3)) is dense(float32, (2, 3))
    assert dense(float32, (2, 3)) is layout(float32, (2, 3), (3, 1))
    assert dense(float32, (2, 3)) is not layout(float32, (2, 3), (1, 2))


def test_axes_of_size_one_do_not_tell_layouts_apart():
    assert layout(float32, (4, 1), (1, 77)) is dense(float32, (4, 1))
    assert layout(float32, (0, 3), (5, 9)) is dense(float32, (0, 3))


def test_layouts_do_not_outlive_their_tensors():
    kind = layout(float32, (7, 11, 13), (1, 7, 77))
    seen = weakref.ref(kind)
    del kind
    gc.collect()
    assert seen() is None


# views share memory, and every kernel reads them right

VIEWS = {
    "permute": (lambda x: F.permute(x, axes=(2, 0, 1)), lambda a: a.transpose(2, 0, 1)),
    "flip": (lambda x: F.flip(x, axes=(0, 2)), lambda a: a[::-1, :, ::-1]),
    "slice": (
        lambda x: F.slice(x, start=(1, 0, 3), size=(2, 3, 2), step=(1, 1, -2)),
        lambda a: a[1:3, :, 3:0:-2],
    ),
    "broadcast": (
        lambda x: F.broadcast(x, shape=(2, 3, 3, 4)),
        lambda a: np.broadcast_to(a, (2, 3, 3, 4)),
    ),
    "reshape": (lambda x: F.reshape(x, shape=(9, 2, 2)), lambda a: a.reshape(9, 2, 2)),
    "windows": (
        lambda x: F.windows(x, axes=(2,), sizes=(2,), strides=(1,), dilations=(2,)),
        lambda a: np.stack([a[..., 0:2], a[..., 2:4]]),
    ),
}


@pytest.mark.parametrize("name", VIEWS)
def test_movement_shares_memory(name):
    view, expected = VIEWS[name]
    x = counted(3, 3, 4)
    result = view(x)
    assert result._buffer is x._buffer
    np.testing.assert_array_equal(result.numpy(), expected(x.numpy()))


@pytest.mark.parametrize("name", VIEWS)
def test_operations_read_views(name):
    view, expected = VIEWS[name]
    x = counted(3, 3, 4)
    v, a = view(x), expected(x.numpy())
    np.testing.assert_array_equal((v + v).numpy(), a + a)
    np.testing.assert_array_equal((v * 2.0).numpy(), a * 2)
    np.testing.assert_array_equal(F.sum(v, axes=(1,)).numpy(), a.sum(1))
    np.testing.assert_array_equal(F.reshape(v, shape=(a.size,)).numpy(), a.reshape(-1))
    np.testing.assert_array_equal((v + el.zeros(a.shape[-1:])).numpy(), a)


def test_reshape_of_a_transposed_tensor_copies():
    x = counted(3, 4)
    t = F.permute(x, axes=(1, 0))
    y = F.reshape(t, shape=(12,))
    assert y._buffer is not x._buffer
    np.testing.assert_array_equal(y.numpy(), x.numpy().T.reshape(-1))
    kept = F.reshape(t, shape=(2, 2, 3))  # cuts an axis: strides can say so
    assert kept._buffer is x._buffer
    np.testing.assert_array_equal(kept.numpy(), x.numpy().T.reshape(2, 2, 3))


def test_a_transposed_operand_of_a_contraction():
    x, w = counted(3, 4), counted(5, 4)
    np.testing.assert_array_equal((x @ w.T).numpy(), x.numpy() @ w.numpy().T)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0, 2)])
def test_empty_tensors(shape):
    x = el.zeros(shape)
    assert (x + x).shape == shape
    assert F.reshape(x, shape=(0, 5)).shape == (0, 5)
    assert F.sum(x, axes=tuple(range(len(shape)))).item() == 0


# cells


def test_rebinding_does_not_reach_other_tensors():
    x = counted(4)
    view, same, held = x[1:], x.detach(), x.numpy()
    x += 10
    assert x.tolist() == [10, 11, 12, 13]
    assert view.tolist() == [1, 2, 3]
    assert same.tolist() == [0, 1, 2, 3]
    assert held.tolist() == [0, 1, 2, 3]


def test_assign_broadcasts_and_casts():
    x = el.zeros((2, 3))
    x.assign(el.asarray([1, 2, 3]))
    assert x.dtype is float32
    assert x.tolist() == [[1, 2, 3], [1, 2, 3]]
    with pytest.raises(ShapeError, match=r"\[assign\] f32\[4\] does not fit into f32\[2,3\]|broadcast"):
        x.assign(el.zeros(4))
    with pytest.raises(ShapeError, match="assign"):
        el.zeros(3).assign(el.zeros((2, 3)))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("dtype", "value"), [(el.float64, 0.1), (el.complex128, 0.1 + 0.3j)])
def test_assign_rounds_numbers_of_python_once(compiled, dtype, value):
    def changed(x):
        return x.assign(value), x.clone().assign([value, value])

    one, two = (el.jit(changed) if compiled else changed)(el.zeros(2, dtype=dtype))
    assert one.tolist() == two.tolist() == [value, value]
    half = el.zeros(1, dtype=el.float16)
    half.assign(1 + 2**-11 + 2**-26)  # by way of float32 it would be a tie, rounded to even
    assert half.tolist() == [1 + 2**-10]
    whole = el.zeros(1, dtype=el.int64)
    assert whole.assign(2.7).tolist() == [2]


def test_subclasses_are_tensors_and_give_tensors():
    class Marked(el.Tensor):
        pass

    x = Marked([1.0, 2.0])
    x.note = "kept"
    assert x.note == "kept"
    assert type(x + x) is el.Tensor
    assert isinstance(x, Cell)


def test_tensor_copies_its_data():
    data = np.ones(3, np.float32)
    x = el.Tensor(data)
    data[0] = 5
    assert x.tolist() == [1, 1, 1]
    y = el.Tensor(x)
    y += 1
    assert x.tolist() == [1, 1, 1]


def test_size_is_an_int_and_a_method():
    x = el.zeros((2, 3))
    assert x.size == 6
    assert x.size() == (2, 3)
    assert x.size(-1) == 3
    assert isinstance(x.size, int)


def test_tensors_have_no_dict():
    assert not hasattr(el.zeros(1), "__dict__")
    assert weakref.ref(el.zeros(1))


# programs


def test_one_program_serves_all_sizes():
    before = None
    for n in (5, 6, 700, 1):
        (counted(n, 3) - counted(3)).numpy()
        count = len(oneop._compiled)
        assert before is None or count == before or n == 1
        before = count


def test_numbers_are_weak_and_told_apart():
    x = el.asarray([1.0, -1.0])
    for _ in range(2):  # the second time by the short way
        assert (x * 0.0).tolist() == [0.0, -0.0]
        assert str((x * 0.0).tolist()) == "[0.0, -0.0]"
        assert str((x * -0.0).tolist()) == "[-0.0, 0.0]"
        assert (x + 1).dtype is float32
        assert (x + 1.5).tolist() == [2.5, 0.5]
        assert (1.5 - x).tolist() == [0.5, 2.5]
        assert (x > 0).tolist() == [True, False]
    assert (el.asarray([1, 2]) + 1).dtype is el.int64
    assert (el.asarray([1, 2]) + 0.5).dtype is float32


NUMBERS = [0.0, -0.0, 1.0, -3.14159, 1e-40, 3e38, 1e39, -1e300, 1.0039062, 65519.9, 65520.0]


@pytest.mark.parametrize("value", NUMBERS)
def test_constants_are_rounded_once(value):
    for dtype in FLOATS:
        if dtype is not bfloat16:
            with np.errstate(over="ignore"):
                expected = np.float64(value).astype(dtype.numpy).tobytes()
            assert number_bytes(value, dtype) == expected


def test_bfloat16_constants_are_not_rounded_twice():
    just_above_half = 1 + 2**-8 + 2**-40  # f32 rounds it to the tie, which then goes to even
    assert bfloat16_bits(just_above_half) == 0x3F81
    assert bfloat16_bits(1 + 2**-8) == 0x3F80
    assert bfloat16_bits(2.0**-133) == 1
    assert bfloat16_bits(float("inf")) == 0x7F80


# errors


def test_indices_are_checked_before_the_kernel_runs():
    x = counted(3, 4)
    with pytest.raises(OutOfBoundsError, match=r"\[gather\] index 4 is out of range for axis 1 of f32\[3,4\], size 4"):
        F.gather(x, el.asarray([0, 4]), axis=1)
    with pytest.raises(OutOfBoundsError, match=r"\[gather\] index -1 is out of range"):
        F.gather(x, el.asarray([0, -1]), axis=0)
    with pytest.raises(OutOfBoundsError, match=r"\[scatter\] index 7 is out of range"):
        F.scatter(x, el.asarray([7]), el.zeros((1, 4)), axis=0, mode="set")
    assert F.gather(x, el.asarray(np.zeros((0,), np.int64)), axis=0).shape == (0, 4)


def test_errors_name_the_operation_and_the_users_line():
    with pytest.raises(ShapeError, match=r"test_tensor_core.py:\d+ in test_errors"):
        F.add(el.zeros(2), el.zeros(3))
    with pytest.raises(DTypeError, match=r"\[add\] expected a tensor, received int"):
        F.add(el.zeros(2), 3)


def test_threads_compute_at_the_same_time():
    x = counted(64)
    found = []

    def work():
        y = x
        for _ in range(50):
            y = y + 1
        found.append(y.tolist())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(x.numpy() + 50).tolist()] * 4
