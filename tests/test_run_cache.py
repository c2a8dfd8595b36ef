"""The disk cache: what comes back, what is refused, and what happens when the disk says no."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from run_kernels import run_python

from elinvar.runtime import cache
from elinvar.runtime.cache import DiskCache, cache_key

CODE = bytes(range(256)) * 10
KEY = cache_key("text", "cpu")
OTHER_KEY = cache_key("another text", "cpu")
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture
def disk(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path / "cache")


@pytest.fixture
def entry(disk: DiskCache) -> Path:
    """The file of an entry that is there."""
    assert disk.put(KEY, CODE)
    path = disk.path(KEY)
    assert path is not None
    return path


def test_what_was_put_comes_back(disk: DiskCache) -> None:
    assert disk.get(KEY) is None
    assert disk.put(KEY, CODE)
    assert disk.get(KEY) == CODE
    assert disk.get(OTHER_KEY) is None


def test_keys_depend_on_every_part_and_its_bounds() -> None:
    keys = {cache_key("a", "b"), cache_key("ab", ""), cache_key("", "ab"), cache_key("a", "b", "")}
    assert len(keys) == 4


def test_only_the_user_may_read_and_write(entry: Path) -> None:
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600
    assert stat.S_IMODE(entry.parent.stat().st_mode) == 0o700


def test_no_temporary_file_is_left(entry: Path) -> None:
    assert [path.name for path in entry.parent.iterdir()] == [entry.name]


@pytest.mark.parametrize("at", [0, 7, 8, 39, 40, 71, 72, 1000, -1])
def test_a_damaged_entry_is_ignored_and_replaced(disk: DiskCache, entry: Path, at: int) -> None:
    data = bytearray(entry.read_bytes())
    data[at] ^= 1
    entry.write_bytes(data)
    assert disk.get(KEY) is None
    assert disk.put(KEY, CODE)
    assert disk.get(KEY) == CODE


@pytest.mark.parametrize("length", [0, 1, 8, 40, 71, 72, 500])
def test_a_truncated_entry_is_ignored(disk: DiskCache, entry: Path, length: int) -> None:
    entry.write_bytes(entry.read_bytes()[:length])
    assert disk.get(KEY) is None


def test_a_lengthened_entry_is_ignored(disk: DiskCache, entry: Path) -> None:
    entry.write_bytes(entry.read_bytes() + b"\0")
    assert disk.get(KEY) is None


def test_a_foreign_file_is_ignored(disk: DiskCache, entry: Path) -> None:
    entry.write_bytes(b"\x7fELF" + bytes(5000))
    assert disk.get(KEY) is None


def test_an_entry_of_another_key_is_ignored(disk: DiskCache, entry: Path) -> None:
    other = disk.path(OTHER_KEY)
    assert other is not None
    shutil.copy(entry, other)
    assert disk.get(OTHER_KEY) is None


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_an_entry_that_others_can_write_is_ignored(disk: DiskCache, entry: Path, mode: int) -> None:
    entry.chmod(mode)
    assert disk.get(KEY) is None
    entry.chmod(0o600)
    assert disk.get(KEY) == CODE


@pytest.mark.skipif(not IS_ROOT, reason="only root can give files away")
def test_an_entry_of_another_user_is_ignored(disk: DiskCache, entry: Path) -> None:
    os.chown(entry, 12345, 12345)
    assert disk.get(KEY) is None


def test_links_folders_and_pipes_are_ignored(disk: DiskCache, entry: Path) -> None:
    kept = entry.with_suffix(".kept")
    entry.rename(kept)
    entry.symlink_to(kept)
    assert disk.get(KEY) is None
    entry.unlink()
    os.mkfifo(entry)
    assert disk.get(KEY) is None
    entry.unlink()
    entry.mkdir()
    assert disk.get(KEY) is None


def test_a_folder_that_others_can_write_is_not_used(tmp_path: Path) -> None:
    disk = DiskCache(tmp_path)
    path = disk.path(KEY)
    assert path is not None
    path.parent.mkdir()
    path.parent.chmod(0o777)
    with pytest.warns(RuntimeWarning, match="owned or writable by another user"):
        assert not disk.put(KEY, CODE)
    assert disk.get(KEY) is None


def only_one_warning(disk: DiskCache, text: str) -> None:
    """Two stores fail, the first of them with a warning; nothing is left behind."""
    with pytest.warns(RuntimeWarning, match=text):
        assert not disk.put(KEY, CODE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not disk.put(OTHER_KEY, CODE)
    assert disk.get(KEY) is None


def test_a_full_disk(disk: DiskCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache.os, "write", write)
    only_one_warning(disk, "No space left")
    path = disk.path(KEY)
    assert path is not None
    assert list(path.parent.iterdir()) == []


@pytest.mark.skipif(not IS_ROOT or not sys.platform.startswith("linux"), reason="needs mount")
def test_a_really_full_disk(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mount is not allowed here")
    try:
        disk = DiskCache(tmp_path)
        assert disk.put(OTHER_KEY, b"fits")
        with pytest.warns(RuntimeWarning, match="No space left"):
            assert not disk.put(KEY, bytes(200_000))
        assert disk.get(OTHER_KEY) == b"fits"
        assert disk.get(KEY) is None
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_writes_may_be_short(disk: DiskCache, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr(cache.os, "write", lambda to, data: whole(to, data[:100]))
    assert disk.put(KEY, CODE)
    assert disk.get(KEY) == CODE


def test_a_read_only_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mkdir(*rest: object, **options: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    only_one_warning(DiskCache(tmp_path / "cache"), "Read-only file system")


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    only_one_warning(DiskCache(tmp_path / "cache"), "compiled kernels are not kept on disk")


def test_without_a_folder() -> None:
    disk = DiskCache(None)
    assert not disk.put(KEY, CODE)
    assert disk.get(KEY) is None
    disk.trim()


def test_trim_drops_what_was_used_longest_ago(disk: DiskCache) -> None:
    keys = [cache_key(str(i)) for i in range(5)]
    for age, key in enumerate(keys):
        disk.put(key, bytes(1000))
        path = disk.path(key)
        assert path is not None
        os.utime(path, (1e9 - age, 1e9 - age))
    disk.trim(keep_bytes=3500)
    assert [disk.get(key) is not None for key in keys] == [True, True, True, False, False]


def test_using_an_old_entry_makes_it_young(disk: DiskCache, entry: Path) -> None:
    os.utime(entry, (1e9, 1e9))
    assert disk.get(KEY) == CODE
    assert entry.stat().st_mtime > 1.5e9


LOAD = """
import ctypes
from elinvar.runtime import native
text = "define i64 @cached() { ret i64 77 }"
compiled = []
whole = native.object_code
native.object_code = lambda *rest, **options: compiled.append(1) or whole(*rest, **options)
address = native.load(text, ["cached"])["cached"]
print(ctypes.CFUNCTYPE(ctypes.c_int64)(address)(), len(compiled))
"""


@pytest.mark.slow
def test_a_second_process_does_not_compile(tmp_path: Path) -> None:
    folder = str(tmp_path / "cache")
    outputs = [run_python(LOAD, ELINVAR_CACHE=folder).stdout.split() for _ in range(2)]
    assert outputs == [["77", "1"], ["77", "0"]]
    (entry,) = (tmp_path / "cache").rglob("*.object")
    entry.write_bytes(entry.read_bytes()[:-5])
    assert run_python(LOAD, ELINVAR_CACHE=folder).stdout.split() == ["77", "1"]
    assert run_python(LOAD, ELINVAR_CACHE=folder).stdout.split() == ["77", "0"]
    assert run_python(LOAD, ELINVAR_CACHE="off").stdout.split() == ["77", "1"]


def test_labels_of_keys(tmp_path: Path) -> None:
    disk = DiskCache(tmp_path)
    assert disk.put(f"machine-{KEY}", CODE) and disk.put(KEY, b"plain")
    assert disk.get(f"machine-{KEY}") == CODE and disk.get(f"other-{KEY}") is None
    assert disk.get(KEY) == b"plain"
    assert sorted(entry.label for entry in disk.entries()) == ["", "machine"]


def test_a_full_cache_is_trimmed_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_STORES_BETWEEN_TRIMS", 4)
    disk = DiskCache(tmp_path, limit=8 * 1072)
    for number in range(9):
        key = cache_key(str(number))
        assert disk.put(key, bytes(1000))
        path = disk.path(key)
        assert path is not None
        os.utime(path, (1e9 + number, 1e9 + number))
    kept = [disk.get(cache_key(str(number))) is not None for number in range(9)]
    assert kept == [False] * 3 + [True] * 6  # at the ninth store: a quarter is free again


def test_a_cache_below_its_limit_keeps_everything(disk: DiskCache) -> None:
    for number in range(5):
        disk.put(cache_key(str(number)), bytes(1000))
    disk.trim()
    assert len(disk.entries()) == 5


def test_files_that_vanish_while_the_folder_is_read(tmp_path, monkeypatch):
    """Another process deletes one: the others are found, and nothing stays open."""
    disk = DiskCache(tmp_path)
    for n in range(5):
        assert disk.put(cache_key(str(n)), b"code")
    scan = os.scandir

    def racing(folder):
        files = list(scan(folder))
        os.unlink(files[1].path)
        return contextlib.nullcontext(files)

    monkeypatch.setattr(os, "scandir", racing)
    assert len(disk.entries()) == 4
