"""`elinvar runs`, `verify` and `replay`: bad input is one clear line, and destroys nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import elinvar as el
from elinvar.cli import main

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.any_level


def train(folder: Path, name: str | None = None) -> Path:
    el.manual_seed(0)
    model = el.nn.Linear(2, 1)
    x = np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32)
    record = el.train.Recording(folder, name, checkpoint_every=0)
    trainer = el.Trainer(model, "sgd", "mse", progress=False, record=record)
    trainer.fit((x, x[:, :1]), 2, batch_size=4)
    assert trainer.run_folder is not None
    return trainer.run_folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name in ("first-try", "first-best", "second"):
        train(folder, name)
    return folder


def said(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """The exit code, and the one line of error, behind that of what a replay started."""
    capsys.readouterr()
    code = main([str(word) for word in words])
    output = capsys.readouterr()
    lines = output.err.splitlines(keepends=True)
    if lines[0].startswith("[run] starting "):
        del lines[0]
    assert len(lines) == 1 and lines[0].startswith("elinvar: "), output.err
    assert "Traceback" not in output.err and not output.out
    return code, lines[0]


COMMANDS = (["runs", "show"], ["verify"], ["replay"])


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_run_that_is_not_there(command: list[str], runs: Path, capsys: Any) -> None:
    for name, words in {
        "secnd": "there is no run 'secnd' in ; did you mean 'second'?",
        "nothing": "there is no run 'nothing' in ",
        "first": "2 runs in  begin with 'first': ; first-best; first-try",
        "": "there is no run ''",
        "no/such/path": "there is no run 'no/such/path'",
        "x" * 5000: "there is no run 'xxx",
        "a\0b": "there is no run",
    }.items():
        code, text = said(capsys, *command, name, "--folder", runs)
        assert code == 1 and all(word in text for word in words.split("; ")[0].split(" in  ")), text
        assert all(word in text for word in words.split("; ")[1:]), text


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_folders_that_are_no_runs(command: list[str], tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    code, text = said(capsys, *command, "last", "--folder", tmp_path)
    assert code == 1 and "there is no run 'last'" in text
    code, text = said(capsys, *command, "last", "--folder", tmp_path / "nowhere")
    assert code == 1 and "there is no folder" in text
    code, text = said(capsys, *command, "last", "--folder", tmp_path / "file")
    assert code == 1 and "there is no" in text
    code, text = said(capsys, *command, tmp_path / "empty")
    assert code == 1 and "is not the folder of a run" in text
    assert sorted(os.listdir(tmp_path)) == ["empty", "file"]


def test_a_folder_without_runs(tmp_path: Path, capsys: Any) -> None:
    assert main(["runs", "--folder", str(tmp_path)]) == 0
    assert "there is no run in" in capsys.readouterr().out
    assert main(["runs", "--folder", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_beginning_and_the_newest(runs: Path, capsys: Any) -> None:
    for name, whole in (("sec", "second"), ("last", "second"), ("first-b", "first-best")):
        assert main(["runs", "show", name, "--folder", str(runs), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["name"] == whole


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["runs", "show"], "show needs 1 run"),
        (["runs", "compare", "second"], "compare needs 2 runs"),
        (["runs", "plot"], "plot needs 1 run"),
        (["runs", "list", "second"], "list takes no names"),
        (["runs", "plot", "second", "--figure", "lss"], "no run has a figure 'lss'"),
        (["replay", "second", "--from", "99"], "has no steps after 4"),
        (["replay", "second", "--to", "-3"], "has no steps"),
        (["replay", "second", "--from", "-1"], "no checkpoint at or before step -1"),
        (["replay", "second", "--from", "3", "--to", "2"], "step 3 comes after step 2"),
        (["replay", "second", "--in", "/no/such/folder"], "there is no folder"),
        (["replay", "second", "--threads", "0"], "threads must be 1 or more"),
        (["replay", "second", "--", "no-such-program"], "cannot be started"),
        (["replay", "second", "--", "true"], "could not be replayed: the program ended with exit code 0"),
        (["replay", "second", "--", "false"], "the program ended with exit code 1"),
    ],
)
def test_words_that_make_no_sense(words: list[str], text: str, runs: Path, capsys: Any) -> None:
    if "--" in words:
        at = words.index("--")
        words = [*words[:at], "--folder", str(runs), *words[at:]]
    else:
        words = [*words, "--folder", str(runs)]
    code, found = said(capsys, *words)
    assert code == 1 and text in found, found


def test_what_is_asked_destroys_nothing(runs: Path, capsys: Any) -> None:
    held = {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()}
    folder = str(runs)
    for words in (
        ["runs"], ["runs", "--json"], ["runs", "show", "second"], ["verify", "second"],
        ["runs", "compare", "second", "first-try"], ["verify", "second", "--json"],
        ["runs", "compare", "second", "first-try", "--json"],
    ):  # fmt: skip
        assert main([*words, "--folder", folder]) == 0
        output = capsys.readouterr()
        assert not output.err
        if "--json" in words:
            json.loads(output.out)
    assert held == {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()}


def test_a_run_whose_process_was_killed_at_once(runs: Path, tmp_path: Path, capsys: Any) -> None:
    """No manifest yet: it is listed, and nothing else can be done with it."""
    folder = tmp_path / "killed"
    shutil.copytree(runs / "second", folder)
    for name in ("manifest.json", "end.json", "data.json"):
        (folder / name).unlink()
    for path in (folder / "checkpoints").iterdir():
        path.unlink()
    text = (folder / "processes.jsonl").read_bytes()
    (folder / "processes.jsonl").write_bytes(text[: text.index(b"\n") + 1])
    assert main(["runs", "--folder", str(tmp_path)]) == 0
    assert "killed" in capsys.readouterr().out
    code, found = said(capsys, "replay", folder)
    assert code == 1 and "was stopped before its manifest was written" in found


@pytest.mark.skipif(os.name == "nt", reason="needs a shell")
def test_a_reader_that_goes_away(runs: Path) -> None:
    words = [sys.executable, "-m", "elinvar.cli"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    for command in (["runs"], ["verify", "second"], ["runs", "show", "second", "--json"]):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(
            [*words, *command, "--folder", str(runs)], stdout=write, stderr=subprocess.PIPE,
            env=environment, check=False,
        )  # fmt: skip
        os.close(write)
        assert done.returncode == 1 and not done.stderr, done.stderr
