"""Public functions under vmap, row by row: the bits of a loop; gradients; nested; compiled."""

import random

import numpy as np
import pytest

import elinvar as el
from tests.compiled import same_bits
from tests.vmap_more_rows import MORE_ROWS
from tests.vmap_rows import ROWS

pytestmark = [pytest.mark.slow, pytest.mark.any_level]  # many programs to compile
ALL = {**ROWS, **MORE_ROWS}
COUNT = 3


def as_tuple(found):
    return tuple(found) if isinstance(found, tuple | list) else (found,)


def bits_of(x):
    return (x.astype(el.float32) if x.dtype is el.bfloat16 else x).numpy()


def check(found, expected, what):
    found, expected = as_tuple(found), as_tuple(expected)
    assert len(found) == len(expected), what
    for got, want in zip(found, expected, strict=True):
        assert got.dtype is want.dtype, what
        assert same_bits(bits_of(got), bits_of(want)), what


def stacked(rows):
    return tuple(el.stack(list(column)) for column in zip(*map(as_tuple, rows), strict=True))


def loop(function, operands, axes):
    """The results for one example after the other, stacked in front."""
    rows = []
    for n in range(COUNT):
        row = [
            x if axis is None else el.take(x, el.asarray(n), axis=axis)
            for x, axis in zip(operands, axes, strict=True)
        ]
        rows.append(function(*row))
    return stacked(rows)


def drawn(makers, rng, mask):
    """Operands with an axis for examples where the mask is set, at a place of chance."""
    chance = random.Random(int(rng.integers(1 << 30)))
    operands, axes = [], []
    for maker, is_mapped in zip(makers, mask, strict=True):
        one = np.asarray(maker(rng))
        axis = chance.randint(-one.ndim - 1, one.ndim) if is_mapped else None
        rows = [one, *(np.asarray(maker(rng)) for _ in range(COUNT - 1))]
        operands.append(el.asarray(one if axis is None else np.stack(rows, axis)))
        axes.append(axis)
    return operands, tuple(axes)


def masks(count, rng):
    """All operands mapped, and one other choice."""
    yield (True,) * count
    if count > 1:
        other = [bool(rng.integers(2)) for _ in range(count)]
        other[int(rng.integers(count))] = True
        if not all(other):
            yield tuple(other)


def total(function):
    """A smooth number of all floating results, for gradients."""

    def number(*operands):
        parts = [y for y in as_tuple(function(*operands)) if y.dtype.is_floating]
        return sum((el.sin(y.astype(el.float32)) * (n + 1)).sum() for n, y in enumerate(parts))

    return number


def is_smooth(function, operands):
    if not any(x.dtype is el.float32 for x in operands):
        return ()
    found = as_tuple(el.vmap(lambda *xs: function(*xs), axis_size=1, in_axes=None)(*operands))
    if not any(y.dtype.is_floating for y in found):
        return ()
    return tuple(n for n, x in enumerate(operands) if x.dtype is el.float32)


@pytest.mark.parametrize("name", ALL)
def test_rows_are_those_of_a_loop(name):
    function, makers = ALL[name]
    rng = np.random.default_rng(5)
    for mask in masks(len(makers), rng):
        operands, axes = drawn(makers, rng, mask)
        expected = loop(function, operands, axes)
        many = el.vmap(function, in_axes=axes)
        check(many(*operands), expected, (name, axes))
        check(el.jit(many)(*operands), expected, ("jit", name, axes))


@pytest.mark.parametrize("name", ALL)
def test_gradients_of_each_example(name):
    function, makers = ALL[name]
    rng = np.random.default_rng(6)
    operands, axes = drawn(makers, rng, (True,) * len(makers))
    one = [el.take(x, el.asarray(0), axis=axis) for x, axis in zip(operands, axes, strict=True)]
    numbers = is_smooth(function, one)
    if not numbers:
        return
    gradient = el.grad(total(function), argnums=numbers)
    expected = loop(gradient, operands, axes)
    check(el.vmap(gradient, in_axes=axes)(*operands), expected, name)

    def of_all(*values):
        return el.vmap(total(function), in_axes=axes)(*values).sum()

    found = el.grad(of_all, argnums=numbers)(*operands)
    for number, got, want in zip(numbers, found, expected, strict=True):
        check(el.moveaxis(got, axes[number], 0), want, ("grad of vmap", name, number))


@pytest.mark.parametrize("name", ALL)
def test_vmap_of_vmap(name):
    function, makers = ALL[name]
    rng = np.random.default_rng(7)
    inner = [True] * len(makers)
    outer = [n == 0 or bool(rng.integers(2)) for n in range(len(makers))]
    if len(makers) > 1:
        inner[0] = False  # the first operand is mapped outside only
    operands, axes, outer_axes = [], [], []
    for maker, is_inner, is_outer in zip(makers, inner, outer, strict=True):
        shape = (2,) * is_outer + (COUNT,) * is_inner
        rows = [np.asarray(maker(rng)) for _ in range(int(np.prod(shape, dtype=int)))]
        operands.append(el.asarray(np.stack(rows).reshape(*shape, *rows[0].shape)))
        axes.append(0 if is_inner else None)
        outer_axes.append(0 if is_outer else None)
    many = el.vmap(el.vmap(function, in_axes=tuple(axes)), in_axes=tuple(outer_axes))
    expected = stacked(
        loop(
            function,
            [x if a is None else x[n] for x, a in zip(operands, outer_axes, strict=True)],
            axes,
        )
        for n in range(2)
    )
    check(many(*operands), expected, name)


@pytest.mark.parametrize("name", [name for name, row in ALL.items() if len(row[1]) > 1])
def test_gradients_of_shared_operands(name):
    """What is not mapped receives the sum over the examples."""
    function, makers = ALL[name]
    rng = np.random.default_rng(8)
    for first in (True, False):
        mask = [(n == 0) == first for n in range(len(makers))]
        operands, axes = drawn(makers, rng, mask)
        one = [
            x if axis is None else el.take(x, el.asarray(0), axis=axis)
            for x, axis in zip(operands, axes, strict=True)
        ]
        numbers = tuple(n for n in is_smooth(function, one) if axes[n] is None)
        if not numbers:
            continue
        rows = loop(el.grad(total(function), argnums=numbers), operands, axes)

        def of_all(*values, axes=axes):
            return el.vmap(total(function), in_axes=axes)(*values).sum()

        found = el.grad(of_all, argnums=numbers)(*operands)
        for got, want in zip(found, rows, strict=True):
            expected = want.numpy().astype(np.float64).sum(axis=0)
            scale = max(1.0, float(np.abs(expected).max(initial=0)))
            np.testing.assert_allclose(got.numpy(), expected, rtol=1e-4, atol=1e-5 * scale)
