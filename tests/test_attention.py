"""Attention: against numpy over masks, heads and lengths; the same bits however it is cut; memory.

Its gradients to order two, its batching, its texts and its threads are tested with all records.
"""

import itertools
import math

import numpy as np
import pytest
from compiled import run_bound, run_compiled, same_bits

import elinvar as el
import elinvar.nn.functional as F
from elinvar.codegen import lower_attention, lowering
from elinvar.core.dtypes import float32, float64
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder
from elinvar.ops.table import BY_NAME
from elinvar.runtime import compile
from elinvar.runtime.compile import compile_graph

NAN = float("nan")


def random(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(dtype)


def operands(batch, heads, shared, rows, keys, depth, width, dtype=np.float32):
    return (
        random(batch, heads, rows, depth, dtype=dtype),
        random(batch, shared, keys, depth, seed=1, dtype=dtype),
        random(batch, shared, keys, width, seed=2, dtype=dtype),
    )


def params(depth, causal=False, offset=0):
    return {"scale": 1 / math.sqrt(depth), "causal": causal, "offset": offset}


def graph_of(name, arrays, given, types=None):
    builder = Builder()
    kinds = {"float32": float32, "float64": float64, "bool": el.bool}
    if types is None:
        types = [TensorType(kinds[a.dtype.name], a.shape) for a in arrays]
    inputs = tuple(builder.input(kind) for kind in types)
    return builder.graph(builder.add(BY_NAME[name], inputs, given))


def attend(arrays, given):
    return run_compiled(graph_of("attention", arrays, given), arrays)


def backward_operands(arrays, given):
    q, k, v, *masks = arrays
    result, log_sum = BY_NAME["attention"].reference(*arrays, **given)
    g = random(*result.shape, seed=7, dtype=q.dtype)
    delta = (g.astype(np.float64) * result).sum(-1).astype(q.dtype)
    return (q, k, v, log_sum, delta, g, *masks)


def pull(arrays, given):
    return run_compiled(graph_of("attention_backward", arrays, given), arrays)


# ---- values -------------------------------------------------------------------------------------

SHAPES = [
    (1, 1, 1, 1, 1, 1, 1), (2, 3, 3, 5, 7, 4, 4), (1, 2, 2, 64, 64, 32, 32), (1, 4, 2, 65, 129, 8, 40),
    (2, 6, 1, 33, 70, 17, 3), (1, 1, 1, 200, 131, 64, 64), (1, 1, 1, 1, 300, 16, 48), (9, 1, 1, 130, 64, 5, 16),
    (1, 2, 1, 9, 1, 7, 2), (1, 1, 1, 17, 19, 300, 33),
]  # fmt: skip


def masks_for(batch, heads, rows, keys):
    """No mask, and masks of both kinds whose dims are repeated in all ways."""
    yield None
    for repeated in itertools.product((False, True), repeat=4):
        shape = tuple(
            1 if r else n for r, n in zip(repeated, (batch, heads, rows, keys), strict=True)
        )
        generator = np.random.default_rng((3, *shape))
        if sum(repeated) % 2:
            yield generator.random(shape) < 0.7
        else:
            added = generator.standard_normal(shape).astype(np.float32)
            added[generator.random(shape) < 0.2] = -np.inf
            yield added


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("causal", [False, True])
def test_values_and_gradients_agree_with_numpy(shape, causal):
    batch, heads, _, rows, keys, depth, _ = shape
    base = operands(*shape)
    choices = list(masks_for(batch, heads, rows, keys))
    small = rows * keys < 100
    for number, mask in enumerate(choices if small else choices[:: 5 if causal else 3]):
        arrays = base if mask is None else (*base, mask)
        given = params(depth, causal, (keys - rows, 0, 3)[number % 3])
        wanted = BY_NAME["attention"].reference(*arrays, **given)
        for found, want in zip(attend(arrays, given), wanted, strict=True):
            np.testing.assert_allclose(found, want, rtol=2e-5, atol=2e-5)
        arrays = backward_operands(arrays, given)
        wanted = BY_NAME["attention_backward"].reference(*arrays, **given)
        for found, want in zip(pull(arrays, given), wanted, strict=True):
            np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-4)


