"""Products of narrow operands: read as they are stored, summed wide, rounded once."""

import numpy as np
import pytest
from compiled import run_compiled, same_bits, stored

import elinvar as el
from elinvar.core import dtypes
from elinvar.core.dtypes import bfloat16, float16, float32, int8, int16, int32, int64, uint8
from elinvar.core.errors import DTypeError
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder
from elinvar.ops.rules import round_to_bfloat16
from elinvar.passes.legalize import legalize
from elinvar.runtime import compile

HALVES = (bfloat16, float16)
# (x's shape, y's shape, batch, axes): packed, direct, few rows; k or columns neighbours, or neither
NONE = ((), ())
PRODUCTS = [
    ((70, 600), (600, 90), NONE, ((1,), (0,))),
    ((70, 600), (90, 600), NONE, ((1,), (1,))),
    ((300, 70), (300, 90), NONE, ((0,), (0,))),
    ((64, 257), (257, 20), NONE, ((1,), (0,))),
    ((257, 64), (20, 257), NONE, ((0,), (1,))),
    ((3, 530), (530, 77), NONE, ((1,), (0,))),
    ((1, 530), (77, 530), NONE, ((1,), (1,))),
    ((4, 30, 40), (4, 40, 50), ((0,), (0,)), ((2,), (1,))),
    ((30, 4, 40), (40, 50, 4), ((1,), (2,)), ((2,), (0,))),
    ((5, 30, 9, 11), (9, 11, 33), NONE, ((2, 3), (0, 1))),
]
WINDOW = {"groups": 1, "batch_groups": 1, "channels_inner": True, "channels_last": False}


def window(**changes):
    plain = dict.fromkeys(("stride", "dilation", "input_dilation"), (1, 1))
    return plain | {"low": (1, 1), "high": (1, 1)} | WINDOW | changes


CONVOLUTIONS = [
    ((2, 5, 9, 11), (7, 5, 3, 3), window()),
    ((2, 5, 9, 11), (7, 5, 3, 3), window(channels_last=True, stride=(2, 1))),
    ((2, 40, 20, 17), (33, 40, 3, 3), window(channels_last=True)),
    ((2, 40, 20, 17), (33, 40, 3, 3), window()),
    ((2, 6, 5, 7), (9, 6, 3, 3), window(input_dilation=(2, 2))),
    ((2, 6, 9, 8), (4, 3, 3, 2), window(groups=2, dilation=(2, 1))),
    ((4, 6, 9, 8), (4, 6, 7, 6), window(batch_groups=2, channels_inner=False)),
]


def numbers(shape, dtype, seed):
    """A reference array (bfloat16 travels as rounded float32)."""
    rng = np.random.default_rng(seed)
    if dtype.kind != "f":
        return rng.integers(*((-128, 128) if dtype.kind == "i" else (0, 256)), shape).astype(
            dtype.numpy
        )
    x = rng.normal(size=shape).astype(np.float32)
    return round_to_bfloat16(x) if dtype is bfloat16 else x.astype(dtype.numpy)


def program(shapes, dtype, compute):
    made = Builder(capture_source=False)
    inputs = [made.input(TensorType(dtype, tuple(shape))) for shape in shapes]
    return made.graph([compute(made.f, *inputs)], "product")


