"""Recorded runs: names, processes and locks, going on, and what may not end a training."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs_child import fitted, only_run, outcome, recording, rows, training

import elinvar as el
from elinvar.core import durable
from elinvar.core.errors import RunError, StateError, ValueRangeError
from elinvar.runs import checkpoints, code, facts, files, latest, naming, replaying
from elinvar.runs import run as layout
from elinvar.runs.verifying import verify
from elinvar.train import Recording

HERE = Path(__file__).resolve().parent
pytestmark = [pytest.mark.any_level, pytest.mark.skipif(os.name == "nt", reason="needs POSIX")]


@pytest.fixture(autouse=True)
def first_fit_of_a_program(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test is as a program of its own: its fits are numbered from 1 on; nothing is left."""
    monkeypatch.setattr(replaying, "_begun", [0])
    gc.collect()
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    yield
    gc.collect()
    assert not [t.name for t in threading.enumerate() if t.name == "elinvar-run"]
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], bytes]:
    """What training gives when nothing goes wrong."""
    trainer = fitted(tmp_path_factory.mktemp("whole"))
    assert trainer.run_folder is not None
    return outcome(trainer), rows(trainer.run_folder)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../up", "/abs", "-x", ".x", "last", "a\nb", "a\0b", " a", "x" * 300]
)
def test_odd_names_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueRangeError, match="the name of a run must"):
        Recording(tmp_path, name)
    with pytest.raises(ValueRangeError, match="the name of a run must"):
        naming.new_folder(tmp_path, name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["ein Versuch", "größer", "x" * 200, "a.b=c,d", "step-00000001"])
def test_odd_names_that_are_fine(name: str, tmp_path: Path) -> None:
    trainer, data, _ = training("mlp", record=Recording(tmp_path, name))
    trainer.fit(data, 1, batch_size=8)
    assert verify(tmp_path / name).sound
    assert latest.find(name, tmp_path) == tmp_path / name


def test_programs_with_odd_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = type(sys)("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    for name in ("x" * 250 + ".py", "a\nb.py", "\udcff.py", "ü" * 100 + ".py", " .py"):
        main.__file__ = os.path.join("/", name)
        found = naming.new_folder(tmp_path)
        assert found.is_dir() and facts.program().isprintable()
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"keep": 0}, "keep must be a whole number from 1, received 0"),
        ({"log_every": 0}, "log_every must be a whole number from 1"),
        ({"checkpoint_every": -1}, "checkpoint_every must be a number of seconds from 0"),
        ({"checkpoint_every": float("nan")}, "checkpoint_every must be"),
    ],
)
def test_settings_without_sense(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueRangeError, match=text):
        Recording(**options)


# ---- two processes, and processes that are gone ---------------------------------------------


def test_two_processes_on_one_run(tmp_path: Path) -> None:
    folder = fitted(tmp_path).run_folder
    assert folder is not None
    holder = "import sys, time; from pathlib import Path; from elinvar.runs.files import Lock\n"
    holder += "lock = Lock(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent / "src")}
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(folder)], stdout=subprocess.PIPE, env=environment
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        assert latest.standing(folder).state == "running"
        with pytest.raises(RunError, match="is in use by another process"):
            fitted(tmp_path, 3, resume=folder)
        other.kill()
    assert latest.standing(folder).state == "finished"
    assert fitted(tmp_path, 3, resume=folder).epoch == 3


def test_who_lists_runs_does_not_disturb(tmp_path: Path) -> None:
    """Asking whether a run is locked must not make it seem locked to who wants to go on."""
    (tmp_path / "lock").write_text("")
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            files.is_locked(tmp_path)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(50):
            files.Lock(tmp_path).release()
    finally:
        stop.set()
        for thread in threads:
            thread.join()


FORKS = """
import os, signal, sys, time
from pathlib import Path
import elinvar as el
from runs_child import recording, training

class Dies(el.train.Callback):
    def on_step_end(self, trainer):
        if trainer.step == 4:
            trainer.recorder.run._writer.wait()
            if os.fork() == 0:       # such as a worker that is busy for long
                time.sleep(30)
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)

trainer, data, validation = training("cnn", 2, record=recording(Path(sys.argv[1])))
trainer.callbacks.append(Dies())
trainer.fit(data, 2)
"""