def test_double_precision():
    arrays, given = operands(2, 4, 2, 70, 90, 24, 40, np.float64), params(24, True, 20)
    wanted = BY_NAME["attention"].reference(*arrays, **given)
    for found, want in zip(attend(arrays, given), wanted, strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-13, atol=1e-13)
    arrays = backward_operands(arrays, given)
    wanted = BY_NAME["attention_backward"].reference(*arrays, **given)
    for found, want in zip(pull(arrays, given), wanted, strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [1e4, 1e30])
def test_large_scores_do_not_overflow(size):
    q, k, v = operands(1, 1, 1, 5, 200, 8, 8)
    arrays, given = (q * np.float32(size), k, v), params(8)
    found, log_sum = attend(arrays, given)
    want, _ = BY_NAME["attention"].reference(*arrays, **given)
    assert np.isfinite(found).all() and np.isfinite(log_sum).all()
    np.testing.assert_allclose(found, want, rtol=1e-3, atol=1e-3)


def test_no_keys_and_no_queries():
    for shape in [(2, 2, 1, 5, 0, 4, 3), (2, 2, 1, 0, 5, 4, 3), (0, 2, 2, 5, 5, 4, 3)]:
        arrays, given = operands(*shape), params(4)
        found, log_sum = attend(arrays, given)
        assert not found.any() and np.isneginf(log_sum).all()
        for gradient in pull(backward_operands(arrays, given), given):
            assert not gradient.any()


# ---- bits ---------------------------------------------------------------------------------------


def rows_of(arrays, low, high):
    """The operands with queries low … high - 1 only (of masks, too)."""
    q, k, v, *masks = arrays
    cut = [m if m.shape[2] == 1 else m[:, :, low:high] for m in masks]
    return (q[:, :, low:high], k, v, *cut)


def test_steps_with_a_cache_have_the_bits_of_the_whole():
    """One query after the other, with the keys known by then, lengths 1 … 130."""
    q, k, v = operands(2, 4, 2, 130, 130, 16, 24)
    whole, logs = attend((q, k, v), params(16, True))
    builder = Builder()
    n = Dim("n")
    types = [(2, 4, 1, 16), (2, 2, n, 16), (2, 2, n, 24)]
    inputs = [builder.input(TensorType(float32, shape)) for shape in types]
    compiled = compile_graph(builder.graph(builder.f.attention(*inputs, **params(16))))
    for t in range(130):
        arrays = (q[:, :, t : t + 1], k[:, :, : t + 1], v[:, :, : t + 1])
        bound = compiled.bind({"n": t + 1})
        step, log_sum = run_bound(bound, [np.ascontiguousarray(x) for x in arrays])
        assert same_bits(step, whole[:, :, t : t + 1]), t
        assert same_bits(log_sum, logs[:, :, t : t + 1]), t


@pytest.mark.parametrize("kind", ["none", "bool", "float"])
def test_chunks_of_queries_have_the_bits_of_the_whole(kind):
    arrays = operands(1, 2, 1, 150, 170, 20, 20)
    if kind == "bool":
        arrays = (*arrays, np.random.default_rng(0).random((1, 2, 150, 170)) < 0.5)
    if kind == "float":
        arrays = (*arrays, random(1, 1, 150, 170, seed=5))
    whole, _ = attend(arrays, params(20, True, 20))
    for low, high in [(0, 1), (1, 8), (8, 60), (60, 149), (149, 150)]:
        chunk, _ = attend(rows_of(arrays, low, high), params(20, True, 20 + low))
        assert same_bits(chunk, whole[:, :, low:high])


def test_hidden_keys_are_never_seen():
    """NaN and infinities at hidden keys change nothing, and a mask that hides what causality hides
    gives its bits."""
    q, k, v = operands(1, 2, 2, 150, 150, 16, 16)
    given = params(16, True)
    clean, _ = attend((q, k, v), given)
    spoiled_k, spoiled_v = k.copy(), v.copy()
    spoiled_k[:, :, 100:], spoiled_v[:, :, 100::2], spoiled_v[:, :, 101::2] = NAN, NAN, np.inf
    found, _ = attend((q, spoiled_k, spoiled_v), given)
    assert same_bits(found[:, :, :100], clean[:, :, :100])
    assert np.isnan(found[:, :, 101:]).all()
    seen = np.tri(150, dtype=bool)[None, None]
    assert same_bits(attend((q, k, v, seen), params(16))[0], clean)
    added = np.where(seen, np.float32(0), -np.float32(np.inf))
    assert same_bits(attend((q, k, v, added), params(16))[0], clean)
    first = np.broadcast_to(np.arange(150) < 100, (1, 1, 1, 150))
    short, _ = attend((q, k[:, :, :100], v[:, :, :100]), params(16))
    assert same_bits(attend((q, spoiled_k, spoiled_v, first), params(16))[0], short)


