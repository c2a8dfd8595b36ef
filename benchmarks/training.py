"""What the Trainer costs, what mixed precision saves, and an epoch beside PyTorch.

    python -m benchmarks.training                    # all three
    python -m benchmarks.training overhead --rounds 15
    python -m benchmarks.training precision --models gpt mlp
    python -m benchmarks.training epoch              # Fashion-MNIST, the network of `make demo`

overhead    `fit` beside the bare loop over a jitted step, on the same model and the same batches:
            microseconds a step, medians over rounds that take turns. With metrics off, so that both
            compute the same; with the plain progress lines of a pipe.
precision   a training step in f32, bf16 and f16: time, and what the memory plan of the compiled
            step says: the scratch memory in all (activations, gradients, temporary values), and how
            much of it holds activations that forward saves for backward.
epoch       data in memory to trained weights, accuracy included, beside the same network in
            PyTorch eager with the same batches (channels-last, fused optimizer), and in Keras with
            `--keras .venv-tensorflow/bin/python` (what `model.fit` does, which compiles).
"""

from __future__ import annotations

import argparse
import atexit
import importlib
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import elinvar as el
from benchmarks.models import MODELS, batches
from benchmarks.sizes import SIZES, TINY
from elinvar import nn
from elinvar.kernels.plan import flatten, touched
from elinvar.nn.summary import table

OPTIMIZERS = {
    "mlp": "sgd", "gpt": "adamw", "lstm": "adam", "vit": "adamw", "cnn": "adamw", "resnet": "sgd",
}  # fmt: skip


def loss_of(output: Any, target: Any) -> Any:
    """Cross-entropy of classes in the last axis."""
    return nn.functional.cross_entropy(output.reshape(-1, output.shape[-1]), target.reshape(-1))


def trainer_of(model: str, size: Any, **options: Any) -> el.Trainer:
    """A trainer over a model of the benchmarks."""
    el.manual_seed(0)
    module = MODELS[model](el, size)
    options = {"progress": False, **options}
    return el.Trainer(module, OPTIMIZERS[model], loss_of, **options)
PRODUCTS = ("contract", "convolution", "attention_backward")


# ---- what the trainer costs ---------------------------------------------------------------------


def overhead(chosen: argparse.Namespace) -> None:
    """Print microseconds a step of the bare loop and of `fit`."""
    rows = []
    for model in chosen.models:
        size = TINY[model] if chosen.tiny else SIZES[model]()
        data = [tuple(map(el.asarray, pair)) for pair in batches(model, size, chosen.steps)]
        bare, trainer = trainer_of(model, size), trainer_of(model, size)
        step = bare_step(bare)

        def loop(step: Any = step, data: Any = data) -> None:
            total = 0.0
            for x, y in data:
                total += step(x, y).item()

        times = alternate([loop, lambda t=trainer, d=data: t.fit(d)], chosen.rounds)
        each = [t / len(data) * 1e6 for t in times]
        extra = each[1] - each[0]
        rows.append(
            [model, f"{each[0]:,.0f}", f"{each[1]:,.0f}", f"{extra:.0f}", f"{extra / each[0]:.1%}"]
        )
    print(table(["model", "bare loop, µs", "fit, µs", "more, µs", "more"], rows, 4))


def bare_step(trainer: el.Trainer) -> Callable[..., Any]:
    """The training step that a user would write."""
    model, optimizer = trainer.model.train(), trainer.optimizer
    assert optimizer is not None

    @el.jit
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def alternate(runs: list[Callable[[], Any]], rounds: int) -> list[float]:
    """Median seconds of each, in rounds that take turns; the first round does not count."""
    found: list[list[float]] = [[] for _ in runs]
    for number in range(rounds + 1):
        order = list(range(len(runs)))
        for place in order if number % 2 else reversed(order):
            start = time.perf_counter()
            runs[place]()
            if number:
                found[place].append(time.perf_counter() - start)
    return [statistics.median(times) for times in found]


# ---- mixed precision ----------------------------------------------------------------------------


def precision(chosen: argparse.Namespace) -> None:
    """Print time and scratch memory of a step in each precision."""
    rows = []
    for model in chosen.models:
        size = TINY[model] if chosen.tiny else SIZES[model]()
        if chosen.batch:
            size = size._replace(batch=chosen.batch)
        batch = tuple(map(el.asarray, batches(model, size, 1)[0]))
        names = ("f32", "bf16", "f16")
        trainers = {name: trainer_of(model, size, precision=name) for name in names}
        runs = []
        for trainer in trainers.values():
            trainer.model.train()
            runs.append(several(trainer.prepared(), batch))
        times = alternate(runs, chosen.rounds)
        memory = [memory_of(trainer, batch) for trainer in trainers.values()]
        for name, seconds, held in zip(trainers, times, memory, strict=True):
            rows.append(
                [
                    f"{model} {name}",
                    f"{seconds / 5 * 1e3:.2f}",
                    f"{seconds / times[0]:.2f}",
                    *(
                        text
                        for mine, whole in zip(held, memory[0], strict=True)
                        for text in (f"{mine / 2**20:.1f}", f"{mine / max(1, whole):.2f}")
                    ),
                ]
            )
    heads = ["step", "ms", "ratio", "scratch, MiB", "ratio", "saved, MiB", "ratio"]
    print(table(heads, rows, 6))


def several(steps: Any, batch: Any) -> Callable[[], None]:
    """Five training steps."""

    def run() -> None:
        for _ in range(5):
            steps.train(batch)

    return run


