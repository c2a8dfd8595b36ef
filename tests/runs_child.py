"""Trainings for the tests of recorded runs, and faults at any file operation of a recording.

As a program it trains, and writes what came out:

    python runs_child.py KIND FOLDER --epochs 2 [--resume RUN] [--workers N] [--fault kill:17]
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import elinvar as el
from elinvar import nn
from elinvar.core import durable
from elinvar.data import transforms as T
from elinvar.runs import files

KINDS = ("mlp", "cnn", "gpt")


class Block(nn.Module):
    """A layer of a transformer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2, dropout=0.1, batch_first=True)
        self.rest = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU())
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Any) -> Any:
        """x (B, T, width)."""
        y = self.norm(x)
        x = x + self.attention(y, y, y, is_causal=True, need_weights=False)[0]
        return x + self.drop(self.rest(x))


class GPT(nn.Module):
    """Numbers (B, T) → logits (B, 11, T)."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.block, self.head = nn.Embedding(11, 8), Block(8), nn.Linear(8, 11)

    def forward(self, tokens: Any) -> Any:
        """Logits of the next number."""
        return self.head(self.block(self.token(tokens))).transpose(1, 2)


class Batches(el.train.Callback):
    """Notes a hash of each batch in a file, and has a state of its own."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.seen = path, 0

    def on_step_start(self, trainer: el.Trainer) -> None:
        self.seen += 1
        if self.path is None:
            return
        found = hashlib.sha256()
        for part in trainer.batch:
            found.update(part.numpy().tobytes())
        with open(self.path, "a") as file:
            file.write(f"{trainer.epoch} {trainer.batches_done} {self.seen} {found.hexdigest()}\n")

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seen = state_dict["seen"]


def shifted(tokens: Any) -> tuple[Any, Any]:
    """What is read, and what comes next."""
    return tokens[:-1], tokens[1:]


def training(kind: str, workers: int = 0, notes: Path | None = None, record: Any = False) -> Any:
    """A trainer and its data: (trainer, data, validation)."""
    el.manual_seed(7)
    random = np.random.default_rng(3)
    stopping = el.train.EarlyStopping("loss", patience=50)
    common: dict[str, Any] = {"callbacks": [Batches(notes), stopping], "progress": False}
    common["record"] = record
    if kind == "mlp":
        x = random.normal(size=(72, 5)).astype(np.float32)
        y = (x.sum(1) > 0).astype(np.int64)
        model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2))
        trainer = el.Trainer(
            model, el.optim.AdamW(model.parameters(), lr=0.01), "cross_entropy", ["accuracy"],
            schedule="one_cycle", accumulate=2, clip_norm=1.0, ema=0.9, **common,
        )  # fmt: skip
        return trainer, (x, y), (x[:20], y[:20])
    if kind == "cnn":
        images = random.normal(size=(60, 1, 8, 8)).astype(np.float32)
        labels = random.integers(0, 3, 60)
        data = el.data.from_arrays(images, labels).shuffle(seed=4)
        data = data.augment(T.Flip(), T.Crop(padding=1), seed=5).batch(8).workers(workers)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.1),
            nn.Flatten(), nn.Linear(256, 3),
        )  # fmt: skip
        trainer = el.Trainer(
            model, el.optim.SGD(model.parameters(), lr=0.05, momentum=0.9), "cross_entropy",
            ["accuracy"], precision="f16", ema=0.95, schedule="cosine", **common,
        )  # fmt: skip
        return trainer, data, (images[:16], labels[:16])
    tokens = random.integers(0, 11, (48, 13))
    data = el.data.from_arrays(tokens).shuffle(seed=1).map(shifted).batch(6).workers(workers)
    model = GPT()
    trainer = el.Trainer(
        model, el.optim.Adam(model.parameters(), lr=0.01), "cross_entropy", accumulate=3,
        metrics=["accuracy"], schedule="one_cycle", **common,
    )  # fmt: skip
    return trainer, data, None


def recording(folder: Path, every: float = 0.0) -> el.train.Recording:
    """Runs in a folder, with a checkpoint whenever the one before is written."""
    return el.train.Recording(folder, checkpoint_every=every, log_every=1)


def outcome(trainer: el.Trainer) -> dict[str, str]:
    """Hashes of what training ended with."""

    def of(what: Any) -> str:
        found = hashlib.sha256()
        for leaf in el.core.tree.flatten(what)[0]:
            plain = leaf.numpy().tobytes() if hasattr(leaf, "numpy") else repr(leaf).encode()
            found.update(plain)
        return found.hexdigest()

    state = trainer.state_dict()
    parts = ("model", "optimizer", "average", "scale", "generator", "schedule", "callbacks", "data")
    found = {name: of(state[name]) for name in (*parts, "step", "epoch", "metrics")}
    rows = [
        {key: row[key] for key in row if key in ("loss", "accuracy", "val_loss", "lr")}
        for row in trainer.history.rows
    ]
    return {**found, "history": of([list(row.values()) for row in rows])}


