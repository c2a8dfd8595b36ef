"""Optimizers by their formulas in numpy, groups, state."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import elinvar as el
from elinvar.core.errors import DTypeError, ShapeError, StateError, ValueRangeError
from tests.optimizing import OPTIMIZERS, START, gradient_of, parameter, set_gradient

pytestmark = pytest.mark.any_level


def run_ours(name: str, steps: int = 6, **options: Any) -> np.ndarray:
    w = parameter()
    optimizer = getattr(el.optim, name)([w], **options)
    for _ in range(steps):
        set_gradient(w)
        optimizer.step()
    return w.numpy()


def test_sgd() -> None:
    w, b = START.copy(), None
    for _ in range(6):
        g = gradient_of(w) + 0.1 * w
        b = g if b is None else 0.9 * b + 0.7 * g
        w = w - 0.05 * b
    found = run_ours("SGD", lr=0.05, momentum=0.9, dampening=0.3, weight_decay=0.1)
    np.testing.assert_allclose(found, w, rtol=1e-12)
    w, b = START.copy(), np.zeros(3)
    for _ in range(6):
        g = -gradient_of(w)
        b = 0.9 * b + g
        w = w - 0.001 * (g + 0.9 * b)
    found = run_ours("SGD", lr=0.001, momentum=0.9, nesterov=True, maximize=True)
    np.testing.assert_allclose(found, w, rtol=1e-12)


@pytest.mark.parametrize("amsgrad", (False, True))
@pytest.mark.parametrize("name", ("Adam", "AdamW"))
def test_adam(name: str, amsgrad: bool) -> None:
    w, m, v, top = START.copy(), np.zeros(3), np.zeros(3), np.zeros(3)
    for t in range(1, 7):
        g = gradient_of(w)
        if name == "AdamW":
            w = w * (1 - 0.3 * 0.2)
        else:
            g = g + 0.2 * w
        m, v = 0.8 * m + 0.2 * g, 0.5 * v + 0.5 * g * g
        top = np.maximum(top, v) if amsgrad else v
        w = w - 0.3 * (m / (1 - 0.8**t)) / (np.sqrt(top / (1 - 0.5**t)) + 1e-6)
    options = {"lr": 0.3, "betas": (0.8, 0.5), "eps": 1e-6, "weight_decay": 0.2}
    np.testing.assert_allclose(run_ours(name, amsgrad=amsgrad, **options), w, rtol=1e-11)


def test_nadam() -> None:
    w, m, v, product = START.copy(), np.zeros(3), np.zeros(3), 1.0
    for t in range(1, 7):
        g = gradient_of(w)
        now, later = (0.9 * (1 - 0.5 * 0.96 ** (k * 0.01)) for k in (t, t + 1))
        product *= now
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        bottom = np.sqrt(v / (1 - 0.99**t)) + 1e-8
        step = (1 - now) / (1 - product) * g / bottom + later / (1 - product * later) * m / bottom
        w = w - 0.1 * step
    found = run_ours("NAdam", lr=0.1, betas=(0.9, 0.99), momentum_decay=0.01)
    np.testing.assert_allclose(found, w, rtol=1e-11)


def test_rmsprop() -> None:
    w, v, a, b = START.copy(), np.zeros(3), np.zeros(3), np.zeros(3)
    for _ in range(6):
        g = gradient_of(w) + 0.1 * w
        v, a = 0.9 * v + 0.1 * g * g, 0.9 * a + 0.1 * g
        b = 0.8 * b + g / (np.sqrt(v - a * a) + 1e-8)
        w = w - 0.01 * b
    found = run_ours("RMSprop", lr=0.01, alpha=0.9, weight_decay=0.1, momentum=0.8, centered=True)
    np.testing.assert_allclose(found, w, rtol=1e-10)


def test_adagrad() -> None:
    w, s = START.copy(), np.full(3, 0.1)
    for t in range(6):
        g = gradient_of(w)
        s = s + g * g
        w = w - 0.2 / (1 + t * 0.5) * g / (np.sqrt(s) + 1e-10)
    found = run_ours("Adagrad", lr=0.2, lr_decay=0.5, initial_accumulator_value=0.1)
    np.testing.assert_allclose(found, w, rtol=1e-12)


def test_lion() -> None:
    w, m = START.copy(), np.zeros(3)
    for _ in range(6):
        g = gradient_of(w)
        u = np.sign(0.9 * m + 0.1 * g)
        w = w - 0.01 * (u + 0.3 * w)
        m = 0.99 * m + 0.01 * g
    np.testing.assert_allclose(run_ours("Lion", lr=0.01, weight_decay=0.3), w, rtol=1e-12)


def rms(x: np.ndarray) -> float:
    return math.sqrt((x * x).mean())


def test_adafactor() -> None:
    start = np.random.default_rng(0).standard_normal((4, 3))
    w, rows, columns = start.copy(), np.zeros((4, 1)), np.zeros((1, 3))
    ours = parameter(start)
    optimizer = el.optim.Adafactor([ours], lr=0.1, weight_decay=0.2)
    for t in range(1, 6):
        set_gradient(ours)
        optimizer.step()
        g = gradient_of(w)
        keep, rho = t**-0.8, min(0.1, t**-0.5)
        alpha = max(1e-3, rms(w)) * rho
        w = w * (1 - 0.1 * 0.2)
        rows = (1 - keep) * rows + keep * (g * g).mean(1, keepdims=True)
        columns = (1 - keep) * columns + keep * (g * g).mean(0, keepdims=True)
        u = g / np.sqrt(rows * columns / rows.mean())
        w = w - alpha / max(1.0, rms(u)) * u
    np.testing.assert_allclose(ours.numpy(), w, rtol=1e-10)
    assert set(optimizer.state[ours]) == {"step", "row_var", "col_var"}
    vector = parameter()
    set_gradient(vector)
    other = el.optim.Adafactor([vector])
    other.step()
    assert set(other.state[vector]) == {"step", "variance"}


def iterated(g: np.ndarray, steps: int = 5) -> np.ndarray:
    x = g / np.linalg.norm(g)
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
    return x


@pytest.mark.parametrize("shape", ((3, 5), (5, 3), (4, 4)))
def test_muon(shape: Any) -> None:
    start = np.random.default_rng(0).standard_normal(shape)
    ours, w, m = parameter(start), start.copy(), np.zeros(shape)
    optimizer = el.optim.Muon([ours], lr=0.02, weight_decay=0.1)
    for _ in range(4):
        set_gradient(ours)
        optimizer.step()
        g = gradient_of(w)
        m = 0.95 * m + 0.05 * g
        u = 0.05 * g + 0.95 * m
        u = iterated(u.T).T if shape[0] > shape[1] else iterated(u)
        w = w * (1 - 0.02 * 0.1) - 0.02 * math.sqrt(max(1, shape[0] / shape[1])) * u
    np.testing.assert_allclose(ours.numpy(), w, rtol=1e-9, atol=1e-12)


def test_orthogonalize_brings_singular_values_near_one() -> None:
    g = np.random.default_rng(0).standard_normal((6, 9))
    found = el.optim.orthogonalize(el.asarray(g)).numpy()
    left, values, right = np.linalg.svd(found, full_matrices=False)
    assert 0.5 < values.min() and values.max() < 1.3
    expected, _, expected_right = np.linalg.svd(g, full_matrices=False)
    product, wanted = left @ right, expected @ expected_right
    np.testing.assert_allclose(product, wanted, atol=1e-9)


def test_muon_trains_the_rest_with_adamw() -> None:
    model = el.nn.Sequential(el.nn.Embedding(5, 4), el.nn.Linear(4, 3))
    optimizer = el.optim.Muon(
        [
            {"params": model[1].parameters()},
            {"params": model[0].parameters(), "use_muon": False},
        ],
        lr=0.02,
        adamw_lr=0.005,
        weight_decay=0.0,
    )
    kinds = [(g["use_muon"], g["lr"], len(g["params"])) for g in optimizer.param_groups]
    assert kinds == [(True, 0.02, 1), (False, 0.005, 1), (False, 0.005, 1)]
    bias, twin = model[1].bias, parameter(model[1].bias.numpy(), el.float32)
    other = el.optim.AdamW([twin], lr=0.005, betas=(0.9, 0.95), weight_decay=0.0)
    for _ in range(3):
        for p in model.parameters():
            p.grad = el.ones(p.shape)
        twin.grad = el.ones(twin.shape)
        optimizer.step()
        other.step()
    np.testing.assert_array_equal(bias.numpy(), twin.numpy())
    assert set(optimizer.state[model[1].weight]) == {"step", "momentum_buffer"}
    with pytest.raises(ValueRangeError, match=r"only matrices can use Muon, received f32\[3\]"):
        el.optim.Muon([{"params": [bias], "use_muon": True}])


# ---- groups ----------------------------------------------------------------------------------


def test_groups() -> None:
    a, b, c = parameter(), parameter(), parameter()
    optimizer = el.optim.SGD([{"params": [a], "lr": 1}, {"params": b}], lr=0.5, momentum=0.9)
    optimizer.add_param_group({"params": [c], "momentum": 0.0})
    groups = optimizer.param_groups
    assert [g["lr"] for g in groups] == [1.0, 0.5, 0.5]
    assert [g["momentum"] for g in groups] == [0.9, 0.9, 0.0]
    assert groups[0]["params"] == [a] and isinstance(groups[0]["lr"], float)
    for p in (a, b, c):
        p.grad = el.ones(3, dtype=el.float64)
    optimizer.step()
    np.testing.assert_allclose(a.numpy(), START - 1)
    np.testing.assert_allclose(b.numpy(), START - 0.5)
    assert "momentum_buffer" in optimizer.state[a] and "momentum_buffer" not in optimizer.state[c]
    groups[0]["lr"] *= 0.25
    assert groups[0]["lr"] == 0.25 and dict(groups[0])["nesterov"] is False
    groups[1]["lr"] = el.asarray(0.75)
    assert groups[1]["lr"] == 0.75
    assert "lr: 0.25" in repr(optimizer) and repr(optimizer).startswith("SGD (\n  0: 1 parameters")
    adam = el.optim.Adam([parameter()], betas=(0.5, 0))
    assert adam.param_groups[0]["betas"] == (0.5, 0.0)
    adam.param_groups[0]["betas"] = (0.25, 0.75)
    assert adam.param_groups[0]["betas"] == (0.25, 0.75)
    with pytest.raises(ValueRangeError, match="betas needs 2 numbers, received 1"):
        adam.param_groups[0]["betas"] = (0.25,)
    with pytest.raises(DTypeError, match="lr must be a number, received str"):
        adam.param_groups[0]["lr"] = "much"
    with pytest.raises(ValueRangeError, match=r"lr must be one number, got f32\[2\]"):
        adam.param_groups[0]["lr"] = el.ones(2)


BAD = [
    ("SGD", {"lr": -1.0}, "lr must be at least 0, received -1"),
    ("SGD", {"nesterov": True}, "nesterov needs a momentum above 0"),
    ("Adam", {"betas": (0.9, 1.0)}, "betas must be at least 0 and less than 1, received 1"),
    ("Adam", {"eps": -1e-8}, "eps must be at least 0"),
    ("AdamW", {"weight_decay": float("nan")}, "weight_decay must be at least 0, received nan"),
    ("RMSprop", {"alpha": -0.1}, "alpha must be at least 0"),
    ("Adafactor", {"d": 0.5}, "d must be at least 1"),
    ("Muon", {"adjust_lr_fn": "own"}, "adjust_lr_fn must be"),
]


@pytest.mark.parametrize("name,options,expected", BAD)
def test_options_out_of_range(name: str, options: Any, expected: str) -> None:
    with pytest.raises(ValueRangeError, match=expected) as caught:
        getattr(el.optim, name)([parameter(np.ones((2, 2)))], **options)
    assert str(caught.value).startswith(f"[{name}]")


def test_bad_parameters() -> None:
    w = parameter()
    with pytest.raises(ValueRangeError, match="received no parameters"):
        el.optim.SGD([])
    with pytest.raises(DTypeError, match="received one tensor"):
        el.optim.SGD(w)
    with pytest.raises(DTypeError, match=r"can only optimize tensors, received int \(number 1\)"):
        el.optim.SGD([w, 3])
    with pytest.raises(ValueRangeError, match="is the result of an operation"):
        el.optim.SGD([w * 2])
    with pytest.raises(ValueRangeError, match="appears twice"):
        el.optim.SGD([w, w])
    optimizer = el.optim.SGD([w])
    with pytest.raises(ValueRangeError, match="appears twice"):
        optimizer.add_param_group({"params": [w]})
    with pytest.raises(DTypeError, match="the key 'params'"):
        optimizer.add_param_group({"lr": 1.0})


def test_zero_grad_and_closure() -> None:
    w = parameter()
    optimizer = el.optim.SGD([w], lr=0.1)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with el.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == pytest.approx((START**2).sum())
    np.testing.assert_allclose(w.numpy(), START * 0.8)
    optimizer.zero_grad(set_to_none=False)
    assert w.grad.tolist() == [0.0] * 3
    optimizer.zero_grad()
    assert w.grad is None
    before = w.numpy().copy()
    optimizer.step()
    np.testing.assert_array_equal(w.numpy(), before)
    assert w.requires_grad and w.is_leaf


def test_sixteen_bit_parameters_are_updated_in_float32() -> None:
    w = parameter(np.ones(4), el.bfloat16)
    optimizer = el.optim.Adam([w], lr=0.5)
    w.grad = el.ones(4, dtype=el.bfloat16)
    optimizer.step()
    assert w.dtype is el.bfloat16 and w.float().tolist() == [0.5] * 4
    assert optimizer.state[w]["exp_avg"].dtype is el.bfloat16


# ---- state -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_saved_state_goes_on_bit_for_bit(name: str, tmp_path: Any) -> None:
    def train(w: Any, optimizer: Any, steps: int) -> None:
        for _ in range(steps):
            for p in w:
                set_gradient(p)
            optimizer.step()

    start = [np.random.default_rng(0).standard_normal((3, 2)), START]
    whole = [parameter(value) for value in start]
    train(whole, getattr(el.optim, name)(whole, lr=0.01, **OPTIMIZERS[name]), 8)
    half = [parameter(value) for value in start]
    first = getattr(el.optim, name)(half, lr=0.01, **OPTIMIZERS[name])
    train(half, first, 4)
    el.save({"weights": half, "optimizer": first}, tmp_path / "half.safetensors")
    saved = el.load(tmp_path / "half.safetensors")
    rest = [parameter(value.numpy()) for value in saved["weights"]]
    second = getattr(el.optim, name)(rest, lr=3.0)
    second.load_state_dict(saved["optimizer"])
    train(rest, second, 4)
    for p, q in zip(whole, rest, strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())


def test_states_that_do_not_fit() -> None:
    w = parameter()
    optimizer = el.optim.Adam([w], lr=0.5)
    set_gradient(w)
    optimizer.step()
    state = optimizer.state_dict()
    assert state["param_groups"][0]["params"] == [0] and state["param_groups"][0]["lr"] == 0.5
    assert set(state["state"][0]) == {"step", "exp_avg", "exp_avg_sq"}
    assert state["state"][0]["step"].item() == 1
    two = el.optim.Adam([parameter(), parameter()])
    with pytest.raises(StateError, match=r"groups have \[2\] parameters, the state's have \[1\]"):
        two.load_state_dict(state)
    other = el.optim.Adam([parameter(np.ones(2))], lr=0.125)
    with pytest.raises(
        ShapeError, match=r"'exp_avg' of parameter 0 must be f64\[2\], received f64\[3\]"
    ):
        other.load_state_dict(state)
    assert other.param_groups[0]["lr"] == 0.125 and not other.state
    with pytest.raises(StateError, match="lacks 'momentum_buffer'"):
        el.optim.SGD([parameter()], momentum=0.9).load_state_dict(state)
    with pytest.raises(StateError, match="keys 'state' and 'param_groups'"):
        other.load_state_dict({"state": {}})


def test_counters_are_shared_and_split() -> None:
    a, b, c = parameter(), parameter(), parameter()
    optimizer = el.optim.Adam([a, b, c])
    for p in (a, b, c):
        set_gradient(p)
    optimizer.step()
    assert optimizer.state[a]["step"] is optimizer.state[c]["step"]
    b.grad = None
    optimizer.step()
    steps = [int(optimizer.state[p]["step"].item()) for p in (a, b, c)]
    assert steps == [2, 1, 2] and optimizer.state[a]["step"] is optimizer.state[c]["step"]
    set_gradient(b)
    optimizer.step()
    assert [int(optimizer.state[p]["step"].item()) for p in (a, b, c)] == [3, 2, 3]
