"""The `autograd` package's own tests of derivatives, run on tensors through `autograd_adapter`.

They are in the package's source archive alone, so the environment says where it was unpacked:

    pip download autograd==1.9.1 --no-binary :all: --no-deps && tar xf autograd-1.9.1.tar.gz
    ELINVAR_AUTOGRAD_TESTS=autograd-1.9.1/tests pytest tests/peers/test_autograd_package.py
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_level

PEERS = Path(__file__).resolve().parent
FOLDER = os.environ.get("ELINVAR_AUTOGRAD_TESTS")
# How many tests of each file may fail, and why.
FAULTS = {
    "test_fft.py": 1,  # demands that odd sizes raise
    "test_graphs.py": 1,  # demands a TypeError for a change in place
    "test_linalg.py": 4,  # eig, which is not there; numpy.linalg._dot
    "test_logic.py": 3,  # gradients of bools; what a function without derivative raises
    "test_misc.py": 2,  # const_graph
    "test_numpy.py": 1,  # dtypes that convert when they are called
    "test_scipy.py": 65,  # distributions, Bessel functions, solvers that Elinvar has not
    "test_systematic.py": 2,  # maxima of complex numbers
    "test_tests.py": 0,
    "test_wrappers.py": 13,  # dtype.type, and what the package itself deprecates
}

CHECKS = """
import autograd_adapter
autograd_adapter.install()
import autograd.numpy as np
import autograd.numpy.random as npr
from autograd import grad, hessian, jacobian, value_and_grad, elementwise_grad
from autograd.test_util import check_grads, combo_check

x, y = npr.randn(3, 4), npr.randn(4)
check_grads(lambda x, y: np.dot(np.tanh(x), y) * np.linalg.norm(x), (0, 1))(x, y)
check_grads(lambda z: np.real(np.sum(np.exp(1j * z) * z)))(x + 1j * x)
combo_check(np.sum, (0,))([x, y], axis=[None, 0], keepdims=[True, False])
assert np.allclose(jacobian(lambda y: np.sin(y))(y), np.diag(np.cos(y)))
assert np.allclose(hessian(lambda y: np.sum(y ** 3))(y), np.diag(6 * y))
assert value_and_grad(lambda a, b: a * b, 1)(2.0, 3.0) == (6.0, 2.0)
assert np.allclose(elementwise_grad(np.exp)(y), np.exp(y))
try:
    wrong = lambda x: np.sum(np.real(x) * 2)
    from autograd.extend import defvjp, primitive
    broken = primitive(lambda x: x * 2.0)
    defvjp(broken, lambda result, x: lambda g: g * 2.1)
    check_grads(broken, modes=["rev"], order=1)(1.0)
except AssertionError as error:
    assert "(VJP) check" in str(error)
else:
    raise SystemExit("a wrong derivative passed")
"""


def environment():
    path = os.pathsep.join([str(PEERS), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "ELINVAR_DEFAULT_FLOAT": "float64", "PYTHONPATH": path}


def test_the_adapter():
    subprocess.run([sys.executable, "-c", CHECKS], env=environment(), check=True, timeout=600)


@pytest.mark.skipif(FOLDER is None, reason="ELINVAR_AUTOGRAD_TESTS names no folder")
@pytest.mark.parametrize("name", sorted(p.name for p in Path(FOLDER or PEERS).glob("test_*.py")) if FOLDER else [])
def test_file(name):
    code = (
        "import autograd_adapter, pytest, sys; autograd_adapter.install(); "
        f"sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', '-c', '{os.devnull}', "
        f"'-W', 'ignore', '--rootdir=.', '--tb=no', '{name}']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=FOLDER, env=environment(), capture_output=True, text=True
    )
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|error)", done.stdout)}
    assert "error" not in counts and counts or done.returncode == 5, done.stdout
    assert counts.get("failed", 0) <= FAULTS.get(name, 0), done.stdout[-4000:]
