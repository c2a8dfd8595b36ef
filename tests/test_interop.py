"""Sharing memory with numpy and others by DLPack, copies, pickles, the dunder methods of Python."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

import elinvar as el
from elinvar.core import errors

DTYPES = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16",
    "float32", "float64",
]  # fmt: skip


def address(array):
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("name", DTYPES)
def test_numpy_both_ways(name):
    array = np.array([[0, 1, 2], [3, 4, 5]]).astype(name)
    x = el.from_numpy(array)
    assert x.dtype is getattr(el, name) and x.shape == (2, 3)
    assert address(x.numpy()) == address(array)  # no copy in, no copy out
    np.testing.assert_array_equal(x.numpy(), array)
    y = el.asarray(array)
    array[0, 0] = 1
    assert y.tolist()[0][0] == 0  # asarray copies


def test_strided_arrays_are_shared():
    array = np.arange(24, dtype=np.float32).reshape(4, 6)[::2, ::-1]
    x = el.from_numpy(array)
    assert address(x.numpy()) == address(array)
    np.testing.assert_array_equal((x + 1).numpy(), array + 1)
    odd = np.zeros(9, np.uint8)[1:].view(np.float32)
    assert not odd.flags.aligned and el.from_numpy(odd).tolist() == [0.0, 0.0]
    fields = np.zeros(3, [("a", np.int8), ("b", np.float32)])["b"]
    assert el.from_numpy(fields).tolist() == [0.0] * 3


def test_numpy_views_are_read_only_and_keep_memory():
    x = el.ones(1000)
    view = x.numpy()
    assert not view.flags.writeable
    with pytest.raises(ValueError, match=r"WRITEABLE|writeable"):
        view.flags.writeable = True
    del x
    gc.collect()
    el.full(1000, 7.0)
    assert (view == 1).all()


def test_the_array_stays_alive():
    array = np.ones(3)
    owner = weakref.ref(array)
    x = el.from_numpy(array)
    del array
    gc.collect()
    assert owner() is not None and x.tolist() == [1.0] * 3
    del x
    gc.collect()
    assert owner() is None


def test_array_protocol():
    x = el.asarray([1.0, 2.0])
    assert np.asarray(x).dtype == np.float32
    assert np.asarray(x, dtype=np.int64).tolist() == [1, 2]
    writable = np.array(x)
    writable[0] = 9
    assert x.tolist() == [1.0, 2.0]
    assert np.sum(x) == 3.0
    for result in (np.ones(2, np.float32) + x, x + np.ones(2, np.float32), np.float32(1) + x, x * np.ones(2)):
        assert isinstance(result, el.Tensor)
    assert (np.arange(2) < x).tolist() == [True, True]


def test_bfloat16_leaves_as_ml_dtypes():
    pytest.importorskip("ml_dtypes")
    x = el.asarray([1.0, 2.5], dtype=el.bfloat16)
    assert x.numpy().dtype.name == "bfloat16"
    assert el.asarray(x.numpy()).dtype is el.bfloat16
    assert x.tolist() == [1.0, 2.5]


@pytest.mark.parametrize("name", DTYPES)
def test_dlpack_out(name):
    x = el.asarray(np.arange(6).reshape(2, 3).astype(name)).mT
    array = np.from_dlpack(x)
    assert array.dtype == name and array.shape == (3, 2)
    assert address(array) == address(x.numpy()) and not array.flags.writeable
    np.testing.assert_array_equal(array, x.numpy())
    del x
    gc.collect()
    assert array.reshape(-1)[-1] == np.arange(6).astype(name)[-1]


@pytest.mark.parametrize("name", DTYPES)
def test_dlpack_in(name):
    array = np.arange(12).reshape(3, 4).astype(name)[:, ::2]
    owner = weakref.ref(array.base)
    x = el.from_dlpack(array)
    assert x.dtype.name == name and address(x.numpy()) == address(array)
    np.testing.assert_array_equal(x.numpy(), array)
    assert address(el.from_dlpack(array, copy=True).numpy()) != address(array)
    del array
    gc.collect()
    assert owner() is not None
    del x
    gc.collect()
    assert owner() is None


class Producer:
    """A producer of capsules from before DLPack 1.0."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, stream=None):
        return self.array.__dlpack__(stream=stream)

    def __dlpack_device__(self):
        return (1, 0)


