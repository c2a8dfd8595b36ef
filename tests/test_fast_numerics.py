"""`el.jit(f, numerics="fast")`: right within a tolerance, beside exact programs that keep their bits."""

import numpy as np
import pytest
from compiled import run_bound, stored

import elinvar as el
from elinvar import nn
from elinvar.codegen.numerics import EXACT, FAST, NUMERICS
from elinvar.core import dtypes
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder
from elinvar.nn import functional as F
from elinvar.runtime.compile import compile_graph
from elinvar.runtime.plans import LEAST_NODES, plan_key


def normal(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def both(function, *arrays):
    """What a function gives in fast and in exact programs, and eagerly."""
    operands = [el.asarray(x) for x in arrays]
    fast, exact = el.jit(function, numerics="fast"), el.jit(function)
    return [call(*operands).numpy() for call in (fast, exact, function)]


def check(function, expected, *arrays, rtol=2e-5):
    """Fast results are right, to a tolerance that is relative to the largest of them; exact ones
    have the bits of eager code."""
    fast, exact, eager = both(function, *arrays)
    assert exact.tobytes() == eager.tobytes()
    assert fast.shape == exact.shape and fast.dtype == exact.dtype
    scale = np.abs(expected).max(initial=1e-30)
    assert np.abs(fast - expected).max(initial=0.0) <= rtol * scale
    return fast, exact


# -- the words -----------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["sloppy", "Fast", "", None, 3, ["fast"]])
def test_another_word_is_refused_with_both_that_there_are(word):
    for call in (lambda: el.jit(lambda x: x, numerics=word), lambda: el.jit(numerics=word)):
        with pytest.raises(ValueError, match="'exact' or 'fast'") as caught:
            call()
        assert repr(word) in str(caught.value)


def test_the_word_in_all_forms_of_the_decorator():
    @el.jit(numerics="fast", static_argnames="scale")
    def scaled(x, scale):
        return x.sum() * scale

    assert scaled.numerics == "fast" and el.jit(lambda x: x).numerics == "exact"
    assert scaled(el.ones(100), scale=2).item() == 200.0
    assert tuple(NUMERICS) == ("exact", "fast")


# -- right results -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((50_001,), (0,)),
        ((3, 40_000), (1,)),
        ((300, 1000), (1,)),
        ((300, 1000), (0,)),
        ((70, 37), (1,)),
        ((5000, 24), (0,)),
        ((16, 9, 31, 40), (0, 1, 2)),
        ((16, 9, 31, 40), (0, 2)),
        ((8, 33, 700), (0, 2)),
        ((2, 3, 5), (0, 1, 2)),
        ((0, 7), (0,)),
        ((4000, 1), (0,)),
    ],
)
def test_sums(shape, axes):
    x = normal(*shape)
    check(lambda x: x.sum(axes), x.astype(np.float64).sum(axes), x)


def test_sums_of_computed_rows_and_channels():
    x = normal(64, 640)
    wide = x.astype(np.float64)
    weights = np.exp(wide - wide.max(-1, keepdims=True))
    check(lambda x: F.softmax(x, -1), weights / weights.sum(-1, keepdims=True), x)
    centred = wide - wide.mean(-1, keepdims=True)
    expected = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    check(lambda x: F.layer_norm(x, (640,)), expected, x)
    images = normal(8, 20, 24, 24, seed=1)
    expected = images.astype(np.float64).var((0, 2, 3), ddof=1)
    check(lambda x: x.transpose(1, 3).var((0, 1, 2)), expected, images)


def test_largest_and_smallest_need_no_tolerance():
    x = normal(50, 1000)
    x[7, 500], x[9, 3], x[11] = np.nan, -0.0, 0.0
    for function, axis in ((el.max, -1), (el.min, -1), (el.max, 0)):
        fast, exact, _ = both(lambda x, f=function, axis=axis: f(x, axis=axis), x)
        assert fast.tobytes() == exact.tobytes()


@pytest.mark.parametrize(
    ("rows", "depth", "columns"),
    [
        (1, 1, 1),
        (1, 15, 1),
        (1, 2100, 1),
        (1, 1000, 70),
        (1, 100, 33),
        (3, 100, 1),
        (3, 2100, 5),
        (4, 16, 2),
        (4, 999, 70),
        (5, 1000, 33),
        (40, 7, 70),
        (40, 2100, 33),
        (60, 1000, 160),
    ],
)
def test_products(rows, depth, columns):
    x, y = normal(rows, depth), normal(depth, columns, seed=1)
    expected = x.astype(np.float64) @ y.astype(np.float64)
    check(lambda x, y: x @ y, expected, x, y)
    check(lambda x, y: x @ y.mT, expected, x, np.ascontiguousarray(y.T))
    check(lambda x, y: x.mT @ y, expected, np.ascontiguousarray(x.T), y)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16", "int8", "int32"])
