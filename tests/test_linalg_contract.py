"""Linear algebra under the contract: stacks, jit, threads, open sizes, vmap; errors and bad input."""

import numpy as np
import pytest

import elinvar as el

pytestmark = pytest.mark.slow  # many programs to compile

L = el.linalg


def draw(*shape, seed=0):
    return el.asarray(np.random.default_rng([seed, *shape]).normal(size=shape))


def positive(*shape, seed=0):
    x = draw(*shape, seed=seed)
    return x @ x.mT + shape[-1] * el.eye(shape[-1], dtype=el.float64)


def bits(value):
    parts = value if isinstance(value, tuple) else (value,)
    return [part.numpy().tobytes() for part in parts]


FUNCTIONS = {
    "cholesky": lambda x: L.cholesky_ex(x @ x.mT + L.matrix_power(x, 0))[0],
    "solve_triangular": lambda x: L.solve_triangular(x + 9 * L.matrix_power(x, 0), x, upper=True),
    "solve": lambda x: L.solve(x, x @ x),
    "inv": L.inv,
    "det": L.det,
    "slogdet": lambda x: tuple(L.slogdet(x)),
    "lu": lambda x: tuple(L.lu(x)),
    "qr": lambda x: tuple(L.qr(x)),
    "eigh": lambda x: tuple(L.eigh(x)),
    "svd": lambda x: tuple(L.svd(x)),
    "eig": lambda x: tuple(abs(part) for part in L.eig(x)),
    "pinv": L.pinv,
    "matrix_exp": L.matrix_exp,
    "matrix_rank": L.matrix_rank,
    "lstsq": lambda x: L.lstsq(x, x @ x)[0],
}
# eigenvalues and singular values by the slow programs of large matrices
LARGE = ("cholesky", "inv", "lu", "qr", "eigh", "svd")
slow = pytest.mark.slow
QUICK = ("cholesky", "solve", "qr")
CASES = [pytest.param(name, 6, marks=() if name in QUICK else slow) for name in FUNCTIONS]
CASES += [pytest.param(name, 70, marks=slow) for name in LARGE]


@pytest.mark.parametrize(("name", "n"), CASES)
def test_same_bits(name, n):
    """A stack has the bits of its matrices, jitted or not, mapped or not, on any threads."""
    function = FUNCTIONS[name]
    x = draw(3, n, n)
    alone = [function(x[i]) for i in range(3)]
    stacked = function(x)
    threads = el.get_num_threads()
    try:
        for count in (1, 2, 3):
            el.set_num_threads(count)
            assert bits(function(x)) == bits(stacked)
            assert bits(el.jit(function)(x[0])) == bits(alone[0])
    finally:
        el.set_num_threads(threads)
    for i, expected in enumerate(alone):
        parts = stacked if isinstance(stacked, tuple) else (stacked,)
        assert bits(tuple(part[i] for part in parts)) == bits(expected)
    assert bits(el.jit(el.vmap(function))(x)) == bits(stacked)
    turned = el.asarray(np.asfortranarray(x[1].numpy()))
    assert bits(function(turned)) == bits(alone[1])


@slow
@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "slogdet"])
def test_gradients_have_the_same_bits(name):
    function = FUNCTIONS[name]
    if name == "matrix_rank":
        return

    def gradient(x):
        def total(x):
            found = function(x)
            parts = found if isinstance(found, tuple) else (found,)
            return sum(((part * part).sum() for part in parts), el.asarray(0.0, dtype=el.float64))

        return el.grad(total)(x)

    x = draw(2, 5, 5)
    expected = [gradient(x[i]) for i in range(2)]
    assert bits(el.jit(gradient)(x[0])) == bits(expected[0])
    assert [bits(g) for g in el.vmap(gradient)(x)] == [bits(g) for g in expected]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cholesky", "inv", "lu", "qr", "eigh", "svd"])
def test_open_sizes(name):
    """One program for all sizes, with the bits of the program for the very size."""
    function = FUNCTIONS[name]
    n = el.Dim("n", min=2)
    one = el.jit(function, specs=(el.TensorSpec((n, n), dtype=el.float64),))
    for size in (2, 5, 64, 65, 100):
        x = draw(size, size)
        assert bits(one(x)) == bits(function(x))
    assert one.compilations == 1


@slow
def test_neighbours_do_not_matter():
    """A hard matrix takes more sweeps; the others of its stack do not notice."""
    easy, hard = positive(6, 6), draw(6, 6) * el.asarray(10.0 ** -np.arange(0, 12, 2))
    bad = el.full((6, 6), float("nan"), dtype=el.float64)
    for name in ("eigh", "svd", "qr", "lu", "matrix_exp"):
        function = FUNCTIONS[name]
        stacked = function(el.stack([easy, hard, bad]))
        parts = stacked if isinstance(stacked, tuple) else (stacked,)
        assert bits(tuple(part[0] for part in parts)) == bits(function(easy)), name


