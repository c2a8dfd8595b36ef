"""Write the type stubs from the op table and from real signatures: `python tools/type_stubs.py`.

    src/elinvar/__init__.pyi                  the functions of the top level
    src/elinvar/tensor/tensor.pyi             the Tensor with every method and operator
    src/elinvar/linalg/__init__.pyi, src/elinvar/tensor/fft.pyi, random.pyi
    src/elinvar/nn/functional/__init__.pyi
    src/elinvar/ops/primitives.pyi            all primitives as typed functions, for rules
    tests/typing/stubtest_allowlist.txt       where the stubs say more than inspection can see

Functions and methods made from op records and by mixins say `Any` in the sources, because the floor
on which they stand does not know the Tensor. A stub names parameters, order and defaults as the
real signature does; in it `Any` becomes the type that belongs to the parameter's name (PARAMETERS),
and a result becomes a Tensor unless RESULTS says otherwise. tests/test_type_stubs.py holds the
stubs against the sources, against mypy's stubtest and against every documented example.

A stub beside a source replaces it for users' type checkers only: mypy on this package leaves the
stubs out (`exclude` in pyproject.toml) and checks the sources.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import elinvar as el
from elinvar import linalg
from elinvar.core.dtypes import DType
from elinvar.ops.record import Op
from elinvar.ops.table import TABLE
from elinvar.tensor import fft, random
from elinvar.tensor.methods import TensorMethods

SOURCE = Path(__file__).resolve().parent.parent / "src" / "elinvar"
HEADER = "# Made by `python tools/type_stubs.py` from the op table and the sources. Do not edit.\n"
ALLOWLIST = SOURCE.parent.parent / "tests" / "typing" / "stubtest_allowlist.txt"
LONGEST = 88  # columns of a definition, before it is indented and gets its dots
EMPTY = inspect.Parameter.empty

# The type of a parameter that the source calls Any, by its name; all others are ArrayLike.
PARAMETERS = {
    "args": "Any",
    "array": "np.ndarray[Any, Any]",
    "arrays": "ArrayLike",
    "arrays_and_dtypes": "ArrayLike | DType",
    "axis": "Axis",
    "axes": "Sequence[int]",
    "bins": "Any",  # a number, edges, a name
    "condlist": "Any",
    "funclist": "Any",
    "function": "Callable[..., Any]",
    "indices_or_sections": "int | Sequence[int]",
    "kth": "int | Sequence[int]",
    "pad_width": "Any",
    "stat_length": "Any",
    "window_shape": "ShapeLike",
    "new_shape": "ShapeLike",
    "changes": "Any",
    "destination": "int | tuple[int, ...]",
    "device": "str | None",
    "dim": "Axis",
    "dims": "int | Sequence[int]",
    "dtype": "DTypeLike | None",
    "equal_nan": "bool",
    "fill_value": "ArrayLike",
    "from_": "DTypeLike | ArrayLike",
    "generator": "Generator | None",
    "key": "ArrayLike",
    "kind": "DTypeLike | str | tuple[DTypeLike | str, ...]",
    "n": "int | ArrayLike",
    "normalized_shape": "int | Sequence[int]",
    "options": "Any",
    "ord": "float | str",
    "output_size": "int | Sequence[int | None] | None",
    "padding": "str | Sizes",
    "repeats": "ArrayLike",
    "repetitions": "int | Sequence[int]",
    "shape": "ShapeLike",
    "shifts": "int | Sequence[int]",
    "size": "ShapeLike",
    "sizes": "ShapeLike",
    "split_size": "int | Sequence[int]",
    "stream": "Any",
    "stride": "Sizes | None",
    "to": "DTypeLike",
    "type": "DTypeLike | ArrayLike",
}

# Parameters whose name alone does not tell, as (function, parameter).
SPECIAL = {
    ("apply_over_axes", "axes"): "int | Sequence[int]",
    ("astype", "dtype"): "DTypeLike",
    ("delete", "obj"): "Any",  # ints, slices, masks
    ("insert", "obj"): "Any",
    ("lexsort", "keys"): "Any",
    ("select", "choicelist"): "Sequence[ArrayLike]",
    ("select", "condlist"): "Sequence[ArrayLike]",
    ("pad", "mode"): "str",
    ("piecewise", "funclist"): "Sequence[Any]",  # functions and numbers
    ("unravel_index", "shape"): "ShapeLike",
    ("ravel_multi_index", "dims"): "ShapeLike",
    ("ravel_multi_index", "multi_index"): "Any",
    ("indices", "dimensions"): "ShapeLike",
    ("bitcast", "dtype"): "DTypeLike",
    ("broadcast_shapes", "shapes"): "ShapeLike",
    ("isdtype", "dtype"): "DTypeLike",
    ("type", "dtype"): "DTypeLike",
    ("scaled_dot_product_attention", "attn_mask"): "ArrayLike | None",
    ("asarray", "obj"): "Any",  # also DLPack producers
    ("from_dlpack", "x"): "Any",
    ("tensor", "data"): "Any",
    ("array", "data"): "Any",
    ("new_tensor", "data"): "Any",
    ("__init__", "data"): "Any",
    ("argmax", "dim"): "int | None",
    ("argmin", "dim"): "int | None",
    ("argsort", "dim"): "int",
    ("argsort", "axis"): "int",
    ("sort", "dim"): "int",
    ("sort", "axis"): "int",
    ("topk", "dim"): "int",
    ("topk", "axis"): "int",
    ("cumsum", "dim"): "int | None",
    ("cumsum", "axis"): "int | None",
    ("cumprod", "dim"): "int | None",
    ("cumprod", "axis"): "int | None",
    ("chunk", "dim"): "int",
    ("chunk", "axis"): "int",
    ("split", "dim"): "int",
    ("split", "axis"): "int",
    ("unbind", "dim"): "int",
    ("unbind", "axis"): "int",
    ("moveaxis", "source"): "int | tuple[int, ...]",
    ("movedim", "source"): "int | tuple[int, ...]",
    ("roll", "dims"): "Axis",
    ("flip", "dims"): "int | Sequence[int]",
    ("unflatten", "sizes"): "Sequence[int]",
    ("norm", "p"): "float | str | None",
    ("pad", "value"): "float | None",
    ("var", "dim"): "Axis | bool",
    ("std", "dim"): "Axis | bool",
    ("var", "unbiased"): "bool | None",
    ("std", "unbiased"): "bool | None",
    ("__getitem__", "key"): "Any",  # ints, slices, ellipsis, None, tensors, lists, tuples of these
    ("__setitem__", "key"): "Any",
    ("__array__", "dtype"): "Any",
    ("__reduce_ex__", "protocol"): "Any",
    ("view", "shape"): "ShapeLike | DTypeLike",
}

# What is not a Tensor, by function.
RESULTS = {
    "__array__": "np.ndarray[Any, Any]",
    "__array_namespace__": "ModuleType",
    "__dlpack__": "Any",
    "__reduce_ex__": "tuple[Any, ...]",
    "allclose": "bool",
    "apply_over_axes": "Tensor",
    "array_equal": "bool",
    "array_equiv": "bool",
    "atleast_1d": "Any",  # one tensor, or several
    "atleast_2d": "Any",
    "atleast_3d": "Any",
    "average": "Any",  # with `returned` a pair
    "gradient": "Any",
    "indices": "Any",  # sparse: a tuple
    "isscalar": "bool",
    "shuffle": "None",
    "unique": "Any",
    "broadcast_shapes": "tuple[int, ...]",
    "cuda": "NoReturn",
    "dim": "int",
    "element_size": "int",
    "is_complex": "bool",
    "is_contiguous": "bool",
    "is_floating_point": "bool",
    "item": "Any",  # bool, int or float, by the dtype
    "load": "Any",
    "ndimension": "int",
    "numel": "int",
    "nelement": "int",
    "numpy": "np.ndarray[Any, Any]",
    "sort method": "ValuesIndices",
    "tolist": "Any",
    "topk": "TopK",
    "split method": "tuple[Tensor, ...]",
    "chunk method": "tuple[Tensor, ...]",
    "unbind": "tuple[Tensor, ...]",
}

# Results with several parts, by the file of their class.
LINALG_RESULTS = {
    "hermitian": {"eigh": "EighResult"},
    "inverses": {"lstsq": "LstsqResult"},
    "orthogonal": {"qr": "QRResult"},
    "positive": {"cholesky_ex": "CholeskyEx"},
    "singular": {"svd": "SVDResult"},
    "systems": {"inv_ex": "InvEx", "lu": "LU", "lu_factor": "LUFactor", "slogdet": "SlogdetResult"},
}
for _found in LINALG_RESULTS.values():
    RESULTS |= _found

# Methods with several forms.
FORMS = {
    "max": [
        "(self) -> Tensor",
        "(self, dim: int, keepdim: bool = ..., *, keepdims: bool = ...) -> ValuesIndices",
        "(self, dim: Tensor) -> Tensor",
        "(self, dim: None = ..., keepdim: bool = ..., *, axis: Axis = ..., keepdims: bool = ...)"
        " -> Tensor",
    ],
    "median": [
        "(self) -> Tensor",
        "(self, dim: int, keepdim: bool = ...) -> ValuesIndices",
    ],
    "nonzero": [
        "(self, as_tuple: Literal[False] = ...) -> Tensor",
        "(self, as_tuple: Literal[True]) -> tuple[Tensor, ...]",
    ],
    "stride": ["(self, dim: None = ...) -> tuple[int, ...]", "(self, dim: int) -> int"],
    "to": [
        "(self, dtype: DTypeLike, /, *, copy: bool = ...) -> Tensor",
        "(self, other: Tensor, /, *, copy: bool = ...) -> Tensor",
        "(self, device: str, dtype: DTypeLike, /, *, copy: bool = ...) -> Tensor",
        "(self, *, dtype: DTypeLike | None = ..., device: str | None = ..., "
        "other: Tensor | None = ..., copy: bool = ...) -> Tensor",
    ],
}
FORMS["min"] = FORMS["max"]

# Functions with several forms.
FUNCTION_FORMS = {
    "where": [
        "(condition: ArrayLike, x1: ArrayLike, x2: ArrayLike, /) -> Tensor",
        "(condition: ArrayLike, x1: None = ..., x2: None = ..., /, *, size: int | None = ..., "
        "fill_value: int = ...) -> tuple[Tensor, ...]",
    ],
}

# Functions of functions and the like: their sources are typed and name no Tensor.
AS_WRITTEN = {
    "all_gather", "associative_scan", "axis_index", "axis_size", "checkpoint", "composite", "cond",
    "fori_loop", "functional_call", "grad", "hessian", "hvp", "jacfwd", "jacrev", "jit", "jvp",
    "linearize", "map", "pmax", "pmean", "pmin", "ppermute", "psum", "scan", "set_printoptions",
    "stack_module_state", "switch", "value_and_grad", "vjp", "vmap", "while_loop",
}  # fmt: skip

ALIASES = """
_Number: TypeAlias = int | float | complex
_Nested: TypeAlias = list[Any] | tuple[Any, ...] | range
_ArrayLike: TypeAlias = Tensor | _Number | np.generic | _SupportsArray | _Nested
_DTypeLike: TypeAlias = DType | str | type[Any] | np.dtype[Any]
_ShapeLike: TypeAlias = int | Dim | Sequence[int | Dim]
_Axis: TypeAlias = int | Sequence[int] | None
_Sizes: TypeAlias = int | Sequence[int]
"""
ALIAS_NAMES = tuple(re.findall(r"^_(\w+):", ALIASES, re.M))


# -- one function -----------------------------------------------------------------------------


def named(annotation: str) -> str:
    """An annotation in the words of a stub: aliases are private, builtins that are shadowed too."""
    words = "|".join(sorted({*ALIAS_NAMES} - {"Number", "Nested"}, key=len, reverse=True))
    return re.sub(rf"(?<![\w_])({words})\b", r"_\1", annotation)


def joined(parts: Iterable[str]) -> str:
    """Definitions one below the other; a blank line follows those that have a docstring."""
    bare = ("...\n", "]\n")
    text = "".join(part if part.endswith(bare) else f"{part}\n" for part in parts)
    return text.rstrip() + "\n"


def type_of(function: str, parameter: inspect.Parameter) -> str:
    """The annotation of a parameter in the stub."""
    given = parameter.annotation
    special = SPECIAL.get((function, parameter.name))
    if special is not None:
        return named(special)
    loose = given is EMPTY or given == "ArrayLike" or "Any" in str(given).split("[")[0]
    if not loose:
        text = str(given).replace("Sequence[Any]", "Sequence[ArrayLike]")
        return named(text)
    found = PARAMETERS.get(parameter.name, "ArrayLike")
    if parameter.default is None and "None" not in found and found not in ("Any", "Axis"):
        found += " | None"
    return named(found)


def default_of(parameter: inspect.Parameter) -> str:
    """The default as it stands in the stub; `...` for what has no literal."""
    value = parameter.default
    if isinstance(value, str):
        return f'"{value}"'
    if value is None or isinstance(value, bool | int | float) or value == ():
        return repr(value)
    return "..."


def parameters_of(
    function: str, parameters: Iterable[inspect.Parameter], is_method: bool
) -> list[str]:
    """The parameters of a signature, one text each, with the marks `/` and `*`."""
    found: list[str] = []
    previous = None
    for place, parameter in enumerate(parameters):
        kind = parameter.kind
        if previous is parameter.POSITIONAL_ONLY and kind is not previous:
            found.append("/")
        if kind is parameter.KEYWORD_ONLY and previous not in (kind, parameter.VAR_POSITIONAL):
            found.append("*")
        previous = kind
        mark = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(kind, "")
        if is_method and place == 0:
            found.append(parameter.name)  # `x` where a method is a function of the top level
            continue
        text = f"{mark}{parameter.name}: {type_of(function, parameter)}"
        if parameter.default is not EMPTY:
            text += f" = {default_of(parameter)}"
        found.append(text)
    if previous is inspect.Parameter.POSITIONAL_ONLY:
        found.append("/")
    return found


def result_of(function: str, annotation: Any, is_method: bool = False) -> str:
    """The result type in the stub."""
    found = RESULTS.get(f"{function} method") if is_method else None
    found = found or RESULTS.get(function)
    if found is None:
        text = "Any" if annotation is EMPTY else str(annotation)
        found = text.replace("Any", "Tensor")
    return named(found)


def summary(doc: str | None) -> str:
    """The first line of a docstring; of a long line as many sentences as fit."""
    line = (doc or "").strip().split("\n")[0].strip()
    while len(line) > 85 and ". " in line:
        line = line.rpartition(". ")[0] + "."
    return textwrap.shorten(line, 88, placeholder=" …")


def definition(name: str, parameters: list[str], result: str, doc: str, before: str = "") -> str:
    """`def name(...) -> result:` with its summary, on one line or a line for each parameter."""
    head = f"def {name}({', '.join(parameters)}) -> {result}:"
    if len(head) > LONGEST:
        inner = "".join(f"    {part},\n" for part in parameters)
        head = f"def {name}(\n{inner}) -> {result}:"
    return f'{before}{head}\n    """{doc}"""\n' if doc else f"{before}{head} ...\n"


def function_stub(name: str, function: Callable[..., Any]) -> str:
    """The stub of a function of a module."""
    if name in FUNCTION_FORMS:
        return "".join(overload(name, form) for form in FUNCTION_FORMS[name])
    signature = inspect.signature(function)
    parameters = parameters_of(name, signature.parameters.values(), False)
    result = result_of(name, signature.return_annotation)
    return definition(name, parameters, result, summary(function.__doc__))


# -- modules ----------------------------------------------------------------------------------


def imports(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


def private_imports(text: str, own: str = "") -> str:
    """The import of those private aliases that a text uses."""
    used = [f"_{name}" for name in ALIAS_NAMES if re.search(rf"\b_{name}\b", text)]
    names = sorted({*used, *(["Tensor"] if "Tensor" in text else [])} - {own})
    joined = ", ".join(sorted(names))
    line = f"from elinvar.tensor.tensor import {joined}"
    if len(line) <= 100:
        return line
    rows = "".join(f"    {name},\n" for name in sorted(names))
    return f"from elinvar.tensor.tensor import (\n{rows})"


def all_list(module: ModuleType) -> str:
    return "__all__ = [\n" + "".join(f'    "{name}",\n' for name in module.__all__) + "]\n"


def is_typed(function: Any) -> bool:
    """Whether a function's own annotations say all, without Any."""
    texts = [str(p.annotation) for p in inspect.signature(function).parameters.values()]
    texts.append(str(inspect.signature(function).return_annotation))
    return not any("Any" in text or "ArrayLike" in text for text in texts)


