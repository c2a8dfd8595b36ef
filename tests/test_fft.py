"""Fourier transforms: values beside numpy's in double precision, the same bits in every way of
running them, derivatives, tables, errors."""

import os
import subprocess
import sys

import mpmath
import numpy as np
import pytest

import elinvar as el
from elinvar.core.dtypes import complex64, float32, float64
from elinvar.core.errors import AxisError, DTypeError, ShapeError, ValueRangeError
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder
from elinvar.kernels import fft_plan, roots
from elinvar.kernels.cost import Cost
from elinvar.kernels.plan import flatten
from elinvar.ops.fourier import is_smooth, prime_factors
from elinvar.runtime import llvm
from elinvar.runtime.compile import compile_graph
from elinvar.tensor.dispatch import F

pytestmark = pytest.mark.slow  # many programs to compile

NORMS = ("backward", "ortho", "forward")
LARGE = [143, 169, 210, 255, 256, 257, 260, 286, 300, 509, 512, 1000, 1009, 1024, 1536, 2187, 4096]
LARGE += [9240, 12288, 16384]
EPSILON = {"complex64": 2**-24, "complex128": 2**-53, "float32": 2**-24, "float64": 2**-53}


def complexes(*shape, dtype=np.complex64, seed=0):
    rng = np.random.default_rng((seed, *shape))
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)


def reals(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng((seed, *shape)).normal(size=shape).astype(dtype)


def error(found, expected):
    """The root mean square error over the root mean square, in units of half an ulp of 1."""
    found = found.numpy() if isinstance(found, el.Tensor) else found
    assert found.shape == expected.shape
    size = np.sqrt(np.mean(np.abs(expected) ** 2))
    return np.sqrt(np.mean(np.abs(found - expected) ** 2)) / size / EPSILON[found.dtype.name]


def bits(x):
    return np.ascontiguousarray(x.numpy()).tobytes()


# ---- values -------------------------------------------------------------------------------------


def shapes_of(n):
    """A transform alone, rows, columns, both: (shape, axis)."""
    return [((n,), 0), ((3, n), 1), ((n, 18), 0), ((2, n, 5), 1), ((17, n), 1)]


def check(n, shape, axis, dtype):
    """Both ways, and of real numbers."""
    limit = 2.5 + 0.6 * np.log2(n) if is_smooth(n) else 12
    x = complexes(*shape, dtype=dtype)
    wide = x.astype(np.complex128)
    assert error(el.fft.fft(el.asarray(x), axis=axis), np.fft.fft(wide, axis=axis)) < limit, n
    assert error(el.fft.ifft(el.asarray(x), axis=axis), np.fft.ifft(wide, axis=axis)) < limit, n
    real = np.float32 if dtype is np.complex64 else np.float64
    y = reals(*shape, dtype=real)
    half = np.fft.rfft(y.astype(np.float64), axis=axis)
    assert error(el.fft.rfft(el.asarray(y), axis=axis), half) < limit + 2, n
    back = el.fft.irfft(el.asarray(half.astype(dtype)), n=n, axis=axis)
    assert error(back, y.astype(np.float64)) < limit + 2, n


@pytest.mark.any_level
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_lengths_to_130(dtype):
    for n in range(1 + (dtype is np.complex128), 131, 2):
        check(n, *shapes_of(n)[n % 5], dtype)


@pytest.mark.any_level
@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("part", range(4))
def test_every_length_in_every_shape(part, dtype):
    for n in range(1 + part, 131, 4):
        for shape, axis in shapes_of(n):
            check(n, shape, axis, dtype)


@pytest.mark.parametrize("n", LARGE)
def test_long_transforms(n):
    check(n, (n,), 0, np.complex64)
    check(n, (3, n), 1, np.complex64)


@pytest.mark.any_level
@pytest.mark.slow
@pytest.mark.parametrize("n", [*LARGE, 1 << 17, 3 * 5 * 7 * 11 * 13, 20011])
def test_long_transforms_in_other_shapes(n):
    check(n, (n, 3), 0, np.complex64)
    check(n, (n, 20), 0, np.complex64)
    check(n, (2, n), 1, np.complex128)


def test_small_transforms_of_known_values():
    """By the definition, in 50 digits."""
    mpmath.mp.dps = 50
    for n in (3, 7, 11, 13, 16, 17, 30):
        x = complexes(n, dtype=np.complex128)
        turns = [mpmath.expjpi(mpmath.mpf(-2 * k) / n) for k in range(n)]
        exact = [
            sum(mpmath.mpc(complex(v)) * turns[j * k % n] for j, v in enumerate(x))
            for k in range(n)
        ]
        found = el.fft.fft(el.asarray(x)).numpy()
        size = max(abs(v) for v in exact)
        worst = max(abs(mpmath.mpc(complex(a)) - b) for a, b in zip(found, exact, strict=True))
        assert float(worst / size) < 8 * 2**-53, n


@pytest.mark.any_level
@pytest.mark.parametrize("norm", NORMS)
def test_sizes_and_norms(norm):
    x, y = complexes(4, 6, 5, dtype=np.complex128), reals(4, 6, 5, dtype=np.float64)
    for axis in (0, 1, -1):
        for n in (None, 1, 3, 6, 9):
            for name in ("fft", "ifft", "hfft", "irfft"):
                if n == 1 and name in ("hfft", "irfft") and norm == "forward":
                    continue
                expected = getattr(np.fft, name)(x, n=n, axis=axis, norm=norm)
                found = getattr(el.fft, name)(el.asarray(x), n=n, axis=axis, norm=norm).numpy()
                np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13, err_msg=name)
            for name in ("rfft", "ihfft"):
                expected = getattr(np.fft, name)(y, n=n, axis=axis, norm=norm)
                found = getattr(el.fft, name)(el.asarray(y), n=n, axis=axis, norm=norm).numpy()
                np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13, err_msg=name)


