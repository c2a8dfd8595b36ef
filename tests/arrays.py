"""All primitives over numpy arrays with a tape: rules of records run on it as they are.

    tape = Tape()
    x = tape.array(np.ones(3))
    y = tape.f.sum(tape.f.exp(x), axes=(0,))
    (dx,) = tape.gradients([y], [tape.array(np.ones(()))], [x])

Gradients are recorded on the same tape, so they have gradients themselves.
"""

import numpy as np

from elinvar.core.dtypes import bfloat16, from_numpy
from elinvar.core.types import TensorType
from elinvar.graph.reference import run_reference
from elinvar.ops.record import Absent, Namespace
from elinvar.ops.table import BY_NAME


class Array:
    """A numpy array with the dtype for which it stands."""

    def __init__(self, array, dtype):
        self.array, self.dtype, self.shape = array, dtype, tuple(array.shape)


class Tape:
    """Applies ops to arrays by their references and remembers what was applied."""

    def __init__(self):
        self.records = []
        self.f = Namespace(BY_NAME, self.apply)

    def array(self, value, dtype=None):
        value = np.asarray(value)
        return Array(value, dtype or from_numpy(value.dtype))

    def operands(self, sample):
        return [self.array(x, sample.dtype_of(x)) for x in sample.operands]

    def apply(self, op, operands, params):
        types = op.result_types(tuple(kind_of(x) for x in operands), params)
        found = run_reference(op, [x.array for x in operands], params, types)
        results = tuple(Array(a, kind.dtype) for a, kind in zip(found, types, strict=True))
        self.records.append((op, operands, params, results))
        return results[0] if len(results) == 1 else results

    def gradients(self, outputs, cotangents, inputs):
        """The cotangents of the inputs; zeros where nothing flows."""
        total = {}
        for output, cotangent in zip(outputs, cotangents, strict=True):
            self._add(total, output, cotangent)
        for op, operands, params, results in reversed(list(self.records)):
            if not any(result in total for result in results):
                continue
            given = tuple(
                total.get(r, self.f.zeros_like(r) if r.dtype.is_floating else None) for r in results
            )
            if isinstance(op.derivative, Absent):
                raise TypeError(f"{op.name} has no derivative: {op.derivative.reason}")
            found = tuple(op.derivative(self.f, operands, results, given, **params))
            assert len(found) == len(operands), op.name
            for operand, cotangent in zip(operands, found, strict=True):
                if cotangent is None or not operand.dtype.is_floating:
                    continue
                assert (cotangent.dtype, cotangent.shape) == (operand.dtype, operand.shape), op.name
                self._add(total, operand, cotangent)
        return [total.get(x) or self.f.zeros_like(x) for x in inputs]

    def _add(self, total, key, cotangent):
        total[key] = self.f.add(total[key], cotangent) if key in total else cotangent


def kind_of(x):
    """The TensorType of an Array."""
    return TensorType(x.dtype, x.shape)


def stored_name(dtype):
    """The numpy dtype in which references hold values of the dtype."""
    return "float32" if dtype is bfloat16 else dtype.name
