"""push and pull: through servers that break off, in pieces, with damage, with histories that part."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fsspec")

from elinvar import data
from elinvar.core.errors import DataError, DataMissingError
from elinvar.store import objects, pushing, remote
from tests.remotes import serving

pytestmark = pytest.mark.any_level
LARGE = objects.PACKED + 1


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many pieces of little data, and no waiting."""
    monkeypatch.setattr(remote, "PART", 100_000)
    monkeypatch.setattr(pushing, "PART", 100_000)
    monkeypatch.setattr(pushing, "_PACK", 20_000)
    monkeypatch.setattr(remote, "WAITS", (0.0,))


def made(folder: Path, seed: int = 0, files: int = 60) -> Path:
    rng = np.random.default_rng(seed)
    for i in range(files):
        path = folder / f"{i % 3}" / f"{i}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.bytes(2000))
    for i in range(3):
        (folder / f"large{i}").write_bytes(rng.bytes(LARGE + i))
    return folder


def content_of(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name[0] != "."]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_there_and_back(tmp_path: Path) -> None:
    one, two, url = tmp_path / "one", tmp_path / "two", str(tmp_path / "remote" / "deep")
    source = made(tmp_path / "in")
    data.commit(source, "x", "first", tag="v1", store=one)
    (source / "0" / "0").write_bytes(b"changed")
    second = data.commit(source, "x", "second", store=one)
    sent = data.push("x", url, store=one)
    assert (sent.version, sent.versions) == (second, 2) and sent.num_bytes > 3 * LARGE
    again = data.push("x", url, store=one)
    assert (again.pieces, again.num_bytes, again.versions) == (0, 0, 0)
    got = data.pull("x", url, store=two)
    assert got.versions == 2 and [v.message for v in data.log("x", two)] == ["second", "first"]
    assert data.verify(store=two).ok
    folder = data.checkout("x", tmp_path / "out", store=two)
    assert content_of(folder) == content_of(source)
    assert data.pull("x", url, store=two).pieces == 0
    data.tag("x@1", "old", store=two)
    (source / "0" / "1").write_bytes(b"changed, too")
    data.commit(source, "x", "third", store=two)
    assert data.push("x", url, store=two).versions == 1
    assert data.pull("x", url, store=one).versions == 1
    assert data.version("x@old", one).number == 1 and data.verify(store=one).ok
    assert not list((one / "work").iterdir()) and not list((two / "partial").iterdir())


def test_in_memory(tmp_path: Path) -> None:
    version = data.commit(np.arange(1000), "x", store=tmp_path / "one")
    data.push("x", "memory://there/deep", store=tmp_path / "one")
    data.pull("x", "memory://there/deep", store=tmp_path / "two")
    assert np.array_equal(data.version("x", tmp_path / "two").arrays(), version.arrays())


@pytest.mark.parametrize("stays_broken", [False, True])
def test_a_server_that_breaks_off(tmp_path: Path, stays_broken: bool) -> None:
    """Whatever answer it breaks off after: a reader sees nothing or all, and the next try goes on."""
    one = tmp_path / "one"
    made(tmp_path / "in")
    version = data.commit(tmp_path / "in", "x", store=one)
    with serving(tmp_path / "served") as (server, url):
        server.stays_broken = stays_broken
        failed, sent = 0, 0
        for budget in [*range(40), None]:
            server.budget = budget
            try:
                data.push("x", url, store=one)
            except DataError as error:
                assert stays_broken and "the next try goes on there" in str(error)
                failed += 1
                server.budget = None
                with pytest.raises(DataError, match=r"there (is|are) no |half of it was written"):
                    data.pull("x", url, store=tmp_path / "early")
                continue
            sent += 1
            server.budget = None
            data.pull("x", url, store=tmp_path / f"early{budget}")
            assert data.version("x", tmp_path / f"early{budget}").id == version.id
        whole = sum(path.stat().st_size for path in (tmp_path / "served").rglob("*.0*"))
        assert whole == sum(LARGE + i for i in range(3))
        assert failed > 10 or not stays_broken
        assert len(server.written) <= 25  # nothing that was there was sent again
        data.verify(store=one)

        two = tmp_path / "two"
        steps = 0
        for budget in [*range(40), None]:
            server.budget = budget
            try:
                data.pull("x", url, store=two)
                break
            except DataError as error:
                assert "the next try goes on there" in str(error), error
                assert data.names(two) == []
                steps += 1
        server.budget = None
        data.pull("x", url, store=two)
        assert data.verify(store=two).ok and data.version("x", two).id == version.id
        assert steps > 3 or not stays_broken