@pytest.mark.any_level
@pytest.mark.parametrize("norm", NORMS)
def test_several_axes(norm):
    x, y = complexes(4, 6, 5, dtype=np.complex128), reals(4, 6, 5, dtype=np.float64)
    rows = ((None, None), (None, (0, 2)), ((3, 8), (1, 0)), ((4, 2), (-1, -2)), ((5,), (1,)))
    for s, axes in rows:
        for name, given in (("fftn", x), ("ifftn", x), ("rfftn", y), ("irfftn", x)):
            expected = getattr(np.fft, name)(given, s=s, axes=axes, norm=norm)
            found = getattr(el.fft, name)(el.asarray(given), s=s, axes=axes, norm=norm).numpy()
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13, err_msg=name)
    for name, given in (("fft2", x), ("ifft2", x), ("rfft2", y), ("irfft2", x)):
        expected = getattr(np.fft, name)(given, norm=norm)
        found = getattr(el.fft, name)(el.asarray(given), norm=norm).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)
    kept = el.fft.fftn(el.asarray(x), s=(-1, 7), axes=(0, 1))
    np.testing.assert_allclose(kept.numpy(), np.fft.fftn(x, s=(4, 7), axes=(0, 1)), atol=1e-12)


def test_whole_and_hermitian_transforms_are_each_other():
    y = reals(3, 4, 9)
    back = {"rfft": "irfft", "ihfft": "hfft"}
    for there, here in back.items():
        found = getattr(el.fft, here)(getattr(el.fft, there)(el.asarray(y)), n=9)
        np.testing.assert_allclose(found.numpy(), y, atol=1e-6)
        ends = {"s": (3, 4, 9)}
        found = getattr(el.fft, here + "n")(getattr(el.fft, there + "n")(el.asarray(y)), **ends)
        np.testing.assert_allclose(found.numpy(), y, atol=1e-6)
        two = getattr(el.fft, here + "2")(getattr(el.fft, there + "2")(el.asarray(y)), s=(4, 9))
        np.testing.assert_allclose(two.numpy(), y, atol=1e-6)


