"""Functions of linalg that are made of others."""

import numpy as np
import pytest

import elinvar as el

pytestmark = pytest.mark.any_level

RNG = np.random.default_rng(0)


def test_householder_product_gives_the_columns_of_q():
    for shape, count in (((5, 3), 3), ((5, 3), 2), ((2, 4, 4), 4), ((40, 33), 33)):
        x = RNG.normal(size=shape)
        tau = RNG.normal(size=(*shape[:-2], count))
        found = el.linalg.householder_product(el.asarray(x), el.asarray(tau)).numpy()
        expected = np.broadcast_to(np.eye(*shape[-2:]), shape)
        for k in reversed(range(count)):
            v = np.where(np.arange(shape[-2]) > k, x[..., :, k], 0.0)
            v[..., k] = 1.0
            outer = v[..., :, None] * v[..., None, :]
            step = np.eye(shape[-2]) - tau[..., k, None, None] * outer
            expected = step @ expected
        assert np.allclose(found, expected, atol=1e-9 * max(1.0, abs(expected).max()))


def test_householder_product_has_a_gradient():
    x, tau = el.asarray(RNG.normal(size=(4, 3))), el.asarray(RNG.normal(size=(3,)))
    function = lambda x, tau: el.sin(el.linalg.householder_product(x, tau)).sum()  # noqa: E731
    el.testing.check_grads(function, (x, tau), order=1)


def test_tensorinv_and_tensorsolve_agree_with_numpy():
    x = RNG.normal(size=(4, 6, 8, 3))
    found = el.linalg.tensorinv(el.asarray(x), ind=2).numpy()
    assert np.allclose(found, np.linalg.tensorinv(x, ind=2))
    a, b = RNG.normal(size=(2, 3, 6)), RNG.normal(size=(2, 3))
    found = el.linalg.tensorsolve(el.asarray(a), el.asarray(b)).numpy()
    assert np.allclose(found, np.linalg.tensorsolve(a, b))
    a = RNG.normal(size=(2, 6, 3))
    found = el.linalg.tensorsolve(el.asarray(a), el.asarray(b), axes=(1,)).numpy()
    assert np.allclose(found, np.linalg.tensorsolve(a, b, axes=(1,)))


def test_the_ex_functions_tell_of_singular_matrices():
    bad = el.stack([el.eye(2), el.asarray([[1.0, 2.0], [2.0, 4.0]])])
    assert el.linalg.solve_ex(bad, el.ones((2, 2, 1))).info.tolist() == [0, 2]
    assert el.linalg.lu_factor_ex(bad).info.tolist() == [0, 2]
    assert el.linalg.solve_ex(el.eye(2), el.ones(2)).result.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: el.linalg.tensorinv(el.ones((2, 3))), "[tensorinv] the sizes of the first 2 axes"),
        (lambda: el.linalg.tensorinv(el.ones((2, 2)), ind=0), "ind must be an int above 0"),
        (lambda: el.linalg.tensorsolve(el.ones((2, 3)), el.ones(2)), "[tensorsolve] A of shape"),
        (
            lambda: el.linalg.householder_product(el.ones((2, 3)), el.ones(2)),
            "[householder_product] expected M ≥ N ≥ K",
        ),
        (
            lambda: el.linalg.householder_product(el.ones((3, 2)), el.ones((2, 2))),
            "[householder_product] leading dimensions differ",
        ),
    ],
)
def test_bad_arguments(call, text):
    with pytest.raises(ValueError) as error:
        call()
    assert text in str(error.value)


def test_adjoints_of_tensors():
    x = el.asarray([[1.0 + 2j, 3.0], [4.0, 5.0 - 1j]])
    expected = x.numpy().conj().T.tolist()
    assert x.mH.tolist() == x.H.tolist() == x.adjoint().tolist() == expected
    stack = el.stack([x, x])
    assert stack.mH.numpy().tolist() == stack.numpy().conj().swapaxes(-1, -2).tolist()
