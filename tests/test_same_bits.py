"""The numerics contract on whole training steps: the same bits eager and compiled, on any number of
threads, from run to run, and for a batch and its rows."""

import hashlib

import numpy as np
import pytest
from machines import GPT

import elinvar as el
import elinvar.nn.functional as F
from elinvar import nn


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(7, 19, num_layers=2, batch_first=True)
        self.head = nn.Linear(19, 4)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


def mlp():
    return nn.Sequential(
        nn.Linear(37, 50), nn.Tanh(), nn.Dropout(0.2), nn.Linear(50, 33), nn.GELU(), nn.Linear(33, 5)
    )


def cnn():
    return nn.Sequential(
        nn.Conv2d(2, 9, 3, padding=1), nn.BatchNorm2d(9), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(9, 6, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 2 * 2, 5),
    )  # fmt: skip


def data(name):
    rng = np.random.default_rng(5)
    if name == "gpt":
        return rng.integers(0, 11, (3, 13)), rng.integers(0, 11, (3, 13))
    shape = {"mlp": (9, 37), "cnn": (6, 2, 11, 11), "lstm": (4, 6, 7)}[name]
    return rng.normal(size=shape).astype(np.float32), rng.integers(0, 4, shape[0])


MODELS = {"mlp": mlp, "cnn": cnn, "lstm": Recurrent, "gpt": GPT}


def digest(tensors):
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(np.ascontiguousarray(tensor.numpy()).tobytes())
    return found.hexdigest()


def train(name, compiled, steps=3, optimizer=el.optim.AdamW):
    """A digest of all losses, parameters and buffers after some steps."""
    el.manual_seed(1)
    model = MODELS[name]()
    opt = optimizer(model.parameters(), lr=0.01)

    def step(x, y):
        opt.zero_grad()
        logits = model(x)
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))
        loss.backward()
        opt.step()
        return loss

    run = el.jit(step) if compiled else step
    x, y = (el.asarray(part) for part in data(name))
    losses = [run(x, y) for _ in range(steps)]
    assert losses[-1].item() < losses[0].item()
    return digest([*losses, *model.state_dict().values()])


@pytest.fixture
def threads():
    before = el.get_num_threads()
    yield
    el.set_num_threads(before)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_eager_and_compiled_and_run_after_run(name):
    eager = train(name, False)
    assert train(name, True) == eager
    assert train(name, False) == eager


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MODELS))
def test_threads(name, threads):
    found = set()
    for count in (1, 2, 3, 8):
        el.set_num_threads(count)
        found.add(train(name, True))
    assert len(found) == 1


@pytest.mark.parametrize("name", sorted(MODELS))
def test_batch_and_its_rows(name):
    """In eval mode each sample's output does not depend on its neighbours."""
    el.manual_seed(2)
    model = MODELS[name]().eval()
    x, _ = data(name)
    with el.no_grad():
        whole = model(el.asarray(x)).numpy()
        for row in range(len(x)):
            alone = model(el.asarray(x[row : row + 1])).numpy()
            assert alone.tobytes() == np.ascontiguousarray(whole[row : row + 1]).tobytes()


def test_large_parallel_step_on_any_number_of_threads(threads):
    """Big enough that every launch is shared among threads."""
    x = el.asarray(np.random.default_rng(0).normal(size=(256, 300)).astype(np.float32))
    found = set()
    for count in (1, 2, 3, 8):
        el.set_num_threads(count)
        el.manual_seed(0)
        layer = nn.Sequential(nn.Linear(300, 500), nn.GELU(), nn.LayerNorm(500), nn.Linear(500, 300))
        loss = ((layer(x) - x) * (layer(x) - x)).mean()
        loss.backward()
        found.add(digest([loss, *(p.grad for p in layer.parameters())]))
    assert len(found) == 1
