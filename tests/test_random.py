"""Random numbers: determinism, the state, and whether they are distributed as they should be."""

import math

import numpy as np
import pytest
import scipy.stats as stats

import elinvar as el
from elinvar.core import errors

COUNT = 40000
FLOATS = [el.float32, el.float64, el.float16, el.bfloat16]


@pytest.fixture(autouse=True)
def _seed():
    el.manual_seed(20)


def floats(x):
    return np.asarray(x.double())


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: d.name)
def test_uniform(dtype):
    x = el.rand(COUNT, dtype=dtype)
    assert x.dtype is dtype
    values = floats(x)
    assert values.min() >= 0 and values.max() < 1
    coarse = 2.0**-8 if dtype is el.bfloat16 else 0.0
    assert stats.kstest(values + coarse / 2, "uniform").pvalue > 1e-4 or coarse


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: d.name)
def test_normal(dtype):
    values = floats(el.randn(COUNT, dtype=dtype))
    assert abs(values.mean()) < 0.03 and abs(values.std() - 1) < 0.03
    assert abs((values**4).mean() - 3) < 0.25 and abs((values**3).mean()) < 0.15
    if dtype.bits > 16:
        assert stats.kstest(values, "norm").pvalue > 1e-4


def test_normal_tails():
    values = floats(el.randn(1_000_000))
    for edge in (2.0, 3.0, 4.0):
        expected = 2 * stats.norm.sf(edge) * 1_000_000
        assert abs((np.abs(values) > edge).sum() - expected) < 6 * math.sqrt(expected) + 1


def test_words_do_not_repeat_or_correlate():
    x = floats(el.rand(COUNT))
    assert len(np.unique(x)) > COUNT * 0.99
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 0.02
    assert abs(np.corrcoef(x, floats(el.rand(COUNT)))[0, 1]) < 0.02


def test_seeds():
    el.manual_seed(5)
    a = el.randn(7)
    b = el.randn(7)
    assert (a != b).any()
    el.manual_seed(5)
    np.testing.assert_array_equal(np.asarray(a), np.asarray(el.randn(7)))
    el.manual_seed(-1)
    assert el.random.default_generator.state.tolist() == [2**64 - 1, 0]
    el.manual_seed(6)
    assert (a != el.randn(7)).any()
    with pytest.raises(errors.ValueRangeError, match="64 bits"):
        el.manual_seed(2**64)


def test_known_values():
    """These bits are a promise: a seed gives the same numbers in every version and everywhere."""
    el.manual_seed(0)
    words = np.asarray(el.random.default_generator.bits((4,)))
    # Philox4x32-10 of key 0 and counter 0, from the known-answer tests of its authors
    assert [hex(word) for word in words] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]
    el.manual_seed(0)
    expected = (words >> 8) * np.float32(2.0**-24)
    np.testing.assert_array_equal(np.asarray(el.rand(4)), expected)


def test_the_counter_advances_by_blocks():
    generator = el.Generator(3)
    for count, blocks in ((0, 0), (1, 1), (4, 1), (5, 2), (64, 16)):
        before = generator.state.tolist()[1]
        el.rand(count, generator=generator)
        assert generator.state.tolist() == [3, before + blocks]
    state = generator.get_state()
    x = el.rand(5, generator=generator)
    generator.set_state(state)
    np.testing.assert_array_equal(np.asarray(x), np.asarray(el.rand(5, generator=generator)))
    with pytest.raises(errors.ShapeError, match=r"u64\[2\]"):
        generator.set_state(el.ones(2))


def test_jit_draws_what_eager_draws():
    def draw():
        return el.rand(5), el.randn(3, 2), el.randint(0, 100, (4,)), el.permutation(6)

    el.manual_seed(9)
    eager = [draw(), draw()]
    el.manual_seed(9)
    step = el.jit(draw)
    for expected in eager:
        for one, other in zip(step(), expected, strict=True):
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_integers():
    x = np.asarray(el.randint(-3, 5, (COUNT,)))
    counts = np.bincount(x + 3, minlength=8)
    assert x.dtype == np.int64 and len(counts) == 8
    assert stats.chisquare(counts).pvalue > 1e-4
    assert el.randint(7, size=(2, 3), dtype=el.uint8).dtype is el.uint8
    wide = np.asarray(el.randint(-(2**62), 2**62, (1000,)))
    assert wide.min() < -(2**60) and wide.max() > 2**60
    with pytest.raises(errors.ValueRangeError, match="is empty"):
        el.randint(3, 3)
    with pytest.raises(errors.ValueRangeError, match="does not fit into int8"):
        el.randint(0, 1000, (2,), dtype=el.int8)


def test_permutations():
    assert sorted(el.permutation(50).tolist()) == list(range(50))
    firsts = np.bincount([el.permutation(4).tolist()[0] for _ in range(400)], minlength=4)
    assert stats.chisquare(firsts).pvalue > 1e-4
    rows = el.permutation(el.asarray([[1, 1], [2, 2], [3, 3]]))
    assert sorted(rows[:, 0].tolist()) == [1, 2, 3] and (rows[:, 0] == rows[:, 1]).all()


def test_bernoulli_and_multinomial():
    assert abs(el.bernoulli(0.3, (COUNT,)).mean().item() - 0.3) < 0.02
    p = el.asarray([0.0, 1.0, 0.5])
    draws = el.bernoulli(el.broadcast_to(p, (200, 3)))
    assert draws[:, 0].sum().item() == 0 and draws[:, 1].sum().item() == 200
    assert 60 < draws[:, 2].sum().item() < 140
    picks = np.asarray(el.multinomial(el.asarray([1.0, 0.0, 3.0]), 8000, replacement=True))
    assert abs((picks == 2).mean() - 0.75) < 0.03 and not (picks == 1).any()
    for _ in range(5):
        assert sorted(el.multinomial(el.asarray([1.0, 2.0, 3.0]), 3).tolist()) == [0, 1, 2]


def test_methods_fill():
    x = el.zeros((100, 100))
    x.uniform_(2, 3)
    assert x.min().item() >= 2 and x.max().item() < 3
    x.normal_(5, 0.1)
    assert abs(x.mean().item() - 5) < 0.02
    x.bernoulli_(0.5)
    assert set(x.unique().tolist()) == {0.0, 1.0}
    with pytest.raises(errors.DTypeError, match="expected a floating tensor"):
        el.zeros(3, dtype=el.int64).uniform_()


def test_shapes_and_dtypes():
    assert el.rand().shape == () and el.rand(2, 3).shape == (2, 3) == el.rand((2, 3)).shape
    assert el.normal(el.zeros(4), 1.0).shape == (4,)
    assert el.rand(0).shape == (0,) and el.randn(3, 0).shape == (3, 0) and el.permutation(0).shape == (0,)
    with pytest.raises(errors.DTypeError, match="expected a floating dtype"):
        el.rand(3, dtype=el.int64)
    with pytest.raises(errors.ShapeError, match="must not be negative"):
        el.rand(-1)
