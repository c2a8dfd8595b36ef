"""The benchmarks' peers do the same work: equal losses and results from the same weights."""

import json
from collections.abc import Iterator

import numpy as np
import pytest

from benchmarks.__main__ import pythons_of
from benchmarks.cases import CASES
from benchmarks.harness import Options, Worker, WorkerError

TINY_CASES = sorted(
    {
        (case.task, json.dumps(case.tiny)): name
        for name, case in CASES.items()
        if case.mode == "plain"
    }.values()
)
# One thread: with more, PyTorch's channels-last convolutions of four channels go wrong.
OPTIONS = Options(engines=(), threads=1, timeout=300, pythons=pythons_of([]))


def start(name: str) -> Worker:
    try:
        return Worker(name, OPTIONS)
    except WorkerError as error:
        if "ModuleNotFoundError" in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture(scope="module")
def ours() -> Iterator[Worker]:
    worker = start("elinvar")
    yield worker
    worker.close()


@pytest.fixture(scope="module", params=["torch", "jax", "tensorflow", "numpy"])
def peer(request) -> Iterator[tuple[str, Worker]]:
    worker = start(request.param)
    yield request.param, worker
    worker.close()


def compare(ours: Worker, theirs: Worker, name: str) -> None:
    mine = ours.ask("prepare", case=name, tiny=True)
    other = theirs.ask("prepare", case=name, tiny=True)
    assert mine["parameters"] == other["parameters"]
    task = CASES[name].task
    if task == "training":
        # Batch normalization over a few values magnifies rounding.
        tolerance = 1e-4 if CASES[name].tiny["model"] in ("resnet", "unet") else 2e-6
        assert other["loss"] == pytest.approx(mine["loss"], rel=tolerance)
    elif task == "epoch":  # each framework mixes the pictures in its own order
        assert other["loss"] == pytest.approx(mine["loss"], rel=0.5)
    else:
        mine, other = ours.ask("value"), theirs.ask("value")
        assert mine["shape"] == other["shape"]
        np.testing.assert_allclose(mine["value"], other["value"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", TINY_CASES)
def test_the_same_work(name: str, ours: Worker, peer: tuple[str, Worker]) -> None:
    engine, worker = peer
    if engine not in CASES[name].engines:
        pytest.skip(f"{engine} has no part in it")
    compare(ours, worker, name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["train/mlp", "train/gpt-4x256", "rows/layer-norm-backward", "infer/mlp-b32"]
)
def test_compiled_pytorch_does_the_same_work(name: str, ours: Worker) -> None:
    worker = start("compile")
    try:
        compare(ours, worker, name)
    finally:
        worker.close()
