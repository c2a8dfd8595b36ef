"""Sources of pipelines on real small files, and on hostile ones."""

import io
import json
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import elinvar as el
from elinvar.core.errors import DataError, DataMissingError, DTypeError, ShapeError, ValueRangeError
from elinvar.data import files

# -- lines -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"one", ["one"]),
        (b"one\n", ["one"]),
        (b"one\r\ntwo\n\nfour", ["one", "two", "", "four"]),
        ("\ufeffä\nö".encode(), ["ä", "ö"]),
    ],
)
def test_text_lines(tmp_path: Path, content: bytes, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    for chunk in (1 << 24, 1, 3):
        monkeypatch.setattr(files, "_CHUNK", chunk)
        data = el.data.text_lines(tmp_path / "a.txt")
        assert list(data) == lines and len(data) == len(lines)
    assert [x for batch in data.batch(2) for x in batch] == lines


def test_several_files_and_patterns(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"part-{number}.txt").write_text(f"{number}a\n{number}b\n")
    data = el.data.text_lines(str(tmp_path / "part-*.txt"))
    assert list(data) == ["0a", "0b", "1a", "1b", "2a", "2b"]
    shuffled = data.shuffle(1).batch(4)
    assert list(shuffled.workers(2)) == list(shuffled)
    with pytest.raises(DataMissingError, match=r"part-9.txt' does not exist\n.*\n  hint: did you mean|part-9") as caught:
        el.data.text_lines(tmp_path / "part-9.txt")
    assert "did you mean" in str(caught.value)
    with pytest.raises(DataMissingError, match="is a folder, not a file"):
        el.data.text_lines(tmp_path)
    with pytest.raises(DataMissingError, match="no file was given"):
        el.data.text_lines([])


def test_wrong_encodings_name_the_byte(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("gut\nschön\n".encode("latin-1"))
    data = el.data.text_lines(tmp_path / "a.txt")
    with pytest.raises(DataError, match=r"sample 1 of .*a.txt, record 2, byte 4\).*byte 7 of .*a.txt \(0xf6\) is not utf-8"):
        list(data)
    assert list(el.data.text_lines(tmp_path / "a.txt", encoding="latin-1"))[1] == "schön"
    with pytest.raises(ValueRangeError, match="utf-16 has no line ends of one byte"):
        el.data.text_lines(tmp_path / "a.txt", encoding="utf-16")
    (tmp_path / "a.gz").write_bytes(b"\x1f\x8b rest")
    with pytest.raises(DataError, match="is compressed"):
        el.data.text_lines(tmp_path / "a.gz")


def test_a_file_that_changes_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\nthree\n")
    kept = el.data.text_lines(path)
    monkeypatch.setattr(files, "KEPT", 0)
    data = el.data.text_lines(path)
    passing = iter(data)
    assert next(passing) == "one"
    path.write_text("something else\n")
    assert list(kept) == ["one", "two", "three"]  # small files are read once
    with pytest.raises(DataError, match="was changed while it was in use"):
        next(passing)


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"x": [1, 2.5], "y": 1, "t": "a"}\n\n{"x": [[1, 2]], "y": 2, "t": ["b", "c"]}\r\n\r\n')
    data = el.data.json_lines(path)
    first, second = data
    assert first["x"].dtype == np.float32 and first["y"] == 1 and first["t"] == "a"
    assert second["x"].dtype == np.int64 and second["x"].shape == (1, 2) and second["t"] == ["b", "c"]
    assert [x["y"] for x in el.data.json_lines(path, fields=["y"])] == [1, 2]
    with pytest.raises(DataError, match=r"there is no field 'xx'[\s\S]*did you mean 'x'"):
        list(el.data.json_lines(path, fields=["xx"]))


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"{", "record 1 is no JSON: Expecting property name"),
        (b"[" * 100_000, "record 1 is nested deeper than 100"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "nested deeper than 100"),
        (b"\xff\xff", "is not utf-8|is no JSON"),
        (b"1" * 10_000, "is no JSON: Exceeds the limit"),
    ],
)
def test_bad_json_is_named(tmp_path: Path, line: bytes, text: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"1\n" + line + b"\n")
    with pytest.raises(DataError, match=rf"a.jsonl, record 2, byte 2\).*({text})"):
        list(el.data.json_lines(tmp_path / "a.jsonl"))