def test_a_child_that_outlives_a_killed_parent_keeps_no_lock(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent / "src"), str(HERE)])}
    with subprocess.Popen(
        [sys.executable, "-c", FORKS, str(tmp_path)], env=environment, start_new_session=True
    ) as process:
        assert process.wait(120) == -signal.SIGKILL
        folder = only_run(tmp_path)
        try:
            assert not files.is_locked(folder)
            assert latest.standing(folder).state == "killed"
            trainer, data, _ = training("cnn", 1, record=recording(tmp_path))
            trainer.callbacks.append(el.train.Callback())
            trainer.fit(data, 2, resume=folder)
            assert trainer.step == 16 and verify(folder).sound
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_a_forked_child_writes_nothing(tmp_path: Path, whole: Any) -> None:
    """It has the trainer, too; what it does, and how it ends, is not the run's."""
    trainer, data, validation = training("mlp", record=recording(tmp_path))

    class Forks(el.train.Callback):
        def on_step_end(self, trainer: el.Trainer) -> None:
            if trainer.step == 3:
                child = os.fork()
                if not child:
                    try:
                        run = trainer.recorder.run
                        run.step(99, 9, 9, 1.0, np.zeros(len(run.tensors), np.uint32))
                        run.figures("step", 99, {"loss": 1.0})
                        run.save(lambda: iter([b"x"]), 99, 9, wait=True)
                        run.close("failed")
                        os._exit(0)
                    finally:
                        os._exit(1)
                assert os.waitpid(child, 0)[1] == 0

    trainer.callbacks.append(Forks())
    trainer.fit(data, 2, validation, batch_size=8)
    folder = trainer.run_folder
    assert verify(folder).sound and rows(folder) == whole[1]
    found = latest.standing(folder)
    assert found.state == "finished" and found.step == trainer.step


