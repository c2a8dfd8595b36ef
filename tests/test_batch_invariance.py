"""A row has the bits that it has alone: in batches, padded, through a cache, in pieces."""

from __future__ import annotations

import numpy as np
import pytest

import elinvar as el
import elinvar.nn.functional as F
from elinvar import nn
from tests import generation
from tests.generation import GPT, VOCABULARY, prompts

KINDS = [
    ("learned", 3, el.float32),
    ("rotary", 1, el.float32),
    ("alibi", 3, el.float32),
    ("rotary", 3, el.bfloat16),
]
PAD = 7


def bits(x: el.Tensor) -> np.ndarray:
    """The stored bits as numbers; bfloat16 as f32, which is exact."""
    x = x.detach().astype(el.float32) if x.dtype is el.bfloat16 else x.detach()
    return np.ascontiguousarray(x.numpy()).view(np.uint32)


def same(found: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_array_equal(found, wanted)


def padded(rows: list[np.ndarray], length: int = 0) -> np.ndarray:
    """Rows as one array, filled up on the right."""
    whole = np.full((len(rows), max(length, *map(len, rows))), PAD)
    for number, row in enumerate(rows):
        whole[number, : len(row)] = row
    return whole


@pytest.fixture(autouse=True)
def no_grad():
    with el.no_grad():
        yield


@pytest.fixture
def threads():
    before = el.get_num_threads()
    yield
    el.set_num_threads(before)


@pytest.fixture(params=KINDS, ids=lambda kind: f"{kind[0]}-{kind[1]}-{kind[2].name}")
def gpt(request):
    kind, shared, dtype = request.param
    el.manual_seed(0)
    return GPT(kind, shared, dtype).eval(), dtype


def alone(model: GPT, rows: list[np.ndarray]) -> list[np.ndarray]:
    """The logits of each row, computed by itself."""
    return [bits(model(el.asarray(row[None])))[0] for row in rows]


# ---- prompts ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("batch", [2, 3, 8, 17, 64])
def test_prompts_of_mixed_lengths(gpt, batch: int, threads: None) -> None:
    """Filled up on the right; causality alone hides what follows."""
    model, _ = gpt
    rows = prompts(batch, seed=batch)
    wanted = alone(model, rows)
    whole = el.asarray(padded(rows))
    compiled = el.jit(model)
    for run, count in ((model, 2), (compiled, 1), (compiled, 3)):
        el.set_num_threads(count)
        found = bits(run(whole))
        for number, row in enumerate(rows):
            same(found[number, : len(row)], wanted[number])


def test_more_padding_and_other_neighbours(gpt) -> None:
    model, _ = gpt
    rows = prompts(5)
    (wanted,) = alone(model, rows[2:3])
    for length in (0, 120, 200):
        for order in ([2, 0, 1], [4, 2], [2, 2, 2]):
            found = bits(model(el.asarray(padded([rows[i] for i in order], length))))
            same(found[order.index(2), : len(wanted)], wanted)


@pytest.mark.parametrize(
    ("length", "left"), [(50, 64), (100, 64), (100, 128), (50, 5), (50, 14), (1, 63), (100, 5)]
)
def test_padding_on_the_left(gpt, length: int, left: int) -> None:
    """Keys are added up in blocks of 64. Moved by a multiple of 64, or within one block, they keep
    their neighbours and their bits; moved otherwise they need not."""
    model, dtype = gpt
    row = np.random.default_rng(0).integers(0, VOCABULARY, length)
    (wanted,) = alone(model, [row])
    found = _moved(model, row, left, dtype)
    if left % 64 == 0 or left + length <= 64:
        same(found, wanted)
    elif dtype is el.float32:
        pair = (x.view(np.float32) for x in (found, wanted))
        np.testing.assert_allclose(*pair, rtol=1e-5, atol=1e-5)


def _moved(model: GPT, row: np.ndarray, left: int, dtype: el.DType) -> np.ndarray:
    """Logits of a row whose keys begin at place `left`."""
    cache = model.cache(1, left + len(row), dtype)
    x = model.embedded(el.asarray(row[None]), el.asarray(np.arange(len(row))[None]))
    at = el.asarray(np.arange(len(row))[None])
    keys = el.arange(left + len(row)) - left
    visible = (keys <= at[:, None, :, None]) & (keys >= 0)
    for number, block in enumerate(model.blocks):
        q, k, v = block.heads(x, at)
        known_k, known_v = cache[2 * number], cache[2 * number + 1]
        known_k[:, :, left:], known_v[:, :, left:] = k, v
        mask = visible
        if model.kind == "alibi":
            mask = model.bias(keys, at, visible, x.dtype)
        mixed = F.scaled_dot_product_attention(q, known_k, known_v, mask, enable_gqa=True)
        x = block.rest(x, mixed)
    return bits(model.head(model.norm(x)))[0]


# ---- caches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_token_by_token_through_a_cache(gpt, compiled: bool) -> None:
    """Rows of mixed lengths side by side; one that has ended goes on with padding."""
    model, dtype = gpt
    rows = prompts(4, 70)
    wanted = alone(model, rows)
    step = el.jit(model.step) if compiled else model.step
    whole, cache = padded(rows), model.cache(4, 96, dtype)
    found = []
    for t in range(whole.shape[1]):
        logits, cache = step(el.asarray(whole[:, t : t + 1]), el.full(4, t), cache)
        found.append(bits(logits)[:, 0])
    found = np.stack(found, axis=1)
    for number, row in enumerate(rows):
        same(found[number, : len(row)], wanted[number])


def test_pieces_of_any_length(gpt) -> None:
    """A prompt in pieces (chunked prefill), with rooms of different sizes."""
    model, dtype = gpt
    (row,) = prompts(1, 100)
    (wanted,) = alone(model, [row])
    for pieces, room in (((1, 7, 30, 2, 60), 100), ((64, 36), 128), ((99, 1), 101), ((100,), 200)):
        cache, at, found = model.cache(1, room, dtype), 0, []
        for piece in pieces:
            tokens = el.asarray(row[None, at : at + piece])
            logits, cache = model.step(tokens, el.asarray([at]), cache)
            found.append(bits(logits)[0])
            at += piece
        same(np.concatenate(found), wanted)


def test_a_batch_of_prompts_is_continued(gpt, threads: None) -> None:
    """Prompts of mixed lengths at once, then tokens one by one, each row at its own place."""
    model, dtype = gpt
    rows, steps = prompts(6, 60), 12
    more = np.random.default_rng(1).integers(0, VOCABULARY, (6, steps))
    wanted = alone(model, [np.concatenate([row, new]) for row, new in zip(rows, more, strict=True)])
    cache = model.cache(6, 80, dtype)
    logits, cache = model.step(el.asarray(padded(rows)), el.zeros(6, dtype=el.int64), cache)
    found = bits(logits)
    for number, row in enumerate(rows):
        same(found[number, : len(row)], wanted[number][: len(row)])
    step, at = el.jit(model.step), np.array([len(row) for row in rows])
    for t in range(steps):
        el.set_num_threads(1 + t % 3)
        logits, cache = step(el.asarray(more[:, t : t + 1]), el.asarray(at + t), cache)
        found = bits(logits)[:, 0]
        for number, row in enumerate(rows):
            same(found[number], wanted[number][len(row) + t])


def test_a_cache_that_grows(gpt) -> None:
    """Keys and values joined to those before, with `offset` in place of a mask."""
    model, _ = gpt
    (row,) = prompts(1, 70)
    (wanted,) = alone(model, [row])
    known: list = [None] * (2 * generation.LAYERS)
    at, found = 0, []
    for piece in (3, 1, 1, 40, 25):
        places = el.asarray(np.arange(at, at + piece)[None])
        x = model.embedded(el.asarray(row[None, at : at + piece]), places)
        for number, block in enumerate(model.blocks):
            q, *fresh = block.heads(x, places)
            for part, new in enumerate(fresh):
                old = known[2 * number + part]
                known[2 * number + part] = new if old is None else el.concat([old, new], axis=2)
            k, v = known[2 * number : 2 * number + 2]
            mask = None
            if model.kind == "alibi":
                mask = model.bias(el.arange(at + piece), places, True, x.dtype)
            mixed = F.scaled_dot_product_attention(
                q, k, v, mask, is_causal=True, enable_gqa=True, offset=at
            )
            x = block.rest(x, mixed)
        found.append(bits(model.head(model.norm(x)))[0])
        at += piece
    same(np.concatenate(found), wanted)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_sampling_with_a_generator_for_each_row(compiled: bool) -> None:
    """What a row draws depends on its own seed, not on who else draws."""
    logits = el.asarray(np.random.default_rng(0).normal(size=(6, 50)).astype(np.float32))

    def drawn(logits, generators):
        noise = el.stack([el.rand(50, generator=generator) for generator in generators])
        return (logits - el.log(-el.log(noise + 1e-9))).argmax(axis=-1)

    def several(rows, steps=5):
        generators = [el.random.Generator(100 + row) for row in rows]
        here = logits[el.asarray(rows)]
        run = el.jit(lambda x: drawn(x, generators)) if compiled else lambda x: drawn(x, generators)
        return np.stack([run(here).numpy() for _ in range(steps)])

    whole = several([0, 1, 2, 3, 4, 5])
    assert len(np.unique(whole)) > 5
    for rows in ([0], [3], [5, 2], [1, 3, 4]):
        np.testing.assert_array_equal(several(rows), whole[:, rows])


# ---- other models -------------------------------------------------------------------------------


class Recurrent(nn.Module):
    def __init__(self, kind: type) -> None:
        self.cells = kind(9, 20, num_layers=2, batch_first=True)
        self.head = nn.Linear(20, 5)

    def forward(self, x):
        return self.head(self.cells(x)[0])


def _models():
    yield "MLP", (33, 300), lambda: nn.Sequential(
        nn.Linear(300, 64), nn.GELU(), nn.LayerNorm(64), nn.Linear(64, 7), nn.Softmax(-1)
    )  # fmt: skip
    yield "CNN", (33, 3, 14, 14), lambda: nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1), nn.GroupNorm(4, 32), nn.SiLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, groups=32), nn.Conv2d(32, 9, 3, stride=2), nn.Flatten(),
        nn.Linear(36, 5),
    )  # fmt: skip
    yield "LSTM", (33, 12, 9), lambda: Recurrent(nn.LSTM)
    yield "GRU", (33, 12, 9), lambda: Recurrent(nn.GRU)


