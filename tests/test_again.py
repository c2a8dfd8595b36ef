"""Values that late kernels compute again: memory shrinks, no bit changes."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import arrays_for, graphs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_random_graphs import compare

import elinvar as el
from elinvar.kernels import again, refresh
from elinvar.kernels.again import partition
from elinvar.kernels.plan import Place, Step, Storage, place_arena, touched


def training(activation: str = "gelu"):
    el.manual_seed(0)
    function = getattr(el.nn.functional, activation)
    blocks = [(el.nn.LayerNorm(48), el.nn.Linear(48, 96), el.nn.Linear(96, 48)) for _ in range(6)]
    parameters = [p for block in blocks for layer in block for p in layer.parameters()]

    def loss_of(x):
        for norm, wide, narrow in blocks:
            x = x + narrow(function(wide(norm(x))))
        return (x * x).mean()

    @el.jit
    def step(x):
        for p in parameters:
            p.grad = None
        loss = loss_of(x)
        loss.backward()
        return loss

    x = el.asarray(np.random.default_rng(1).standard_normal((128, 48)).astype(np.float32))
    return step, x, parameters


def results(step, x, parameters) -> bytes:
    loss = step(x).numpy().tobytes()
    return b"".join([loss, *(p.grad.numpy().tobytes() for p in parameters)])


def arena(step, x) -> int:
    return place_arena(step.lower(x)._program.compiled().steps, {})[1]


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["gelu", "silu", "tanh"])
def test_bits_and_memory(activation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    step, x, parameters = training(activation)
    found, nbytes = results(step, x, parameters), arena(step, x)
    monkeypatch.setattr(refresh, "LATE", 10**9)
    step, x, parameters = training(activation)
    assert results(step, x, parameters) == found
    less = arena(step, x)
    monkeypatch.setattr(again, "LATE", 10**9)
    monkeypatch.setattr(again, "MOST_SHORT", 0)
    step, x, parameters = training(activation)
    assert results(step, x, parameters) == found
    assert nbytes < 0.9 * less < 0.9 * 0.95 * arena(step, x)


def test_short_values_are_not_stored_at_all() -> None:
    """y · w is read by a kernel that stands behind another; that kernel can read y as well."""

    def scaled(x, w):
        y = x.tanh()
        return y.sum(0), y, (y * w) + y.sum(0)

    x, w = el.ones((128, 64)), el.ones(64)
    text = el.jit(scaled).lower(x, w).explain()
    assert "computes again" in text and "= multiply" not in text


def test_gelu_and_layer_norm_keep_what_products_read() -> None:
    step, x, _ = training()
    text = step.lower(x).explain()
    assert "computes again" in text and "(erf)" in text
    kept = [line for line in text.splitlines() if " stores " in line and "f32[128," in line]
    forward = kept[: len(kept) // 2]
    assert not any("= erf" in line for line in forward)
    assert "stores anew" in text


def test_products_wait_for_the_kernel_that_stores_their_operand_anew() -> None:
    step, x, _ = training()
    compiled = step.lower(x)._program.compiled()
    parts = partition(compiled.optimized)
    assert len([v for values in parts.fresh.values() for v in values]) >= 8
    for steps in (compiled.steps, compiled._scheduled({})):
        written = set(compiled.lowered.inputs)
        for item in steps:
            reads, writes = touched(item)
            assert written.issuperset(s for s in reads if s.kind != "kept")
            written |= set(writes)


def test_where_memory_would_not_shrink_nothing_is_stored_anew() -> None:
    norm, wide, narrow = el.nn.LayerNorm(48), el.nn.Linear(48, 96), el.nn.Linear(96, 48)

    @el.jit
    def step(x):
        loss = (narrow(el.nn.functional.gelu(wide(norm(x)))) ** 2).mean()
        loss.backward()
        return loss

    shown = step.lower(el.ones((128, 48)))
    assert not partition(shown.optimized).fresh


def test_what_is_not_in_memory_any_more_is_kept() -> None:
    """The product before is needed for nothing else: to keep it would gain nothing."""

    def chain(x, w, is_from_input):
        y = x if is_from_input else x @ w
        late = ((y * 3.0 + y) * y + 1.0) * y + y * y
        y = y * late.sum(0)
        for _ in range(again.LATE + 2):
            y = (y @ w) * 2.0
        return y + late

    x = el.ones((128, 128))
    shown = el.jit(chain, static_argnames="is_from_input")
    assert "computes again" not in shown.lower(x, x, is_from_input=False).explain()
    assert "computes again" in shown.lower(x, x, is_from_input=True).explain()


def test_random_numbers_are_not_drawn_again() -> None:
    el.manual_seed(0)
    layers = [el.nn.Linear(64, 64) for _ in range(8)]
    drop = el.nn.Dropout(0.5)
    parameters = [p for layer in layers for p in layer.parameters()]

    @el.jit
    def step(x):
        for p in parameters:
            p.grad = None
        for layer in layers:
            x = drop(layer(x).tanh())
        loss = (x * x).sum()
        loss.backward()
        return loss

    x = el.asarray(np.ones((256, 64), np.float32))
    text = step.lower(x).explain()
    for line in text.splitlines():
        if "computes again" in line:
            assert "random_bits" not in line


def block(nbytes: int = 640) -> Storage:
    return Storage("arena", -1, nbytes)


def run(reads, writes, in_place=()) -> Step:
    slots = [Place(storage) for storage in (*reads, *writes)]
    return Step("k", "", slots, lambda sizes: 1, reads, writes, in_place=list(in_place))


def test_a_result_stands_where_its_operand_stood() -> None:
    source, a, b, c = (Storage("input", 0), block(), block(), block())
    steps = [run([source], [a]), run([a], [b], [(a, b)]), run([b], [c], [(b, c)]), run([c], [source])]
    offsets, total = place_arena(steps, {})
    assert offsets[a] == offsets[b] == offsets[c] and total == 640


@pytest.mark.parametrize("why", ["read later", "read twice", "another size", "not in place"])
def test_or_elsewhere(why: str) -> None:
    source, a, b = Storage("input", 0), block(), block(1280 if why == "another size" else 640)
    reads = [a, a] if why == "read twice" else [a]
    pairs = [] if why == "not in place" else [(a, b)]
    end = [a, b] if why == "read later" else [b]
    steps = [run([source], [a]), run(reads, [b], pairs), run(end, [source])]
    offsets, total = place_arena(steps, {})
    assert total == 640 + (1280 if why == "another size" else 640)
    assert offsets[a] != offsets[b]


def test_two_results_do_not_take_the_same_operand() -> None:
    source, a, b, c = (Storage("input", 0), block(), block(), block())
    steps = [run([source], [a]), run([a], [b, c], [(a, b), (a, c)]), run([b, c], [source])]
    offsets, total = place_arena(steps, {})
    assert offsets[b] != offsets[c] and total == 2 * 640


@pytest.mark.slow
@given(graphs(most=16), st.integers(1, 3), st.integers(0, 2**32))
@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_random_graphs_in_which_all_that_can_is_computed_again(graph, batch, seed) -> None:
    before = again.LATE, again.LEAST_BYTES, refresh.LATE, refresh.LEAST_BYTES, refresh.WORTH
    again.LATE, again.LEAST_BYTES, refresh.LATE, refresh.LEAST_BYTES, refresh.WORTH = 1, 1, 1, 1, 9
    try:
        compare(graph, arrays_for(graph, batch, seed), batch)
    finally:
        again.LATE, again.LEAST_BYTES, refresh.LATE, refresh.LEAST_BYTES, refresh.WORTH = before
