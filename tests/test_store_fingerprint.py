"""Fingerprints of arrays, files and folders: what they depend on, and what they do not."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from elinvar.core.errors import DataError, DataMissingError, DTypeError, ValueRangeError
from elinvar.store import hashing
from elinvar.store.fingerprint import fingerprint, fingerprint_path, version_of
from elinvar.store.manifest import Builder, Manifest
from elinvar.store.steady import hash_file
from elinvar.store.walk import MARKER, walk

pytestmark = pytest.mark.any_level
KINDS = ["blake3", "sha256"]


@given(
    arrays.arrays(
        st.sampled_from(["<f4", ">f8", "u1", "<i8", "?", "c8", "<U3", "<M8[ns]"]),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
    )
)
def test_layout_makes_no_difference(array) -> None:
    found = fingerprint([array])
    assert fingerprint([np.array(array, order="F")]) == found
    assert fingerprint([array.astype(array.dtype.newbyteorder(">"))]) == found
    assert fingerprint([np.repeat(array[..., None], 2, -1)[..., 0]]) == found


def test_what_counts() -> None:
    x = np.arange(6, dtype=np.int32)
    others = [
        [x], [x, x], [x.reshape(2, 3)], [x.reshape(3, 2)], [x.view(np.float32)], [x[:5], x[5:]], [],
        [x.astype(np.int64)], [np.zeros(0, np.int32)], [x[::-1]], [x.view([("a", "<i4")])],
    ]  # fmt: skip
    assert len({fingerprint(one) for one in others}) == len(others)


@pytest.mark.parametrize("kind", KINDS)
def test_large_arrays_by_blocks(kind: str) -> None:
    x = np.random.default_rng(0).integers(0, 256, (3000, 9000), np.uint8)
    assert fingerprint([x[:, ::2]], kind) == fingerprint([x[:, ::2].copy()], kind)
    assert fingerprint([x.T], kind) == fingerprint([x.T.copy()], kind)
    assert fingerprint([x], kind).startswith(kind + ":")


def test_recorded_ones_say_how(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.ones(3)
    old = fingerprint([x], "sha256")
    assert fingerprint([x], algorithm=old) == old != fingerprint([x])
    with pytest.raises(ValueRangeError, match="there is no hash 'blake2'; known are blake3, sha"):
        fingerprint([x], "blake2")
    with pytest.raises(DTypeError, match=r"array 1 holds Python objects \(object\)"):
        fingerprint([x, np.array([None])])

    def missing() -> hashing.Algorithm:
        raise ImportError("blake3")

    monkeypatch.setattr(hashing, "_known", {})
    monkeypatch.setitem(hashing._MAKERS, "blake3", missing)
    assert fingerprint([x]) == old
    with pytest.raises(DataError, match=r"(?s)need the package blake3\n.*elinvar\[versions\]"):
        fingerprint([x], "blake3:00")


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, (1 << 20) + 5, (1 << 24) + 1])
def test_files(tmp_path: Path, size: int) -> None:
    content = np.random.default_rng(size).bytes(size)
    (tmp_path / "x").write_bytes(content)
    found = fingerprint_path(tmp_path / "x", "sha256")
    assert found == "sha256:" + hashlib.sha256(content).hexdigest()
    kind = hashing.algorithm("blake3")
    assert fingerprint_path(tmp_path / "x") == kind.text(kind.whole(content))


def made(folder: Path) -> Path:
    for path in ("b/c", "b/d/e", "b-", "b.txt", "a", "z/z"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    return folder


def test_folders(tmp_path: Path) -> None:
    one = made(tmp_path / "one")
    two = tmp_path / "two"
    for path in sorted(one.rglob("*"), reverse=True):
        if path.is_file():
            copy = two / path.relative_to(one)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    found = fingerprint_path(one)
    assert fingerprint_path(two) == found
    (two / MARKER).write_text("{}")
    assert fingerprint_path(two) == found
    changes = [
        lambda: (two / "a").write_text("b"),
        lambda: (two / "a").rename(two / "b0"),
        lambda: (two / "more").mkdir(),
        lambda: (two / "z/z").unlink(),
    ]
    seen = {found}
    for change in changes:
        change()
        seen.add(fingerprint_path(two))
    assert len(seen) == 1 + len(changes)


NAMES = st.binary(min_size=1, max_size=4).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)


@given(st.lists(st.lists(NAMES, min_size=1, max_size=3), max_size=12))
def test_paths_come_in_order(tmp_path_factory: pytest.TempPathFactory, paths) -> None:
    root = os.fsencode(tmp_path_factory.mktemp("walk"))
    for parts in paths:
        try:
            os.makedirs(os.path.join(root, *parts[:-1]), exist_ok=True)
            open(os.path.join(root, *parts), "w").close()
        except OSError:
            continue  # a file where another path wants a folder
    found = [folder.prefix + name for folder in walk(root) for name in folder.names or [b""]]
    assert found == sorted(set(found))
    expected = sum(len(files) or not folders for _, folders, files in os.walk(root))
    assert len(found) == expected - (not os.listdir(root))


def test_manifests_read_back() -> None:
    kind = hashing.algorithm("sha256")
    kept: dict[bytes, bytes] = {}
    builder = Builder(kind, kept.__setitem__)
    paths = sorted(b"folder %d/file\n%d" % (i % 7, i) for i in range(5000))
    for i, path in enumerate(paths):
        builder.add(path, i, kind.whole(path))
    builder.add_folder(b"void/")
    root = builder.finish()
    found = Manifest(kept.__getitem__, kind, root)
    assert (
        len(found) == 5000 and len(found.pages) > 2 and list(found) == [p.decode() for p in paths]
    )
    assert found[paths[4321].decode()].size == 4321 and "void/" not in found
    assert found.about == {"files": 5000, "bytes": sum(range(5000))}
    with pytest.raises(KeyError):
        found["folder 0/file"]
    assert "a" not in found and "z" not in found
    pages = set(kept)
    builder = Builder(kind, kept.__setitem__)
    for i, path in enumerate(paths):
        if i != 2500:
            builder.add(path, i, kind.whole(path))
    builder.add_folder(b"void/")
    builder.finish()
    assert len(set(kept) - pages) <= 2  # one page, and the root


def test_links_are_followed(tmp_path: Path) -> None:
    one = made(tmp_path / "one")
    two = tmp_path / "two"
    two.mkdir()
    for name in ("a", "b-", "b.txt"):
        (two / name).symlink_to(one / name)
    for name in ("b", "z"):
        (two / name).symlink_to(one / name, target_is_directory=True)
    assert fingerprint_path(two) == fingerprint_path(one)
    (two / "b.txt").unlink()
    (two / "b.txt").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"two/b.txt' is a link to 'nowhere', which is not there"):
        fingerprint_path(two)
    (two / "b.txt").unlink()
    (one / "z" / "round").symlink_to("..", target_is_directory=True)
    with pytest.raises(DataError, match=r"links lead round in a circle at '.*/z/round'"):
        fingerprint_path(one)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "new\nline")
    with pytest.raises(DataError, match=r"/new\\nline' is a pipe; a version holds files and fold"):
        fingerprint_path(tmp_path)
    with pytest.raises(DataError, match="is a pipe"):
        fingerprint_path(tmp_path / "new\nline")
    (tmp_path / "new\nline").unlink()
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "s"))
        with pytest.raises(DataError, match="is a socket"):
            fingerprint_path(tmp_path)
    with pytest.raises(DataMissingError, match=r"there is neither file nor folder at '.*nope'"):
        fingerprint_path(tmp_path / "nope")
    with pytest.raises(DataError, match="'/dev/null' is a device"):
        fingerprint_path("/dev/null")


def test_a_file_that_does_not_hold_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(100))
    kind = hashing.algorithm("sha256")
    real = os.read
    times = []

    def read(handle: int, count: int) -> bytes:
        found = real(handle, count)
        if len(times) < limit:
            times.append(1)
            with open(path, "ab") as stream:
                stream.write(b"more")
        return found

    monkeypatch.setattr(os, "read", read)
    limit = 1
    assert hash_file(os.fsencode(path), kind) == (kind.whole(bytes(100) + b"more"), 104)
    limit = 100
    with pytest.raises(DataError, match="changes while it is read"):
        hash_file(os.fsencode(path), kind)


def test_a_large_file_that_is_cut_while_it_is_read(tmp_path: Path) -> None:
    """Files are read, not mapped: a mapped one that is cut ends the process."""
    path = tmp_path / "x"
    path.write_bytes(bytes(1 << 26))
    stop = threading.Event()

    def cutting() -> None:
        while not stop.is_set():
            for size in (1 << 26, 1 << 25):
                os.truncate(path, size)
                time.sleep(0.0005)

    thread = threading.Thread(target=cutting)
    thread.start()
    try:
        with pytest.raises(DataError, match="changes while it is read"):
            for _ in range(100):  # on a busy machine the other thread may not come to its turn
                fingerprint_path(path)
    finally:
        stop.set()
        thread.join()


def test_no_lock_is_held_while_hashing() -> None:
    """Python goes on in other threads while a large array is hashed."""
    x = np.zeros(1 << 29, np.uint8)
    done = threading.Event()
    beats = 0

    def work() -> None:
        fingerprint([x], "sha256")
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not done.is_set():
        time.sleep(0.005)
        beats += 1
    thread.join()
    assert beats > 5


def test_forked_processes_hash() -> None:
    """They have none of the parent's threads."""
    x = np.zeros(1 << 24, np.uint8)
    expected = fingerprint([x])
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # newer Pythons warn of threads, which is what this is about
        child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if fingerprint([x]) == expected else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert fingerprint([x]) == expected


def test_markers(tmp_path: Path) -> None:
    assert version_of(tmp_path) is None
    told = {"elinvar": "version", "name": "flowers", "number": 3, "id": "sha256:00", "later": 1}
    (tmp_path / MARKER).write_text(json.dumps(told))
    found = version_of(tmp_path / "a" / "b.png")
    assert found is not None and (found.name, found.number, found.id) == ("flowers", 3, "sha256:00")
    assert found.spec == "flowers@3"
    for text in ("", "[]", "{", '{"elinvar": "version"}', '{"elinvar": "version", "name": 3}'):
        (tmp_path / MARKER).write_text(text)
        assert version_of(tmp_path) is None
