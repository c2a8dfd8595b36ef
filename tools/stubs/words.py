"""Which words stand in stubs where sources say `Any`: a new function may need an entry here."""

import re

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
    ("astype", "copy"): "bool",
    ("item", "index"): "int | tuple[int, ...]",
    ("einsum", "operands"): "Any",  # an equation and tensors, or tensors and lists of numbers
    ("einsum", "optimize"): "Any",
    ("einsum_path", "operands"): "Any",
    ("einsum_path", "optimize"): "Any",
    ("transpose", "axes"): "Sequence[int] | None",
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
    ("__array_ufunc__", "inputs"): "Any",
    ("__array_ufunc__", "ufunc"): "np.ufunc",
    ("__reduce_ex__", "protocol"): "Any",
    ("view", "shape"): "ShapeLike | DTypeLike",
    ("einsum", "equation"): "str | ArrayLike",
}

# What is not a Tensor, by function.
RESULTS = {
    "__array__": "np.ndarray[Any, Any]",
    "__array_ufunc__": "Any",
    "__array_namespace__": "ModuleType",
    "__dlpack__": "Any",
    "__reduce_ex__": "tuple[Any, ...]",
    "allclose": "bool",
    "apply_over_axes": "Tensor",
    "array_equal": "bool",
    "array_equiv": "bool",
    "gradient": "Any",  # of one axis a Tensor, of several a tuple
    "isscalar": "bool",
    "shuffle": "None",
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
    "cummax method": "ValuesIndices",
    "cummin method": "ValuesIndices",
    "vectorize": "Callable[..., Any]",
    "einsum_path": "tuple[list[Any], str]",
    "is_nonzero": "bool",
    "is_signed": "bool",
    "sort method": "ValuesIndices",
    "split_with_sizes": "tuple[Tensor, ...]",
    "tensor_split": "tuple[Tensor, ...]",
    "tolist": "Any",
    "topk": "TopK",
    "split method": "tuple[Tensor, ...]",
    "chunk method": "tuple[Tensor, ...]",
    "unbind": "tuple[Tensor, ...]",
    "__divmod__": "tuple[Tensor, Tensor]",
    "__rdivmod__": "tuple[Tensor, Tensor]",
}

# Results with several parts, by the file of their class.
LINALG_RESULTS = {
    "hermitian": {"eigh": "EighResult"},
    "inverses": {"lstsq": "LstsqResult"},
    "more": {"lu_factor_ex": "LUFactorEx", "solve_ex": "SolveEx"},
    "nonsymmetric": {"eig": "EigResult"},
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
        "(self, dim: None = ..., keepdim: bool = ..., *, axis: Axis = ..., keepdims: bool = ..., "
        "out: None = ...) -> Tensor",
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
FORMS["nanmedian"] = ["(self, dim: None = ..., keepdim: bool = ...) -> Tensor", FORMS["median"][1]]
FORMS["unique"] = [
    "(self, sorted: bool = ..., return_inverse: Literal[False] = ..., "
    "return_counts: Literal[False] = ..., dim: int | None = ...) -> Tensor",
    "(self, sorted: bool = ..., return_inverse: bool = ..., return_counts: bool = ..., "
    "dim: int | None = ...) -> tuple[Tensor, ...]",
]
FORMS["unique_consecutive"] = [form.replace("sorted: bool = ..., ", "") for form in FORMS["unique"]]
FORMS["transpose"] = [
    "(self, dim0: int, dim1: int) -> Tensor",
    "(self, dim0: Sequence[int] | None = ..., dim1: None = ...) -> Tensor",
]

# Functions with several forms.
FUNCTION_FORMS = {
    "average": [
        "(x: ArrayLike, /, axis: Axis = ..., weights: ArrayLike | None = ..., "
        "returned: Literal[False] = ..., *, keepdims: bool = ...) -> Tensor",
        "(x: ArrayLike, /, axis: Axis = ..., weights: ArrayLike | None = ..., "
        "*, returned: Literal[True], keepdims: bool = ...) -> tuple[Tensor, Tensor]",
    ],
    "indices": [
        "(dimensions: ShapeLike, /, dtype: DTypeLike | None = ..., "
        "sparse: Literal[False] = ...) -> Tensor",
        "(dimensions: ShapeLike, /, dtype: DTypeLike | None = ..., "
        "*, sparse: Literal[True]) -> tuple[Tensor, ...]",
    ],
    "unique": [
        "(x: ArrayLike, /, return_index: Literal[False] = ..., "
        "return_inverse: Literal[False] = ..., return_counts: Literal[False] = ..., "
        "axis: int | None = ..., *, equal_nan: bool = ..., size: int | None = ..., "
        "fill_value: ArrayLike | None = ...) -> Tensor",
        "(x: ArrayLike, /, return_index: bool = ..., return_inverse: bool = ..., "
        "return_counts: bool = ..., axis: int | None = ..., *, equal_nan: bool = ..., "
        "size: int | None = ..., fill_value: ArrayLike | None = ...) -> tuple[Tensor, ...]",
    ],
    "where": [
        "(condition: ArrayLike, x1: ArrayLike, x2: ArrayLike, /) -> Tensor",
        "(condition: ArrayLike, x1: None = ..., x2: None = ..., /, *, size: int | None = ..., "
        "fill_value: int = ...) -> tuple[Tensor, ...]",
    ],
}

for _name in ("atleast_1d", "atleast_2d", "atleast_3d"):
    FUNCTION_FORMS[_name] = [
        "(array: ArrayLike, /) -> Tensor",
        "(*arrays: ArrayLike) -> tuple[Tensor, ...]",
    ]

# Functions of functions and the like: their sources are typed and name no Tensor.
AS_WRITTEN = {
    "all_gather", "associative_scan", "axis_index", "axis_size", "checkpoint", "composite", "cond",
    "debug_nans", "disable_jit", "eval_shape", "fori_loop", "functional_call", "grad", "hessian",
    "hvp", "jacfwd", "jacrev", "jit", "jvp", "linearize", "map", "pmax", "pmean", "pmin",
    "ppermute", "psum", "scan", "set_printoptions", "stack_module_state", "switch",
    "value_and_grad", "vjp", "vmap", "while_loop",
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
