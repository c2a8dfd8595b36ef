"""vmap and what stands on it against torch.func: the same models from the same weights."""

import numpy as np
import pytest

import elinvar as el

torch = pytest.importorskip("torch")
func = torch.func

pytestmark = [pytest.mark.any_level, pytest.mark.filterwarnings("ignore")]
COUNT = 4


def ours(x):
    return el.asarray(x.detach().numpy())


def same(found, expected):
    expected = expected.detach().numpy() if isinstance(expected, torch.Tensor) else expected
    assert tuple(found.shape) == tuple(expected.shape)
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-4, atol=2e-5)


class Attending:
    """Attention and a layer norm, for both frameworks."""

    def __new__(cls, nn):
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
                self.norm = nn.LayerNorm(8)
                self.head = nn.Linear(8, 3)

            def forward(self, x):
                return self.head(self.norm(x + self.attention(x, x, x)[0]).mean(1))

        return Model()


MODELS = {
    "mlp": (lambda nn: nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)), (COUNT, 5)),
    "cnn": (
        lambda nn: nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 6, 3, stride=2),
            nn.GroupNorm(2, 6), nn.GELU(), nn.Flatten(), nn.Linear(24, 3),
        ),
        (COUNT, 3, 10, 10),
    ),
    "attention": (Attending, (COUNT, 6, 8)),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_gradients_of_each_sample(name):
    build, shape = MODELS[name]
    torch.manual_seed(0)
    theirs = build(torch.nn)
    model = build(el.nn)
    weights = {path: value.detach() for path, value in theirs.named_parameters()}
    x, labels = torch.randn(*shape), torch.randint(0, 3, (COUNT,))

    def their_loss(weights, x, label):
        logits = func.functional_call(theirs, weights, (x[None],))
        return torch.nn.functional.cross_entropy(logits, label[None])

    def loss(weights, x, label):
        logits = el.functional_call(model, weights, x[None])
        return el.nn.functional.cross_entropy(logits, label[None])

    expected = func.vmap(func.grad(their_loss), in_dims=(None, 0, 0))(weights, x, labels)
    given = {path: ours(value) for path, value in weights.items()}
    found = el.vmap(el.grad(loss), in_axes=(None, 0, 0))(given, ours(x), ours(labels))
    for path in weights:
        same(found[path], expected[path])


def test_an_ensemble():
    torch.manual_seed(0)

    def build(nn):
        return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2))

    theirs = [build(torch.nn).eval() for _ in range(3)]
    models = [build(el.nn) for _ in range(3)]
    for model, their in zip(models, theirs, strict=True):
        model.load_state_dict({path: ours(value) for path, value in their.state_dict().items()})
        model.eval()
    x = torch.randn(6, 4)
    expected = func.vmap(
        lambda p, b, x: func.functional_call(theirs[0], (p, b), (x,)), in_dims=(0, 0, None)
    )(*func.stack_module_state(theirs), x)
    found = el.vmap(
        lambda p, b, x: el.functional_call(models[0], (p, b), x), in_axes=(0, 0, None)
    )(*el.stack_module_state(models), ours(x))
    same(found.detach(), expected)


DERIVATIVES = {
    "jacrev": (lambda m, f, x: m.jacrev(f)(x)),
    "jacfwd": (lambda m, f, x: m.jacfwd(f)(x)),
    "hessian": (lambda m, f, x: m.hessian(lambda x: f(x).sum())(x)),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_matrices_of_derivatives(name):
    x = torch.randn(3, dtype=torch.float64)
    take = DERIVATIVES[name]
    expected = take(func, lambda x: torch.stack([x.sin() * x.sum(), x.exp()]), x)
    same(take(el, lambda x: el.stack([x.sin() * x.sum(), x.exp()]), ours(x)), expected)
