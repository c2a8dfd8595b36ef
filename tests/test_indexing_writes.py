"""Writing by index: what is compiled for many positions, and who sees a write."""

import sys

import numpy as np
import pytest

import elinvar as el
from elinvar.core import errors
from elinvar.runtime.compile import compile_graph
from elinvar.tensor.dispatch import F

# ---- positions: one program for all of them -----------------------------------------------------


@pytest.fixture
def compiled(monkeypatch):
    """The names of the graphs that are compiled during a test."""
    names = []

    def counting(graph, *rest):
        names.append(graph.name)
        return compile_graph(graph, *rest)

    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("elinvar.") and hasattr(module, "compile_graph"):
            monkeypatch.setattr(module, "compile_graph", counting)
    return names


def test_a_loop_over_positions_compiles_a_handful_of_programs(compiled):
    steps, width = 50, 7
    source = np.random.default_rng(3).standard_normal((steps, width)).astype(np.float32)
    x = el.tensor(source, requires_grad=True)
    out = el.zeros((width, steps))
    loss = el.asarray(0.0)
    for t in range(steps):
        out[:, t] = x[t] * 2.0
        if 1 <= t < steps - 2:
            loss = loss + (x[t - 1 : t + 2, ::-1] * x[t, 1]).sum()
        out[t % width, t] = 0.5
    (out.sum() + loss).backward()
    assert len(compiled) <= 12, compiled
    expected, gradient = np.zeros((width, steps), np.float32), np.zeros_like(source)
    for t in range(steps):
        expected[:, t] = source[t] * 2
        gradient[t] += 2
        expected[t % width, t] = 0.5
        gradient[t, t % width] -= 2
        if 1 <= t < steps - 2:
            gradient[t - 1 : t + 2] += source[t, 1]
            gradient[t, 1] += source[t - 1 : t + 2].sum()
    np.testing.assert_array_equal(np.asarray(out.detach()), expected)
    np.testing.assert_allclose(np.asarray(x.grad), gradient, rtol=1e-4, atol=1e-5)


def test_padding_and_pieces_compile_nothing_per_position(compiled):
    x = el.tensor(np.arange(60, dtype=np.float32).reshape(20, 3), requires_grad=True)
    total = el.asarray(0.0)
    for piece in (*el.split(x, 3), *el.unstack(x), *(x.narrow(0, i, 4) for i in range(16))):
        total = total + piece.sum()
    for before in range(20):
        padded = el.nn.functional.pad(x, (before, 20 - before), value=1.5)
        assert padded.shape == (20, 23) and padded[0, before].item() == 0.0
        total = total + padded.sum()
        start = (before % 16, before % 2)
        total = total + F.slice(x, start=start, size=(4, 2), step=(1, 1)).sum() * 0.0
    total.backward()
    assert len(compiled) <= 12, compiled
    narrowed = np.array([min(i, 15) - max(i - 3, 0) + 1 for i in range(20)])  # pieces with row i
    expected = np.repeat(narrowed[:, None] + 22.0, 3, axis=1)
    np.testing.assert_array_equal(np.asarray(x.grad), expected)


def test_ten_thousand_positions_fill_no_table():
    x, out = el.asarray(np.arange(20000, dtype=np.float32).reshape(10000, 2)), el.zeros((2, 10000))
    before = {id(table): len(table) for table in _tables()}
    for t in range(10000):
        out[:, t] = x[t]
        x[t - 5000 : t - 4990]
    grown = [len(table) - before.get(id(table), 0) for table in _tables()]
    assert max(grown) <= 8192 and sum(growth > 100 for growth in grown) <= 1  # slices with bounds
    np.testing.assert_array_equal(np.asarray(out), np.asarray(x).T)


def _tables():
    for name in ("eager", "oneop", "places", "regions", "copying", "gathering", "derivative", "layout"):
        module = sys.modules[f"elinvar.tensor.{name}"]
        yield from (value for value in vars(module).values() if isinstance(value, dict))


# ---- memory: who sees a write ---------------------------------------------------------------------


def address(x):
    return np.asarray(x).__array_interface__["data"][0]


