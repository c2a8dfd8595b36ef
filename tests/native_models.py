"""Small models whose training steps are exported: all kinds of kernels, sizes that change."""

import numpy as np

import elinvar as el
from elinvar import nn
from tests.machines import Block

F = nn.functional


class Sequence(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(30, 12)
        self.recurrent = nn.LSTM(12, 24, batch_first=True)
        self.head = nn.Linear(24, 30)

    def forward(self, x):
        return self.head(self.recurrent(self.embedding(x))[0])


class Gpt(nn.Module):
    def __init__(self, blocks=1):
        super().__init__()
        self.tokens, self.places = nn.Embedding(30, 32), nn.Embedding(64, 32)
        self.blocks = nn.Sequential(*[Block(32, 4) for _ in range(blocks)])
        self.norm, self.head = nn.LayerNorm(32), nn.Linear(32, 30)

    def forward(self, x):
        positions = self.places(el.arange(x.shape[1]))
        return self.head(self.norm(self.blocks(self.tokens(x) + positions)))


def mlp():
    return nn.Sequential(nn.Linear(20, 33), nn.GELU(), nn.Dropout(0.1), nn.Linear(33, 5))


def cnn():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 16, 3, groups=16, padding=1), nn.Conv2d(16, 24, 3, stride=2),
        nn.Dropout(0.2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 5),
    )  # fmt: skip


def rows(call, rng):
    count = (8, 3, 1, 2)[call % 4]
    return [rng.normal(size=(count, 20)).astype(np.float32), rng.integers(0, 5, count)]


def images(call, rng):
    count = (4, 3, 2, 5)[call % 4]
    return [rng.normal(size=(count, 3, 16, 16)).astype(np.float32), rng.integers(0, 5, count)]


def tokens(call, rng):
    shape = ((4, 7), (3, 5), (1, 9), (2, 2))[call % 4]
    return [rng.integers(0, 30, shape), rng.integers(0, 30, shape)]


def of_classes(logits, y):
    return F.cross_entropy(logits, y)


def of_tokens(logits, y):
    return F.cross_entropy(logits.reshape(-1, 30), y.reshape(-1))


MODELS = {
    "mlp": (mlp, rows, of_classes, ("f32[batch,20]", "i64[batch]")),
    "cnn": (cnn, images, of_classes, ("f32[batch,3,16,16]", "i64[batch]")),
    "lstm": (Sequence, tokens, of_tokens, ("i64[batch,length]", "i64[batch,length]")),
    "gpt": (Gpt, tokens, of_tokens, ("i64[batch,length]", "i64[batch,length]")),
}


class Training:
    """A model with AdamW: its step, its calls, its specs. `dtype`: of the parameters."""

    def __init__(self, name, dtype="float32", seed=0):
        make, data, loss_of, self.specs = MODELS[name]
        el.manual_seed(seed)
        self.model = make().to(getattr(el, dtype))
        optimizer = el.optim.AdamW(self.model.parameters(), lr=0.01)
        model, kind = self.model, getattr(el, dtype)

        def step(x, y):
            optimizer.zero_grad()
            x = x.to(kind) if x.dtype == el.float32 else x
            loss = loss_of(model(x).float(), y)
            loss.backward()
            optimizer.step()
            return loss

        self.step, self._data = step, data

    def calls(self, count):
        rng = np.random.default_rng(7)
        return [self._data(call, rng) for call in range(count)]

    def here(self, calls):
        """Losses of the jitted step, here; the parameters at the end."""
        step = el.jit(self.step)
        losses = [step(*map(el.asarray, call)).numpy().tobytes() for call in calls]
        return losses, {
            name: p.detach().view(el.uint16).numpy().tobytes()
            if p.dtype == el.bfloat16
            else p.detach().numpy().tobytes()
            for name, p in self.model.named_parameters()
        }
