"""Damaged runs: verify names it, going on uses the last good state, nothing good is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import elinvar as el
from elinvar.cli import main
from elinvar.core.errors import RunError
from elinvar.runs import checkpoints, files, latest, replay
from elinvar.runs import run as layout
from elinvar.runs.run import Run
from elinvar.runs.verifying import verify

pytestmark = [pytest.mark.any_level, pytest.mark.skipif(os.name == "nt", reason="needs POSIX")]
SECONDS = 20  # in which each case is through, or else it hangs


@pytest.fixture(autouse=True)
def nothing_hangs() -> Iterator[None]:
    def handle(*_: Any) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, handle)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


STEPS = 8
TENSORS = ("0.weight", "0.bias")


def train(folder: Path, epochs: int, resume: Any = None, seed: int = 1) -> el.Trainer:
    """Two epochs of four steps, a checkpoint after each step."""
    el.manual_seed(seed)
    x = np.random.default_rng(seed).normal(size=(16, 3)).astype(np.float32)
    model = el.nn.Sequential(el.nn.Linear(3, 2))
    trainer = el.Trainer(
        model, el.optim.SGD(model.parameters(), lr=0.1), "mse", progress=False, callbacks=[Waits()],
        record=el.train.Recording(folder, checkpoint_every=0, log_every=1),
    )  # fmt: skip
    trainer.fit((x, x[:, :2]), epochs, batch_size=4, resume=resume)
    return trainer


class Waits(el.train.Callback):
    """Lets each step wait for the checkpoint before."""

    def on_step_start(self, trainer: el.Trainer) -> None:
        run = trainer.recorder.run
        if isinstance(run, Run):
            run._writer.wait()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A run, another one of the same program, and what the weights are after three epochs."""
    base = tmp_path_factory.mktemp("runs")
    one, two = train(base / "a", 2).run_folder, train(base / "b", 2, seed=2).run_folder
    assert one is not None and two is not None
    wanted = weights(train(base / "c", 3))
    assert verify(one).sound and verify(two).sound
    return one, two, wanted


def weights(trainer: el.Trainer) -> str:
    return "".join(p.numpy().tobytes().hex() for p in trainer.model.parameters())


def killed(folder: Path) -> None:
    """Make a run look like one whose process was killed after its last step."""
    (folder / "end.json").unlink(missing_ok=True)
    path = folder / "processes.jsonl"
    if path.is_file():
        path.write_bytes(path.read_bytes().partition(b"\n")[0] + b"\n")


NAMES = (
    "manifest.json", "data.json", "steps.bin", "metrics.jsonl", "processes.jsonl", "end.json",
    "events.out.tfevents.elinvar", "code", "checkpoints/step-00000000.safetensors",
    "checkpoints/step-00000000.json", "checkpoints/step-00000007.safetensors",
    "checkpoints/step-00000007.json", "checkpoints/step-00000008.safetensors",
    "checkpoints/step-00000008.json",
)  # fmt: skip
KINDS = (
    "flip", "cut", "empty", "delete", "folder", "symlink", "loop", "fifo", "device", "other run",
    "other step", "other file", "grow", "zeros",
)  # fmt: skip


def place_of(folder: Path, name: str) -> Path:
    """The file of a name; `code` is the first of the files of code. A step that was saved again has
    its state in another file."""
    if name == "code":
        return sorted((folder / "code").iterdir())[0]
    again = folder / name.replace(".safetensors", "b.safetensors")
    return again if again.exists() else folder / name


def damage(folder: Path, other: Path, name: str, kind: str, where: float) -> bool:
    """Damage a file; False where this kind does not apply to it."""
    path = place_of(folder, name)
    data = path.read_bytes()
    at = min(int(where * len(data)), len(data) - 1)
    if kind == "flip":
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
    elif kind == "cut":
        path.write_bytes(data[:at])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "grow":
        path.write_bytes(data + b"x")
    elif kind == "zeros":
        end = min(at + 64, len(data))
        path.write_bytes(data[:at] + bytes(end - at) + data[end:])
        return path.read_bytes() != data
    elif kind == "other run":
        if name == "code":
            return False  # the same program, the same file
        path.write_bytes(place_of(other, name).read_bytes())
    elif kind == "other step":
        if "step-" not in name or "00000008" in name:
            return False
        path.write_bytes(place_of(path.parent, f"step-00000008{path.suffix}").read_bytes())
    elif kind == "other file":
        path.write_bytes((folder / ("data.json" if "manifest" in name else "manifest.json")).read_bytes())
    else:
        path.unlink()
        if kind == "folder":
            path.mkdir()
            (path / "file").write_text("mine")
        elif kind == "symlink":
            path.symlink_to(folder / "nowhere")
        elif kind == "loop":
            path.symlink_to(path)
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "device":
            path.symlink_to("/dev/zero")
    return True


