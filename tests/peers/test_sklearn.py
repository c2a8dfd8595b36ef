"""scikit-learn's estimators, metrics and splitters on tensors give what they give on numpy arrays."""

import json
import os
import subprocess
import sys

import pytest

from tests.peers import sklearn_cases

pytest.importorskip("sklearn", minversion="1.9")

pytestmark = pytest.mark.any_level


@pytest.fixture(scope="module")
def results():
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.peers.sklearn_cases"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", sklearn_cases.NAMES)
def test_like_numpy(results, name):
    assert not results[name], results[name]
