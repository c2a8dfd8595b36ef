"""One program for every size: el.jit with named sizes, given or inferred, and the bits it has."""

import logging
import os
import subprocess
import sys

import numpy as np
import pytest
from compiled import run_compiled, same_bits

import elinvar as el
import elinvar.nn.functional as F
from elinvar import nn
from elinvar.core import dtypes, tree
from elinvar.core.errors import DTypeError, ShapeError, TraceError, ValueRangeError
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType, parse_type
from elinvar.graph.ir import Builder
from elinvar.runtime.compile import compile_graph

B, T = el.Dim("B"), el.Dim("T")
SIZES = [*range(150), *range(150, 1000, 17)]  # 200 of them


def bits(found):
    """Shapes and bits of all tensors in a tree; NaN is NaN."""
    arrays = [np.array(leaf.numpy()) for leaf in tree.flatten(found)[0]]
    for array in arrays:
        if array.dtype.kind == "f":
            array[np.isnan(array)] = np.nan
    return [(array.shape, array.dtype.name, array.tobytes()) for array in arrays]


def numbers(kind, sizes, seed=0):
    """An array of a type such as f32[B,3]; indices are below 5."""
    rng = np.random.default_rng(seed)
    kind = parse_type(kind)
    shape = [dim if isinstance(dim, int) else dim.evaluate(sizes) for dim in kind.shape]
    if kind.dtype.kind == "i":
        return el.asarray(rng.integers(0, 5, shape))
    return el.asarray(rng.standard_normal(shape).astype(np.float32))


# 200 sizes, one compilation


def mlp():
    return nn.Sequential(nn.Linear(6, 9), nn.GELU(), nn.Dropout(0.2), nn.Linear(9, 5))


def cnn():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 3, 3, stride=2), nn.AvgPool2d(1), nn.Flatten(), nn.Linear(3, 5),
    )  # fmt: skip


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.layer = kind(3, 5, batch_first=True)

    def forward(self, x):
        return self.layer(x)[0].reshape(-1, 5)


class GPT(nn.Module):
    """Attention, layer norm, embeddings, places that are counted."""

    def __init__(self):
        super().__init__()
        self.token, self.place = nn.Embedding(5, 8), nn.Embedding(1000, 8)
        self.norm, self.qkv, self.out = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 5)

    def forward(self, x):
        batch, length = x.shape
        h = self.token(x) + self.place(el.arange(length))
        q, k, v = self.qkv(self.norm(h)).reshape(batch, length, 3, 2, 4).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(h + mixed.transpose(1, 2).reshape(batch, length, 8))


def classes(model, x, y):
    return F.cross_entropy(model(x), y.reshape(-1))


def next_tokens(model, x):
    logits = model(x[:, :-1])
    return F.cross_entropy(logits.reshape(-1, 5), x[:, 1:].reshape(-1))


STEPS = {
    "mlp": (mlp, classes, ("f32[B,6]", "i64[B]")),
    "cnn": (cnn, classes, ("f32[B,2,6,6]", "i64[B]")),
    "lstm": (lambda: Recurrent(nn.LSTM), classes, ("f32[B,T,3]", "i64[B,T]")),
    "gru": (lambda: Recurrent(nn.GRU), classes, ("f32[B,T,3]", "i64[B,T]")),
    "gpt": (GPT, next_tokens, ("i64[B,T]",)),
}
FEW = {"mlp": SIZES, "cnn": SIZES[1:40], "lstm": SIZES[:30], "gru": SIZES[:30], "gpt": SIZES[1:60]}


def sizes_of(name, n):
    """B and T for the n-th call; 1 and 2 among them in all pairs."""
    if name == "mlp" or name == "cnn":
        return {"B": n}
    return {"B": n % 4 if name != "gpt" else n % 3 + 1, "T": n if name == "gpt" else n % 11}


