"""Killed trainings go on bit for bit, wherever they were killed; `runs_kills.py` kills more."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from elinvar.runs import latest
from elinvar.runs.verifying import verify

HERE = Path(__file__).resolve().parent
pytestmark = [
    pytest.mark.any_level,
    pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs Linux"),
]


def environment(**more: str) -> dict[str, str]:
    paths = [str(HERE.parent / "src"), str(HERE), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **more}


def kills(*words: str) -> int:
    """Run the program; how many kills there were."""
    done = subprocess.run(
        [sys.executable, str(HERE / "runs_kills.py"), *words],
        capture_output=True, text=True, timeout=500, env=environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = re.search(r": (\d+) kills among (\d+) operations", done.stdout)
    assert found is not None and int(found[2]) > 150
    return int(found[1])


def test_killed_between_two_operations_on_files() -> None:
    """Between the writing of a state and of its table, a rename and its flush, in the manifest and
    the logs: at every operation in turn, of which this takes some."""
    assert kills("mlp", "--every", "60", "--seed", "13") >= 4


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "every"), [("cnn", "80"), ("gpt", "50")])
def test_killed_between_two_operations_in_other_trainings(kind: str, every: str) -> None:
    """Worker processes, augmentation, f16 with a scale of the loss; a transformer."""
    assert kills(kind, "--every", every, "--random", "1", "--seed", "7") >= 4


def trained(folder: Path, *words: str, threads: int = 2) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(HERE / "runs_child.py"), "cnn", str(folder), "--epochs", "3", *words],
        capture_output=True, text=True, timeout=300, check=False,
        env=environment(ELINVAR_RUNS=str(folder), ELINVAR_NUM_THREADS=str(threads)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_programs_that_are_killed_at_any_moment(tmp_path: Path) -> None:
    """As a user meets it: new processes, another number of threads and of workers each time."""
    wanted = trained(tmp_path / "whole", "--notes", str(tmp_path / "wanted"))
    folder, count = tmp_path / "killed", 0
    words = ["cnn", str(folder), "--epochs", "3", "--resume", "True", "--pause"]
    for delay, workers in ((0.15, 2), (0.35, 0)):
        with subprocess.Popen(
            [sys.executable, str(HERE / "runs_child.py"), *words, "--workers", str(workers),
             "--notes", str(tmp_path / "notes")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=environment(ELINVAR_RUNS=str(folder), ELINVAR_NUM_THREADS=str(workers + 1)),
        ) as process:  # fmt: skip
            assert process.stdin is not None and process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            process.stdin.write(b"\n")
            process.stdin.flush()
            time.sleep(delay)
            process.kill()
            count += process.wait() == -signal.SIGKILL
    assert count == 2
    found = trained(
        folder, "--resume", "True", "--workers", "1", "--notes", str(tmp_path / "notes"), threads=3
    )
    assert {**found, "run": None} == {**wanted, "run": None}
    read = [(Path(run) / "steps.bin").read_bytes() for run in (found["run"], wanted["run"])]
    assert read[0].partition(b"\n")[2] == read[1].partition(b"\n")[2]
    assert set((tmp_path / "notes").read_text().splitlines()) == set(
        (tmp_path / "wanted").read_text().splitlines()
    )
    assert verify(Path(found["run"])).sound
    assert latest.standing(Path(found["run"])).state == "finished"
