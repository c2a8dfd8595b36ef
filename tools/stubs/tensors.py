"""src/elinvar/tensor/tensor.pyi: the Tensor with every method and operator."""

from __future__ import annotations

import inspect
import re
import textwrap
from types import FunctionType
from typing import Any

import elinvar as el
from elinvar.core.later import Later
from elinvar.tensor.methods import TensorMethods
from stubs.functions import (
    HEADER,
    definition,
    imports,
    joined,
    named,
    overload,
    parameters_of,
    result_of,
    summary,
)
from stubs.words import ALIASES, FORMS

PROPERTIES = {
    "at": "At",
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
        for name, value in list(vars(kind).items()):
            if isinstance(value, Later):
                value = value.load()
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
        "from elinvar.tensor.extra.at import At",
        "from elinvar.tensor.extra.methods import MinMax",
        "from elinvar.tensor.methods_math import ValuesIndices",
        "from elinvar.tensor.random import Generator",
        "from elinvar.tensor.searching import TopK",
        "from elinvar.tensor.tape import HookHandle",
    ]
    tensor = f'class Tensor(Cell):\n    """{summary(el.Tensor.__doc__)}"""\n\n'
    tensor += textwrap.indent(inner, "    ")
    return f"{HEADER}\n{imports(*lines)}{ALIASES}\n{size}\n{tensor}"


SIZE = type(el.ones(1).size)
