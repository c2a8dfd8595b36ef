"""Optimizers and schedules against PyTorch's, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import elinvar as el

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.any_level

STEPS = 20
SHAPES = ((4, 3), (5,), ())

CASES = {
    "SGD": [
        {"lr": 0.05},
        {"lr": 0.05, "momentum": 0.9},
        {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1},
        {"lr": 0.05, "momentum": 0.9, "nesterov": True, "maximize": True},
    ],
    "Adam": [
        {"lr": 0.02},
        {"lr": 0.02, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1},
        {"lr": 0.02, "amsgrad": True, "maximize": True},
    ],
    "AdamW": [{"lr": 0.02}, {"lr": 0.02, "weight_decay": 0.3, "amsgrad": True}],
    "NAdam": [{"lr": 0.02}, {"lr": 0.02, "weight_decay": 0.1, "decoupled_weight_decay": True}],
    "RMSprop": [
        {"lr": 0.02},
        {"lr": 0.02, "momentum": 0.8, "centered": True, "weight_decay": 0.1, "maximize": True},
    ],
    "Adagrad": [
        {"lr": 0.1},
        {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.2},
    ],
    "Adafactor": [
        {"lr": 0.05},
        {"lr": 0.1, "beta2_decay": -0.6, "eps": (1e-6, 1e-2), "d": 1.5, "weight_decay": 0.1},
    ],
}
ROWS = [(name, options) for name, rows in CASES.items() for options in rows]
NAMES = [f"{name}-{number}" for name, rows in CASES.items() for number in range(len(rows))]


def first_values(dtype: Any) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [np.asarray(random.standard_normal(shape), dtype) for shape in SHAPES]


def loss_of(parameters: list[Any]) -> Any:
    """A smooth function with bounded gradients of different sizes."""
    matrix, vector, number = parameters
    squares = vector * vector
    return (3 * matrix).sin().sum() + (squares / (1 + squares)).sum() + ((number - 3) ** 2 + 1).log()


def compare(ours: list[Any], theirs: list[Any], tolerance: float, where: Any) -> None:
    for p, q in zip(ours, theirs, strict=True):
        wanted = q.detach().numpy()
        scale = np.maximum(np.abs(wanted), 0.1)
        error = np.abs(p.numpy() - wanted) / scale
        assert error.max(initial=0) <= tolerance, f"{where}: {error.max()}"


@pytest.mark.parametrize("jitted", (False, True), ids=("eager", "jit"))
@pytest.mark.parametrize("dtype", (np.float32, np.float64), ids=("f32", "f64"))
@pytest.mark.parametrize(("name", "options"), ROWS, ids=NAMES)
def test_optimizer(name: str, options: Any, dtype: Any, jitted: bool) -> None:
    ours = [el.nn.Parameter(el.asarray(value)) for value in first_values(dtype)]
    theirs = [torch.nn.Parameter(torch.from_numpy(value.copy())) for value in first_values(dtype)]
    optimizer = getattr(el.optim, name)(ours, **options)
    other = getattr(torch.optim, name)(theirs, **options)

    def one_step() -> Any:
        optimizer.zero_grad()
        loss = loss_of(ours)
        loss.backward()
        optimizer.step()
        return loss

    run = el.jit(one_step) if jitted else one_step
    tolerance = 1e-7 if dtype is np.float64 else 2e-6
    for number in range(STEPS):
        run()
        other.zero_grad()
        loss_of(theirs).backward()
        other.step()
        compare(ours, theirs, tolerance, f"step {number}")
    if jitted:
        assert run.compilations <= 2


@pytest.mark.parametrize(("name", "options"), ROWS, ids=NAMES)
def test_a_pytorch_state_goes_on(name: str, options: Any) -> None:
    """10 steps in PyTorch, the state taken over, 10 steps in both."""
    theirs = [torch.nn.Parameter(torch.from_numpy(value)) for value in first_values(np.float64)]
    other = getattr(torch.optim, name)(theirs, **options)
    for _ in range(10):
        other.zero_grad()
        loss_of(theirs).backward()
        other.step()
    ours = [el.nn.Parameter(el.asarray(p.detach().numpy())) for p in theirs]
    optimizer = getattr(el.optim, name)(ours, lr=7.0)
    state = other.state_dict()
    state["state"] = {
        number: {key: value.numpy() for key, value in cells.items() if value is not None}
        for number, cells in state["state"].items()
    }
    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["lr"] == options["lr"]
    for number in range(10):
        for opt, parameters in ((optimizer, ours), (other, theirs)):
            opt.zero_grad()
            loss_of(parameters).backward()
            opt.step()
        compare(ours, theirs, 1e-6, f"step {number}")


def test_parameter_that_misses_steps() -> None:
    """Bias correction counts a parameter's own steps."""
    ours = [el.nn.Parameter(el.asarray(value)) for value in first_values(np.float64)]
    theirs = [torch.nn.Parameter(torch.from_numpy(v.copy())) for v in first_values(np.float64)]
    optimizer, other = el.optim.Adam(ours, lr=0.1), torch.optim.Adam(theirs, lr=0.1)
    for number in range(9):
        for opt, parameters in ((optimizer, ours), (other, theirs)):
            opt.zero_grad()
            loss_of(parameters).backward()
            if number % 3 == 1:
                parameters[1].grad = None
            if number < 4:
                parameters[2].grad = None
            opt.step()
        compare(ours, theirs, 1e-6, f"step {number}")