def check_against_f32(name, shapes, dtype, params):
    """The bits of: cast to f32, multiply, cast back; of the f32 result, too."""
    x, y = (numbers(shape, dtype, seed) for seed, shape in enumerate(shapes))

    def apply(f, a, b, **more):
        return getattr(f, name)(a, b, **params, **more)

    def by_hand(f, a, b):
        return apply(f, f.cast(a, dtype=float32), f.cast(b, dtype=float32))

    (own,) = run_compiled(program(shapes, dtype, apply), [x, y])
    (wide,) = run_compiled(
        program(shapes, dtype, lambda f, a, b: apply(f, a, b, dtype=float32)), [x, y]
    )
    known = Builder(capture_source=False)
    inputs = [known.input(TensorType(float32, s)) for s in shapes]
    plain = known.graph([apply(known.f, *inputs)], "plain")
    (want,) = run_compiled(plain, [x.astype(np.float32), y.astype(np.float32)])
    assert same_bits(wide, want)
    rounded = round_to_bfloat16(want) if dtype is bfloat16 else want.astype(np.float16)
    assert same_bits(own, rounded)
    (cast,) = run_compiled(
        program(shapes, dtype, lambda f, a, b: f.cast(by_hand(f, a, b), dtype=dtype)), [x, y]
    )
    assert same_bits(own, cast)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize(("x", "y", "batch", "axes"), PRODUCTS)
def test_halves_have_the_bits_of_f32_rounded_once(x, y, batch, axes, dtype):
    check_against_f32("contract", (x, y), dtype, {"batch": batch, "axes": axes})


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize(("x", "w", "params"), CONVOLUTIONS)
def test_convolutions_of_halves_have_the_bits_of_f32_rounded_once(x, w, params, dtype):
    check_against_f32("convolution", (x, w), dtype, params)


@pytest.mark.parametrize("bits", [128, 256, 512])
def test_vectors_of_any_width_read_halves(bits, monkeypatch):
    monkeypatch.setattr(compile, "vector_bits", lambda: bits)
    for x, y, batch, axes in PRODUCTS:
        check_against_f32("contract", (x, y), bfloat16, {"batch": batch, "axes": axes})


def test_halves_are_not_copied_to_f32():
    for name, params, shapes in (
        ("contract", {"batch": NONE, "axes": ((1,), (0,))}, ((8, 300), (300, 9))),
        ("convolution", window(), ((2, 5, 9, 11), (7, 5, 3, 3))),
    ):
        graph = program(shapes, bfloat16, lambda f, a, b: getattr(f, name)(a, b, **params))  # noqa: B023
        (product,) = [n for n in legalize(graph).nodes if n.op_name == name]
        assert [v.dtype for v in product.operands] == [bfloat16, bfloat16]
        assert product.results[0].dtype is float32