def test_dtypes():
    for given, expected in (
        (el.float32, el.complex64), (el.float64, el.complex128), (el.int32, el.complex64),
        (el.bool, el.complex64), (el.float16, el.complex64), (el.bfloat16, el.complex64),
    ):  # fmt: skip
        x = el.asarray([1, 0, 1, 1]).astype(given)
        assert el.fft.fft(x).dtype is el.fft.rfft(x).dtype is expected
        np.testing.assert_allclose(el.fft.fft(x).numpy(), [3, 1j, 1, -1j], atol=1e-6)
        assert el.fft.irfft(x).dtype is expected.part
    assert el.fft.fft([1.0, 2.0]).dtype is el.complex64


def test_what_is_empty():
    assert el.fft.fft(el.zeros((0, 4))).shape == (0, 4)
    assert el.fft.rfft(el.zeros((3, 4, 0)), axis=1).shape == (3, 3, 0)
    assert el.fft.irfft(el.zeros((0, 4))).shape == (0, 6)
    assert el.fft.fft(el.zeros((0, 17))).shape == (0, 17)
    assert el.fft.fft(el.zeros((2, 0)), n=3).numpy().tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("n", [5, 17, 300, 1024, 9216])
def test_an_empty_batch_has_no_tasks(n):
    """Nothing is read or written: there is no memory for it."""

    def all_of_them(x):
        half = el.fft.rfft(x)
        return el.fft.fft(x).real, half.real, el.fft.irfft(half, n=n)

    for shape in ((0, n), (2, 0, n)):
        builder = Builder(capture_source=False)
        x = builder.input(TensorType(complex64, shape))
        graph = builder.graph([builder.f.fft(x, axis=len(shape) - 1, inverse=False, scale=1.0)])
        steps = compile_graph(graph).steps
        assert [step.tasks({}) for step in flatten(steps)] == [0] * len(steps)
        found = el.jit(all_of_them)(el.zeros(shape))
        assert [y.shape[:-1] for y in found] == [shape[:-1]] * 3


def test_frequencies_and_shifts():
    for n in (1, 2, 5, 8):
        for d in (1.0, 0.1, 3):
            np.testing.assert_allclose(el.fft.fftfreq(n, d=d).numpy(), np.fft.fftfreq(n, d), 1e-6)
            found = el.fft.rfftfreq(n, d=d, dtype=el.float64).numpy()
            np.testing.assert_allclose(found, np.fft.rfftfreq(n, d), 1e-15)
    x = np.arange(30).reshape(5, 6)
    for axes in (None, 0, -1, (0, 1), (1,)):
        for name in ("fftshift", "ifftshift"):
            found = getattr(el.fft, name)(el.asarray(x), axes=axes).numpy()
            assert (found == getattr(np.fft, name)(x, axes=axes)).all()


def test_nan_stays_in_its_row():
    x = complexes(20, 12)
    x[3, 5] = np.nan
    found = el.fft.fft(el.asarray(x)).numpy()
    assert np.isnan(found[3]).all()
    rest = np.delete(found, 3, axis=0)
    np.testing.assert_array_equal(rest, el.fft.fft(el.asarray(np.delete(x, 3, 0))).numpy())


# ---- the same bits ------------------------------------------------------------------------------

LENGTHS = [1, 2, 5, 12, 17, 21, 64, 100, 256, 260, 300, 1000, 1009, 9216]


@pytest.mark.parametrize("n", LENGTHS)
def test_same_bits(n):
    """Rows, columns, strided memory, compiled programs, symbolic batches, any number of threads."""
    x = complexes(23, n)
    found = el.fft.fft(el.asarray(x))
    expected = bits(found)
    rows = [el.fft.fft(el.asarray(row)).numpy() for row in x]
    assert np.stack(rows).tobytes() == expected
    columns = el.fft.fft(el.asarray(np.ascontiguousarray(x.T)), axis=0)
    assert np.ascontiguousarray(columns.numpy().T).tobytes() == expected
    turned = el.asarray(np.ascontiguousarray(x.T)).permute(1, 0)
    assert bits(el.fft.fft(turned)) == expected
    apart = np.zeros((23, 2 * n), np.complex64)
    apart[:, ::2] = x
    assert bits(el.fft.fft(el.asarray(apart)[:, ::2])) == expected
    assert bits(el.fft.fft(el.asarray(x[::-1].copy()).flip(0))) == expected
    batched = el.asarray(np.stack([x, x], 1))
    assert bits(el.fft.fft(batched)[:, 0]) == expected
    pixels = el.asarray(np.stack([x, x + 1, x], -1))  # few lanes, so rows or columns are taken
    assert bits(el.fft.fft(pixels, axis=1)[..., 2]) == expected
    assert bits(el.fft.fft(pixels[:2], axis=1)[..., 0]) == bits(found[:2])
    assert bits(el.jit(el.fft.fft)(el.asarray(x))) == expected
    spec = el.TensorSpec((el.Dim("B"), n), el.complex64)
    assert bits(el.jit(el.fft.fft, specs=(spec,))(el.asarray(x))) == expected
    threads = el.get_num_threads()
    for count in (1, 2, 3, 8):
        el.set_num_threads(count)
        assert bits(el.fft.fft(el.asarray(x))) == expected
    el.set_num_threads(threads)