@pytest.mark.parametrize("shape", [(1, 300, 1), (1, 300, 65), (4, 129, 9), (30, 1000, 40)])
def test_products_of_other_types(dtype, shape):
    rows, depth, columns = shape
    kind = getattr(el, dtype)
    x, y = (
        el.asarray(np.round(4 * normal(*size, seed=seed), 0 if "int" in dtype else 3)).astype(kind)
        for seed, size in enumerate(((rows, depth), (columns, depth)))
    )
    into = el.int32 if "int" in dtype else el.float64 if dtype == "float64" else el.float32

    def product(x, y):
        return el.matmul(x, y.mT, dtype=into)

    expected = x.astype(el.float64).numpy() @ y.astype(el.float64).numpy().T
    fast = el.jit(product, numerics="fast")(x, y).numpy()
    assert el.jit(product)(x, y).numpy().tobytes() == product(x, y).numpy().tobytes()
    if "int" in dtype:
        assert np.array_equal(fast, expected.astype(np.int32))
    else:
        assert np.abs(fast - expected).max() <= 1e-5 * np.abs(expected).max()


def test_batches_of_dots_and_einsum():
    x, y = normal(6, 1, 500), normal(6, 500, 1, seed=1)
    check(lambda x, y: x @ y, x.astype(np.float64) @ y.astype(np.float64), x, y)
    x, y = normal(9, 4, 200), normal(9, 4, 200, seed=1)
    expected = np.einsum("bhk,bhk->bh", x.astype(np.float64), y.astype(np.float64))
    check(lambda x, y: el.einsum("bhk,bhk->bh", x, y), expected, x, y)


