"""Runs: recorded, gone on with, verified, replayed. The hard cases are in test_runs_*.py."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import elinvar as el
from elinvar.cli import main
from elinvar.core.errors import DTypeError, RunError, StateError
from elinvar.runs import events, latest
from elinvar.runs.digests import Digests, digest_of
from elinvar.runs.identity import differences, identity
from elinvar.runs.run import METRICS, PROCESSES, STEPS, rows_of
from elinvar.runs.steps import StepTable
from elinvar.runs.verifying import verify

pytestmark = pytest.mark.any_level

ROOT = Path(__file__).resolve().parent.parent

PROGRAM = '''
import os, signal, sys, time
import elinvar as el

KILL = int(os.environ.get("KILL_AT", "0"))
el.manual_seed(SEED)
x = el.randn(96, 6, generator=el.random.Generator(5))
y = x[:, :1] - x[:, 1:2]
model = el.nn.Sequential(el.nn.Linear(6, 8), el.nn.ReLU(), el.nn.Dropout(0.2), el.nn.Linear(8, 1))


class Kill(el.train.Callback):
    def on_step_end(self, trainer):
        time.sleep(0.03)
        if trainer.step == KILL:
            while not list(trainer.run_folder.glob("checkpoints/*.json")):
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)


trainer = el.Trainer(model, "adamw", "mse", callbacks=[Kill()], progress=False,
                     record=el.train.Recording(checkpoint_every=0.0))
trainer.fit((x, y), epochs=3, batch_size=RATE, resume=True)
'''

LOOP = '''
import os, signal, sys, time
import elinvar as el

KILL = int(os.environ.get("KILL_AT", "0"))
el.manual_seed(SEED)
x = el.randn(96, 6, generator=el.random.Generator(5))
y = x[:, :1] - x[:, 1:2]
model = el.nn.Sequential(el.nn.Linear(6, 8), el.nn.Dropout(0.2), el.nn.Linear(8, 1))
optimizer = el.optim.AdamW(model.parameters(), lr=0.01)
loader = el.data.DataLoader((x, y), RATE, shuffle=True)

@el.jit
def step(x, y):
    optimizer.zero_grad()
    loss = ((model(x) - y) ** 2).mean()
    loss.backward()
    optimizer.step()
    return loss

with el.run({"rate": 0.01}, checkpoint_every=0.0, resume=True,
            model=model, optimizer=optimizer, loader=loader) as run:
    for epoch in run.epochs(3):
        for a, b in loader:
            run.step(step(a, b))
            time.sleep(0.03)
            if run.steps_done == KILL:
                while not list(run.folder.glob("checkpoints/*.json")):
                    time.sleep(0.01)
                os.kill(os.getpid(), signal.SIGKILL)
'''


def program(folder: Path, text: str = PROGRAM, seed: int = 0, batch: int = 16) -> Path:
    path = folder / "train.py"
    path.write_text(text.replace("SEED", str(seed)).replace("RATE", str(batch)))
    return path


def start(folder: Path, kill: int = 0, threads: int = 2) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "ELINVAR_RUNS": "runs",
        "ELINVAR_NUM_THREADS": str(threads),
        "KILL_AT": str(kill),
    }
    return subprocess.run(
        [sys.executable, "train.py"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def data() -> tuple[el.Tensor, el.Tensor]:
    x = el.randn(40, 4, generator=el.random.Generator(2))
    return x, x[:, :1]


def fitted(folder: Path, **options) -> el.Trainer:
    el.manual_seed(1)
    model = el.nn.Sequential(el.nn.Linear(4, 8), el.nn.ReLU(), el.nn.Linear(8, 1))
    record = el.train.Recording(folder, **options.pop("recording", {}))
    trainer = el.Trainer(model, "adamw", "mse", progress=False, record=record, **options)
    trainer.fit(data(), epochs=2, batch_size=10)
    return trainer


# ---- what is recorded ------------------------------------------------------------------------


def test_a_fit_is_recorded(tmp_path: Path) -> None:
    trainer = fitted(tmp_path)
    folder = trainer.run_folder
    assert folder is not None and folder.parent == tmp_path
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["config"]["optimizer"]["class"] == "AdamW"
    assert manifest["config"]["manual_seed"] == 1 and manifest["packages"]["numpy"] == np.__version__
    training = json.loads((folder / "data.json").read_text())["data"]["training"]
    assert training["order"]["batch_size"] == 10 and training["arrays"][0]["shape"] == [40, 4]
    rows = list(StepTable(folder / STEPS))
    assert [row.step for row in rows] == list(range(9)) and np.isnan(rows[0].loss)
    last = [digest_of(cell) for cell in trainer.model.state_dict().values()]
    assert rows[-1].digests.tolist() == last
    lines, trouble = rows_of(folder / METRICS)
    assert trouble is None and [row["epoch"] for row in lines if row["kind"] == "epoch"] == [1, 2]
    lines, trouble = rows_of(folder / PROCESSES)
    assert trouble is None and lines[-1]["outcome"] == "finished" and "energy" in lines[-1]
    report = verify(folder)
    assert report.sound and not report.notes, report.faults + report.notes
    assert latest.standing(folder).state == "finished"


def test_recording_changes_no_value(tmp_path: Path) -> None:
    recorded = fitted(tmp_path, recording={"checkpoint_every": 0.0})
    el.manual_seed(1)
    model = el.nn.Sequential(el.nn.Linear(4, 8), el.nn.ReLU(), el.nn.Linear(8, 1))
    trainer = el.Trainer(model, "adamw", "mse", progress=False, record=False)
    trainer.fit(data(), epochs=2, batch_size=10)
    assert trainer.run_folder is None
    for a, b in zip(model.parameters(), recorded.model.parameters(), strict=True):
        assert (a.numpy() == b.numpy()).all()


def test_checkpoints_hold_the_step_that_they_name(tmp_path: Path) -> None:
    """A state that is written in the background is not touched by the steps that come meanwhile."""
    trainer = fitted(tmp_path, recording={"checkpoint_every": 0.0, "keep": 100})
    folder = trainer.run_folder
    assert folder is not None
    rows = {row.step: row for row in StepTable(folder / STEPS)}
    states = sorted((folder / "checkpoints").glob("*.safetensors"))
    assert len(states) >= 2
    for path in states:
        model = el.load(path)["model"]
        wanted = rows[int(path.stem.removeprefix("step-"))].digests.tolist()
        assert [digest_of(tensor) for tensor in model.values()] == wanted


def test_old_checkpoints_go_and_the_first_stays(tmp_path: Path) -> None:
    trainer = fitted(tmp_path, recording={"checkpoint_every": 0.0, "keep": 1})
    folder = trainer.run_folder
    assert folder is not None
    names = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert names == [
        "step-00000000.json", "step-00000000.safetensors",
        "step-00000008.json", "step-00000008.safetensors",
    ]  # fmt: skip


def test_digests_of_all_dtypes_layouts_and_threads() -> None:
    random = np.random.default_rng(0)
    tensors = {}
    for dtype in ("f4", "f8", "i1", "i8", "?", "f2", "c8", "u2"):
        for shape in ((), (0,), (3, 5), (7, 1, 9), (210, 300)):
            array = (random.standard_normal(shape) * 9).astype(dtype)
            tensors[f"{dtype}{shape}"] = el.asarray(array)
    tensors["turned"] = el.asarray(random.standard_normal((40, 60))).mT
    tensors["bf16"] = el.asarray(random.standard_normal(7)).astype(el.bfloat16)
    digests = Digests(tensors)
    wanted = [digest_of(tensor) for tensor in tensors.values()]
    threads = el.get_num_threads()
    try:
        for count in (1, 2, 3):
            el.set_num_threads(count)
            assert digests().tolist() == wanted
    finally:
        el.set_num_threads(threads)
    changed = el.asarray(np.nextafter(tensors["f4(210, 300)"].numpy(), np.float32(9)))
    assert digest_of(changed) != digest_of(tensors["f4(210, 300)"])


def test_events_are_those_of_tensorboard() -> None:
    assert events.crc32c(b"123456789") == 0xE3069283  # RFC 3720, B.4 has others of this kind
    row = {"loss": 1.5, "big": 1e300, "text": "x", "flag": True}
    data = events.first_record() + events.record_of("epoch", 300, row)
    assert events.check(data) is None
    assert events.check(data[:-1]) == "ends within record 1"
    assert events.check(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]) == "is damaged in record 1"
    protos = pytest.importorskip("tensorboardX.proto.event_pb2")
    found, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        event = protos.Event()
        event.ParseFromString(data[at + 12 : at + 12 + length])
        found.append(event)
        at += 16 + length
    assert found[0].file_version == "brain.Event:2" and found[1].step == 300
    values = {value.tag: value.simple_value for value in found[1].summary.value}
    assert values == {"epoch/loss": 1.5, "epoch/big": float("inf")}


# ---- going on, and replaying -----------------------------------------------------------------


@pytest.mark.parametrize("text", [PROGRAM, LOOP], ids=["trainer", "loop"])
def test_killed_and_gone_on_with_is_the_same_run(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    for name in ("whole", "killed"):
        program(tmp_path / name, text)
    assert start(tmp_path / "whole").returncode == 0
    killed = tmp_path / "killed"
    assert start(killed, kill=9).returncode == -signal.SIGKILL
    assert start(killed, kill=14, threads=1).returncode == -signal.SIGKILL
    done = start(killed)
    assert done.returncode == 0, done.stderr
    assert "going on with" in done.stderr
    whole, other = (next((tmp_path / name / "runs").iterdir()) for name in ("whole", "killed"))
    assert len(list((killed / "runs").iterdir())) == 1
    rows = [(run / STEPS).read_bytes().partition(b"\n")[2] for run in (whole, other)]
    assert rows[0] == rows[1]  # the first line names the run
    assert verify(other).sound
    assert main(["replay", str(other), "--quiet", "--threads", "1"]) == 0
    told = capsys.readouterr()
    assert "the same run, bit for bit: steps 0 to 18" in told.out
    assert f"[run] starting {sys.executable} train.py in {killed}" in told.err
    assert main(["replay", str(other), "--quiet", "--from", "18"]) == 1
    program(killed, text, batch=12)
    assert main(["replay", str(other), "--quiet"]) == 3
    said = capsys.readouterr().out
    assert "the first difference is at step 1 (epoch 1, batch 1): tensor " in said
    assert "batch_size was 16, is 12" in said and "code: train.py: line" in said
    program(killed, text, seed=3)
    assert main(["replay", str(other), "--quiet", "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert found["difference"]["step"] == 0
    assert ["configuration", "manual_seed: 0 → 3"] in found["changes"]


def test_a_run_goes_on_in_its_folder(tmp_path: Path) -> None:
    trainer = fitted(tmp_path)
    folder = trainer.run_folder
    again = el.Trainer(
        el.nn.Sequential(el.nn.Linear(4, 8), el.nn.ReLU(), el.nn.Linear(8, 1)), "adamw", "mse",
        progress=False,
    )  # fmt: skip
    again.fit(data(), epochs=4, batch_size=10, resume=folder)
    assert again.run_folder == folder and again.step == 16 and len(again.history) == 4
    assert folder is not None and verify(folder).sound
    assert [row.step for row in StepTable(folder / STEPS)] == list(range(17))
    straight = el.Trainer(
        el.nn.Sequential(el.nn.Linear(4, 8), el.nn.ReLU(), el.nn.Linear(8, 1)), "adamw", "mse",
        progress=False, record=el.train.Recording(tmp_path, "straight"),
    )  # fmt: skip
    straight.load(folder / "checkpoints" / "step-00000000.safetensors")
    straight.fit(data(), epochs=4, batch_size=10)
    for a, b in zip(straight.model.parameters(), again.model.parameters(), strict=True):
        assert (a.numpy() == b.numpy()).all()


def test_another_model_is_refused(tmp_path: Path) -> None:
    trainer = fitted(tmp_path)
    other = el.Trainer(el.nn.Linear(4, 1), "adamw", "mse", progress=False)
    with pytest.raises((RunError, StateError), match=r"other tensors|0\.weight"):
        other.fit(data(), epochs=4, resume=trainer.run_folder)
    assert trainer.run_folder is not None and verify(trainer.run_folder).sound


def test_record_takes_names_and_says_what_else_it_takes(tmp_path: Path) -> None:
    model = el.nn.Linear(4, 1)
    with pytest.raises(DTypeError, match="record must be True, False, a name"):
        el.Trainer(model, "adamw", "mse", record=3)
    fitted(tmp_path, recording={"name": "mine"})
    assert verify(tmp_path / "mine").sound
    with pytest.raises(RunError, match="is there already"):
        fitted(tmp_path, recording={"name": "mine"})
    with pytest.raises(DTypeError, match="rate must have state_dict"):
        el.run(rate=0.1)


def test_runs_are_listed_shown_compared_and_plotted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted(tmp_path, recording={"name": "a"})
    fitted(tmp_path, recording={"name": "b"}, accumulate=2)
    where = ["--folder", str(tmp_path)]
    assert main(["runs", *where]) == 0
    assert "finished" in capsys.readouterr().out
    assert main(["runs", "list", "--json", *where]) == 0
    assert {row["name"] for row in json.loads(capsys.readouterr().out)} == {"a", "b"}
    assert main(["runs", "show", "a", *where]) == 0
    assert "finished after 8 steps" in capsys.readouterr().out
    assert main(["runs", "compare", "a", "b", *where]) == 0
    assert "config: accumulate: 1 → 2" in capsys.readouterr().out
    picture = tmp_path / "x.png"
    assert main(["runs", "plot", "a", "b", "--output", str(picture), *where]) == 0
    assert picture.stat().st_size > 5000
    capsys.readouterr()
    assert main(["runs", "show", "c", *where]) == 1
    assert "there is no run 'c'" in capsys.readouterr().err
    assert main(["runs", "plot", "a", "--figure", "los", *where]) == 1
    assert "no run has a figure 'los'" in capsys.readouterr().err


def test_files_of_a_version_are_named_by_it(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(f"{name}\n" * 9)
    store = tmp_path / "store"
    version = el.data.commit(tmp_path / "a.txt", "letters", store=store)
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        (tmp_path / "in" / f"{name}.txt").write_text(f"{name}\n" * 9)
    version = el.data.commit(tmp_path / "in", "letters", store=store)
    folder = el.data.checkout(version, tmp_path / "out", store=store) or tmp_path / "out"
    paths = [str(Path(folder) / f"{name}.txt") for name in ("a", "b")]
    found = identity([], paths, [], {})["files"]
    assert [row["version"] for row in found] == [
        f"letters@{version.id}/a.txt",
        f"letters@{version.id}/b.txt",
    ]
    swapped = identity([], paths[::-1], [], {})
    assert differences({"training": {"files": found}}, {"training": swapped})


def test_a_loop_goes_on_where_its_data_cannot_be_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def strange(source: object) -> None:
        raise ZeroDivisionError("of a source")

    monkeypatch.setattr("elinvar.runs.identity.contents_of", strange)
    model = el.nn.Linear(4, 1)
    loader = el.data.DataLoader(data(), 10)
    with el.run({}, folder=tmp_path, model=model, loader=loader) as run:
        run.step(1.0)
    assert run.folder is not None and run.steps_done == 1
    assert "could not describe the data" in capsys.readouterr().err
