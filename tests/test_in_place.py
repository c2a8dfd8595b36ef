"""Kernels that overwrite what they read: only where nothing else needs the old elements."""

import numpy as np
import pytest
from compiled import run_compiled, same_bits

import elinvar as el
from elinvar.core import dtypes
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder
from elinvar.runtime.compile import compile_graph


def numbers(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def aliases(make, *shapes, sizes=None):
    """What the compiler allows, for a function of a builder's `f` and its inputs."""
    builder = Builder(capture_source=False)
    inputs = [builder.input(TensorType(dtypes.float32, shape)) for shape in shapes]
    graph = builder.graph(make(builder.f, *inputs), "main")
    return set(map(tuple, compile_graph(graph).bind(sizes or {}).aliases)), graph


def overwriting(graph, pairs, arrays):
    """The outputs of a run in which the given pairs share memory."""
    bound = compile_graph(graph).bind({})
    arena = np.zeros(bound.arena_nbytes + 64, np.uint8)
    arrays = [array.copy() for array in arrays]
    outputs = [np.zeros(output.shape, output.dtype.storage) for output in bound.outputs]
    for source, target in pairs:
        outputs[target] = arrays[source]
    bound.call(*(a.__array_interface__["data"][0] for a in (arena, *arrays, *outputs)))
    return outputs


@pytest.mark.parametrize("shape", [(5,), (40, 30), (300, 1000)])
def test_elementwise_results_may_overwrite_operands(shape):
    """Both results read both operands, in any order."""

    def make(f, x, y):
        total = f.add(x, y)
        return [total, f.subtract(f.multiply(x, total), y)]

    found, graph = aliases(make, shape, shape)
    assert found == {(0, 0), (0, 1), (1, 0), (1, 1)}
    arrays = [numbers(*shape), numbers(*shape) + 1]
    expected = run_compiled(graph, arrays)
    for pairs in ([(0, 0)], [(1, 0)], [(0, 0), (1, 1)], [(0, 1), (1, 0)]):
        for a, b in zip(overwriting(graph, pairs, arrays), expected, strict=True):
            assert same_bits(a, b)


def test_not_what_is_read_elsewhere():
    square = (64, 64)
    assert aliases(lambda f, x: [f.add(x, f.permute(x, axes=(1, 0)))], square)[0] == set()
    assert aliases(lambda f, x: [f.add(x, f.flip(x, axes=(0,)))], square)[0] == set()
    assert aliases(lambda f, x: [f.permute(x, axes=(1, 0))], square)[0] == set()


def test_not_what_is_read_later():
    """The product comes after, or before, the kernel that writes."""

    def make(f, x, w):
        y = f.add(x, f.full(1, x))
        return [y, f.contract(y, x, batch=((), ()), axes=((1,), (0,)))]

    assert aliases(make, (32, 32), (32, 32))[0] == set()

    def earlier(f, x, w):
        product = f.contract(x, w, batch=((), ()), axes=((1,), (0,)))
        return [f.add(x, product)]

    found, graph = aliases(earlier, (32, 32), (32, 32))
    assert (0, 0) in found and (1, 0) not in found
    arrays = [numbers(32, 32), numbers(32, 32)]
    (expected,) = run_compiled(graph, arrays)
    assert same_bits(overwriting(graph, [(0, 0)], arrays)[0], expected)


def test_turned_operands_stay():
    """One operand is read in tiles; the other may be overwritten."""

    def make(f, x, y):
        return [f.add(f.permute(x, axes=(1, 0)), y)]

    found, graph = aliases(make, (48, 40), (40, 48))
    assert found == {(1, 0)}
    arrays = [numbers(48, 40), numbers(40, 48)]
    assert same_bits(overwriting(graph, found, arrays)[0], run_compiled(graph, arrays)[0])


def test_a_jitted_step_keeps_its_state_in_place():
    w = el.asarray(numbers(100, 30))
    start = w.numpy().copy()

    @el.jit
    def step(g):
        w.assign(w * 0.5 + g)

    g = el.asarray(numbers(100, 30))
    step(g)
    address = w._address
    step(g)
    assert w._address == address
    expected = (start * np.float32(0.5) + g.numpy()) * np.float32(0.5) + g.numpy()
    assert same_bits(w.numpy(), expected)
