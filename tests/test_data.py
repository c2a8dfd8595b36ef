"""Data sets and batches: hostile files, damaged caches, order and structure."""

import gzip
import hashlib
import os
import struct
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

import elinvar as el
from elinvar.core.errors import DataError, DataMissingError, DTypeError, ShapeError, ValueRangeError
from elinvar.data import fashion, fetch
from elinvar.data.fetch import File, checked_content, obtain, write_atomically
from elinvar.data.idx import parse_idx, unzip

DEBIAN = Path("usr/share/datasets/fashion-mnist")
FOUND = [path for path in (Path("/") / DEBIAN, Path(".data") / DEBIAN) if path.is_dir()]


def idx(code: int, sizes: tuple[int, ...], payload: bytes) -> bytes:
    return bytes([0, 0, code, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes) + payload


# -- the IDX format ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "dtype"),
    [(0x08, "u1"), (0x09, "i1"), (0x0B, "i2"), (0x0C, "i4"), (0x0D, "f4"), (0x0E, "f8")],
)
def test_idx_round_trip(code: int, dtype: str) -> None:
    array = (np.arange(24) - 5 * (dtype != "u1")).reshape(2, 3, 4).astype(dtype)
    found = parse_idx(idx(code, (2, 3, 4), array.astype(">" + dtype).tobytes()))
    assert found.dtype == np.dtype(dtype) and found.dtype.isnative
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is no IDX file"),
        (b"\0\0", "is no IDX file"),
        (b"PK\3\4rest", "is no IDX file: it begins with '504b0304'"),
        (idx(0x07, (1,), b"x"), "unknown IDX type code 0x07"),
        (bytes([0, 0, 8, 0]), "has 0 axes, expected 1 to 8"),
        (bytes([0, 0, 8, 255]) + b"\0" * 2000, "has 255 axes"),
        (bytes([0, 0, 8, 3, 0, 0, 0, 1]), "ends within its header"),
        (idx(0x08, (10,), b"123"), "announces 10 elements, 18 bytes in all, and has 11"),
        (idx(0x08, (2,), b"123"), "announces 2 elements, 10 bytes in all, and has 11"),
        # sizes whose product overflows 64 bits must not wrap around to something that fits
        (idx(0x08, (2**32 - 1,) * 4, b"123"), "announces"),
        (idx(0x08, (2**16, 2**16, 2**16, 2**16), b""), "announces"),
        (idx(0x0E, (2**31,), b""), "announces"),
    ],
)
def test_idx_refuses_broken_files(content: bytes, text: str) -> None:
    with pytest.raises(DataError, match=text):
        parse_idx(content, "x.idx")


def test_unzip_is_bounded() -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    with pytest.raises(DataError, match="unpacks to more than the 1000 bytes"):
        unzip(bomb, 1000, "bomb.gz")
    assert unzip(gzip.compress(b"abc"), 3) == b"abc"


@pytest.mark.parametrize("spoil", [lambda b: b[:-5], lambda b: b"no gzip", lambda b: b[:20] + b"\xff" + b[21:]])
def test_unzip_refuses_damage(spoil) -> None:
    packed = gzip.compress(bytes(np.random.default_rng(0).integers(0, 255, 500, np.uint8)))
    with pytest.raises(DataError, match=r"x\.gz is no whole gzip file"):
        unzip(spoil(packed), 10_000, "x.gz")


# -- finding files -------------------------------------------------------------------------------

CONTENT = b"some content that is worth keeping"
KNOWN = File("known.gz", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


def test_obtain_prefers_the_first_whole_file(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "known.gz").write_bytes(gzip.compress(CONTENT, mtime=ord(name)))
    assert obtain(KNOWN, [tmp_path / "a", tmp_path / "b"], (), None) == CONTENT
    (tmp_path / "a" / "known.gz").write_bytes(gzip.compress(b"x" * len(CONTENT)))
    with pytest.warns(UserWarning, match="is passed over: .*checksum"):
        assert obtain(KNOWN, [tmp_path / "a", tmp_path / "b"], (), None) == CONTENT


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "known.gz", "wb") as stream:
        stream.truncate(1 << 40)  # sparse
    with pytest.warns(UserWarning, match="more than known.gz can have"):
        with pytest.raises(DataMissingError):
            obtain(KNOWN, [tmp_path], (), None)


def test_nowhere_to_be_had(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match=r"known\.gz is nowhere to be had") as caught:
        obtain(KNOWN, [tmp_path], ["file:///nonexistent/"], None)
    assert str(tmp_path) in str(caught.value) and "file:///nonexistent/" in str(caught.value)
    assert isinstance(caught.value, FileNotFoundError)