def test_a_tensor_that_holds_its_memory_alone_is_written_in_place():
    x = el.asarray(np.zeros((4, 5), np.float32))
    before = address(x)
    values = (1, 2.0), ((slice(None), 2), el.arange(4.0)), (np.s_[::2, ::-2], el.asarray([[1.0, 2.0, 3.0]]))
    for key, value in (*values, (np.s_[..., None, 0], -1.0)):
        x[key] = value
        assert address(x) == before
    expected = np.zeros((4, 5), np.float32)
    expected[1] = 2
    expected[:, 2] = np.arange(4)
    expected[::2, ::-2] = [[1, 2, 3]]
    expected[..., None, 0] = -1
    np.testing.assert_array_equal(np.asarray(x), expected)


HOLDERS = {
    "view": lambda x: x[1:],
    "row": lambda x: x[0],
    "turned": lambda x: x.T,
    "detached": lambda x: x.detach(),
    "reshaped": lambda x: x.reshape(-1),
    "numpy": lambda x: x.numpy(),
    "asarray": np.asarray,
    "dlpack": np.from_dlpack,
    "capsule": lambda x: _Capsule(x.__dlpack__()),
    "memory": lambda x: memoryview(x._buffer),
    "nothing but the array of a view": lambda x: np.asarray(x[1:]),
}


class _Capsule:
    """What another library does with a DLPack capsule: it is read later."""

    def __init__(self, capsule):
        self.capsule = capsule

    def __dlpack__(self, **_):
        return self.capsule

    def __dlpack_device__(self):
        return (1, 0)


@pytest.mark.parametrize("name", HOLDERS)
@pytest.mark.parametrize("taped", [False, True])
def test_no_holder_of_the_memory_sees_a_write(name, taped):
    x = el.asarray(np.arange(12, dtype=np.float32).reshape(3, 4))
    held = HOLDERS[name](x)
    value = el.ones(4).requires_grad_(taped) * 9.0
    x[1] = value
    x[:, 0] = value[:3]
    x[2, 2] = value[0]
    if name == "capsule":
        seen = np.from_dlpack(held)
    elif name == "memory":
        seen = np.frombuffer(held, np.float32)[:12]
    else:
        seen = np.asarray(held)
    plain = np.arange(12, dtype=np.float32).reshape(3, 4)
    expected = {"view": plain[1:], "row": plain[0], "turned": plain.T}.get(name)
    if name == "nothing but the array of a view":
        expected = plain[1:]
    elif expected is None:
        expected = plain.reshape(np.shape(seen))
    np.testing.assert_array_equal(seen, expected)
    plain[1], plain[:, 0], plain[2, 2] = 9, 9, 9
    np.testing.assert_array_equal(np.asarray(x.detach()), plain)


def test_memory_of_others_is_never_written():
    array = np.zeros(6, np.float32)
    for shared in (el.from_numpy(array), el.from_dlpack(array)):
        shared[2] = 5.0
        assert shared.tolist() == [0, 0, 5, 0, 0, 0] and not array.any()
    number = el.asarray(0.0)
    number[...] = 3.0
    assert el.asarray(0.0).item() == 0.0 and number.item() == 3.0
    spread = el.broadcast_to(el.asarray([1.0]), (4,))
    spread[1] = 2.0
    assert spread.tolist() == [1.0, 2.0, 1.0, 1.0]


def test_a_value_that_is_a_view_of_its_target():
    x = el.arange(6.0)
    x[1:] = x[:-1]
    assert x.tolist() == [0.0, 0.0, 1.0, 2.0, 3.0, 4.0]
    x[::-1] = x
    assert x.tolist() == [4.0, 3.0, 2.0, 1.0, 0.0, 0.0]


def test_backward_sees_what_was_there_before_a_write():
    x = el.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 2.0
    z = (y * y).sum()  # backward reads y
    y[0] = 100.0
    z.backward()
    assert x.grad.tolist() == [8.0, 16.0, 24.0]
    with el.no_grad():
        w = (x * x).sum()
        x[1] = -2.0
    loss = (x * x).sum()
    with el.no_grad():
        x[1] = 50.0  # backward reads x as it was
    x.grad = None
    loss.backward()
    assert x.grad.tolist() == [2.0, -4.0, 6.0] and w.item() == 14.0
    with pytest.raises(errors.GradientError, match="must not be changed in place"):
        x[0] = 7.0
    assert x.tolist() == [1.0, 50.0, 3.0]