def test_unversioned_capsules():
    x = el.from_dlpack(Producer(np.arange(3)))
    assert x.tolist() == [0, 1, 2]
    capsule = x.__dlpack__()  # unversioned: a copy that may be written to
    assert 'capsule object "dltensor"' in repr(capsule)
    assert el.from_dlpack(Producer(np.arange(3)), copy=True).tolist() == [0, 1, 2]

    class Asking(Producer):  # of a tensor: the memory itself, without a word about writing
        def __dlpack__(self):
            return self.array.__dlpack__(copy=False)

    assert address(el.from_dlpack(Asking(x)).numpy()) == address(x.numpy())
    assert '"dltensor_versioned"' in repr(x.__dlpack__(max_version=(1, 1)))
    assert x.__dlpack_device__() == (1, 0)


def test_capsules_give_their_memory_back():
    from elinvar.tensor import interop

    gc.collect()
    before = len(interop._exported)
    x = el.ones(3)
    for version in (None, (1, 0)):
        capsule = x.__dlpack__(max_version=version)
        assert len(interop._exported) == before + 1
        del capsule
        gc.collect()
        assert len(interop._exported) == before
    array = np.from_dlpack(x)
    assert len(interop._exported) == before + 1
    del array
    gc.collect()
    assert len(interop._exported) == before


def test_dlpack_refusals():
    class Elsewhere(Producer):
        def __dlpack_device__(self):
            return (2, 0)

    for action, text in (
        (lambda: el.from_dlpack(Elsewhere(np.ones(2))), "device (2, 0)"),
        (lambda: el.from_dlpack(3), "__dlpack__"),
        (lambda: el.ones(2).__dlpack__(stream=1), "no streams"),
        (lambda: el.ones(2).__dlpack__(dl_device=(2, 0)), "not (2, 0)"),
        (lambda: el.from_numpy(np.ones(2, "O")), "has no Elinvar counterpart"),
        (lambda: el.asarray([1.0], copy=False), "has to be copied"),
        (lambda: el.asarray(np.ones(2), dtype=el.float32, copy=False), "has to be copied"),
        (lambda: el.asarray(np.ones(2, ">f8"), copy=False), "has to be copied"),
    ):
        with pytest.raises(errors.ElinvarError) as caught:
            action()
        assert text in str(caught.value)


def test_a_capsule_is_used_once():
    class Used(Producer):
        def __dlpack__(self, **_):
            return self.array

    capsule = np.ones(2).__dlpack__()
    assert el.from_dlpack(Used(capsule)).tolist() == [1.0, 1.0]
    with pytest.raises(errors.BufferError_, match="used before"):
        el.from_dlpack(Used(capsule))


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickles(protocol):
    def there_and_back(x):
        return pickle.loads(pickle.dumps(x, protocol))

    for name in (*DTYPES, "bfloat16"):
        x = el.asarray(np.arange(6).reshape(2, 3)).to(name).mT
        y = there_and_back(x)
        assert type(y) is el.Tensor and y.dtype is x.dtype and y.shape == (3, 2)
        assert y.tolist() == x.tolist() and not y.requires_grad
    assert there_and_back(el.zeros((0, 2))).shape == (0, 2) and there_and_back(el.asarray(2)).item() == 2
    p = there_and_back(el.nn.Parameter(el.ones(2)))
    assert type(p) is el.nn.Parameter and p.requires_grad and p.is_leaf and p.grad is None
    b = there_and_back(el.nn.Buffer(el.ones(2), persistent=False))
    assert type(b) is el.nn.Buffer and not b.persistent
    b += 1  # memory of its own
    assert b.tolist() == [2.0, 2.0] and there_and_back(el.float32) is el.float32
    layer = there_and_back(el.nn.Linear(3, 2))
    assert layer(el.ones(3)).shape == (2,)


