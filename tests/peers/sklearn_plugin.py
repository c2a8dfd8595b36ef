"""A pytest plugin: scikit-learn's own array API tests, with Elinvar's namespace alone.

How to use it stands in docs/ecosystem.md.
"""

import sklearn.utils._array_api as theirs


def namespaces(include_numpy_namespaces=True):
    yield "elinvar"


def combinations(include_numpy_namespaces=True):
    for dtype in ("float64", "float32"):
        yield "elinvar", None, dtype


theirs.yield_namespaces = namespaces
theirs.yield_namespace_device_dtype_combinations = combinations