AS_IT_IS = ("load", "save", "export_native", "load_native")


def top_level() -> str:
    """src/elinvar/__init__.pyi"""
    same: dict[str, list[str]] = {}  # module → names that are passed on
    functions, objects = [], []
    for name in el.__all__:
        value = getattr(el, name)
        if isinstance(value, ModuleType):
            continue
        if isinstance(value, el.DType) or isinstance(value, float) or value is None:
            continue
        if not callable(value):
            objects.append(f"{name}: Any\n")
            continue
        place = value.__module__
        if isinstance(value, type) or name in AS_IT_IS or (
            name in AS_WRITTEN or is_typed(value)
        ):  # fmt: skip
            same.setdefault(place, []).append(name)
        else:
            functions.append(function_stub(name, value))
    dtypes = [n for n in el.__all__ if isinstance(getattr(el, n), el.DType) and n != "bool"]
    same.setdefault("elinvar.core.dtypes", []).extend(dtypes)
    body = joined(functions)
    body = re.sub(r"\bbool\b(?!\()", "_bool", body)
    lines = [
        "import builtins",
        "from collections.abc import Callable, Sequence",
        "from typing import Any, overload",
        "",
        "import numpy as np",
        "",
        "from elinvar import data as data",
        "from elinvar import export as export",
        "from elinvar import linalg as linalg",
        "from elinvar import nn as nn",
        "from elinvar import optim as optim",
        "from elinvar import testing as testing",
        "from elinvar.tensor import checkpoint_policies as checkpoint_policies",
        "from elinvar.tensor import fft as fft",
        "from elinvar.tensor import random as random",
        "from elinvar.tensor import trees as tree",
        "from elinvar.tensor.extra import special as special",
    ]
    for place in sorted(same):
        lines += [f"from {place} import {n} as {n}" for n in sorted(same[place], key=order)]
    lines.append("from elinvar.tensor.casting import FloatInfo, IntegerInfo, NamespaceInfo")
    lines.append("from elinvar.tensor.searching import TopK")
    unique = "UniqueAll, UniqueCounts, UniqueInverse"
    lines.append(f"from elinvar.tensor.uniques import {unique}")
    lines.append(private_imports(body, "Tensor"))
    lines = lines[:10] + sorted(lines[10:], key=lambda line: line.split()[1])
    constants = "".join(f"{n}: float\n" for n in ("e", "inf", "nan", "pi"))
    return (
        f"{HEADER}\n" + imports(*lines) + "\n_bool = builtins.bool\n\n"
        "__version__: str\n__array_api_version__: str\n\nbool: DType\n"
        f"{constants}newaxis: None\n{''.join(objects)}\n{body}\n"
        "def __array_namespace_info__() -> NamespaceInfo: ...\n\n" + all_list(el)
    )


