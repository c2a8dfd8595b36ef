"""Complex numbers beside PyTorch's: values and gradients, whose convention is the same."""

import numpy as np
import pytest
import torch

import elinvar as el

pytestmark = pytest.mark.any_level

UNARY = (
    "exp expm1 log log1p log2 log10 sqrt sin cos tan sinh cosh tanh asin acos atan asinh acosh "
    "atanh reciprocal square abs angle real imag conj"
).split()
BINARY = "add subtract multiply divide pow matmul".split()


def draw(shape, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def compare(ours, theirs, *arrays):
    """Values, and gradients of Re Σ y · w for a fixed w."""
    mine = [el.tensor(x, dtype=el.complex128, requires_grad=True) for x in arrays]
    other = [torch.tensor(x, requires_grad=True) for x in arrays]
    y, expected = ours(*mine), theirs(*other)
    np.testing.assert_allclose(
        y.detach().numpy(), expected.detach().resolve_conj().numpy(), rtol=1e-11, atol=1e-12
    )
    w = draw(y.shape, 9)
    el.real(y * el.asarray(w)).sum().backward()
    (expected * torch.tensor(w)).real.sum().backward()
    for x, z in zip(mine, other, strict=True):
        np.testing.assert_allclose(x.grad.numpy(), z.grad.resolve_conj().numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    compare(getattr(el, name), getattr(torch, name), draw((3, 4), 0))


@pytest.mark.parametrize("name", BINARY)
def test_binary(name):
    compare(getattr(el, name), getattr(torch, name), draw((3, 3), 0), draw((3, 3), 1))


def test_reductions():
    compare(lambda x: el.sum(x, axis=0), lambda x: x.sum(0), draw((3, 4), 0))
    compare(lambda x: el.mean(x, axis=1), lambda x: x.mean(1), draw((3, 4), 0))
    compare(lambda x: el.prod(x, axis=0), lambda x: x.prod(0), draw((5, 4), 0))
    compare(lambda x: el.cumulative_sum(x, axis=1), lambda x: x.cumsum(1), draw((3, 4), 0))
    compare(lambda x: el.cumulative_prod(x, axis=1), lambda x: x.cumprod(1), draw((3, 7), 0))


def test_convolution():
    x, w = draw((2, 3, 6, 6), 0), draw((4, 3, 3, 3), 1)
    compare(
        lambda x, w: el.nn.functional.conv2d(x, w, padding=1),
        lambda x, w: torch.nn.functional.conv2d(x, w, padding=1),
        x,
        w,
    )


def test_second_derivatives():
    z = draw((3,), 2)

    def ours(x):
        return el.abs(el.grad(lambda t: el.abs(el.exp(t) / t).sum())(x)).sum()

    def theirs(x):
        (first,) = torch.autograd.grad((torch.exp(x) / x).abs().sum(), x, create_graph=True)
        return first.abs().sum()

    other = torch.tensor(z, requires_grad=True)
    theirs(other).backward()
    found = el.grad(ours)(el.asarray(z))
    np.testing.assert_allclose(found.numpy(), other.grad.numpy(), rtol=1e-9)
