"""20 whole training steps on every kind of machine: the same bits. Minutes; `make test-cross`."""

import numpy as np
import pytest

import elinvar as el
from elinvar.export.status import Status
from elinvar.runtime.llvm import this_machine
from tests.native_models import MODELS, Training
from tests.native_runs import missing_tool, run_elsewhere

STEPS = 20
TARGETS = ("x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64-linux-gnu", "riscv64-linux-gnu", "wasm32")
CASES = [(name, dtype) for name in MODELS for dtype in ("float32", "bfloat16")]
_here = {}


def need(target):
    tool = missing_tool(target)
    if tool is not None:
        pytest.skip(f"needs {tool}")
    if target == "x86-64-v4" and "+avx512vl" not in this_machine().features:
        pytest.skip("needs a machine with AVX-512")


def here(name, dtype):
    """Losses and parameters after the steps on this machine, by the JIT."""
    if (name, dtype) not in _here:
        training = Training(name, dtype)
        _here[name, dtype] = training.here(training.calls(STEPS))
    return _here[name, dtype]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name, dtype", CASES)
def test_training(name, dtype, target, tmp_path):
    need(target)
    training = Training(name, dtype)
    link = target == "wasm32"
    made = el.export_native(training.step, training.specs, target, tmp_path / "step", link=link)
    there = run_elsewhere(made, training.calls(STEPS), tmp_path)
    losses, parameters = here(name, dtype)
    assert there.statuses == [Status.OK] * STEPS
    assert [results[0].tobytes() for results in there.results] == losses
    for key, data in parameters.items():
        assert there.weight("model_" + key.replace(".", "_")) == data, key


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name, dtype", CASES)
def test_forward(name, dtype, target, tmp_path):
    need(target)
    training = Training(name, dtype)
    model, kind = training.model.eval(), getattr(el, dtype)

    def forward(x):
        return model(x.to(kind) if x.dtype == el.float32 else x).float()

    link = target == "wasm32"
    made = el.export_native(forward, training.specs[:1], target, tmp_path / "model", link=link)
    calls = [call[:1] for call in training.calls(6)]
    there = run_elsewhere(made, calls, tmp_path)
    expected = [el.jit(forward)(el.asarray(call[0])).numpy() for call in calls]
    for found, wanted in zip(there.results, expected, strict=True):
        assert found[0].tobytes() == np.ascontiguousarray(wanted).tobytes()