def order(name: str) -> tuple[bool, list[str]]:
    """Classes first; numbers in names count as numbers."""
    parts = re.split(r"(\d+)", name)
    return (not name[0].isupper(), [part.zfill(4) if part.isdigit() else part for part in parts])


def functions_module(module: ModuleType, names: Iterable[str], doc_only: bool = False) -> str:
    """The stub of a module that offers functions."""
    parts = [function_stub(name, getattr(module, name)) for name in names]
    body = joined(parts)
    lines = []
    if "Sequence[" in body:
        lines.append("from collections.abc import Sequence")
    if re.search(r"\bAny\b|\bLiteral\b", body):
        lines.append("from typing import Any")
    if "np." in body:
        lines += ["", "import numpy as np"]
    lines += [""] if lines else []
    return body, lines


def fft_module() -> str:
    """src/elinvar/tensor/fft.pyi"""
    body, lines = functions_module(fft, fft.__all__)
    lines.append(private_imports(body))
    return f"{HEADER}\n{imports(*lines)}\n{body}\n{all_list(fft)}"


def linalg_module() -> str:
    """src/elinvar/linalg/__init__.pyi"""
    names = [name for name in linalg.__all__ if isinstance(getattr(linalg, name), FunctionType)]
    body, lines = functions_module(linalg, names)
    lines.append("from elinvar.core.errors import LinAlgError as LinAlgError")
    for place, found in LINALG_RESULTS.items():
        results = sorted(found.values(), key=lambda name: (not name.isupper(), name))
        lines.append(f"from elinvar.linalg.{place} import {', '.join(results)}")
    lines.append(private_imports(body))
    return f"{HEADER}\n{imports(*lines)}\n{body}\n{all_list(linalg)}"


