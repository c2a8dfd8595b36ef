"""Per-sample gradients and ensembles of models; what their programs look like."""

import numpy as np
import pytest

import elinvar as el
from elinvar import nn
from tests.compiled import same_bits

pytestmark = [pytest.mark.slow, pytest.mark.any_level]  # many programs to compile

F = nn.functional
COUNT = 4


class Recurrent(nn.Module):
    def __init__(self):
        self.cells = nn.LSTM(4, 6, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.cells(x)[0][:, -1])


class Attending(nn.Module):
    def __init__(self):
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.norm(x + self.attention(x, x, x)[0])).mean(1)


class Words(nn.Module):
    def __init__(self):
        self.words = nn.Embedding(11, 5)
        self.head = nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.words(x)).mean(1)


MODELS = {
    "mlp": lambda: (nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)), el.randn(COUNT, 5)),
    "cnn": lambda: (
        nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(16, 3),
        ),
        el.randn(COUNT, 3, 12, 12),
    ),
    "lstm": lambda: (Recurrent(), el.randn(COUNT, 6, 4)),
    "attention": lambda: (Attending(), el.randn(COUNT, 6, 8)),
    "embedding": lambda: (Words(), el.randint(0, 11, (COUNT, 6))),
    "dropout": lambda: (
        nn.Sequential(nn.Linear(5, 7), nn.Dropout(0.5), nn.Linear(7, 3)), el.randn(COUNT, 5)
    ),
    "group norm": lambda: (
        nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.GELU(), nn.Flatten(), nn.Linear(128, 3)
        ),
        el.randn(COUNT, 3, 6, 6),
    ),
    "transformer": lambda: (
        nn.Sequential(
            nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), nn.Flatten(),
            nn.Linear(48, 3),
        ),
        el.randn(COUNT, 6, 8),
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_gradients_of_each_sample(name):
    el.manual_seed(0)
    model, x = MODELS[name]()
    labels = el.randint(0, 3, (COUNT,))
    weights = {path: value.detach() for path, value in model.named_parameters()}

    def loss(weights, x, label):
        return F.cross_entropy(el.functional_call(model, weights, x[None]), label[None])

    gradient = el.grad(loss)
    many = el.vmap(gradient, in_axes=(None, 0, 0), randomness="different")
    runs = []
    for run in (
        many,
        el.jit(many),
        lambda w, x, t: [gradient(w, x[n], t[n]) for n in range(COUNT)],
    ):
        el.manual_seed(1)
        runs.append(run(weights, x, labels))
    for path in weights:
        expected = el.stack([row[path] for row in runs[2]])
        for found in runs[:2]:
            assert same_bits(found[path].numpy(), expected.numpy()), path


def test_an_ensemble():
    el.manual_seed(0)
    models = [nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)) for _ in range(3)]
    weights, buffers = el.stack_module_state(models)
    assert not buffers

    def call(weights, x):
        return el.functional_call(models[0], weights, x)

    x = el.randn(5, 3)
    found = el.vmap(call, in_axes=(0, None))(weights, x)
    for n, model in enumerate(models):
        assert same_bits(found[n].detach().numpy(), model(x).detach().numpy())
    found.sum().backward()
    for model in models:
        model(x).sum().backward()
    for path, stacked in weights.items():
        expected = el.stack([model.get_parameter(path).grad for model in models])
        assert same_bits(stacked.grad.numpy(), expected.numpy())


CONVOLUTIONS = {
    "sixteen channels": (16, 16, 3, 1, 1, 8),  # by Winograd's algorithm
    "eight channels": (8, 16, 3, 1, 1, 8),
    "four results": (16, 4, 3, 1, 1, 8),  # four times four are sixteen
    "stride": (3, 8, 3, 2, 1, 9),
    "depthwise": (8, 8, 3, 1, 8, 8),
    "groups": (16, 32, 3, 1, 2, 8),
    "points": (4, 8, 1, 1, 1, 6),
}


