"""Exported training steps on other machines: cross compilers, qemu and Node give the same bits.

All models and types for 20 steps: `make test-cross`.
"""

import numpy as np
import pytest

import elinvar as el
from elinvar.core.errors import CompileError
from elinvar.export.status import Status
from tests.native_models import Training
from tests.native_runs import Call, missing_tool, run_elsewhere


def need(target):
    tool = missing_tool(target)
    if tool is not None:
        pytest.skip(f"needs {tool}")


def export(training, target, folder):
    link = target == "wasm32"
    return el.export_native(training.step, training.specs, target, folder / "step", link=link)


@pytest.mark.parametrize(
    "name, target",
    [
        pytest.param("mlp", "x86-64-v3", marks=pytest.mark.slow),
        ("mlp", "aarch64-linux-gnu"),
        pytest.param("mlp", "riscv64-linux-gnu", marks=pytest.mark.slow),
        pytest.param("mlp", "x86-64-v2", marks=pytest.mark.slow),
        pytest.param("mlp", "wasm32", marks=pytest.mark.slow),
        pytest.param("gpt", "aarch64-linux-gnu", marks=pytest.mark.slow),
        pytest.param("cnn", "aarch64-linux-gnu", marks=pytest.mark.slow),
        pytest.param("lstm", "aarch64-linux-gnu", marks=pytest.mark.slow),
    ],
)
def test_training_steps_have_the_same_bits(name, target, tmp_path):
    need(target)
    training = Training(name)
    made = export(training, target, tmp_path)
    calls = training.calls(4)
    there = run_elsewhere(made, calls, tmp_path)
    losses, parameters = training.here(calls)
    assert there.statuses == [Status.OK] * 4
    assert [results[0].tobytes() for results in there.results] == losses
    for key, data in parameters.items():
        assert there.weight("model_" + key.replace(".", "_")) == data, key


@pytest.mark.slow
@pytest.mark.parametrize("target", ["aarch64-linux-gnu", "wasm32"])
def test_error_codes_elsewhere(target, tmp_path):
    need(target)
    batch = el.Dim("batch", max=8)
    spec = el.TensorSpec((batch, 3))
    link = target == "wasm32"
    made = el.export_native(el.nn.Linear(3, 2), spec, target, tmp_path / "m", link=link)
    x = np.ones((2, 3), np.float32)
    sizes = [{"batch": 2}, {"batch": 9}, {"batch": -1}, {"batch": 1 << 60}]
    calls = [Call([x], size, [(np.dtype("f4"), (2, 2))]) for size in sizes]
    found = run_elsewhere(made, calls, tmp_path)
    wrong = Status.SIZE_OUT_OF_RANGE
    assert found.statuses == [Status.OK, wrong, wrong, wrong]
    assert np.isfinite(found.results[0][0]).all()


def test_wasm_memory_ends_at_two_gigabytes(tmp_path):
    need("wasm32")
    made = el.export_native(lambda x: (x[:, None] * x).sum(1), "f32[n]", "wasm32", tmp_path / "m", link=True)  # fmt: skip
    x = np.ones(2, np.float32)
    calls = [Call([x], {"n": n}, [(np.dtype("f4"), (2,))]) for n in (2, 1 << 31)]
    assert run_elsewhere(made, calls, tmp_path).statuses == [Status.OK, Status.OVERFLOW]


def test_a_linker_that_fails_is_quoted(tmp_path, monkeypatch):
    need("aarch64-linux-gnu")
    monkeypatch.setattr("elinvar.export.native._linker", lambda target: "/bin/false")
    with pytest.raises(CompileError, match="false failed"):
        el.export_native(el.nn.Linear(3, 2), "f32[n,3]", "aarch64-linux-gnu", tmp_path / "m", link=True)


@pytest.mark.slow
def test_threads_of_the_caller(tmp_path):
    need("x86-64-v2")
    training = Training("lstm")
    made = export(training, "host", tmp_path)
    calls = training.calls(2)
    alone = run_elsewhere(made, calls, tmp_path, threads=False)
    shared = run_elsewhere(made, calls, tmp_path, threads=True)
    assert alone.weights == shared.weights


@pytest.mark.slow
@pytest.mark.parametrize("name, stack", [("product", 512), ("cnn", 1536), ("channels", 2560)])
def test_stacks_are_as_large_as_the_page_says(name, stack, tmp_path):
    """docs/export.md: 0.4 MB in products, 1.3 MB in 3 x 3 convolutions, 2 MB in wide ones."""
    need("x86-64-v4")
    rng = np.random.default_rng(0)
    if name == "cnn":
        training = Training("cnn")
        function, specs, calls = training.step, training.specs, training.calls(1)
    else:
        wide = name == "channels"
        function = el.nn.Conv2d(496, 32, 3, padding=1) if wide else el.nn.Linear(1024, 1024)
        specs = "f32[n,496,32,32]" if wide else "f32[n,1024]"
        shape = (3, 496, 32, 32) if wide else (256, 1024)
        calls = [[rng.normal(size=shape).astype(np.float32)]]
    made = el.export_native(function, specs, "host", tmp_path / "m")
    found = run_elsewhere(made, calls, tmp_path, threads=False, stack=stack)
    assert found.statuses == [Status.OK]
