"""Fourier transforms beside PyTorch's: values, names, conventions of gradients."""

import numpy as np
import pytest
import torch

import elinvar as el

pytestmark = pytest.mark.any_level

ONE = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
MANY = ["fftn", "ifftn", "rfftn", "irfftn", "hfftn", "ihfftn"]
TWO = ["fft2", "ifft2", "rfft2", "irfft2", "hfft2", "ihfft2"]
TAKES_REAL = {"rfft", "ihfft", "rfftn", "ihfftn", "rfft2", "ihfft2"}


def operand(name, *shape):
    rng = np.random.default_rng(shape)
    x = rng.normal(size=shape)
    return x if name in TAKES_REAL else x + 1j * rng.normal(size=shape)


def both(name, x, ours, theirs):
    """The result and the gradient of Σ |w y|², ours and PyTorch's."""
    a, b = el.asarray(x).requires_grad_(), torch.tensor(x, requires_grad=True)
    y, z = getattr(el.fft, name)(a, **ours), getattr(torch.fft, name)(b, **theirs)
    w = np.random.default_rng(7).normal(size=tuple(z.shape))
    (el.abs(y * el.asarray(w)) ** 2).sum().backward()
    ((z * torch.tensor(w)).abs() ** 2).sum().backward()
    np.testing.assert_allclose(y.numpy(), z.detach().resolve_conj().numpy(), rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(a.grad.numpy(), b.grad.resolve_conj().numpy(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ONE)
def test_one_axis(name):
    for n in (None, 4, 5, 7, 12):
        for axis in (0, -1):
            for norm in ("backward", "ortho", "forward"):
                x = operand(name, 6, 5)
                both(name, x, {"n": n, "axis": axis, "norm": norm}, {"n": n, "dim": axis, "norm": norm})


@pytest.mark.parametrize("name", MANY)
def test_several_axes(name):
    x = operand(name, 4, 6, 5)
    for s, axes in ((None, None), (None, (0, 2)), ((3, 8), (2, 1)), ((7,), (0,)), ((4, 6), None)):
        for norm in ("backward", "ortho", "forward"):
            both(name, x, {"s": s, "axes": axes, "norm": norm}, {"s": s, "dim": axes, "norm": norm})


@pytest.mark.parametrize("name", TWO)
def test_two_axes(name):
    x = operand(name, 4, 6, 5)
    both(name, x, {}, {})
    both(name, x, {"s": (3, 8), "axes": (0, 1)}, {"s": (3, 8), "dim": (0, 1)})


def test_second_derivatives():
    x = np.random.default_rng(1).normal(size=9)

    def loss(f, y):
        return (f(y).abs() ** 3).sum()

    a = torch.tensor(x, requires_grad=True)
    (first,) = torch.autograd.grad(loss(torch.fft.rfft, a), a, create_graph=True)
    (second,) = torch.autograd.grad((first * first).sum(), a)

    def slope(y):
        g = el.grad(lambda z: (el.abs(el.fft.rfft(z)) ** 3).sum())(y)
        return (g * g).sum()

    found = el.grad(slope)(el.asarray(x))
    np.testing.assert_allclose(found.numpy(), second.numpy(), rtol=1e-8)


def test_frequencies():
    for n in (1, 4, 7):
        for name in ("fftfreq", "rfftfreq"):
            found = getattr(el.fft, name)(n, d=0.3).numpy()
            np.testing.assert_allclose(found, getattr(torch.fft, name)(n, 0.3).numpy(), rtol=2e-7)
