"""Optimizers and schedules inside of a jit: the same bits, and no needless trace."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import elinvar as el
from elinvar.optim.lr_scheduler import (
    CosineAnnealingWarmRestarts,
    LambdaLR,
    LinearLR,
    OneCycleLR,
    StepLR,
    warmup_cosine,
)
from tests.optimizing import OPTIMIZERS, START, parameter


def both_ways(build: Any, steps: int = 5, between: Any = None) -> tuple[list[Any], Any]:
    """Train eager and jitted from the same start; the weights of both, and the jitted step."""
    found, jitted_step = [], None
    for jitted in (False, True):
        w = [parameter(START), parameter(np.ones((2, 3)))]
        optimizer, schedule = build(w)

        def step(w: Any = w, optimizer: Any = optimizer, schedule: Any = schedule) -> Any:
            optimizer.zero_grad()
            loss = (w[0] ** 4).sum() + (w[1] * w[1]).sum()
            loss.backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()
            return loss

        run = el.jit(step) if jitted else step
        for number in range(steps):
            run()
            if between is not None:
                between(number, optimizer)
        found.append([p.numpy() for p in w] + [optimizer.param_groups[0]["lr"]])
        jitted_step = run
    return found, jitted_step


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_jitted_step_gives_the_same_bits(name: str) -> None:
    (eager, jitted), step = both_ways(
        lambda w: (getattr(el.optim, name)(w, lr=0.01, **OPTIMIZERS[name]), None)
    )
    for p, q in zip(eager, jitted, strict=True):
        np.testing.assert_array_equal(p, q)
    assert step.compilations == 1


def test_a_new_learning_rate_needs_no_new_trace() -> None:
    def change(number: int, optimizer: Any) -> None:
        optimizer.param_groups[0]["lr"] = 0.01 / (number + 1)
        optimizer.param_groups[0]["betas"] = (0.9 - 0.1 * number, 0.99)

    (eager, jitted), step = both_ways(lambda w: (el.optim.Adam(w, lr=0.1), None), 5, change)
    for p, q in zip(eager, jitted, strict=True):
        np.testing.assert_array_equal(p, q)
    assert step.compilations == 1


def test_a_new_option_needs_one() -> None:
    def change(number: int, optimizer: Any) -> None:
        if number == 1:
            optimizer.param_groups[0]["maximize"] = True
        if number == 3:
            optimizer.add_param_group({"params": [parameter()]})

    (eager, jitted), step = both_ways(lambda w: (el.optim.SGD(w, lr=0.01), None), 6, change)
    for p, q in zip(eager, jitted, strict=True):
        np.testing.assert_array_equal(p, q)
    assert step.compilations == 3


def test_loading_a_state_reaches_a_jitted_step() -> None:
    w = parameter()
    optimizer = el.optim.SGD([w], lr=0.1, momentum=0.9)

    @el.jit
    def step() -> None:
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()

    step()
    state, held = optimizer.state_dict(), w.numpy().copy()
    step()
    expected = w.numpy().copy()
    with el.no_grad():
        w.assign(el.asarray(held))
    optimizer.load_state_dict(state)
    step()
    np.testing.assert_array_equal(w.numpy(), expected)


SCHEDULES = {
    "StepLR": lambda o: StepLR(o, 2, 0.5),
    "LinearLR": lambda o: LinearLR(o, 0.5, total_iters=3),
    "LambdaLR": lambda o: LambdaLR(o, lambda t: 0.9**t),
    "OneCycleLR": lambda o: OneCycleLR(o, 0.1, total_steps=8),
    "warmup_cosine": lambda o: warmup_cosine(o, 2, 6),
    "restarts": lambda o: CosineAnnealingWarmRestarts(o, 2, 2),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_within_a_jit(name: str) -> None:
    def build(w: Any) -> Any:
        optimizer = el.optim.Adam(w, lr=0.1)
        return optimizer, SCHEDULES[name](optimizer)

    (eager, jitted), step = both_ways(build, 7)
    for p, q in zip(eager, jitted, strict=True):
        np.testing.assert_allclose(p, q, rtol=1e-12)
    assert step.compilations == 1


def test_a_parameter_that_joins_later() -> None:
    """State made during a trace, and a counter that is split there."""
    a, b = parameter(), parameter()
    optimizer = el.optim.Adam([a, b], lr=0.1)

    def step(both: bool) -> None:
        optimizer.zero_grad()
        loss = (a**4).sum()
        if both:
            loss = loss + (b**4).sum()
        loss.backward()
        optimizer.step()

    run = el.jit(step, static_argnums=0)
    for both in (False, True, True, False, True):
        run(both)
    found = a.numpy(), b.numpy()
    steps = [int(optimizer.state[p]["step"].item()) for p in (a, b)]
    a, b = parameter(), parameter()
    optimizer = el.optim.Adam([a, b], lr=0.1)
    for both in (False, True, True, False, True):
        step(both)
    assert steps == [int(optimizer.state[p]["step"].item()) for p in (a, b)] == [5, 3]
    np.testing.assert_allclose(found[0], a.numpy(), rtol=1e-12)
    np.testing.assert_allclose(found[1], b.numpy(), rtol=1e-12)