def test_a_pull_goes_on_within_a_file(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "large").write_bytes(os.urandom(10 * 100_000 + 7))
    version = data.commit(tmp_path / "in", "x", store=tmp_path / "one")
    with serving(tmp_path / "served") as (server, url):
        data.push("x", url, store=tmp_path / "one")
        two = tmp_path / "two"
        reads: list[str] = []
        real = remote.Remote.read

        def read(self, name: str, *span: int) -> bytes:
            if len([one for one in reads if "objects" in one]) == 6:
                server.budget = 0
            reads.append(name)
            return real(self, name, *span)

        monkeypatch.setattr(remote.Remote, "read", read)
        with pytest.raises(DataError, match="the next try goes on there"):
            data.pull("x", url, store=two)
        partial = next((two / "partial").iterdir())
        assert partial.stat().st_size == 600_000
        with open(partial, "ab") as stream:  # half of a part, as after a crash
            stream.write(b"half")
        monkeypatch.undo()
        monkeypatch.setattr(remote, "PART", 100_000)
        monkeypatch.setattr(pushing, "PART", 100_000)
        server.budget = None
        got = data.pull("x", url, store=two)
        assert 400_007 <= got.num_bytes < 500_000
        assert data.version("x", two).id == version.id and data.verify(store=two).ok


def test_a_remote_without_permission(tmp_path: Path) -> None:
    data.commit(np.ones(3), "x", store=tmp_path / "one")
    with serving(tmp_path / "served") as (server, url):
        server.denies = True
        with pytest.raises(
            DataError, match=r"breaking://.* cannot be written: permission is denied$"
        ):
            data.push("x", url, store=tmp_path / "one")
    with pytest.raises(DataError, match=r"cannot be listed: .*refused"):
        data.push("x", url, store=tmp_path / "one")
    with pytest.raises(DataError, match="nosuch://x cannot be opened: Protocol not known: nosuch"):
        data.push("x", "nosuch://x", store=tmp_path / "one")
    assert data.verify(store=tmp_path / "one").ok


def test_remotes_that_are_none(tmp_path: Path) -> None:
    data.commit(np.ones(3), "flowers", store=tmp_path / "one")
    with pytest.raises(DataError, match="there are no versions of data at"):
        data.pull("flowers", str(tmp_path / "nowhere"), store=tmp_path / "two")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a").write_text("mine")
    with pytest.raises(DataError, match="holds other files, and no versions of data"):
        data.push("flowers", str(tmp_path / "other"), store=tmp_path / "one")
    url = str(tmp_path / "remote")
    data.push("flowers", url, store=tmp_path / "one")
    with pytest.raises(
        DataMissingError, match=r"no data set 'flower' at(?s:.*)did you mean 'flowers'"
    ):
        data.pull("flower", url, store=tmp_path / "two")
    with pytest.raises(DataMissingError, match="no data set 'flower'"):
        data.push("flower", url, store=tmp_path / "one")
    for call in (data.push, data.pull):
        with pytest.raises(DataError, match="one is a store, and no remote"):
            call("flowers", str(tmp_path / "one"), store=tmp_path / "one")
    file = tmp_path / "remote" / "format.json"
    told = json.loads(file.read_text())
    for change, text in (
        ({"format": 9}, "has format 9, made by a newer version of Elinvar"),
        ({"algorithm": "sha256"}, r"has hashes of sha256, the store .* of blake3"),
    ):
        file.write_text(json.dumps({**told, **change}))
        with pytest.raises(DataError, match=text):
            data.push("flowers", url, store=tmp_path / "one")
    file.write_text("no")
    with pytest.raises(DataError, match=r"format\.json is damaged"):
        data.pull("flowers", url, store=tmp_path / "two")


def test_histories_that_part(tmp_path: Path) -> None:
    one, two, url = tmp_path / "one", tmp_path / "two", str(tmp_path / "remote")
    data.commit(np.ones(3), "x", store=one)
    data.push("x", url, store=one)
    data.pull("x", url, store=two)
    data.commit(np.ones(4), "x", store=one)
    data.commit(np.ones(5), "x", store=two)
    data.push("x", url, store=one)
    with pytest.raises(DataError, match=r"each have versions of 'x' that the other has not"):
        data.push("x", url, store=two)
    data.pull("x", url, store=tmp_path / "three")
    data.commit(np.ones(6), "x", store=one)
    data.push("x", url, store=one)
    with pytest.raises(DataError, match=r"has newer versions of 'x' than the store(?s:.*)pull fir"):
        data.push("x", url, store=tmp_path / "three")
    with pytest.raises(
        DataError, match=r"each have versions of 'x'(?s:.*)give one of them another"
    ):
        data.pull("x", url, store=two)
    assert (len(data.log("x", one)), len(data.log("x", two))) == (3, 2)