def test_gradients_do_not_see_hidden_keys():
    q, k, v = operands(1, 2, 1, 150, 150, 16, 16)
    given = params(16, True)
    arrays = backward_operands((q, k, v), given)
    clean = pull(arrays, given)
    seen = np.tri(150, dtype=bool)[None, None]
    for found, want in zip(pull((*arrays, seen), params(16)), clean, strict=True):
        assert same_bits(found, want)
    q, k, v, log_sum, delta, g = arrays
    spoiled_k, spoiled_v = k.copy(), v.copy()
    spoiled_k[:, :, 100:], spoiled_v[:, :, 100:] = NAN, NAN
    (dq, _, _) = pull((q, spoiled_k, spoiled_v, log_sum, delta, g), given)
    assert same_bits(dq[:, :, :100], clean[0][:, :, :100])
    spoiled_q, spoiled_g = q.copy(), g.copy()
    spoiled_q[:, :, :67], spoiled_g[:, :, :67] = NAN, NAN
    found = pull((spoiled_q, k, v, log_sum, delta, spoiled_g), given)
    for a, b in zip(found[1:], clean[1:], strict=True):
        assert same_bits(a[:, :, 67:], b[:, :, 67:])


def test_a_score_of_minus_infinity_hides_nothing():
    """A key that is visible takes part, also with weight 0: 0 · inf is NaN wherever rows are cut."""
    q, k, v = (np.abs(x) for x in operands(1, 1, 1, 12, 12, 8, 8))
    q, k[:, :, 3], v[:, :, 3] = q * np.float32(1e30), -np.float32(1e30), np.inf
    whole, _ = attend((q, k, v), params(8, True))
    assert np.isnan(whole[0, 0, 3:]).all() and np.isfinite(whole[0, 0, :3]).all()
    for t in range(12):
        step, _ = attend((q[:, :, t : t + 1], k[:, :, : t + 1], v[:, :, : t + 1]), params(8))
        assert same_bits(step, whole[:, :, t : t + 1])


@pytest.mark.parametrize("causal", [False, True])
def test_alone_as_in_the_batch(causal):
    """Forward and backward; the batch has tasks enough for one pass, the single one is cut."""
    arrays, given = operands(4, 6, 3, 75, 140, 24, 40), params(24, causal, 65)
    found = attend(arrays, given)
    pulled = backward_operands(arrays, given)
    gradients = pull(pulled, given)
    for row in range(4):
        for a, b in zip(attend([x[row : row + 1] for x in arrays], given), found, strict=True):
            assert same_bits(a, b[row : row + 1])
        alone = pull([x[row : row + 1] for x in pulled], given)
        for a, b in zip(alone, gradients, strict=True):
            assert same_bits(a, b[row : row + 1])


def test_vectors_of_any_width(monkeypatch):
    arrays, given = operands(2, 4, 2, 77, 150, 20, 40), params(20, True, 30)
    pulled = backward_operands(arrays, given)
    found = []
    for bits in (128, 256, 512):
        monkeypatch.setattr(compile, "vector_bits", lambda bits=bits: bits)
        found.append((*attend(arrays, given), *pull(pulled, given)))
    for other in found[1:]:
        assert all(same_bits(a, b) for a, b in zip(found[0], other, strict=True))


def test_blocks_of_any_size(monkeypatch):
    """How many queries a task takes, and whether backward is cut, changes no bit."""
    arrays, given = operands(2, 4, 2, 100, 130, 16, 16), params(16, True, 30)
    pulled = backward_operands(arrays, given)
    found = []
    for rows, tasks, heads in ((128, 8, 4), (128, 1, 100), (32, 1, 1), (8, 100, 100)):
        monkeypatch.setattr(lower_attention, "ROWS", rows)
        monkeypatch.setattr(lower_attention, "FEW_TASKS", tasks)
        monkeypatch.setattr(lower_attention, "FEW_HEADS", heads)
        found.append((*attend(arrays, given), *pull(pulled, given)))
    for other in found[1:]:
        assert all(same_bits(a, b) for a, b in zip(found[0], other, strict=True))


