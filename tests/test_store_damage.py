"""What must not break a store: processes that are killed, that work at once, damaged bytes, full disks."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from elinvar import data
from elinvar.core.errors import DataError, ElinvarError
from elinvar.store import copying, objects, packs, place, pushing, remote

pytestmark = pytest.mark.any_level
LARGE = objects.PACKED + 1
ROOT = Path(__file__).resolve().parent.parent


def made(folder: Path, seed: int = 0, files: int = 40, large: int = 2) -> Path:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(files):
        (folder / f"{i}").write_bytes(rng.bytes(500))
    for i in range(large):
        (folder / f"large{i}").write_bytes(rng.bytes(LARGE))
    return folder


def content_of(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name[0] != "."]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def state_of(store: Path) -> dict[str, bytes]:
    """All that counts in a store."""
    parts = ("format.json", "names", "objects", "packs")
    return {path: c for path, c in content_of(store).items() if path.split("/")[0] in parts}


WORKER = """
import sys
from elinvar import data
from elinvar.store import pushing, remote
remote.PART = pushing.PART = 10_000
pushing._PACK = 5_000
action, source, store, url = sys.argv[1:5]
print("ready", flush=True)
for number in range(int(sys.argv[5])):
    if action == "commit":
        with open(f"{source}/0", "w") as stream:
            stream.write(f"{sys.argv[6]} {number}")
        data.commit(source, "x", sys.argv[6], store=store)
    elif action == "push":
        data.push("x", url, store=store)
    elif action == "checkout":
        data.checkout("x", f"{url}/{number}", store=store)
    print("done", flush=True)