def good_files(folder: Path) -> dict[str, bytes]:
    """Contents of everything, by name, and by content where names were changed."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def judge(runs: tuple[Path, Path, str], base: Path, name: str, kind: str, where: float) -> None:
    """Damage a copy of a run, and see what the commands make of it."""
    one, two, wanted = runs
    folder = base / "runs" / "damaged"
    shutil.copytree(one, folder)
    if not damage(folder, two, name, kind, where):
        return
    signal.alarm(SECONDS)
    report = verify(folder)
    assert not report.sound, (name, kind, report.notes)
    file = Path(name).stem if name != "code" else "code"
    known = (file, name.partition(".")[0], "another run", "is not that of")
    assert any(word in text for text in report.faults for word in known), report.faults
    assert main(["verify", str(folder)]) == 3
    found = latest.standing(folder)
    assert found.state in ("finished", "damaged", "killed"), found
    assert main(["runs", "--folder", str(folder.parent)]) == 0
    assert main(["runs", "show", str(folder)]) == 0
    before = good_files(folder)
    try:
        trainer = train(base / "runs", 3, resume=folder)
    except RunError as error:
        # only where nothing can be trusted: the manifest of another run
        assert name == "manifest.json" and kind == "other run", (kind, error)
        assert before == good_files(folder)
        return
    assert weights(trainer) == wanted, "it went on from something that was not good"
    after = good_files(folder)
    newest = {text for text in after if text.startswith("checkpoints/step-")}
    assert any("00000012" in text for text in newest)
    first = ("checkpoints/step-00000000.safetensors", "checkpoints/step-00000000.json")
    for text in (*first, "manifest.json", "data.json"):
        assert name in first or text not in before or after.get(text) == before[text], text
    signal.alarm(0)


@pytest.mark.parametrize("name", NAMES)
def test_each_kind_of_damage_is_named_and_survived(
    name: str, runs: tuple[Path, Path, str], tmp_path: Path
) -> None:
    """A selection; the slow test draws many more."""
    hashed = {kind: sum(map(ord, kind + name)) for kind in KINDS}
    for kind in sorted(KINDS, key=lambda kind: hashed[kind] % 7)[:4]:
        base = tmp_path / kind
        base.mkdir()
        judge(runs, base, name, kind, (hashed[kind] % 100) / 100)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(NAMES), kind=st.sampled_from(KINDS), where=st.floats(0, 1, exclude_max=True)
)
@example(name="steps.bin", kind="cut", where=0.0)
@example(name="processes.jsonl", kind="cut", where=0.3)
def test_any_damage_is_named_and_survived(
    name: str, kind: str, where: float, runs: tuple[Path, Path, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    base = tmp_path_factory.mktemp("damage")
    judge(runs, base, name, kind, where)
    shutil.rmtree(base)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("end.json", "data.json", "code")])
def test_a_killed_run_that_is_damaged_too(
    name: str, runs: tuple[Path, Path, str], tmp_path: Path
) -> None:
    """Without the seal of its end, and found by `resume=True`'s own search."""
    one, two, wanted = runs
    folder = tmp_path / "runs" / "damaged"
    shutil.copytree(one, folder)
    killed(folder)
    assert damage(folder, two, name, "flip", 0.4)
    signal.alarm(SECONDS)
    assert not verify(folder).sound
    program, number = layout.opened(one)["entry"]["program"], layout.opened(one)["number"]
    found = latest.newest_open(tmp_path / "runs", program, number)
    both = name == "processes.jsonl"  # what it is is then in the manifest alone
    assert found == folder or both
    assert weights(train(tmp_path / "runs", 3, resume=folder)) == wanted


