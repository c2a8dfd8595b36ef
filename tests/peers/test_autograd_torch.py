"""Gradients of first and second order beside PyTorch's, on programs written in methods of both."""

import numpy as np
import pytest

import elinvar as el

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.any_level

PROGRAMS = {
    "polynomial": lambda x, y: (x * x * y - y / (x * x + 1.0)).sum(),
    "exponentials": lambda x, y: ((x * 0.3).exp() * (y * y + 1.0).log()).mean(),
    "matmul": lambda x, y: ((x @ y.transpose(0, 1)) @ (x * y)).sum(),
    "softmax": lambda x, y: (x.exp() / x.exp().sum(1, keepdim=True) * y).sum(),
    "views": lambda x, y: (x[1:, ::2] * y.reshape(4, 3).transpose(0, 1)[1:, :2]).sum(),
    "broadcast": lambda x, y: (x[:, :1] * y[:1] + x.mean(0)).pow(2).sum(),
    "maximum": lambda x, y: (x.clamp(-0.5, 0.5) * y.abs()).sum() + (x * x * y).max(),
    "cumulative": lambda x, y: (x.cumsum(1) * y).sum(),
    "in place": lambda x, y: (x * 2.0).add_(y).mul_(x).sum(),
}


def derivatives(program, x, y, tensor):
    """Value, gradients, and gradients of the gradients' squared sum."""
    x, y = (tensor(v) for v in (x, y))
    value = program(x, y)
    value.backward(create_graph=True)
    first = (x.grad, y.grad)
    x.grad = y.grad = None
    ((first[0] * first[0]).sum() + (first[1] * first[1]).sum()).backward()
    found = [value, *first, x.grad, y.grad]
    return [v.detach().numpy() for v in found]


@pytest.mark.filterwarnings("ignore:Using backward")
@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients(name):
    rng = np.random.default_rng(len(name))
    x, y = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    ours = derivatives(PROGRAMS[name], x, y, lambda v: el.Tensor(v, requires_grad=True))
    theirs = derivatives(
        PROGRAMS[name], x, y, lambda v: torch.tensor(v, dtype=torch.float64, requires_grad=True)
    )
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