def special_module() -> str:
    """src/elinvar/tensor/extra/special.pyi"""
    body, lines = functions_module(el.special, el.special.__all__)
    lines.append(private_imports(body))
    return f"{HEADER}\n{imports(*lines)}\n{body}\n{all_list(el.special)}"


def functional_module() -> str:
    """src/elinvar/nn/functional/__init__.pyi"""
    functional = el.nn.functional
    body, lines = functions_module(functional, functional.__all__)
    lines.append(private_imports(body))
    return f"{HEADER}\n{imports(*lines)}\n{body}\n{all_list(functional)}"


def random_module() -> str:
    """src/elinvar/tensor/random.pyi"""
    names = [
        name
        for name, value in vars(random).items()
        if not name.startswith("_")
        and isinstance(value, FunctionType)
        and value.__module__ == random.__name__
    ]
    body, lines = functions_module(random, dict.fromkeys([*names, *random._LATER]))
    generator = f"{class_stub(random.Generator)}\n{class_stub(random.Stream)}"
    if "Any" in generator and "from typing import Any" not in lines:
        lines.insert(0, "from typing import Any")
        lines.insert(1, "")
    lines.append("from elinvar.core.shapes import Shape")
    lines.append(private_imports(body + generator))
    own = "default_generator: Generator\n"
    return f"{HEADER}\n{imports(*lines)}\n{generator}\n{own}\n{body}"