def test_brackets_in_texts_are_no_depth(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"a": "[" * 500 + '"' + "{" * 50}) + "\n")
    assert next(iter(el.data.json_lines(tmp_path / "a.jsonl")))["a"].startswith("[[[")


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('name,n,x\n"a, ""b""\nc",1,0.5\nd,2,\n\ne,3,nan\n')
    data = el.data.csv(path, missing=-1)
    first, second, third = data
    assert first["name"] == 'a, "b"\nc' and first["n"] == 1 and first["x"].dtype == np.float32
    assert second["x"] == third["x"] == -1
    batch = next(iter(data.batch(3)))
    assert batch["name"][1:] == ["d", "e"] and batch["n"].dtype == el.int64 and batch["x"].tolist() == [0.5, -1, -1]
    typed = el.data.csv(path, columns={"n": "float32"}).batch(3)
    assert next(iter(typed))["n"].dtype == el.float32
    assert list(next(iter(el.data.csv(path, columns=["name"])))) == ["name"]


def test_bad_csv_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("label,x\n1,0.5\n2,nan\n3,\n4,1,2\n")
    with pytest.raises(DataError, match=r"there is no column 'lable'[\s\S]*did you mean 'label'"):
        el.data.csv(path, columns=["lable"])
    with pytest.raises(DataError, match="record 3 has 3 fields, the header has 2"):
        el.data.csv(path)  # types are guessed from the first rows
    path.write_text("label,x\n1,0.5\n2,nan\n3,\n")
    with pytest.raises(DataError, match=r"sample 1 of csv.*record 3, byte 14.*column 'x' has NaN"):
        list(el.data.csv(path))
    with pytest.raises(DataError, match="column 'x' has a value that is no float32"):
        list(el.data.csv(path).skip(2))
    with pytest.raises(DataError, match="sample 1 of csv"):  # a batch names the sample, too
        list(el.data.csv(path).batch(3))
    path.write_text('a\n"open\n')
    with pytest.raises(DataError, match="ends within a quoted field"):
        el.data.csv(path)
    path.write_text('a,b\nx"y,"z\n1,2\n3,4\n')  # its quotes are balanced, but its field is open
    with pytest.raises(DataError, match="a record is no CSV: unexpected end of data"):
        list(el.data.csv(path, columns={"a": "str", "b": "str"}).batch(3))
    path.write_text("a,b,a\n")
    with pytest.raises(DataError, match="the header has 'a' twice"):
        el.data.csv(path)
    path.write_text("")
    with pytest.raises(DataError, match="there is no header"):
        el.data.csv(path)
    path.write_text("a\n")
    assert len(el.data.csv(path)) == 0
    with pytest.raises(DTypeError, match="a column's type must be"):
        el.data.csv(path, columns={"a": "datetime"})
    (tmp_path / "b.csv").write_text("b\n1\n")
    with pytest.raises(DataError, match=r"b.csv has the columns"):
        el.data.csv([path, tmp_path / "b.csv"])


# -- tables ----------------------------------------------------------------------------------------


def write_tables(folder: Path) -> dict[str, np.ndarray]:
    pa = pytest.importorskip("pyarrow")
    feather = pytest.importorskip("pyarrow.feather")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"x": np.arange(50, dtype=np.float32), "n": np.arange(50) * 3}
    table = pa.table({**columns, "t": [f"<{i}>" for i in range(50)], "v": [[i, i + 1] for i in range(50)]})
    parquet.write_table(table, folder / "a.parquet", row_group_size=7)
    feather.write_feather(table, folder / "a.arrow", chunksize=9, compression="uncompressed")
    return columns


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_tables(tmp_path: Path, kind: str) -> None:
    columns = write_tables(tmp_path)
    make: Callable[..., Any] = getattr(el.data, kind)
    data = make(tmp_path / f"a.{kind}")
    assert len(data) == 50 and data.num_samples == 50
    sample = list(data)[33]
    assert sample["x"] == 33 and sample["t"] == "<33>" and sample["v"].tolist() == [33, 34]
    for small in (make(tmp_path / f"a.{kind}", cache=1), data):
        shuffled = small.shuffle(1).batch(8)
        batches = list(shuffled)
        numbers = np.concatenate([batch["n"].numpy() for batch in batches])
        assert sorted(numbers) == columns["n"].tolist() and batches[0]["v"].shape == (8, 2)
        assert batches[0]["t"] == [f"<{n // 3}>" for n in numbers[:8]] and batches[0]["x"].dtype == el.float32
        assert [b["n"].tolist() for b in shuffled.workers(3, "thread")] == [b["n"].tolist() for b in shuffled.workers(0)]
        assert [b["n"].tolist() for b in shuffled.workers(2)] == [b["n"].tolist() for b in shuffled.workers(0)]
    with pytest.raises(DataError, match=r"there is no column in .* called 'xx'[\s\S]*did you mean 'x'"):
        make(tmp_path / f"a.{kind}", columns=["xx"])
    assert list(next(iter(make(tmp_path / f"a.{kind}", columns=["n"])))) == ["n"]


