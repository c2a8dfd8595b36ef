"""What is timed: a task with its arguments, its work in operations and bytes, and a tiny copy.

Groups stand in the order in which they run; a case whose `apart` is set gets processes of its own,
so that its first call and its memory can be measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.engines.base import OPTIMIZERS
from benchmarks.frameworks import Framework
from benchmarks.models import make_gpt, tokens
from benchmarks.plan import plan_of, taps
from benchmarks.sizes import SIZES, TINY, GPTSize
from benchmarks.transforms import TIMED

EVERYONE = ("elinvar", "torch", "compile", "jax", "tensorflow")
EAGER = ("elinvar", "torch", "jax", "tensorflow")


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is timed in every framework.

    Attributes:
        name: its name on the command line, `group/…`.
        what: a line for people.
        task, arguments: what the engines are given; see `engines/base.py`.
        tiny: arguments of the same structure for tests.
        flops: floating-point operations of products and convolutions.
        traffic: bytes that must be read and written at least, where that is the limit.
        apart: whether every framework gets processes of its own for this case.
        engines: who takes part.
        mode: "plain"; "scaling": one thread and all; "busy": alone and beside a busy process.
    """

    name: str
    what: str
    task: str
    arguments: dict[str, Any]
    tiny: dict[str, Any]
    flops: int = 0
    traffic: int = 0
    apart: bool = False
    engines: tuple[str, ...] = EVERYONE
    mode: str = "plain"

    @property
    def group(self) -> str:
        """The part of the name before the slash."""
        return self.name.split("/")[0]


# name → (model, size, optimizer, what)
_TRAINED: dict[str, tuple[str, Any, str, str]] = {
    "mlp": ("mlp", SIZES["mlp"](), "sgd", "MLP 784–512–512–10, batch 128, SGD"),
    "resnet18-w32": (
        "resnet", SIZES["resnet"](width=32), "momentum",
        "ResNet-18 for 32 × 32, width 32, batch 64, momentum",
    ),
    "resnet18-w64": (
        "resnet", SIZES["resnet"](), "momentum",
        "ResNet-18 for 32 × 32, width 64, batch 64, momentum",
    ),
    "gpt-4x256": ("gpt", GPTSize(), "adamw", "GPT 4 × 256, 8 heads, T 128, batch 8, AdamW"),
    "gpt-6x384": (
        "gpt", GPTSize(width=384, layers=6, length=256, batch=4), "adamw",
        "GPT 6 × 384, 8 heads, T 256, batch 4, AdamW",
    ),
    "lstm": ("lstm", SIZES["lstm"](), "adam", "LSTM 2 × 256, T 64, batch 32, Adam"),
    "vit": ("vit", SIZES["vit"](), "adamw", "ViT-tiny, 32 × 32 in patches of 4, batch 32, AdamW"),
    "unet": ("unet", SIZES["unet"](), "adam", "U-Net, 64 × 64, width 32, batch 8, Adam"),
}  # fmt: skip


def _training() -> Iterator[Case]:
    for name, (model, size, optimizer, what) in _TRAINED.items():
        assert optimizer in OPTIMIZERS
        yield Case(
            f"train/{name}", f"training step: {what}", "training",
            {"model": model, "size": list(size), "optimizer": optimizer},
            {"model": model, "size": list(TINY[model]), "optimizer": optimizer},
            flops=plan_of(model, size).training, apart=True,
        )  # fmt: skip


def _inference() -> Iterator[Case]:
    for name, (model, size, _, what) in _TRAINED.items():
        for batch in (1, 32):
            used = size._replace(batch=batch)
            yield Case(
                f"infer/{name}-b{batch}", f"inference at batch {batch}: {what.split(',')[0]}",
                "inference", {"model": model, "size": list(used)},
                {"model": model, "size": list(TINY[model]._replace(batch=batch))},
                flops=plan_of(model, used).forward,
            )  # fmt: skip


def _small() -> Iterator[Case]:
    yield Case(
        "eager/adds", "100 chained eager additions of 16 floats", "adds",
        {"size": 16, "count": 100}, {"size": 4, "count": 3}, engines=EAGER,
    )  # fmt: skip
    rows, columns = 4096, 1024
    for function in ("gelu_softmax", "layer_norm"):
        # Forward reads and writes one array; backward reads input and cotangent and writes one.
        for part, arrays in (("forward", 2), ("backward", 3)):
            arguments = {"function": function, "rows": rows, "columns": columns, "part": part}
            yield Case(
                f"rows/{function.replace('_', '-')}-{part}",
                f"{function.replace('_', ' ').replace('gelu', 'gelu,')} on 4096 × 1024, {part}",
                "rows", arguments, {**arguments, "rows": 5, "columns": 7},
                traffic=arrays * rows * columns * 4,
            )  # fmt: skip


