"""The machine's limits: measured, kept, and read back with distrust."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from run_kernels import run_python

from elinvar.runtime import roofline

MEASURE = """
from elinvar.runtime import roofline
limits = []
whole = roofline._measure
roofline._measure = lambda threads, limit: limits.append(limit) or whole(threads, limit)
line = roofline.roofline()
assert line is roofline.roofline()
print(*limits, line.single, line.double, *line.rates)
"""


@pytest.mark.slow
def test_measured_shortly_when_it_is_known(tmp_path: Path) -> None:
    first, second = (
        [float(word) for word in run_python(MEASURE, ELINVAR_CACHE=str(tmp_path)).stdout.split()]
        for _ in range(2)
    )
    assert first[0] == roofline._SECONDS and second[0] == roofline._AGAIN_SECONDS
    assert len(first) == len(second) == 3 + len(roofline._SIZES)
    for before, after in zip(first[1:], second[1:], strict=True):
        assert 1e8 < before <= after < 1e14


def test_limits_only_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, single=2e11, double=1e9)
    monkeypatch.setattr(roofline, "_path", lambda threads: path)
    monkeypatch.setattr(roofline, "_measure", lambda threads, limit: line())
    found = roofline._roofline.__wrapped__(3)
    assert (found.single, found.double) == (2e11, 5e10)
    assert roofline._read(path, 3) == found


def line() -> roofline.Roofline:
    rates = tuple(1e10 for _ in roofline._SIZES)
    return roofline.Roofline("cpu", 3, 1e11, 5e10, roofline._SIZES, rates)


def written(tmp_path: Path, **changes: object) -> Path:
    path = tmp_path / "roofline.json"
    found = {name: getattr(line(), name) for name in line().__dataclass_fields__}
    path.write_text(json.dumps({**found, **changes}))
    return path


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    assert roofline._read(written(tmp_path), 3) == line()


@pytest.mark.parametrize(
    "changes",
    [
        {"threads": 2},
        {"single": 0},
        {"single": "nan"},
        {"rates": [1e10]},
        {"rates": None},
        {"sizes": [1, 2]},
    ],
)
def test_what_makes_no_sense_is_measured_anew(tmp_path: Path, changes: dict[str, object]) -> None:
    assert roofline._read(written(tmp_path, **changes), 3) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "[" * 100_000])
def test_damaged_files(tmp_path: Path, text: str) -> None:
    path = tmp_path / "roofline.json"
    path.write_text(text)
    assert roofline._read(path, 3) is None
    assert roofline._read(tmp_path / "missing", 3) is None


def test_a_file_that_others_can_write_is_not_read(tmp_path: Path) -> None:
    path = written(tmp_path)
    os.chmod(path, 0o666)
    assert roofline._read(path, 3) is None
