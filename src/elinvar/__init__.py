"""Elinvar: a deep learning framework with its own compiler. The same bits, whatever the machine.

    import elinvar as el

    x = el.asarray([[1.0, 2.0], [3.0, 4.0]])
    y = (x @ x.mT).sum()

- Functions at the top level are those of the Python Array API standard, with `axis` and `keepdims`.
- Methods of tensors, `el.nn`, `el.nn.functional` and `el.optim` have PyTorch's names and arguments.
- `el.jit`, `el.grad`, `el.vjp`, `el.scan`, … transform functions of tensors.
"""

from __future__ import annotations

import importlib
import math
import sys
from typing import TYPE_CHECKING, Any

from elinvar import linalg
from elinvar.core.dtypes import (
    DType,
    bfloat16,
    bool_,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from elinvar.core.errors import ElinvarError, ValueSemanticsWarning
from elinvar.core.other_names import hint_for
from elinvar.core.shapes import Dim
from elinvar.core.version import VERSION
from elinvar.runtime.pool import get_num_threads, set_num_threads
from elinvar.tensor import checkpoint_policies, methods, random
from elinvar.tensor import trees as tree
from elinvar.tensor.casting import (
    NamespaceInfo,
    astype,
    bitcast,
    can_cast,
    finfo,
    iinfo,
    isdtype,
    result_type,
    stop_gradient,
)
from elinvar.tensor.checkpoint import checkpoint
from elinvar.tensor.checkpoint_policies import checkpoint_name
from elinvar.tensor.composite import composite
from elinvar.tensor.control import cond, fori_loop, scan, while_loop
from elinvar.tensor.creation import (
    arange,
    array,
    asarray,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    linspace,
    meshgrid,
    one_hot,
    ones,
    ones_like,
    tensor,
    tril,
    triu,
    zeros,
    zeros_like,
)
from elinvar.tensor.custom import custom_jvp, custom_vjp
from elinvar.tensor.debugging import debug_nans
from elinvar.tensor.einops_backend import offer_backend
from elinvar.tensor.einsum import einsum, einsum_path
from elinvar.tensor.elementwise import (
    abs,
    acos,
    acosh,
    add,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    ceil,
    clip,
    complex,
    conj,
    copysign,
    cos,
    cosh,
    divide,
    equal,
    erf,
    exp,
    expm1,
    floor,
    floor_divide,
    greater,
    greater_equal,
    hypot,
    imag,
    isclose,
    isfinite,
    isinf,
    isnan,
    lerp,
    less,
    less_equal,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    multiply,
    negative,
    nextafter,
    not_equal,
    positive,
    pow,
    real,
    reciprocal,
    remainder,
    round,
    sign,
    signbit,
    sin,
    sinh,
    sqrt,
    square,
    subtract,
    tan,
    tanh,
    trunc,
)
from elinvar.tensor.evaluating import eval_shape
from elinvar.tensor.extra.names import PLACES
from elinvar.tensor.gradients import grad, value_and_grad, vjp
from elinvar.tensor.interop import from_dlpack, from_numpy
from elinvar.tensor.jacobians import hessian, hvp, jacfwd, jacrev
from elinvar.tensor.jit import jit
from elinvar.tensor.linear import dot, matmul, outer, tensordot, vecdot
from elinvar.tensor.looping import associative_scan, map, switch
from elinvar.tensor.manipulation import (
    broadcast_arrays,
    broadcast_shapes,
    broadcast_to,
    chunk,
    concat,
    expand_dims,
    flip,
    matrix_transpose,
    moveaxis,
    permute_dims,
    reshape,
    roll,
    split,
    squeeze,
    stack,
    tile,
    unstack,
)
from elinvar.tensor.named_axes import (
    all_gather,
    axis_index,
    axis_size,
    pmax,
    pmean,
    pmin,
    ppermute,
    psum,
)
from elinvar.tensor.printing import set_printoptions
from elinvar.tensor.profile import profile
from elinvar.tensor.random import (
    Generator,
    bernoulli,
    manual_seed,
    multinomial,
    normal,
    permutation,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    uniform,
)
from elinvar.tensor.reductions import (
    all,
    any,
    argmax,
    argmin,
    count_nonzero,
    cumulative_prod,
    cumulative_sum,
    diff,
    logsumexp,
    max,
    mean,
    min,
    prod,
    std,
    sum,
    var,
)
from elinvar.tensor.repeating import repeat
from elinvar.tensor.searching import (
    argsort,
    isin,
    nonzero,
    searchsorted,
    sort,
    take,
    take_along_axis,
    topk,
    where,
)
from elinvar.tensor.special import erfinv
from elinvar.tensor.specs import TensorSpec
from elinvar.tensor.stepping import disable_jit
from elinvar.tensor.tangents import jvp, linearize
from elinvar.tensor.tape import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from elinvar.tensor.tensor import Tensor
from elinvar.tensor.uniques import (
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
)
from elinvar.tensor.vmap import vmap

if TYPE_CHECKING:
    from elinvar import carbon, data, export, nn, optim, testing
    from elinvar.export.loader import load_native
    from elinvar.export.native import export_native
    from elinvar.nn import func
    from elinvar.nn.serialization import load, save
    from elinvar.nn.stateless import functional_call, stack_module_state
    from elinvar.runs.loop import run
    from elinvar.tensor.extra import special

__version__ = VERSION
__array_api_version__ = "2025.12"

bool = bool_
e, inf, nan, pi = math.e, math.inf, math.nan, math.pi
newaxis = None

# Parts that a program may not need are imported when they are first named.
_MODULES = ("carbon", "data", "export", "metrics", "nn", "optim", "testing", "train")
_LATER = {
    **{name: f"elinvar.{name}" for name in _MODULES},
    "autocast": "elinvar.tensor.autocasting",
    **PLACES,
    "export_native": "elinvar.export.native",
    "fft": "elinvar.tensor.fft",
    "func": "elinvar.nn.func",
    "functional_call": "elinvar.nn.stateless",
    "load_native": "elinvar.export.loader",
    "load": "elinvar.nn.serialization",
    "run": "elinvar.runs.loop",
    "save": "elinvar.nn.serialization",
    "special": "elinvar.tensor.extra.special",
    "stack_module_state": "elinvar.nn.stateless",
    "Trainer": "elinvar.train",
}


def allclose(
    x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: Any = False
) -> Any:
    """Whether |x1 - x2| ≤ atol + rtol · |x2| everywhere, as one Python bool.

    Example:
        >>> import elinvar as el
        >>> el.allclose(el.asarray([1.0]), 1.0)
        True
    """
    return all(isclose(x1, x2, rtol, atol, equal_nan)).item()


def __array_namespace_info__() -> NamespaceInfo:
    """Devices, dtypes and capabilities, by the standard."""
    return NamespaceInfo()


def __getattr__(name: str) -> Any:
    place = _LATER.get(name)
    if place is None:
        raise AttributeError(f"module 'elinvar' has no attribute {name!r}{hint_for(name)}")
    module = importlib.import_module(place)
    found = module if place.endswith(f".{name}") else getattr(module, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


methods.namespace[0] = sys.modules[__name__]
offer_backend()

__all__ = [
    "DType",
    "Dim",
    "ElinvarError",
    "Trainer",
    "ValueSemanticsWarning",
    "Generator",
    "Tensor",
    "TensorSpec",
    "abs",
    "acos",
    "acosh",
    "add",
    "all",
    "all_gather",
    "allclose",
    "angle",
    "any",
    "arange",
    "argmax",
    "argmin",
    "argsort",
    "array",
    "asarray",
    "asin",
    "asinh",
    "associative_scan",
    "astype",
    "atan",
    "atan2",
    "atanh",
    "autocast",
    "axis_index",
    "axis_size",
    "bernoulli",
    "bfloat16",
    "bincount",
    "bitcast",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "bool",
    "broadcast_arrays",
    "broadcast_shapes",
    "broadcast_to",
    "can_cast",
    "carbon",
    "ceil",
    "checkpoint",
    "checkpoint_name",
    "checkpoint_policies",
    "chunk",
    "clip",
    "complex",
    "complex128",
    "complex64",
    "composite",
    "concat",
    "cond",
    "conj",
    "copysign",
    "cos",
    "cosh",
    "count_nonzero",
    "cumulative_prod",
    "cumulative_sum",
    "custom_jvp",
    "custom_vjp",
    "data",
    "debug_nans",
    "disable_jit",
    "diff",
    "divide",
    "dot",
    "e",
    "einsum",
    "einsum_path",
    "empty",
    "empty_like",
    "enable_grad",
    "equal",
    "erf",
    "erfinv",
    "eval_shape",
    "exp",
    "expand_dims",
    "expm1",
    "export",
    "export_native",
    "eye",
    "fft",
    "finfo",
    "flip",
    "float16",
    "float32",
    "float64",
    "floor",
    "floor_divide",
    "fori_loop",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "func",
    "functional_call",
    "get_num_threads",
    "grad",
    "greater",
    "greater_equal",
    "hessian",
    "hvp",
    "hypot",
    "iinfo",
    "imag",
    "inf",
    "inference_mode",
    "int16",
    "int32",
    "int64",
    "int8",
    "is_grad_enabled",
    "isclose",
    "isdtype",
    "isfinite",
    "isin",
    "isinf",
    "isnan",
    "jacfwd",
    "jacrev",
    "jit",
    "jvp",
    "lerp",
    "less",
    "less_equal",
    "linalg",
    "linearize",
    "linspace",
    "load",
    "load_native",
    "log",
    "log10",
    "log1p",
    "log2",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logsumexp",
    "manual_seed",
    "map",
    "matmul",
    "matrix_transpose",
    "max",
    "maximum",
    "mean",
    "meshgrid",
    "metrics",
    "min",
    "minimum",
    "moveaxis",
    "multinomial",
    "multiply",
    "nan",
    "negative",
    "newaxis",
    "nextafter",
    "nn",
    "no_grad",
    "nonzero",
    "normal",
    "not_equal",
    "one_hot",
    "ones",
    "ones_like",
    "optim",
    "outer",
    "permutation",
    "permute_dims",
    "pi",
    "pmax",
    "pmean",
    "pmin",
    "positive",
    "pow",
    "ppermute",
    "prod",
    "profile",
    "psum",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "random",
    "randperm",
    "real",
    "reciprocal",
    "remainder",
    "repeat",
    "reshape",
    "result_type",
    "roll",
    "round",
    "run",
    "save",
    "scan",
    "searchsorted",
    "set_grad_enabled",
    "set_num_threads",
    "set_printoptions",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sort",
    "special",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "stack_module_state",
    "std",
    "stop_gradient",
    "subtract",
    "sum",
    "switch",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "tensor",
    "tensordot",
    "testing",
    "tile",
    "topk",
    "train",
    "tree",
    "tril",
    "triu",
    "trunc",
    "uint16",
    "uint32",
    "uint64",
    "uint8",
    "uniform",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
    "unstack",
    "value_and_grad",
    "var",
    "vecdot",
    "vjp",
    "vmap",
    "where",
    "while_loop",
    "zeros",
    "zeros_like",
]
__all__ += sorted({*PLACES} - {*__all__})
