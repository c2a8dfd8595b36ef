"""Samples of the op table as exported programs: the bits of the JIT.

All families, with fixed sizes too, and on other machines: tests/cross/test_export_ops.py.
"""

import pytest

import elinvar as el
from elinvar.export.native import compile_interface
from elinvar.runtime.targets import target_named
from tests.native_ops import check, graph_of

FEW = ("control", "index", "movement", "random")


@pytest.mark.slow
@pytest.mark.parametrize("family", FEW)
def test_every_sample(family, tmp_path):
    interface, arrays, sizes = graph_of(family, True)
    _, code = compile_interface(interface, "ops", target_named("host"), False)
    (tmp_path / "ops.o").write_bytes(code)
    found = el.load_native(tmp_path / "ops").arrays(arrays, sizes)
    check(interface, found, arrays, sizes)