def test_bad_tables(tmp_path: Path) -> None:
    write_tables(tmp_path)
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    for kind in ("parquet", "arrow"):
        with pytest.raises(DataError, match=r"bad.parquet cannot be read"):
            getattr(el.data, kind)(tmp_path / "bad.parquet")
    parquet.write_table(pa.table({"x": [1, None, 3]}), tmp_path / "null.parquet")
    with pytest.raises(DataError, match="column 'x' has 1 missing values"):
        list(el.data.parquet(tmp_path / "null.parquet"))
    data = el.data.parquet(tmp_path / "a.parquet")
    (tmp_path / "a.parquet").write_bytes((tmp_path / "null.parquet").read_bytes())
    with pytest.raises(DataError, match=r"a.parquet was changed|cannot be read|failed"):
        list(data)


# -- images ----------------------------------------------------------------------------------------


def write_images(folder: Path, size: tuple[int, int] = (40, 30)) -> None:
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(5):
            pixels = rng.integers(0, 255, (size[0], size[1], 3), np.uint8)
            image.fromarray(pixels).save(folder / name / f"{number}.{'png' if number else 'jpg'}")


def test_image_folder(tmp_path: Path) -> None:
    write_images(tmp_path)
    data = el.data.image_folder(tmp_path)
    assert len(data) == 10 and data.source.classes == ["cat", "dog"]
    images, labels = next(iter(data.batch(10)))
    assert images.shape == (10, 3, 40, 30) and images.dtype == el.uint8 and labels.tolist() == [0] * 5 + [1] * 5
    for workers in (0, 2):
        variant = el.data.image_folder(tmp_path, size=(8, 12), mode="L", channels_last=True).shuffle(1).batch(4).workers(workers)
        first, _ = next(iter(variant))
        assert first.shape == (4, 8, 12, 1)
    one = next(iter(el.data.image_folder(tmp_path, labels=False)))
    assert one.shape == (3, 40, 30)
    image = pytest.importorskip("PIL.Image")
    expected = np.asarray(image.open(tmp_path / "cat" / "1.png")).transpose(2, 0, 1)
    assert np.array_equal(list(data)[1][0], expected)


def test_images_that_do_not_fit(tmp_path: Path) -> None:
    write_images(tmp_path)
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "cat" / "small.png")
    data = el.data.image_folder(tmp_path)
    for pipeline in (data.batch(10), data.map(lambda s: s).batch(10), data.batch(10).workers(1)):
        with pytest.raises(ShapeError, match=r"different shapes[\s\S]*cat/0.jpg[\s\S]*cat/small.png"):
            list(pipeline)
    assert next(iter(el.data.image_folder(tmp_path, size=9).batch(11)))[0].shape == (11, 3, 9, 9)
    (tmp_path / "dog" / "2.png").write_bytes((tmp_path / "dog" / "1.png").read_bytes()[:200])
    (tmp_path / "dog" / "3.png").write_bytes(b"no image")
    scaled = el.data.image_folder(tmp_path, size=9)
    with pytest.raises(DataError, match=r"sample 8 of image_folder \(.*dog/2.png\)"):
        list(scaled.batch(11))
    with pytest.warns(UserWarning, match=r"2 samples could not be read[\s\S]*dog/2.png[\s\S]*dog/3.png"):
        assert sum(len(labels) for _, labels in scaled.batch(4).on_error("skip")) == 9


def test_image_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = pytest.importorskip("PIL.Image")
    with pytest.raises(DataMissingError, match="is not a folder"):
        el.data.image_folder(tmp_path / "none")
    with pytest.raises(DataError, match="has no folders, which would be the classes"):
        el.data.image_folder(tmp_path)
    with pytest.raises(DataError, match="there is no image in"):
        el.data.image_folder(tmp_path, labels=False)
    with pytest.raises(ValueRangeError, match="mode must be"):
        el.data.image_folder(tmp_path, mode="CMYK")
    write_images(tmp_path)
    monkeypatch.setattr(image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match=r"cat/0.jpg"):
        list(el.data.image_folder(tmp_path))


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="reading moons needs the package moon\n  hint: pip install moon"):
        files.need("no_such_module", "moon", "reading moons")


