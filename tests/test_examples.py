"""The examples run, the demo on fewer pictures than it has."""

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import elinvar as el

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"


def run(name: str, *arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_mlp() -> None:
    found = re.search(r"loss ([\d.]+) → ([\d.]+), ([\d.]+)%", run("mlp.py"))
    assert found and float(found[2]) < 0.1 and float(found[3]) > 95


@pytest.mark.slow
def test_functional() -> None:
    text = run("functional.py")
    losses = [float(value) for value in re.findall(r"loss ([\d.]+)", text)]
    assert len(losses) == 4 and losses[-1] < 0.05 * losses[0]
    assert float(re.search(r"slope ([\d.]+)", text)[1]) < 0.5


def pictures(split: str, side: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Little pictures of ten kinds: a bar at one of ten places, with noise."""
    count = 1280 if split == "train" else 300
    random = np.random.default_rng(count)
    labels = np.arange(count) % 10
    images = random.integers(0, 60, (count, 1, 28, 28), np.uint8)
    images[np.arange(count), :, 2 * labels + 4] += 150
    return images, labels


@pytest.mark.slow
@pytest.mark.parametrize("missing", [False, True])
def test_demo(
    missing: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo's own file, on data that takes seconds; also where Fashion-MNIST cannot be had."""

    def nowhere(split: str) -> None:
        raise el.data.DataMissingError("train-images is nowhere to be had")

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setattr(el.data, "fashion_mnist", nowhere if missing else pictures)
    monkeypatch.setattr(el.data, "digits", pictures)
    runpy.run_path(str(EXAMPLES / "fashion_mnist.py"), run_name="__main__")
    text = capsys.readouterr().out
    found = re.search(r"test accuracy ([\d.]+)%, [\d.]+ s of training, [\d,]+ images/s", text)
    assert found and float(found[1]) > (90 if missing else 50), text
    assert ("digits" in text) == missing
    assert (tmp_path / "demo" / "fashion_mnist.png").stat().st_size > 10_000


@pytest.mark.slow
def test_fashion_trainer(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    """Two epochs of it, on less data, go from pixels to a figure."""
    load = el.data.fashion_mnist

    def few(split: str = "train"):
        try:
            images, labels = load(split, download=False)
        except FileNotFoundError:
            pytest.skip("Fashion-MNIST is not here")
        return images[:2000], labels[:2000]

    monkeypatch.setattr(el.data, "fashion_mnist", few)
    monkeypatch.setattr(sys, "argv", ["fashion_trainer.py", "2"])
    runpy.run_path(str(EXAMPLES / "fashion_trainer.py"))
    shown = capsys.readouterr()
    assert re.search(r"test accuracy [\d.]+%", shown.out)
    learned = re.search(r"epoch +2/2 .* accuracy ([\d.]+)  val_loss", shown.err)
    assert learned and float(learned[1]) > 0.5  # averaged weights, which are tested, need longer


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake and a C compiler")
def test_native(tmp_path: Path) -> None:
    """The C program trains as Python does, to the last digit of the loss."""
    here = run("native/export.py", str(tmp_path)).split("\n", 1)[1]
    source = str(EXAMPLES / "native")
    build = str(tmp_path / "cmake")
    for command in (
        ["cmake", "-S", source, "-B", build, f"-DSTEP_DIR={tmp_path}"],
        ["cmake", "--build", build],
    ):
        subprocess.run(command, check=True, capture_output=True)
    learn = [str(tmp_path / "cmake" / "learn"), str(tmp_path)]
    there = subprocess.run(learn, check=True, capture_output=True, text=True).stdout
    assert there == here and "1050 of 1050 right" in there
