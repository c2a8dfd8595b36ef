"""Every transform on every primitive: against finite differences, and eager against jit bit for bit.

A row is an op with the first of its samples that can be differentiated (in f64), as a function of
its floating operands. The transforms are the derivatives of order 1 and 2 in both modes and all their
orders, each of them jitted, and each taken of the jitted function.
"""

import numpy as np
import pytest
from test_differentiate import SAMPLES

import elinvar as el
from elinvar.core import dtypes
from elinvar.graph.regions import build_params
from elinvar.tensor.dispatch import F

pytestmark = [pytest.mark.slow, pytest.mark.any_level]  # many programs to compile

STEP = 1e-6


def rows():
    """One sample for each op that has a derivative; of complex results the parts are summed."""
    seen = {}
    for param in SAMPLES:
        op, sample = param.values
        wide = all(x.dtype != np.float32 for x in sample.operands)
        if wide and not any(x.size == 0 for x in sample.operands):
            seen.setdefault(op.name, pytest.param(op, sample, id=op.name))
    return list(seen.values())


ROWS = rows()
MATRIX = pytest.mark.parametrize(("op", "sample"), ROWS)


class Case:
    """An op as f(x) = Σ weights · results, x the floating operands, with fixed directions."""

    def __init__(self, op, sample):
        self.op, self.params = op, build_params(sample.params)
        self.operands = [el.asarray(np.asarray(x)) for x in sample.operands]
        self.places = [n for n, x in enumerate(self.operands) if x.dtype.kind in "fc"]
        self.x = tuple(self.operands[n] for n in self.places)
        self.t, self.v = (tuple(self.drawn(x, seed) for x in self.x) for seed in (1, 2))
        self.weights = [
            self.drawn(y, 3) if y.dtype.kind in "fc" else None for y in self.results(*self.x)
        ]

    def drawn(self, like, seed):
        rng = np.random.default_rng(seed)
        found = rng.normal(size=like.shape)
        if like.dtype.kind == "c":
            found = found + 1j * rng.normal(size=like.shape)
        return el.asarray(found, dtype=like.dtype)

    def results(self, *x):
        given = list(self.operands)
        for place, value in zip(self.places, x, strict=True):
            given[place] = value
        found = F.apply(self.op, *given, **self.params)
        return found if isinstance(found, tuple) else (found,)

    def f(self, *x):
        total = el.zeros((), dtype=dtypes.float64)
        for y, weight in zip(self.results(*x), self.weights, strict=True):
            if weight is not None:
                part = weight * y
                total = total + (el.real(part) + el.imag(part) if part.dtype.kind == "c" else part).sum()
        return total

    def dot(self, xs, ys):
        """The real inner product of two directions."""
        parts = [el.conj(x) * y for x, y in zip(xs, ys, strict=True)]
        return sum((el.real(p) if p.dtype.kind == "c" else p).sum() for p in parts)

    def moved(self, by, step):
        return tuple(x + step * t for x, t in zip(self.x, by, strict=True))

    @property
    def numbers(self):
        return tuple(range(len(self.x)))


def gradient(case, f):
    return lambda *x: el.grad(f, case.numbers)(*x)


def pushed(case, f, t):
    return lambda *x: el.jvp(f, x, t)[1]


FIRST = {
    "grad": lambda case, f: lambda *x: case.dot(gradient(case, f)(*x), case.t),
    "jvp": lambda case, f: pushed(case, f, case.t),
    "linearize": lambda case, f: lambda *x: el.linearize(f, *x)[1](*case.t),
}
SECOND = {
    "grad of grad": lambda case, f: lambda *x: case.dot(
        gradient(case, lambda *y: case.dot(gradient(case, f)(*y), case.t))(*x), case.v
    ),
    "jvp of grad": lambda case, f: lambda *x: case.dot(
        el.jvp(gradient(case, f), x, case.v)[1], case.t
    ),
    "grad of jvp": lambda case, f: lambda *x: case.dot(
        gradient(case, pushed(case, f, case.t))(*x), case.v
    ),
    "jvp of jvp": lambda case, f: pushed(case, pushed(case, f, case.t), case.v),
}


def slope(case, f, by):
    return (f(*case.moved(by, STEP)).item() - f(*case.moved(by, -STEP)).item()) / (2 * STEP)


def near(found, expected, scale=1.0):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * max(1.0, scale))


def bits(x):
    return x.numpy().tobytes()


def check(case, transform, expected, scale):
    eager = transform(case, case.f)(*case.x)
    near(eager.item(), expected, scale)
    assert bits(el.jit(transform(case, case.f))(*case.x)) == bits(eager)
    return eager


@MATRIX
def test_first_derivatives(op, sample):
    case = Case(op, sample)
    expected = slope(case, case.f, case.t)
    for transform in FIRST.values():
        eager = check(case, transform, expected, abs(expected))
        of_jit = transform(case, el.jit(case.f))(*case.x)
        assert bits(of_jit) == bits(eager)


@MATRIX
def test_second_derivatives(op, sample):
    case = Case(op, sample)
    expected = slope(case, FIRST["jvp"](case, case.f), case.v)
    for transform in SECOND.values():
        check(case, transform, expected, abs(expected))


def test_every_op_with_a_derivative_is_here():
    """All but `cast`, whose samples go from one dtype to another; test_forward.py has it."""
    assert {row.id for row in ROWS} == {param.values[0].name for param in SAMPLES} - {"cast"}