@pytest.mark.parametrize("n", [1, 2, 6, 15, 34, 64, 512, 600, 1009, 2 * 9216])
def test_same_bits_of_real_numbers(n):
    x = reals(19, n)
    found = el.fft.rfft(el.asarray(x))
    back = el.fft.irfft(found, n=n)
    for row in (0, 7, 18):
        alone = el.fft.rfft(el.asarray(x[row]))
        assert bits(alone) == bits(found[row])
        assert bits(el.fft.irfft(alone, n=n)) == bits(back[row])
    columns = el.fft.rfft(el.asarray(np.ascontiguousarray(x.T)), axis=0)
    assert bits(columns.permute(1, 0)) == bits(found)
    assert bits(el.fft.irfft(columns, n=n, axis=0).permute(1, 0)) == bits(back)
    assert bits(el.jit(el.fft.rfft)(el.asarray(x))) == bits(found)
    assert bits(el.jit(lambda z: el.fft.irfft(z, n=n))(found)) == bits(back)
    apart = el.asarray(np.repeat(x, 3, axis=1))[:, ::3]
    assert bits(el.fft.rfft(apart)) == bits(found)


def test_open_batches():
    """One program for all sizes of a batch, in front and behind."""

    def both(x):
        return el.fft.fft(x, axis=1), el.fft.irfft(el.fft.rfft(x.real, axis=1), n=24, axis=1)

    spec = el.TensorSpec((el.Dim("B"), 24, el.Dim("C")), el.complex64)
    compiled = el.jit(both, specs=(spec,))
    for shape in ((5, 24, 3), (1, 24, 1), (0, 24, 3), (40, 24, 0), (2, 24, 40)):
        x = el.asarray(complexes(*shape))
        assert [bits(y) for y in compiled(x)] == [bits(y) for y in both(x)]


def test_a_loop_and_vmap_agree():
    x = el.asarray(complexes(3, 4, 10))
    for axis in (0, 1, 2):
        rows = el.stack([el.fft.fft(row) for row in el.unstack(x, axis=axis)])
        found = el.vmap(el.fft.fft, in_axes=axis)(x)
        assert bits(found) == bits(rows)
    y = x.real
    assert bits(el.vmap(el.fft.rfft)(y)) == bits(el.fft.rfft(y))
    half = el.fft.rfft(y)
    back = el.vmap(lambda z: el.fft.irfft(z, n=10, axis=0), in_axes=0)(half.transpose(1, 2))
    assert bits(back) == bits(el.fft.irfft(half.transpose(1, 2), n=10, axis=1))


def test_native_export(tmp_path):
    """Tables and all, for open batches."""

    spec = el.TensorSpec((el.Dim("B"), 600), el.float32)

    def parts(x):
        y = el.fft.irfft(el.fft.rfft(x) * 0.5, n=600)
        z = el.fft.fft(x[:, :17])
        return y, z.real, z.imag

    native = el.load_native(el.export_native(parts, spec, "host", tmp_path / "fft").object)
    for batch in (0, 1, 3, 20):
        x = el.asarray(reals(batch, 600))
        assert [bits(y) for y in native(x)] == [bits(y) for y in el.jit(parts)(x)]