def _matmuls() -> Iterator[Case]:
    squares = [(f"{n}", n, n, n, "plain", "plain") for n in (64, 128, 256, 512, 1024, 2048)]
    transposed = [
        (f"{n}-{name}", n, n, n, left, right)
        for n in (256, 1024)
        for name, left, right in (
            ("tn", "transposed", "plain"), ("nt", "plain", "transposed"),
            ("tt", "transposed", "transposed"),
        )
    ]  # fmt: skip
    # A layer multiplies by the transposed weight; its gradients are a plain and a left-transposed
    # product. Rows are batch × length of the two GPTs.
    layers = [
        (f"gpt-{rows}x{inner}x{outer}{suffix}", m, n, k, left, right)
        for rows, inner, outer in ((1024, 256, 768), (1024, 256, 1024), (1024, 1024, 256),
                                   (1024, 384, 1536), (1024, 256, 128))
        for suffix, m, n, k, left, right in (
            ("", rows, outer, inner, "plain", "transposed"),
            ("-input", rows, inner, outer, "plain", "plain"),
            ("-weight", outer, inner, rows, "transposed", "plain"),
        )
    ]  # fmt: skip
    for name, m, n, k, left, right in squares + transposed + layers:
        arguments = {"m": m, "n": n, "k": k, "left": left, "right": right}
        marks = [("ᵀ" if side == "transposed" else "") for side in (left, right)]
        yield Case(
            f"matmul/{name}", f"f32 product {m}×{k}{marks[0]} · {k}×{n}{marks[1]}", "matmul",
            arguments, {**arguments, "m": 5, "n": 6, "k": 7},
            flops=2 * m * n * k, traffic=4 * (m * k + k * n + m * n),
            engines=(*EVERYONE, "numpy"),
        )  # fmt: skip


def _convolutions() -> Iterator[Case]:
    batch = 64
    for pixels, inputs, outputs, kernel, stride in (
        (32, 3, 64, 3, 1), (32, 64, 64, 3, 1), (32, 64, 128, 3, 2), (32, 64, 128, 1, 2),
        (16, 128, 128, 3, 1), (8, 256, 256, 3, 1), (4, 512, 512, 3, 1), (32, 32, 32, 3, 1),
    ):  # fmt: skip
        size = {"batch": batch, "pixels": pixels, "inputs": inputs, "outputs": outputs,
                "kernel": kernel, "stride": stride}  # fmt: skip
        out = -(-pixels // stride)
        for part in ("forward", "input", "weight"):
            if part == "input" and inputs == 3:
                continue  # nobody asks for the gradient of the pictures
            yield Case(
                f"conv/{pixels}px-{inputs}-{outputs}-k{kernel}s{stride}-{part}",
                f"convolution {inputs} → {outputs}, {kernel} × {kernel}, stride {stride}, "
                f"{pixels} × {pixels}, batch {batch}: {part}",
                "convolution", {**size, "part": part},
                {**size, "batch": 2, "pixels": 6, "inputs": 3, "outputs": 4, "part": part},
                flops=2 * batch * taps(pixels, kernel, stride) ** 2 * inputs * outputs,
                traffic=4 * (batch * (pixels**2 * inputs + out**2 * outputs)
                             + inputs * outputs * kernel**2),
            )  # fmt: skip


def _transforms() -> Iterator[Case]:
    for name, (program, sizes, tiny, what) in TIMED.items():
        yield Case(
            f"transform/{name}", what, "transform", {"program": program, **sizes},
            {"program": program, **tiny}, engines=("elinvar", "torch", "jax"),
        )  # fmt: skip


def _epoch() -> Iterator[Case]:
    size, samples = SIZES["cnn"](), 60_000
    yield Case(
        "epoch/fashion-mnist", "an epoch of Fashion-MNIST with its pipeline: CNN, batch 128, AdamW",
        "epoch", {"size": list(size), "samples": samples},
        {"size": list(TINY["cnn"]), "samples": 24},
        flops=plan_of("cnn", size).training * (samples // size.batch), apart=True,
    )  # fmt: skip


def _conditions() -> Iterator[Case]:
    for case in _training():
        name = case.name.split("/")[1]
        yield replace(
            case, name=f"scaling/{name}", what=f"one thread and all: {case.what}", apart=False,
            mode="scaling", engines=("elinvar", "torch", "jax", "tensorflow"),
        )  # fmt: skip
        if name == "gpt-4x256":
            yield replace(
                case, name=f"busy/{name}", what=f"beside a busy process: {case.what}", apart=False,
                mode="busy",
            )  # fmt: skip


CASES = {
    case.name: case
    for make in (
        _training, _small, _matmuls, _convolutions, _transforms, _inference, _epoch, _conditions,
    )
    for case in make()
}


def gpt_training(framework: Framework, size: GPTSize, steps: int) -> Callable[[], float]:
    """A function that takes the next step of a GPT's training and returns the loss."""
    model = framework.load(make_gpt(framework.module, size))
    optimizer = framework.optim.AdamW(model.parameters(), **OPTIMIZERS["adamw"])
    step = framework.training_step(model, optimizer, framework.loss)
    text = tokens(size, steps)
    batches = [(framework.tensor(row[:, :-1]), framework.tensor(row[:, 1:])) for row in text]
    number = 0

    def run() -> float:
        nonlocal number
        inputs, targets = batches[number % steps]
        number += 1
        return float(step(inputs, targets).item())

    return run
