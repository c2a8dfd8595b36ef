"""What is prepared once for tensors from outside that a program does not write: when it is made
anew, and that nobody can tell by the results."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import elinvar as el
from elinvar.runtime.plans import Plan, decode, encode
from elinvar.tensor.function import Program


@pytest.fixture
def fills(monkeypatch):
    """How often something was prepared."""
    counted = []
    fill = Program.fill

    def counting(self, memory, operands):
        counted.append(self)
        fill(self, memory, operands)

    monkeypatch.setattr(Program, "fill", counting)
    return counted


def bits(x):
    return x.numpy().tobytes()


def predictor(model):
    def predict(x):
        with el.no_grad():
            found = model(x)
        return found[0] if isinstance(found, tuple) else found

    return predict, el.jit(predict)


def perceptron(width=40):
    el.manual_seed(0)
    return el.nn.Sequential(
        el.nn.Linear(30, width), el.nn.GELU(), el.nn.Linear(width, 10)
    ).eval()  # fmt: skip


MODELS = {
    "perceptron": (perceptron, (7, 30)),
    "one row": (perceptron, (1, 30)),
    "three rows": (perceptron, (3, 30)),
    "convolutions": (
        lambda: el.nn.Sequential(
            el.nn.Conv2d(3, 20, 3, padding=1), el.nn.BatchNorm2d(20), el.nn.ReLU(), el.nn.Conv2d(20, 30, 3)
        ).eval(),
        (2, 3, 9, 8),
    ),
    "lstm": (lambda: el.nn.LSTM(12, 20, 2).eval(), (5, 1, 12)),
    "attention": (lambda: el.nn.TransformerEncoderLayer(32, 4, 64, batch_first=True).eval(), (2, 9, 32)),
}


def assign(model):
    with el.no_grad():
        for p in model.parameters():
            p.assign(p * 1.25)


def set_element(model):
    with el.no_grad():
        next(model.parameters())[0] = 0.5


def load(model):
    model.load_state_dict({name: x * 2.0 for name, x in model.state_dict().items()})


def take_step(model):
    optimizer = el.optim.SGD(model.parameters(), lr=0.1)
    for p in model.parameters():
        p.grad = el.ones_like(p)
    optimizer.step()


@pytest.mark.parametrize("change", [assign, set_element, load, take_step])
@pytest.mark.parametrize("name", MODELS)
def test_new_weights_are_seen(name, change, fills):
    make, shape = MODELS[name]
    model = make()
    x = el.randn(*shape)
    predict, compiled = predictor(model)
    for _ in range(2):
        assert bits(compiled(x)) == bits(predict(x))
        assert bits(compiled(x)) == bits(predict(x))
        change(model)
    assert bits(compiled(x)) == bits(predict(x))
    assert len(fills) == 3


def test_all_sizes_share_what_is_prepared(fills):
    model = perceptron()
    predict, compiled = predictor(model)
    for batch in (3, 5, 1, 9, 40, 2, 0):
        x = el.randn(batch, 30)
        assert bits(compiled(x)) == bits(predict(x))
    assert len(fills) <= 3  # one for each program: the first size, all others, size 1


def test_a_compiled_step_that_trains_the_same_weights(fills):
    """The kept weights are held, so a step cannot write over them; the next prediction sees new ones."""
    model = perceptron()
    predict, compiled = predictor(model)
    optimizer = el.optim.SGD(model.parameters(), lr=0.1)

    @el.jit
    def step(x, y):
        optimizer.zero_grad()
        loss = el.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    x, y = el.randn(6, 30), el.randn(6, 10)
    for _ in range(3):
        assert bits(compiled(x)) == bits(predict(x))
        for _ in range(2):
            step(x, y)
    assert bits(compiled(x)) == bits(predict(x))
    assert len(fills) == 4


def test_a_training_step_prepares_nothing(fills):
    model = perceptron()
    optimizer = el.optim.SGD(model.parameters(), lr=0.1)

    @el.jit
    def step(x):
        optimizer.zero_grad()
        loss = model(x).sum()
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(3):
        step(el.ones((6, 30)))
    assert not fills


def test_memory_of_others_is_never_trusted():
    weight = np.ones((30, 40), np.float32)
    w = el.from_dlpack(weight)
    multiply = el.jit(lambda x: x @ w)
    x = el.ones((9, 30))
    assert multiply(x).numpy().max() == 30
    weight[:] = 2
    assert multiply(x).numpy().max() == multiply(x).numpy().min() == 60


def test_a_tensor_that_is_another_in_every_call(fills):
    """The pattern of an input that is rebound from outside: slower, never wrong."""
    w = el.zeros((30, 40))
    multiply = el.jit(lambda x: x @ w)
    x = el.randn(9, 30)
    for number in range(4):
        w.assign(el.full((30, 40), float(number)))
        assert bits(multiply(x)) == bits(x @ w)
    assert len(fills) == 4


def test_values_made_of_weights_are_prepared_but_no_product():
    model = el.nn.Sequential(
        el.nn.Conv2d(3, 8, 3), el.nn.BatchNorm2d(8), el.nn.Conv2d(8, 8, 3)
    ).eval()  # fmt: skip
    _, compiled = predictor(model)
    lines = compiled.lower(el.ones((4, 3, 6, 6))).loops.splitlines()
    assert lines[0].startswith("prepared")
    prepared = [line for line in lines[1:] if line.startswith("  ")]
    assert any("sqrt" in line for line in prepared) and any("pack" in line for line in prepared)

    a, b = el.randn(20, 20), el.randn(20, 20)
    lines = el.jit(lambda: (a @ b).exp()).lower().loops.splitlines()
    assert [line for line in lines if not line.startswith("  ")][1].split()[1] == "contract"


def test_several_threads_find_new_weights():
    model = perceptron(200)
    predict, compiled = predictor(model)
    x = el.randn(64, 30)
    for _ in range(10):
        compiled(x)
        assign(model)
        expected, wrong = bits(predict(x)), []

        def work(expected=expected, wrong=wrong):
            wrong += [1 for _ in range(10) if bits(compiled(x)) != expected]

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


def test_plans_keep_their_preparation():
    plan = Plan([], [], [], 64, True, [(0, 1)], [], 128, [2, 5], 4096)
    assert decode(encode(plan)) == plan


@pytest.mark.slow
def test_from_the_disk(tmp_path):
    """A second process finds the plan and prepares as the first did."""

    code = (
        "import elinvar as el\n"
        "el.manual_seed(0)\n"
        "layers = [el.nn.Linear(24, 24) for _ in range(20)]\n"
        "model = el.nn.Sequential(*[m for layer in layers for m in (layer, el.nn.Tanh())]).eval()\n"
        "@el.jit\n"
        "def predict(x):\n"
        "    with el.no_grad():\n"
        "        return model(x)\n"
        "x = el.randn(9, 24)\n"
        "with el.no_grad():\n"
        "    expected = model(x).numpy().tobytes()\n"
        "assert predict(x).numpy().tobytes() == expected\n"
        "assert predict(x).numpy().tobytes() == expected\n"
        "print('fine')\n"
    )

    environment = {**os.environ, "ELINVAR_CACHE": str(tmp_path)}
    for _ in range(2):
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment
        )
        assert result.stdout.strip() == "fine", result.stderr