# -- tar shards ------------------------------------------------------------------------------------


def write_tar(path: Path, members: dict[str, bytes], change: Callable[[tarfile.TarInfo], None] | None = None) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            if change is not None:
                change(member)
            archive.addfile(member, io.BytesIO(content))


def test_tar(tmp_path: Path) -> None:
    npy = io.BytesIO()
    np.save(npy, np.arange(3))
    for shard in range(2):
        write_tar(
            tmp_path / f"s-{shard}.tar",
            {f"d/{shard}{i}.{end}": content for i in range(3) for end, content in {
                "cls": str(i).encode(), "txt": "ä".encode(), "json": b'{"a": [1, 2]}', "v.npy": npy.getvalue(), "bin": b"\0"}.items()},
        )  # fmt: skip
    data = el.data.tar(tmp_path / "s-*.tar")
    samples = list(data)
    assert [sample["key"] for sample in samples] == ["d/00", "d/01", "d/02", "d/10", "d/11", "d/12"]
    assert samples[4]["cls"] == 1 and samples[4]["txt"] == "ä" and samples[4]["json"]["a"].tolist() == [1, 2]
    assert samples[0]["v.npy"].tolist() == [0, 1, 2] and samples[0]["bin"] == b"\0"
    chosen = el.data.tar(tmp_path / "s-*.tar", fields=["cls", "v.npy"]).shuffle(0).batch(4)
    batch = next(iter(chosen))
    assert list(batch) == ["key", "cls", "v.npy"] and batch["v.npy"].shape == (4, 3)
    assert [b["key"] for b in chosen.workers(2)] == [b["key"] for b in chosen.workers(0)]
    with pytest.raises(DataError, match=r"no member of 'd/00' in .* ending in 'class'[\s\S]*did you mean 'cls'"):
        el.data.tar(tmp_path / "s-*.tar", fields=["class"])
    assert next(iter(el.data.tar(tmp_path / "s-0.tar", decode=False)))["cls"] == b"0"


def test_tar_of_images_and_sound(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    png = io.BytesIO()
    image.fromarray(np.full((6, 5, 3), 7, np.uint8)).save(png, "png")
    write_tar(tmp_path / "a.tar", {"1.png": png.getvalue()})
    assert next(iter(el.data.tar(tmp_path / "a.tar")))["png"].shape == (3, 6, 5)
    assert next(iter(el.data.tar(tmp_path / "a.tar", size=4)))["png"].shape == (3, 4, 4)
    soundfile = pytest.importorskip("soundfile")
    wav = io.BytesIO()
    soundfile.write(wav, np.zeros((100, 2), np.float32), 8000, format="WAV")
    write_tar(tmp_path / "b.tar", {"1.wav": wav.getvalue()})
    assert next(iter(el.data.tar(tmp_path / "b.tar")))["wav"].shape == (2, 100)


def linked(kind: bytes) -> Callable[[tarfile.TarInfo], None]:
    def change(member: tarfile.TarInfo) -> None:
        member.type, member.linkname, member.size = kind, "/etc/passwd", 0

    return change


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("/etc/passwd", None, "points outside of the archive"),
        ("a/../../b.txt", None, "points outside of the archive"),
        ("a.txt", linked(tarfile.SYMTYPE), "is a link"),
        ("a.txt", linked(tarfile.LNKTYPE), "is a link"),
        ("a.txt", linked(tarfile.CHRTYPE), "is no plain file"),
    ],
)
def test_hostile_tars(tmp_path: Path, name: str, change: Any, text: str) -> None:
    write_tar(tmp_path / "a.tar", {name: b"" if change else b"content"}, change)
    with pytest.raises(DataError, match=text):
        el.data.tar(tmp_path / "a.tar")


def test_damaged_tars(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"1.bin": b"x" * 5000})
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "b.tar").write_bytes(whole[:2000])
    with pytest.raises(DataError, match=r"announces 5000 bytes, more than the file has|no uncompressed tar"):
        el.data.tar(tmp_path / "b.tar")
    (tmp_path / "c.tar").write_bytes(b"no tar file" * 100)
    with pytest.raises(DataError, match=r"c.tar is no uncompressed tar file"):
        el.data.tar(tmp_path / "c.tar")
    write_tar(tmp_path / "d.tar", {"1.npy": pickled_array()})
    with pytest.raises(DataError, match=r"d.tar, 1.*allow_pickle=False"):
        list(el.data.tar(tmp_path / "d.tar"))