MODELS = {name: (shape, make) for name, shape, make in _models()}


@pytest.mark.parametrize("name", MODELS)
def test_rows_of_other_models(name: str, threads: None) -> None:
    """Batches of 1 to 33 rows and parts of them, eager and compiled, on 1 to 3 threads."""
    shape, make = MODELS[name]
    el.manual_seed(0)
    model = make().eval()
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    whole = bits(model(el.asarray(x)))
    compiled = el.jit(model)
    parts = [slice(i, i + 1) for i in range(0, 33, 4)] + [slice(3, 5), slice(1, 18), slice(0, 33)]
    for number, part in enumerate(parts):
        el.set_num_threads(1 + number % 3)
        same(bits(model(el.asarray(x[part]))), whole[part])
        same(bits(compiled(el.asarray(x[part]))), whole[part])


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_sequences_of_mixed_lengths(kind: type) -> None:
    """Outputs before a sequence's end do not see the padding behind it."""
    el.manual_seed(0)
    model = Recurrent(kind)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 14, 9)).astype(np.float32)
    whole = bits(model(el.asarray(x)))
    for row, length in enumerate((14, 1, 9, 3, 13)):
        same(bits(model(el.asarray(x[row : row + 1, :length])))[0], whole[row, :length])


@pytest.mark.parametrize("need_weights", [False, True])
def test_padding_masks_of_attention_layers(need_weights: bool) -> None:
    """`key_padding_mask` hides the padding of rows that see forth and back."""
    el.manual_seed(0)
    layer = nn.MultiheadAttention(24, 3, batch_first=True).eval()
    lengths = np.array([40, 1, 17, 39])
    x = np.random.default_rng(0).normal(size=(4, 40, 24)).astype(np.float32)
    hidden = el.asarray(np.arange(40) >= lengths[:, None])
    both = el.asarray(x)
    whole, _ = layer(both, both, both, key_padding_mask=hidden, need_weights=need_weights)
    for row, length in enumerate(lengths):
        part = el.asarray(x[row : row + 1, :length])
        single, _ = layer(part, part, part, need_weights=need_weights)
        same(bits(single)[0], bits(whole)[row, :length])


