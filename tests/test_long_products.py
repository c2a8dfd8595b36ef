"""Products of few results and many steps of k leave sums of blocks: the bits of all other ways."""

import numpy as np
import pytest

import elinvar as el
from elinvar.codegen import lower_long
from elinvar.runtime import compile as compiling

RNG = np.random.default_rng(0)
PRODUCT = "long"  # what its kernel's name begins with


def normal(*shape, dtype=np.float32):
    return el.asarray(RNG.standard_normal(shape).astype(dtype))


def is_long(run, *values):
    return "add sums" in run.lower(*values).loops


def in_blocks(x, y, step=256):
    """The sum of products of blocks of k, added in order."""
    product, total = el.jit(lambda x, y: x.mT @ y), None
    for low in range(0, x.shape[0], step):
        part = product(x[low : low + step], y[low : low + step]).numpy()
        total = part if total is None else total + part
    return total


@pytest.mark.parametrize(
    ("rows", "columns", "depth"),
    [(9, 16, 3000), (1, 32, 2048), (27, 48, 2100), (100, 128, 2049), (16, 7, 2500)],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_are_added_in_order(rows, columns, depth, dtype):
    x, y = normal(depth, rows, dtype=dtype), normal(depth, columns, dtype=dtype)
    expected = in_blocks(x, y).tobytes()
    run = el.jit(lambda x, y: x.mT @ y)
    assert is_long(run, x, y)
    threads = el.get_num_threads()
    for count in (1, 2, 3, 8):
        el.set_num_threads(count)
        assert run(x, y).numpy().tobytes() == expected
    el.set_num_threads(threads)
    assert (x.mT @ y).numpy().tobytes() == expected  # eager
    for a, b in ((np.asfortranarray, np.ascontiguousarray), (np.ascontiguousarray,) * 2):
        assert run(el.asarray(a(x.numpy())), el.asarray(b(y.numpy()))).numpy().tobytes() == expected
    back = el.jit(lambda x, y: (y.mT @ x).mT)(x, y).numpy()
    assert back.tobytes() == expected
    specs = (
        el.TensorSpec((depth_name := el.Dim("depth"), rows), dtype=x.dtype),
        el.TensorSpec((depth_name, columns), dtype=x.dtype),
    )
    opened = el.jit(lambda x, y: x.mT @ y, specs=specs)
    assert opened(x, y).numpy().tobytes() == expected


def gradient(stride, dtype):
    def run(x, w, g):
        def images(w):
            return el.nn.functional.conv2d(x, w, stride=stride, padding=1)

        return el.vjp(images, w)[1](g.moveaxis(3, 1))[0].astype(dtype)

    return run


@pytest.mark.parametrize(
    ("inputs", "outputs", "window", "stride"), [(1, 16, 3, 1), (3, 32, 5, 2), (2, 48, 3, 1)]
)
@pytest.mark.parametrize("dtype", [el.float32, el.bfloat16])
def test_gradients_of_the_first_kernel(inputs, outputs, window, stride, dtype, monkeypatch):
    """Windows of an image are rows in runs of neighbours; the same bits as from packed panels."""
    x, w = normal(16, inputs, 18, 18), normal(outputs, inputs, window, window)
    side = (20 - window) // stride + 1
    values = [v.astype(dtype) for v in (x, w, normal(16, side, side, outputs))]
    found = []
    for most in (lower_long.MOST_RESULTS, 0):
        monkeypatch.setattr(lower_long, "MOST_RESULTS", most)
        run = el.jit(gradient(stride, el.float32))
        long = most > 0 and 16 * side * side >= 8 * 256
        assert is_long(run, *values) == long
        found.append(run(*values).numpy().tobytes())
    assert found[0] == found[1]


@pytest.mark.parametrize("bits", [128, 256, 512])
def test_vectors_of_any_width(bits, monkeypatch):
    x, y = normal(2300, 13), normal(2300, 32)
    expected = in_blocks(x, y).tobytes()
    monkeypatch.setattr(compiling, "vector_bits", lambda: bits)
    monkeypatch.setattr(compiling, "plan_key", lambda *a, **k: None)
    assert el.jit(lambda x, y: x.mT @ y + 0)(x, y).numpy().tobytes() == expected


def test_an_update_reads_the_sum():
    """What would have been the product's epilogue runs by itself."""
    x, y, w = normal(2300, 9), normal(2300, 16), normal(9, 16)
    run = el.jit(lambda w, x, y: w - 0.1 * (x.mT @ y))
    assert is_long(run, w, x, y)
    expected = w.numpy() - np.float32(0.1) * in_blocks(x, y)
    assert run(w, x, y).numpy().tobytes() == expected.tobytes()


def test_nothing_of_a_batch_is_mixed():
    x, y = normal(3, 2100, 6), normal(3, 2100, 16)
    run = el.jit(lambda x, y: x.mT @ y)
    assert is_long(run, x, y)
    for found, a, b in zip(run(x, y), x, y, strict=True):
        assert found.numpy().tobytes() == in_blocks(a, b).tobytes()
