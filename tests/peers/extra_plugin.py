"""A pytest plugin: the tests of array-api-extra, on Elinvar in the place of the libraries it knows.

How to use it stands in docs/ecosystem.md.
"""

from enum import Enum

import array_api_extra._lib._backends as theirs
import pytest


class Backend(Enum):
    """Theirs, for the tests name some; those that run are of Elinvar alone."""

    ELINVAR = "elinvar"
    ARRAY_API_STRICT = "array_api_strict"
    ARRAY_API_STRICTEST = "array_api_strict:strictest"
    NUMPY = "numpy"
    NUMPY_READONLY = "numpy:readonly"
    CUPY = "cupy"
    TORCH = "torch"
    TORCH_GPU = "torch:gpu"
    DASK = "dask.array"
    SPARSE = "sparse"
    JAX = "jax.numpy"
    JAX_GPU = "jax.numpy:gpu"

    @property
    def modname(self):
        return self.value.split(":")[0]

    def like(self, *others):
        return any(self.modname == other.modname for other in others)

    def pytest_param(self):
        marks = [] if self is Backend.ELINVAR else [pytest.mark.skip("another library")]
        return pytest.param(self, id=self.name.lower(), marks=marks)


theirs.Backend = Backend
