"""Stubs of modules that offer functions: the top level, linalg, random, nn.functional."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from types import FunctionType, ModuleType
from typing import Any

import elinvar as el
from elinvar import linalg
from elinvar.tensor import fft, random
from stubs.functions import (
    HEADER,
    all_list,
    function_stub,
    imports,
    joined,
    private_imports,
)
from stubs.words import AS_WRITTEN, LINALG_RESULTS


def is_typed(function: Any) -> bool:
    """Whether a function's own annotations say all, without Any."""
    texts = [str(p.annotation) for p in inspect.signature(function).parameters.values()]
    texts.append(str(inspect.signature(function).return_annotation))
    return not any("Any" in text or "ArrayLike" in text for text in texts)


AS_IT_IS = ("load", "run", "save", "export_native", "load_native")


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
        "from typing import Any, Literal, overload",
        "",
        "import numpy as np",
        "",
        "from elinvar import carbon as carbon",
        "from elinvar import data as data",
        "from elinvar import export as export",
        "from elinvar import linalg as linalg",
        "from elinvar import metrics as metrics",
        "from elinvar import nn as nn",
        "from elinvar import optim as optim",
        "from elinvar import testing as testing",
        "from elinvar import train as train",
        "from elinvar.nn import func as func",
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
    lines = lines[:6] + sorted(lines[6:], key=lambda line: line.split()[1])
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


def plain_module(module: ModuleType) -> str:
    """The stub of a module whose `__all__` names functions."""
    body, lines = functions_module(module, module.__all__)
    lines.append(private_imports(body))
    return f"{HEADER}\n{imports(*lines)}\n{body}\n{all_list(module)}"


def fft_module() -> str:
    """src/elinvar/tensor/fft.pyi"""
    return plain_module(fft)


def special_module() -> str:
    """src/elinvar/tensor/extra/special.pyi"""
    return plain_module(el.special)


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


def functional_module() -> str:
    """src/elinvar/nn/functional/__init__.pyi"""
    return plain_module(el.nn.functional)


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
    lines.append("from elinvar.core.shapes import Shape")
    lines.append("from elinvar.tensor.streams import Generator as Generator")
    lines.append("from elinvar.tensor.streams import default_generator as default_generator")
    lines.append(private_imports(body))
    return f"{HEADER}\n{imports(*lines)}\n{body}\ndef __dir__() -> list[str]: ...\n"
