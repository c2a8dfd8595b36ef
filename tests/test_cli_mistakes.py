"""What people get wrong on the command line: one line that says so, and an exit code."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from elinvar import cli
from tests.test_cli_training import DIGITS, SCRIPT, run

pytestmark = pytest.mark.any_level

TABLE = '[model]\nname = "mlp"\n[data]\npath = "t.csv"\ntarget = "b"\n'


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "digits.toml").write_text(DIGITS.replace("epochs = 2", "epochs = 1"))
    (tmp_path / "run.py").write_text(SCRIPT)
    (tmp_path / "t.toml").write_text(TABLE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys, *words: str) -> str:
    """The one line that a command says when it fails."""
    code, out, error = run(capsys, *words)
    assert code == 1 and out == "" and error.startswith("elinvar: ")
    assert len(error.splitlines()) == 1, error
    return error


def test_options_and_values_stand_in_any_order(capsys) -> None:
    whole = run(capsys, "train", "run.py", "epochs=3", "rate=0.5", "--json")[1]
    for words in (
        ("train", "--json", "run.py", "epochs=3", "rate=0.5"),
        ("train", "run.py", "epochs=3", "--json", "rate=0.5"),
        ("train", "run.py", "--json", "epochs=3", "rate=0.5"),
    ):
        code, out, _ = run(capsys, *words)
        assert code == 0 and json.loads(out)["loss"] == json.loads(whole)["loss"]
        assert json.loads(out)["epoch"] == 3
    assert "there is no file 'epochs=3'" in refused(capsys, "train", "epochs=3", "--json")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("tran", "run.py"), "did you mean 'train'?"),
        (("train", "run.py", "--jsn"), "elinvar train: error: there is no option --jsn; did you mean '--json'?"),
        (("train", "run.py", "--epochs", "3"), "values of the configuration are written epochs=VALUE"),
        (("train", "run.py", "--rate=3"), "values of the configuration are written rate=3"),
        (("train",), "the following arguments are required: CONFIG\n"),
        (("info", "please"), "'please' is one word too many"),
        (("eval", "run.py", "--on", "tset"), "did you mean 'test'?"),
        (("baseline", "run.py", "--rounds", "0"), "expected a whole number from 1, received '0'"),
        (("completion", "bsh"), "did you mean 'bash'?"),
    ],
)
def test_words_that_are_not_understood(capsys, words, text) -> None:
    code, out, error = run(capsys, *words)
    assert (code, out) == (2, "") and text in error


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("empty.py", b"", "does not define `trainer`; hint: a configuration defines `trainer` and `data`"),
        ("empty.toml", b"", "has no section [model]; hint: [model] and [data] are needed"),
        ("binary.py", b"\x00\xff\xfe", "is no text in UTF-8: byte 1 is wrong"),
        ("binary.toml", b"\xff\xfe\x00", "is no text in UTF-8: byte 0 is wrong"),
        ("null.py", b"x = 1\0", "is not Python"),
        ("deep.py", b"(" * 999 + b")" * 999, "is not Python"),
        ("ends.py", b"import sys; sys.exit(0)", "ended itself (SystemExit: 0) before `trainer`"),
        ("divides.py", b"x = 1\nx / 0\n", "ZeroDivisionError: division by zero (divides.py:2); elinvar --debug"),
        ("list.toml", b"[[model]]\n", "model in list.toml must be a table [model], received an array of tables"),
        ("flat.toml", b'model = "mlp"\n', "received str"),
        (".", None, "'.' is a folder; hint: name the .py or .toml file in it"),
    ],
)
def test_configurations_that_are_none(files, capsys, name, content, text) -> None:
    if content is not None:
        (files / name).write_bytes(content)
    assert text in refused(capsys, "train", name, "--json")


@pytest.mark.parametrize("name", ["digits.toml", "run.py"])
def test_a_mark_at_the_beginning_of_a_file_is_passed_over(files, capsys, name) -> None:
    (files / name).write_bytes(b"\xef\xbb\xbf" + (files / name).read_bytes())
    assert run(capsys, "train", name, "--dry-run", "--json")[0] == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("fit.epochs=-1", "fit.epochs must be a whole number from 0, received -1"),
        ("fit.batch_size=big", "fit.batch_size must be a whole number from 0, received 'big'"),
        ("fit.shuffle=3", "fit.shuffle must be true or false, received 3"),
        ("trainer.ema=x", "trainer.ema must be a number, received 'x'"),
        ("trainer.early_stopping=true", "trainer.early_stopping must be a whole number"),
        ("trainer.metrics=[1]", "trainer.metrics must be a text or a list of them, received [1]"),
        ("data.limit=-5", "data.limit must be a whole number from 0, received -5"),
        ("data.validation=a", "data.validation must be a number, received 'a'"),
        ("data.flatten=maybe", "data.flatten must be true or false, received 'maybe'"),
        ("data.test=other.csv", "[data] has no key 'test'"),
        ("data.path=3", "there is no file '3'"),
        ("model.args.hidden=[0]", "model.args.hidden must be whole numbers from 1, received [0]"),
    ],
)
def test_values_of_another_kind(capsys, value, text) -> None:
    assert text in refused(capsys, "train", "digits.toml", value)


def test_none_is_as_if_nothing_were_said(capsys) -> None:
    code, out, _ = run(capsys, "train", "digits.toml", "trainer.lr=none", "trainer.ema=none", "--json")
    assert code == 0 and json.loads(out)["lr"] == 0.001


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "t.csv: the file is empty"),
        ("a,b\n1\n", "t.csv: record 0 has 1 fields, the header has 2"),
        ("a,b\n1,\n2,3\n", "the target 'b' is empty in 1 of 2 rows"),
        ("a,b\n1,2\n3,2\n", "the target 'b' is '2' in all 2 rows; hint: there is nothing to learn"),
        ("b\n1\n2\n", "t.csv has no column beside the target 'b'"),
        ("a;b\n1;2\n", "is it separated by ';'? Columns are separated by commas"),
        ("a,b\n" + "".join(f"1,{i}\n" for i in range(30)) + "1,much\n", "has numbers, and texts such as 'much'"),
        (b"\xff\xfe", "byte 0 of the header is not utf-8"),
    ],
)
def test_tables_that_cannot_be_used(files, capsys, content, text) -> None:
    (files / "t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert text in refused(capsys, "train", "t.toml")


def test_where_to_write_is_looked_at_before_the_work(files, capsys) -> None:
    for place in (".", "", "run.py/x.safetensors"):
        error = refused(capsys, "train", "run.py", "--save", place)
        assert "--save" in error and "epoch 1/" not in error
    assert "must end in .npy or .csv" in refused(capsys, "predict", "nothing.py", "--output", "x.txt")
    assert run(capsys, "train", "run.py", "--save", "new/folder/x.safetensors")[0] == 0
    words = ("predict", "run.py", "--checkpoint", "new/folder/x.safetensors", "--json")
    code, out, _ = run(capsys, *words, "--output", "other/said.npy")
    assert code == 0 and json.loads(out) == {"saved": "other/said.npy", "shape": [16, 2]}
    assert np.load("other/said.npy").shape == (16, 2)


def test_checkpoints_that_do_not_fit(files, capsys) -> None:
    run(capsys, "train", "run.py", "--save", "run.st")
    for words in (("eval", "digits.toml", "--checkpoint"), ("train", "digits.toml", "--resume")):
        error = refused(capsys, *words, "run.st")
        assert "missing from the state (4): 1.weight; 1.bias" in error
    assert "'run.st' has weights of another model than Sequential here" in refused(
        capsys, "eval", "digits.toml", "--checkpoint", "run.st"
    )
    (files / "half.st").write_bytes((files / "run.st").read_bytes()[:900])
    for words in (("eval", "run.py", "--checkpoint"), ("train", "run.py", "--resume")):
        assert "no valid safetensors file" in refused(capsys, *words, "half.st")
        folder = refused(capsys, *words, ".")
        assert "is a folder; hint: name the file in it" in folder or "not the folder of a run" in folder
        assert "there is no file 'gone.st'" in refused(capsys, *words, "gone.st")


def test_standard_output_is_json_and_nothing_else(files, capsys) -> None:
    (files / "loud.py").write_text(SCRIPT + "\nprint('hello')\n")
    code, out, error = run(capsys, "train", "loud.py", "--json", "--save", "x.st")
    assert code == 0 and "epoch" in json.loads(out) and error.startswith("hello\n")
    np.save("x.npy", np.full((2, 2), np.nan, np.float32))
    words = ("predict", "run.py", "--checkpoint", "x.st", "--input", "x.npy", "--json")
    assert json.loads(run(capsys, *words)[1], parse_constant=pytest.fail) == [[None, None]] * 2
    code, out, _ = run(capsys, "cache", "--json")
    assert code == 0 and json.loads(out)["entries"] >= 0


def test_debug_stands_anywhere_and_help_has_examples(capsys) -> None:
    for words in (("--debug", "train", "no.py"), ("train", "no.py", "--debug")):
        with pytest.raises(ValueError, match=r"there is no file 'no\.py'"):
            cli.main(words)
    code, out, _ = run(capsys, "--help")
    assert code == 0 and "exit codes: 0 all is well" in out and "examples:" in out
    assert run(capsys, "help", "train")[1] == run(capsys, "train", "--help")[1]
    assert "examples:" in run(capsys, "train", "--help")[1]


@pytest.mark.parametrize("place", ["out", "run.py"])
def test_ctrl_c_says_how_to_go_on(files, capsys, place) -> None:
    text = SCRIPT.replace('folder="out"', f'folder="{place}", callbacks=[Send()]')
    send = "import os, signal\nclass Send(el.train.Callback):\n    def on_step_end(self, trainer):\n        os.kill(os.getpid(), signal.SIGINT)\n"
    (files / "sent.py").write_text(text.replace("rate = 1e-2", f"{send}rate = 1e-2"))
    code, out, error = run(capsys, "train", "sent.py", "--json")
    last = error.splitlines()[-1]
    assert (code, out) == (130, "") and last.startswith("elinvar: stopped by SIGINT after step 1")
    if place == "out":
        assert last.endswith("go on with elinvar train … --resume out/interrupted.safetensors")
    else:
        assert "not saved: " in last and "resume" not in last


def test_the_shell_sees_the_exit_code(files) -> None:
    words = [sys.executable, "-m", "elinvar.cli", "train", "no.toml", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "elinvar: [config] there is no file 'no.toml'\n"
