"""`elinvar data`: texts, JSON, exit codes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from elinvar import cli, data

pytestmark = pytest.mark.any_level


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "c"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_text(name)
    return tmp_path / "in"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    try:
        code = cli.main(["data", *words[:1], "--store", "s", *words[1:]])
    except SystemExit as end:
        code = int(end.code or 0)
    out, error = capsys.readouterr()
    return code, out, error


def test_a_day_with_it(source: Path, capsys) -> None:
    code, out, error = run(capsys, "commit", "in", "flowers", "-m", "the first", "--tag", "v1")
    digits = data.fingerprint_path(source)[: len("blake3:") + 12]
    assert (code, out, error) == (0, f"flowers@1  {digits}  3 files, 3 bytes\n", "")
    assert run(capsys, "commit", "in", "flowers")[1].startswith("nothing changed: flowers@1  ")
    (source / "d").write_text("d")
    (source / "a").unlink()
    assert json.loads(run(capsys, "commit", "in", "flowers", "--json")[1])["number"] == 2
    code, out, _ = run(capsys, "log", "flowers")
    rows = out.splitlines()
    assert code == 0 and rows[0].startswith("flowers@2  ") and rows[1].endswith("  v1  the first")
    assert [one["number"] for one in json.loads(run(capsys, "log", "flowers", "--json")[1])] == [
        2,
        1,
    ]
    assert run(capsys, "list")[1].startswith("flowers@2  blake3:")
    code, out, _ = run(capsys, "diff", "flowers@v1")
    assert (code, out) == (0, "flowers@1 → flowers@2: 1 added, 1 removed\n  + d\n  - a\n")
    found = json.loads(run(capsys, "diff", "flowers@v1", "flowers", "--json")[1])
    assert (found["added"], found["removed"], found["changed"]) == (["d"], ["a"], [])
    assert run(capsys, "tag", "flowers", "v2")[:2] == (0, "flowers@2 is flowers@v2\n")
    assert run(capsys, "tag", "flowers@1", "v2")[0] == 1
    assert run(capsys, "tag", "flowers@1", "v2", "--move")[0] == 0
    code, out, _ = run(capsys, "checkout", "flowers@v1", "out", "--read-only")
    assert code == 0 and out.endswith("out: flowers@1, 3 files, 3 bytes\n")
    assert sorted(os.listdir("out")) == [".elinvar-version.json", "a", "b", "c"]
    assert run(capsys, "verify")[:2] == (0, "4 objects, 4 bytes: as they were written\n")
    assert run(capsys, "verify", "flowers@1", "--quick")[0] == 0


def test_damage_has_its_exit_code(source: Path, capsys) -> None:
    run(capsys, "commit", "in", "flowers")
    pack = next(Path("s/packs").iterdir())
    content = bytearray(pack.read_bytes())
    content[17] ^= 1
    os.chmod(pack, 0o644)
    pack.write_bytes(content)
    code, out, error = run(capsys, "verify", "--json")
    told = json.loads(out)
    assert code == 3 and error == "" and told["problems"][0]["files"] == ["flowers@1: 'b'"]
    code, _, error = run(capsys, "checkout", "flowers", "out")
    assert (
        code == 1 and error.count("\n") == 1 and "b' (blake3:" in error and "is missing in" in error
    )
    assert not Path("out").exists()


def test_remotes_and_room(source: Path, capsys) -> None:
    pytest.importorskip("fsspec")
    run(capsys, "commit", "in", "flowers")
    code, out, _ = run(capsys, "push", "flowers", "remote")
    assert code == 0 and out.startswith("flowers@1: 1 new version, ") and "in 1 piece" in out
    assert "0 new versions, 0 bytes in 0 pieces" in run(capsys, "push", "flowers", "remote")[1]
    assert run(capsys, "drop", "flowers")[1].startswith("flowers: 1 version given up; ")
    code, out, _ = run(capsys, "prune")
    assert code == 0 and out.startswith("would delete 5 objects, ") and "(--yes does it)" in out
    assert run(capsys, "prune", "--yes")[1].startswith("deleted 5 objects, ")
    assert json.loads(run(capsys, "prune", "--json")[1])["objects"] == 0
    assert run(capsys, "list")[1] == "no data set has a version yet\n"
    code, out, _ = run(capsys, "pull", "flowers", "remote", "--json")
    assert code == 0 and json.loads(out)["new_versions"] == 1
    assert run(capsys, "verify")[0] == 0


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("commit", "gone", "x"), 1, "there is neither file nor folder at 'gone' (in "),
        (("commit", "in", "a@b"), 1, "a data set's name has 1 to 100 printable characters"),
        (("log", "flower"), 1, "there is no data set 'flower' in"),
        (("diff", "flowers@7"), 1, "'flowers' has no version, tag or id '7'; versions are 1"),
        (("checkout", "flowers", "in"), 1, "there are files in "),
        (("pull", "flowers", "nowhere"), 1, "there are no versions of data at nowhere"),
        (("push", "flowers", "nosuch://x"), 1, "nosuch://x cannot be opened: Protocol not known"),
        (("drop", "flowers@7"), 1, "has no version, tag or id '7'"),
        (("commit", "in"), 2, "the following arguments are required: NAME"),
        (("lgo",), 2, "did you mean 'log'?"),
    ],
)
def test_what_is_wrong(source: Path, capsys, words, code: int, text: str) -> None:
    run(capsys, "commit", "in", "flowers")
    found, out, error = run(capsys, *words)
    assert (found, out) == (code, "") and text in error
    assert code == 2 or error.startswith("elinvar: [data] ") and error.count("\n") == 1


def test_a_long_commit_says_how_far_it_is(source: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr("elinvar.cli.data.time.monotonic", lambda: next(clock))
    code, out, error = run(capsys, "commit", "in", "flowers")
    assert code == 0 and "3 files, 3 bytes" in out
    assert error == "\r3 files, 3 bytes\r" + " " * 16 + "\r"


def test_help(capsys) -> None:
    with pytest.raises(SystemExit):
        cli.main(["data", "--help"])
    out = capsys.readouterr().out
    assert "elinvar data commit photos/ flowers" in out and "Exit codes: 0 done" in out
    for action in (
        "commit",
        "log",
        "list",
        "diff",
        "tag",
        "checkout",
        "verify",
        "push",
        "pull",
        "drop",
        "prune",
    ):
        with pytest.raises(SystemExit) as end:
            cli.main(["data", action, "--help"])
        assert end.value.code == 0 and "--json" in capsys.readouterr().out