def class_stub(kind: type) -> str:
    """The stub of a plain class: its public methods and properties."""
    parts = []
    for name, value in vars(kind).items():
        if name.startswith("_") and name != "__init__":
            continue
        if isinstance(value, property):
            parts.append(property_stub(name, value))
        elif isinstance(value, FunctionType):
            parts.append(method_stub(name, value))
    doc = f'    """{summary(kind.__doc__)}"""\n\n'
    return f"class {kind.__name__}:\n{doc}" + textwrap.indent(joined(parts), "    ")


# -- the Tensor -------------------------------------------------------------------------------

PROPERTIES = {
    "data": "Tensor",
    "dtype": "DType",
    "grad": "Tensor | None",
    "itemsize": "int",
    "nbytes": "int",
    "size": "Size",
}
OVERRIDES = ("__eq__", "__ne__")


def property_stub(name: str, value: property) -> str:
    """A property, with its setter where it has one."""
    given = str(inspect.signature(value.fget).return_annotation)
    kind = PROPERTIES.get(name) or given.replace("Any", "Tensor")
    doc = summary(value.__doc__)
    text = definition(name, ["self"], kind, doc, "@property\n")
    if value.fset is not None:
        written = "ArrayLike" if name == "data" else kind
        text += definition(
            name, ["self", f"value: {named(written)}"], "None", "", f"@{name}.setter\n"
        )
    return text


