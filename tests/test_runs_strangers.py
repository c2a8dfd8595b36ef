"""What an auditor and a stranger do with runs: edit folders with care, compare, go on elsewhere."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import elinvar as el
from elinvar.cli import main
from elinvar.runs import files, rows
from elinvar.runs.identity import differences, identity
from elinvar.runs.naming import new_folder
from elinvar.runs.steps import StepTable
from elinvar.runs.verifying import verify

pytestmark = pytest.mark.any_level


def train(folder: Path, name: str, shift: float = 0.0, **options: Any) -> Path:
    el.manual_seed(0)
    model = el.nn.Linear(2, 1)
    x = np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32)
    x[0, 0] += shift
    optimizer = el.optim.Adam(model.parameters(), lr=0.1)
    plateau = el.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=3)
    record = el.train.Recording(folder, name, checkpoint_every=0)
    trainer = el.Trainer(
        model, optimizer, "mse", schedule=plateau, progress=False, record=record, **options
    )
    trainer.fit((x, x[:, :1]), 2, validation=(x, x[:, :1]), batch_size=4)
    assert trainer.run_folder is not None
    return trainer.run_folder


def read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def seal(path: Path, table: dict[str, Any]) -> str:
    return files.write_sealed(path, {key: table[key] for key in table if key != "seal"})


def mark(path: Path, length: int | None = None) -> dict[str, Any]:
    data = path.read_bytes()[:length]
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def seal_all(folder: Path) -> None:
    """Make all marks and seals fit, as one does who wants to deceive."""
    chains = {row.step: row.chain.hex() for row in StepTable(folder / "steps.bin")}
    manifest = seal(folder / "manifest.json", read(folder / "manifest.json"))
    end, seals = read(folder / "end.json"), {}
    for path in sorted((folder / "checkpoints").glob("*.json")):
        table, state = read(path), path.with_suffix(".safetensors")
        table |= {"manifest": manifest, "chain": chains[table["step"]], **mark(state)}
        logs = table["logs"].items()
        table["logs"] = {name: mark(folder / name, old["bytes"]) for name, old in logs}
        seals[state.name] = seal(path, table)
    last = (folder / "processes.jsonl").read_bytes().splitlines(keepends=True)[-1].decode()
    end |= {"manifest": manifest, "checkpoints": seals, "last": last}
    end["logs"] = {name: mark(folder / name) for name in end["logs"]}
    seal(folder / "end.json", end)


def edit_rows(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    held, _ = rows.rows_of(path)
    for row in held:
        row.pop("crc", None)
        change(row)
    path.write_bytes(b"".join(map(rows.line, held)))


def better(row: dict[str, Any]) -> None:
    if "val_loss" in row:
        row["val_loss"] /= 2


def greener(row: dict[str, Any]) -> None:
    if "energy" in row:
        row["energy"]["grams_co2e"] = 0.0


def edit_metrics(folder: Path) -> None:
    edit_rows(folder / "metrics.jsonl", better)


def edit_carbon(folder: Path) -> None:
    edit_rows(folder / "processes.jsonl", greener)


def edit_configuration(folder: Path) -> None:
    table = read(folder / "manifest.json")
    table["config"]["epochs"] = 7
    seal(folder / "manifest.json", table)


def edit_moments(folder: Path) -> None:
    """A number of the optimizer's, which the log of steps does not know."""
    path = max((folder / "checkpoints").glob("*.safetensors"))
    state = bytearray(path.read_bytes())
    begin = 8 + int.from_bytes(state[:8], "little")
    header = json.loads(state[8:begin])
    name = next(x for x in header if x.startswith("optimizer") and header[x]["dtype"] == "F32")
    start = begin + header[name]["data_offsets"][0]
    state[start : start + 4] = struct.pack("<f", 1.5)
    path.write_bytes(state)


def edit_names(folder: Path) -> None:
    path = folder / "steps.bin"
    path.write_bytes(path.read_bytes().replace(b'"weight"', b'"wright"', 1))


EDITS = (edit_metrics, edit_carbon, edit_configuration, edit_moments, edit_names)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_an_edit_is_found_or_changes_the_identity(edit: Any, tmp_path: Path) -> None:
    folder = train(tmp_path, "one")
    before = verify(folder)
    assert before.sound and verify(folder).identity == before.identity
    edit(folder)
    assert not verify(folder).sound
    seal_all(folder)  # now nothing in the folder tells; what was written down elsewhere does
    after = verify(folder)
    assert after.sound, after.faults
    assert after.identity != before.identity


def test_seals_made_again_for_what_they_are_make_the_same_identity(tmp_path: Path) -> None:
    folder = train(tmp_path, "one")
    before = verify(folder)
    seal_all(folder)
    assert verify(folder).identity == before.identity and verify(folder).sound


def test_a_log_without_its_end_has_another_identity(tmp_path: Path) -> None:
    """As if the run had been killed: this is no damage, but another folder."""
    folder = train(tmp_path, "one")
    before = verify(folder).identity
    path = folder / "processes.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    (folder / "end.json").unlink()
    assert verify(folder).sound and verify(folder).identity != before