def pickled_array() -> bytes:
    """An .npy file whose content is a pickle."""
    held = io.BytesIO()
    np.save(held, np.array([{}], object), allow_pickle=True)
    assert held.getvalue().startswith(b"\x93NUMPY")
    return held.getvalue()


# -- remote files ----------------------------------------------------------------------------------


def test_remote_files(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://folder/a.txt", "wb") as stream:
        stream.write(b"one\ntwo\n")
    data = el.data.text_lines("memory://folder/a.txt")
    assert list(data) == ["one", "two"]
    (tmp_path / "a.txt").write_text("three\n")
    assert list(el.data.text_lines((tmp_path / "a.txt").as_uri())) == ["three"]


# -- damage at any place ---------------------------------------------------------------------------


def tar_content(folder: Path) -> bytes:
    write_tar(folder / "a.tar", {f"{i}.{end}": b"1" * 20 for i in range(3) for end in ("cls", "txt", "json")})
    return (folder / "a.tar").read_bytes()


DAMAGED: dict[str, tuple[Callable[[Path], bytes], Callable[[Any], Any]]] = {
    "tar": (tar_content, el.data.tar),
    "csv": (lambda _: b'a,b,c\n1,2.5,"x, y"\n2,nan,z\n3,1e5,"q""r"\n' * 3, lambda path: el.data.csv(path, missing=0)),
    "jsonl": (lambda _: b'{"a": [1, 2], "b": {"c": "d"}}\n[1, [2, 3], null]\n' * 3, el.data.json_lines),
    "txt": (lambda _: "ä line\r\nanother\n".encode() * 4, el.data.text_lines),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damage_gives_samples_or_a_data_error(tmp_path: Path, kind: str) -> None:
    make, open_ = DAMAGED[kind]
    content = np.frombuffer(make(tmp_path), np.uint8)
    rng = np.random.default_rng(0)
    outcomes = set()
    for turn in range(150):
        damaged = content.copy()
        first = 1536 if kind == "tar" else len(content)  # where headers are
        for place in rng.integers(0, first, rng.integers(1, 4)):
            damaged[place] = rng.integers(0, 256)
        if turn % 3 == 0:
            damaged = damaged[: rng.integers(0, len(damaged))]
        path = tmp_path / f"damaged-{turn}.{kind}"
        path.write_bytes(damaged.tobytes())
        try:
            list(open_(path))
            outcomes.add("read")
        except DataError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_damaged_tables_give_samples_or_a_data_error(tmp_path: Path, kind: str) -> None:
    write_tables(tmp_path)
    content = (tmp_path / f"a.{kind}").read_bytes()
    for turn, size in enumerate(np.random.default_rng(0).integers(0, len(content), 20)):
        path = tmp_path / f"damaged-{turn}.{kind}"
        path.write_bytes(content[:size])
        with pytest.raises(DataError):
            list(getattr(el.data, kind)(path))


def test_sources_go_to_other_processes(tmp_path: Path) -> None:
    """As `workers(n, "spawn")` sends them."""
    write_tables(tmp_path)
    write_images(tmp_path / "images")
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "a.csv").write_text("a,b\n1,x\n2,y\n")
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n[2]\n')
    write_tar(tmp_path / "a.tar", {"1.cls": b"1", "2.cls": b"2"})
    pipelines = [
        el.data.text_lines(tmp_path / "a.txt"), el.data.csv(tmp_path / "a.csv"), el.data.json_lines(tmp_path / "a.jsonl"),
        el.data.tar(tmp_path / "a.tar"), el.data.parquet(tmp_path / "a.parquet"), el.data.arrow(tmp_path / "a.arrow"),
        el.data.image_folder(tmp_path / "images", size=4), el.data.from_arrays(np.arange(3), np.eye(3)),
    ]  # fmt: skip
    mixed = pipelines[0].mix(pipelines[0].shuffle(1), weights=[2, 1])
    for pipeline in [*pipelines, mixed]:
        source = pickle.loads(pickle.dumps(pipeline.source))
        assert len(source) == len(pipeline.source) and source.name == pipeline.source.name
        for index in range(2):
            assert str(source.load(index, 0)) == str(pipeline.source.load(index, 0))
