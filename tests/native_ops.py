"""Every sample of every operation in a few graphs, with fixed sizes and with named ones."""

import numpy as np

from elinvar.core.errors import ElinvarError
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType
from elinvar.export.interface import Interface, Port
from elinvar.graph.ir import Builder, Graph
from elinvar.graph.reference import stored
from elinvar.graph.regions import build_params
from elinvar.ops.table import TABLE
from elinvar.runtime.compile import compile_graph
from tests.compiled import run_bound

FAMILIES = sorted({op.family for op in TABLE})


def named(kind):
    """The type with a name for each size above 1."""
    return TensorType(kind.dtype, tuple(n if n < 2 else Dim(f"d{n}") for n in kind.shape))


def graph_of(family, is_open):
    """(interface, arrays, sizes) of all samples of a family that can be built."""
    builder = Builder(capture_source=False)
    inputs, outputs, arrays = [], [], []
    sizes = {}
    for op in TABLE:
        if op.family != family:
            continue
        for sample in op.samples():
            kinds = [named(kind) if is_open else kind for kind in sample.types]
            before = len(builder.inputs)
            values = [builder.input(kind) for kind in kinds]
            try:
                results = builder.add(op, tuple(values), build_params(sample.params))
            except ElinvarError:  # params with numbers do not fit open sizes
                del builder.inputs[before:]
                continue
            inputs += values
            outputs += results
            arrays += [
                stored(array, kind.dtype)
                for array, kind in zip(sample.operands, sample.types, strict=True)
            ]
            if is_open:
                sizes |= {f"d{n}": n for kind in sample.types for n in kind.shape if n >= 2}
    graph = builder.graph(outputs, family)
    sizes = dict(sorted(sizes.items()))
    interface = Interface(
        family,
        graph,
        [Port(f"x{n}", value) for n, value in enumerate(inputs)],
        [Port(f"y{n}", value) for n, value in enumerate(outputs)],
        [],
        dict.fromkeys(sizes, (0, None)),
    )
    return interface, [np.ascontiguousarray(a).reshape(a.shape) for a in arrays], sizes


def without_nan_bits(array, dtype):
    """The bits, all NaNs being one."""
    if dtype.kind == "c":
        array, dtype = np.stack([array.real, array.imag]), dtype.part
    if dtype.kind != "f":
        return array.tobytes()
    whole = array.view(f"u{array.dtype.itemsize}").copy()
    exponent = {16: 0x7C00, 32: 0x7F800000, 64: 0x7FF0000000000000}[dtype.bits]
    if dtype.name == "bfloat16":
        exponent = 0x7F80
    top = (1 << (dtype.bits - 1)) - 1
    whole[(whole & np.array(top, whole.dtype)) > exponent] = top
    return whole.tobytes()


def check(interface, found, arrays, sizes):
    """What an exported program gave has the bits that the JIT gives here."""
    distinct = dict.fromkeys(v for v in interface.graph.outputs if not v.node.is_input)
    graph = Graph(interface.graph.inputs, distinct, interface.name)
    bound = compile_graph(graph).bind(sizes)
    expected = dict(zip(distinct, run_bound(bound, arrays), strict=True))
    for port, array in zip(interface.results, found, strict=True):
        if port.value in expected:
            kind, wanted = port.type.dtype, expected[port.value]
            assert array.shape == wanted.shape
            assert without_nan_bits(array, kind) == without_nan_bits(wanted, kind), port.value