def test_a_checkpoint_runs_again_on_what_was_there_before():
    store = el.zeros(3)

    def block(v):
        store[1] = 2.0
        return v * store[1] + store[0]

    x = el.tensor([1.0, 3.0], requires_grad=True)
    y = el.checkpoint(block, x)
    store[0] = 5.0
    store[1] = 7.0
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0] and store.tolist() == [5.0, 7.0, 0.0]


def test_a_captured_tensor_is_read_anew_after_a_write():
    x = el.asarray(np.arange(4, dtype=np.float32))
    double = el.jit(lambda: x * 2.0)
    first = double()
    x[1] = 10.0
    second = double()
    write = el.jit(lambda v: x.__setitem__(2, v))
    write(el.asarray(7.0))
    x[3] = -1.0
    assert first.tolist() == [0, 2, 4, 6] and second.tolist() == [0, 20, 4, 6]
    assert double().tolist() == [0, 20, 14, -2]


# ---- rows and values in order -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int8"])
@pytest.mark.parametrize("count", [1, 5, 600])
def test_rows_are_put_at_indices_in_order(dtype, count):
    random = np.random.default_rng(count)
    plain = random.integers(0, 99, (17, 3, 40)).astype(dtype)
    x = el.asarray(plain)
    before = address(x)
    index = random.integers(-17, 17, count)
    for update in (
        random.integers(0, 99, (count, 3, 40)).astype(dtype),
        random.integers(0, 99, (3, 40)).astype(dtype),
        random.integers(0, 99, (count, 1, 40)).astype(dtype),
        np.asarray(7, dtype),
        3,
    ):
        given = el.asarray(update) if isinstance(update, np.ndarray) else update
        x[el.asarray(index)] = given
        for place, row in enumerate(index):  # numpy does not promise which of equal indices counts
            plain[row] = np.broadcast_to(update, (count, 3, 40))[place]
        np.testing.assert_array_equal(np.asarray(x), plain)
        twin = el.asarray(plain)
        twin.requires_grad_(twin.dtype.kind == "f")  # another way, with the same result
        with el.enable_grad():
            other = twin * 1
            other[el.asarray(index)] = given
        np.testing.assert_array_equal(np.asarray(other.detach()), plain)
        view, held = x[:2], np.asarray(x[:2]).copy()
        x[el.asarray([0])] = 1
        np.testing.assert_array_equal(np.asarray(view), held)
        plain[0] = 1
    x[el.asarray([0])] = 2
    plain[0] = 2
    before = address(x)
    x[el.asarray([1])] = 2
    plain[1] = 2
    assert address(x) == before
    with pytest.raises(errors.OutOfBoundsError, match=r"\[setitem\] index 17 is out of bounds for axis 0 of size 17"):
        x[el.asarray([0, 17, 1])] = 5
    np.testing.assert_array_equal(np.asarray(x), plain)


def test_an_index_may_be_the_tensor_itself():
    x = el.asarray([2, 0, 1])
    x[x] = el.asarray([5, 6, 7])
    assert x.tolist() == [6, 7, 5]
    y = el.asarray([1, 0])
    y[y] = y
    assert y.tolist() == [0, 1]


def test_values_spread_over_a_mask():
    random = np.random.default_rng(1)
    plain = random.standard_normal((6, 5, 2)).astype(np.float32)
    for rank in (1, 2, 3):
        mask = random.random(plain.shape[:rank]) < 0.5
        values = random.standard_normal((int(mask.sum()), *plain.shape[rank:])).astype(np.float32)
        x, leaf = el.asarray(plain), el.tensor(plain, requires_grad=True)
        v = el.tensor(values, requires_grad=True)
        x[el.asarray(mask)] = el.asarray(values)
        expected = plain.copy()
        expected[mask] = values
        np.testing.assert_array_equal(np.asarray(x), expected)
        y = leaf * 1.0
        y[el.asarray(mask)] = v
        (y * y).sum().backward()
        np.testing.assert_array_equal(np.asarray(y.detach()), expected)
        np.testing.assert_array_equal(np.asarray(v.grad), 2 * values)
        kept = np.where(np.expand_dims(mask, tuple(range(rank, 3))), 0, 2 * plain)
        np.testing.assert_array_equal(np.asarray(leaf.grad), kept)
        with pytest.raises(errors.ShapeError, match="does not broadcast to the indexed shape"):
            x[el.asarray(mask)] = el.zeros(int(mask.sum()) + 1)