def trained(name, wrap, sizes):
    """The bits of all losses and parameters of some training steps, and the compiled step."""
    make, loss_of, kinds = STEPS[name]
    el.manual_seed(1)
    model = make()
    optimizer = el.optim.AdamW(model.parameters(), lr=0.01)

    def step(*args):
        optimizer.zero_grad()
        loss = loss_of(model, *args)
        loss.backward()
        optimizer.step()
        return loss

    run = wrap(step)
    losses = [run(*(numbers(kind, size) for kind in kinds)) for size in sizes]
    return bits([losses, list(model.state_dict().values())]), run


def with_specs(name):
    kinds = STEPS[name][2]
    return lambda step: el.jit(step, specs=kinds)


@pytest.mark.slow
@pytest.mark.parametrize("name", STEPS)
def test_training_steps_of_many_sizes_are_one_program(name):
    _, run = trained(name, with_specs(name), [sizes_of(name, n) for n in FEW[name]])
    assert run.compilations == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", STEPS)
def test_training_steps_have_the_bits_of_known_sizes(name):
    """The program for all sizes, one for each size, and eager code."""
    few = {"mlp": (3, 1, 2, 300), "cnn": (3, 1), "gpt": (2, 3, 9)}.get(name, (5, 1, 2, 13))
    sizes = [sizes_of(name, n) for n in few]
    symbolic, run = trained(name, with_specs(name), sizes)
    assert run.compilations == 1
    assert symbolic == trained(name, lambda step: el.jit(step, infer_dims=False), sizes)[0]
    assert symbolic == trained(name, lambda step: step, sizes)[0]