class Waits(el.train.Callback):
    """Lets each step wait for the checkpoint, so that file operations come in one order."""

    def on_step_start(self, trainer: el.Trainer) -> None:
        run = trainer.recorder.run
        run._scribe.wait()
        run._writer.wait()


def fitted(
    folder: Path, epochs: int = 2, resume: Any = None, every: float = 0.0, waits: bool = False
) -> el.Trainer:
    trainer, data, validation = training("mlp", record=recording(folder, every))
    trainer.callbacks += [Waits()] if waits else []
    trainer.fit(data, epochs, validation, batch_size=8, resume=resume)
    found: el.Trainer = trainer
    return found


def only_run(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


def rows(folder: Path) -> bytes:
    """What stands in the log of steps, without its first line."""
    return (folder / "steps.bin").read_bytes().partition(b"\n")[2]


# ---- faults ----------------------------------------------------------------------------------


class Faults:
    """Counts what recording does to files, and lets some of it fail, or end the process.

    Args:
        folder: only what happens in it counts.
        act: called with the number of an operation, from 1 on, before it is done; it may raise.
    """

    def __init__(self, folder: Path, act: Callable[[int], None]) -> None:
        self.folder, self.act = os.path.realpath(folder), act
        self.count, self._lock = 0, threading.Lock()
        self._saved = os.replace, os.fsync, os.unlink, os.mkdir

    def tick(self, path: Any) -> None:
        """An operation on a file."""
        if os.path.realpath(os.fspath(path)).startswith(self.folder):
            with self._lock:
                self.count += 1
                number = self.count
            self.act(number)

    def __enter__(self) -> Faults:
        replace, fsync, unlink, mkdir = self._saved
        faults = self

        class File(io.FileIO):
            def write(self, data: Any) -> int:
                try:
                    faults.tick(self.name)
                except OSError:
                    super().write(memoryview(data)[: len(data) // 2])
                    raise
                return super().write(data)

        def opened(path: Any, mode: str = "r", buffering: int = -1) -> Any:
            faults.tick(path)
            raw = File(path, mode.replace("b", ""))
            return raw if buffering == 0 else io.BufferedWriter(raw)

        def replaced(old: Any, new: Any) -> None:
            faults.tick(new)
            replace(old, new)
            faults.tick(new)

        def synced(descriptor: int) -> None:
            faults.tick(os.readlink(f"/proc/self/fd/{descriptor}"))
            fsync(descriptor)

        def unlinked(path: Any, **options: Any) -> None:
            faults.tick(path)
            unlink(path, **options)

        def made(path: Any, *rest: Any) -> None:
            faults.tick(path)
            mkdir(path, *rest)

        os.replace, os.fsync, os.unlink, os.mkdir = replaced, synced, unlinked, made  # type: ignore
        durable.open = files.open = opened  # type: ignore[attr-defined]
        return self

    def __exit__(self, *_: Any) -> None:
        os.replace, os.fsync, os.unlink, os.mkdir = self._saved  # type: ignore[assignment]
        del durable.open, files.open  # type: ignore[attr-defined]


def killing(at: int) -> Callable[[int], None]:
    """Ends the process without a word at an operation."""

    def act(number: int) -> None:
        if number == at:
            os.kill(os.getpid(), signal.SIGKILL)

    return act


def main() -> None:
    """Train as the command line says."""
    one = argparse.ArgumentParser()
    one.add_argument("kind", choices=KINDS)
    one.add_argument("folder", type=Path)
    one.add_argument("--epochs", type=int, default=2)
    one.add_argument("--workers", type=int, default=0)
    one.add_argument("--resume")
    one.add_argument("--every", type=float, default=0.0)
    one.add_argument("--kill", type=int, default=0)
    one.add_argument("--notes", type=Path)
    one.add_argument("--pause", action="store_true", help="say when training is about to begin")
    options = one.parse_args()
    wish = recording(options.folder, options.every)
    trainer, data, validation = training(options.kind, options.workers, options.notes, wish)
    resume = True if options.resume == "True" else options.resume
    if options.pause:
        print("ready", flush=True)
        sys.stdin.readline()
    with Faults(options.folder, killing(options.kill)):
        trainer.fit(data, options.epochs, validation, batch_size=8, resume=resume)
    print(json.dumps({**outcome(trainer), "run": str(trainer.run_folder)}))


if __name__ == "__main__":
    main()
