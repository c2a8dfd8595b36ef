"""A pytest plugin: SciPy's own tests, on Elinvar in the place of the array libraries they know.

How to use it stands in docs/ecosystem.md.
"""

import sys

import pytest

import elinvar

OTHERS = ("torch", "jax", "cupy", "dask", "array_api_strict")


class Hidden:
    """The other libraries count as not installed: importing them takes long, and is not wanted."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in OTHERS:
            raise ImportError(name)


sys.meta_path.insert(0, Hidden())

import scipy.conftest as theirs  # noqa: E402

theirs.xp_known_backends.add("elinvar")
_parameter = pytest.param(elinvar, id="elinvar", marks=pytest.mark.array_api_backends)
object.__setattr__(theirs.xp._fixture_function_marker, "params", (_parameter,))
