"""Replays: the same run is the same; what changed is found, with the step and the tensor."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from elinvar.cli import main
from elinvar.core.errors import RunError
from elinvar.runs import facts, latest
from elinvar.runs.replay import Answer, replay
from elinvar.runs.verifying import verify

ROOT = Path(__file__).resolve().parent.parent
pytestmark = [pytest.mark.any_level, pytest.mark.skipif(os.name == "nt", reason="needs POSIX")]

PROGRAM = """
import os
import numpy as np
import elinvar as el
from net import make

SEED, RATE, BATCH = 4, 0.05, 8
el.manual_seed(SEED)
model = make()
if os.environ.get("NOISE"):
    model[0].bias.data = el.asarray(np.random.normal(size=4).astype(np.float32))
held = np.load("held.npy")
data = (
    el.data.csv("table.csv")
    .map(lambda row: (np.float32([row["a"], row["b"]]), np.float32([row["y"]])))
    .shuffle(seed=2).batch(BATCH)
)
trainer = el.Trainer(
    model, el.optim.AdamW(model.parameters(), lr=RATE), "mse", progress=False,
    record=el.train.Recording(checkpoint_every=0.0),
)
trainer.fit(data, 2, (held[:, :2], held[:, 2:]))
el.Trainer(model, "sgd", "mse", progress=False).fit((held[:, :2], held[:, 2:]), 1)
"""
NET = """
from elinvar import nn

def make():
    return nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Dropout(0.1), nn.Linear(4, 1))
"""


def environment(**more: str) -> dict[str, str]:
    path = os.environ.get("PYTHONPATH", "")
    own = {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), path]), "ELINVAR_RUNS": "runs"}
    return {**os.environ, **own, **more}


def start(folder: Path, *words: str, text: str | None = None, **more: str) -> str:
    """Run a program; what it said."""
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment(**more), input=text,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def made(folder: Path) -> Path:
    """A folder with the program and its data."""
    folder.mkdir()
    (folder / "train.py").write_text(PROGRAM)
    (folder / "net.py").write_text(NET)
    random = np.random.default_rng(0)
    rows = random.normal(size=(40, 3)).round(3)
    text = "\n".join(",".join(map(str, row)) for row in rows.tolist())
    (folder / "table.csv").write_text("a,b,y\n" + text + "\n")
    np.save(folder / "held.npy", random.normal(size=(16, 3)).astype(np.float32))
    return folder


def newest(folder: Path, index: int = 0) -> Path:
    return list(latest.folders(folder / "runs"))[index]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The program's folder, and its first run."""
    folder = made(tmp_path_factory.mktemp("program") / "here")
    start(folder, "train.py")
    assert len(list((folder / "runs").iterdir())) == 2
    run = newest(folder, 1)
    assert verify(run).sound
    return folder, run


@pytest.fixture(autouse=True)
def paths(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)


def moved(program: tuple[Path, Path], folder: Path) -> Path:
    """A copy of the program, elsewhere."""
    return Path(shutil.copytree(program[0], folder / "there", ignore=shutil.ignore_patterns("runs")))


def exchanged(file: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new))

    return change


def other_array(folder: Path) -> None:
    held = np.load(folder / "held.npy")
    held[3, 1] += 1
    np.save(folder / "held.npy", held)