def test_compare_names_other_data(tmp_path: Path, capsys: Any) -> None:
    for name, shift in (("one", 0.0), ("same", 0.0), ("other", 1.0)):
        train(tmp_path, name, shift)
    for name, words in (("same", "one → same: nothing that went in differs"), ("other", "")):
        capsys.readouterr()
        assert main(["runs", "compare", "one", name, "--folder", str(tmp_path)]) == 0
        said = capsys.readouterr().out
        assert words in said
        assert ("data: training data: array 1 of 2: other values" in said) == (name == "other")
    (tmp_path / "other" / "data.json").unlink()
    main(["runs", "compare", "one", "other", "--folder", str(tmp_path)])
    assert "data: what the data of other were is not known" in capsys.readouterr().out


def test_show_tells_the_error_and_whose_the_figures_are(tmp_path: Path, capsys: Any) -> None:
    class Fails(el.train.Callback):
        def on_epoch_end(self, trainer: Any) -> None:
            raise RuntimeError("the dog ate it")

    with pytest.raises(RuntimeError):
        train(tmp_path, "one", callbacks=[Fails()])
    train(tmp_path, "two")
    capsys.readouterr()
    main(["runs", "show", "one", "two", "--folder", str(tmp_path)])
    said = capsys.readouterr().out
    assert said.count("error ") == 1 and "RuntimeError: the dog ate it" in said
    assert "last epoch" in said and "  val_loss" in said


def test_the_schedule_is_recorded_with_its_values(tmp_path: Path) -> None:
    found = read(train(tmp_path, "one") / "manifest.json")["config"]["schedule"]
    assert found["class"] == "ReduceLROnPlateau" and found["patience"] == 3
    assert "best" not in found  # that is its state, and infinite, which JSON has no word for


def test_going_on_says_from_where(tmp_path: Path, capsys: Any) -> None:
    folder = train(tmp_path, "one")
    for path in (folder / "checkpoints").iterdir():
        if "step-00000000" not in path.name:
            path.unlink()
    model = el.nn.Linear(2, 1)
    optimizer = el.optim.Adam(model.parameters(), lr=0.1)
    plateau = el.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=3)
    x = np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32)
    capsys.readouterr()
    trainer = el.Trainer(model, optimizer, "mse", schedule=plateau, progress=False)
    held = (x, x[:, :1])
    trainer.fit(held, 2, validation=held, batch_size=4, resume=folder)
    said = capsys.readouterr().err
    words = f"going on with {folder} after step 0; 4 steps after it will be computed again"
    assert words in said and said.count("going on") == 1


def test_a_new_folder_of_runs_keeps_out_of_git(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    first = new_folder(tmp_path / "runs", "one")
    (first / "state").write_text("x")
    words = ["git", "-C", str(tmp_path), "status", "--short"]
    assert not subprocess.run(words, check=True, capture_output=True).stdout
    (tmp_path / "runs" / ".gitignore").unlink()  # somebody wants them in git
    new_folder(tmp_path / "runs", "two")
    assert not (tmp_path / "runs" / ".gitignore").exists()
    (tmp_path / "mine").mkdir()
    new_folder(tmp_path / "mine", "one")  # not our folder
    assert not (tmp_path / "mine" / ".gitignore").exists()


class Stop(el.train.Callback):
    """Stops after some steps."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, trainer: Any) -> None:
        if trainer.step == self.step:
            trainer.stop("enough")


@pytest.mark.parametrize("stop", (13, 16, 18))
def test_reduce_on_plateau_goes_on_bit_for_bit(stop: int, tmp_path: Path) -> None:
    """At the end of an epoch, and in the midst of one, whose end comes once."""

    def made(*callbacks: Any) -> Any:
        el.manual_seed(0)
        model = el.nn.Linear(2, 1)
        optimizer = el.optim.SGD(model.parameters(), lr=0.5)
        plateau = el.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, threshold=0.5)
        return el.Trainer(
            model, optimizer, "mse", schedule=plateau, progress=False, callbacks=[*callbacks]
        )

    x = np.random.default_rng(0).normal(size=(16, 2)).astype(np.float32)
    y = np.random.default_rng(1).normal(size=(16, 1)).astype(np.float32)
    whole = made(Stop(-1))
    wanted = whole.fit((x, y), epochs=9, batch_size=4, validation=(x, y))
    assert len({row["lr"] for row in wanted}) > 2
    first = made(Stop(stop))
    first.fit((x, y), epochs=9, batch_size=4, validation=(x, y))
    first.save(tmp_path / "state.safetensors")
    second = made(Stop(-1))
    second.fit(
        (x, y), 9, batch_size=4, validation=(x, y), resume=tmp_path / "state.safetensors"
    )
    for a, b in zip(wanted, second.history, strict=True):
        assert (a["lr"], a["loss"], a["val_loss"]) == (b["lr"], b["loss"], b["val_loss"])
    assert (whole.model.weight.numpy() == second.model.weight.numpy()).all()


def test_a_version_whose_files_were_edited_is_not_taken_for_it(tmp_path: Path) -> None:
    """A checked-out folder says which version it is; whether that is still so is looked at."""
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "a.csv"
    file.write_text("a,b\n1,2\n")
    version = el.data.commit(tmp_path / "data", "table", store=tmp_path / "store")
    place = Path(el.data.checkout(version, tmp_path / "mine", store=tmp_path / "store"))
    found = [identity([], [str(place / "a.csv")], [], {})]
    assert found[0]["files"][0]["version"] == f"table@{version.id}/a.csv"
    (place / "a.csv").write_text("a,b\n1,3\n")
    found.append(identity([], [str(place / "a.csv")], [], {}))
    (before, now) = ({"training": one} for one in found)
    assert differences(before, before) == []
    assert differences(before, now) == ["training data: a.csv was changed"]