@slow
def test_nothing_to_do():
    """Stacks without matrices, matrices without rows."""
    for shape in ((0, 3, 3), (2, 0, 0), (0, 0, 0)):
        x = el.zeros(shape, dtype=el.float64)
        for name, function in FUNCTIONS.items():
            found = function(x)
            for part in found if isinstance(found, tuple) else (found,):
                assert part.shape[0] == shape[0], name
    assert L.det(el.zeros((2, 0, 0))).tolist() == [1.0, 1.0]
    assert L.inv(el.zeros((0, 0))).shape == (0, 0)
    assert L.solve(el.zeros((3, 0, 0)), el.zeros((3, 0, 2))).shape == (3, 0, 2)
    assert L.solve(el.eye(3), el.zeros((3, 0))).shape == (3, 0)
    assert L.qr(el.zeros((0, 3)), mode="complete").R.shape == (0, 3)
    assert L.svd(el.zeros((0, 3))).Vh.tolist() == np.eye(3).tolist()
    assert L.pinv(el.zeros((0, 3))).shape == (3, 0)
    assert L.matrix_rank(el.zeros((2, 0, 3))).tolist() == [0, 0]
    assert L.lstsq(el.zeros((0, 3)), el.zeros((0, 2))).solution.tolist() == [[0.0] * 2] * 3


# ---- what has no decomposition ------------------------------------------------------------------


def message(function, *args, **options):
    with pytest.raises(el.ElinvarError) as caught:
        function(*args, **options)
    return str(caught.value)


def test_singular():
    x = el.stack([el.eye(3), el.asarray([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0], [0.0, 0.0, 1.0]])])
    text = message(L.inv, x)
    assert text.startswith(
        "[inv] matrix 1 of the stack is singular: element 2 of U's diagonal is 0"
    )
    assert "`pinv` takes singular matrices" in text
    assert "[solve] matrix is singular: element 2" in message(L.solve, x[1], el.ones((3,)))
    with pytest.raises(L.LinAlgError):
        L.inv(el.zeros((2, 2)))
    with pytest.raises(ValueError):
        L.matrix_power(el.zeros((2, 2)), -1)
    inverse, info = L.inv_ex(x)
    assert info.tolist() == [0, 2] and inverse[0].tolist() == np.eye(3).tolist()
    assert not np.isfinite(inverse[1].numpy()).all()
    found = el.jit(L.inv)(x)  # a program cannot raise
    assert bits(found) == bits(inverse)
    assert L.cond(x).tolist()[0] == 1.0 and L.cond(x)[1].item() > 1e7
    assert L.cond(el.zeros((2, 2)), 1).item() == float("inf")


def test_not_positive_definite():
    x = el.stack([el.eye(3), el.asarray([[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]])])
    text = message(L.cholesky, x)
    assert "[cholesky] matrix 1 of the stack is not positive definite: its leading minor of" in text
    assert "order 2 is not positive" in text
    factor, info = L.cholesky_ex(x)
    assert info.tolist() == [0, 2] and factor[1, 0, 0].item() == 1.0
    assert np.isnan(factor[1, 1, 1].item())
    assert bits(el.jit(L.cholesky)(x)) == bits(factor)
    for n in (3, 100):  # columns before the failing one are those of the leading minor
        good = positive(n, n)
        bad = el.where(el.arange(n) == n - 1, -1.0, 1.0) * good
        factor, info = L.cholesky_ex(bad)
        assert info.item() == n
        assert bits(factor[:, : n - 1][: n - 1]) == bits(L.cholesky(good)[: n - 1, : n - 1])


@slow
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("n", [4, pytest.param(70, marks=pytest.mark.slow)])
def test_bad_numbers_end(value, n):
    """A NaN or an infinity gives NaN somewhere, and no loop runs for ever."""
    x = el.where(L.matrix_power(el.ones((n, n)), 0) == 1, value, el.ones((n, n)))
    for function in (L.eigvalsh, L.svdvals, L.det, lambda x: L.qr(x).R, L.matrix_exp, L.pinv):
        assert not np.isfinite(function(x).numpy()).all()
    for part in (*L.eigh(x), *L.svd(x), *L.lu(x), *L.cholesky_ex(x), *L.inv_ex(x)):
        assert part is not None


def test_wrong_arguments():
    wide, cube = el.ones((2, 3)), el.ones((2, 2, 2))
    for function in (L.cholesky, L.inv, L.det, L.slogdet, L.eigh, L.eigvalsh, L.matrix_exp):
        name = function.__name__
        assert message(function, wide).startswith(
            f"[{name}] expected square matrices, received f32[2,3]"
        )
        assert f"[{name}] expected at least 2 dimensions" in message(function, el.ones((3,)))
        text = message(function, el.ones((2, 2), dtype=el.int32))
        assert f"[{name}] expected a floating dtype, received i32[2,2]" in text
        assert "`.float()`" in text
    for function in (L.qr, L.svd, L.svdvals, L.lu, L.pinv, L.matrix_rank):
        assert "expected at least 2 dimensions" in message(function, el.ones((3,)))
    assert "sizes differ: f32[2,2] and f32[3,1]" in message(L.solve, el.eye(2), el.ones((3, 1)))
    assert "do not broadcast" in message(L.solve, cube, el.ones((3, 2, 2)))
    assert "mode must be one of" in message(L.qr, wide, mode="full")
    assert "ord must be one of" in message(L.matrix_norm, wide, ord=3)
    assert "n must be an int" in message(L.matrix_power, el.eye(2), 0.5)
    assert "inner dimensions differ" in message(L.multi_dot, [wide, wide])
    assert "at least 2 tensors" in message(L.multi_dot, [wide])
    assert "numbers of rows differ" in message(L.lstsq, wide, el.ones((3, 1)))
    assert "axis names axis 0 twice" in message(L.norm, cube, axis=(0, 0))
    assert "needs elements" in message(L.matrix_norm, el.ones((0, 3)), ord=-2)
    for order in (-1, -2, -el.inf, 1, 2, "nuc", "fro"):  # no matrices, of which each has elements
        assert L.matrix_norm(el.ones((0, 2, 3)), ord=order).shape == (0,)
