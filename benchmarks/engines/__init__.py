"""One file for each framework: how it does the work of a case in its best sensible way."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """Where a framework is found.

    Attributes:
        label: for tables.
        file: the module of this package that drives it.
        module: the module that a user imports.
        distribution: what pip installs.
    """

    label: str
    file: str
    module: str
    distribution: str


ENGINES = {
    "elinvar": Entry("Elinvar", "elinvar", "elinvar", "elinvar"),
    "torch": Entry("PyTorch", "pytorch", "torch", "torch"),
    "compile": Entry("torch.compile", "compiled", "torch", "torch"),
    "jax": Entry("JAX", "jaxlax", "jax", "jax"),
    "tensorflow": Entry("TensorFlow", "tensorflow", "tensorflow", "tensorflow-cpu"),
    "numpy": Entry("numpy", "openblas", "numpy", "numpy"),
}