def test_muon_follows_pytorchs_direction() -> None:
    """PyTorch iterates in bfloat16, so the steps agree to about two digits."""
    value = np.random.default_rng(0).standard_normal((8, 5)).astype(np.float32)
    options = {"lr": 0.1, "weight_decay": 0.2, "momentum": 0.9, "adjust_lr_fn": "match_rms_adamw"}
    for shape in ((8, 5), (5, 8)):
        ours = el.nn.Parameter(el.asarray(value.reshape(shape)))
        theirs = torch.nn.Parameter(torch.from_numpy(value.reshape(shape).copy()))
        optimizer = el.optim.Muon([ours], **options)
        other = torch.optim.Muon([theirs], **options)
        for _ in range(5):
            for opt, p in ((optimizer, ours), (other, theirs)):
                opt.zero_grad()
                (p**4).sum().backward()
                opt.step()
            difference = np.abs(ours.numpy() - theirs.detach().numpy())
            assert difference.max() < 0.02 * 5


SCHEDULES = {
    "StepLR": [{"step_size": 3, "gamma": 0.5}],
    "MultiStepLR": [{"milestones": [2, 5, 5, 11], "gamma": 0.3}],
    "ExponentialLR": [{"gamma": 0.9}],
    "ConstantLR": [{}, {"factor": 0.2, "total_iters": 4}],
    "LinearLR": [{}, {"start_factor": 0.1, "end_factor": 0.7, "total_iters": 7}],
    "PolynomialLR": [{"total_iters": 9, "power": 1.7}],
    "CosineAnnealingLR": [{"T_max": 10, "eta_min": 0.01}],
    "CosineAnnealingWarmRestarts": [{"T_0": 4}, {"T_0": 3, "T_mult": 2, "eta_min": 0.02}],
    "LambdaLR": [{"lr_lambda": lambda t: 1.0 / (t + 1)}],
    "OneCycleLR": [
        {"max_lr": 0.5, "total_steps": STEPS + 1},
        {"max_lr": 0.5, "total_steps": STEPS + 1, "three_phase": True, "anneal_strategy": "linear"},
        {"max_lr": 0.5, "epochs": 7, "steps_per_epoch": 3, "pct_start": 0.5},
    ],
}
SCHEDULE_ROWS = [(name, options) for name, rows in SCHEDULES.items() for options in rows]
SCHEDULE_NAMES = [f"{name}-{i}" for name, rows in SCHEDULES.items() for i in range(len(rows))]


def pair(optimizer: str = "Adam") -> tuple[Any, Any]:
    ours = getattr(el.optim, optimizer)([el.nn.Parameter(el.zeros(1))], lr=0.4)
    theirs = getattr(torch.optim, optimizer)([torch.nn.Parameter(torch.zeros(1))], lr=0.4)
    return ours, theirs


@pytest.mark.parametrize("jitted", (False, True), ids=("eager", "jit"))
@pytest.mark.parametrize(("name", "options"), SCHEDULE_ROWS, ids=SCHEDULE_NAMES)
def test_schedule(name: str, options: Any, jitted: bool) -> None:
    ours, theirs = pair()
    schedule = getattr(el.optim.lr_scheduler, name)(ours, **options)
    other = getattr(torch.optim.lr_scheduler, name)(theirs, **options)
    step = el.jit(schedule.step) if jitted else schedule.step
    for number in range(STEPS):
        group, wanted = ours.param_groups[0], theirs.param_groups[0]
        assert group["lr"] == pytest.approx(wanted["lr"], rel=1e-12, abs=1e-15), number
        assert group["betas"] == pytest.approx(wanted["betas"], rel=1e-12), number
        assert schedule.get_last_lr() == pytest.approx(other.get_last_lr(), rel=1e-12, abs=1e-15)
        step()
        theirs.step()  # PyTorch warns where the schedule steps first
        other.step()
    assert schedule.last_epoch == other.last_epoch


def test_one_cycle_moves_the_momentum_of_sgd() -> None:
    ours = el.optim.SGD([el.nn.Parameter(el.zeros(1))], lr=0.1, momentum=0.9)
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    schedule = el.optim.lr_scheduler.OneCycleLR(ours, 1.0, total_steps=10)
    other = torch.optim.lr_scheduler.OneCycleLR(theirs, 1.0, total_steps=10)
    for _ in range(9):
        theirs.step()
        schedule.step()
        other.step()
        assert ours.param_groups[0]["momentum"] == pytest.approx(theirs.param_groups[0]["momentum"])


def test_sequence_of_schedules() -> None:
    ours, theirs = pair("SGD")

    def build(module: Any, optimizer: Any) -> Any:
        first = module.LinearLR(optimizer, start_factor=0.1, total_iters=4)
        second = module.CosineAnnealingLR(optimizer, T_max=8)
        return module.SequentialLR(optimizer, [first, second], milestones=[4])

    schedule = build(el.optim.lr_scheduler, ours)
    other = build(torch.optim.lr_scheduler, theirs)
    for _ in range(12):
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-9)
        theirs.step()
        schedule.step()
        other.step()


@pytest.mark.parametrize("mode", ("min", "max"))
@pytest.mark.parametrize("threshold_mode", ("rel", "abs"))
def test_plateau(mode: str, threshold_mode: str) -> None:
    ours, theirs = pair("SGD")
    options = {
        "mode": mode, "threshold_mode": threshold_mode, "threshold": 0.05, "patience": 1,
        "factor": 0.5, "cooldown": 1, "min_lr": 0.03,
    }  # fmt: skip
    schedule = el.optim.lr_scheduler.ReduceLROnPlateau(ours, **options)
    other = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    for value in np.random.default_rng(0).uniform(0.5, 1.5, 40):
        schedule.step(float(value))
        other.step(float(value))
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"])
