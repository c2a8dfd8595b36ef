"""Random graphs and their derivatives: compiled code against the interpreter."""

import numpy as np
import pytest
from compiled import run_compiled
from graphs import arrays_for, graphs
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from elinvar.codegen.interpreter import interpret
from elinvar.core.errors import GradientError
from elinvar.transforms.differentiate import value_and_vjp

TOLERANCE = {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 1e-5, "float64": 1e-12}
FEW = settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking would compile for minutes
    suppress_health_check=list(HealthCheck),
)


def compare(graph, arrays, batch):
    expected = interpret(graph, arrays, {"B": batch})
    found = run_compiled(graph, arrays, {"B": batch})
    for value, a, b in zip(graph.outputs, found, expected, strict=True):
        assert a.shape == b.shape
        if not value.dtype.is_floating:
            np.testing.assert_array_equal(a, b)
            continue
        tolerance = TOLERANCE[value.dtype.name]
        scale = np.max(np.abs(np.where(np.isfinite(b), b, 0)), initial=1.0)
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(a, b, tolerance, tolerance * float(scale), str(graph))


@pytest.mark.slow
@given(graphs(), st.integers(1, 3), st.integers(0, 2**32))
@FEW
def test_graphs(graph, batch, seed):
    compare(graph, arrays_for(graph, batch, seed), batch)


@pytest.mark.slow
@given(graphs(), st.integers(1, 3), st.integers(0, 2**32))
@FEW
def test_derivatives(graph, batch, seed):
    wrt = [i for i, value in enumerate(graph.inputs) if value.dtype.is_floating]
    assume(wrt and any(value.dtype.is_floating for value in graph.outputs))
    try:
        derivative = value_and_vjp(graph, wrt)
    except GradientError:  # a while_loop
        assume(False)
    arrays = arrays_for(derivative, batch, seed)
    finite = [np.nan_to_num(a, nan=0.5, posinf=2.0, neginf=-2.0) if a.dtype.kind == "f" else a for a in arrays]
    compare(derivative, finite, batch)