def test_symbolic_sizes_give_the_same_bits():
    arrays, given = operands(2, 4, 2, 37, 99, 16, 24), params(16, True, 62)
    b, t, s, d, e, o = (Dim(name) for name in "btsdeo")
    types = [
        TensorType(float32, shape)
        for shape in ((b, 4, t, d), (b, 2, s, d), (b, 2, s, e), (b, 4, t), (b, 4, t), (b, 4, t, e))
    ]
    sizes = {"b": 2, "t": 37, "s": 99, "d": 16, "e": 24, "o": 62}
    open_params = {**given, "offset": o}
    graph = graph_of("attention", arrays, open_params, types[:3])
    for a, c in zip(run_compiled(graph, arrays, sizes), attend(arrays, given), strict=True):
        assert same_bits(a, c)
    pulled = backward_operands(arrays, given)
    graph = graph_of("attention_backward", pulled, open_params, types)
    for a, c in zip(run_compiled(graph, pulled, sizes), pull(pulled, given), strict=True):
        assert same_bits(a, c)


@pytest.fixture
def threads():
    before = el.get_num_threads()
    yield
    el.set_num_threads(before)


def test_threads_and_jit_and_packed_operands(threads):
    """Views of one packed tensor, eager and compiled, on any number of threads; forward and back."""
    packed = random(3, 140, 3, 4, 16)
    weights = el.asarray(random(3, 4, 140, 16, seed=9))

    def run(x):
        x = x.detach()
        x.requires_grad_()
        q, k, v = x.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        (y * weights).sum().backward()
        return y, x.grad

    q, k, v = np.ascontiguousarray(packed.transpose(2, 0, 3, 1, 4))
    wanted, _ = attend((q, k, v), params(16, True))
    compiled, found = el.jit(run), []
    for count in (1, 2, 3, 8):
        el.set_num_threads(count)
        for function in (run, compiled):
            y, gradient = function(el.asarray(packed))
            found.append((y.numpy(), gradient.numpy()))
    for y, gradient in found:
        assert same_bits(np.ascontiguousarray(y), wanted)
        assert same_bits(gradient, found[0][1])


# ---- the function -------------------------------------------------------------------------------


def close(found, want):
    np.testing.assert_allclose(found.numpy(), want, rtol=1e-5, atol=1e-5)


def truth(q, k, v, mask=None, scale=None):
    """softmax(q·kᵀ·scale + mask)·v in numpy, with its broadcasting."""
    scores = q.astype(np.float64) @ np.swapaxes(k, -1, -2)
    scores = scores * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v


RANKS = [
    ((5, 8), (7, 8), (7, 3), (5, 7)), ((2, 5, 8), (2, 7, 8), (2, 7, 3), (2, 5, 7)),
    ((2, 5, 8), (1, 7, 8), (7, 3), (1, 7)), ((1, 2, 5, 8), (3, 2, 7, 8), (3, 1, 7, 3), (5, 7)),
    ((2, 1, 3, 5, 8), (2, 4, 1, 7, 8), (7, 3), (4, 1, 1, 7)), ((2, 5, 8), (2, 7, 8), (2, 7, 3), (3, 2, 5, 1)),
    ((1, 1, 5, 8), (1, 1, 7, 8), (1, 1, 7, 3), (2, 3, 5, 7)), ((5, 8), (7, 8), (7, 3), (7,)),
]  # fmt: skip


@pytest.mark.parametrize("row", RANKS, ids=str)
def test_operands_of_any_rank(row):
    q, k, v = (random(*shape, seed=n) for n, shape in enumerate(row[:3]))
    for mask in (random(*row[3], seed=3), None):
        tensors = [el.asarray(x) for x in (q, k, v)]
        given = None if mask is None else el.asarray(mask)
        found = F.scaled_dot_product_attention(*tensors, attn_mask=given, scale=0.4)
        close(found, truth(q, k, v, mask, 0.4))


def test_shared_heads_with_more_dimensions():
    q, k, v = random(2, 3, 4, 5, 8), random(2, 3, 2, 7, 8, seed=1), random(3, 2, 7, 6, seed=2)
    found = F.scaled_dot_product_attention(*(el.asarray(x) for x in (q, k, v)), enable_gqa=True)
    close(found, truth(q, np.repeat(k, 2, 2), np.repeat(v, 2, 1)))
    found = F.scaled_dot_product_attention(
        el.asarray(q[0, 0]), el.asarray(k[0, 0]), el.asarray(v[0]), enable_gqa=True
    )
    close(found, truth(q[0, 0], np.repeat(k[0, 0], 2, 0), np.repeat(v[0], 2, 0)))


