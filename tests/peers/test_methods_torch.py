"""Methods of tensors beyond the everyday ones, beside PyTorch: values and gradients."""

import numpy as np
import pytest
import torch

import elinvar as el
from tests.extras import bits

pytestmark = pytest.mark.any_level

RNG = np.random.default_rng(4)
F = RNG.standard_normal((3, 5))
G = RNG.standard_normal((3, 5))
CUBE = RNG.standard_normal((2, 3, 4))
VECTOR = RNG.standard_normal(5)
TIES = np.array([[3.0, 1.0, 3.0, 1.0, 2.0], [0.0, 0.0, 5.0, 5.0, 5.0]])
WHOLE = RNG.integers(0, 6, (3, 5))
PLACES = RNG.integers(0, 3, (3, 5))
MASK = RNG.random((3, 5)) < 0.5
SHARE = RNG.random((3, 5))
HOLES = np.where(MASK, np.nan, F)

# name: (call, operands[, "values": no gradient])
ROWS = {
    "addbmm": (lambda x, a, b: x.addbmm(a, b, beta=0.5, alpha=2.0), F[:, :3], CUBE[:, :, :3], CUBE[:, :, 1:]),
    "addmv": (lambda x, a, b: x.addmv(a, b, alpha=2.0), VECTOR[:3], F, VECTOR),
    "addr": (lambda x, a, b: x.addr(a, b, beta=3.0), F, VECTOR[:3], VECTOR),
    "aminmax": (lambda x: tuple(x.aminmax(dim=1)), F),
    "clamp_max": (lambda x: x.clamp_max(0.3), F), "clamp_min": (lambda x: x.clamp_min(0.3), F),
    "corrcoef": (lambda x: x.corrcoef(), F), "cov": (lambda x: x.cov(correction=0), F),
    "cross": (lambda x, y: x.cross(y, dim=0), F, G),
    "cummax": (lambda x: tuple(x.cummax(1)), TIES), "cummin": (lambda x: tuple(x.cummin(1)), TIES),
    "cummax nan": (lambda x: tuple(x.cummax(1)), HOLES, "values"),
    "deg2rad": (lambda x: x.deg2rad(), F), "rad2deg": (lambda x: x.rad2deg(), F),
    "diag_embed": (lambda x: x.diag_embed(1), F), "diag_embed axes": (lambda x: x.diag_embed(-1, 0, 2), F),
    "diagflat": (lambda x: x.diagflat(-1), F),
    "diagonal_scatter": (lambda x, y: x.diagonal_scatter(y, 1), F, VECTOR[:3]),
    "diff": (lambda x: x.diff(2, dim=1), F), "digamma": (lambda x: x.abs().digamma(), F),
    "dist": (lambda x, y: x.dist(y, 3.0), F, G), "erfc": (lambda x: x.erfc(), F), "exp2": (lambda x: x.exp2(), F),
    "fliplr": (lambda x: x.fliplr(), F), "flipud": (lambda x: x.flipud(), F),
    "float_power": (lambda x: x.abs().float_power(2.5), F), "fmax": (lambda x, y: x.fmax(y), F, G),
    "fmin": (lambda x, y: x.fmin(y), F, G), "frexp": (lambda x: tuple(x.frexp()), F, "values"),
    "gcd": (lambda x, y: x.gcd(y), WHOLE, PLACES, "values"), "lcm": (lambda x, y: x.lcm(y), WHOLE, PLACES, "values"),
    "ger": (lambda x, y: x.ger(y), VECTOR, VECTOR[:3]), "heaviside": (lambda x, y: x.heaviside(y), TIES, TIES, "values"),
    "histc": (lambda x: x.histc(5, -1.0, 1.0), F, "values"), "histc all": (lambda x: x.histc(4), F, "values"),
    "hsplit": (lambda x: tuple(x.hsplit([1, 3])), F), "vsplit": (lambda x: tuple(x.vsplit(3)), F),
    "dsplit": (lambda x: tuple(x.dsplit(2)), CUBE), "i0": (lambda x: x.i0(), F),
    "igamma": (lambda x, y: x.abs().detach().igamma(y.abs()), F, G), "igammac": (lambda x, y: x.abs().detach().igammac(y.abs()), F, G),
    "index_put": (lambda x, i, j, v: x.index_put((i[0], j[0]), v), F, PLACES, PLACES * 0 + np.arange(5), VECTOR),
    "index_put add": (lambda x, i, j, v: x.index_put((i[0], j[0]), v, accumulate=True), F, PLACES, PLACES, VECTOR),
    "inner": (lambda x, y: x.inner(y), F, G), "kron": (lambda x, y: x.kron(y), F, CUBE[0]),
    "isneginf": (lambda x: (x / 0.0).isneginf(), F, "values"), "isposinf": (lambda x: (x / 0.0).isposinf(), F, "values"),
    "kthvalue": (lambda x: tuple(x.kthvalue(2, 1)), F), "kthvalue keep": (lambda x: tuple(x.kthvalue(3, 0, keepdim=True)), F),
    "ldexp": (lambda x, y: x.ldexp(y), F, WHOLE), "lgamma": (lambda x: x.lgamma(), F), "logit": (lambda x: x.logit(), SHARE),
    "logit eps": (lambda x: x.logit(0.3), SHARE), "logaddexp2": (lambda x, y: x.logaddexp2(y), F, G),
    "logcumsumexp": (lambda x: x.logcumsumexp(1), F), "masked_scatter": (lambda x, m, y: x.masked_scatter(m, y), F, MASK, G),
    "mode": (lambda x: x.mode(1).values, TIES), "msort": (lambda x: x.msort(), F),
    "mvlgamma": (lambda x: (x.abs() + 2).mvlgamma(3), F), "nanmedian": (lambda x: x.nanmedian(), HOLES, "values"),
    "nanmedian dim": (lambda x: x.nanmedian(0).values, HOLES, "values"), "nanquantile": (lambda x: x.nanquantile(0.3, 1), HOLES, "values"),
    "narrow_copy": (lambda x: x.narrow_copy(1, 1, 3), F), "nextafter": (lambda x, y: x.nextafter(y), F, G, "values"),
    "polygamma": (lambda x: x.abs().polygamma(2), F), "put": (lambda x, i, v: x.put(i, v, accumulate=True), F, PLACES, G),
    "quantile": (lambda x: x.quantile(0.3, dim=1), F), "quantile keep": (lambda x: x.quantile(0.6, dim=0, keepdim=True, interpolation="midpoint"), F),
    "renorm": (lambda x: x.renorm(2, 0, 1.0), F), "rot90": (lambda x: x.rot90(1, (0, 1)), F),
    "scatter_reduce sum": (lambda x, i, y: x.scatter_reduce(0, i, y, "sum"), F, PLACES, G),
    "scatter_reduce mean": (lambda x, i, y: x.scatter_reduce(0, i, y, "mean", include_self=False), F, PLACES, G),
    "scatter_reduce prod": (lambda x, i, y: x.scatter_reduce(0, i, y, "prod"), F, PLACES, G),
    "scatter_reduce amax": (lambda x, i, y: x.scatter_reduce(0, i, y, "amax"), F, PLACES, G),
    "scatter_reduce amin": (lambda x, i, y: x.scatter_reduce(0, i, y, "amin", include_self=False), F, PLACES, G),
    "select_scatter": (lambda x, y: x.select_scatter(y, 0, 1), F, VECTOR), "sgn": (lambda x: x.sgn(), F, "values"),
    "sinc": (lambda x: x.sinc(), F), "slice_scatter": (lambda x, y: x.slice_scatter(y[:, :2], 1, 1, 5, 2), F, G),
    "split_with_sizes": (lambda x: tuple(x.split_with_sizes([1, 4], 1)), F), "sum_to_size": (lambda x: x.sum_to_size(3, 1), CUBE),
    "take_along_dim": (lambda x, i: x.take_along_dim(i, 0), F, PLACES), "tensor_split": (lambda x: tuple(x.tensor_split(3, 1)), F),
    "unique": (lambda x: tuple(x.unique(return_inverse=True, return_counts=True)), TIES, "values"),
    "unique rows": (lambda x: x.unique(dim=1), TIES, "values"),
    "unique_consecutive": (lambda x: tuple(x.unique_consecutive(return_inverse=True, return_counts=True)), TIES, "values"),
    "vdot": (lambda x, y: x.vdot(y), VECTOR, VECTOR[::-1].copy()), "xlogy": (lambda x, y: x.xlogy(y), F, SHARE),
    "bincount": (lambda x: x.flatten().bincount(minlength=9), WHOLE, "values"), "argwhere": (lambda x: x.argwhere(), MASK, "values"),
}  # fmt: skip


