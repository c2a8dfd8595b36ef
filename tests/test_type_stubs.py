"""The type stubs: up to date, true by inspection, by running, and of use to users' programs."""

import ast
import doctest
import importlib.util
import inspect
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import elinvar as el

pytestmark = pytest.mark.any_level

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "elinvar"
TYPING = ROOT / "tests" / "typing"
CONFIG = TYPING / "mypy.ini"


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("type_stubs", ROOT / "tools" / "type_stubs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def checker(tmp_path_factory):
    """Runs a module of mypy; its cache is shared by the tests of this file."""
    cache = str(tmp_path_factory.mktemp("mypy"))
    environment = {**os.environ, "MYPYPATH": str(ROOT / "src"), "MYPY_CACHE_DIR": cache}
    environment["PYTHONPATH"] = str(ROOT / "src")

    def run(*arguments) -> list[str]:
        command = [sys.executable, "-m", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
        assert done.returncode in (0, 1), done.stdout + done.stderr
        return (done.stdout + done.stderr).splitlines()

    return run


def test_stubs_are_current():
    made = generator()
    for path, text in {**made.stubs(), made.ALLOWLIST: made.allowlist()}.items():
        assert path.read_text() == text, f"{path.name}: run python tools/type_stubs.py"
    assert set(SOURCE.rglob("*.pyi")) == set(made.stubs()), "a stub that nobody makes"


def test_stubs_stand_beside_sources():
    """`primitives` alone has none: it is what `ops/record.py` shows to type checkers."""
    alone = [p.name for p in SOURCE.rglob("*.pyi") if not p.with_suffix(".py").exists()]
    assert alone == ["primitives.pyi"]


def test_own_check_reads_the_sources():
    """`make lint` leaves the stubs out, so what they stand for stays checked."""
    assert r"exclude = ['\.pyi$']" in (ROOT / "pyproject.toml").read_text()


@pytest.mark.slow
def test_stubtest(checker):
    """Names, parameters, kinds and defaults are those of the running package."""
    allowed = TYPING / "stubtest_allowlist.txt"
    config = ["--mypy-config-file", CONFIG, "--allowlist", allowed]
    lines = checker("mypy.stubtest", "elinvar", "--concise", *config)
    assert not [line for line in lines if line.startswith("error:")], "\n".join(lines)
    stubbed = (
        r"elinvar\.(\w+ |(tensor\.(tensor|fft|random|extra\.special)|linalg|nn\.functional)\.\w+[ .])"
    )
    faults = [line for line in lines if re.match(f"{stubbed}|note: unused", line)]
    assert not faults, "\n".join(faults)


PROGRAMS = ("models.py", "program.py")


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_program_passes_strictly(checker, name):
    found = checker("mypy", "--config-file", CONFIG, TYPING / name)
    assert found[-1].startswith("Success"), "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_program_runs(name):
    runpy.run_path(str(TYPING / name), run_name="__main__")


# Results whose type is not known before the call; every other public function names its own.
UNKNOWN_RESULTS = {
    "__init__.pyi": {"gradient"},
    "tensor/tensor.pyi": {"__array_ufunc__", "__dlpack__", "item", "tolist"},
}


def test_results_are_known():
    """No `Any` comes out of a function or a method that has a stub."""
    for path in generator().stubs():
        if path.name == "primitives.pyi":
            continue
        unknown = {
            node.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.FunctionDef) and ast.unparse(node.returns) == "Any"
        }
        place = path.relative_to(SOURCE).as_posix()
        assert unknown == UNKNOWN_RESULTS.get(place, set()), place


def test_layers_and_losses_give_tensors():
    """`forward` of every layer says what it gives: tensors, or tuples of them."""
    for name in el.nn.__all__:
        kind = getattr(el.nn, name)
        if not isinstance(kind, type) or not issubclass(kind, el.nn.Module):
            continue
        forward = kind.forward
        if forward is not el.nn.Module.forward:
            found = str(inspect.signature(forward).return_annotation)
            assert "Tensor" in found and "Any" not in found, (name, found)


def pyright() -> list[str] | None:
    """How to run pyright, if it is there under one of its names."""
    for module in ("basedpyright", "pyright"):
        if importlib.util.find_spec(module):
            return [sys.executable, "-m", module]
    return None


def run_pyright(*arguments: str) -> dict:
    command = pyright()
    if command is None:
        pytest.skip("pyright is not installed")
    paths = os.pathsep.join(path for path in (str(ROOT / "src"), *sys.path) if path)
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(
        [*command, "--outputjson", *arguments], capture_output=True, text=True, env=environment
    )
    if not done.stdout.lstrip().startswith("{"):
        pytest.skip(f"pyright does not run here: {done.stderr[-200:]}")
    return json.loads(done.stdout)


@pytest.mark.slow
def test_programs_pass_pyright_strictly(tmp_path):
    config = {
        "include": [str(TYPING / name) for name in PROGRAMS],
        "extraPaths": [str(ROOT / "src")],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
    }
    path = tmp_path / "pyrightconfig.json"
    path.write_text(json.dumps(config))
    found = run_pyright("--project", str(path))
    assert found["summary"]["filesAnalyzed"] == len(PROGRAMS)
    assert not found["generalDiagnostics"], found["generalDiagnostics"]


@pytest.mark.slow
def test_types_are_complete():
    """Of all names of the package that a checker can see, less than 5 % have no certain type.

    The mix-ins of the Tensor do not count, for its stub stands in their place.
    """
    found = run_pyright("--verifytypes", "elinvar", "--ignoreexternal")
    symbols = [
        symbol["isTypeKnown"]
        for symbol in found["typeCompleteness"]["symbols"]
        if symbol["isExported"] and not symbol["name"].startswith("elinvar.tensor.methods")
    ]
    assert len(symbols) > 5000 and sum(symbols) / len(symbols) > 0.95


@pytest.mark.slow
def test_wrong_uses_are_found(checker):
    path = TYPING / "wrong.py"
    found: dict[int, list[str]] = {}
    for line in checker("mypy", "--config-file", CONFIG, path):
        match = re.match(r"[^:]+wrong\.py:(\d+): error: (.*)", line)
        if match:
            found.setdefault(int(match[1]), []).append(match[2])
    expected = {
        number: line.partition("# error: ")[2]
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if "# error: " in line
    }
    assert len(expected) > 30
    assert set(found) == set(expected), (set(found) ^ set(expected), found)
    for number, part in expected.items():
        assert any(part in text for text in found[number]), (number, part, found[number])


CONTEXT = """from typing import Any
from elinvar import get_num_threads, set_num_threads
from elinvar.data import DataLoader, parse_idx
from elinvar.optim import orthogonalize
"""


def documented() -> dict[str, str]:
    """The examples of all public functions and classes, as text of Python."""
    places = [el, el.nn, el.nn.functional, el.nn.init, el.nn.utils, el.linalg, el.random, el.optim]
    places += [el.optim.lr_scheduler, el.data, el.fft, el.special, el.Tensor]
    found: dict[str, str] = {}
    for place in places:
        for name in getattr(place, "__all__", None) or dir(place):
            value = getattr(place, name)
            doc = inspect.getdoc(value) if callable(value) else None
            if doc and ">>>" in doc and not name.startswith("_"):
                parts = doctest.DocTestParser().get_examples(doc)
                found[doc] = "".join(part.source for part in parts)
    return dict(zip((f"example_{n}" for n in range(len(found))), found.values(), strict=True))


@pytest.mark.slow
def test_documented_examples_have_types(checker, tmp_path):
    """What the documentation calls, the stubs accept: parameters are not typed too narrowly."""
    examples = documented()
    assert len(examples) > 200
    path = tmp_path / "examples.py"
    lines = CONTEXT.splitlines()
    for name, text in examples.items():
        lines += [f"def {name}() -> Any:", *(f"    {line}" for line in text.splitlines()), ""]
    path.write_text("\n".join(lines) + "\n")
    relaxed = tmp_path / "mypy.ini"
    relaxed.write_text(CONFIG.read_text().replace("strict = True", "check_untyped_defs = True"))
    with relaxed.open("a") as file:  # examples know that a gradient is there
        file.write("\n[mypy-examples]\ndisable_error_code = union-attr\n")
    found = checker("mypy", "--config-file", relaxed, path)
    assert found[-1].startswith("Success"), "\n".join(found)


# -- results -----------------------------------------------------------------------------------


TENSORS = (el.Tensor, type(el.Tensor(0.0).detach()))


def conforms(value, annotation: str) -> bool:
    """Whether a value is what a stub's annotation says."""
    kind = annotation.replace("_", "")
    if kind == "Any":
        return True
    if kind == "None":
        return value is None
    if kind.startswith("Callable["):
        return callable(value)
    if kind == "Iterator[Tensor]":
        return all(type(part) is el.Tensor for part in value)
    if kind in ("Tensor", "Self"):
        return type(value) in TENSORS
    if kind == "tuple[Tensor, ...]":
        return type(value) is tuple and all(type(part) is el.Tensor for part in value)
    if kind == "list[Tensor]":
        return type(value) is list and all(type(part) is el.Tensor for part in value)
    if kind.startswith("tuple["):
        return isinstance(value, tuple)
    if kind.startswith("np.ndarray"):
        return type(value).__name__ == "ndarray"
    return type(value).__name__ in kind.replace("ModuleType", "module").split(" | ")


def stub_functions(path: Path) -> dict[str, list[str]]:
    """The results that a stub names for each function: one for each of its forms."""
    found: dict[str, list[str]] = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found.setdefault(node.name, []).append(ast.unparse(node.returns))
    return found


MODULES = {
    SOURCE / "__init__.pyi": el,
    SOURCE / "nn" / "functional" / "__init__.pyi": el.nn.functional,
    SOURCE / "tensor" / "fft.pyi": el.fft,
    SOURCE / "linalg" / "__init__.pyi": el.linalg,
    SOURCE / "tensor" / "random.pyi": el.random,
    SOURCE / "tensor" / "extra" / "special.pyi": el.special,
}


@pytest.mark.slow
def test_results_of_functions(monkeypatch):
    """All examples run, and whatever a public function returns in them is what its stub says."""
    seen: dict[tuple[str, str], list] = {}

    def noted(place, function):
        def call(*args, **kwargs):
            found = function(*args, **kwargs)
            seen.setdefault(place, []).append(found)
            return found

        return call

    scope: dict = {}
    exec(CONTEXT, scope)
    examples = documented()
    stubs = {module.__name__: stub_functions(path) for path, module in MODULES.items()}
    for module in MODULES.values():
        for name in stubs[module.__name__]:
            if not name.startswith("_"):
                wrapped = noted((module.__name__, name), getattr(module, name))
                monkeypatch.setattr(module, name, wrapped)
    for text in examples.values():
        try:
            exec(text, dict(scope))
        except el.ElinvarError:
            continue  # an example of what is refused
    for (module, name), values in seen.items():
        forms = stubs[module][name]
        for value in values:
            assert any(conforms(value, form) for form in forms), (module, name, forms, type(value))
    names = {name for _, name in seen}
    missing = {name for functions in stubs.values() for name in functions} - names
    assert len(names) > 190, sorted(missing)


ARGUMENTS = {
    "dim": 0, "dim0": 0, "dim1": 1, "start_dim": 0, "dtype": el.float32, "device": "cpu",
    "min": 0.0, "max": 1.0, "low": 0, "p": 0.5, "k": 1, "chunks": 2, "split_size": 1,
    "start": 0, "length": 1, "dimension": 0, "size": 1, "step": 1, "source": 0, "destination": 1,
    "shifts": 1, "repeats": 2, "condition": el.asarray([[True, False], [False, True]]),
    "mask": el.asarray([[True, False], [False, True]]), "value": 0.5, "fill_value": 1,
    "protocol": 2, "memo": {}, "spec": "", "hook": lambda g: g, "vec": el.ones((2,)),
    "data": [1.0],
}  # fmt: skip
INTEGERS = {
    "__index__", "__and__", "__or__", "__xor__", "__lshift__", "__rshift__", "__invert__",
    "__iand__", "__ior__", "__ixor__", "__ilshift__", "__irshift__", "bitwise_and", "bitwise_or",
    "bitwise_xor", "bitwise_not", "bitwise_left_shift", "bitwise_right_shift", "bincount", "gcd", "lcm", "__rand__", "__ror__", "__rxor__", "__rlshift__", "__rrshift__",
}  # fmt: skip
SHAPES = {
    "__array_ufunc__": (np.negative, "__call__", el.ones(2)),
    "broadcast_to": (2, 2), "expand": (2, 2), "permute": (1, 0), "repeat": (1, 2), "tile": (1, 2),
    "reshape": (4,), "view": (4,), "new_ones": (2,), "new_zeros": (2,), "new_empty": (2,),
    "flip": (0,), "unflatten": (0, (1, 2)), "gather": (0, el.zeros((2, 2), dtype=el.int64)),
    "index_select": (0, el.asarray([0])), "take": (el.asarray([0]),), "to": ("cpu",),
    "index_add": (0, el.asarray([0]), el.ones((1, 2))),
    "index_copy": (0, el.asarray([0]), el.ones((1, 2))), "index_fill": (0, el.asarray([0]), 1.0),
    "scatter": (0, el.zeros((2, 2), dtype=el.int64), 1.0),
    "scatter_add": (0, el.zeros((2, 2), dtype=el.int64), el.ones((2, 2))),
    "new_full": ((2,), 1.0), "__getitem__": (0,), "__setitem__": (0, 1.0), "narrow": (0, 0, 1),
    "addbmm": (el.ones((3, 2, 2)), el.ones((3, 2, 2))), "addmv": (el.ones((2, 2)), el.ones(2)),
    "addr": (el.ones(2), el.ones(2)), "bincount": (), "cummax": (0,), "cummin": (0,), "logcumsumexp": (0,),
    "diagonal_scatter": (el.ones(2),), "index_put": ((el.asarray([0]),), 1.0), "kthvalue": (1,), "mvlgamma": (1,),
    "put": (el.asarray([0]), el.ones(1)), "quantile": (0.5,), "nanquantile": (0.5,), "renorm": (2.0, 0, 1.0),
    "scatter_reduce": (0, el.zeros((2, 2), dtype=el.int64), el.ones((2, 2)), "sum"), "polygamma": (1,),
    "select_scatter": (el.ones(2), 0, 0), "slice_scatter": (el.ones((2, 2)),), "split_with_sizes": ((1, 1),),
    "sum_to_size": (1, 2), "take_along_dim": (el.zeros((1, 2), dtype=el.int64), 0), "tensor_split": (2,),
    "hsplit": (2,), "vsplit": (2,), "dsplit": (2,), "masked_scatter": (True, el.ones(4)),
    "ldexp": (el.asarray(1),), "random_": (0, 5), "cumsum": (0,), "cumprod": (0,), "select": (0, 0),
}  # fmt: skip
ONE_NUMBER = {"is_nonzero", "__bool__", "__int__", "__float__", "__complex__", "item", "__index__"}
VECTORS = {"dot", "outer", "ger", "vdot", "bincount", "__contains__"}
CUBES = {"cross": (3, 3), "dsplit": (2, 2, 2)}
REFUSED = {"cuda", "__reduce_ex__", "__init__", "backward", "_rebind", "register_hook"}


def methods() -> dict[str, ast.FunctionDef]:
    tree = ast.parse((SOURCE / "tensor" / "tensor.pyi").read_text())
    (tensor,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Tensor")
    return {
        node.name: node
        for node in tensor.body
        if isinstance(node, ast.FunctionDef) and not node.decorator_list
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(methods()) - REFUSED))
def test_results_of_methods(name):
    """Every method runs on a small tensor, and its result is what the stub says."""
    node = methods()[name]
    dtype = el.int64 if name in INTEGERS else el.float32
    shape = () if name in ONE_NUMBER else (2,) if name in VECTORS else CUBES.get(name, (2, 2))
    x = el.full(shape, 1, dtype=dtype)
    pure = name.removesuffix("_") if name.endswith("_") and not name.startswith("__") else name
    if pure in SHAPES or name in SHAPES:
        given = SHAPES.get(name, SHAPES.get(pure))
    else:
        parameters = [a.arg for a in (*node.args.posonlyargs, *node.args.args)][1:]
        required = parameters[: len(parameters) - len(node.args.defaults)]
        given = [ARGUMENTS.get(parameter, x) for parameter in required]
    found = getattr(x, name)(*given)
    annotation = ast.unparse(node.returns)
    assert conforms(found, annotation), (annotation, type(found))


def test_stubs_cost_nothing_when_imported():
    """A stub is never opened by Python: no module of the package comes from one."""
    text = "import elinvar, sys; print([m for m in sys.modules if m.endswith('primitives')])"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