def test_other_dtypes():
    for dtype, tolerance in ((el.float64, 1e-12), (el.float16, 2e-3), (el.bfloat16, 2e-2)):
        q, k, v = (el.asarray(x).astype(dtype) for x in operands(1, 2, 2, 6, 70, 8, 8))
        found = F.scaled_dot_product_attention(q, k, v, is_causal=True, offset=64)
        assert found.dtype is dtype
        wide = [x.astype(el.float64).numpy() for x in (q, k, v)]
        later = np.arange(70)[None] <= np.arange(6)[:, None] + 64
        want = truth(*wide, later)
        np.testing.assert_allclose(found.astype(el.float64).numpy(), want, tolerance, tolerance)
    mixed = F.scaled_dot_product_attention(q.astype(el.float32), k.astype(el.float64), v)
    assert mixed.dtype is el.float32


def test_mask_of_another_dtype():
    q, k, v = operands(1, 1, 1, 4, 4, 8, 8)
    mask = np.where(np.tri(4, dtype=bool), 0.0, -1e9)
    for dtype in (el.float64, el.float32):
        given = el.asarray(mask).astype(dtype)
        found = F.scaled_dot_product_attention(*map(el.asarray, (q, k, v)), attn_mask=given)
        assert found.dtype is el.float32
        close(found, truth(q, k, v, mask))
    half = [el.asarray(x).astype(el.float16) for x in (q, k, v)]
    found = F.scaled_dot_product_attention(*half, attn_mask=el.asarray(mask).astype(el.float32))
    np.testing.assert_allclose(found.astype(el.float32).numpy(), truth(q, k, v, mask), 4e-3, 4e-3)


def test_wide_heads_take_the_other_way():
    q, k, v = operands(1, 1, 1, 3, 4, 1100, 2)
    close(F.scaled_dot_product_attention(*map(el.asarray, (q, k, v))), truth(q, k, v))


def gradients(function, arrays):
    tensors = [el.asarray(x) for x in arrays]
    for x in tensors:
        if x.dtype.kind == "f":
            x.requires_grad_()
    y = function(*tensors)
    (y * el.asarray(random(*y.shape, seed=8))).sum().backward()
    return [x.grad.numpy() for x in tensors if x.dtype.kind == "f"]


def dense(q, k, v, mask):
    scores = q @ k.transpose(-2, -1) * (1 / math.sqrt(q.shape[-1])) + mask
    return F.softmax(scores, dim=-1) @ v


def test_gradients_of_operands_and_of_the_mask():
    arrays = (*operands(2, 3, 3, 40, 70, 16, 24), random(2, 1, 1, 70, seed=4))
    found = gradients(lambda *x: F.scaled_dot_product_attention(*x), arrays)
    for a, b in zip(found, gradients(dense, arrays), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def test_second_derivatives():
    q, k, v = (el.asarray(x) for x in operands(1, 2, 2, 5, 6, 4, 4, np.float64))

    def penalty(attend):
        def of(q):
            slope = el.grad(lambda q: el.sin(attend(q, k, v)).sum())(q)
            return (slope * slope).sum()

        return el.grad(of)(q).numpy()

    found = penalty(F.scaled_dot_product_attention)
    want = penalty(lambda q, k, v: dense(q, k, v, 0.0))
    np.testing.assert_allclose(found, want, rtol=1e-10, atol=1e-12)


def test_blind_rows_have_no_gradient():
    mask = el.asarray(np.array([[True, True], [False, False]]))
    arrays = operands(1, 1, 1, 2, 2, 4, 4)
    found = gradients(lambda *x: F.scaled_dot_product_attention(*x, attn_mask=mask), arrays)
    assert all(np.isfinite(x).all() for x in found)
    assert not found[0][0, 0, 1].any() and found[0][0, 0, 0].any()


def test_multihead_attention_with_both_masks():
    """Causal and padding together, with and without weights."""
    el.manual_seed(0)
    layer = el.nn.MultiheadAttention(16, 2, batch_first=True)
    x = el.asarray(random(2, 70, 16))
    hidden = el.asarray(np.arange(70)[None] > np.array([[50], [69]]))
    fast, _ = layer(x, x, x, key_padding_mask=hidden, need_weights=False, is_causal=True)
    slow, _ = layer(x, x, x, key_padding_mask=hidden, need_weights=True, is_causal=True)
    np.testing.assert_allclose(fast.numpy(), slow.numpy(), rtol=1e-4, atol=1e-5)


# ---- memory -------------------------------------------------------------------------------------


def arena_of(length):
    """Bytes of inner memory of a compiled forward and backward pass, one head of 64 features."""

    def loss(q, k, v, mask):
        return (F.scaled_dot_product_attention(q, k, v, mask, is_causal=True) ** 2).sum()

    tensors = [el.ones((1, 1, length, 64)) for _ in range(3)]
    mask = el.ones((1, 1, 1, length), dtype=el.bool)
    step = el.jit(lambda q, k, v, mask: el.value_and_grad(loss, argnums=(0, 1, 2))(q, k, v, mask))
    before = compile.Compiled.bind
    found = []

    def bind(self, sizes=None):
        bound = before(self, sizes)
        found.append(bound.arena_nbytes)
        return bound

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compile.Compiled, "bind", bind)
        step(*tensors, mask)
    return max(found)