def test_download_is_checked_kept_and_bounded(tmp_path: Path) -> None:
    server, keep = tmp_path / "server", tmp_path / "cache" / "deep"
    server.mkdir()
    address = server.as_uri() + "/"
    packed = server / "known.gz"
    packed.write_bytes(gzip.compress(CONTENT))
    assert obtain(KNOWN, [keep], [address], keep) == CONTENT
    assert checked_content((keep / "known.gz").read_bytes(), KNOWN, "x") == CONTENT
    assert os.listdir(keep) == ["known.gz"]  # no temporary file is left
    packed.write_bytes(gzip.compress(b"y" * len(CONTENT)))
    with pytest.raises(DataMissingError, match="checksum"):
        obtain(KNOWN, [], [address], tmp_path / "other")
    assert not (tmp_path / "other").exists()  # nothing unchecked is kept
    packed.write_bytes(os.urandom(KNOWN.most_packed + 1))
    with pytest.raises(DataMissingError, match="sends more than"):
        obtain(KNOWN, [], [address], None)


def test_an_unwritable_cache_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "known.gz").write_bytes(gzip.compress(CONTENT))
    (tmp_path / "file").write_text("not a folder")
    with pytest.warns(UserWarning, match="cannot be kept"):
        kept = tmp_path / "file" / "cache"
        assert obtain(KNOWN, [], [tmp_path.as_uri() + "/"], kept) == CONTENT


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fetch.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(tmp_path / "x", b"content")
    assert os.listdir(tmp_path) == []


# -- the data sets -------------------------------------------------------------------------------


@pytest.mark.skipif(not FOUND, reason="no Fashion-MNIST here: `make data` gets it")
def test_fashion_mnist() -> None:
    images, labels = el.data.fashion_mnist("test", download=False)
    assert images.shape == (10_000, 1, 28, 28) and images.dtype == np.uint8
    assert labels.dtype == np.int64 and np.bincount(labels).tolist() == [1000] * 10
    assert images.max() == 255 and images[0, 0, 0].max() == 0
    assert len(el.data.FASHION_CLASSES) == 10
    again, _ = el.data.fashion_mnist("test", folder=FOUND[0])
    assert np.array_equal(images, again)


def test_fashion_mnist_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueRangeError, match="split must be 'train' or 'test', not 'valid'"):
        el.data.fashion_mnist("valid")
    with pytest.raises(DataMissingError, match=r"there is no .*t10k-images"):
        el.data.fashion_mnist("test", folder=tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"something else"))
    with pytest.raises(DataError, match="checksum"):
        el.data.fashion_mnist("test", folder=tmp_path)
    monkeypatch.setattr(fashion, "_DEBIAN", tmp_path / "none")
    monkeypatch.setattr(fashion, "_ADDRESSES", ())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere to be had"):
        el.data.fashion_mnist("test")


def test_digits() -> None:
    images, labels = el.data.digits("train")
    assert images.shape == (1500, 1, 8, 8) and labels.shape == (1500,)
    large, same = el.data.digits("test", 28)
    small, _ = el.data.digits("test")
    assert large.shape == (297, 1, 28, 28) and set(same.tolist()) == set(range(10))
    assert np.array_equal(large[:, :, 3:26:3, 3:26:3], small)
    assert large[:, :, :2].max() == 0 and large[:, :, -2:].max() == 0
    with pytest.raises(ValueRangeError, match="at least 8"):
        el.data.digits("test", 4)


# -- batches -------------------------------------------------------------------------------------


def rows(loader: el.data.DataLoader) -> list[list[int]]:
    return [batch.tolist() for batch in loader]


