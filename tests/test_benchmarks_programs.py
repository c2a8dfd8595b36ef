"""Benchmarks in one process: what the contract costs, what open sizes cost, linear algebra."""

import json
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
from run_kernels import run_python

import elinvar as el
from benchmarks import contract, linalg, open_sizes, precision, training


@pytest.mark.slow
def test_the_cost_of_the_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both programs agree, and their kernels stand beside each other."""
    before, path = el.get_num_threads(), tmp_path / "found" / "contract.json"
    try:
        given = ["train/mlp", "product/", "rows/layer", "--tiny", "--rounds", "2"]
        contract.main([*given, "--builds", "1", "--seconds", "0.001", "--json", str(path)])
    finally:
        el.set_num_threads(before)
    shown = capsys.readouterr().out
    names = ["train/mlp", "rows/layer-norm-forward", "rows/layer-norm-backward"]
    names += ["product/dot-192", "product/matrix-vector-8x24", "product/vector-matrix-8x24"]
    found = {entry["name"]: entry for entry in json.loads(path.read_text())}
    assert list(found) == names and all(shown.count(name) == 2 for name in names)
    for entry in found.values():
        assert len(entry["exact"]) == len(entry["fast"]) == 2
        assert all(launches > 0 and exact > 0 for _, launches, exact, _ in entry["kernels"])
    assert any(kernel[0].startswith("contract") for kernel in found["train/mlp"]["kernels"])


def test_the_cost_of_the_contract_by_hand() -> None:
    found = contract.Found("x", [1.1, 2.2, 3.0], [1.0, 2.0, 4.0], [])
    assert math.isclose(found.cost, 0.1)
    with pytest.raises(RuntimeError, match=r"x: the two programs differ by 5\.0e-01"):
        contract._agree("x", {"exact": np.array([1.0, 2.0]), "fast": np.array([1.0, 3.0])})
    for given in (["nothing/"], ["--rounds", "0"], ["--builds", "0"]):
        with pytest.raises(SystemExit):
            contract.arguments_of(given)
    assert "train/vit" in contract.arguments_of([]).names


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_cost_of_open_sizes(
    threads: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fixed, open and exported programs agree on the loss, and stand beside each other."""
    before = el.get_num_threads()
    given = ["open_sizes", "mlp", "gpt", "--tiny", "--rounds", "2", "--seconds", "0.001"]
    monkeypatch.setattr("sys.argv", [*given, "--threads", threads])
    try:
        open_sizes.main()
    finally:
        el.set_num_threads(before)
    _, _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == ["mlp", "gpt"]
    assert all(row.split()[-1] == "1" for row in rows)  # compilations
    assert all(len(row.split()) == (8 if threads == "1" else 7) for row in rows)


def test_open_sizes_of_unknown_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["open_sizes", "nothing"])
    with pytest.raises(SystemExit):
        open_sizes.main()


@pytest.mark.slow
def test_linear_algebra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["linalg", "cholesky", "solve", "svd", "--tiny", "--rounds", "2", "--seconds", "0.001"]
    monkeypatch.setattr("sys.argv", [*given, "--threads", str(el.get_num_threads())])
    linalg.main()
    _, _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == ["cholesky"] * 4 + ["solve"] * 4 + ["svd"] * 4
    monkeypatch.setattr("sys.argv", ["linalg", "nothing"])
    with pytest.raises(SystemExit):
        linalg.main()


def test_first_calls() -> None:
    """Each example has a process of its own; what fails there is named."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    found = run_python("from benchmarks import cold\ncold.main(['negative', 'linalg.trace'])")
    assert found.returncode == 0, found.stderr
    assert "ms  negative" in found.stdout and "ms  linalg.trace" in found.stdout
    broken = "cold.examples = lambda: [('x', '1 / 0'), ('y', 'el.ones(2)')]"
    found = run_python(f"from benchmarks import cold\n{broken}\ncold.main([])")
    assert "ms  y" in found.stdout and "not timed: x" in found.stdout


@pytest.mark.slow
def test_learning_in_each_precision(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        el.data.fashion_mnist("train", download=False)
    except FileNotFoundError:
        pytest.skip("Fashion-MNIST is not here")
    precision.main(["images", "--tiny", "--seeds", "2"])
    shown = capsys.readouterr().out
    rows = [line.split() for line in shown.splitlines()]
    means = [float(row[-1]) for row in rows if len(row) == 4 and row[0] in precision.PRECISIONS]
    assert len(means) == 3 and min(means) > 60 and max(means) - min(means) < 3
    assert re.search(r"bf16 − f32: [+-]\d", shown)


@pytest.mark.slow
def test_the_cost_of_training(capsys: pytest.CaptureFixture[str]) -> None:
    """The bare loop and `fit` compute the same weights, and stand beside each other."""
    training.main(["overhead", "precision", "--tiny", "--models", "mlp", "--rounds", "2", "--steps", "3"])
    shown = capsys.readouterr().out
    for words in ("bare loop, µs", "mlp f32", "mlp bf16", "mlp f16", "scratch, MiB"):
        assert words in shown
    size = training.TINY["mlp"]
    data = [tuple(map(el.asarray, pair)) for pair in training.batches("mlp", size, 3)]
    bare, trainer = training.trainer_of("mlp", size), training.trainer_of("mlp", size)
    step = training.bare_step(bare)
    for x, y in data:
        step(x, y)
    trainer.fit(data)
    for a, b in zip(bare.model.parameters(), trainer.model.parameters(), strict=True):
        assert a.numpy().tobytes() == b.numpy().tobytes()
