"""Memory of state: a compiled step writes new state over the old, and nobody can tell."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time

import numpy as np
import pytest
from run_kernels import SLOW

import elinvar as el
from elinvar.runtime import memory
from elinvar.runtime.program import Launch, make_program


def training(seed: int = 0):
    el.manual_seed(seed)
    model = el.nn.Sequential(el.nn.Linear(16, 32), el.nn.Tanh(), el.nn.Linear(32, 4))
    optimizer = el.optim.AdamW(model.parameters(), lr=0.01)

    @el.jit
    def step(x, y):
        loss = el.nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    random = np.random.default_rng(1)
    x = el.asarray(random.standard_normal((8, 16)).astype(np.float32))
    y = el.asarray(random.standard_normal((8, 4)).astype(np.float32))
    return model, lambda: step(x, y)


def test_state_stays_where_it_is():
    model, step = training()
    for _ in range(3):
        step()
    before = [p._address for p in model.parameters()]
    step()
    assert [p._address for p in model.parameters()] == before


@pytest.mark.parametrize("hold", ["detach", "view", "numpy", "dlpack"])
def test_holders_of_old_state_keep_their_values(hold):
    model, step = training()
    step()
    step()
    weight = model[0].weight
    old = {
        "detach": lambda: weight.detach(),
        "view": lambda: weight.detach()[3:5],
        "numpy": lambda: weight.detach().numpy(),
        "dlpack": lambda: np.from_dlpack(weight.detach()),
    }[hold]()
    copy = np.array(old)
    step()
    assert np.array_equal(np.array(old), copy)
    assert not np.array_equal(weight.detach().numpy().ravel()[: copy.size], copy.ravel())


def test_bits_do_not_depend_on_who_holds_the_state():
    plain, plain_step = training()
    held, held_step = training()
    for _ in range(6):
        plain_step()
        holders = [p.detach() for p in held.parameters()]  # nothing can be overwritten
        held_step()
        del holders
    for a, b in zip(plain.parameters(), held.parameters(), strict=True):
        assert a.detach().numpy().tobytes() == b.detach().numpy().tobytes()


def test_old_gradients_make_room_for_new_ones():
    model, step = training()
    step()
    step()
    parameters = list(model.parameters())
    statistics = memory.statistics
    gc.collect()
    memory.reset_peak()
    step()
    small = statistics().peak
    held = [p.grad for p in parameters]
    values = [g.numpy().copy() for g in held]
    memory.reset_peak()
    step()
    assert statistics().peak - small >= sum(g.nbytes for g in held)
    for gradient, value, p in zip(held, values, parameters, strict=True):
        assert np.array_equal(gradient.numpy(), value)
        assert not np.array_equal(p.grad.numpy(), value)


def test_a_gradient_that_is_added_to_is_read():
    w = el.nn.Parameter(el.ones(3))

    @el.jit
    def accumulate():
        (w * w).sum().backward()

    for n in range(1, 5):
        accumulate()
        assert w.grad.tolist() == [2.0 * n] * 3


def test_a_value_that_is_read_after_the_write_is_kept():
    state = el.asarray([1.0, 2.0])

    @el.jit
    def step():
        before = state * 1.0
        state.assign(state + 1.0)
        return before + state, el.sum(before)

    for k in range(3):
        total, before = step()
        assert total.tolist() == [3.0 + 2 * k, 5.0 + 2 * k]
        assert before.item() == 3.0 + 2 * k


def test_swapped_state():
    """The output of one cell comes from the input of the other."""
    a, b = el.asarray([1.0, 2.0]), el.asarray([10.0, 20.0])

    @el.jit
    def swap():
        old = a * 1.0
        a.assign(b + 0.5)
        b.assign(old + 0.25)

    expected = np.array([1.0, 2.0]), np.array([10.0, 20.0])
    for _ in range(5):
        swap()
        expected = expected[1] + 0.5, expected[0] + 0.25
        assert a.tolist() == expected[0].tolist()
        assert b.tolist() == expected[1].tolist()


@pytest.mark.slow
@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals")
def test_nothing_stops_a_program_after_its_final_launch_began():
    values = np.zeros(4, np.float64)
    items = [Launch(SLOW, 1, [(0, 8 * n), (-1, 30_000)], False, final=n == 0) for n in range(4)]
    call = make_program(items, 1, release=True)
    call(values.ctypes.data)
    whole = values.copy()
    values[:] = 0
    timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            call(values.ctypes.data)
            time.sleep(5)  # the signal may come after a fast call
    finally:
        timer.join()
    assert np.array_equal(values, whole)
