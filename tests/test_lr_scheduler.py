"""Schedules of learning rates by their formulas, their state and their arguments."""

from __future__ import annotations

import math
from typing import Any

import pytest

import elinvar as el
from elinvar.core.errors import DTypeError, StateError, ValueRangeError
from elinvar.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
    WarmupLR,
    warmup_cosine,
)
from tests.optimizing import parameter


def rates(schedule: Any, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(schedule.optimizer.param_groups[0]["lr"])
        schedule.step()
    return found


def sgd(lr: float = 1.0) -> el.optim.Optimizer:
    return el.optim.SGD([parameter()], lr=lr)


def test_schedules_by_formula() -> None:
    assert rates(StepLR(sgd(), 2, 0.5), 5) == [1, 1, 0.5, 0.5, 0.25]
    assert rates(ConstantLR(sgd(), 0.5, 2), 4) == [0.5, 0.5, 1, 1]
    assert rates(LinearLR(sgd(), 0.25, 1.0, 3), 5) == [0.25, 0.5, 0.75, 1, 1]
    assert rates(WarmupLR(sgd(), 4), 6) == [0.25, 0.5, 0.75, 1, 1, 1]
    assert rates(LambdaLR(sgd(), lambda t: 1 / (1 + t)), 3) == [1, 0.5, 1 / 3]
    found = rates(CosineAnnealingLR(sgd(), 4, 0.2), 5)
    expected = [0.2 + 0.8 * (1 + math.cos(math.pi * t / 4)) / 2 for t in range(5)]
    assert found == pytest.approx(expected)
    assert rates(warmup_cosine(sgd(), 2, 4), 6) == pytest.approx([0.5, 1, 1, 0.5, 0, 0.5])
    restarts = rates(CosineAnnealingWarmRestarts(sgd(), 2, 2), 8)
    assert restarts[0] == restarts[2] == restarts[6] == 1 and restarts[1] == pytest.approx(0.5)
    cycle = OneCycleLR(sgd(), 1.0, total_steps=11, pct_start=0.5, cycle_momentum=False)
    found = rates(cycle, 11)
    assert found[0] == pytest.approx(1 / 25) and max(found) > 0.97
    assert found[-1] == pytest.approx(1 / 25e4)
    with pytest.raises(ValueRangeError, match="step 12 lies behind total_steps 11"):
        cycle.step()


def test_a_schedule_goes_on_from_its_state() -> None:
    first = StepLR(sgd(), 3, 0.5)
    head = rates(first, 4)
    optimizer = sgd()
    second = StepLR(optimizer, 3, 0.5)
    optimizer.load_state_dict(first.optimizer.state_dict())
    second.load_state_dict(first.state_dict())
    assert head + rates(second, 4) == rates(StepLR(sgd(), 3, 0.5), 8)
    assert second.last_epoch == 8 and second.get_last_lr() == [0.25]
    with pytest.raises(StateError, match="the state lacks"):
        second.load_state_dict({})


def test_sequence() -> None:
    optimizer = sgd()
    schedule = SequentialLR(
        optimizer, [ConstantLR(optimizer, 0.1, 99), StepLR(optimizer, 1, 0.5)], [2]
    )
    assert rates(schedule, 5) == [0.1, 0.1, 1, 0.5, 0.25]
    with pytest.raises(ValueRangeError, match="2 schedules need 1 increasing milestones"):
        SequentialLR(optimizer, schedule.schedulers, [2, 3])
    with pytest.raises(ValueRangeError, match="must have the same optimizer"):
        SequentialLR(sgd(), schedule.schedulers, [2])


def test_plateau() -> None:
    optimizer = sgd()
    schedule = ReduceLROnPlateau(optimizer, factor=0.1, patience=1, cooldown=1, min_lr=0.05)
    found = []
    for loss in (3, 2, 2, 2, 2, 2, 2, 2, 1, 1):
        schedule.step(el.asarray(float(loss)))
        found.append(optimizer.param_groups[0]["lr"])
    assert found == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05])
    other = ReduceLROnPlateau(sgd(), mode="max", threshold_mode="abs", threshold=0.5)
    other.load_state_dict({**other.state_dict(), "best": 1.0})
    other.step(1.4)
    assert other.num_bad_epochs == 1
    other.step(1.6)
    assert other.num_bad_epochs == 0 and other.best == 1.6
    with pytest.raises(ValueRangeError, match="factor must be less than 1"):
        ReduceLROnPlateau(optimizer, factor=1.0)


def test_schedule_arguments() -> None:
    with pytest.raises(DTypeError, match="expected an optimizer, received int"):
        StepLR(3, 1)
    with pytest.raises(ValueRangeError, match="start_factor must be above 0"):
        LinearLR(sgd(), 0.0)
    with pytest.raises(ValueRangeError, match="received 2 functions for 1 groups"):
        LambdaLR(sgd(), [lambda t: 1, lambda t: 2])
    with pytest.raises(ValueRangeError, match="give total_steps, or epochs and steps_per_epoch"):
        OneCycleLR(sgd(), 1.0)
    with pytest.raises(ValueRangeError, match="needs an optimizer with momentum or betas"):
        OneCycleLR(el.optim.Adagrad([parameter()]), 1.0, total_steps=3)
    with pytest.raises(ValueRangeError, match="warmup_steps must be at least 1"):
        WarmupLR(sgd(), 0)


@pytest.mark.parametrize(
    "make",
    [
        lambda o: CosineAnnealingLR(o, 23, 0.01),
        lambda o: CosineAnnealingWarmRestarts(o, 5, 2),
        lambda o: ExponentialLR(o, 0.93),
        lambda o: MultiStepLR(o, [3, 7, 12], 0.3),
        lambda o: PolynomialLR(o, 17, 2.3),
        lambda o: OneCycleLR(o, 0.7, total_steps=30, cycle_momentum=False),
        lambda o: warmup_cosine(o, 4, 21),
    ],
)
def test_rates_have_the_same_bits_eager_and_compiled(make) -> None:
    """No schedule asks the C library, which differs between systems."""
    schedule = make(sgd(0.3))
    eager = rates(schedule, 25)
    schedule = make(sgd(0.3))
    step = el.jit(schedule.step)
    compiled = []
    for _ in range(25):
        compiled.append(schedule.optimizer.param_groups[0]["lr"])
        step()
    assert [float(rate).hex() for rate in compiled] == [float(rate).hex() for rate in eager]