def test_what_cannot_be_pickled():
    x = el.ones(2).requires_grad_()
    with pytest.raises(errors.GradientError, match=r"cannot be pickled[\s\S]*detach"):
        pickle.dumps(x * 2)
    with pytest.raises(errors.TraceError, match="has no value yet"):
        el.jit(lambda x: pickle.dumps(x))(el.ones(2))
    buffers = []
    content = pickle.dumps(el.zeros(100_000), 5, buffer_callback=buffers.append)
    assert len(content) < 1000 and len(buffers) == 1  # out of band, without a copy
    assert pickle.loads(content, buffers=buffers).sum().item() == 0


def test_copies():
    x = el.tensor([1.0, 2.0], requires_grad=True)
    for twin in (copy.copy(x), copy.deepcopy(x)):
        assert twin is not x and twin.tolist() == [1.0, 2.0] and twin.requires_grad
    y = x * 2
    twin = copy.copy(y)
    y += 1
    assert twin.tolist() == [2.0, 4.0]
    nested = copy.deepcopy({"a": [x, x]})
    assert nested["a"][0] is nested["a"][1] and nested["a"][0] is not x


def test_python_asks():
    assert float(el.asarray(2.5)) == 2.5 and int(el.asarray([3.7])) == 3
    assert range(5)[el.asarray(2)] == 2 and [10, 20][el.asarray(1)] == 20
    assert bool(el.asarray([0.0])) is False and complex(el.asarray(1.0)) == 1
    assert len(el.ones((4, 2))) == 4 and [row.tolist() for row in el.eye(2)] == [[1.0, 0.0], [0.0, 1.0]]
    assert 3.0 in el.asarray([1.0, 3.0]) and 2.0 not in el.asarray([1.0, 3.0])
    assert (el.ones(2) == None) is False  # noqa: E711
    assert {el.ones(1): 1} and hash(el.ones(1)) is not None
    assert f"{el.asarray(3.14159):.2f}" == "3.14"
    first, second = el.asarray([1, 2])
    assert (first + second).item() == 3
    for action, text in (
        (lambda: len(el.asarray(1.0)), "no length"),
        (lambda: iter(el.asarray(1.0)), "cannot be iterated"),
        (lambda: [1][el.asarray(0.0)], "only integers can be an index"),
        (lambda: el.ones(2).item(), "expected one element"),
        (lambda: el.ones(2) + object(), "unsupported operand"),
        (lambda: f"{el.ones(2):.2f}", "a format is for one number"),
    ):
        with pytest.raises((errors.ElinvarError, TypeError), match=text):
            action()


def test_traced_tensors_have_no_value():
    for ask in (float, int, bool, lambda x: x.item(), lambda x: x.numpy(), lambda x: x.tolist(), np.asarray):
        with pytest.raises(errors.TraceError, match=r"has no value yet[\s\S]*where"):
            el.jit(lambda x, ask=ask: ask(x))(el.asarray(1.0))


def test_in_place_operators_rebind():
    x = el.asarray([1.0, 2.0])
    same, view = x, x[:]
    x += 1
    x *= el.asarray([2.0, 3.0])
    x -= 1
    x /= 2
    x **= 2
    assert same is x and x.tolist() == [2.25, 16.0] and view.tolist() == [1.0, 2.0]
    n = el.asarray([7, 8])
    n //= 2
    n %= 3
    n <<= 2
    n |= 1
    assert n.tolist() == [1, 5] and n.dtype is el.int64
    x.zero_().fill_(3).mul_(2).clamp_(max=5).sub_(1, alpha=2)
    assert x.tolist() == [3.0, 3.0]
    x.copy_(el.asarray([1, 2]))
    assert x.tolist() == [1.0, 2.0] and x.dtype is el.float32