@pytest.mark.parametrize(
    ("channels", "filters", "groups", "stride", "window"),
    [(128, 32, 1, 1, 3), (16, 48, 1, 2, 3), (24, 24, 24, 1, 3), (3, 16, 1, 1, 5)],
)
def test_convolutions_and_their_gradients(channels, filters, groups, stride, window):
    x = normal(3, channels, 14, 14)
    w = normal(filters, channels // groups, window, window, seed=1)

    def wide(function):
        found = function(el.asarray(x.astype(np.float64)), el.asarray(w.astype(np.float64)))
        return found.numpy()

    def run(x, w):
        return F.conv2d(x, w, stride=stride, padding=window // 2, groups=groups)

    def by_image(x, w):
        return el.grad(lambda x: (run(x, w) ** 2).sum())(x)

    def by_kernel(x, w):
        return el.grad(lambda w: (run(x, w) ** 2).sum())(w)

    for function in (run, by_image, by_kernel):
        check(function, wide(function), x, w)


def test_attention_and_its_gradient():
    q, k, v = (normal(2, 3, 90, 16, seed=seed) for seed in range(3))

    def run(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    def backward(q, k, v):
        return el.grad(lambda k: (run(q, k, v) ** 2).sum())(k)

    for function in (run, backward):
        wide = [el.asarray(x.astype(np.float64)) for x in (q, k, v)]
        check(function, function(*wide).numpy(), q, k, v)


def test_open_sizes():
    @el.jit(numerics="fast")
    def run(x, w):
        return (x @ w).sum(0), x.sum(-1), x @ w[:, 0]

    w = normal(600, 40, seed=1)
    for rows in (5, 17, 300, 1, 4, 0):
        x = normal(rows, 600)
        wide = x.astype(np.float64) @ w.astype(np.float64)
        expected = wide.sum(0), x.astype(np.float64).sum(-1), wide[:, 0]
        for found, wanted in zip(run(el.asarray(x), el.asarray(w)), expected, strict=True):
            scale = np.abs(wanted).max(initial=0.0)
            assert np.abs(found.numpy() - wanted).max(initial=0.0) <= 2e-5 * scale
    assert run.compilations == 2  # numbers, then open sizes


# -- training ------------------------------------------------------------------------------------


class Small(nn.Module):
    """A convolution, a norm, a recurrent loop and a head."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.second = nn.Conv2d(16, 16, 3, padding=1)
        self.loop = nn.LSTM(16 * 12, 40, batch_first=True)
        self.head = nn.Linear(40, 5)

    def forward(self, x):
        x = F.relu(self.second(F.relu(self.norm(self.first(x)))))
        rows = x.permute(0, 2, 3, 1).reshape(x.shape[0], 12, 16 * 12)
        return self.head(F.layer_norm(self.loop(rows)[0][:, -1], (40,)))


def losses(numerics, steps=6):
    """The losses of some training steps, and the function that took them."""
    el.manual_seed(0)
    model = Small()
    optimizer = el.optim.AdamW(model.parameters(), lr=0.01)
    x, y = el.asarray(normal(6, 3, 12, 12)), el.asarray(np.arange(6) % 5)

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    taken = step if numerics is None else el.jit(step, numerics=numerics)
    return [taken(x, y).item() for _ in range(steps)], taken


def test_training_steps_live_side_by_side():
    before, _ = losses("exact")
    fast, step = losses("fast")
    again, _ = losses("exact")
    eager, _ = losses(None)
    assert before == again == eager  # to the last bit
    assert step.compilations == 1
    assert np.allclose(fast, before, rtol=2e-3) and fast[-1] < fast[0]


def test_gradients_through_a_fast_function():
    x, w = el.asarray(normal(40, 900)), el.asarray(normal(900, 30, seed=1))
    w.requires_grad_()
    found = {}
    for word in NUMERICS:
        w.grad = None
        el.jit(lambda x, w: F.tanh(x @ w / 30.0).sum(0), numerics=word)(x, w).sum().backward()
        found[word] = w.grad.numpy()
    w.grad = None
    F.tanh(x @ w / 30.0).sum(0).sum().backward()
    assert found["exact"].tobytes() == w.grad.numpy().tobytes()
    assert np.abs(found["fast"] - found["exact"]).max() <= 2e-5 * np.abs(found["exact"]).max()


# -- which program is fast -----------------------------------------------------------------------


def texts(function, *operands, numerics):
    return el.jit(function, numerics=numerics).lower(*operands).llvm


def test_an_inner_function_is_part_of_the_outer_program():
    x = el.asarray(normal(20, 1100))

    def total(x):
        return (x @ x.mT).sum(-1)

    for outer in NUMERICS:
        plain = texts(total, x, numerics=outer)
        for inner in NUMERICS:
            nested = el.jit(total, numerics=inner)
            assert texts(lambda x, f=nested: f(x), x, numerics=outer) == plain
    inside = el.jit(lambda x: el.jit(total, numerics="fast")(x))
    assert inside(x).numpy().tobytes() == total(x).numpy().tobytes()


def test_bodies_of_loops_are_fast_too():
    x = el.asarray(normal(8, 1000))

    def run(x):
        return el.fori_loop(0, 3, lambda i, v: v - v.sum(-1, keepdims=True) / 1000, x)

    assert texts(run, x, numerics="fast") != texts(run, x, numerics="exact")
    check(run, (lambda v: v - v.mean(-1, keepdims=True))(x.numpy().astype(np.float64)), x.numpy())


def test_kernels_that_add_nothing_are_the_same():
    x = el.asarray(normal(40, 50))
    for function in (lambda x: el.exp(x) * 2 + x.mT.sum() * 0, lambda x: x.mT + 1.0):
        kernels = {
            word: {
                line.split()[2].split("(")[0]
                for line in texts(function, x, numerics=word).splitlines()
                if line.startswith("define void @map")
            }
            for word in NUMERICS
        }
        assert kernels["exact"] and kernels["exact"] == kernels["fast"]


def test_user_products_and_sums_are_not_contracted():
    """Rules 1 and 2 hold: only the order of sums is free."""
    x = el.asarray(normal(7, 1000))
    for function in (lambda x: x * x + x, lambda x: el.exp(x) * el.sin(x) - x):
        fast, exact, _ = both(function, x.numpy())
        assert fast.tobytes() == exact.tobytes()
    for text in (texts(lambda x: (x * x + x).sum(-1), x, numerics="fast"),):
        assert not any(word in text for word in ("reassoc", "contract ", "fast "))


def graph_of(length, nodes):
    builder = Builder(capture_source=False)
    x = value = builder.input(TensorType(dtypes.float32, (4, length)))
    for _ in range(nodes):
        value = builder.f.exp(value)
    return builder.graph([builder.f.sum(builder.f.multiply(value, x), axes=(1,))], "main")


def test_keys_of_plans_and_names_of_kernels_differ(monkeypatch, tmp_path):
    graph = graph_of(1000, LEAST_NODES)
    monkeypatch.setattr(
        "elinvar.runtime.plans.settings",
        type("Settings", (), {"verify": False, "cache_dir": tmp_path})(),
    )
    keys = {plan_key(graph, None, (), 512, numerics) for numerics in (EXACT, FAST)}
    assert len(keys) == 2 and None not in keys
    small = graph_of(1000, 1)
    names = [{step.name for step in compile_graph(small, numerics=word).steps} for word in NUMERICS]
    assert names[0].isdisjoint(names[1])


def test_the_default_of_the_compiler_is_exact():
    graph, x = graph_of(1000, 1), normal(4, 1000)
    results = [
        run_bound(compile_graph(graph, **given).bind(), [stored(x, dtypes.float32)])[0].tobytes()
        for given in ({}, {"numerics": "exact"}, {"numerics": "fast"})
    ]
    assert results[0] == results[1]


def test_exported_programs_are_exact(tmp_path):
    function, x = el.jit(lambda x: (x @ x.mT).sum(-1), numerics="fast"), normal(5, 1000)
    made = el.export_native(function, "f32[5,1000]", "host", tmp_path / "total")
    found = el.load_native(made.object)(el.asarray(x)).numpy()
    assert found.tobytes() == el.jit(function.function)(el.asarray(x)).numpy().tobytes()
