"""`elinvar train`, `eval`, `predict`, `baseline`, `info`, `completion`."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from elinvar import cli
from elinvar.cli import config as configs

DIGITS = """
[model]
name = "mlp"
args = {hidden = [16]}

[data]
name = "digits"
limit = 300

[trainer]
lr = 0.01

[fit]
epochs = 2
"""

SCRIPT = '''
import elinvar as el
from elinvar import nn

rate = 1e-2
epochs = 2
name = "run"
el.manual_seed(0)
x = el.randn(64, 2)
y = (x[:, 0] > 0).astype(el.int64)
model = nn.Linear(2, 2)
trainer = el.Trainer(model, el.optim.AdamW(model.parameters(), lr=rate), "cross_entropy", metrics=["accuracy"], folder="out")
data = (x, y)
test = (x[:16], y[:16])
'''


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "digits.toml").write_text(DIGITS)
    (tmp_path / "run.py").write_text(SCRIPT)
    rows = ["area,kind,rooms,price"]
    random = np.random.default_rng(0)
    for _ in range(120):
        area, kind, rooms = random.uniform(20, 200), random.choice(["flat", "house"]), random.integers(1, 7)
        rows.append(f"{area:.1f},{kind},{rooms if rooms > 1 else ''},{area * 3 + (kind == 'house') * 90:.2f}")
    (tmp_path / "homes.csv").write_text("\n".join(rows))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys, *words: str) -> tuple[int, str, str]:
    try:
        code = cli.main(words)
    except SystemExit as end:
        code = int(end.code or 0)
    out, error = capsys.readouterr()
    return code, out, error


def test_train_then_evaluate_then_predict(files, capsys) -> None:
    code, out, _ = run(capsys, "train", "digits.toml", "--save", "end.safetensors", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["epoch"] == 2 and 0 < found["test_accuracy"] <= 1
    code, out, _ = run(capsys, "eval", "digits.toml", "--checkpoint", "end.safetensors", "--json")
    assert code == 0 and json.loads(out)["accuracy"] == found["test_accuracy"]
    code, _, _ = run(capsys, "predict", "digits.toml", "--checkpoint", "end.safetensors", "--classes", "--output", "said.csv")
    assert code == 0
    said = np.loadtxt("said.csv")
    assert said.min() >= 0 and said.max() <= 9
    np.save("two.npy", np.zeros((2, 8, 8), np.float32))
    code, out, _ = run(capsys, "predict", "digits.toml", "--checkpoint", "end.safetensors", "--input", "two.npy")
    assert code == 0 and len(out.splitlines()) == 2 and out.count(",") == 18


def test_values_are_overridden(files, capsys) -> None:
    code, out, _ = run(capsys, "train", "digits.toml", "fit.epochs=1", "trainer.lr=1", "model.args.hidden=[4, 4]", "--json")
    assert code == 0 and json.loads(out)["epoch"] == 1 and json.loads(out)["lr"] == 1.0
    code, out, _ = run(capsys, "train", "run.py", "epochs=3", "rate=5e-1", "name=other", "--json")
    assert code == 0 and json.loads(out)["epoch"] == 3 and json.loads(out)["lr"] == 0.5
    assert configs.load("run.py", ["name=3"]).values["name"] == "3"


def test_going_on(files, capsys) -> None:
    whole = run(capsys, "train", "run.py", "epochs=4", "--json")[1]
    run(capsys, "train", "run.py", "epochs=2", "--save", "half.safetensors")
    again = run(capsys, "train", "run.py", "epochs=4", "--resume", "half.safetensors", "--json")[1]
    assert json.loads(whole)["loss"] == json.loads(again)["loss"]


def test_a_dry_run_writes_nothing(files, capsys) -> None:
    before = sorted(files.iterdir())
    code, out, _ = run(capsys, "train", "run.py", "--dry-run", "--save", "no.safetensors", "--json")
    assert code == 0 and "loss" in json.loads(out) and sorted(files.iterdir()) == before


def test_baseline_of_a_table(files, capsys) -> None:
    (files / "homes.toml").write_text('[model]\nname = "mlp"\n[data]\npath = "homes.csv"\ntarget = "price"\n[fit]\nepochs = 2\n')
    code, out, _ = run(capsys, "baseline", "homes.toml", "--rounds", "10", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["measure"] == "R²" and len(found["contenders"]) == 2
    assert all(one["nbytes"] > 0 and one["seconds"] > 0 for one in found["contenders"])
    assert "wins" in found["verdict"]
    code, out, _ = run(capsys, "baseline", "homes.toml", "--rounds", "10")
    assert code == 0 and "boosted trees" in out and "µs a sample" in out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("train", "digits.toml", "trainer.lrr=1"), "did you mean 'lr'"),
        (("train", "digits.toml", "train.lr=1"), "did you mean 'trainer'"),
        (("train", "digits.toml", "fit.epochs=many"), "fit.epochs is of type int (2), received 'many'"),
        (("train", "digits.toml", "data.name=digit"), "did you mean 'digits'"),
        (("train", "digits.toml", "model.name=mpl"), "did you mean 'mlp'"),
        (("train", "digits.toml", "model.args.hiden=[3]"), "does not fit the model mlp"),
        (("train", "digits.toml", "trainer.optimizer=adan"), "did you mean 'adam'"),
        (("train", "digits.toml", "trainer.metrics=[\"acuracy\"]"), "did you mean 'accuracy'"),
        (("train", "run.py", "rat=1"), "did you mean 'rate'"),
        (("train", "run.py", "rate"), "expected name=value"),
        (("train", "nowhere.py"), "there is no file 'nowhere.py'"),
        (("train", "homes.csv"), "neither a Python file (.py) nor a TOML file"),
        (("eval", "digits.toml"), "pass --checkpoint FILE"),
        (("eval", "digits.toml", "--checkpoint", "no.safetensors"), "there is no file 'no.safetensors'"),
        (("predict", "run.py", "--checkpoint", "run.py"), "run.py"),
        (("eval", "run.py", "--on", "validation", "--checkpoint", "w.safetensors"), "there is no file"),
    ],
)
def test_errors_are_one_line(files, capsys, words, text) -> None:
    code, out, error = run(capsys, *words)
    assert code == 1 and out == ""
    assert text in error and error.startswith("elinvar: ") and len(error.splitlines()) == 1


def test_an_error_of_the_users_code(files, capsys) -> None:
    (files / "bad.py").write_text("trainer = 1 / 0\n")
    code, _, error = run(capsys, "train", "bad.py")
    assert code == 1 and "ZeroDivisionError: division by zero" in error and "--debug" in error
    with pytest.raises(ZeroDivisionError):
        cli.main(["--debug", "train", "bad.py"])
    (files / "half.py").write_text("data = 3\n")
    assert "does not define `trainer`" in run(capsys, "train", "half.py")[2]
    (files / "broken.py").write_text("data = (\n")
    assert "is not Python" in run(capsys, "train", "broken.py")[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1\n", "record 0 has 1 fields, the header has 2"),
        ("a,b\n", "has no rows"),
        ("a,b\n1,2\n", "did you mean"),
    ],
)
def test_broken_tables_are_named(files, capsys, text, message) -> None:
    (files / "homes.csv").write_text(text)
    (files / "homes.toml").write_text('[model]\nname = "mlp"\n[data]\npath = "homes.csv"\ntarget = "aa"\n')
    error = run(capsys, "train", "homes.toml")[2]
    assert message in error


def test_info_and_completion(capsys) -> None:
    code, out, _ = run(capsys, "info", "--json")
    assert code == 0 and json.loads(out)["numpy"]
    code, out, _ = run(capsys, "completion", "bash")
    assert code == 0
    script = out + "\nCOMP_WORDS=(elinvar tr); COMP_CWORD=1; _elinvar; echo ${COMPREPLY[@]}\nCOMP_WORDS=(elinvar train --re); COMP_CWORD=2; _elinvar; echo ${COMPREPLY[@]}\n"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["train", "--resume"]
    assert "complete -c elinvar" in run(capsys, "completion", "fish")[1]


def test_averaged_weights_are_those_that_are_judged(files, capsys) -> None:
    """With `ema`, `eval`, `predict` and `baseline` use the averages that `train` was judged by."""
    text = SCRIPT.replace('folder="out"', 'folder="out", ema=0.9').replace("[x[:, 0] > 0]", "")
    (files / "averaged.py").write_text(text + "batch_size = 8\n")
    words = ("averaged.py", "--json")
    code, out, _ = run(capsys, "train", *words, "--save", "end.safetensors")
    trained = json.loads(out)
    code, out, _ = run(capsys, "eval", *words, "--checkpoint", "end.safetensors")
    judged = json.loads(out)
    assert code == 0 and judged["loss"] == trained["test_loss"]
    code, out, _ = run(capsys, "predict", *words, "--checkpoint", "end.safetensors")
    said = np.array(json.loads(out))
    target = (configs.load("averaged.py").test[1]).numpy()
    chances = said - np.log(np.exp(said).sum(1, keepdims=True))
    assert code == 0 and abs(judged["loss"] + chances[np.arange(16), target].mean()) < 1e-5
    code, out, _ = run(capsys, "baseline", *words, "--checkpoint", "end.safetensors", "--rounds", "3")
    network = json.loads(out)["contenders"][1]
    assert code == 0 and network["score"] == trained["test_accuracy"]


def test_baseline_of_two_classes_has_the_area_and_takes_categories(files, capsys) -> None:
    """Codes of categories: order means nothing, so trees that know of them need one cut only."""
    (files / "codes.py").write_text(
        SCRIPT.replace("x = el.randn(64, 2)", "codes = np.arange(640) % 40\nx = np.stack([codes, codes * 0], 1).astype(np.float32)")
        .replace("y = (x[:, 0] > 0).astype(el.int64)", "y = (codes % 2).astype(np.int64)")
        .replace("import elinvar as el", "import elinvar as el\nimport numpy as np")
    )
    figures = []
    for line in ("", "categorical = [0]\n"):
        with open(files / "codes.py", "a") as stream:
            stream.write(line)
        code, out, _ = run(capsys, "baseline", "codes.py", "--rounds", "1", "--json")
        assert code == 0
        figures.append(json.loads(out)["contenders"][0])
        assert json.loads(out)["contenders"][1]["auroc"] is not None
        assert "by AUROC" in json.loads(out)["verdict"]
    assert figures[0]["auroc"] < 1 == figures[1]["auroc"]
    assert "AUROC" in run(capsys, "baseline", "codes.py", "--rounds", "1")[1]
    (files / "codes.py").write_text((files / "codes.py").read_text() + "categorical = [2]\n")
    code, _, error = run(capsys, "baseline", "codes.py")
    assert code == 1 and "categorical must be columns from 0 to 1, received 2" in error
