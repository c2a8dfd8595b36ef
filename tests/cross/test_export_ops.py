"""Every sample of the op table, exported with fixed and with open sizes: the bits of the JIT here."""

import pytest

import elinvar as el
from elinvar.export.header import header_text
from elinvar.export.native import NativeExport, compile_interface
from elinvar.export.status import Status
from elinvar.runtime.targets import target_named
from tests.native_ops import FAMILIES, check, graph_of
from tests.native_runs import Call, missing_tool, run_elsewhere

TARGETS = ("host", "aarch64-linux-gnu", "riscv64-linux-gnu")


@pytest.mark.parametrize("is_open", [False, True], ids=["fixed", "open"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("target", TARGETS)
def test_every_sample(target, family, is_open, tmp_path):
    tool = missing_tool(target)
    if tool is not None:
        pytest.skip(f"needs {tool}")
    interface, arrays, sizes = graph_of(family, is_open)
    if not interface.results:
        pytest.skip("no operation of this family has a sample of such types")
    made = NativeExport(tmp_path / "ops.o", tmp_path / "ops.h", None, None, target)
    layout, code = compile_interface(interface, "ops", target_named(target), False)
    made.object.write_bytes(code)
    text = header_text("ops", interface, layout, target, el.__version__, False)
    made.header.write_text(text)
    results = []
    for port in interface.results:
        dims = (dim.evaluate(sizes) if isinstance(dim, el.Dim) else dim for dim in port.type.shape)
        results.append((port.type.dtype.storage, tuple(dims)))
    there = run_elsewhere(made, [Call(arrays, sizes, results)], tmp_path)
    assert there.statuses == [Status.OK]
    check(interface, there.results[0], arrays, sizes)
