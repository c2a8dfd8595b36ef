"""What the tests of functions beyond the standard share: numpy's words, bits, gradients."""

import numpy as np

import elinvar as el
from elinvar.core import tree


def tensors(value):
    """Numpy arrays in containers as tensors."""
    if isinstance(value, np.ndarray):
        return el.asarray(value)
    if isinstance(value, tuple | list):
        return type(value)(tensors(item) for item in value)
    return value


def same(found, expected, tolerance=2e-6):
    """Equal structure, shape and values; floats within a tolerance."""
    if isinstance(expected, tuple | list) and not isinstance(found, el.Tensor):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other, tolerance)
        return
    expected = np.asarray(expected)
    array = np.asarray(found)
    assert array.shape == expected.shape, (array.shape, expected.shape)
    if expected.dtype.kind == "f":
        assert array.dtype.kind == "f"
        np.testing.assert_allclose(array, expected, rtol=tolerance, atol=tolerance)
    else:
        assert array.dtype.kind == expected.dtype.kind, (array.dtype, expected.dtype)
        np.testing.assert_array_equal(array, expected)


def bits(value):
    """The bytes of all tensors in a container."""
    leaves = tree.flatten(value)[0]
    return [(x.dtype.name, x.shape, np.asarray(x).tobytes()) for x in map(el.asarray, leaves)]


def split(args):
    """The places of arrays among the arguments, and a function that puts tensors there."""
    places = [i for i, a in enumerate(args) if isinstance(a, np.ndarray)]

    def filled(found):
        given = list(args)
        for place, value in zip(places, found, strict=True):
            given[place] = value
        return given

    return [el.asarray(args[i]) for i in places], filled


def check_jit(function, args):
    """Eager = jit, bit for bit."""
    xs, filled = split(args)
    eager = function(*filled(xs))
    compiled = el.jit(lambda *values: function(*filled(values)))(*xs)
    assert bits(eager) == bits(compiled)
    return eager


def check_gradient(function, args, tolerance=1e-5, step=1e-6):
    """First and second derivatives in float64 against differences."""
    args = [a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in args]
    xs, filled = split(args)
    floats = [i for i, x in enumerate(xs) if x.dtype.kind == "f"]
    rng = np.random.default_rng(5)
    seeds = None

    def total(*values):
        nonlocal seeds
        leaves = [y for y in tree.flatten(function(*filled(values)))[0] if y.dtype.kind == "f"]
        if seeds is None:
            seeds = [el.asarray(rng.standard_normal(y.shape)) for y in leaves]
        return sum((y * s).sum() for y, s in zip(leaves, seeds, strict=True))

    def first(*values):
        grads = el.grad(total, tuple(floats))(*values)
        return sum((g * d).sum() for g, d in zip(grads, directions, strict=True))

    total(*xs)
    directions = [el.asarray(rng.standard_normal(xs[i].shape)) for i in floats]

    def moved(by):
        found = list(xs)
        for i, d in zip(floats, directions, strict=True):
            found[i] = xs[i] + by * d
        return found

    for f in (total, first):
        slope = (f(*moved(step)).item() - f(*moved(-step)).item()) / (2 * step)
        grads = el.grad(f, tuple(floats))(*xs)
        exact = sum((g * d).sum().item() for g, d in zip(grads, directions, strict=True))
        assert abs(exact - slope) <= tolerance * max(1.0, abs(slope)) * 10, (f.__name__, exact, slope)