"""


def start(*words: object) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, *map(str, words)],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
def test_commits_that_are_killed(tmp_path: Path) -> None:
    """SIGKILL at any moment: every version there is can be read, and the next commit just works."""
    store, source = tmp_path / "store", made(tmp_path / "in", files=300)
    numbers = 0
    moments = random.Random(0)
    for trial in range(7):
        process = start("commit", source, store, "", 1000, trial)
        time.sleep(moments.uniform(0, 0.4))
        kill(process)
        if not (store / "format.json").exists() or not data.names(store):
            continue
        found = data.log("x", store)
        assert len(found) >= numbers
        numbers = len(found)
        assert data.verify(store=store).ok
    version = data.commit(source, "x", "after all", store=store)
    assert version.id == data.fingerprint_path(source) and numbers > 5
    assert not list((store / "work").iterdir())  # what was begun is gone
    data.prune(dry_run=False, store=store)
    assert data.verify(store=store).ok and len(data.log("x", store)) == version.number


@pytest.mark.slow
def test_pushes_and_checkouts_that_are_killed(tmp_path: Path, monkeypatch) -> None:
    for module in (pushing, remote):  # as in the other process
        monkeypatch.setattr(module, "PART", 10_000)
    store, source, url = tmp_path / "store", made(tmp_path / "in", files=200), tmp_path / "remote"
    version = data.commit(source, "x", store=store)
    moments = random.Random(1)
    for _ in range(5):
        process = start("push", source, store, url, 1, "")
        time.sleep(moments.uniform(0, 0.15))
        kill(process)
        try:
            data.pull("x", str(url), store=tmp_path / "early")
        except DataError as error:
            assert "there " in str(error) or "half of it" in str(error)
            continue
        assert data.version("x", tmp_path / "early").id == version.id
    data.push("x", str(url), store=store)
    data.pull("x", str(url), store=tmp_path / "two")
    assert data.verify(store=tmp_path / "two").ok
    out = tmp_path / "out"
    for _ in range(3):
        process = start("checkout", source, store, out, 100, "")
        time.sleep(moments.uniform(0, 0.3))
        kill(process)
        for folder in out.iterdir() if out.exists() else ():
            if folder.name[0] != ".":
                assert data.fingerprint_path(folder) == version.id
        shutil.rmtree(out, ignore_errors=True)


def test_commits_at_the_same_time(tmp_path: Path) -> None:
    """Each becomes a version, one after the other; none is lost."""
    store = tmp_path / "store"
    sources = [made(tmp_path / f"in{i}", files=30, large=1) for i in range(3)]
    workers = [start("commit", source, store, "", 6, i) for i, source in enumerate(sources)]
    for process in workers:
        process.communicate()
        assert process.returncode == 0
    found = data.log("x", store)
    assert sorted(version.message for version in found) == sorted("012" * 6)
    assert [version.number for version in found] == list(range(18, 0, -1))
    for version in found[:-1]:
        assert version.parent == data.version(f"x@{version.number - 1}", store).id
    assert data.verify(store=store).ok


def test_threads_commit_at_the_same_time(tmp_path: Path) -> None:
    def work(i: int) -> None:
        for j in range(5):
            data.commit(np.array([i, j]), "x", store=tmp_path / "store")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(data.log("x", tmp_path / "store")) == 20


def test_prune_waits_for_a_commit(tmp_path: Path, monkeypatch, caplog) -> None:
    """Nothing of a commit under way is deleted."""
    store, source = tmp_path / "store", made(tmp_path / "in")
    data.commit(np.ones(2), "y", store=store)
    monkeypatch.setattr(place, "_PATIENCE", 0.05)
    began, go_on = threading.Event(), threading.Event()
    real = objects.Intake.finish

    def finish(self: objects.Intake) -> None:
        real(self)
        began.set()
        assert go_on.wait(20)

    monkeypatch.setattr(objects.Intake, "finish", finish)
    thread = threading.Thread(target=data.commit, args=(source, "x"), kwargs={"store": store})
    thread.start()
    assert began.wait(20)
    monkeypatch.setattr(objects.Intake, "finish", real)
    pruned: list[data.Pruned] = []
    pruner = threading.Thread(target=lambda: pruned.append(data.prune(dry_run=False, store=store)))
    pruner.start()
    time.sleep(0.2)
    assert not pruned
    go_on.set()
    thread.join()
    pruner.join()
    assert pruned[0].objects == 0 and data.verify(store=store).ok
    assert "waiting for another process that is at work in the store" in caplog.text


# ---- damage -------------------------------------------------------------------------------------


def regions(content: bytes, path: Path) -> list[int]:
    """Places in a file: each region of a pack, and some of everything else."""
    if path.suffix == ".pack":
        start = int.from_bytes(content[-32:-24], "little")
        count = (len(content) - 64 - start) // 48
        return [
            0, len(packs.HEAD) + 1, start // 2, start - 1, start, start + 32 * count,
            start + 40 * count, len(content) - 64, len(content) - 30, len(content) - 20, len(content) - 1,
        ]  # fmt: skip
    return [0, len(content) // 3, len(content) // 2, len(content) - 2]


def test_every_region_changed(tmp_path: Path) -> None:
    """A bit flipped, a file cut, lengthened, lost or in another's place: named with what it concerns."""
    store, source = tmp_path / "store", made(tmp_path / "in", files=8)
    data.commit(source, "x", "one", tag="v1", store=store)
    made(source, seed=1, files=3, large=1)
    data.commit(source, "x", "two", store=store)
    expected = {
        number: content_of(data.checkout(f"x@{number}", tmp_path / f"out{number}", store=store))
        for number in (1, 2)
    }
    files = [path for path in sorted(store.rglob("*")) if path.is_file()]
    files = [path for path in files if path.parent.name not in ("locks", "seen")]
    assert len(files) == 1 + 3 + 2 + 1  # format, large objects, packs, history
    checked = 0
    for path in files:
        content = path.read_bytes()
        siblings = [one for one in files if one != path and one.suffix == path.suffix]
        damaged: list[bytes | None] = [content[:-1], content[: len(content) // 2], b"", None]
        damaged += [
            content[:i] + bytes([content[i] ^ 16]) + content[i + 1 :]
            for i in regions(content, path)
        ]
        damaged += [siblings[0].read_bytes()] if siblings else []
        damaged += [content + b"x"] if path.suffix != ".json" else []
        for wrong in damaged:
            os.chmod(path, 0o644)
            shutil.rmtree(tmp_path / "copy", ignore_errors=True)
            if wrong is None:
                path.unlink()
            else:
                path.write_bytes(wrong)
            shutil.copytree(store, tmp_path / "copy")
            path.write_bytes(content)
            copy = tmp_path / "copy"
            try:
                verified = data.verify(store=copy)
                found = "" if verified.ok else str(verified)
            except ElinvarError as error:  # no name can be read then
                found = str(error)
            lost_name = wrong is None and path.parent.name == "names"  # as if it had never been
            assert path.name in found or path.name[:10] in found or "x@" in found or lost_name
            for number in (1, 2):
                target = tmp_path / f"again{checked}"
                checked += 1
                try:
                    data.checkout(f"x@{number}", target, store=copy)
                except ElinvarError as error:
                    assert str(error).startswith("[data] ") and not target.exists()
                    continue
                assert content_of(target) == expected[number], path  # never something else
    assert checked > 100


def test_verify_names_files_and_a_commit_mends(tmp_path: Path) -> None:
    store, source = tmp_path / "store", made(tmp_path / "in", files=5)
    (source / "5").write_bytes(b"needle" * 20)
    version = data.commit(source, "x", store=store)
    pack = next((store / "packs").iterdir())
    content = pack.read_bytes()
    os.chmod(pack, 0o644)
    pack.write_bytes(content.replace(b"needle" * 20, b"needle" * 19 + b"poodle"))
    large = next((store / "objects").glob("*/*"))
    os.chmod(large, 0o644)
    with open(large, "r+b") as stream:
        stream.write(b"another")
    assert data.verify("x", deep=False, store=store).ok  # sizes are as they were
    found = data.verify("x", store=store)
    assert {(problem.what, problem.files) for problem in found.problems} == {
        ("was changed", ("x@1: '5'",)),
        ("was changed", (f"x@1: '{large_name(source, version, large)}'",)),
    }
    assert "commit the same data again" in str(found)
    with pytest.raises(DataError, match="is missing in"):
        data.checkout("x", tmp_path / "out", store=store)
    assert not data.commit(source, "x", store=store).is_new
    assert data.verify(store=store).ok
    assert content_of(data.checkout("x", tmp_path / "out", store=store)) == content_of(source)
    assert (store / "damaged").is_dir()  # nothing was deleted
    assert data.prune(dry_run=False, store=store).objects >= 1
    assert data.verify(store=store).ok and not list((store / "damaged").iterdir())


def large_name(source: Path, version: data.Version, path: Path) -> str:
    digits = path.parent.name + path.name
    return next(one.path for one in version.files.values() if one.hash.endswith(digits))


def test_a_changed_kept_folder_is_found(tmp_path: Path) -> None:
    store, source = tmp_path / "store", made(tmp_path / "in", files=3)
    version = data.commit(source, "x", store=store)
    os.chmod(version.path / "1", 0o644)
    (version.path / "1").write_bytes(b"mine")
    found = data.verify("x", store=store)
    assert [problem.place for problem in found.problems] == [str(version.path)]
    assert "the folder of .path" in str(found)


# ---- room and rights ------------------------------------------------------------------------------


def test_a_full_disk(tmp_path: Path, monkeypatch) -> None:
    """Wherever the disk is full: one line, and what was there is as it was."""
    store, source = tmp_path / "store", made(tmp_path / "in", files=100)
    data.commit(np.ones(2), "y", store=store)
    before = state_of(store)
    outcomes = set()
    for limit in range(40):
        count = 0

        def full(real, *arguments, limit=limit):
            nonlocal count
            count += 1
            if count > limit:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*arguments)

        with monkeypatch.context() as patch:
            for module, name in ((os, "fsync"), (os, "replace"), (copying.os, "write")):
                real = getattr(module, name)
                patch.setattr(module, name, lambda *a, real=real: full(real, *a))
            try:
                data.commit(source, "x", store=store)
            except DataError as error:
                text = str(error)
                assert (
                    "cannot be written: the disk is full" in text and "nothing was changed" in text
                )
                outcomes.add("full")
                assert data.names(store) == ["y"] and data.verify(store=store).ok
                now = state_of(store)
                assert all(now[path] == content for path, content in before.items())
                assert not list((store / "work").iterdir())
                continue
        outcomes.add("done")
        break
    assert outcomes == {"full", "done"}
    assert data.verify(store=store).ok and data.version("x", store).id == data.fingerprint_path(
        source
    )


def mounted(folder: Path, size: str) -> bool:
    folder.mkdir()
    call = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    return (
        shutil.which("mount") is not None
        and subprocess.run(call, stderr=subprocess.DEVNULL).returncode == 0
    )


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    small = tmp_path / "small"
    if not mounted(small, "700k"):
        pytest.skip("this process may not mount a small disk")
    try:
        source = made(tmp_path / "in", files=100, large=0)
        first = data.commit(source, "x", store=small / "store")
        made(source, large=3)
        with pytest.raises(DataError, match=r"the disk is full.*; nothing was changed"):
            data.commit(source, "x", store=small / "store")
        assert data.version("x", small / "store") == first and data.verify(store=small / "store").ok
        with pytest.raises(DataError, match="the disk is full"):
            data.commit(
                np.random.default_rng(0).bytes(8) and np.ones(10**6), "z", store=small / "store"
            )
        big = data.commit(source, "x", store=tmp_path / "store")
        with pytest.raises(DataError, match="out' cannot be written: the disk is full"):
            data.checkout(big, small / "out")
        assert [path.name for path in small.iterdir()] == ["store"]
        data.push("x", str(tmp_path / "remote"), store=tmp_path / "store")
        with pytest.raises(DataError, match="the disk is full"):
            data.pull("x", str(tmp_path / "remote"), store=small / "two")
        with pytest.raises(DataError, match=r"cannot be written: .*No space left"):
            data.push("x", str(small / "remote"), store=tmp_path / "store")
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_disk_that_can_only_be_read(tmp_path: Path) -> None:
    store, source = tmp_path / "disk", made(tmp_path / "in", files=5)
    if not mounted(store, "10m"):
        pytest.skip("this process may not mount a disk")
    try:
        version = data.commit(source, "x", store=store / "s")
        call = ["mount", "-o", "remount,ro", str(store)]
        subprocess.run(call, check=True)
        assert data.log("x", store / "s") == [version] and data.verify(store=store / "s").ok
        out = data.checkout("x", tmp_path / "out", store=store / "s")
        assert content_of(out) == content_of(source)
        for call in (
            lambda: data.commit(source, "y", store=store / "s"),
            lambda: data.commit(source, "y", store=store / "new"),
            lambda: data.tag("x", "v1", store=store / "s"),
            lambda: data.drop("x", store=store / "s"),
            lambda: data.prune(dry_run=False, store=store / "s"),
            lambda: version.path,
            lambda: data.checkout("x", store / "out", store=store / "s"),
        ):
            with pytest.raises(
                DataError, match="cannot be written: it lies on a disk that can only"
            ):
                call()
        assert data.push("x", str(tmp_path / "remote"), store=store / "s").versions == 1
        assert data.prune(store=store / "s").objects == 0
    finally:
        subprocess.run(["umount", "-l", str(store)], check=True)


def test_files_that_may_not_be_read(tmp_path: Path, monkeypatch) -> None:
    """The user's file is named, not the store."""
    source = made(tmp_path / "in", files=3)
    real = os.open

    def refusing(path, *rest, **more):
        if os.fsencode(path).endswith(b"in/1"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "open", refusing)
    with pytest.raises(DataError, match=r"in/1' cannot be read: Permission denied$"):
        data.commit(source, "x", store=tmp_path / "store")
    assert data.names(tmp_path / "store") == []


def test_a_file_that_changes(tmp_path: Path, monkeypatch) -> None:
    source = made(tmp_path / "in", files=3, large=1)
    real = objects.take

    def take(handle, target, kind, nbytes):
        found = real(handle, target, kind, nbytes)
        with open(source / "large0", "ab") as stream:
            stream.write(b"more")
        return found

    monkeypatch.setattr(objects, "take", take)
    with pytest.raises(
        DataError, match=r"in/large0' changes while it is read(?s:.*)try again when"
    ):
        data.commit(source, "x", store=tmp_path / "store")
    assert data.names(tmp_path / "store") == [] and not list((tmp_path / "store/work").iterdir())
    monkeypatch.undo()
    real_look = os.stat

    def gone(path, *rest, **more):
        if path == "1" and "dir_fd" in more:
            raise FileNotFoundError(errno.ENOENT, "No such file", path)
        return real_look(path, *rest, **more)

    monkeypatch.setattr(os, "stat", gone)
    with pytest.raises(DataError, match=r"in/1' was moved or deleted while the data were read"):
        data.commit(source, "x", store=tmp_path / "store")


# ---- room that is shared, dropped, freed -------------------------------------------------------------


def test_blocks_are_shared_where_that_can_be(tmp_path: Path, monkeypatch) -> None:
    """A file system with FICLONE, played by one that copies; and one that has it not."""
    source = made(tmp_path / "in", files=1)
    asked: list[int] = []

    def ioctl(target: int, request: int, handle: int) -> int:
        asked.append(request)
        os.sendfile(target, handle, 0, os.fstat(handle).st_size)
        os.lseek(target, 0, os.SEEK_SET)
        return 0

    monkeypatch.setattr(copying.fcntl, "ioctl", ioctl)
    monkeypatch.setattr(copying, "copy", lambda *_: pytest.fail("copied"))
    version = data.commit(source, "x", store=tmp_path / "store")
    assert version.id == data.fingerprint_path(source) and len(asked) == 2
    out = data.checkout("x", tmp_path / "out", store=tmp_path / "store")
    assert len(asked) == 4 and asked[0] == 0x40049409 and content_of(out) == content_of(source)
    monkeypatch.undo()

    def strange(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(copying.fcntl, "ioctl", strange)
    with pytest.raises(OSError, match="Input/output error"):
        data.commit(source, "x", store=tmp_path / "other")


def test_drop_and_prune(tmp_path: Path) -> None:
    store, source = tmp_path / "store", made(tmp_path / "in", files=50)
    first = data.commit(source, "x", store=store)
    assert first.path.is_dir()
    expected = content_of(source)
    for i in range(20):  # many small packs
        made(source, seed=i + 1, files=3, large=1)
        data.commit(source, "x", tag="last" if i == 19 else None, store=store)
    assert data.prune(store=store).objects == 0
    with pytest.raises(DataError, match="there is no data set 'y'"):
        data.drop("y", store=store)
    with pytest.raises(ValueError, match="x@21 has the tag 'last'"):
        data.drop("x@21", store=store)
    for number in range(2, 21):
        assert data.drop(f"x@{number}", store=store) == 1
    would = data.prune(store=store)
    assert not would.done and would.objects > 19 and would.num_bytes > 19 * LARGE
    assert data.verify(store=store).ok
    done = data.prune(dry_run=False, store=store)
    assert (done.objects, done.num_bytes) == (would.objects, would.num_bytes)
    assert data.prune(store=store).objects == 0 and data.verify(store=store).ok
    assert len(list((store / "packs").glob("*.pack"))) <= 3
    assert content_of(data.checkout("x@1", tmp_path / "one", store=store)) == expected
    assert content_of(data.checkout("x@last", tmp_path / "out", store=store)) == content_of(source)
    for call in (
        lambda: data.checkout("x@5", tmp_path / "no", store=store),
        lambda: data.diff("x@5", store=store),
        lambda: data.version("x@5", store).path,
        lambda: len(data.version("x@5", store).files),
    ):
        with pytest.raises(DataError, match="the files of x@5 were given up by `drop`"):
            call()
    assert len(data.log("x", store)) == 21  # the history stays
    data.push("x", str(tmp_path / "remote"), store=store)
    data.pull("x", str(tmp_path / "remote"), store=tmp_path / "two")
    assert data.verify(store=tmp_path / "two").ok and data.version("x@5", tmp_path / "two").dropped
    assert data.drop("x", store=store) == 21
    data.prune(dry_run=False, store=store)
    assert not list((store / "objects").glob("*/*")) and not list((store / "packs").glob("*.pack"))
    assert not list((store / "checkouts").iterdir())


def test_prune_says_what_it_deletes(tmp_path: Path) -> None:
    """A small part of a pack stays until more of it is not needed."""
    store, source = tmp_path / "store", made(tmp_path / "in", files=3, large=0)
    (source / "0").write_bytes(bytes(200_000))
    data.commit(source, "x", store=store)
    (source / "1").write_bytes(b"other")
    data.commit(source, "x", store=store)
    data.drop("x@1", store=store)
    assert data.prune(store=store).objects == data.prune(dry_run=False, store=store).objects == 0
    (source / "0").write_bytes(b"other, too")
    data.commit(source, "x", store=store)
    data.drop("x@2", store=store)
    found = data.prune(dry_run=False, store=store)
    assert found.objects > 3 and found.num_bytes > 200_000
    assert data.prune(store=store).objects == 0 and data.verify(store=store).ok


def test_a_dropped_version_comes_back_with_its_data(tmp_path: Path) -> None:
    store, source = tmp_path / "store", made(tmp_path / "in", files=5)
    data.commit(source, "x", store=store)
    data.drop("x@1", store=store)
    data.prune(dry_run=False, store=store)
    again = data.commit(source, "x", store=store)
    assert again.number == 1 and not again.dropped and data.verify(store=store).ok
    assert content_of(again.path) == content_of(source)


def test_prune_deletes_nothing_it_does_not_understand(tmp_path: Path) -> None:
    store, source = tmp_path / "store", made(tmp_path / "in", files=5)
    data.commit(source, "x", store=store)
    data.commit(np.ones(3), "y", store=store)
    file = store / "names" / "x.json"
    content = file.read_bytes()
    file.write_bytes(content.replace(b"folder", b"golder"))
    before = state_of(store)
    with pytest.raises(
        DataError, match=r"nothing was deleted, since the history .*x\.json' is damag"
    ):
        data.prune(dry_run=False, store=store)
    assert state_of(store) == before
    file.write_bytes(content)
    (store / "objects" / "ab").mkdir(exist_ok=True)
    (store / "objects" / "ab" / "notes.txt").write_text("mine")
    data.prune(dry_run=False, store=store)
    assert (store / "objects" / "ab" / "notes.txt").exists()