def test_memory_is_linear_in_the_length():
    small, large = arena_of(1024), arena_of(4096)
    assert large < 4096 * 4096  # a quarter of one T×S matrix
    assert large <= 4 * small + 4096


def test_repeated_masks_and_views_are_not_copied():
    """The only steps are the kernel's own."""
    builder = Builder()
    packed = builder.input(TensorType(float32, (2, 40, 3, 4, 16)))
    mask = builder.input(TensorType(el.bool, (2, 40)))
    parts = []
    for n in range(3):
        part = builder.f.slice(
            packed, start=(0, 0, n, 0, 0), size=(2, 40, 1, 4, 16), step=(1, 1, 1, 1, 1)
        )
        part = builder.f.reshape(part, shape=(2, 40, 4, 16))
        parts.append(builder.f.permute(part, axes=(0, 2, 1, 3)))
    wide = builder.f.reshape(mask, shape=(2, 1, 1, 40))
    wide = builder.f.broadcast(wide, shape=(2, 4, 40, 40))
    graph = builder.graph(builder.f.attention(*parts, wide, **params(16)))
    steps = compile_graph(graph).loops().splitlines()
    assert len(steps) == 1 and "attention" in steps[0]
    x, seen = random(2, 40, 3, 4, 16), np.random.default_rng(0).random((2, 40)) < 0.6
    q, k, v = np.ascontiguousarray(x.transpose(2, 0, 3, 1, 4))
    found = run_compiled(graph, (x, seen))
    for a, b in zip(found, attend((q, k, v, seen[:, None, None]), params(16)), strict=True):
        assert same_bits(a, b)


def test_texts_do_not_know_the_sizes():
    """One kernel's text serves all lengths, heads and scales."""
    before = len(lowering._text_cache)
    for shape in ((1, 1, 1, 3, 4, 5, 6), (2, 4, 2, 30, 41, 52, 63)):
        compile_graph(graph_of("attention", operands(*shape), params(shape[5])))
    assert len(lowering._text_cache) <= before + 1


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("others", [False, True])
def test_the_result_lies_as_the_next_product_reads_it(heads, others):
    """[batch, queries, heads, width] in memory, so that nothing is turned; the bits stay."""
    q, k, v = map(el.asarray, operands(2, heads, heads, 9, 7, 8, 24))
    w = el.asarray(random(heads * 24, 5, seed=3))

    def layer(q, k, v, w):
        found = F.scaled_dot_product_attention(q, k, v)
        flat = found.transpose(1, 2).reshape(2, 9, heads * 24) @ w
        return (flat, found.exp().sum(0), found[:, :, 2:4] + 1.0) if others else (flat,)

    for x in (q, k, v, w):
        x.requires_grad_()
    eager = layer(q, k, v, w)
    gradients = el.grad(lambda *x: sum((y * y).sum() for y in layer(*x)), argnums=(0, 1, 2, 3))
    compiled = el.jit(layer)
    assert all(map(same_bits, map(np.asarray, compiled(q, k, v, w)), map(np.asarray, eager)))
    expected = gradients(q, k, v, w)
    assert all(
        map(same_bits, map(np.asarray, el.jit(gradients)(q, k, v, w)), map(np.asarray, expected))
    )
    steps = compiled.lower(q, k, v, w)._program.compiled().steps
    assert not any("permute" in step.label or "copy" in step.label for step in steps)
