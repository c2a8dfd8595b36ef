"""Versions of data: commit, history, tags, differences, checkout."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import elinvar as el
from elinvar import data
from elinvar.core.errors import DataError, DataMissingError, DTypeError, ValueRangeError
from elinvar.runs.identity import identity
from elinvar.store import hashing, objects, steady
from elinvar.store.walk import MARKER

pytestmark = pytest.mark.any_level
LARGE = objects.PACKED + 1


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def made(folder: Path, **files: str | bytes) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MARKER
    }


def test_a_history(store: Path, tmp_path: Path) -> None:
    source = made(tmp_path / "in", a="1", b__c="2", big=bytes(LARGE))
    first = data.commit(source, "flowers", "the first", tag="v1", store=store)
    assert (first.spec, first.num_files, first.num_bytes) == ("flowers@1", 3, LARGE + 2)
    assert first.is_new and first.parent is None and first.tags == ("v1",) and first.author
    assert first.id == data.fingerprint_path(source) == data.fingerprint_path(source, first.id)
    again = data.commit(source, "flowers", "no news", store=store)
    assert again == first and not again.is_new
    made(source, a="new", b__d="3")
    (source / "big").unlink()
    second = data.commit(source, "flowers", "the second", store=store)
    assert second.number == 2 and second.parent == first.id
    found = data.diff("flowers@1", store=store)
    assert (found.added, found.removed, found.changed) == (("b/d",), ("big",), ("a",))
    assert str(found).splitlines() == [
        "flowers@1 → flowers@2: 1 added, 1 removed, 1 changed", "  + b/d", "  - big", "  ~ a",
    ]  # fmt: skip
    assert data.log("flowers", store) == [second, data.version("flowers@1", store)]
    assert data.names(store) == ["flowers"] and data.versions(store) == [second]
    digits = first.id.partition(":")[2]
    for spec in ("flowers@v1", "flowers@1", f"flowers@{digits[:8]}", f"flowers@{first.id}"):
        assert data.version(spec, store).number == 1
    assert data.version("flowers", store) == data.version("flowers@latest", store) == second


def test_back_to_what_was(store: Path, tmp_path: Path) -> None:
    source = made(tmp_path / "in", a="1")
    first = data.commit(source, "x", store=store)
    made(source, a="2")
    data.commit(source, "x", store=store)
    made(source, a="1")
    third = data.commit(source, "x", store=store)
    assert (third.number, third.id) == (3, first.id)
    assert data.version(f"x@{first.id}", store).number == 3  # the newest of them
    assert data.commit(source, "y", store=store).id == first.id


def test_checkout(store: Path, tmp_path: Path) -> None:
    source = made(tmp_path / "in", a="1", b__c="2", big=os.urandom(LARGE), none="")
    (source / "void" / "deep").mkdir(parents=True)
    version = data.commit(source, "x", store=store)
    folder = data.checkout("x", tmp_path / "out" / "x", store=store)
    assert content_of(folder) == content_of(source) and (folder / "void" / "deep").is_dir()
    assert data.version_of(folder / "b" / "c") == version and data.version_of(source) is None
    assert data.fingerprint_path(folder) == version.id
    assert not data.commit(folder, "x", store=store).is_new
    assert data.version_of(folder / "b", check=True) == version
    assert data.version_of(folder / "a", check=True) == version
    made(folder, a="mine")  # and writing there changes nothing in the store
    assert data.version_of(folder) == version and data.version_of(folder, check=True) is None
    assert data.version_of(folder / "a", check=True) is None
    assert data.version_of(folder / "b" / "c", check=True) == version
    row = identity([], [str(folder / "b" / "c"), str(folder)], [], {})["files"]
    assert row[0]["version"] == f"x@{version.id}/b/c" and "version" not in row[1]
    (store / "format.json").rename(store / "away")
    (store / "names").rename(store / "names away")
    assert data.version_of(folder / "b" / "c", check=True) is None  # the folder was changed
    (store / "away").rename(store / "format.json")
    (store / "names away").rename(store / "names")
    made(folder, more="mine")
    assert data.version_of(folder / "more", check=True) is None
    (folder / "big").write_bytes(b"mine")
    assert data.verify(store=store).ok
    with pytest.raises(DataError, match=r"there are files in '.*out/x'; checkout wants a new or"):
        data.checkout("x", folder, store=store)
    (tmp_path / "empty").mkdir()
    data.checkout("x@1", tmp_path / "empty", store=store)
    assert content_of(tmp_path / "empty") == content_of(source)
    with pytest.raises(DataError, match="is there already, and is no folder"):
        data.checkout("x", source / "a", store=store)
    protected = data.checkout(version, tmp_path / "protected", read_only=True)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in protected.rglob("*")}
    assert modes == {0o444, 0o555}
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"in", "out", "store", "empty", "protected"}


def test_the_kept_folder(store: Path, tmp_path: Path) -> None:
    source = made(tmp_path / "in", a="1", big=os.urandom(LARGE))
    version = data.commit(source, "x", store=store)
    assert version.path == version.path and content_of(version.path) == content_of(source)
    assert data.version_of(version.path / "a") == version
    assert (version.path / "big").stat().st_nlink == 2  # the store's own
    assert version.read("a") == b"1" and len(version.files) == 2
    assert version.files["big"].size == LARGE and list(version.files) == ["a", "big"]
    with pytest.raises(DataMissingError, match=r"x@1 has no file 'bik'(?s:.*)did you mean 'big'"):
        version.read("bik")


def test_the_same_content_lies_there_once(store: Path, tmp_path: Path) -> None:
    big = os.urandom(4 * LARGE)
    source = made(tmp_path / "in", a=big, b=big, c="1", d="1")
    data.commit(source, "x", store=store)
    shutil.copytree(source, tmp_path / "other")
    made(tmp_path / "other", e="2")
    data.commit(tmp_path / "other", "y", store=store)
    total = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    assert total < 1.1 * len(big)


def test_unchanged_files_are_not_read(store: Path, tmp_path: Path, monkeypatch) -> None:
    source = made(tmp_path / "in", **{f"f{i}": str(i) for i in range(50)}, big=bytes(LARGE))
    old = 1_000_000_000 * 10**9
    for path in source.iterdir():
        os.utime(path, ns=(old, old))
    module = steady

    monkeypatch.setattr("elinvar.store.seen._COARSE", -(10**12))  # as if they had been there long
    first = data.commit(source, "x", store=store)
    reads: list[bytes] = []
    real = module.read_small
    monkeypatch.setattr(module, "read_small", lambda path: (reads.append(path), real(path))[1])
    monkeypatch.setattr(
        objects.Intake, "add_file", lambda self, path: pytest.fail("read a large file")
    )
    assert data.commit(source, "x", store=store) == first and not reads
    made(source, f7="new")
    made(source, g="g")
    (source / "f9").unlink()
    second = data.commit(source, "x", store=store)
    assert sorted(map(os.path.basename, reads)) == [b"f7", b"g"]
    assert second.id == data.fingerprint_path(source)
    # Content changed, size and date as before: the time of the entry gives it away.
    made(source, f8="9")
    os.utime(source / "f8", ns=(old, old))
    assert data.commit(source, "x", store=store).id == data.fingerprint_path(source) != second.id
    # Damaged notes are no notes.
    for path in (store / "seen").iterdir():
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    monkeypatch.undo()
    assert not data.commit(source, "x", store=store).is_new


def test_what_was_changed_a_moment_ago_is_hashed_again(store: Path, tmp_path: Path) -> None:
    source = made(tmp_path / "in", a="1")
    data.commit(source, "x", store=store)
    content = next((store / "seen").iterdir()).read_bytes()
    assert content.endswith(bytes(32))  # no hash is remembered


PARTS = st.sampled_from(["a", "b", "a.b", "ä", "x y", "-", "~", "line\nfeed", "\udcff"])


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.tuples(PARTS, PARTS), st.binary(max_size=3) | st.just(bytes(LARGE)), max_size=6
        ),
        min_size=2, max_size=4,
    )
)  # fmt: skip
def test_any_history_comes_back(tmp_path_factory: pytest.TempPathFactory, states) -> None:
    top = tmp_path_factory.mktemp("history")
    expected = []
    for number, state in enumerate(states):
        source = top / f"in{number}"
        made(source, always=str(number))
        for (folder, name), content in state.items():
            (source / folder).mkdir(exist_ok=True)
            (source / folder / name).write_bytes(content)
        data.commit(source, "x", store=top / "s")
        expected.append(content_of(source))
    for number, content in enumerate(expected, 1):
        folder = data.checkout(f"x@{number}", top / f"out{number}", store=top / "s")
        assert content_of(folder) == content
        for other in range(1, len(expected) + 1):
            before, after = expected[other - 1], content
            found = data.diff(f"x@{other}", f"x@{number}", store=top / "s")
            assert set(found.added) == after.keys() - before.keys()
            assert set(found.removed) == before.keys() - after.keys()
            both = before.keys() & after.keys()
            assert set(found.changed) == {path for path in both if before[path] != after[path]}
    assert data.verify(store=top / "s").ok


def test_moved_files(store: Path, tmp_path: Path) -> None:
    source = made(tmp_path / "in", a="one", b="two")
    data.commit(source, "x", store=store)
    (source / "a").rename(source / "c")
    data.commit(source, "x", store=store)
    found = data.diff("x@1", "x@2", store=store)
    assert found.moved == (("a", "c"),)
    assert str(found) == "x@1 → x@2: 1 added, 1 removed, 1 of them moved\n  > a → c"
    assert not data.diff("x@1", "x@1", store=store) and found


def test_many_files_are_few_on_disk(store: Path, tmp_path: Path) -> None:
    source = made(tmp_path / "in", **{f"d{i % 9}__f{i}": str(i) for i in range(3000)})
    version = data.commit(source, "x", store=store)
    files = sum(len(files) for _, _, files in os.walk(store))
    assert version.num_files == 3000 and files < 8
    made(source, d0__f0="other")
    data.commit(source, "x", store=store)
    packs = sorted((store / "packs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert packs[1].stat().st_size < packs[0].stat().st_size  # pages are shared
    assert data.diff("x@1", store=store).changed == ("d0/f0",)


# ---- bad input ----------------------------------------------------------------------------------


def test_unknown_names_and_versions(store: Path, tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match="there is no version of data in"):
        data.log("flowers", store)
    source = made(tmp_path / "in", a="1")
    data.commit(source, "flowers", tag="v1", store=store)
    cases = [
        ("flower", r"there is no data set 'flower' in .*(?s:.*)did you mean 'flowers'"),
        ("flowers@v2", r"has no version, tag or id 'v2'; versions are 1, tags v1"),
        ("flowers@2", r"has no version, tag or id '2'; versions are 1"),
        ("flowers@ffff", "has no version, tag or id 'ffff'"),
        ("flowers@", "has no version, tag or id ''"),
        ("@1", "a data set's name has 1 to 100"),
        ("", "a data set's name has 1 to 100"),
    ]
    for spec, text in cases:
        with pytest.raises((DataMissingError, ValueRangeError), match=text):
            data.version(spec, store)
    with pytest.raises(ValueRangeError, match="a version is named like 'flowers@v1', received int"):
        data.version(3, store)


def test_names_and_tags(store: Path, tmp_path: Path) -> None:
    source = made(tmp_path / "in", a="1")
    for name in ("team/flowers", "ä ö", "100%", "a.b", "x" * 100):
        data.commit(source, name, store=store)
    assert data.names(store) == sorted(["team/flowers", "ä ö", "100%", "a.b", "x" * 100])
    for name in ("", ".x", "-x", "a@b", "x" * 101, "a\nb", " a", 3, None, "\udcff", "ä" * 100):
        with pytest.raises(ValueRangeError, match="a data set's name has 1 to 100"):
            data.commit(source, name, store=store)
    for tag in ("1", "", "latest", "abcd", "a b", "x@y", 3, "ä"):
        with pytest.raises(ValueRangeError, match="a tag begins with a letter"):
            data.tag("a.b", tag, store=store)
    assert data.tag("a.b", "v1", store=store).tags == ("v1",)
    made(source, a="2")
    data.commit(source, "a.b", store=store)
    with pytest.raises(ValueRangeError, match=r"the tag 'v1' is that of a\.b@1(?s:.*)--move"):
        data.tag("a.b@2", "v1", store=store)
    with pytest.raises(ValueRangeError, match="the tag 'v1' is that of"):
        made(source, a="3")
        data.commit(source, "a.b", tag="v1", store=store)
    assert len(data.log("a.b", store)) == 2
    assert data.tag("a.b@2", "v1", move=True, store=store).tags == ("v1",)
    assert data.version("a.b@v1", store).number == 2


def test_bad_sources(store: Path, tmp_path: Path) -> None:
    cases = [
        (
            tmp_path / "gone",
            DataMissingError,
            r"neither file nor folder at '.*gone'(?s:.*)moved or",
        ),
        (tmp_path / "nothing", DataMissingError, "there is no file in '.*nothing'"),
        ("/dev/null", DataError, "'/dev/null' is a device"),
        (object(), DTypeError, "expected a path, an array, a tuple or dict of arrays, or a table"),
        (np.array([None]), DTypeError, "elements are Python objects"),
        ({1: np.ones(2)}, DTypeError, "keys of a dict must be texts, received 1"),
        ({}, ValueRangeError, "there is no array in an empty dict"),
        ([], ValueRangeError, "there is no array in an empty list"),
        ({"a": {"b": 1}}, DTypeError, "received dict"),
        ({"x" * 300: 1.0}, ValueRangeError, "cannot be a file's name"),
        ("a\0b", DataError, "is no path"),
    ]
    (tmp_path / "nothing").mkdir()
    for source, kind, text in cases:
        with pytest.raises(kind, match=text):
            data.commit(source, "x", store=store)
    assert data.names(store) == [] and not list((store / "work").iterdir())
    with pytest.raises(DTypeError, match="message must be a text, received int"):
        data.commit(np.ones(2), "x", 3, store=store)  # type: ignore[arg-type]


def test_the_store_within_the_data(tmp_path: Path) -> None:
    made(tmp_path, a="1")
    with pytest.raises(DataError, match=r"the store itself lies in the data, at '.*/\.store'"):
        data.commit(tmp_path, "x", store=tmp_path / ".store")


def test_folders_that_are_no_stores(store: Path, tmp_path: Path) -> None:
    made(tmp_path / "other", a="1")
    with pytest.raises(DataError, match="is no store, and holds other files"):
        data.commit(np.ones(2), "x", store=tmp_path / "other")
    assert content_of(tmp_path / "other") == {"a": b"1"}
    data.commit(np.ones(2), "x", store=store)
    told = json.loads((store / "format.json").read_text())
    (store / "format.json").write_text(json.dumps({**told, "format": 2}))
    for call in (lambda: data.log("x", store), lambda: data.commit(np.ones(3), "x", store=store)):
        with pytest.raises(
            DataError, match="has format 2, made by a newer version of Elinvar; this"
        ):
            call()
    (store / "format.json").write_text("{")
    with pytest.raises(DataError, match=r"format\.json' is damaged: it is no store of Elinvar's"):
        data.log("x", store)


def test_a_store_of_another_hash(store: Path, monkeypatch) -> None:
    """A store keeps the hash it was made with, and says what it needs."""

    def missing() -> hashing.Algorithm:
        raise ImportError("blake3")

    with monkeypatch.context() as patch:
        patch.setattr(hashing, "_known", {})
        patch.setitem(hashing._MAKERS, "blake3", missing)
        old = data.commit(np.ones(3), "x", store=store)
        assert old.id.startswith("sha256:")
    assert data.commit(np.ones(4), "x", store=store).id.startswith("sha256:")
    assert data.verify(store=store).ok
    data.commit(np.ones(3), "x", store=store.parent / "two")
    with monkeypatch.context() as patch:
        patch.setattr(hashing, "_known", {})
        patch.setitem(hashing._MAKERS, "blake3", missing)
        with pytest.raises(DataError, match=r"need the package blake3(?s:.*)elinvar\[versions\]"):
            data.log("x", store.parent / "two")


# ---- arrays and tables ---------------------------------------------------------------------------


def test_arrays(store: Path) -> None:
    x = np.arange(12, dtype=np.int16).reshape(3, 4)
    one = data.commit(x, "x", store=store)
    assert np.array_equal(one.arrays(), x) and one.arrays().dtype == x.dtype
    for same in (np.asfortranarray(x), x.astype(">i2"), el.asarray(x), np.repeat(x, 2, 0)[::2]):
        assert data.commit(same, "x", store=store).id == one.id
    two = data.commit((x, np.float64(3)), "x", store=store)
    assert [a.tolist() for a in two.arrays()] == [x.tolist(), 3.0]
    many = data.commit([np.full(i, i) for i in range(12)], "many", store=store)
    assert [len(a) for a in many.arrays()] == list(range(12))
    named = {"b/c": x, "": np.zeros((0, 2)), "ä": np.array(["a", "bcd"])}
    three = data.commit(named, "x", store=store)
    found = three.arrays()
    assert found.keys() == named.keys() and all(np.array_equal(found[k], named[k]) for k in named)
    assert data.commit(dict(reversed(named.items())), "x", store=store).id == three.id
    bf = el.asarray([1.5, -0.0], dtype=el.bfloat16)
    assert data.commit(bf, "bf", store=store).arrays().tolist() == [1.5, -0.0]
    large = np.random.default_rng(0).random((300, 500))
    four = data.commit({"large": large}, "x", store=store)
    assert np.array_equal(four.arrays()["large"], large)
    assert np.array_equal(np.load(four.path / "large.npy", mmap_mode="r"), large)
    assert data.fingerprint_path(four.path) == four.id and data.verify(store=store).ok
    folder = data.commit(data.checkout(four, store.parent / "out"), "x", store=store)
    assert folder.is_new and folder.kind == "folder" and folder.id == four.id
    with pytest.raises(DataError, match="a version of a dict has no table"):
        four.table()
    packed, padded = (
        np.dtype([("a", "u1"), ("b", "<f8")]),
        np.dtype([("a", "u1"), ("b", "<f8")], True),
    )
    values = np.zeros(4, padded)
    values.view(np.uint8)[:] = 7
    values["a"], values["b"] = 1, 2
    assert (
        data.commit(values, "s", store=store).id
        == data.commit(values.astype(packed), "s", store=store).id
    )


def test_differences_of_arrays(store: Path) -> None:
    x = np.arange(12.0).reshape(4, 3)
    y = np.concatenate([x, x[:1]])
    y[2] += 1
    data.commit({"x": x, "y": x, "z": x, "n": x}, "x", store=store)
    changed = {"x": y, "y": x.astype(np.float32), "z": x * 2, "m": x}
    data.commit(changed, "x", store=store)
    found = data.diff("x@1", store=store)
    assert found.values == (
        "x: 4 → 5 rows, 1 of the first 4 changed",
        "y: float64 (4, 3) → float32 (4, 3)",
        "z: 4 of 4 rows changed",
    )
    assert found.moved == (("n.npy", "m.npy"),)


def test_tables(store: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": pa.array([1, None, 3, 4]), "b": ["x", "y", None, "xyz"]})
    one = data.commit(table, "t", store=store)
    assert one.table().equals(table) and one.kind == "table"
    assert one.arrays()["b"].tolist() == ["x", "y", None, "xyz"]
    longer = pa.concat_tables([table.slice(0, 1), table, table]).slice(1, 4)
    dirty = pa.Array.from_buffers(
        pa.int64(), 4, [pa.py_buffer(b"\xfd"), pa.py_buffer(np.array([1, 99, 3, 4]))]
    )
    for same in (longer, table.slice(0), pa.table({"a": dirty, "b": table["b"]})):
        assert same.equals(table)
        assert data.commit(same, "t", store=store).id == one.id
    coded = table.set_column(1, "b", table["b"].dictionary_encode())
    assert data.commit(coded, "t", store=store).id == one.id
    frame = pytest.importorskip("pandas").DataFrame({"a": [1, 2], "b": ["u", "v"]})
    two = data.commit(frame, "t", store=store)
    assert two.table().to_pydict() == {"a": [1, 2], "b": ["u", "v"]}
    new = pa.table({"a": [1, 2, 2, 5], "c": [1.0, 2, 3, 4]})
    data.commit(new, "t", store=store)
    assert data.diff("t@2", store=store).values == (
        "+ column c: double",
        f"- column b: {two.table()['b'].type}",
        "rows: 2 → 4; 2 added, 0 removed in columns a",
    )
    with pytest.raises(DTypeError, match="expected a table, received a pyarrow"):
        data.commit(pa.array([1]), "t", store=store)


def test_tables_of_many_types(store: Path) -> None:
    """Each type comes back, and what lies under its missing values does not count."""
    pa = pytest.importorskip("pyarrow")
    from decimal import Decimal

    columns = {
        "bool": pa.array([True, None, False] * 5),
        "u1": pa.array([1, None, 3] * 5, pa.uint8()),
        "half": pa.array(np.arange(15, dtype=np.float16)),
        "time": pa.array([1, None, 3] * 5, pa.timestamp("us", "UTC")),
        "day": pa.array([1, None, 3] * 5, pa.date32()),
        "money": pa.array([Decimal("1.50"), None, Decimal("2")] * 5, pa.decimal128(9, 2)),
        "fixed": pa.array([b"abc", None, b"xyz"] * 5, pa.binary(3)),
        "bytes": pa.array([b"", None, b"xyz"] * 5),
        "long": pa.array(["a", None, "bc"] * 5, pa.large_string()),
        "point": pa.array([{"x": 1, "y": None}, None, {"x": 2, "y": "b"}] * 5),
        "lists": pa.array([[1, None], None, []] * 5, pa.list_(pa.int32())),
        "pair": pa.array([[1, 2], None, [3, 4]] * 5, pa.list_(pa.int8(), 2)),
        "map": pa.array([[("a", 1)], None, []] * 5, pa.map_(pa.string(), pa.int8())),
        "none": pa.nulls(15),
    }
    table = pa.table(columns)
    one = data.commit(table, "t", store=store)
    assert one.table().equals(table)
    assert data.commit(pa.concat_tables([table[:4], table[4:]]), "t", store=store).id == one.id
    empty = data.commit(table[:0], "empty", store=store)
    assert empty.table().equals(table[:0]) and empty.table().schema == table.schema
    assert data.diff("t@1", "empty", store=store).values == ("rows: 15 → 0",)
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    try:
        data.commit(pa.table({"u": union}), "u", store=store)
    except DTypeError as error:
        assert "the table cannot be stored" in str(error)


def test_bits_under_missing_values(store: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    clean = pa.array([True, None, False, None])
    validity = clean.buffers()[0]
    dirty = pa.Array.from_buffers(pa.bool_(), 4, [validity, pa.py_buffer(b"\xfb")])
    assert (
        dirty.equals(clean) and dirty.buffers()[1].to_pybytes() != clean.buffers()[1].to_pybytes()
    )
    first = data.commit(pa.table({"x": clean}), "x", store=store)
    assert data.commit(pa.table({"x": dirty}), "x", store=store).id == first.id


def test_differences_within_files(store: Path, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import feather, parquet

    source = made(tmp_path / "in", b="not a table")

    def write(ages: list[int], rows: int) -> None:
        table = pa.table({"age": ages})
        (source / "people.csv").write_text("age,city\n" + "".join(f"{a},Oslo\n" for a in ages))
        (source / "odd.csv").write_bytes(b"\xff\x00" * rows)
        (source / "lines.jsonl").write_text("".join(f'{{"a": {a}}}\n' for a in ages))
        (source / "b").write_text(str(ages))
        parquet.write_table(table, source / "people.parquet")
        feather.write_feather(table, source / "people.arrow")
        np.save(source / "x.npy", np.arange(rows))

    write([31, 47], 3)
    data.commit(source, "x", store=store)
    write([31, 5, 6], 4)
    data.commit(source, "x", store=store)
    assert data.diff("x@1", store=store).values == (
        "lines.jsonl: rows: 2 → 3; 2 added, 1 removed",
        "people.arrow: rows: 2 → 3; 2 added, 1 removed",
        "people.csv: rows: 2 → 3; 2 added, 1 removed",
        "people.parquet: rows: 2 → 3; 2 added, 1 removed",
        "x.npy: 3 → 4 rows",
    )


def test_chunks_make_no_difference(tmp_path_factory: pytest.TempPathFactory) -> None:
    pa = pytest.importorskip("pyarrow")
    from elinvar.store.tables import canonical

    values = {
        "text": st.none() | st.text(max_size=3),
        "number": st.none() | st.floats(allow_nan=False),
        "flag": st.none() | st.booleans(),
        "list": st.none() | st.lists(st.none() | st.integers(0, 9), max_size=3),
    }
    types = {
        "text": pa.string(), "number": pa.float64(), "flag": pa.bool_(), "list": pa.list_(pa.int8()),
    }  # fmt: skip

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.fixed_dictionaries(values), max_size=20), st.data())
    def check(rows, draw) -> None:
        schema = pa.schema(list(types.items()))
        table = pa.Table.from_pylist(rows, schema)
        cuts = sorted(draw.draw(st.lists(st.integers(0, len(rows)), max_size=3)))
        parts = [
            pa.Table.from_pylist(rows[a:b], schema) for a, b in zip([0, *cuts], [*cuts, len(rows)])
        ]
        inside = pa.concat_tables([table.slice(0, 2), *parts]).slice(min(2, len(rows)))
        found = [
            bytes(canonical(one)[1][0][1][0]) for one in (table, pa.concat_tables(parts), inside)
        ]
        assert found[0] == found[1] == found[2]

    check()