def test_workers_that_are_forked_while_git_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have every pipe that is open then, and whoever waits for its end waits for them."""
    (tmp_path / "git").write_text("#!/bin/sh\necho 0123\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), os.environ["PATH"]]))
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(code._said(tmp_path, "rev-parse")))
    children, pipe, spawn = list[int](), os.pipe, os.posix_spawn

    def forks() -> None:
        children.append(os.fork())
        if not children[-1]:
            time.sleep(30)
            os._exit(0)

    def pipe_and_fork() -> tuple[int, int]:
        ends = pipe()
        forks()
        return ends

    def spawn_and_fork(*words: Any, **options: Any) -> int:
        forks()
        return spawn(*words, **options)

    monkeypatch.setattr(os, "pipe", pipe_and_fork)
    monkeypatch.setattr(os, "posix_spawn", spawn_and_fork)
    thread.start()
    try:
        thread.join(10)
        assert found == [b"0123\n"] and children
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        thread.join()


def test_temporary_files_of_any_process_are_deleted(tmp_path: Path) -> None:
    """Under the lock nobody writes, so a number that a process has again protects nothing."""
    folder = fitted(tmp_path, 1).run_folder
    assert folder is not None
    names = [f".step-00000099.safetensors.{pid}.{7}" for pid in (os.getpid(), 1, 4_000_000)]
    for name in (*names, ".not-ours.txt"):
        (folder / "checkpoints" / name).write_bytes(b"half")
    assert len(durable.leftovers(folder / "checkpoints")) == 1
    fitted(tmp_path, 2, resume=folder)
    left = [path.name for path in (folder / "checkpoints").glob(".*")]
    assert left == [".not-ours.txt"]


def test_the_clock_jumps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Any) -> None:
    """Backwards by years in the middle of training, and runs with names of the future."""
    future = tmp_path / "29991231-235959-runs_child"
    future.mkdir()
    (future / "steps.bin").write_bytes(b"")
    clock, monotonic = time.time, time.monotonic
    offset = [0.0]
    monkeypatch.setattr(time, "time", lambda: clock() + offset[0])
    trainer, data, validation = training("mlp", record=recording(tmp_path))

    class Jumps(el.train.Callback):
        def on_step_end(self, trainer: el.Trainer) -> None:
            offset[0] -= 1e8

    trainer.callbacks.append(Jumps())
    trainer.fit(data, 2, validation, batch_size=8)
    assert outcome(trainer)["model"] == whole[0]["model"]
    assert verify(trainer.run_folder).sound and time.monotonic is monotonic
    assert next(folder.name for folder in latest.folders(tmp_path)) == trainer.run_folder.name


def test_many_runs_within_a_second_keep_their_order(tmp_path: Path) -> None:
    trainer, data, _ = training("mlp", record=recording(tmp_path, 100.0))
    made = []
    for _ in range(11):
        trainer.fit(data, steps=1, batch_size=8)
        made.append(trainer.run_folder)
    assert list(latest.folders(tmp_path)) == made[::-1]
    assert latest.find("last", tmp_path) == made[-1]


# ---- going on ------------------------------------------------------------------------------


def cut_short(folder: Path, step: int, epochs: int = 2) -> Path:
    """A run that was stopped after a step as by a power cut."""
    trainer, data, validation = training("mlp", record=recording(folder))

    class Stops(el.train.Callback):
        def on_step_end(self, trainer: el.Trainer) -> None:
            trainer.recorder.run._writer.wait()
            if trainer.step == step:
                run = trainer.recorder.run
                run._writer.close()
                run._scribe.close()
                run._abandon()
                raise ZeroDivisionError

    trainer.callbacks.append(Stops())
    with pytest.raises((ZeroDivisionError, ValueError, OSError)):
        trainer.fit(data, epochs, validation, batch_size=8)
    found: Path = trainer.run_folder
    return found


def test_resume_true_takes_the_run_of_the_same_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program that trains twice goes on with its second run where that was killed."""
    first, second = fitted(tmp_path, 1), fitted(tmp_path, 1)
    folder = cut_short(tmp_path, 4)
    names = [first.run_folder, second.run_folder, folder]
    layout_numbers = [layout.opened(one)["number"] for one in names if one is not None]
    assert layout_numbers == [1, 2, 3]
    replaying._begun[0] = 0  # the program is started again
    assert fitted(tmp_path, 1, resume=True).run_folder not in names
    assert fitted(tmp_path, 1, resume=True).run_folder not in names
    assert "going on" not in capsys.readouterr().err
    third = training("mlp", record=recording(tmp_path))
    third[0].callbacks.append(el.train.Callback())
    third[0].fit(third[1], 2, third[2], batch_size=8, resume=True)
    assert third[0].run_folder == folder and "going on with" in capsys.readouterr().err


def test_resume_true_passes_over_runs_without_a_checkpoint(tmp_path: Path) -> None:
    """As a process leaves one that was killed in its first second: it must not be in the way."""
    folder = fitted(tmp_path, 1).run_folder
    assert folder is not None
    for path in (folder / "checkpoints").iterdir():
        path.unlink()
    (folder / "end.json").unlink()
    text = (folder / "processes.jsonl").read_bytes()
    (folder / "processes.jsonl").write_bytes(text[: text.index(b"\n") + 1])
    assert latest.standing(folder).state == "killed"
    replaying._begun[0] = 0
    other = fitted(tmp_path, 1, resume=True)
    assert other.run_folder not in (None, folder) and other.step == 5


def test_a_name_and_resume_true(tmp_path: Path) -> None:
    wish = Recording(tmp_path, "mine", checkpoint_every=0)
    for epochs, step in ((1, 5), (2, 10), (2, 10)):
        trainer, data, validation = training("mlp", record=wish)
        trainer.fit(data, epochs, validation, batch_size=8, resume=True)
        assert trainer.step == step and trainer.run_folder == tmp_path / "mine"
    for path in (tmp_path / "mine" / "checkpoints").iterdir():
        path.unlink()
    trainer, data, validation = training("mlp", record=wish)
    trainer.fit(data, 1, validation, batch_size=8, resume=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "mine.damaged-1"]