def test_methods_read_as_in_pytorch():
    x = el.asarray(np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    assert x.size() == (2, 3, 4) and x.size(1) == 3 and x.numel() == 24 and x.dim() == x.ndim == 3
    assert x.view(6, -1).shape == (6, 4) and x.transpose(1, 2).shape == (2, 4, 3)
    assert x.permute(2, 0, 1).shape == (4, 2, 3) and x.flatten(1).shape == (2, 12)
    assert x.unsqueeze(-1).squeeze(-1).shape == x.shape and x[:1].squeeze().shape == (3, 4)
    assert x.sum(dim=(0, 1), keepdim=True).shape == (1, 1, 4) == x.sum(axis=(0, 1), keepdims=True).shape
    assert x[0].expand(5, -1, -1).shape == (5, 3, 4) and x.repeat(2, 1, 1).shape == (4, 3, 4)
    assert x.float().dtype is el.float32 and x.long().dtype is el.int64 and x.half().element_size() == 2
    assert x.to(el.float64).dtype is el.float64 and x.to("cpu") is x and x.to(x.long()).dtype is el.int64
    values, indices = x.max(dim=-1)
    assert values.shape == indices.shape == (2, 3) and indices.dtype is el.int64
    assert x.max().item() == 23.0 and x.max(axis=0).shape == (3, 4)
    assert x.mT.shape == (2, 4, 3) and x[0].T.shape == (4, 3) and x.unbind(1)[2].shape == (2, 4)
    assert x.is_contiguous() and not x.mT.is_contiguous() and x.mT.contiguous().is_contiguous()
    assert x.new_zeros(2, 2).dtype is x.dtype and x.view(el.int32).dtype is el.int32
    assert x.norm().item() == pytest.approx(float(np.linalg.norm(np.arange(24.0))))
    assert x.var().item() == pytest.approx(np.arange(24.0).var(ddof=1))
    order = el.asarray([3.0, 1.0, 2.0]).sort(descending=True)
    assert order.values.tolist() == [3.0, 2.0, 1.0] and order.indices.tolist() == [0, 2, 1]
    assert x.allclose(x + 1e-9) and x.equal(x.clone()) and x.cumsum(-1).shape == x.shape
    with pytest.raises(errors.ValueRangeError, match="the same thing"):
        x.sum(dim=1, axis=1)


def test_more_methods():
    x = np.array([[3.0, np.nan, 1.0], [5.0, 2.0, 4.0]], np.float32)
    t = el.asarray(x)
    np.testing.assert_array_equal(np.asarray(t.median(1).values), [np.nan, 4.0])
    assert t[1].median().item() == 4.0 and t[1, :2].median().item() == 2.0
    assert t.nansum().item() == 15.0 and t.nanmean(1).tolist() == [2.0, np.float32(11 / 3)]
    assert el.asarray([-7.0, 7.0]).fmod(3).tolist() == [-1.0, 1.0]
    np.testing.assert_array_equal(np.asarray(el.arange(3).diag(-1)), np.diag(np.arange(3), -1))
    assert el.arange(9).reshape(3, 3).diag(1).tolist() == [1, 5]
    windows = np.lib.stride_tricks.sliding_window_view(np.arange(14).reshape(2, 7), 3, 1)[:, ::2]
    np.testing.assert_array_equal(np.asarray(el.arange(14).reshape(2, 7).unfold(1, 3, 2)), windows)
    y = el.tensor([1.0, 3.0, 3.0], requires_grad=True)
    y.max(dim=0).values.backward()
    assert y.grad.tolist() == [0.0, 1.0, 0.0]
    assert t.nan_to_num(nan=9.0).max().item() == 9.0
    assert el.asarray([2.345]).round(decimals=1).item() == pytest.approx(2.3)
    assert el.ones((2, 3)).addmm(el.ones((2, 4)), el.ones((4, 3)), alpha=2).tolist() == [[9.0] * 3] * 2


def test_array_namespace():
    x = el.ones(2)
    assert x.__array_namespace__() is el
    info = el.__array_namespace_info__()
    assert info.default_device() == "cpu" and info.default_dtypes()["integral"] is el.int64
    assert set(info.dtypes(kind="unsigned integer")) == {"uint8", "uint16", "uint32", "uint64"}


def test_all_public_names_exist():
    missing = [name for name in el.__all__ if not hasattr(el, name)]
    assert not missing and len(set(el.__all__)) == len(el.__all__)
    undocumented = [name for name in el.__all__ if callable(getattr(el, name)) and not getattr(el, name).__doc__]
    assert not undocumented
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        el.nothing


@pytest.mark.skipif(
    tuple(map(int, np.__version__.split(".")[:2])) < (2, 4), reason="numpy asks from 2.4 on"
)
def test_numpy_takes_dtypes():
    for dtype in (el.float32, el.int8, el.bool, el.float64):
        assert np.zeros(2, dtype).dtype == np.dtype(dtype) == dtype.numpy
    assert np.issubdtype(el.float16, np.floating)