def test_batches_in_order() -> None:
    loader = el.data.DataLoader(np.arange(10), 4)
    assert len(loader) == 3 and rows(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    loader = el.data.DataLoader(np.arange(10), 4, drop_last=True)
    assert len(loader) == 2 and rows(loader) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert rows(el.data.DataLoader(np.arange(3), 4, drop_last=True)) == []
    assert rows(el.data.DataLoader(np.arange(0), 4)) == []


def test_shuffling_is_a_function_of_seed_and_epoch() -> None:
    def epochs(seed: int, count: int = 3) -> list[list[list[int]]]:
        loader = el.data.DataLoader(np.arange(100), 7, shuffle=True, seed=seed)
        return [rows(loader) for _ in range(count)]

    first = epochs(5)
    assert first == epochs(5)
    assert first[0] != first[1] != first[2] and first != epochs(6)
    for epoch in first:
        assert sorted(x for batch in epoch for x in batch) == list(range(100))
    resumed = el.data.DataLoader(np.arange(100), 7, shuffle=True, seed=5)
    resumed.set_epoch(2)
    assert rows(resumed) == first[2]


def test_shuffled_order_never_changes() -> None:
    """Golden numbers: a recorded run must find its order again with any later version."""
    loader = el.data.DataLoader(np.arange(10), 10, shuffle=True, seed=3)
    assert loader.order(0).tolist() == [6, 1, 8, 5, 2, 7, 9, 4, 3, 0]
    assert loader.order(1).tolist() == [9, 7, 8, 3, 5, 6, 4, 0, 2, 1]


def test_dtypes_and_structure_survive() -> None:
    Pair = namedtuple("Pair", "left right")
    data = {"x": np.ones((5, 2), np.float64), "y": (np.arange(5, dtype=np.uint8), Pair(el.arange(5), np.eye(5) > 0))}
    batch = next(iter(el.data.DataLoader(data, 2)))
    assert batch["x"].dtype == el.float64 and batch["x"].shape == (2, 2)
    assert batch["y"][0].dtype == el.uint8
    assert isinstance(batch["y"][1], Pair) and batch["y"][1].left.dtype == el.int64
    assert batch["y"][1].right.dtype == el.bool
    half = next(iter(el.data.DataLoader(el.asarray([1.0, 2.0, 3.0]).astype(el.bfloat16), 2, shuffle=True)))
    assert half.dtype == el.bfloat16 and set(half.float().tolist()) <= {1.0, 2.0, 3.0}


def test_batches_do_not_alias_the_data() -> None:
    data = np.zeros((4, 2), np.float32)
    batch = next(iter(el.data.DataLoader(data, 2)))
    data[:] = 7
    assert batch.tolist() == [[0, 0], [0, 0]]


class Squares:
    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> dict[str, object]:
        return {"n": index, "square": np.float32(index * index), "name": f"<{index}>"}


def test_datasets_are_collated() -> None:
    first, *_, last = el.data.DataLoader(Squares(), 2)
    assert first["n"].tolist() == [0, 1] and first["n"].dtype == el.int64
    assert first["square"].dtype == el.float32 and first["name"] == ["<0>", "<1>"]
    assert last["square"].tolist() == [16]
    pairs = el.data.DataLoader([(1, 2.0), (3, 4.0)], 2)  # a list is a sequence of samples
    x, y = next(iter(pairs))
    assert x.tolist() == [1, 3] and y.dtype == el.float32
    own = el.data.DataLoader(Squares(), 3, collate=len)
    assert list(own) == [3, 2]


def test_tensor_dataset() -> None:
    data = el.data.TensorDataset(np.arange(6).reshape(3, 2), el.asarray([1.0, 2.0, 3.0]))
    assert len(data) == 3
    x, y = data[-1]
    assert x.tolist() == [4, 5] and y.item() == 3.0 and len(list(data)) == 3
    x, y = next(iter(el.data.DataLoader(data, 2)))
    assert x.tolist() == [[0, 1], [2, 3]] and y.tolist() == [1.0, 2.0]
    with pytest.raises(IndexError):
        data[3]


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda: el.data.DataLoader((np.ones(3), np.ones(4)), 2), ShapeError, r"different lengths: \[3, 4\]"),
        (lambda: el.data.DataLoader(np.ones(3), 0), ValueRangeError, "batch_size must be at least 1, not 0"),
        (lambda: el.data.DataLoader(np.ones(3), 2.5), ValueRangeError, "not 2.5"),
        (lambda: el.data.DataLoader(np.ones(3), 2, seed=-1), ValueRangeError, "seed must be in"),
        (lambda: el.data.DataLoader(np.float32(3), 2), DTypeError, "float32 has no len"),
        (lambda: el.data.DataLoader(np.array(3), 2), ShapeError, "needs an axis"),
        (lambda: el.data.DataLoader((), 2), ValueRangeError, "no array"),
        (lambda: el.data.DataLoader(("abc",), 2), DTypeError, "expected arrays or tensors, received str"),
        (lambda: el.data.DataLoader(np.ones(3)).set_epoch(-1), ValueRangeError, "epoch must be 0 or more"),
        (lambda: el.data.collate([]), ValueRangeError, "no sample"),
        (lambda: el.data.collate([(1, 2), (1,)]), ShapeError, "sample 1 has another structure"),
        (lambda: el.data.collate([np.ones(2), np.ones(3)]), ShapeError, "different shapes"),
        (lambda: el.data.collate([el.ones(2), np.ones(2)]), DTypeError, "not all tensors of float32"),
    ],
)
def test_loader_refusals(make, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        make()
