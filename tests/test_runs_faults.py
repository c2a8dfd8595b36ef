"""Recorded runs on disks that are full, and in folders that cannot be used: training goes on."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs_child import Faults, fitted, only_run, outcome, recording, rows, training

import elinvar as el
from elinvar.core.errors import RunError
from elinvar.runs import checkpoints, files, latest, replaying
from elinvar.runs import run as layout
from elinvar.runs.verifying import verify

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


# ---- full disks ------------------------------------------------------------------------------


def full(first: int, last: float) -> Callable[[int], None]:
    """No room from one operation to another."""

    def act(number: int) -> None:
        if first <= number <= last:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return act


def fitted_or_refused(base: Path, act: Callable[[int], None]) -> el.Trainer | None:
    """Train with faults; None where it was said before training that there is no room, and nothing
    was left."""
    with Faults(base, act):
        try:
            return fitted(base, waits=True)
        except RunError as error:
            assert "cannot record in" in str(error) and "No space left" in str(error)
            assert not base.exists() or not list(base.iterdir())
            return None


@pytest.mark.slow
def test_a_disk_that_is_full_from_any_operation_on(
    tmp_path: Path, whole: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training has the same bits, one word is said of each kind of thing, old states survive."""
    with Faults(tmp_path / "count", lambda number: None) as faults:
        fitted(tmp_path / "count", waits=True)
    for first in range(1, faults.count, 17):
        capsys.readouterr()
        base = tmp_path / f"full-{first}"
        trainer = fitted_or_refused(base, full(first, np.inf))
        if trainer is None:
            continue
        assert outcome(trainer) == whole[0], first
        said = capsys.readouterr().err.splitlines()
        assert len(set(said)) == len(said) <= 6, said
        assert said or first > faults.count - 40
        assert all("No space left" in text or "recorded in" in text for text in said), said
        assert trainer.run_folder is not None
        if not (trainer.run_folder / "manifest.json").exists():
            continue
        report = verify(trainer.run_folder)
        assert report.sound, (first, report.faults)
        if checkpoints.steps_in(trainer.run_folder / "checkpoints"):
            again = fitted(base, resume=trainer.run_folder, waits=True)  # there is room again
            assert outcome(again) == whole[0] and rows(trainer.run_folder) == whole[1]
            assert verify(trainer.run_folder).sound


@pytest.mark.slow
def test_a_disk_that_is_full_for_a_while(tmp_path: Path, whole: Any) -> None:
    """The next checkpoint works, and nothing is missing in the end."""
    with Faults(tmp_path / "count", lambda number: None) as faults:
        fitted(tmp_path / "count", waits=True)
    for first in range(5, faults.count - 120, 13):
        base = tmp_path / f"full-{first}"
        trainer = fitted_or_refused(base, full(first, first + 2))
        if trainer is None:
            continue
        assert outcome(trainer) == whole[0]
        folder = trainer.run_folder
        assert folder is not None
        report = verify(folder)
        assert report.sound, (first, report.faults)
        assert rows(folder) == whole[1]
        newest, reasons = checkpoints.newest(folder / "checkpoints", layout.id_of(folder))
        assert newest is not None and not reasons and newest.step == trainer.step
        assert (folder / "manifest.json").exists() and latest.standing(folder).state == "finished"


LIMITED = """
import resource, signal, sys
from pathlib import Path
from runs_child import outcome, recording, training
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
trainer, data, validation = training("mlp", record=recording(Path(sys.argv[1])))
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
trainer.fit(data, 2, validation, batch_size=8)
print(outcome(trainer)["model"])
"""


def run(program: str, *words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent / "src"), str(HERE)])}
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, words)],
        capture_output=True, text=True, timeout=120, env={**environment, **options.pop("env", {})},
        check=False, **options,
    )  # fmt: skip


def test_files_that_may_not_grow(tmp_path: Path, whole: Any) -> None:
    """As with a quota: the manifest and the states are too large, the logs are not."""
    done = run(LIMITED, tmp_path / "runs", env={"ELINVAR_CACHE": os.environ["ELINVAR_CACHE"]})
    assert done.stdout.strip() == whole[0]["model"], done.stderr
    assert done.stderr.count("File too large") <= 3 and "Traceback" not in done.stderr
    assert rows(only_run(tmp_path / "runs")) == whole[1]


# ---- folders that cannot be used ------------------------------------------------------------


def test_the_folder_of_runs_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs").write_text("mine")
    for folder in (tmp_path / "runs", tmp_path / "runs" / "below"):
        with pytest.raises(RunError, match=r"cannot record in .*a file is in the place"):
            fitted(folder)
    monkeypatch.chdir(tmp_path)  # the same where nobody asked for it: training goes on
    trainer, data, _ = training("mlp", record=True)
    monkeypatch.setattr(layout, "begun", layout.begun)
    settings = el.core.settings.settings
    assert settings.runs_dir is None
    trainer.fit(data, 1, batch_size=8)
    assert "this training is not recorded: runs: a file is in the place" in capsys.readouterr().err
    assert trainer.run_folder is None and (tmp_path / "runs").read_text() == "mine"


def test_a_folder_that_may_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fitted(tmp_path).run_folder
    assert folder is not None
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    opened = os.open

    def refused(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR) and str(path).startswith(str(folder)):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(RunError, match=r"lock' cannot be opened: Permission denied"):
        fitted(tmp_path, 3, resume=folder)
    assert verify(folder).sound and latest.standing(folder).state == "finished"
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_is_deleted_while_training(tmp_path: Path, whole: Any, capsys: Any) -> None:
    trainer, data, validation = training("mlp", record=recording(tmp_path))

    class Deletes(el.train.Callback):
        def on_epoch_start(self, trainer: el.Trainer) -> None:
            if trainer.epoch == 1:
                trainer.recorder.run._scribe.wait()
                trainer.recorder.run._writer.wait()
                subprocess.run(["rm", "-r", str(trainer.run_folder)], check=True)

    trainer.callbacks.append(Deletes())
    trainer.fit(data, 2, validation, batch_size=8)
    assert outcome(trainer)["model"] == whole[0]["model"]
    said = capsys.readouterr().err
    assert "could not save step" in said and "Traceback" not in said


def test_a_log_finishes_what_a_full_disk_cut(tmp_path: Path) -> None:
    with Faults(tmp_path, full(3, 4)) as faults:
        log = files.Log(tmp_path / "log")  # operation 1
        log.append(b"first\n")
        log.flush()  # 2
        for text in (b"second\n", b"third\n"):
            log.append(text)
            with pytest.raises(OSError, match="No space"):
                log.flush()
        assert (tmp_path / "log").read_bytes() == b"first\n" and faults.count == 4
        mark = log.mark(True, b"more\n")
        log.append(b"more\n")
        log.close()
    assert (tmp_path / "log").read_bytes() == b"first\nsecond\nthird\nmore\n"
    assert mark == log.mark()