def test_pushes_at_the_same_time(tmp_path: Path, monkeypatch) -> None:
    """Whatever the moment at which another push comes in between: no version is lost."""
    for moment in ("look", "history", "save_history", "write"):
        one, two, url = (str(tmp_path / moment / name) for name in ("one", "two", "remote"))
        data.commit(np.ones(3), "x", store=one)
        data.push("x", url, store=one)
        data.pull("x", url, store=two)
        data.commit(np.ones(4), "x", store=one)
        other = data.commit(np.ones(5), "x", store=two)
        real = getattr(remote.Remote, moment)

        def between(self, *rest, real=real, two=two, url=url, moment=moment, **more):
            if moment != "write" or str(rest[0]).startswith("names/"):
                with monkeypatch.context() as patch:
                    patch.setattr(remote.Remote, moment, real)
                    data.push("x", url, store=two)
            return real(self, *rest, **more)

        with monkeypatch.context() as patch:
            patch.setattr(remote.Remote, moment, between)
            with pytest.raises(DataError, match=r"each have versions|at the same time"):
                data.push("x", url, store=one)
        data.pull("x", url, store=str(tmp_path / moment / "three"))
        assert data.version("x", str(tmp_path / moment / "three")).id == other.id
        assert data.push("x", url, store=two).versions == 0


def test_damage_on_the_remote(tmp_path: Path) -> None:
    """Each piece flipped, cut, lost or swapped: named, and nothing wrong gets into the store."""
    made(tmp_path / "in", files=20)
    version = data.commit(tmp_path / "in", "x", store=tmp_path / "one")
    whole = tmp_path / "remote"
    data.push("x", str(whole), store=tmp_path / "one")
    pieces = sorted(path for path in whole.rglob("*") if path.is_file())
    assert len(pieces) > 10
    for piece in pieces:
        content = piece.read_bytes()
        other = next(one for one in pieces if one.parent.name == piece.parent.name or one != piece)
        damages = {
            "flipped": content[:-9] + bytes([content[-9] ^ 4]) + content[-8:],
            "cut": content[: len(content) // 2],
            "swapped": other.read_bytes() if other != piece else b"",
            "lost": None,
        }
        for how, damaged in damages.items():
            shutil.rmtree(tmp_path / "two", ignore_errors=True)
            os.chmod(piece, 0o644)
            if damaged is None:
                piece.unlink()
            else:
                piece.write_bytes(damaged)
            try:
                with pytest.raises(DataError) as caught:
                    data.pull("x", str(whole), store=tmp_path / "two")
                first = str(caught.value).splitlines()[0]
                assert first.startswith("[data] ") and "remote" in first, (how, piece, first)
                assert not (tmp_path / "two").exists() or data.names(tmp_path / "two") == []
            finally:
                piece.write_bytes(content)
    data.pull("x", str(whole), store=tmp_path / "two")
    assert data.version("x", tmp_path / "two").id == version.id


def test_what_the_remote_lost_is_pushed_again(tmp_path: Path) -> None:
    source = made(tmp_path / "in")
    data.commit(source, "x", store=tmp_path / "one")
    whole = tmp_path / "remote"
    data.push("x", str(whole), store=tmp_path / "one")
    for piece in (*list(whole.glob("packs/*"))[:2], *list(whole.glob("objects/*/*"))[:2]):
        piece.write_bytes(piece.read_bytes()[:-5])
    assert data.push("x", str(whole), store=tmp_path / "one").pieces >= 4
    data.pull("x", str(whole), store=tmp_path / "two")
    assert data.verify(store=tmp_path / "two").ok


def test_a_pull_mends_the_store(tmp_path: Path) -> None:
    made(tmp_path / "in")
    one, url = tmp_path / "one", str(tmp_path / "remote")
    data.commit(tmp_path / "in", "x", store=one)
    data.push("x", url, store=one)
    for path in (*one.glob("packs/*.pack"), *one.glob("objects/*/*")):
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 1
        os.chmod(path, 0o644)
        path.write_bytes(content)
    assert not data.verify(store=one).ok
    data.pull("x", url, store=one)
    assert data.verify(store=one).ok
    assert content_of(data.checkout("x", tmp_path / "out", store=one)) == content_of(
        tmp_path / "in"
    )


def test_paths_that_lead_elsewhere(tmp_path: Path, monkeypatch) -> None:
    """A manifest of a stranger's cannot write outside of the folder."""
    from elinvar.store.manifest import Builder

    real = Builder._line
    for bad in (b"../evil", b"/evil", b"a/../../evil", b"a//b", b".elinvar-version.json"):
        with monkeypatch.context() as patch:
            line = lambda self, path, text, bad=bad: real(self, bad, text.replace(path, bad))  # noqa: E731
            patch.setattr(Builder, "_line", line)
            store = tmp_path / f"s{len(bad)}"
            (tmp_path / "in").mkdir(exist_ok=True)
            (tmp_path / "in" / "zzzz").write_bytes(b"evil")
            data.commit(tmp_path / "in", "x", store=store)
        with pytest.raises(DataError, match="the manifest has a path that leads elsewhere"):
            data.checkout("x", tmp_path / "out", store=store)
        assert not (tmp_path / "evil").exists() and not (tmp_path / "out").exists()


def test_a_store_that_can_only_be_read_is_pushed(tmp_path: Path) -> None:
    data.commit(np.ones(3), "x", store=tmp_path / "one")
    modes = stat.S_IMODE(os.stat(tmp_path / "one").st_mode)
    assert modes & 0o200
    assert data.push("x", str(tmp_path / "remote"), store=tmp_path / "one").versions == 1