def test_a_run_without_any_good_state_is_left_alone(
    runs: tuple[Path, Path, str], tmp_path: Path
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(runs[0], folder)
    for path in (folder / "checkpoints").glob("*.safetensors"):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    before = good_files(folder)
    with pytest.raises(RunError, match=r"has no checkpoint that is whole: .*is damaged: its SHA-256"):
        train(tmp_path, 3, resume=folder)
    assert good_files(folder) == before


def test_damaged_logs_and_states_are_kept_under_other_names(
    runs: tuple[Path, Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(runs[0], folder)
    for name in ("steps.bin", "metrics.jsonl", "checkpoints/step-00000008.safetensors"):
        data = bytearray(place_of(folder, name).read_bytes())
        data[len(data) // 2] ^= 1
        place_of(folder, name).write_bytes(data)
    capsys.readouterr()
    assert weights(train(tmp_path, 3, resume=folder)) == runs[2]
    said = capsys.readouterr().err
    assert "step-00000008b.safetensors' is damaged: its SHA-256" in said
    assert "an older checkpoint is used" in said
    assert "steps.bin' is damaged" in said and "it is kept as steps.bin.damaged-1" in said
    kept = {path.name for path in folder.rglob("*.damaged-1")}
    assert {"steps.bin.damaged-1", "metrics.jsonl.damaged-1"} <= kept
    assert "step-00000008b.safetensors.damaged-1" in kept
    report = verify(folder)
    assert "steps.bin begins in the middle: what came before was damaged" in report.faults
    assert any("set aside" in text for text in report.notes)


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_a_state_without_its_table_is_not_deleted(
    suffix: str, runs: tuple[Path, Path, str], tmp_path: Path
) -> None:
    """It may be good: whoever lost the table can still load it."""
    folder = tmp_path / "damaged"
    shutil.copytree(runs[0], folder)
    place, held = folder / "checkpoints", runs[0] / "checkpoints"
    place_of(place, f"step-00000008{suffix}").unlink()
    assert weights(train(tmp_path, 3, resume=folder)) == runs[2]
    other = place_of(held, "step-00000008" + (".safetensors" if suffix == ".json" else ".json"))
    assert (place / f"{other.name}.damaged-1").read_bytes() == other.read_bytes()


def test_a_step_that_is_saved_again_is_never_without_a_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end of an epoch its last step is saved once more, with the figures of the epoch."""
    table: dict[str, Any] = {
        "step": 5, "epoch": 0, "chain": "", "logs": {}, "manifest": "m", "run": "r", "first": 0,
    }  # fmt: skip

    def content() -> bytes:
        found, reasons = checkpoints.newest(tmp_path, "r", "m")
        assert found is not None and not reasons
        return found.path.read_bytes()

    def refused(*_: Any) -> str:
        raise OSError("no room")

    checkpoints.write(tmp_path, iter([b"one"]), table)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "write_sealed", refused)
        with pytest.raises(OSError, match="no room"):
            checkpoints.write(tmp_path, iter([b"two"]), table)
    assert content() == b"one" and not checkpoints.strays(tmp_path)
    for text in (b"three", b"four"):
        checkpoints.write(tmp_path, iter([text]), table)
        assert content() == text and len(list(tmp_path.iterdir())) == 2
    checkpoints.thin(tmp_path, 0)
    assert not list(tmp_path.iterdir())


def test_a_newer_format(runs: tuple[Path, Path, str], tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "newer"
    shutil.copytree(runs[0], folder)
    for path in [*folder.glob("*.json"), *(folder / "checkpoints").glob("*.json")]:
        table = json.loads(path.read_text())
        table["format"] = 2
        table["seal"] = files.seal_of(table)
        path.write_text(json.dumps(table))
    text = "has format 2; this version of Elinvar reads up to 1"
    for words in (["verify", str(folder)], ["runs", "show", str(folder)]):
        main(words)
        assert text in capsys.readouterr().out
    assert main(["replay", str(folder)]) == 1 and text in capsys.readouterr().err
    before = good_files(folder)
    with pytest.raises(RunError, match=text):
        train(tmp_path, 3, resume=folder)
    assert good_files(folder) == before


def test_a_manifest_changed_by_hand(runs: tuple[Path, Path, str], tmp_path: Path, capsys: Any) -> None:
    """With its seal as it was, and with a seal that was made anew."""
    for anew in (False, True):
        folder = tmp_path / f"edited-{anew}"
        shutil.copytree(runs[0], folder)
        table = json.loads((folder / "manifest.json").read_text())
        table["config"]["accumulate"] = 7
        if anew:
            table["seal"] = files.seal_of(table)
        (folder / "manifest.json").write_text(json.dumps(table))
        assert main(["verify", str(folder)]) == 3
        said = capsys.readouterr().out
        assert ("was changed after it was written" in said) is not anew
        assert ("the manifest was replaced" in said) is anew


def test_parts_of_two_runs(runs: tuple[Path, Path, str], tmp_path: Path) -> None:
    """The checkpoints of one in the folder of the other: seals fit, but not the run."""
    folder = tmp_path / "mixed"
    shutil.copytree(runs[0], folder)
    shutil.rmtree(folder / "checkpoints")
    shutil.copytree(runs[1] / "checkpoints", folder / "checkpoints")
    assert any("is of another run" in text for text in verify(folder).faults)
    with pytest.raises(RunError, match=r"no checkpoint that is whole: .*is of another run"):
        train(tmp_path, 3, resume=folder)
    assert replay.replay.__doc__ and len(TENSORS) == 2
    newest, reasons = checkpoints.newest(folder / "checkpoints", layout.id_of(folder))
    assert newest is None and len(reasons) == 3
