"""jacrev, jacfwd, hessian, hvp: values, structures, errors."""

import numpy as np
import pytest

import elinvar as el
from elinvar.core.errors import DTypeError, GradientError
from tests.compiled import same_bits

X = el.asarray([0.3, -1.2, 0.7])
M = el.asarray([[0.5, 1.0, -0.3], [2.0, 0.1, 0.4]])


def close(found, expected, tolerance=1e-5):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("jacobian", [el.jacrev, el.jacfwd])
def test_of_one_tensor(jacobian):
    def function(x):
        return el.sin(M @ x)

    expected = np.cos(M.numpy() @ X.numpy())[:, None] * M.numpy()
    close(jacobian(function)(X), expected)
    close(el.jit(jacobian(function))(X), expected)
    by_sum = np.eye(3) * X.numpy().sum() + X.numpy()[:, None]
    close(jacobian(lambda x: x.sum() * x)(X), by_sum)
    close(jacobian(lambda x: (x * x).sum())(X), 2 * X.numpy())
    assert jacobian(lambda x: el.stack([x, x]))(el.asarray(2.0)).tolist() == [1.0, 1.0]
    matrix = el.randn(2, 3)
    assert jacobian(lambda x: x.mT)(matrix).shape == (3, 2, 2, 3)


@pytest.mark.parametrize("jacobian", [el.jacrev, el.jacfwd])
def test_containers(jacobian):
    def function(p, scale):
        return {"y": p["a"] * p["b"][0], "z": (p["a"].sum() * scale, None)}

    given = {"a": X, "b": [el.asarray(2.0), el.asarray([1.0, 1.0])]}
    found = jacobian(function)(given, 3.0)
    close(found["y"]["a"], np.eye(3) * 2)
    close(found["y"]["b"][0], X.numpy())
    close(found["y"]["b"][1], np.zeros((3, 2)))
    close(found["z"][0]["a"], np.full(3, 3.0))
    assert found["z"][1] is None


@pytest.mark.parametrize("jacobian", [el.jacrev, el.jacfwd])
def test_arguments_and_aux(jacobian):
    by_both = jacobian(lambda x, m, n: (m @ x) * n, argnums=(1, 0))(X, M, n=2.0)
    assert isinstance(by_both, tuple)
    assert by_both[0].shape == (2, 2, 3)
    close(by_both[1], 2 * M.numpy())
    close(jacobian(lambda m, x: m @ x, argnums=-1)(M, X), M.numpy())
    found, aux = jacobian(lambda x: (x * x, {"sum": x.sum()}), has_aux=True)(X)
    close(found, np.diag(2 * X.numpy()))
    close(aux["sum"], X.numpy().sum())


@pytest.mark.parametrize("jacobian", [el.jacrev, el.jacfwd])
def test_dtypes(jacobian):
    x = X.astype(el.float64)
    assert jacobian(lambda x: x * x)(x).dtype is el.float64
    found = jacobian(lambda p: (p[0] * p[1].astype(el.float64)).astype(el.float32))((x, X))
    of_arguments = (
        jacobian is el.jacrev
    )  # gradients have the arguments' dtypes, tangents the results'
    assert found[0].dtype is (el.float64 if of_arguments else el.float32)
    assert found[1].dtype is el.float32


def test_hessian():
    def function(x):
        return (el.sin(x) * x.sum()).sum()

    x = X.numpy()
    cos, sin = np.cos(x), np.sin(x)
    expected = np.add.outer(cos, cos) - np.diag(sin * x.sum())
    close(el.hessian(function)(X), expected)
    close(el.jit(el.hessian(function))(X), expected)
    many = el.vmap(el.hessian(function))(el.stack([X, X * 2]))
    assert same_bits(many[0].numpy(), el.hessian(function)(X).numpy())
    blocks = el.hessian(lambda p: (p["a"] ** 2).sum() * p["b"])({"a": X, "b": el.asarray(3.0)})
    close(blocks["a"]["a"], np.eye(3) * 6)
    close(blocks["a"]["b"], 2 * x)
    close(blocks["b"]["b"], 0.0)
    pair = el.hessian(lambda x, y: (x * y * y).sum(), argnums=(0, 1))(X, X)
    close(pair[0][1], np.diag(2 * x))
    found, aux = el.hessian(lambda x: (function(x), x.sum()), has_aux=True)(X)
    close(found, expected)
    close(aux, x.sum())


def test_product_with_a_vector():
    def function(x):
        return (el.sin(x) * x.sum()).sum()

    t = el.asarray([1.0, -2.0, 0.5])
    close(el.hvp(function, (X,), (t,)), el.hessian(function)(X) @ t)
    first, second = el.hvp(lambda x, y: (x * y).sum(), (X, X), (t, t))
    close(first, t)
    close(second, t)
    found = el.hvp(lambda p: (p["a"] ** 3).sum(), ({"a": X},), ({"a": t},))
    close(found["a"], 6 * X.numpy() * t.numpy())


def test_gradients_of_jacobians():
    def function(x):
        return (el.jacrev(lambda v: el.tanh(M @ v))(x) ** 2).sum()

    def forward(x):
        return (el.jacfwd(lambda v: el.tanh(M @ v))(x) ** 2).sum()

    close(el.grad(function)(X), el.grad(forward)(X))
    close(el.grad(el.jit(function))(X), el.grad(function)(X))
    step = 1e-3
    rows = [
        function(X + step * e) - function(X - step * e) for e in (el.eye(3)[n] for n in range(3))
    ]
    close(el.grad(function)(X), el.stack(rows) / (2 * step), 1e-2)


ERRORS = {
    "no function": (lambda: el.jacrev(1), DTypeError, "expected a function, received int"),
    "argnums": (
        lambda: el.jacfwd(lambda x: x, argnums=2)(X), GradientError,
        "argnums names argument 2, but 1 were passed",
    ),
    "an integer": (
        lambda: el.jacrev(lambda x: x)(el.asarray([1])), GradientError,
        r"argument 0 must be floating to be differentiated, received i64\[1\]",
    ),
    "integer results": (
        lambda: el.jacrev(lambda x: el.argmax(x))(X), GradientError,
        r"the function must return floating tensors, received i64\[\]",
    ),
    "integer results, forward": (
        lambda: el.jacfwd(lambda x: el.argmax(x))(X), GradientError,
        r"the function must return floating tensors, received i64\[\]",
    ),
    "aux": (
        lambda: el.jacfwd(lambda x: x, has_aux=True)(X), GradientError,
        r"the function must return \(value, aux\)",
    ),
    "tuples": (
        lambda: el.hvp(lambda x: x.sum(), X, X), DTypeError, "primals and tangents must be tuples"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    call, kind, text = ERRORS[name]
    with pytest.raises(kind, match=text):
        call()
