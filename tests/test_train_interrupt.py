"""Ctrl-C and SIGTERM wherever training is: what is saved, what is said, and what is left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import elinvar as el
from elinvar.train import Callback, Interrupted, Trainer
from tests.test_trainer import made, task, weights

pytestmark = pytest.mark.any_level


def later(seconds: float, which: int = signal.SIGINT) -> None:
    threading.Timer(seconds, os.kill, (os.getpid(), which)).start()


class Halting:
    """Samples that come at once, but for one; `reached` is set when that one is asked for."""

    def __init__(self, slow: int) -> None:
        self.slow, self.reached = slow, threading.Event()

    def __call__(self, sample):
        if float(sample[0][2]) == self.slow and not self.reached.is_set():
            self.reached.set()
            later(0.1)
            time.sleep(20 if threading.current_thread() is threading.main_thread() else 1)
        return sample[0][:2], sample[1]


class Batches:
    """Batches without a place, the third of which does not come."""

    def __init__(self, x, y, halting) -> None:
        self.x, self.y, self.halting = x, y, halting

    def __iter__(self):
        for start in range(0, 64, 16):
            rows = [self.halting((x, 0))[0] for x in self.x[start : start + 16]]
            yield np.stack(rows), self.y[start : start + 16]


def data_of(kind: str, slow: int):
    x, y = (np.asarray(part) for part in task(64))
    x = np.concatenate([x, np.arange(64, dtype=np.float32)[:, None]], 1)
    halting = Halting(slow)
    if kind == "plain":
        return Batches(x, y, halting)
    pipe = el.data.from_arrays(x, y).map(halting).batch(16)
    if kind == "threads":
        return pipe.workers(2, "thread")
    return pipe.prefetch(1) if kind == "prefetch" else pipe


@pytest.mark.parametrize("slow", [0, 40])
@pytest.mark.parametrize("kind", ["plain", "pipeline", "prefetch", "threads"])
def test_while_data_are_waited_for_nothing_is_waited_for(tmp_path, kind, slow, monkeypatch) -> None:
    """The first Ctrl-C saves and ends at once; what goes on from there has the same bits."""
    monkeypatch.setattr("elinvar.train.waiting.LONG", 0.0)
    whole = made()
    whole.fit(data_of(kind, -1), epochs=2)
    first = made(folder=tmp_path)
    begin = time.monotonic()
    with pytest.raises(Interrupted, match=r"stopped by SIGINT after step \d .*; saved .*resume="):
        first.fit(data_of(kind, slow), epochs=2)
    assert time.monotonic() - begin < 10 and first.step <= (0 if slow == 0 else 2)
    again = made(seed=9)
    again.fit(data_of(kind, -1), epochs=2, resume=tmp_path / "interrupted.safetensors")
    assert weights(again) == weights(whole) and again.history["loss"] == whole.history["loss"]


def test_gradients_that_wait_for_their_step_are_not_lost(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("elinvar.train.waiting.LONG", 0.0)
    x, y = task(64)

    class Source:
        def __iter__(self):
            for number, start in enumerate(range(0, 64, 16)):
                if number == 1:
                    os.kill(os.getpid(), signal.SIGINT)
                yield x[start : start + 16], y[start : start + 16]

    with pytest.raises(Interrupted, match=r"after step 1 .epoch 1, batch 2"):
        made(accumulate=2, folder=tmp_path).fit(Source(), epochs=1)


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_what_cannot_be_saved_is_said_and_training_ends(tmp_path, which, capsys) -> None:
    class Send(Callback):
        def on_step_start(self, trainer: Trainer) -> None:
            if trainer.step == 2:
                os.kill(os.getpid(), which)

    (tmp_path / "file").write_text("no folder")
    trainer = made(callbacks=[Send()], folder=tmp_path / "file")
    expected = Interrupted if which == signal.SIGINT else SystemExit
    with pytest.raises(expected) as caught:
        trainer.fit(task(), epochs=2, batch_size=16)
    text = str(caught.value) + capsys.readouterr().err
    assert "after step 3 (epoch 1, batch 3); not saved: " in text and "resume" not in text
    assert isinstance(caught.value.__cause__, OSError)


def test_a_second_ctrl_c_while_saving_leaves_no_half_file(tmp_path, monkeypatch) -> None:
    trainer = made(folder=tmp_path)
    trainer.fit(task(), epochs=1)
    file = tmp_path / "interrupted.safetensors"
    trainer.save(file)
    before = file.read_bytes()

    def slow(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    class Send(Callback):
        def on_step_end(self, trainer: Trainer) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            monkeypatch.setattr(os, "replace", slow)

    trainer.callbacks.append(Send())
    with pytest.raises(KeyboardInterrupt) as caught:
        trainer.fit(task(), epochs=1)
    assert not isinstance(caught.value, Interrupted)
    assert os.listdir(tmp_path) == [file.name] and file.read_bytes() == before


PROGRAM = """
import sys, time
import numpy as np
import elinvar as el
from elinvar import nn
where, folder = sys.argv[1:]
x = np.random.default_rng(0).standard_normal((512, 4)).astype(np.float32)
y = (x[:, 0] > 0).astype(np.int64)
def slow(sample):
    time.sleep(0.01)
    return sample
workers = el.data.from_arrays(x, y).map(slow).batch(32).workers(2)
model = nn.Linear(4, 2)
class At(el.train.Callback):
    def on_step_end(self, trainer):
        if where == "workers":
            print("at", flush=True)
trainer = el.Trainer(model, "adamw", "cross_entropy", folder=folder, callbacks=[At()], progress=False)
class Marked:
    def __iter__(self):
        for number, batch in enumerate(workers):
            if number == 1:
                print("at", flush=True)
            yield batch
before = model.weight.numpy().copy()
try:
    if where == "workers":
        trainer.fit(workers, epochs=5)
    elif where == "dry run":
        print("at", flush=True)
        trainer.fit(Marked(), dry_run=True)
    elif where == "find_lr":
        trainer.find_lr(Marked())
    elif where == "evaluate":
        trainer.evaluate(Marked())
finally:
    assert where == "workers" or (model.weight.numpy() == before).all()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("where", ["workers", "dry run", "find_lr", "evaluate"])
def test_no_worker_is_left_behind(tmp_path, where, which) -> None:
    words = [sys.executable, "-c", PROGRAM, where, str(tmp_path)]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "at\n"
        time.sleep(0.2)
        process.send_signal(which)
        process.communicate(timeout=30)
    deadline = time.monotonic() + 10
    while members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert members(process.pid) == []
    saved = where == "workers" and which != signal.SIGKILL
    assert os.listdir(tmp_path) == (["interrupted.safetensors"] if saved else [])
    if saved:
        assert process.returncode == (1 if which == signal.SIGINT else 143)


def members(group: int) -> list[str]:
    """The processes of a group that still run."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[2] == str(group) and fields[0] != "Z":
                found.append(folder.name)
    return found