CHANGES: dict[str, tuple[Callable[[Path], None], int | None, list[str]]] = {
    # what is changed, the first step that differs, what must be named
    "seed": (exchanged("train.py", "SEED, RATE, BATCH = 4", "SEED, RATE, BATCH = 5"), 0,
             ["train.py: line 7", "BATCH = 4, 0.05, 8 → ", "manual_seed: 4 → 5"]),
    "rate": (exchanged("train.py", "0.05, 8", "0.06, 8"), 1,
             ["train.py: line 7", "optimizer.groups.0.lr: 0.05 → 0.06"]),
    "batch": (exchanged("train.py", "0.05, 8", "0.05, 10"), 1,
              ["train.py: line 7", "training data: chain was"]),
    "dropout": (exchanged("net.py", "Dropout(0.1)", "Dropout(0.3)"), 1,
                ["net.py: line 5", "Dropout(0.1)", "Dropout(p=0.3"]),
    "layer": (exchanged("net.py", "nn.Linear(4, 1)", "nn.Linear(4, 1, bias=False)"), 0,
              ["net.py: line 5", "the model has other tensors: 3.bias"]),
    "new module": (exchanged("train.py", "import os", "import os, extra"), None,
                   ["extra.py: is new", "train.py: line 2"]),
    "table": (exchanged("table.csv", "0.126", "0.127"), 3,
              ["training data: table.csv was changed"]),
    "array": (other_array, None, ["validation data: array 1 of 2: other values"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_what_changed_is_named(name: str, program: tuple[Path, Path], tmp_path: Path) -> None:
    change, step, words = CHANGES[name]
    folder = moved(program, tmp_path)
    (folder / "extra.py").write_text("")
    change(folder)
    found = replay(program[1], inside=folder, quiet=True)
    said = str(found)
    assert all(word in said for word in words), said
    if step is None:
        assert found.same and "changed, but without effect" in said
    else:
        assert not found.same and found.difference is not None
        assert found.difference["step"] == step, said
        assert ("tensor" in found.difference["what"]) and "what changed:" in said


@pytest.mark.slow
def test_the_same_run_elsewhere(program: tuple[Path, Path], tmp_path: Path) -> None:
    """Another number of threads, another folder, a span; the second fit of the program."""
    found = replay(program[1], threads=3, inside=moved(program, tmp_path), quiet=True)
    assert found.same and not found.changes and found.compared == 10
    assert any("threads" in text for text in found.machine) or os.cpu_count() == 3
    found = replay(program[1], start=3, stop=7, threads=1, quiet=True)
    assert found.same and found.last == 7 and found.first <= 3
    assert found.compared == 7 - found.first
    found = replay(newest(program[0]), quiet=True)
    assert found.same and found.compared == 1
    assert json.loads((newest(program[0]) / "manifest.json").read_text())["number"] == 2
    assert len(list((program[0] / "runs").iterdir())) == 2  # replays record nothing


@pytest.mark.slow
def test_random_numbers_from_elsewhere(program: tuple[Path, Path], tmp_path: Path) -> None:
    folder = moved(program, tmp_path)
    start(folder, "train.py", NOISE="1")
    os.environ["NOISE"] = "1"
    try:
        found = replay(newest(folder, 1), quiet=True)
    finally:
        del os.environ["NOISE"]
    assert not found.same and not found.changes and found.difference is not None
    assert found.difference["step"] == 0 and found.difference["what"] == "tensor 0.bias"
    assert "before the first step" in str(found) and "nothing that is recorded changed" in str(found)


def test_another_version_of_a_package(
    program: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "site" / "numpy-99.0.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 99.0\n")
    path = os.environ["PYTHONPATH"]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([path, str(place.parent)]))
    found = replay(program[1], quiet=True)
    assert found.same and [kind for kind, _ in found.changes] == ["package"]
    assert found.changes[0][1] == f"numpy: {np.__version__} → 99.0"


def test_another_elinvar(
    program: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line of the optimizer's own code."""
    shutil.copytree(ROOT / "src" / "elinvar", tmp_path / "src" / "elinvar")
    exchanged("adam.py", "eps: float = 1e-8", "eps: float = 1e-3")(
        tmp_path / "src" / "elinvar" / "optim"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "src"))
    found = replay(program[1], quiet=True)
    assert not found.same and found.difference is not None and found.difference["step"] == 1
    assert ("elinvar", "optim/adam.py: changed") in found.changes


def git(folder: Path, *words: str) -> None:
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a"}
    environment = {**os.environ, **who, "GIT_COMMITTER_EMAIL": "a@b", "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(["git", *words], cwd=folder, env=environment, check=True, capture_output=True)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_recorded_commit_with_what_was_not_committed(
    program: tuple[Path, Path], tmp_path: Path
) -> None:
    """The program is changed since; data are not in git; a module was never added."""
    folder = moved(program, tmp_path)
    (folder / ".gitignore").write_text("*.csv\n*.npy\nruns\n__pycache__\n")
    git(folder, "init", "-q")
    git(folder, "add", "train.py", ".gitignore")
    git(folder, "commit", "-q", "-m", "first")
    exchanged("train.py", "0.05, 8", "0.07, 8")(folder)  # not committed
    start(folder, "train.py")
    run = newest(folder, 1)
    about = json.loads((run / "manifest.json").read_text())["code"]
    assert "commit" in about and "diff" in about and set(about["files"]) == {"net.py", "train.py"}
    exchanged("train.py", "0.07, 8", "0.02, 8")(folder)
    exchanged("net.py", "0.1", "0.5")(folder)
    git(folder, "commit", "-q", "-a", "-m", "second")
    found = replay(run, quiet=True)
    assert not found.same and "net.py" in str(found) and "0.07, 8 → " in str(found)
    found = replay(run, checkout=True, quiet=True)
    assert found.same and not found.changes, found
    left = subprocess.run(["git", "worktree", "list"], cwd=folder, capture_output=True, text=True)
    assert left.stdout.count("\n") == 1  # nothing is left of the checkout
    assert not (folder / "table.csv").is_symlink()


CONFIG = """
[model]
name = "mlp"
[data]
path = "table.csv"
target = "y"
[trainer]
lr = 0.01
seed = 3
[fit]
epochs = 2
batch_size = 8
"""


@pytest.mark.slow
def test_configurations_of_the_command_line(program: tuple[Path, Path], tmp_path: Path) -> None:
    """A TOML and a Python file, with values that were overridden."""
    folder = moved(program, tmp_path)
    (folder / "run.toml").write_text(CONFIG)
    text = PROGRAM.split("trainer.fit")[0].replace('"table.csv"', '"table.csv"')
    text = text.replace("SEED, RATE, BATCH = 4, 0.05, 8", "SEED = 4\nRATE = 0.05\nBATCH = 8")
    (folder / "conf.py").write_text(text.replace("from net import make", "from net import make\nepochs = 2"))
    for file, value, name in (
        ("run.toml", "trainer.lr=0.02", "run"),
        ("conf.py", "RATE=0.02", "conf"),
    ):
        start(folder, "-m", "elinvar.cli", "train", file, value)
        run = newest(folder)
        manifest = json.loads((run / "manifest.json").read_text())
        assert manifest["entry"]["program"] == name and file in manifest["code"]["files"]
        found = replay(run, quiet=True)
        assert found.same and not found.changes, found
        old, new = ("epochs = 2", "epochs = 3") if file == "conf.py" else ("seed = 3", "seed = 9")
        exchanged(file, old, new)(folder)
        found = replay(run, quiet=True)
        assert f"{file}: line" in str(found) and old in str(found)
        assert found.same is (file == "conf.py")  # an epoch more comes after what is compared
    assert "net.py" in manifest["code"]["files"]


@pytest.mark.slow
def test_programs_without_a_file(program: tuple[Path, Path], tmp_path: Path) -> None:
    """Through a pipe there is no line to start it again; `-c` has one; pytest, too."""
    folder = moved(program, tmp_path)
    start(folder, "-", text=PROGRAM)
    piped = newest(folder, 1)
    assert json.loads((piped / "manifest.json").read_text())["entry"]["arguments"] is None
    with pytest.raises(RunError, match="was made in a notebook or at a prompt"):
        replay(piped)
    found = replay(piped, program=[sys.executable, "train.py"], quiet=True)
    assert found.same and [kind for kind, _ in found.changes] == ["code"]
    start(folder, "-c", PROGRAM)
    assert replay(newest(folder, 1), quiet=True).same
    (folder / "test_it.py").write_text("def test_it():\n    exec(open('train.py').read(), {})\n")
    start(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py")
    assert replay(newest(folder, 1), quiet=True).same


def test_notebooks_and_prompts_have_no_line_to_start_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert facts.entry()["arguments"] == sys.orig_argv
    with monkeypatch.context() as patch:
        patch.setattr(sys, "ps1", ">>> ", raising=False)
        assert facts.entry()["arguments"] is None
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    monkeypatch.setitem(sys.modules, "__main__", type(sys)("__main__"))
    assert facts.entry()["arguments"] is None and facts.program() == "notebook"


def test_a_program_that_changes_its_folder(program: tuple[Path, Path], tmp_path: Path) -> None:
    """It was started elsewhere than where it trains."""
    folder = moved(program, tmp_path)
    (folder / "sub").mkdir()
    os.rename(folder / "train.py", folder / "sub" / "train.py")
    line = "import elinvar as el"
    more = f"{line}\nimport sys; os.chdir('..'); sys.path.insert(0, '.')"
    exchanged("sub/train.py", line, more)(folder)
    start(folder / "sub", "train.py")
    assert replay(newest(folder, 1), quiet=True).same


def test_data_that_were_moved_or_deleted(
    program: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = moved(program, tmp_path)
    (folder / "table.csv").unlink()
    assert main(["replay", str(program[1]), "--in", str(folder)]) == 1
    said = capfd.readouterr().err
    assert "could not be replayed: the program ended with exit code 1" in said
    assert "table.csv" in said  # the program's own words


@pytest.mark.slow
def test_image_folders(tmp_path: Path) -> None:
    """One picture that is changed."""
    image = pytest.importorskip("PIL.Image")
    for label in ("cat", "dog"):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for number in range(4):
            picture = image.new("RGB", (4, 4), (number * 40, 99 if label == "cat" else 20, 7))
            picture.save(tmp_path / "pictures" / label / f"{number}.png")
    (tmp_path / "train.py").write_text(
        "import numpy as np\n"
        "import elinvar as el\n"
        "data = el.data.image_folder('pictures', size=(4, 4)).batch(4)\n"
        "data = data.map_batches(lambda b: (b[0].reshape(4, -1).astype(np.float32) / 255, b[1]))\n"
        "el.manual_seed(0)\n"
        "model = el.nn.Linear(48, 2)\n"
        "el.Trainer(model, 'sgd', 'cross_entropy', progress=False).fit(data, 1)\n"
    )
    start(tmp_path, "train.py")
    run = newest(tmp_path)
    assert replay(run, quiet=True).same
    image.new("RGB", (4, 4), (1, 2, 3)).save(tmp_path / "pictures" / "dog" / "2.png")
    found = replay(run, quiet=True)
    assert not found.same and "training data: pictures was changed" in str(found), found


def test_damaged_runs_are_not_replayed(program: tuple[Path, Path], tmp_path: Path) -> None:
    cases = {
        "manifest.json": "was changed after it was written|is damaged: it is no JSON",
        "steps.bin": "is damaged in row",
        "checkpoints": "is damaged: its SHA-256",
    }
    for name, words in cases.items():
        run = Path(shutil.copytree(program[1], tmp_path / name))
        path = run / name
        if path.is_dir():
            path = sorted(path.glob("*.safetensors"))[0]
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
        with pytest.raises(RunError, match=words):
            replay(run, start=0 if name == "checkpoints" else None)


def test_answers_have_one_form() -> None:
    found = Answer(True, 0, 4, 4, 2, None, [("data", "x")], ["threads: 1 → 2"])
    assert str(found).splitlines() == [
        "the same run, bit for bit: steps 0 to 4, 2 tensors after each",
        "changed, but without effect:",
        "  data: x",
        "another machine or number of threads, which changes no value:",
        "  threads: 1 → 2",
    ]