def memory_of(trainer: el.Trainer, batch: Any) -> tuple[int, int]:
    """Bytes of the compiled step's arena, and of what it holds between forward and backward."""
    compiled = trainer.prepared()._train_step.lower(batch)._program.compiled()
    return int(compiled.bind({}).arena_nbytes), saved(compiled._scheduled({}))


def saved(steps: list[Any]) -> int:
    """Bytes of the arena that hold activations when the loss is known: written before the first
    product of the backward pass, and read by that one or later."""
    first = next((at for at, step in enumerate(steps) if is_backward(step)), len(steps))
    written = {s for step in steps[:first] for s in touched(step)[1] if s.kind == "arena"}
    read = {s for step in steps[first:] for s in touched(step)[0]}
    return sum(storage.size({}) for storage in written & read)


def is_backward(step: Any) -> bool:
    """Whether a step computes a product of the backward pass, by itself or in a loop."""
    costs = [inner.cost for inner in flatten([step]) if inner.cost is not None]
    return any(
        node.op_name in PRODUCTS and node.source and node.source.function.endswith("backward")
        for cost in costs
        for node in cost.nodes
    )


# ---- an epoch -----------------------------------------------------------------------------------


def network(module: Any) -> Any:
    """The network of `make demo`, in Elinvar or PyTorch."""
    nn = module.nn
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


def epoch(chosen: argparse.Namespace) -> None:
    """Print seconds of an epoch of Fashion-MNIST, evaluation included."""
    train, test = el.data.fashion_mnist("train"), el.data.fashion_mnist("test")
    count = 2000 if chosen.tiny else len(train[1])

    def ready(pair: Any, limit: int) -> tuple[Any, Any]:
        images = pair[0][:limit].reshape(-1, 1, 28, 28).astype(np.float32)
        return images / 255 - 0.5, pair[1][:limit]

    train, test = ready(train, count), ready(test, count)
    el.manual_seed(0)
    model = network(el)
    trainer = el.Trainer(
        model, el.optim.AdamW(model.parameters(), lr=2e-3), "cross_entropy", ["accuracy"],
        progress=False,
    )  # fmt: skip
    runs: list[Callable[[], Any]] = [
        lambda: trainer.fit(train, validation=test, batch_size=128)
    ]
    names = ["Elinvar"]
    try:
        runs.append(torch_epoch(train, test))
        names.append("PyTorch")
    except ImportError:
        print("PyTorch is not installed")
    if chosen.keras:
        runs.append(keras_epoch(chosen.keras, train, test))
        names.append("Keras")
    times = alternate(runs, chosen.rounds)
    rows = [[name, f"{t:.2f}", f"{times[0] / t:.2f}"] for name, t in zip(names, times, strict=True)]
    print(table([f"{count:,} images", "seconds", "our ratio"], rows, 2))


def torch_epoch(train: Any, test: Any) -> Callable[[], Any]:
    """An epoch in PyTorch: its DataLoader over tensors in memory, its best settings."""
    torch = importlib.import_module("torch")
    torch.set_num_threads(el.get_num_threads())
    torch.manual_seed(0)
    model = network(torch).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, fused=True)

    def loader(pair: Any, size: int, shuffle: bool) -> Any:
        images = torch.from_numpy(pair[0]).contiguous(memory_format=torch.channels_last)
        data = torch.utils.data.TensorDataset(images, torch.from_numpy(np.asarray(pair[1])))
        kind = "RandomSampler" if shuffle else "SequentialSampler"
        order = getattr(torch.utils.data, kind)(data)
        sampler = torch.utils.data.BatchSampler(order, size, False)
        return torch.utils.data.DataLoader(data, sampler=sampler, batch_size=None)

    training, checks = loader(train, 128, True), loader(test, 128, False)

    def run() -> float:
        model.train()
        for x, y in training:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            loss.item()
        model.eval()
        right = 0
        with torch.inference_mode():
            for x, y in checks:
                right += int((model(x).argmax(1) == y).sum())
        return right / len(test[1])

    return run


def keras_epoch(python: str, train: Any, test: Any) -> Callable[[], Any]:
    """An epoch in Keras, in a process of the Python that has TensorFlow."""
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, "arrays.npz")
    labels = {"train_labels": train[1], "test_labels": test[1]}
    np.savez(path, train=train[0], test=test[0], **labels)
    script = os.path.join(os.path.dirname(__file__), "keras_epoch.py")
    child = subprocess.Popen(
        [python, script, path, str(el.get_num_threads())],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    atexit.register(child.kill)
    assert child.stdin is not None and child.stdout is not None
    child.stdout.readline()
    shutil.rmtree(folder)
    stdin, stdout = child.stdin, child.stdout

    def run() -> float:
        stdin.write("go\n")
        stdin.flush()
        return float(stdout.readline())

    return run


PARTS = {"overhead": overhead, "precision": precision, "epoch": epoch}


def main(arguments: list[str] | None = None) -> None:
    """Run the parts that are asked for."""
    reader = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    reader.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    reader.add_argument("--models", nargs="+", choices=list(OPTIMIZERS), default=["mlp", "gpt"])
    reader.add_argument("--batch", type=int, help="of the precision part, for all models")
    reader.add_argument("--rounds", type=int, default=7)
    reader.add_argument("--steps", type=int, default=30, help="of a round")
    reader.add_argument("--keras", metavar="PYTHON", help="that has TensorFlow, for the epoch")
    reader.add_argument("--tiny", action="store_true", help="to see that it runs")
    chosen = reader.parse_args(arguments)
    for name in chosen.parts or PARTS:
        print(f"\n{name}")
        PARTS[name](chosen)


if __name__ == "__main__":
    main()