def test_an_encoder_with_padding() -> None:
    el.manual_seed(0)
    layer = nn.TransformerEncoderLayer(24, 3, 48, batch_first=True, activation="gelu")
    model = nn.TransformerEncoder(layer, 2).eval()
    lengths = np.array([90, 5, 70])
    x = np.random.default_rng(0).normal(size=(3, 90, 24)).astype(np.float32)
    hidden = el.asarray(np.arange(90) >= lengths[:, None])
    whole = bits(model(el.asarray(x), src_key_padding_mask=hidden))
    for row, length in enumerate(lengths):
        same(bits(model(el.asarray(x[row : row + 1, :length])))[0], whole[row, :length])


# ---- gradients ----------------------------------------------------------------------------------


def gradients(model: nn.Module, x: np.ndarray, y: np.ndarray, compiled: bool = False):
    """Gradients of a sum of losses: of the input and of all parameters."""

    def run(x, y):
        model.zero_grad()
        x = x.detach().requires_grad_()
        logits = model(x)
        flat = logits.reshape(-1, logits.shape[-1])
        F.cross_entropy(flat, y.reshape(-1), reduction="sum", ignore_index=-1).backward()
        return [x.grad, *(p.grad for p in model.parameters())]

    with el.enable_grad():
        found = (el.jit(run) if compiled else run)(el.asarray(x), el.asarray(y))
    return [bits(g) for g in found]


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_gradients_of_inputs(name: str) -> None:
    """The gradient of a row with respect to itself, if losses are added up and not averaged."""
    shape, make = MODELS[name]
    el.manual_seed(0)
    model = make().eval()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(9, *shape[1:])).astype(np.float32)
    y = rng.integers(0, 5, (9, *shape[1:2]) if name in ("LSTM", "GRU") else 9)
    whole = gradients(model, x, y)[0]
    same(gradients(model, x, y, True)[0], whole)
    for row in (0, 4, 8):
        same(gradients(model, x[row : row + 1], y[row : row + 1])[0], whole[row : row + 1])


class OfVectors(nn.Module):
    """A causal transformer of vectors."""

    def __init__(self) -> None:
        self.layer = nn.TransformerEncoderLayer(24, 3, 48, 0.0, "gelu", batch_first=True)
        self.head = nn.Linear(24, 5)

    def forward(self, x):
        return self.head(self.layer(x, is_causal=True))


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_gradients_do_not_see_how_long_the_padding_is(compiled: bool) -> None:
    """One sequence, filled up with finite numbers whose loss is ignored: input and parameters."""
    el.manual_seed(0)
    model = OfVectors()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 300, 24)).astype(np.float32)
    y = rng.integers(0, 5, (1, 300))
    y[:, 150:] = -1
    short = gradients(model, x[:, :150], y[:, :150], compiled)
    for length in (151, 290):
        found = gradients(model, x[:, :length], y[:, :length], compiled)
        same(found[0][:, :150], short[0])
        for a, b in zip(found[1:], short[1:], strict=True):
            same(a, b)