def method_stub(name: str, function: Any) -> str:
    """A method of the Tensor."""
    doc = summary(function.__doc__)
    if name in FORMS:
        return "".join(overload(name, form) for form in FORMS[name])
    if in_place(function):
        return in_place_stub(name, doc)
    signature = inspect.signature(function)
    given = [p for p in signature.parameters.values() if not is_passed_on(function, p)]
    parameters = parameters_of(name, given, True)
    if len(given) < len(signature.parameters) and name in ("sum", "prod"):
        parameters.append("dtype: _DTypeLike | None = None")
    result = result_of(name, signature.return_annotation, True)
    if re.fullmatch(r"__i[a-z]+__", name) and name not in ("__init__", "__invert__", "__int__"):
        result = "Self" if name not in ("__iter__", "__index__") else result
    if name in ("assign", "requires_grad_", "copy_", "fill_", "zero_") or (
        name.endswith("_") and not name.endswith("__")
    ):
        result = "Self"
    if name.startswith("__") and parameters[0] == "x":
        parameters[0] = "self"
    if name.startswith("__") and parameters[1:] in (["y: _ArrayLike"], ["x: _ArrayLike"]):
        parameters[1] = "other: _ArrayLike"  # one name for the operand of all operators
    if name in OVERRIDES:
        return f"def {name}(self, {parameters[1]}) -> Tensor: ...  # type: ignore[override]\n"
    return definition(name, parameters, result, doc)


def overload(name: str, form: str) -> str:
    """One form of a method: `(parameters) -> result`."""
    inside, result = form.removeprefix("(").split(") -> ")
    return definition(name, named(inside).split(", "), named(result), "", "@overload\n")