MACHINE = """
import hashlib, sys
import numpy as np
import elinvar as el
found = hashlib.sha256()
for n in (5, 12, 17, 64, 100, 260, 300, 1000):
    for dtype in (np.complex64, np.complex128):
        rng = np.random.default_rng(n)
        for shape, axis in (((3, n), 1), ((n, 5), 0), ((20, n), 1)):
            x = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)
            found.update(el.fft.fft(el.asarray(x), axis=axis).numpy().tobytes())
            found.update(el.fft.ifft(el.asarray(x), axis=axis).numpy().tobytes())
            half = el.fft.rfft(el.asarray(x.real), axis=axis)
            found.update(half.numpy().tobytes())
            found.update(el.fft.irfft(half, n=n, axis=axis).numpy().tobytes())
print(found.hexdigest())
"""


@pytest.mark.slow
def test_other_instruction_sets():
    """Vectors of 128, 256 and 512 bits, and processors without fma."""
    here = llvm.this_machine()
    levels = [level for level in llvm.X86_LEVELS if not llvm._missing(level, here)]
    if len(levels) < 2:
        pytest.skip("this machine runs one level of x86-64 at most")
    found = set()
    for level in levels:
        environment = {**os.environ, "ELINVAR_CPU": level}
        done = subprocess.run(
            [sys.executable, "-c", MACHINE], capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1


# ---- derivatives --------------------------------------------------------------------------------


def numbers(name, n):
    """The transform as a function of real numbers, to real numbers."""

    def function(x):
        if name in ("rfft", "ihfft"):
            y = getattr(el.fft, name)(x)
        else:
            y = getattr(el.fft, name)(el.complex(x[..., :n], x[..., n:]))
        return y if y.dtype.kind == "f" else el.concat([y.real, y.imag], axis=-1)

    return function


@pytest.mark.any_level
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
@pytest.mark.parametrize("n", [1, 2, 5, 8, 17])
def test_gradients_to_the_second_order(name, n):
    if n == 1 and name in ("irfft", "hfft"):
        n = 3
    width = n if name in ("rfft", "ihfft") else 2 * n
    function = numbers(name, n)
    x = el.asarray(reals(2, width, dtype=np.float64))
    w = el.asarray(reals(*function(x).shape, dtype=np.float64, seed=1))
    v = el.asarray(reals(2, width, dtype=np.float64, seed=2))

    def loss(x):
        return (w * function(x) * function(x)).sum()

    def slope(x):
        return (el.grad(loss)(x) * v).sum()

    for f in (loss, slope):
        gradient = el.grad(f)(x).numpy()
        direction = reals(2, width, dtype=np.float64, seed=3)
        step = 1e-3
        near = [f(el.asarray(x.numpy() + s * step * direction)).item() for s in (1, -1)]
        expected = (near[0] - near[1]) / (2 * step)  # exact: both are of second degree at most
        assert abs(np.sum(gradient * direction) - expected) < 1e-7 * max(1, abs(expected))
    _, tangent = el.jvp(function, (x,), (v,))
    np.testing.assert_allclose(tangent.numpy(), function(v).numpy(), atol=1e-12)


def test_backward_eager_and_compiled_agree():
    x = el.asarray(complexes(3, 10))

    def gradient(x):
        z = x.detach().requires_grad_()
        (el.fft.rfft(el.fft.ifft(z).real) * (2 - 1j)).real.sum().backward()
        return z.grad

    assert bits(el.jit(gradient)(x)) == bits(gradient(x))


# ---- plans and tables ---------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 8, 12, 100, 1009])
def test_roots_are_rounded_correctly(n):
    mpmath.mp.prec = 200
    found = roots.roots(n)
    for k in range(n):
        exact = mpmath.expjpi(mpmath.mpf(-2 * k) / n)
        for part, number in ((found.re, exact.real), (found.im, exact.imag)):
            pair = mpmath.mpf(float(part.high[k])) + mpmath.mpf(float(part.low[k]))
            assert abs(pair - number) < mpmath.mpf(2) ** -100
            if abs(number) > 1e-30:
                assert roots.rounded(part, float64)[k] == float(number)
                assert roots.rounded(part, float32)[k] == np.float32(mpmath.nstr(number, 40))


def test_rounding_to_float32_happens_once():
    """2⁻⁶⁰ beyond the middle of two numbers decides."""
    middle = 1.0 + 2.0**-24
    for low, expected in ((2.0**-60, 1.0 + 2.0**-23), (-(2.0**-60), 1.0), (0.0, 1.0)):
        pair = roots.Pair(np.array([middle]), np.array([low]))
        assert roots.rounded(pair, float32)[0] == np.float32(expected)
        assert roots.rounded(roots.negative(pair), float32)[0] == -np.float32(expected)


def test_plans():
    assert prime_factors(360) == (2, 2, 2, 3, 3, 5) and prime_factors(1) == ()
    assert is_smooth(13 * 1024) and not is_smooth(17)
    for n in (2, 4, 8, 16, 32, 64, 96, 1000, 1001):
        assert np.prod(fft_plan.radices(n)) == n
    assert fft_plan.split(255) is None and fft_plan.split(1024) == (32, 32)
    assert fft_plan.split(286) is None  # no two parts of 16 or more
    assert fft_plan.padded_length(17) == 64 and fft_plan.padded_length(1009) == 2048


def test_work_that_profiles_tell():
    builder = Builder(capture_source=False)
    x = builder.input(TensorType(complex64, (3, 1024)))
    (node,) = builder.graph([builder.f.fft(x, axis=1, inverse=False, scale=1.0)]).nodes
    assert Cost((node,), node.results).flops({}) == 3 * 1024 * 5 * 10


# ---- errors -------------------------------------------------------------------------------------


def test_errors():
    x, z = el.ones((3, 4)), el.ones((3, 4)) * 1j
    rows = [
        (lambda: el.fft.rfft(z), DTypeError, r"\[rfft\] expected real numbers, received c64\[3,4\]"),
        (lambda: el.fft.fft(x, n=0), ShapeError, r"\[fft\] expected a length of at least 1"),
        (lambda: el.fft.fft(x, n=2.5), ShapeError, "at least 1, received 2.5"),
        (lambda: el.fft.fft(x, axis=2), AxisError, r"\[fft\] axis 2 is out of range"),
        (lambda: el.fft.fft(x, axis="a"), AxisError, "axis must be an int, received 'a'"),
        (lambda: el.fft.fft(el.ones(())), AxisError, "out of range"),
        (lambda: el.fft.fft(x, norm="none"), ValueRangeError, 'norm must be "backward", "ortho"'),
        (lambda: el.fft.fft(el.ones((3, 0))), ShapeError, "has nothing to transform"),
        (lambda: el.fft.irfft(el.ones((3, 1))), ShapeError, "stands for one real number, or for"),
        (lambda: el.fft.fftn(x, axes=(0, 0)), AxisError, "an axis is named twice"),
        (lambda: el.fft.fftn(x, s=(2,), axes=(0, 1)), ShapeError, "1 lengths for 2 axes"),
        (lambda: el.fft.fftn(x, s=(2, 2, 2)), ShapeError, "3 lengths for the 2 axes"),
        (lambda: el.fft.fftn(el.ones(())), AxisError, "expected an axis at least"),
        (lambda: el.fft.fftfreq(0), ShapeError, "at least 1"),
        (lambda: el.fft.fftfreq(4, d=0.0), ValueRangeError, "d must be a number that is not 0"),
        (lambda: el.fft.fftfreq(4, dtype=el.int32), DTypeError, "expected a floating dtype"),
        (lambda: el.fft.fft(el.ones((0, 4)), n=1 << 25), ShapeError, "expected 1 to 16777216"),
        (lambda: F.fft(x, axis=0, inverse=False, scale=1.0), DTypeError, "a complex dtype"),
    ]  # fmt: skip
    for call, kind, text in rows:
        with pytest.raises(kind, match=text):
            call()


def test_an_open_length_is_refused():
    spec = el.TensorSpec((3, el.Dim("T")), el.float32)
    with pytest.raises(ShapeError, match="the length of a transform must be a number, received T"):
        el.jit(el.fft.fft, specs=(spec,))(el.ones((3, 8)))