@pytest.mark.slow
@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_keep_their_algorithm(name, axes):
    channels, results, window, stride, groups, side = CONVOLUTIONS[name]
    el.manual_seed(0)
    x = el.randn(*(COUNT,) * (axes[0] == 0), 2, channels, side, side)
    w = el.randn(*(COUNT,) * (axes[1] == 0), results, channels // groups, window, window)

    def function(x, w):
        return F.conv2d(x, w, stride=stride, padding=1, groups=groups)

    def gradient(number):
        return el.grad(lambda x, w: (function(x, w) ** 2).sum(), argnums=number)

    for one in (function, gradient(0), gradient(1)):
        rows = [
            one(*(v if axis is None else v[n] for v, axis in zip((x, w), axes, strict=True)))
            for n in range(COUNT)
        ]
        found = el.vmap(one, in_axes=axes)(x, w)
        assert same_bits(found.numpy(), el.stack(rows).numpy())


def test_gradients_of_shared_weights_take_no_memory_for_each_sample():
    """The sum over the samples is taken inside of products, convolutions and scatters."""
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 32), nn.Linear(32, 3)
    )
    words = nn.Embedding(64, 2 * 36)
    samples, labels = el.randint(0, 64, (16, 1)), el.randint(0, 3, (16,))
    named = [*model.named_parameters(), ("words", words.weight)]

    def loss(word, label):
        image = words(word).reshape(1, 2, 6, 6)
        return F.cross_entropy(model(image), label[None])

    def total(values):
        return el.vmap(
            lambda word, label: el.functional_call(Loss(loss, model, words), values, (word, label))
        )(samples, labels).mean()

    class Loss(nn.Module):
        def __init__(self, function, model, words):
            self.function, self.model, self.words = function, model, words

        def forward(self, word, label):
            return self.function(word, label)

    values = {
        ("words.weight" if path == "words" else f"model.{path}"): value.detach()
        for path, value in named
    }
    lowered = el.jit(el.grad(total)).lower(values)
    large = {value.shape for value in values.values() if len(value.shape) > 1}
    for node in lowered.optimized.nodes:
        for value in node.results:
            assert not any(value.shape == (16, *shape) for shape in large), str(node)
    found = el.jit(el.grad(total))(values)
    rows = [
        el.grad(
            lambda v, n=n: el.functional_call(Loss(loss, model, words), v, (samples[n], labels[n]))
        )(values)
        for n in range(16)
    ]
    for path in values:
        expected = sum(row[path].numpy().astype(np.float64) for row in rows) / 16
        np.testing.assert_allclose(found[path].numpy(), expected, rtol=1e-4, atol=1e-6)


def test_per_sample_gradients_of_a_convolution_are_one_convolution():
    w = el.randn(8, 4, 3, 3)
    x = el.randn(16, 4, 9, 9)

    def loss(w, x):
        return (F.conv2d(x[None], w, stride=2) ** 2).sum()

    lowered = el.jit(el.vmap(el.grad(loss), in_axes=(None, 0))).lower(w, x)
    names = [node.op_name for node in lowered.optimized.nodes]
    assert names.count("convolution") == 2  # the result, and the gradients of all samples
    assert "scan" not in names


def test_kernels_of_examples():
    many = el.vmap(lambda x, w: F.conv2d(x, w, stride=2))
    x, w = el.randn(5, 2, 3, 9, 9), el.randn(5, 4, 3, 3, 3)
    expected = el.stack([F.conv2d(x[n], w[n], stride=2) for n in range(5)])
    compiled = el.jit(many)
    for count in (5, 3, 4):
        found = compiled(x[:count], w[:count])
        assert same_bits(found.numpy(), expected[:count].numpy())
    declared = el.jit(many, specs=("f32[n,2,3,9,9]", "f32[n,4,3,3,3]"))
    assert same_bits(declared(x, w).numpy(), expected.numpy())


def test_images_and_kernels_in_one_program_for_any_number_of_examples():
    def single(x, w):
        return F.conv2d(x, w, padding=1)

    def loss(w, x):
        return (single(x, w) ** 2).sum()

    def both(x, w):
        return el.vmap(single)(x, w), el.vmap(el.grad(loss))(w, x)

    compiled = el.jit(both, specs=("f32[n,2,3,6,6]", "f32[n,4,3,3,3]"))
    for n in (1, 5, 0):
        x, w = el.randn(n, 2, 3, 6, 6), el.randn(n, 4, 3, 3, 3)
        found, expected = compiled(x, w), both(x, w)
        for a, b in zip(found, expected, strict=True):
            assert a.shape == b.shape and same_bits(a.numpy(), b.numpy())
        for i in range(n):
            assert same_bits(found[0][i].numpy(), single(x[i], w[i]).numpy())
    assert compiled.compilations == 1