def test_another_model_changes_nothing(tmp_path: Path) -> None:
    folder = fitted(tmp_path).run_folder
    assert folder is not None
    held = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    model = el.nn.Linear(5, 2)
    trainer = el.Trainer(model, "adamw", "cross_entropy", progress=False)
    with pytest.raises(RunError, match="recorded for a model with other tensors"):
        trainer.fit((np.zeros((8, 5), np.float32), np.zeros(8, np.int64)), 3, resume=folder)
    trainer, data, validation = training("mlp", record=recording(tmp_path))
    trainer.callbacks.append(el.train.Callback())
    with pytest.raises(StateError, match="saved with 2 callbacks, the trainer has 3"):
        trainer.fit(data, 3, validation, batch_size=8, resume=folder)
    assert held == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert fitted(tmp_path, 3, resume=folder).epoch == 3


def test_a_run_that_ended_by_steps_goes_on(tmp_path: Path) -> None:
    """Also where the last step was the last of an epoch, so that the data were at their end."""
    for kind, steps in (("mlp", 4), ("mlp", 5), ("cnn", 8), ("cnn", 11)):
        trainer, data, _ = training(kind, record=recording(tmp_path))
        trainer.fit(data, steps=steps, batch_size=8)
        assert trainer.step == steps
        trainer, data, _validation = training(kind, record=recording(tmp_path))
        folder = latest.find("last", tmp_path)
        trainer.fit(data, 3, batch_size=8, resume=folder)
        assert trainer.step == (15 if kind == "mlp" else 24) and verify(folder).sound


def test_the_first_state_is_kept_in_a_second_fit_too(tmp_path: Path) -> None:
    trainer, data, _validation = training("mlp", record=recording(tmp_path))

    class Waits(el.train.Callback):
        def on_step_end(self, trainer: el.Trainer) -> None:
            trainer.recorder.run._writer.wait()

    trainer.callbacks.append(Waits())
    trainer.fit(data, 1, batch_size=8)
    trainer.fit(data, 2, batch_size=8)
    found = sorted(checkpoints.steps_in(trainer.run_folder / "checkpoints"))
    assert found == [5, 14, 15]


# ---- what may not end a training ------------------------------------------------------------


class Strange(el.train.Callback):
    """Has a state that no file can hold, and figures that are no numbers."""

    def state_dict(self) -> dict[str, Any]:
        return {"thing": object()}

    def on_epoch_end(self, trainer: el.Trainer) -> None:
        trainer.history.rows[-1].update(
            {"odd": object(), "large": 10**400, "set": {1}, "array": np.arange(2)}
        )


def test_states_and_figures_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer, data, validation = training("mlp", record=recording(tmp_path))
    trainer.callbacks.append(Strange())
    trainer.fit(data, 2, validation, batch_size=8)
    said = capsys.readouterr().err
    assert "could not save step 0" in said and "cannot save object" in said
    assert trainer.epoch == 2 and "Traceback" not in said