FUNCTIONS = {
    "pooling": (lambda x: F.max_pool1d(x.mean(1)[:, None], 3, 1, 1), "f32[B,3,T]"),
    "random": (lambda x: (el.rand(x.shape) + x, el.randn(x.shape[1], 3)), "f32[B,T]"),
    "scan": (lambda x: el.scan(lambda c, v: (c * 0.5 + v, c), el.zeros(x.shape[0]), x.mT), "f32[B,T]"),
    "while": (lambda x: el.while_loop(lambda s: s[0] < x.shape[1], lambda s: (s[0] + 1, s[1] * 1.5), (el.asarray(0), x)), "f32[B,T]"),
    "fori": (lambda x: el.fori_loop(0, x.shape[0], lambda i, c: c * 0.9 + i, x), "f32[B,T]"),
    "grad": (lambda x: el.grad(lambda v: (F.softmax(v, -1) * v.tanh()).sum() / v.shape[0])(x), "f32[B,7]"),
    "means": (lambda x: (x.mean(0), x.std(1, correction=0), F.normalize(x, dim=0)), "f32[B,T]"),
    "dims": (lambda x: (x * x.shape[0] - x.shape[1], x / (2 * x.shape[1]), x.shape[0] - x), "f32[B,T]"),
    "shapes": (lambda x: (x.reshape(-1).reshape(-1, x.shape[1]), el.concat([x, x[:, :]], axis=1), el.tile(x, (2, 1))), "f32[B,T]"),
    "order": (lambda x: (el.sort(x, axis=0), el.argsort(x, axis=1), el.cumulative_sum(x, axis=1)), "f32[B,T]"),
    "turns": (lambda x: (el.roll(x, 3, axis=1), el.roll(x, -2, axis=0), el.flip(x), el.tril(x)), "f32[B,T]"),
    "searched": (lambda x: el.searchsorted(x.reshape(-1), x, side="right"), "f32[B,T]"),
    "padded": (lambda x: [F.pad(x, (2, 1), mode=mode) for mode in ("reflect", "circular", "replicate")], "f32[B,T]"),
    "upsampled": (nn.Upsample(scale_factor=2), "f32[B,2,T,3]"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_many_sizes(name):
    function, kind = FUNCTIONS[name]
    run = el.jit(function, specs=kind)
    least = 1 if name in ("pooling", "means", "shapes", "upsampled") else 0
    if name == "padded":
        least = 3
    for n in range(200):
        el.manual_seed(n)
        sizes = {"B": max(least, n % 13), "T": max(least, n // 5)}
        found = run(numbers(kind, sizes))
        if n in (0, 1, 5, 7, 14, 100):
            el.manual_seed(n)
            assert bits(found) == bits(function(numbers(kind, sizes)))
            el.manual_seed(n)
            known = el.jit(function, infer_dims=False)
            assert bits(found) == bits(known(numbers(kind, sizes)))
    assert run.compilations == 1


# the order of sums where dims are 1


def reduction(name, shape, axes, form):
    builder = Builder(capture_source=False)
    f = builder.f
    x = builder.input(TensorType(dtypes.float32, shape))
    reduce = getattr(f, name)
    if form == "plain":
        return builder.graph([reduce(x, axes=axes)], "main")
    if form == "turned":
        turned = f.permute(x, axes=tuple(reversed(range(len(shape)))))
        axes = tuple(sorted(len(shape) - 1 - axis for axis in axes))
        return builder.graph([reduce(turned, axes=axes)], "main")
    ones = tuple(1 if axis in axes else n for axis, n in enumerate(shape))

    def spread(row):
        return f.broadcast(f.reshape(row, shape=ones), shape=shape)

    centered = f.subtract(x, spread(reduce(x, axes=axes)))
    spreading = f.sum(f.multiply(centered, centered), axes=axes)
    return builder.graph([f.divide(centered, spread(spreading)), spreading], "main")


CASES = [
    ((600, 1), (0,)), ((1, 600), (1,)), ((600, 1, 1), (0,)), ((600, 5, 1), (0, 2)), ((40, 1, 600), (0, 2)),
    ((5, 600, 1), (0, 1)), ((600, 1, 7), (0, 1)), ((2, 1, 600, 1), (1, 2)), ((3, 300, 1, 1), (1, 3)),
    ((5, 300, 3, 1), (0, 1, 3)), ((300, 1, 17, 1), (0, 1)), ((1, 20000, 1), (1,)), ((70000, 1), (0,)),
    ((300, 300, 1), (0, 1)), ((1, 1), (0,)), ((0, 1), (0,)), ((1, 0), (0,)), ((1, 2, 1), (0, 1, 2)),
]  # fmt: skip


@pytest.mark.parametrize("form", ["plain", "turned", "fused"])
@pytest.mark.parametrize("shape,axes", CASES)
def test_order_of_sums_where_symbolic_dims_are_one(shape, axes, form):
    rng = np.random.default_rng(sum(shape))
    x = (rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 4, shape)).astype(np.float32)
    names = tuple(Dim("ABCD"[axis]) for axis in range(len(shape)))
    halves = tuple(name if n < 3 else n for name, n in zip(names, shape, strict=True))
    sizes = {str(name): n for name, n in zip(names, shape, strict=True)}
    known = run_compiled(reduction("sum", shape, axes, form), [x])
    before = el.get_num_threads()
    try:
        for threads in (1, 2):
            el.set_num_threads(threads)
            for dims in (names, halves):
                found = run_compiled(reduction("sum", dims, axes, form), [x], sizes)
                assert all(same_bits(a, b) for a, b in zip(found, known, strict=True))
    finally:
        el.set_num_threads(before)


@pytest.mark.parametrize("name", ["max", "min", "prod", "any", "all"])
def test_other_reductions_where_symbolic_dims_are_one(name):
    special = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1.5, -2.5], np.float32)
    x = np.random.default_rng(0).choice(special, (40, 1, 30, 1))
    if name in ("any", "all"):
        x = x > 0
    kind = dtypes.bool_ if name in ("any", "all") else dtypes.float32
    sizes = dict(zip("ABCD", x.shape, strict=True))
    for axes in ((0,), (2,), (0, 2), (0, 3), (1, 2, 3), (0, 1, 2, 3)):
        found = []
        for shape in (x.shape, tuple(Dim(name) for name in "ABCD")):
            builder = Builder(capture_source=False)
            value = builder.input(TensorType(kind, shape))
            graph = builder.graph([getattr(builder.f, name)(value, axes=axes)], "main")
            found += run_compiled(graph, [x], sizes)
        assert same_bits(*found)


def test_only_kernels_whose_order_may_change_hold_a_second_way():
    """Which one they need follows from the axes and the ranges of the sizes."""
    A, C = Dim("A"), Dim("C")
    large = [Dim(name, min=2) for name in "ABC"]
    for shape, axes, expected in (
        ((A, C), (0,), True), ((A, C), (1,), False), ((A, 8), (0,), False), ((A, B, C), (0, 2), True),
        ((A, 8, C), (0, 2), True), ((A, 8, 16), (0, 2), False), ((A, B, 8), (0, 1), False), (large, (0, 2), False),
        (large[:2], (0,), False), ((large[0] - 1, 8, large[1] - 1), (0, 2), True),
    ):  # fmt: skip
        text = compile_graph(reduction("sum", tuple(shape), axes, "plain")).llvm()
        assert ("%lane" in text) == expected, (shape, axes)


def test_gradient_of_cumprod_is_one_formula():
    def run(x):
        return el.grad(lambda v: (el.cumulative_prod(v, axis=1) ** 2).sum())(x)

    for n in (1, 2, 5, 33):
        x = numbers("f32[3,n]", {"n": n})
        found = [bits(wrap(x)) for wrap in (run, el.jit(run), el.jit(run, specs="f32[3,n]"))]
        assert found[0] == found[1] == found[2]


# inference


def test_two_sizes_make_one_program_for_all(caplog):
    caplog.set_level(logging.INFO, "elinvar")
    run = el.jit(lambda x, y: (x @ y).sum(0))
    for n in (3, 5, 0, 1, 200):
        x, y = el.ones((n, 4)), el.ones((4, 2))
        assert bits(run(x, y)) == bits((x @ y).sum(0))
    assert run.compilations == 2
    (record,) = caplog.records
    text = record.getMessage()
    assert "one program for all sizes of x: f32[n0,4]; " in text and "infer_dims=False" in text


def test_the_log_goes_to_stderr_where_the_environment_says_so():
    program = "import elinvar as el; f = el.jit(lambda x: x + 1); [f(el.ones(n)) for n in (2, 3)]"
    for level, said in (("info", True), ("warning", False)):
        environment = os.environ | {"ELINVAR_LOG": level}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert ("[elinvar] <lambda>: one program for all sizes of x: f32[n0]" in done.stderr) == said


def test_methods():
    class Scaled:
        @el.jit(specs=(None, "f32[B,2]"))
        def run(self, x):
            return x * self.by

    two = Scaled()
    two.by = el.asarray(2.0)
    assert [two.run(el.ones((n, 2))).shape for n in (0, 1, 3)] == [(0, 2), (1, 2), (3, 2)]
    assert Scaled.run.compilations == 1


def test_inference_can_be_turned_off(caplog):
    caplog.set_level(logging.INFO, "elinvar")
    run = el.jit(lambda x: x.sum(), infer_dims=False)
    for n in (3, 5, 0, 1):
        run(el.ones(n))
    assert run.compilations == 4 and not caplog.records


def test_sizes_that_changed_alike_by_chance():
    run = el.jit(lambda x, y: (x.sum(), y.sum(), el.outer(x, y)))
    for a, b in ((3, 3), (4, 4), (5, 5), (3, 4), (4, 1), (0, 7)):
        x, y = numbers("f32[a]", {"a": a}), numbers("f32[b]", {"b": b})
        assert bits(run(x, y)) == bits(run.function(x, y))
    assert run.compilations == 3


def test_a_size_of_one_that_broadcasts():
    run = el.jit(lambda x, y: x + y)
    for a, b in ((3, 1), (5, 1), (5, 5), (6, 6), (7, 1), (1, 7)):
        x, y = numbers("f32[a]", {"a": a}), numbers("f32[b]", {"b": b})
        assert bits(run(x, y)) == bits(x + y)
    with pytest.raises(ShapeError, match=r"\[add\] shapes \[3\] and \[4\] cannot be broadcast: 3 ≠ 4"):
        run(el.ones(3), el.ones(4))


def test_the_reason_why_sizes_are_numbers_is_said_once(caplog):
    caplog.set_level(logging.INFO, "elinvar")
    run = el.jit(lambda x: sum(x[i] for i in range(x.shape[0])))
    for n in (2, 3, 4, 5, 6, 7):
        run(el.ones(n))
    (record,) = caplog.records
    assert "compiled one by one, as numbers: [<lambda>] a size that changes" in record.getMessage()
    assert run.compilations == 6


def test_sizes_that_one_program_refuses_have_their_own():
    run = el.jit(lambda x: x[1:] * x[:-1])
    for n in (4, 6, 0, 1, 9):
        assert bits(run(el.ones(n))) == bits(run.function(el.ones(n)))
    assert run.compilations == 3  # the first one, all others, 0


# specifications


def test_lower_needs_no_arguments():
    specs = (el.TensorSpec((2 * B, 3)), {"w": "f32[3,T]"})
    shown = el.jit(lambda x, p: (x @ p["w"])[1:], specs=specs).lower()
    assert "(%0: f32[2*B,3], %1: f32[3,T])" in shown.graph and "f32[2*B-1,T]" in shown.graph


def test_static_arguments_and_captured_tensors():
    w = el.ones(3)
    specs = ("f32[B,3]", None)
    run = el.jit(lambda x, up: x * w if up else x / w, specs=specs, static_argnames="up")
    for n in (0, 1, 2, 5):
        assert run(el.ones((n, 3)), True).shape == (n, 3)
    assert run.compilations == 1
    run(el.ones((4, 3)), up=False)
    assert run.compilations == 2
    w.assign(2.0 * w)
    assert run(el.ones((1, 3)), True).tolist() == [[2, 2, 2]]
    assert run.compilations == 2


def test_gradients_through_a_program_for_all_sizes():
    run = el.jit(lambda x: (x * x).mean(0), specs="f32[B,2]")
    for n in (1, 3):
        x = el.ones((n, 2))
        x.requires_grad_()
        run(x).sum().backward()
        assert x.grad.tolist() == [[np.float32(2 / n)] * 2] * n
    assert run.compilations == 1


LENGTH = el.Dim("length", min=1, max=512)
SPECS = {
    "x": el.TensorSpec((el.Dim("batch"), LENGTH)),
    "y": el.TensorSpec((LENGTH, 3)),
    "z": el.TensorSpec(2 * el.Dim("half")),
}


@pytest.mark.parametrize(
    "change, kind, text",
    [
        ({"y": (4, 3)}, ShapeError, r"'y', axis 0: length = 4, but argument 'x', axis 1 has length = 5"),
        ({"x": (2, 600), "y": (600, 3)}, ShapeError, r"'x', axis 1: length = 600 is out of its range 1 ≤ length ≤ 512"),
        ({"x": (2, 0), "y": (0, 3)}, ShapeError, r"length = 0 is out of its range"),
        ({"y": (5, 4)}, ShapeError, r"'y', axis 1: expected 3, received 4 in f32\[length,3\] and \[5,4\]"),
        ({"y": (5,)}, ShapeError, r"'y': expected f32\[length,3\], received f32\[5\]: 2 ≠ 1 dimensions"),
        ({"z": (7,)}, ShapeError, r"'z', axis 0: no half gives 2\*half = 7"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit(change, kind, text):
    run = el.jit(lambda x, y, z: (x @ y, z), specs=tuple(SPECS.values()))
    shapes = {"x": (2, 5), "y": (5, 3), "z": (4,)}
    run(*(el.ones(shape) for shape in shapes.values()))
    with pytest.raises(kind, match=r"\[<lambda>\] argument " + text if "'" in text else text):
        run(*(el.ones(shape) for shape in (shapes | change).values()))
    assert run.compilations == 1


def test_other_bad_arguments():
    run = el.jit(lambda x, y=1.0: x["a"] * y, specs=({"a": "f32[B]"}, "f32[]"))
    assert run({"a": el.ones(2)}, 3.0).tolist() == [3, 3]
    assert run({"a": el.ones(0)}, y=3.0).tolist() == []
    for args, kind, text in (
        (({"a": el.ones(2, dtype=el.int32)}, 1.0), DTypeError, r"'x'\['a'\]: expected f32\[B\], received i32\[2\]"),
        (({"a": el.ones(2)}, 1), DTypeError, r"'y': expected f32\[\], received i64\[\]"),
        (({"a": el.ones(2)}, "up"), DTypeError, r"'y': expected f32\[\], received str"),
        (({"b": el.ones(2)}, 1.0), DTypeError, r"'x': expected \['a'\] inside, received dict with \['b'\]"),
        ((el.ones(2), 1.0), DTypeError, r"'x' is an input without a specification"),
        (({"a": el.ones(2)},), ValueRangeError, r"'y' has a specification and was not given"),
    ):  # fmt: skip
        with pytest.raises(kind, match=text):
            run(*args)


def test_errors_that_name_two_dims():
    for function, text in (
        (lambda x, y: x + y, r"\[add\] shapes \[3,B\] and \[3,T\] cannot be broadcast: B ≠ T"),
        (lambda x, y: x @ y.mT, r"\[matmul\] inner dimensions differ: .*, B ≠ T"),
        (lambda x, y: el.concat([x, y]), r"\[concat\] .*f32\[3,B\] and f32\[3,T\], B ≠ T"),
        (lambda x, y: el.stack([x, y]), r"\[stack\] .*f32\[3,B\] and f32\[3,T\], B ≠ T"),
        (lambda x, y: x.reshape(y.shape), r"\[reshape\] sizes differ: .*, 3\*B ≠ 3\*T"),
    ):
        with pytest.raises(ShapeError, match=f"(?s){text}.*hint: .*let one `el.Dim` stand for both"):
            el.jit(function, specs=("f32[3,B]", "f32[3,T]")).lower()


def test_shares_of_products():
    C = el.Dim("C")
    assert (B * T * 6) // (2 * T) == 3 * B and (B * B - 1) // (B - 1) == B + 1
    whole = (B * T - 2 * T + C) * (3 * T - B + 1) * (C - 4)
    assert whole // (C - 4) // (B * T - 2 * T + C) == 3 * T - B + 1
    assert whole // whole == 1 and whole % (3 * T - B + 1) == 0 and divmod(4 * T, 2) == (2 * T, 0)
    for dim, divisor in ((B, 2), (3 * B, 2 * B), (B * T, C), (B + 1, B), (B, B * T), (T, 0), (B * B + 1, B - 1)):
        with pytest.raises(ShapeError, match="is not known to be divisible by"):
            dim // divisor
    shown = el.jit(lambda x: x[:, 1:].reshape(-1).reshape(x.shape[1] - 1, -1), specs="f32[B,T]").lower()
    assert "f32[T-1,B]" in shown.graph
    text = r"\[reshape\] f32\[3,B\] does not fit into \[2,-1\]: 3\*B elements are not known to be divisible by 2"
    with pytest.raises(ShapeError, match=text):
        el.jit(lambda x: x.reshape(2, -1), specs="f32[3,B]").lower()


def test_names_in_other_letters():
    run = el.jit(lambda x: (x * 2.0).sum(0), specs=el.TensorSpec((el.Dim("länge"), 3)))
    assert run(el.ones((4, 3))).tolist() == [8, 8, 8] and "f32[länge,3]" in run.lower().graph


def test_sizes_that_are_needed_as_numbers():
    for function in (
        lambda x: [x[i] for i in range(x.shape[0])],
        lambda x: x / x.shape[0] ** 0.5,
        lambda x: x if x.shape[0] > 3 else -x,
        lambda x: el.linspace(0.0, 1.0, x.shape[0]),
        lambda x: float(x.shape[0]) * x,
    ):
        with pytest.raises(TraceError, match=r"(?s)(size|B > 3).*hint: "):
            el.jit(function, specs="f32[B]").lower()
    with pytest.raises(TraceError, match=r"at test_symbolic_dims.py:\d+ in <lambda>: el.jit\(lambda"):
        el.jit(lambda x: range(x.shape[0]), specs="f32[B]").lower()


def test_ranges_decide_comparisons():
    run = el.jit(lambda x: x[1:] if x.shape[0] >= 1 else x, specs=el.TensorSpec(LENGTH))
    assert run(el.ones(3)).shape == (2,)
    assert LENGTH <= 512 and not LENGTH > 512 and LENGTH * 2 >= 2 and LENGTH - 1 >= 0
    assert (LENGTH + B) * T >= 0 and 2 * LENGTH > LENGTH and -LENGTH < 0
    assert (LENGTH - 600) < 0 and LENGTH**2 >= 1
    for compare in (lambda: LENGTH > 5, lambda: B < T, lambda: B - 1 >= 0):
        with pytest.raises(TraceError, match=r"whether .* depends on the sizes of the call"):
            compare()


def test_impossible_sizes():
    pairs = el.jit(lambda x: x[1:] - x[:-1], specs="f32[T]")
    assert pairs(el.ones(1)).shape == (0,)
    with pytest.raises(ShapeError, match=r"a size is negative: T-1 = -1 where T = 0"):
        pairs(el.ones(0))
    largest = el.jit(lambda x: el.max(x, axis=0), specs="f32[B,2]")
    assert largest(el.ones((1, 2))).tolist() == [1, 1]
    with pytest.raises(ShapeError, match=r"\[max\] axes \(0,\) of f32\[0,2\] hold no element .* where B = 0"):
        largest(el.ones((0, 2)))
    large = el.broadcast_to(el.zeros((), dtype=el.int8), (1 << 33,))
    outer = el.jit(lambda x, y: el.sum(x[:, None] * y), specs=("i8[B]", "i8[T]"))
    with pytest.raises(ShapeError, match=r"i8\[B,T\] would have 73786976294838206464 bytes where B = 8589934592, T"):
        outer(large, large)
    assert pairs.compilations == largest.compilations == outer.compilations == 1


def test_what_operations_refuse_is_refused_for_all_sizes():
    """What a trace with numbers would say when it meets the size, with the line of the operation."""
    first = el.jit(lambda x: x[:, 0] + x[:, -1], specs="f32[B,T]")
    assert first(el.ones((2, 1))).tolist() == [2, 2]
    with pytest.raises(ShapeError, match=r"(?s)\[slice\] .* where B = 2, T = 0\n  at test_symbolic_dims.py:\d+ in <lambda>"):
        first(el.ones((2, 0)))
    windows = el.jit(lambda x, w: F.conv1d(x, w), specs=("f32[B,1,T]", "f32[1,1,3]"))
    with pytest.raises(ShapeError, match=r"a size is negative: T-2 = -1 where T = 1"):
        windows(el.ones((2, 1, 1)), el.ones((1, 1, 3)))
    best = el.jit(lambda x: el.topk(x, 2).values, specs="f32[T]")
    assert best(el.arange(2.0)).tolist() == [1, 0]
    with pytest.raises((ShapeError, ValueRangeError), match=r"\[top_k\] .* where T = 1"):
        best(el.ones(1))
    norm = el.jit(nn.BatchNorm1d(3), specs="f32[B,3]")
    assert norm(el.ones((2, 3))).shape == (2, 3)
    text = r"\[batch_norm\] expected more than one value per channel, received f32\[B,3\] where B = 1"
    with pytest.raises(ShapeError, match=text):
        norm(el.ones((1, 3)))
    padded = el.jit(lambda x: F.pad(x, (3, 0), mode="reflect"), specs="f32[T]")
    assert padded(el.arange(4.0)).tolist() == [3, 2, 1, 0, 1, 2, 3]
    for n in (0, 3):
        with pytest.raises(ShapeError, match=rf"(?s)\[slice\] .* where T = {n}\n"):
            padded(el.ones(n))
    fifth = el.jit(lambda x: (x[4], x[-5], x[:3]), specs=el.TensorSpec(el.Dim("n", min=5)))
    assert [y.tolist() for y in fifth(el.arange(6.0))] == [4, 1, [0, 1, 2]]
    with pytest.raises(ShapeError, match=r"(?s)index 4 is not known to lie within axis 0 .*hint: give a range \(`el.Dim"):
        el.jit(lambda x: x[4], specs="f32[n]").lower()


def test_faults_of_sizes_zero_and_one():
    """A key of random numbers is read as a whole; a product without columns has an end, too."""
    draw = el.jit(lambda x: (el.rand(x.shape), el.randn(x.shape[0], 3), el.randint(0, 9, x.shape)))
    assert [y.shape for y in draw(el.ones((2, 1)))] == [(2, 1), (2, 3), (2, 1)]
    x = el.ones((0, 0, 8))
    assert el.jit(lambda x: el.grad(lambda v: ((v @ v.mT) ** 2).sum())(x))(x).shape == x.shape


def test_sums_of_negative_zeros():
    """-0 + x is x: a sum over an axis of size 1 changes nothing, so leaving it out changes nothing."""
    run = el.jit(lambda x: (x.sum(0), x.sum(1), x.sum(), x.cumsum(1)), specs="f32[B,T]")
    for shape in ((1, 1), (2, 1), (1, 2), (3, 0), (0, 3), (700, 2), (2, 700), (1, 70000), (70000, 1)):
        x = el.asarray(np.full(shape, -0.0, np.float32))
        found = run(x)
        assert bits(found) == bits(run.function(x))
        assert np.signbit(found[2].item()) == (0 not in shape)
        assert np.all(np.signbit(found[0].numpy()) == (shape[0] > 0))

    def gradients(x, w, v):
        def product(w, v):
            return (x * w * v * -0.0).sum()

        return el.grad(product, argnums=(0, 1))(w, v)

    repeated = el.jit(gradients, specs=("f32[B,T]", "f32[1,T]", "f32[B,1]"))
    for b, t in ((1, 1), (1, 3), (3, 1), (2, 2)):
        args = el.ones((b, t)), el.ones((1, t)), el.ones((b, 1))
        assert bits(repeated(*args)) == bits(gradients(*args))


def test_python_asks_whether_inferred_sizes_are_equal() -> None:
    """The call at hand decides, and each answer has a program: no size is taken for another."""
    sizes = (2, 3, 4, 3, 5)
    cases = [
        lambda x: x * 100 if x.shape[0] == 3 else x,
        lambda x: x if x.shape[0] != 3 else x * 100,
        lambda x: x * 100 if x.shape == (3,) else x,
        lambda x: x * 100 if 3 == x.shape[0] else x,
        lambda x: x * 100 if x.size in (1, 3) else x,
        lambda x: x * 100 if x.shape[0] + 1 == 4 else x,
    ]
    for function in cases:
        run = el.jit(function)
        assert [run(el.ones(n))[0].item() for n in sizes] == [1, 100, 1, 100, 1]
        assert run.compilations <= 4
    fits = el.jit(lambda x, y: x + y if x.shape[0] == y.shape[0] else x - y[:1])
    calls = ((2, 3), (3, 4), (4, 4), (3, 5), (5, 5))
    assert [fits(el.ones(n), el.ones(m))[0].item() for n, m in calls] == [0, 0, 2, 0, 2]
    never = el.jit(lambda x: x * 2 if x.shape[0] + 1 == 0 else x)
    assert [never(el.ones(n)).sum().item() for n in sizes] == list(sizes)
    assert never.compilations == 2
