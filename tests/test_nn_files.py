"""Files of weights: modules and checkpoints, hostile files, saves that fail."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np
import pytest

import elinvar as el
from elinvar.core.errors import (
    DTypeError,
    StateError,
)
from tests.networks import Net

pytestmark = pytest.mark.any_level


def test_file_of_a_module(tmp_path: Any) -> None:
    net = Net()
    el.save(net, tmp_path / "net.safetensors", {"made": "by a test"})
    found = el.load(tmp_path / "net.safetensors")
    assert list(found) == sorted(found, key=lambda n: (-found[n].dtype.itemsize, n))
    other = Net()
    other.load_state_dict(found)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name].numpy(), value.numpy())


def test_file_of_every_dtype(tmp_path: Any) -> None:
    values = {
        dtype.name: el.asarray([[0, 1, 1], [1, 0, 1]]).astype(dtype)
        for dtype in (
            el.bool, el.int8, el.int16, el.int32, el.int64, el.uint8, el.uint16, el.uint32,
            el.uint64, el.float16, el.bfloat16, el.float32, el.float64,
        )
    }  # fmt: skip
    values["empty"], values["number"] = el.zeros((0, 3)), el.asarray(2.5)
    values["turned"] = el.asarray([[1.0, 2.0], [3.0, 4.0]]).transpose(0, 1)
    el.save(values, tmp_path / "all.safetensors")
    found = el.load(tmp_path / "all.safetensors")
    assert set(found) == set(values)
    for name, value in values.items():
        assert found[name].dtype is value.dtype and tuple(found[name].shape) == tuple(value.shape)
        assert found[name].tolist() == value.tolist()


def test_checkpoint_keeps_its_structure(tmp_path: Any) -> None:
    net = Net()
    optimizer = el.optim.Adam(net.parameters(), lr=0.1)
    net(el.ones((2, 4))).sum().backward()
    optimizer.step()
    checkpoint = {
        "model": net,
        "optimizer": optimizer,
        "epoch": 3,
        "best": math.inf,
        "history": [1.5, None, "text", (True, {"deep": el.ones(2)})],
        "a.b": el.zeros(1),
        "a": {"b": el.ones(1)},
    }
    el.save(checkpoint, tmp_path / "run.safetensors")
    found = el.load(tmp_path / "run.safetensors")
    assert found["epoch"] == 3 and found["best"] == math.inf
    assert found["history"][:3] == [1.5, None, "text"]
    assert found["history"][3][0] is True and found["history"][3][1]["deep"].tolist() == [1.0, 1.0]
    assert found["a.b"].tolist() == [0.0] and found["a"]["b"].tolist() == [1.0]
    other = el.optim.Adam(Net().parameters(), lr=0.5)
    other.load_state_dict(found["optimizer"])
    assert other.param_groups[0]["lr"] == 0.1
    with pytest.raises(DTypeError, match=r"cannot save object at a\.0"):
        el.save({"a": [object()]}, tmp_path / "no.safetensors")


def raw_file(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(dtype: str = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


DAMAGED = {
    "nothing": (b"", "length 0"),
    "half a length": (b"\1\2\3", "does not fit"),
    "a length beyond the file": (raw_file({}, length=2**60), "does not fit into 10 bytes"),
    "no table": (raw_file(b"[1]"), "its header is no table"),
    "no JSON": (raw_file(b"{"), "cannot be read"),
    "no UTF-8": (raw_file(b'{"\xff": 1}'), "cannot be read"),
    "deep JSON": (raw_file(b'{"a":' + b"[" * 100_000), "cannot be read"),
    "a name twice": (raw_file(b'{"a": 1, "a": 2}'), "appears twice"),
    "metadata that is no text": (raw_file({"__metadata__": {"a": 1}}), "no table of texts"),
    "an entry too many": (raw_file({"a": {**entry(), "x": 1}}, bytes(8)), "is not dtype"),
    "a negative size": (raw_file({"a": entry(shape=[-2])}, bytes(8)), "no list of sizes"),
    "a size that is no int": (raw_file({"a": entry(shape=[2.0])}, bytes(8)), "no list of sizes"),
    "a bool for a size": (raw_file({"a": entry(shape=[True])}, bytes(8)), "no list of sizes"),
    "a huge shape": (
        raw_file({"a": entry(shape=[2**40, 2**40])}, bytes(8)),
        "do not fit its shape",
    ),
    "one offset": (raw_file({"a": entry(offsets=[0])}, bytes(8)), "no pair of positions"),
    "offsets beyond the file": (raw_file({"a": entry()}, bytes(4)), "not where they belong"),
    "a hole": (raw_file({"a": entry(offsets=[4, 12])}, bytes(12)), "not where they belong"),
    "an overlap": (raw_file({"a": entry(), "b": entry()}, bytes(8)), "not where they belong"),
    "bytes left over": (raw_file({"a": entry()}, bytes(9)), "1 bytes belong to no tensor"),
    "a bool of 2": (raw_file({"a": entry("BOOL", [1], [0, 1])}, b"\2"), "neither 0 nor 1"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_are_refused(name: str, tmp_path: Any) -> None:
    content, expected = DAMAGED[name]
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(content)
    with pytest.raises(StateError, match=re.escape(expected)) as caught:
        el.load(path)
    assert "is no valid safetensors file" in str(caught.value)


def test_unknown_types_are_named(tmp_path: Any) -> None:
    path = tmp_path / "f8.safetensors"
    path.write_bytes(raw_file({"a": entry("F8_E4M3", [8])}, bytes(8)))
    with pytest.raises(DTypeError, match="holds 'a' as F8_E4M3, which Elinvar does not have"):
        el.load(path)


@pytest.mark.parametrize(
    "structure", ('{"what": 1}', "[1]", '{"tensor": "b"}', '{"dict": [1]}', "{")
)
def test_damaged_structures_are_refused(structure: str, tmp_path: Any) -> None:
    path = tmp_path / "damaged.safetensors"
    header = {"a": entry(), "__metadata__": {"elinvar.structure": structure}}
    path.write_bytes(raw_file(header, bytes(8)))
    with pytest.raises(StateError, match="its structure is damaged"):
        el.load(path)


def test_a_failed_save_leaves_the_old_file(tmp_path: Any, monkeypatch: Any) -> None:
    path = tmp_path / "model.safetensors"
    el.save({"a": el.ones(2)}, path)

    def full_disk(*_: Any) -> Any:
        raise OSError("no space left")

    monkeypatch.setattr("elinvar.nn.safetensors.stored_array", full_disk)
    with pytest.raises(OSError, match="no space left"):
        el.save({"a": el.zeros(2)}, path)
    assert el.load(path)["a"].tolist() == [1.0, 1.0]
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]
