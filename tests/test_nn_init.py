"""The first values of parameters: seeds, distributions, special matrices."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

import elinvar as el
from elinvar import nn
from elinvar.core.errors import ShapeError, ValueRangeError
from elinvar.nn.init import normal_quantile

pytestmark = pytest.mark.any_level


def test_seed_decides_the_first_weights() -> None:
    el.manual_seed(5)
    first = nn.Linear(10, 10).weight.numpy()
    assert (nn.Linear(10, 10).weight.numpy() != first).any()
    el.manual_seed(5)
    np.testing.assert_array_equal(nn.Linear(10, 10).weight.numpy(), first)


def test_distributions() -> None:
    el.manual_seed(0)
    w = nn.Parameter(el.zeros((200, 50, 2)))  # fan in 100, fan out 400
    spread = {
        "xavier_uniform_": math.sqrt(2 / 500),
        "xavier_normal_": math.sqrt(2 / 500),
        "kaiming_uniform_": math.sqrt(2 / 100),
        "kaiming_normal_": math.sqrt(2 / 100),
    }
    for name, std in spread.items():
        assert getattr(nn.init, name)(w) is w
        assert w.numpy().std() == pytest.approx(std, rel=0.03), name
        assert abs(w.numpy().mean()) < 0.1 * std
        if "uniform" in name:
            assert np.abs(w.numpy()).max() <= std * math.sqrt(3) * (1 + 1e-6)
    nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="linear")
    assert w.numpy().std() == pytest.approx(1 / math.sqrt(400), rel=0.03)
    nn.init.normal_(w, 2.0, 0.5)
    assert w.numpy().mean() == pytest.approx(2, abs=0.02)
    nn.init.uniform_(w, 1.0, 3.0)
    assert 1 <= w.numpy().min() < 1.01 and 2.99 < w.numpy().max() <= 3
    assert w.requires_grad and w.grad is None
    with pytest.raises(ShapeError, match="need at least 2 dimensions"):
        nn.init.xavier_uniform_(el.zeros(3))
    with pytest.raises(ValueRangeError, match="mode must be 'fan_in' or 'fan_out'"):
        nn.init.kaiming_normal_(w, mode="fan")
    with pytest.raises(ValueRangeError, match="nonlinearity 'cube' is not known"):
        nn.init.kaiming_normal_(w, nonlinearity="cube")


def test_truncated_normal() -> None:
    el.manual_seed(0)
    w = nn.init.trunc_normal_(el.zeros((100, 200)), mean=1.0, std=2.0, a=0.0, b=2.0).numpy()
    assert 0 <= w.min() and w.max() <= 2
    normal_distribution = statistics.NormalDist(1, 2)
    low, high = normal_distribution.cdf(0), normal_distribution.cdf(2)
    for quantile in (0.1, 0.5, 0.8):
        expected = normal_distribution.inv_cdf(low + (high - low) * quantile)
        assert np.quantile(w, quantile) == pytest.approx(expected, abs=0.03)
    p = np.concatenate([np.linspace(1e-9, 1 - 1e-9, 999), [1e-300, 1e-20]])
    expected = [statistics.NormalDist().inv_cdf(x) for x in p]
    np.testing.assert_allclose(normal_quantile(p), expected, rtol=1e-14)
    assert normal_quantile(np.array([0.0, 1.0])).tolist() == [-math.inf, math.inf]
    with pytest.raises(ValueRangeError, match="a must be less than b"):
        nn.init.trunc_normal_(el.zeros(3), a=1.0, b=1.0)


def test_special_matrices() -> None:
    for shape in ((5, 3), (3, 5), (4, 2, 3)):
        q = nn.init.orthogonal_(el.zeros(shape), gain=2.0).numpy().reshape(shape[0], -1)
        small = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
        np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-5)
    np.testing.assert_array_equal(nn.init.eye_(el.ones((2, 3))).numpy(), np.eye(2, 3))
    assert nn.init.constant_(el.zeros(2), 3).tolist() == [3.0, 3.0]
    assert nn.init.ones_(el.zeros(2)).tolist() == [1.0, 1.0]
    assert nn.init.zeros_(el.ones(2)).tolist() == [0.0, 0.0]
    assert nn.init.calculate_gain("relu") == math.sqrt(2)


@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (70, 33), (33, 100), (64, 8, 3, 3), (0, 4)])
def test_orthogonal_without_the_machines_linear_algebra(shape: tuple[int, ...]) -> None:
    """The Q of numpy's QR factorisation with a positive diagonal, but by our own operations."""
    el.manual_seed(3)
    w = nn.init.orthogonal_(el.zeros(shape, dtype=el.float64), gain=2.0).numpy()
    el.manual_seed(3)
    draws = el.randn(shape[0], math.prod(shape[1:])).numpy().astype(np.float64)
    tall = draws if draws.shape[0] >= draws.shape[1] else draws.T
    q, r = np.linalg.qr(tall)
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    wanted = 2.0 * (q if draws.shape[0] >= draws.shape[1] else q.T)
    np.testing.assert_allclose(w, wanted.reshape(shape), atol=1e-11)
    matrix = w.reshape(draws.shape)
    short = matrix if draws.shape[0] < draws.shape[1] else matrix.T
    np.testing.assert_allclose(short @ short.T, 4.0 * np.eye(len(short)), atol=1e-13)