def is_passed_on(function: Any, parameter: inspect.Parameter) -> bool:
    """Whether a parameter is the **options of a reduction, which only `sum` and `prod` know."""
    made = function.__code__.co_qualname.startswith("_reduction.")
    return made and parameter.kind is parameter.VAR_KEYWORD


def in_place(function: Any) -> bool:
    """Whether a method was made by `_in_place` and takes what its pure form takes."""
    return isinstance(function, FunctionType) and (
        function.__code__.co_qualname.startswith("_in_place.")
    )


def in_place_stub(name: str, doc: str) -> str:
    """`exp_` has the parameters of `exp`."""
    return definition(name, in_place_parameters(name), "Self", doc)


def in_place_parameters(name: str) -> list[str]:
    pure = name.removesuffix("_")
    signature = inspect.signature(inspect.getattr_static(TensorMethods, pure))
    return ["self", *parameters_of(pure, signature.parameters.values(), True)[1:]]


def tensor_members() -> dict[str, Any]:
    """All methods and properties of Tensor that a user may name."""
    found = {}
    for kind in reversed(el.Tensor.__mro__):
        if kind is object:
            continue
        for name, value in vars(kind).items():
            private = name.startswith("_") and not name.startswith("__") and name != "_rebind"
            if not private and isinstance(value, property | FunctionType):
                found[name] = value
    return found


def tensor_module() -> str:
    """src/elinvar/tensor/tensor.pyi"""
    members = tensor_members()
    ordered = sorted(members, key=lambda n: (not n.startswith("__"), n))
    parts = []
    for name in ordered:
        value = members[name]
        is_property = isinstance(value, property)
        parts.append(property_stub(name, value) if is_property else method_stub(name, value))
    parts.insert(0, "def __hash__(self) -> int: ...\n")
    parts.insert(0, "__array_priority__: int\n")
    inner = re.sub(r"(?<![\w.])(bool|int|float)\b(?!\()", r"_\1", joined(parts))
    # docstrings and parameters' names keep their words
    inner = re.sub(r'""".*?"""', lambda m: re.sub(r"_(bool|int|float)\b", r"\1", m[0]), inner)
    size = (
        "class _SupportsArray(Protocol):\n"
        "    def __array__(self) -> np.ndarray[Any, Any]: ...\n\n"
        "class Size(int):\n"
        f'    """{summary(SIZE.__doc__)}"""\n\n'
        "    @overload\n    def __call__(self, dim: None = None) -> tuple[int, ...]: ...\n"
        "    @overload\n    def __call__(self, dim: int) -> int: ...\n"
    )
    lines = [
        "from builtins import bool as _bool",
        "from builtins import float as _float",
        "from builtins import int as _int",
        "from collections.abc import Callable, Iterator, Sequence",
        "from types import ModuleType",
        "from typing import Any, Literal, NoReturn, Protocol, Self, TypeAlias, overload",
        "",
        "import numpy as np",
        "",
        "from elinvar.core.dtypes import DType",
        "from elinvar.core.shapes import Dim",
        "from elinvar.tensor.cell import Cell",
        "from elinvar.tensor.methods_math import ValuesIndices",
        "from elinvar.tensor.random import Generator",
        "from elinvar.tensor.searching import TopK",
        "from elinvar.tensor.tape import HookHandle",
    ]
    tensor = f'class Tensor(Cell):\n    """{summary(el.Tensor.__doc__)}"""\n\n'
    tensor += textwrap.indent(inner, "    ")
    return f"{HEADER}\n{imports(*lines)}{ALIASES}\n{size}\n{tensor}"


SIZE = type(el.ones(1).size)


# -- primitives -------------------------------------------------------------------------------

RULE_TYPES = {"Axes": "tuple[int, ...]", "Ints": "tuple[int, ...]", "Any": "Any"}


