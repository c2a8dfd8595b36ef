"""vmap of deep nests: control flow within control flow, derivatives of all orders, rules of one's own."""

import pytest

import elinvar as el
from tests.compiled import same_bits

pytestmark = [pytest.mark.slow, pytest.mark.any_level]  # many programs to compile

COUNT = 4


def setup_module():
    el.manual_seed(0)


def loop(function, *operands):
    return el.stack([function(*(x[n] for x in operands)) for n in range(operands[0].shape[0])])


def check(found, expected):
    assert found.dtype is expected.dtype
    assert same_bits(found.numpy(), expected.numpy())


def branches_in_loops(v):
    def step(state):
        i, u = state
        summed = lambda t: el.scan(lambda c, y: (c + y, c * y), t[0], t)[1] + 0.3  # noqa: E731
        halved = lambda t: el.cond(t[0] > t[1], lambda q: q * 0.5, lambda q: q - 1.0, t)  # noqa: E731
        return i + 1, el.cond(u.sum() > 0, halved, summed, u)

    def goes_on(state):
        return (state[0] < 6) & (el.abs(state[1]).max() < 5)

    return el.while_loop(goes_on, step, (el.asarray(0), v))[1]


def branch_in_scan(v):
    def step(c, y):
        return el.cond(c.sum() > 0.2, lambda t: el.tanh(t * y), lambda t: t + y, c), c.sum()

    return el.scan(step, v, el.asarray([0.1, -0.7, 1.3]))[0]


def names_in_scan(v):
    inner = el.vmap(lambda a, b: a * 0.5 - el.pmean(a * b, "i"), axis_name="i")
    return el.scan(lambda c, y: (inner(c, v * y), None), v, el.asarray([1.0, -0.5]))[0]


@el.custom_vjp
def doubled(v):
    return el.vmap(el.sin)(v)


doubled.defvjp(
    lambda v: (el.vmap(el.sin)(v), v),
    lambda v, g: (el.vmap(lambda a, b: a.cos() * b * 2)(v, g),),
)


def own_rule(v):
    return doubled(v) * v


def own_rule_in_scan(v):
    return el.scan(lambda c, y: (c + doubled(v * y), None), v * 0, el.asarray([1.0, 2.0]))[0]


def switched(v):
    choice = (v[0] > 0).astype(el.int64) + (v[1] > 0).astype(el.int64)
    return el.switch(choice, [el.sin, el.cos, lambda t: t * 2], v)


def mapped(v):
    return el.map(lambda y: y * y + v.sum(), v)


def linear(v):
    return el.linearize(lambda u: el.sin(u) * u, v)[1](el.ones(3))


FUNCTIONS = [
    branches_in_loops, branch_in_scan, names_in_scan, own_rule, own_rule_in_scan, switched, mapped,
    linear,
]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_values(function):
    x = el.randn(COUNT, 3)
    expected = loop(function, x)
    check(el.vmap(function)(x), expected)
    check(el.jit(el.vmap(function))(x), expected)
    two = el.stack([x, -x])
    check(el.vmap(el.vmap(function))(two), el.stack([expected, loop(function, -x)]))


@pytest.mark.slow
@pytest.mark.parametrize("function", FUNCTIONS[1:], ids=lambda f: f.__name__)
def test_derivatives(function):
    x = el.randn(COUNT, 3)
    gradient = el.grad(lambda v: (function(v) ** 2).sum())
    check(el.vmap(gradient)(x), loop(gradient, x))
    check(el.grad(lambda x: (el.vmap(function)(x) ** 2).sum())(x), loop(gradient, x))
    if function is not linear:
        second = el.grad(lambda v: (gradient(v) ** 2).sum())
        check(el.vmap(second)(x), loop(second, x))
    for jacobian in (el.jacrev(function), el.jacfwd(function)):
        check(el.vmap(jacobian)(x), loop(jacobian, x))
