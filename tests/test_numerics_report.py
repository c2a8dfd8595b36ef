"""`elinvar numerics`: its fingerprints, what they depend on, its texts and exit codes.

Where a fingerprint differs from the published one, bits have changed. If that is meant, renew them
with `python -m elinvar.cli numerics --write`, and say so in CHANGELOG.md.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import elinvar as el
from elinvar import cli
from elinvar.cli import numerics_ops, numerics_report
from elinvar.cli.numerics_inputs import (
    FORMATS,
    Digest,
    from_patterns,
    generator,
    numbers,
    patterns,
    special_patterns,
    spread,
)
from elinvar.cli.numerics_items import Item, cotangent
from elinvar.cli.numerics_report import FAMILIES, Family, Report
from elinvar.core.dtypes import by_name
from elinvar.core.errors import DataError
from elinvar.ops.table import TABLE

LONG = ("scalars", "conversions", "activations", "convolutions", "training")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    try:
        code = cli.main(("numerics", *words))
    except SystemExit as end:
        code = int(end.code or 0)
    out, error = capsys.readouterr()
    return code, out, error


def items(family: str) -> list[Item]:
    return list(FAMILIES[family][1]())


@pytest.fixture
def threads():
    before = el.get_num_threads()
    yield
    el.set_num_threads(before)


# ---- the fingerprints ---------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "family",
    [pytest.param(name, marks=pytest.mark.slow if name in LONG else ()) for name in FAMILIES],
)
def test_published_fingerprints(family: str) -> None:
    """The bits of this version. They change on purpose only: see the module's text."""
    made = numerics_report.report([family]).families[family]
    wanted = numerics_report.published().families[family]
    assert numerics_report.differences(made, wanted) == []
    assert made.fingerprint == wanted.fingerprint


def test_what_is_published() -> None:
    published = numerics_report.published()
    assert published.version == el.__version__
    assert list(published.families) == list(FAMILIES)
    assert len(published.fingerprint) == 12
    assert not published.environment  # it belongs to no machine
    for name, family in published.families.items():
        assert list(family.items) == [item.name for item in items(name)]


def test_every_function_of_scalars_is_there() -> None:
    names = {item.name.split()[0] for item in numerics_ops.scalar_functions()}
    wanted = {op.name for op in TABLE if op.family == "elementwise"}
    assert wanted - names == {"cast", "bitcast", "constant"}
    names = {item.name for item in numerics_ops.scalar_functions()}
    for dtype in ("f16", "bf16", "f32", "f64"):
        assert {f"exp {dtype}", f"atan2 {dtype}", f"where {dtype}"} <= names
    assert "bitwise_xor u8" in names and "exp i32" not in names


@pytest.mark.parametrize("family", ["norms", "products", "orders"])
def test_eager_and_compiled_and_any_number_of_threads(family: str, threads: None) -> None:
    published = numerics_report.published().families[family]
    for count, compiled in ((1, False), (3, False), (3, True)):
        el.set_num_threads(count)
        for item in items(family)[::3]:
            found = item.digest(numerics_report.SCALARS, compiled).text()
            assert found == published.items[item.name], (item.name, count, compiled)


@pytest.mark.slow
def test_steps_eager_and_compiled(threads: None) -> None:
    published = numerics_report.published().families["training"]
    el.set_num_threads(3)
    for item in items("training")[:4]:
        assert item.digest(1, False).text() == published.items[item.name], item.name