@pytest.mark.parametrize("dtype", [*HALVES, int8], ids=str)
@pytest.mark.parametrize("case", PRODUCTS[:7])
def test_layout_and_symbolic_sizes_do_not_change_bits(case, dtype):
    *shapes, batch, axes = case
    wide = int32 if dtype is int8 else float32

    def apply(f, a, b):
        return f.contract(a, b, batch=batch, axes=axes, dtype=wide)

    arrays = [numbers(shape, dtype, seed) for seed, shape in enumerate(shapes)]
    graph = program(shapes, dtype, apply)
    (want,) = run_compiled(graph, arrays)
    turned = [np.asfortranarray(stored(a, dtype)) for a in arrays]
    layouts = tuple(tuple(s // t.itemsize for s in t.strides) for t in turned)
    (strided,) = run_compiled(graph, turned, layouts=layouts)
    assert same_bits(strided, want)
    sizes = {f"d{n}": n for shape in shapes for n in shape}
    open_shapes = [tuple(Dim(f"d{n}") for n in shape) for shape in shapes]
    (symbolic,) = run_compiled(program(open_shapes, dtype, apply), arrays, sizes)
    assert same_bits(symbolic, want)


def bits(x):
    return el.bitcast(x, el.uint16).numpy().tobytes() if x.dtype.bits == 16 else x.numpy().tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int8"])
def test_threads_rows_and_jit_do_not_change_bits(dtype):
    kind, wide = getattr(el, dtype), None
    if dtype == "int8":
        wide = el.int32
    x, w = (
        el.asarray(np.random.default_rng(k).normal(size=s).astype(np.float32) * 50).astype(kind)
        for k, s in enumerate(((37, 700), (700, 130)))
    )
    want = el.matmul(x, w, dtype=wide)
    assert bits(el.jit(lambda a, b: el.matmul(a, b, dtype=wide))(x, w)) == bits(want)
    one_by_one = el.concat([el.matmul(x[i : i + 1], w, dtype=wide) for i in range(37)])
    assert bits(one_by_one) == bits(want)
    threads = el.get_num_threads()
    try:
        for count in (1, 2, 3, 8):
            el.set_num_threads(count)
            assert bits(el.matmul(x, w, dtype=wide)) == bits(want)
    finally:
        el.set_num_threads(threads)


def test_training_in_bfloat16_has_the_bits_of_casts():
    """Gradients of a product of halves: each a product in f32, rounded once."""
    x, w, g = (el.randn(*shape).astype(el.bfloat16) for shape in ((19, 300), (300, 40), (19, 40)))
    a, b = x.detach(), w.detach()
    a.requires_grad_(), b.requires_grad_()
    (a @ b).backward(g)
    wide = [v.astype(el.float32) for v in (x, w, g)]
    assert bits(a.grad) == bits((wide[2] @ wide[1].T).astype(el.bfloat16))
    assert bits(b.grad) == bits((wide[0].T @ wide[2]).astype(el.bfloat16))


def test_gradients_through_a_wider_result():
    x, w = el.randn(5, 7).astype(el.bfloat16), el.randn(7, 3).astype(el.bfloat16)
    x.requires_grad_()
    y = el.matmul(x, w, dtype=el.float32)
    assert y.dtype is el.float32
    y.backward(el.ones((5, 3)))
    assert x.grad.dtype is el.bfloat16
    want = (el.ones((5, 3)) @ w.astype(el.float32).T).astype(el.bfloat16)
    assert bits(x.grad) == bits(want)


# ---- integers -----------------------------------------------------------------------------------


def check_integers(x, y, batch, axes, kinds):
    dtype, wide = kinds
    a, b = numbers(x, dtype, 0), numbers(y, dtype, 1)
    a.flat[:40], b.flat[:40] = np.iinfo(a.dtype).min, np.iinfo(a.dtype).min
    a.flat[40:90], b.flat[40:90] = np.iinfo(a.dtype).max, np.iinfo(a.dtype).min

    def apply(f, p, q):
        return f.contract(p, q, batch=batch, axes=axes, dtype=wide)

    (got,) = run_compiled(program((x, y), dtype, apply), [a, b])
    letters = "abcdefgh"
    left = list(letters[: len(x)])
    right = [None] * len(y)
    for i, j in (*zip(*batch, strict=True), *zip(*axes, strict=True)):
        right[j] = left[i]
    right = [found or "ijklmn"[n] for n, found in enumerate(right)]
    shared = [left[i] for i in batch[0]]
    summed = [left[i] for i in axes[0]]
    kept = [c for c in left if c not in shared + summed]
    kept += [c for c in right if c not in shared + summed]
    text = f"{''.join(left)},{''.join(right)}->{''.join(shared + kept)}"
    want = np.einsum(text, a.astype(np.int64), b.astype(np.int64), optimize=True)
    assert np.array_equal(got, want.astype(wide.numpy))


@pytest.mark.parametrize("kinds", [(int8, int32), (uint8, int32), (uint8, dtypes.uint32),
                                   (int16, int32), (int8, int8), (uint8, uint8)], ids=str)  # fmt: skip
@pytest.mark.parametrize(("x", "y", "batch", "axes"), PRODUCTS)
def test_integers_are_exact(x, y, batch, axes, kinds):
    check_integers(x, y, batch, axes, kinds)


@pytest.mark.parametrize("bits", [128, 256, 512])
def test_vectors_of_any_width_read_integers(bits, monkeypatch):
    monkeypatch.setattr(compile, "vector_bits", lambda: bits)
    for kinds in ((int8, int32), (int16, int32), (uint8, uint8)):
        for x, y, batch, axes in PRODUCTS:
            check_integers(x, y, batch, axes, kinds)


@pytest.mark.parametrize("kinds", [(int8, int32), (uint8, dtypes.uint32), (int16, int64)], ids=str)
def test_large_products_of_integers_are_exact(kinds):
    """So large that the right operand is packed by a launch of its own."""
    dtype, wide = kinds
    x, y = (numbers(shape, dtype, seed) for seed, shape in enumerate(((1023, 521), (521, 1021))))
    made = program(
        (x.shape, y.shape), dtype, lambda f, p, q: f.contract(p, q, batch=NONE,
                                                              axes=((1,), (0,)), dtype=wide),
    )  # fmt: skip
    (got,) = run_compiled(made, [x, y])
    assert np.array_equal(got, x.astype(np.float64) @ y.astype(np.float64))


def test_integer_weights_packed_before_a_loop():
    rng = np.random.default_rng(0)
    w = el.asarray(rng.integers(-128, 128, (37, 37)).astype(np.int8))
    x = el.asarray(rng.integers(-128, 128, (9, 37)).astype(np.int8))

    def step(carry, _):
        wide = el.matmul(carry, w, dtype=el.int32)
        return (wide // 256).astype(el.int8), wide

    last, every = el.jit(lambda x: el.scan(step, x, el.arange(5)))(x)
    state = x.numpy()
    for k in range(5):
        wide = state.astype(np.int32) @ w.numpy().astype(np.int32)
        assert np.array_equal(every[k].numpy(), wide)
        state = (wide // 256).astype(np.int8)
    assert np.array_equal(last.numpy(), state)


@pytest.mark.parametrize(("x", "w", "params"), CONVOLUTIONS)
def test_convolutions_of_integers_are_exact(x, w, params):
    a, b = numbers(x, int8, 0), numbers(w, int8, 1)
    (got,) = run_compiled(
        program((x, w), int8, lambda f, p, q: f.convolution(p, q, **params, dtype=int32)), [a, b]
    )
    (want,) = run_compiled(
        program((x, w), dtypes.float64, lambda f, p, q: f.convolution(p, q, **params)),
        [a.astype(np.float64), b.astype(np.float64)],
    )
    assert got.dtype == np.int32
    assert np.array_equal(got, want)


def test_products_by_name():
    x = el.full((3, 200), 100, dtype=el.int8)
    assert el.matmul(x, x.T, dtype=el.int32).tolist() == [[2_000_000] * 3] * 3
    assert el.vecdot(x, x, dtype="int64").tolist() == [2_000_000] * 3
    assert el.tensordot(x, x, axes=((0, 1), (0, 1)), dtype=el.int32).item() == 6_000_000
    batch = el.matmul(x[None], x.T[None], dtype=el.int32)
    assert batch.shape == (1, 3, 3) and batch.dtype is el.int32
    assert (x @ x.T).dtype is el.int8  # wraps around
    assert el.matmul(x, x.T, dtype=el.int8).dtype is el.int8


def test_a_dtype_that_cannot_hold_the_operands_is_refused():
    x = el.ones((2, 2), dtype=el.int32)
    for name, dtype in (("matmul", el.int8), ("vecdot", el.float64), ("tensordot", el.uint32)):
        with pytest.raises(DTypeError, match=rf"\[{name}\] dtype must hold every number"):
            getattr(el, name)(x, x, dtype=dtype)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("shape", [(20, 600, 70), (3, 40, 33), (40, 257, 16)])
def test_halves_that_a_loop_does_not_change_are_widened_before_it(dtype, shape):
    rows, depth, columns = shape
    el.manual_seed(0)
    xs = el.randn(5, rows, depth).astype(getattr(el, dtype))
    w = el.randn(depth, columns).astype(getattr(el, dtype))

    def steps(xs, w):
        return el.scan(lambda carry, x: (carry, x @ w), el.zeros(()), xs)[1]

    found = el.jit(steps)(xs, w)
    for step, x in zip(found, xs, strict=True):
        assert step.numpy().tobytes() == (x @ w).numpy().tobytes()
