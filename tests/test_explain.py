"""`lower().explain()`: each kernel, what it stores, and the reason that the decision had."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from graphs import graphs
from hypothesis import HealthCheck, given, settings

import elinvar as el
from elinvar.kernels import obstacles
from elinvar.kernels.again import partition, recomputed
from elinvar.kernels.cluster import MAX_MEMBERS
from elinvar.kernels.explain import Noted, explain
from elinvar.passes.legalize import legalize


def explained(function, *arrays) -> str:
    return el.jit(function).lower(*arrays).explain()


def stored(text: str, operation: str) -> list[str]:
    """The reasons for the value that an operation gave."""
    lines = text.splitlines()
    (start,) = [n for n, line in enumerate(lines) if re.search(rf"stores .* = {operation},", line)]
    found = []
    for line in lines[start + 1 :]:
        if not line.startswith(" " * 8):
            break
        found.append(line.strip())
    return found


X = el.ones((40, 40))


def test_an_output() -> None:
    text = explained(lambda x: (x * 2.0 + 1.0).tanh(), X)
    first, second, reason, total = text.splitlines()
    assert first.startswith("kernel 0: elementwise over [40, 40]: multiply, add, tanh     # ")
    assert "test_explain.py:" in first
    assert re.fullmatch(r"    stores %\d+: f32\[40,40\] = tanh, 6.4 kB", second)
    assert reason == "        an output"
    assert total.startswith("1 kernels, 1 values stored, 0 kept in registers, ")


def test_a_product_reads_and_writes_memory() -> None:
    text = explained(lambda x, w: (x.exp() @ w).tanh(), X, X)
    assert stored(text, "exp") == [
        "read by kernel 1 (contract): contract reads its operands from memory"
    ]
    assert stored(text, "contract") == [
        "read by kernel 2 (tanh): it goes on with each block of the result while that is in the cache"
    ]
    assert "kernel 2, at the end of kernel 1: elementwise over [40, 40]: tanh" in text


def test_who_cannot_end_a_product() -> None:
    text = explained(lambda x, w: (x @ w).T + x @ w, X, X)
    assert stored(text, "contract") == [
        "read by kernel 1 (add): contract writes its results to memory"
    ]


def test_a_kernel_between() -> None:
    text = explained(lambda x, w: x.exp().sum(1, keepdim=True) @ w[:1] + (x.exp() * 3.0), X, X)
    assert stored(text, "multiply") == [f"read by kernel 2 (add): {obstacles.CYCLE}"]


def test_another_shape() -> None:
    text = explained(lambda x: (x.sum(1) * 2.0).sum() * 3.0, el.ones((40, 40)))
    assert obstacles.OTHER_SHAPE in text


def test_other_places() -> None:
    text = explained(lambda x: x.exp() + x.exp().T, X)
    assert any(obstacles.OTHER_INDEX in reason for reason in stored(text, "exp"))


def test_sums_that_keep_the_last_axis() -> None:
    text = explained(lambda x: (x.exp(), x.exp().sum(0)), X)
    assert stored(text, "exp") == ["an output", f"read by kernel 1 (sum): {obstacles.KEEPS_LAST}"]


def test_long_sums_to_few_results() -> None:
    text = explained(lambda x: (x.exp(), x.exp().sum()), el.ones((400, 400)))
    assert f"read by kernel 1 (sum): {obstacles.FEW_RESULTS}" in stored(text, "exp")


def test_a_value_that_follows_its_only_reader() -> None:
    """The product x · y moves into the kernel of the sum, away from exp."""
    text = explained(lambda x, y: ((x.exp() * y).sum(0), x.exp().tanh()), X, X)
    assert any(obstacles.MOVED in reason for reason in stored(text, "exp"))


def test_the_most_operations_of_a_kernel() -> None:
    def chain(x):
        for _ in range(MAX_MEMBERS + 5):
            x = (x + 1.0).tanh()
        return x

    text = explained(chain, X)
    assert obstacles.FULL in text and text.count("kernel ") > 2


def test_other_axes() -> None:
    x = el.ones((10, 12, 14))
    text = explained(lambda x: x.exp().sum(-1).sum() + x.exp().sum((1, 2)).sum(), x)
    assert obstacles.OTHER_AXES in text


def test_bodies_of_loops() -> None:
    def loop(x):
        return el.fori_loop(0, 3, lambda i, x: el.nn.functional.softmax(x @ x, dim=-1), x)

    text = explained(loop, X)
    assert "    body:\n        kernel 0: contract" in text
    assert "            stores %1: f32[40,40] = contract" in text


def test_symbolic_sizes() -> None:
    double = el.jit(lambda x: (x * 2.0).tanh())
    for n in (4, 5, 6):
        double(el.ones(n))
    text = double.lower(el.ones(7)).explain()
    assert re.search(r"over \[n0\]: multiply, tanh", text) and "n0 bytes" in text


def test_a_training_step_names_the_lines_of_forward_and_backward() -> None:
    model = el.nn.Linear(8, 4)

    @el.jit
    def step(x):
        loss = model(x).tanh().sum()
        loss.backward()
        return loss

    text = step.lower(el.asarray(np.ones((3, 8), np.float32))).explain()
    assert "test_explain.py" in text and ", backward" in text


@pytest.mark.slow
@given(graphs(most=25))
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_stored_value_has_a_reason(graph) -> None:
    graph = legalize(graph)
    text = explain(graph)
    lines = text.splitlines()
    assert "it is part of another kernel" not in text
    for line, after in itertools.pairwise(lines):
        if line.strip().startswith("stores "):
            assert re.match(r" +(an output|read by kernel|a result of)", after), text


@given(graphs(most=25))
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
def test_notes_change_no_decision(graph) -> None:
    graph = legalize(graph)
    clusterer = Noted(graph)
    plain, noted = partition(graph), recomputed(clusterer, clusterer.partition())
    assert plain.stored == noted.stored
    assert [c.members for c in plain.clusters] == [c.members for c in noted.clusters]