@pytest.mark.slow
@pytest.mark.parametrize("level", ["x86-64-v2", "x86-64-v3"])
def test_older_instruction_sets(level: str) -> None:
    """As on a machine without AVX-512, and on one without AVX and fma."""
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("these are levels of x86-64")
    families = [word for name in ("convolutions", "pooling", "norms") for word in ("--family", name)]
    result = subprocess.run(
        [sys.executable, "-m", "elinvar.cli", "numerics", *families],
        capture_output=True,
        text=True,
        env={**os.environ, "ELINVAR_CPU": level},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"({level})" in result.stdout and result.stdout.count("  agrees") == 3


@pytest.mark.slow
def test_the_level_of_llvm_does_not_matter() -> None:
    """What lets tests that are about values be compiled at level 0."""
    result = subprocess.run(
        [sys.executable, "-m", "elinvar.cli", "numerics"],
        capture_output=True,
        text=True,
        env={**os.environ, "ELINVAR_LLVM_LEVEL": "0"},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("  agrees") == len(FAMILIES) + 1  # and all of them together


def test_the_order_of_items_does_not_matter() -> None:
    published = numerics_report.published().families["random"]
    for item in reversed(items("random")):
        el.rand(7)
        assert item.digest(1).text() == published.items[item.name]


# ---- operands and digests -----------------------------------------------------------------------


def digest(*tensors: el.Tensor) -> str:
    found = Digest()
    found.add_all(tensors)
    return found.text()


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_all_nans_count_as_one(name: str) -> None:
    dtype = by_name(name)
    exponent, fraction = FORMATS[name]
    infinity = ((1 << exponent) - 1) << fraction
    sign = 1 << (dtype.bits - 1)
    kind = np.dtype(f"u{dtype.itemsize}")
    found = {
        digest(from_patterns(np.array([0, infinity | rest | top], kind), dtype))
        for rest in (1, 1 << (fraction - 1), (1 << fraction) - 1)
        for top in (0, sign)
    }
    assert len(found) == 1
    for bits in (infinity, infinity | sign, 0, sign):  # zeros and infinities keep their signs
        found.add(digest(from_patterns(np.array([0, bits], kind), dtype)))
    assert len(found) == 5


def test_digests_know_dtypes_shapes_and_layouts() -> None:
    x = el.reshape(el.arange(6, dtype=el.float32), (2, 3))
    assert digest(x) == digest(x.mT.mT) == digest(el.asarray(np.asfortranarray(x.numpy())))
    others = [x.mT, x.reshape(6), x.astype(el.float64), x.astype(el.int32), x + 1]
    assert len({digest(other) for other in (x, *others)}) == 6
    found = Digest()
    found.add_all([x, x])
    assert found.values == 12


def test_digest_of_known_bytes() -> None:
    """The bytes that are hashed, so that another program can make the same fingerprint."""
    wanted = hashlib.sha256(b"float32[2]\n" + bytes([0, 0, 128, 63, 0, 0, 192, 127]))
    assert digest(el.asarray([1.0, -float("nan")])) == wanted.hexdigest()[:12]


@pytest.mark.parametrize("dtype", numerics_ops.ALL_DTYPES, ids=repr)
def test_operands_are_given_by_bits(dtype: el.DType) -> None:
    special = special_patterns(dtype)
    assert len(set(special.tolist())) == len(special)
    found = patterns(1000, dtype, generator("x"))
    np.testing.assert_array_equal(found, patterns(1000, dtype, generator("x")))
    near = from_patterns(spread(1000, dtype, generator("x")), dtype)
    assert near.shape == (1000,) and near.dtype is dtype
    if dtype.kind == "f":
        values = from_patterns(special, dtype).astype(el.float64).numpy()
        for wanted in (0.0, 1.0, -1.0, np.inf, -np.inf, 1.5):
            assert wanted in values
        assert np.isnan(values).any()
        info = el.finfo(dtype)
        assert {float(info.max), float(info.smallest_normal)} <= set(values.tolist())
        size = np.abs(near[1::2].astype(el.float64).numpy())
        assert ((size >= 2.0**-8) & (size < 2.0**8)).all()
    elif dtype.kind != "b":
        info = el.iinfo(dtype)
        assert {info.min, info.max, 0, 1} <= set(from_patterns(special, dtype).tolist())


def test_numbers_are_multiples_of_a_power_of_two() -> None:
    for dtype, bits in ((el.float32, 23), (el.float64, 52), (el.bfloat16, 7)):
        x = numbers(generator("x"), 2000, dtype=dtype).astype(el.float64).numpy()
        assert (x >= -1).all() and (x < 1).all()
        assert (x * 2.0**bits == np.floor(x * 2.0**bits)).all()
    weights = cotangent(el.zeros((7, 9), dtype=el.bfloat16)).astype(el.float32).numpy()
    assert set(weights.ravel().tolist()) == {n / 8 for n in range(-6, 7)}


def test_inputs_beyond_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many inputs come in chunks, and all of them count."""
    monkeypatch.setattr(numerics_ops, "CHUNK", 1000)
    item = next(item for item in numerics_ops.scalar_functions() if item.name == "exp f32")
    runs = list(item.operands(generator("x"), 2500))
    sizes = [operands[0].shape[0] for operands in runs]
    assert sizes[1:] == [1000, 1000, 500]
    assert item.digest(2500).values == sizes[0] + 2500
    assert item.digest(2500).text() != item.digest(2499).text()


# ---- the command --------------------------------------------------------------------------------


def test_one_family(capsys) -> None:
    code, out, error = run(capsys, "--family", "pooling")
    published = numerics_report.published().families["pooling"]
    assert (code, error) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith(f"Elinvar {el.__version__} on ") and lines[0].endswith(" threads")
    assert lines[2].split() == ["values", "fingerprint", "published"]
    assert lines[3].split()[-2:] == [published.fingerprint, "agrees"]
    assert lines[3].startswith("pooling and resizing ")
    assert lines[-1] == f"agrees with the published fingerprints of version {el.__version__}"
    assert "everything" not in out and "\033" not in out


def test_all_lines_of_a_family(capsys) -> None:
    code, out, _ = run(capsys, "--family", "pooling", "--all", "--threads", "1")
    found = [line for line in out.splitlines() if line.startswith("  ") and "f32" in line]
    assert code == 0 and len(found) == 7 and all(line.endswith(" agrees") for line in found)
    assert ", 1 threads" in out


def test_a_report_as_a_file_and_its_comparison(capsys, tmp_path: Path) -> None:
    path = tmp_path / "here.json"
    assert run(capsys, "--family", "pooling", "--json", str(path))[0] == 0
    content = json.loads(path.read_text())
    assert content["elinvar"] == el.__version__ and content["format"] == 1
    assert {"cpu", "llvm", "instruction sets", "threads"} <= set(content["environment"])
    code, out, _ = run(capsys, "--family", "pooling", "--compare", str(path))
    assert code == 0 and out.endswith("  1 family agrees: the same bits\n")
    content["families"]["pooling"]["items"]["max 2×2 f32"] = "0" * 12
    content["families"]["pooling"]["items"]["bilinear\033[31m\nf32"] = "1" * 12
    content["elinvar"] = "9.9"
    path.write_text(json.dumps(content))
    code, out, _ = run(capsys, "--family", "pooling", "--compare", str(path))
    assert code == 1 and "the versions differ" in out and "\033" not in out
    assert "pooling and resizing: DIFFERS" in out
    assert "differs: max 2×2 f32, bilinear?[31m?f32" in out
    code, out, _ = run(capsys, "--family", "losses", "--compare", str(path))
    assert code == 1 and "losses, with gradients: not in the other report" in out
    assert "nothing to compare" in out


def test_other_numbers_of_scalars(capsys, tmp_path: Path, monkeypatch) -> None:
    """They have no published fingerprints, and compare with the same number only."""
    few = [item for item in numerics_ops.scalar_functions() if item.name in ("exp f32", "add i8")]
    monkeypatch.setitem(FAMILIES, "scalars", ("functions of scalars", lambda: iter(few)))
    path = tmp_path / "here.json"
    words = ("--family", "scalars", "--scalars", "100")
    code, out, _ = run(capsys, *words, "--json", str(path))
    assert code == 0 and "no fingerprints are published for these inputs" in out
    assert run(capsys, *words, "--compare", str(path))[0] == 0
    code, out, _ = run(
        capsys, "--family", "scalars", "--scalars", "101", "--compare", str(path)
    )
    assert code == 1 and "not comparable, the other had 100 scalars" in out


def test_changed_bits_are_told(capsys, monkeypatch, tmp_path: Path) -> None:
    published = numerics_report.published()
    changed = dict.fromkeys(published.families["pooling"].items, "0" * 12)
    path = tmp_path / "published.json"
    families = {**published.families, "pooling": Family(changed)}
    numerics_report.write(path, Report(families, "0.0.9"))
    monkeypatch.setattr(numerics_report, "PUBLISHED", path)
    code, out, _ = run(capsys, "--family", "pooling")
    assert code == 1 and "DIFFERS from the published fingerprints of version 0.0.9: pooling" in out
    assert "and 4 more (--all shows them)" in out


def test_the_line_over_everything(capsys, monkeypatch, tmp_path: Path) -> None:
    """With all families there is one, and `--write` publishes it."""
    small = {
        name: (title, partial(iter, items(name)[:1]))
        for name, (title, _) in FAMILIES.items()
        if name not in ("training", "optimizers")
    }
    monkeypatch.setattr(numerics_report, "FAMILIES", small)
    monkeypatch.setattr(cli.numerics, "FAMILIES", small)
    for module in (numerics_report, cli.numerics):
        monkeypatch.setattr(module, "PUBLISHED", tmp_path / "published.json")
    code, out, _ = run(capsys, "--write")
    (line,) = [line for line in out.splitlines() if line.startswith("everything")]
    assert code == 0 and line.split()[-1] == "-"
    assert numerics_report.published().fingerprint == line.split()[-2]
    code, out, _ = run(capsys)
    assert code == 0 and f"{line.split()[-2]}  agrees" in out


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "is not a report of format 1"),
        (b'{"format": 2}', "is not a report of format 1"),
        (b'{"format": 1, "families": 3}', "is damaged"),
        (b'{"format": 1, "families": {"sums": 3}}', "is damaged"),
        (b'{"format": 1, "families": {}, "scalars": "many"}', "number of scalars"),
        (b" " * (5 << 20), "is larger than"),
    ],
)
def test_files_that_are_no_reports(capsys, tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=text):
        numerics_report.read(path)
    code, out, error = run(capsys, "--family", "pooling", "--compare", str(path))
    assert code == 1 and not out and text in error


def test_what_is_not_understood(capsys) -> None:
    for words, text in (
        (("--family", "poems"), "invalid choice: 'poems'"),
        (("--scalars", "-3"), "expected a whole number above 0, received '-3'"),
        (("--scalars", "0"), "expected a whole number above 0, received '0'"),
        (("--mode", "fast"), "invalid choice: 'fast'"),
    ):
        code, out, error = run(capsys, *words)
        assert code == 2 and not out and text in error
    code, _, error = run(capsys, "--write", "--family", "sums")
    assert code == 1 and "--write takes all families" in error
    code, out, _ = run(capsys, "--help")
    assert code == 0 and "--compare FILE" in out and "attention" in out
