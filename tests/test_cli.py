"""The command `elinvar`: texts, exit codes, and what it deletes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import elinvar as el
from elinvar import cli
from elinvar.cli import cache as cache_command
from elinvar.core.settings import Settings, settings
from elinvar.runtime import native, roofline
from elinvar.runtime.cache import DiskCache, cache_key


def changed(**values: object) -> Settings:
    """The settings with some of them replaced."""
    names = {name: getattr(settings, name) for name in Settings.__slots__}
    return Settings(**{**names, **values})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    for module in (cache_command, roofline):
        monkeypatch.setattr(module, "settings", changed(cache_dir=tmp_path, cache_limit=3 << 20))
    return tmp_path


def put(folder: Path, name: str, days: float = 0, label: str | None = None) -> Path:
    """An entry last used some days ago."""
    disk = DiskCache(folder)
    key = f"{label or native.machine_label()}-{cache_key(name)}"
    assert disk.put(key, bytes(1000))
    path = disk.path(key)
    assert path is not None
    moment = time.time() - 86400 * days
    os.utime(path, (moment, moment))
    return path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    try:
        code = cli.main(words)
    except SystemExit as end:
        code = int(end.code or 0)
    out, error = capsys.readouterr()
    return code, out, error


def test_version_and_help(capsys) -> None:
    assert run(capsys, "--version") == (0, f"elinvar {el.__version__}\n", "")
    code, out, _ = run(capsys, "--help")
    assert code == 0 and "usage: elinvar" in out and "cache" in out
    code, out, _ = run(capsys, "cache", "--help")
    assert code == 0 and "clear" in out and "ELINVAR_CACHE_LIMIT" in out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("bake",), "invalid choice: 'bake'"),
        (("cache", "clean"), "invalid choice: 'clean'"),
        (("cache", "clear", "--older-than", "old"), "expected a number with s, m, h, d or w, such"),
        (("cache", "clear", "--older-than", "-3d"), "expected one argument"),
        (("cache", "clear", "--older-than", "infd"), "received 'infd'"),
    ],
)
def test_what_is_not_understood(capsys, words: tuple[str, ...], text: str) -> None:
    code, out, error = run(capsys, *words)
    assert (code, out) == (2, "") and text in error and "usage: elinvar" in error


def test_what_the_cache_holds(capsys, folder: Path) -> None:
    put(folder, "one", days=3)
    put(folder, "two")
    put(folder, "of another machine", days=40, label="000000000000")
    code, out, error = run(capsys, "cache")
    lines = dict(line.split("  ", 1) for line in out.splitlines())
    found = {name.strip(): text.strip() for name, text in lines.items()}
    assert (code, error) == (0, "")
    assert found["folder"] == str(folder)
    assert found["entries"] == "3, 3.1 kB, of at most 3.0 MB"
    assert found["for this CPU and LLVM"] == "2, 2.1 kB"
    assert found["used longest ago"].endswith("(40 days ago)")
    assert found["used last"].endswith("(just now)")


def test_an_empty_cache(capsys, folder: Path) -> None:
    code, out, _ = run(capsys, "cache")
    assert code == 0 and "entries                0, 0 bytes" in out and "ago" not in out
    assert run(capsys, "cache", "clear") == (0, "deleted 0 entries, 0 bytes\n", "")


def test_clear_by_age(capsys, folder: Path) -> None:
    old, young = put(folder, "old", days=31), put(folder, "young", days=29)
    limits = folder / "roofline-1.json"
    limits.write_text("{}")
    assert run(capsys, "cache", "clear", "--older-than", "30d")[1] == "deleted 1 entry, 1.0 kB\n"
    assert not old.exists() and young.exists() and limits.exists()
    assert (
        run(capsys, "cache", "clear", "--older-than", "700h")[1] == "deleted 0 entries, 0 bytes\n"
    )
    assert run(capsys, "cache", "clear")[1] == "deleted 1 entry, 1.0 kB\n"
    assert not young.exists() and not limits.exists()


def test_clear_deletes_nothing_else(capsys, folder: Path) -> None:
    path = put(folder, "one")
    other = path.with_name("notes.txt")
    other.write_text("mine")
    link = path.with_name("0" * 64 + ".object")
    link.symlink_to(other)
    assert run(capsys, "cache", "clear")[1].startswith("deleted 1 entry")
    assert other.read_text() == "mine" and link.is_symlink()


def test_a_cache_that_is_switched_off(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_command, "settings", changed(cache_dir=None))
    assert run(capsys, "cache") == (0, "the disk cache is switched off (ELINVAR_CACHE=off)\n", "")
    code, out, error = run(capsys, "cache", "clear")
    assert (code, out) == (1, "") and "switched off" in error


def test_as_a_command(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "elinvar.cli", "cache"],
        capture_output=True,
        text=True,
        env={**os.environ, "ELINVAR_CACHE": str(tmp_path), "ELINVAR_CACHE_LIMIT": "10M"},
    )
    assert result.returncode == 0, result.stderr
    assert f"folder                 {tmp_path}" in result.stdout
    assert "of at most 10.0 MB" in result.stdout