def test_data_that_cannot_be_described(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    def broken(*_: Any) -> None:
        raise KeyError("of the user's own")

    monkeypatch.setattr("elinvar.runs.identity.contents_of", broken)
    fitted(tmp_path)
    assert "could not describe the data: \"of the user's own" in capsys.readouterr().err
    assert verify(only_run(tmp_path)).sound


def test_hashing_of_large_data_delays_no_checkpoint(tmp_path: Path, monkeypatch: Any) -> None:
    """A machine that is taken away after a minute must not find the states behind the hashes."""
    go_on = threading.Event()

    def slow(*_: Any, **__: Any) -> dict[str, Any]:
        assert go_on.wait(30)
        return {}

    monkeypatch.setattr("elinvar.runs.identity.identity", slow)
    trainer, data, _validation = training("mlp", record=recording(tmp_path))

    class Looks(el.train.Callback):
        def on_epoch_end(self, trainer: el.Trainer) -> None:
            trainer.recorder.run._writer.wait()
            assert checkpoints.steps_in(trainer.run_folder / "checkpoints")
            go_on.set()

    trainer.callbacks.append(Looks())
    trainer.fit(data, 1, batch_size=8)
    assert (trainer.run_folder / "data.json").exists()


def test_trials_record_nothing(tmp_path: Path) -> None:
    trainer, data, validation = training("mlp", record=recording(tmp_path))
    trainer.find_lr(data, steps=10, batch_size=8)
    trainer.overfit(data, steps=3, batch_size=8)
    trainer.find_batch_size(data, smallest=8, largest=8, seconds=0.01)
    trainer.fit(data, 1, validation, batch_size=8, dry_run=True)
    trainer.evaluate(data)
    trainer.predict(data[0])
    assert not list(tmp_path.iterdir())


def memory() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux")
def test_memory_does_not_grow_over_checkpoints(tmp_path: Path) -> None:
    """A state of 4 MB is saved 60 times."""
    model = el.nn.Linear(1024, 512)
    trainer = el.Trainer(
        model, el.optim.SGD(model.parameters(), lr=0.01, momentum=0.9), "mse", progress=False,
        record=recording(tmp_path),
    )  # fmt: skip
    seen: list[int] = []

    class Looks(el.train.Callback):
        def on_step_end(self, trainer: el.Trainer) -> None:
            trainer.recorder.run._writer.wait()
            seen.append(memory())

    trainer.callbacks.append(Looks())
    x, y = np.ones((240, 1024), np.float32), np.ones((240, 512), np.float32)
    trainer.fit((x, y), 1, batch_size=4)
    assert len(seen) == 60 and seen[-1] - seen[10] < 12 << 20, seen
    assert len(checkpoints.steps_in(trainer.run_folder / "checkpoints")) == 3


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """Threads, open files, processes: also after errors, and with worker processes."""
    before = set(threading.enumerate())
    trainer, data, _ = training("cnn", 2, record=recording(tmp_path))
    trainer.fit(data, 1)
    trainer, data, _ = training("cnn", 2, record=recording(tmp_path))
    trainer.callbacks.append(Breaks())
    with pytest.raises(ZeroDivisionError):
        trainer.fit(data, 2)
    assert latest.standing(trainer.run_folder).state == "failed"
    assert verify(trainer.run_folder).sound
    gc.collect()
    assert set(threading.enumerate()) <= before and not multiprocessing.active_children()


class Breaks(el.train.Callback):
    def on_step_end(self, trainer: el.Trainer) -> None:
        if trainer.step == 3:
            raise ZeroDivisionError


def test_files_with_the_longest_names(tmp_path: Path) -> None:
    for name in ("x" * 255, "ü" * 127):
        for text in (b"one", b"two"):
            assert durable.replace(tmp_path / name, [text]) == 3
            assert (tmp_path / name).read_bytes() == text
    assert len(list(tmp_path.iterdir())) == 2


def test_a_finished_run_is_gone_on_with_for_nothing(tmp_path: Path, whole: Any) -> None:
    """No step is left to be done: all of it stays as it was, but for a process more."""
    folder = fitted(tmp_path).run_folder
    assert folder is not None
    for count in (2, 3):
        trainer = fitted(tmp_path, resume=folder)
        assert outcome(trainer) == whole[0] and rows(folder) == whole[1]
        found, report = latest.standing(folder), verify(folder)
        assert report.sound and not report.notes, report
        assert found.state == "finished" and found.step == trainer.step
        assert sum(row["event"] == "start" for row in found.processes) == count


def test_a_fit_that_fails_before_its_first_step(tmp_path: Path) -> None:
    class Fails(el.train.Callback):
        def on_fit_start(self, trainer: el.Trainer) -> None:
            raise ZeroDivisionError("at once")

    trainer, data, validation = training("mlp", record=recording(tmp_path))
    trainer.callbacks.append(Fails())
    with pytest.raises(ZeroDivisionError):
        trainer.fit(data, 2, validation, batch_size=8)
    folder = only_run(tmp_path)
    assert verify(folder).sound and latest.standing(folder).state == "failed"
    assert latest.standing(folder).processes[-1]["error"] == "ZeroDivisionError: at once"
    replaying._begun[0] = 0
    assert fitted(tmp_path, resume=True).run_folder != folder


def test_a_system_without_more_threads(tmp_path: Path, monkeypatch: Any, whole: Any) -> None:
    def refused(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    started = threading.Thread.start
    monkeypatch.setattr(
        threading.Thread,
        "start",
        lambda self: (refused if self.name == "elinvar-run" else started)(self),
    )
    trainer = fitted(tmp_path)
    assert outcome(trainer) == whole[0] and verify(only_run(tmp_path)).sound