def operands_of(op: Op) -> list[str]:
    """The operands of a primitive, by the type rule or, where that takes any, by the lowering."""
    rule = list(inspect.signature(op.type_rule).parameters.values())
    if any(p.kind is p.VAR_POSITIONAL for p in rule):
        if op.family == "elementwise":
            names = [p.name for p in inspect.signature(op.lowering).parameters.values()]
            count = len(op.samples()[0].operands)
            if len(names) < count or names[0] in ("values", "scalars", "xs"):
                names = ["x", "y", "z"]
            return [f"{name}: V" for name in names[:count]] + ["/"]
        fixed = [f"{p.name}: V" for p in rule if p.kind is p.POSITIONAL_OR_KEYWORD]
        fixed += ["/"] if fixed else []
        return fixed + [f"*{p.name}: V" for p in rule if p.kind is p.VAR_POSITIONAL]
    names = [p.name for p in rule if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [f"{name}: V" for name in names] + (["/"] if names else [])


def params_of(op: Op) -> list[str]:
    """The params of a primitive: the keyword-only parameters of its type rule."""
    rule = inspect.signature(op.type_rule).parameters
    found = []
    for name in op.params:
        given = str(rule[name].annotation) if name in rule else sampled_type(op, name)
        given = "Any" if name in rule and rule[name].annotation is EMPTY else given
        default = " = None" if name in op.optional else ""
        found.append(f"{name}: {RULE_TYPES.get(given, given)}{default}")
    return found


def sampled_type(op: Op, name: str) -> str:
    """The type of a param that the type rule takes as **params: that of the samples' values."""
    values = [sample.params[name] for sample in op.samples() if name in sample.params]
    kinds = {type(value) for value in values}
    if kinds == {DType}:
        return "DType | None" if name in op.optional else "DType"
    return kinds.pop().__name__ if kinds in ({bool}, {int}) else "Shape"


def primitive_stub(op: Op) -> str:
    """One primitive as a method of the namespace."""
    operands, params = operands_of(op), params_of(op)
    star = ["*"] if params and not any(o.startswith("*") for o in operands) else []
    several = op.results if isinstance(op.results, int) else None
    if several is None:
        result = "Any"  # one value bare, several as a tuple: the sub-graphs decide
    else:
        result = "V" if several == 1 else f"tuple[{', '.join(['V'] * several)}]"
    return definition(op.name, ["self", *operands, *star, *params], result, summary(op.doc))


def primitives_module() -> str:
    """src/elinvar/ops/primitives.pyi"""
    body = textwrap.indent(joined(primitive_stub(op) for op in TABLE), "    ")
    # names of primitives (`round`, `slice`, `all`) hide no type that the annotations use
    lines = [
        "from typing import Any, Generic",
        "",
        "from typing_extensions import TypeVar",
        "",
        "from elinvar.core.dtypes import DType",
        "from elinvar.core.shapes import DimLike, Shape",
        "",
        'V = TypeVar("V", default=Any)',
    ]
    pairs = "Pairs = tuple[tuple[int, ...], tuple[int, ...]]\n" if "Pairs" in body else ""
    head = (
        "class Primitives(Generic[V]):\n"
        '    """All primitives on values of one kind: operands first, params by keyword."""\n\n'
    )
    return f"{HEADER}\n{imports(*lines)}{pairs}\n{head}{body}"


# -- all files --------------------------------------------------------------------------------


def stubs() -> dict[Path, str]:
    """Every stub file with its text."""
    return {
        SOURCE / "__init__.pyi": top_level(),
        SOURCE / "tensor" / "tensor.pyi": tensor_module(),
        SOURCE / "tensor" / "fft.pyi": fft_module(),
        SOURCE / "linalg" / "__init__.pyi": linalg_module(),
        SOURCE / "tensor" / "random.pyi": random_module(),
        SOURCE / "tensor" / "extra" / "special.pyi": special_module(),
        SOURCE / "nn" / "functional" / "__init__.pyi": functional_module(),
        SOURCE / "ops" / "primitives.pyi": primitives_module(),
    }


def allowlist() -> str:
    """tests/typing/stubtest_allowlist.txt: names of objects, under the reason."""
    place = "elinvar\\.tensor\\.tensor"
    lines = [
        "# Made by `python tools/type_stubs.py`. Patterns of what mypy.stubtest may find.",
        "",
        "# Its layout is that of an int with attributes; nobody derives from it.",
        f"{place}\\.Size",
        "",
        "# They take what their pure form takes and would pass on any *args.",
    ]
    names = [name for name, member in sorted(tensor_members().items()) if in_place(member)]
    bare = [name for name in names if in_place_parameters(name)[1:2] in ([], ["/"], ["*"])]
    lines += [f"{place}\\.Tensor\\.{name}" for name in bare]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for path, text in {**stubs(), ALLOWLIST: allowlist()}.items():
        path.write_text(text)