def results(found):
    return list(found) if isinstance(found, tuple | list) else [found]


def parts(name):
    call, *arrays = ROWS[name]
    plain = isinstance(arrays[-1], str)
    return call, arrays[:-1] if plain else arrays, plain


@pytest.mark.parametrize("name", ROWS)
def test_values(name):
    call, arrays, _ = parts(name)
    mine = results(call(*map(el.asarray, arrays)))
    theirs = results(call(*(torch.from_numpy(a.copy()) for a in arrays)))
    assert len(mine) == len(theirs)
    for x, y in zip(mine, theirs, strict=True):
        assert x.shape == tuple(y.shape)
        np.testing.assert_allclose(np.asarray(x), y.numpy(), rtol=1e-10, atol=1e-12)


EAGER_ONLY = ("unique", "bincount", "argwhere")


@pytest.mark.parametrize("name", [n for n in ROWS if not n.startswith(EAGER_ONLY)])
def test_compiled(name):
    call, arrays, _ = parts(name)
    xs = [el.asarray(a) for a in arrays]
    assert bits(results(el.jit(lambda *v: results(call(*v)))(*xs))) == bits(results(call(*xs)))


@pytest.mark.parametrize("name", [n for n in ROWS if not parts(n)[2]])
def test_gradients(name):
    call, arrays, _ = parts(name)
    mine = [el.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    theirs = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    seeds = np.random.default_rng(0)
    for x, y in zip(results(call(*mine)), results(call(*theirs)), strict=True):
        if not y.is_floating_point() or not y.requires_grad:
            continue
        seed = seeds.standard_normal(tuple(y.shape))
        x.backward(el.asarray(seed), retain_graph=True)
        y.backward(torch.from_numpy(seed), retain_graph=True)
    for x, y in zip(mine, theirs, strict=True):
        if y.grad is not None:
            np.testing.assert_allclose(np.asarray(x.grad), y.grad.numpy(), rtol=1e-8, atol=1e-10)
