"""Plans on disk: the second process neither lowers nor compiles, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from run_kernels import run_python

from elinvar.core.dtypes import float32
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder
from elinvar.runtime import planning, plans
from elinvar.runtime.compile import compile_graph
from elinvar.runtime.plans import TABLE, Kernel, Plan
from elinvar.runtime.program import Cond, For, Launch, Move, Together, While

STEP = """
import hashlib, importlib
import numpy as np
import elinvar as el

compile_ = importlib.import_module("elinvar.runtime.compile")
lowered = []
whole = compile_.lower_graph
compile_.lower_graph = lambda graph, *rest: lowered.append(graph.name) or whole(graph, *rest)

el.manual_seed(0)
w = el.randn(24, 24) / 5.0
w.requires_grad_()

@el.jit
def step(x):
    h = x
    for _ in range(3):
        h = el.nn.functional.gelu(h @ w)
    h = el.fori_loop(0, 3, lambda i, h: h * 0.5 + x, h)
    h = el.cond(h.sum() > 0, lambda h: h + 1.0, lambda h: h - 1.0, h)
    loss = (h * h).mean()
    loss.backward()
    return loss, w.grad

x = el.asarray(np.random.default_rng(0).standard_normal((24, 24)).astype(np.float32))
results = [np.asarray(y).tobytes() for y in step(x)]
digest = hashlib.sha256(b"".join(results)).hexdigest()
print(digest, "step" in lowered, len(step._programs))
"""


def run_step(folder: Path, code: str = STEP, **settings: str) -> list[str]:
    settings = {"ELINVAR_VERIFY": "0", "ELINVAR_CACHE": str(folder), **settings}
    result = run_python(code, **settings)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def plan_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.object") if b'{"items":' in path.read_bytes()[:200]]


@pytest.mark.slow
def test_the_second_process_does_not_lower(tmp_path: Path) -> None:
    first, second = run_step(tmp_path), run_step(tmp_path)
    assert first[1:] == ["True", "1"] and second[1:] == ["False", "1"]
    assert first[0] == second[0]
    assert len(plan_files(tmp_path)) >= 1


@pytest.mark.slow
def test_a_damaged_plan_or_a_missing_kernel_is_made_anew(tmp_path: Path) -> None:
    first = run_step(tmp_path)
    for path in plan_files(tmp_path):
        path.write_bytes(path.read_bytes()[:-3])
    assert run_step(tmp_path) == first
    assert run_step(tmp_path)[1] == "False"
    others = set(tmp_path.rglob("*.object")) - set(plan_files(tmp_path))
    for path in others:
        path.unlink()
    assert run_step(tmp_path) == first


@pytest.mark.slow
def test_the_verifier_sees_every_graph(tmp_path: Path) -> None:
    run_step(tmp_path)
    assert run_step(tmp_path, ELINVAR_VERIFY="1")[1] == "True"


@pytest.mark.slow
def test_another_graph_or_compiler_has_another_plan(tmp_path: Path) -> None:
    first = run_step(tmp_path)
    changed = run_step(tmp_path, STEP.replace("h * 0.5 + x", "h * 0.25 + x"))
    assert changed[0] != first[0] and changed[1] == "True"
    compiler = "from elinvar.runtime import plans\nplans.compiler_digest = lambda: 'another'\n"
    assert run_step(tmp_path, compiler + STEP) == first


@pytest.mark.slow
def test_a_profile_of_a_stored_plan_knows_the_lines(tmp_path: Path) -> None:
    shown = """
with el.profile() as p:
    step(x)
rows = [row for row in p.rows if row.kernel == "contract" or "dot" in row.kernel]
print(len(rows), all(row.source.function.startswith("step") for row in rows), rows[0].flops > 0)
"""
    code = STEP.replace("print(", "step(x)\nprint(") + shown
    script = tmp_path / "script.py"  # lines of a text in memory belong to nobody
    script.write_text(code)
    run = f"import runpy\nrunpy.run_path({str(script)!r})"
    first, second = run_step(tmp_path, run), run_step(tmp_path, run)
    assert first[3:] == second[3:] and second[4:] == ["True", "True"]


PLAN = Plan(
    [
        Launch(1, 3, [(0, 8), (-1, -5), (TABLE, 1), (2, 0, [Move(0, 16), Move(1, 4, True)])], True),
        Cond((0, 1), [Launch(0, 1, [], final=True)], []),
        While(0, [Launch(0, 1, [])], (1, 2, [Move(0, 3)]), [For(1, 9, [Launch(0, 2, [])], True)]),
        Together(
            [Launch(1, 2, [(TABLE, 1)], True), Launch(0, 1, [(0, 8)])],
            [[(0, 0, 1)], [(0, 1, 2), (1, 0, 1)]],
            True,
        ),
    ],
    [Kernel("one", "00"), Kernel("two", "ff")],
    [np.arange(0), np.array([3, -(2**62)])],
    1 << 40,
    True,
    [(2, 0), (3, 1)],
)


def test_bytes_and_back() -> None:
    found = plans.decode(plans.encode(PLAN))
    assert found is not None
    for name in ("items", "kernels", "arena", "release", "aliases"):
        assert getattr(found, name) == getattr(PLAN, name)
    assert [table.tolist() for table in found.tables] == [[], [3, -(2**62)]]
    assert all(table.dtype == np.int64 and table.flags.c_contiguous for table in found.tables)


def test_linking_gives_addresses() -> None:
    first, cond, loop, common = PLAN.linked(PLAN.items, [100, 200])
    at = PLAN.tables[1].__array_interface__["data"][0]
    assert (first.kernel, first.slots[2]) == (200, (-1, at))
    assert cond.true[0].kernel == loop.body[0].body[0].kernel == 100
    assert [(m.kernel, m.slots) for m in common.members] == [(200, [(-1, at)]), (100, [(0, 8)])]
    assert not common.final and PLAN.linked(PLAN.items, [100, 200], True)[3].final


@pytest.mark.parametrize("cut", [0, 1, 40, -1, -8])
def test_other_bytes_are_no_plan(cut: int) -> None:
    data = plans.encode(PLAN)
    assert plans.decode(data[:cut]) is None
    assert plans.decode(b'{"items":[[9]]}\n') is None
    assert plans.decode(b"[" * 100_000) is None


def test_equal_tables_are_one_and_plans_go_when_they_have_served() -> None:
    """Programs for many sizes may live side by side: each holds little."""
    builder = Builder(capture_source=False)
    x = builder.input(TensorType(float32, (Dim("n"), 64)))
    w = builder.input(TensorType(float32, (64, 64)))
    h = x
    for _ in range(6):
        h = builder.f.contract(h, w, batch=((), ()), axes=((1,), (0,)))
    compiled = compile_graph(builder.graph([h], "layers"))
    sizes = {"n": 100}
    plan = planning.make_plan(compiled.lowered, compiled._scheduled(sizes), sizes)
    assert len({table.tobytes() for table in plan.tables}) == len(plan.tables) < 12
    bound = compiled.bind(sizes)
    made = bound.overwriting()
    assert made is bound.overwriting() and bound.overwriting._make is None
