"""What things are called here that PyTorch and numpy call otherwise: for the error's hint.

Top-level functions have the names of the Python Array API standard.
"""

from __future__ import annotations

from collections.abc import Iterable

_SAME = {
    "Tensor": "ndarray Array",
    "concat": "cat concatenate",
    "permute_dims": "permute movedim",
    "matmul": "mm bmm",
    "reshape": "flatten",
    "clip": "clamp",
    "expand_dims": "unsqueeze",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "div true_divide",
    "remainder": "mod",
    "bitwise_left_shift": "left_shift",
    "bitwise_right_shift": "right_shift",
    "bitwise_invert": "invert bitwise_not",
    "round": "rint",
    "trunc": "fix",
    "negative": "neg",
    "abs": "absolute",
    "max": "amax",
    "min": "amin",
    "take": "index_select",
    "take_along_axis": "gather",
    "equal": "eq",
    "not_equal": "ne",
    "less": "lt",
    "less_equal": "le",
    "greater": "gt",
    "greater_equal": "ge",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "atan2": "arctan2",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
    "asarray": "as_tensor ascontiguousarray asanyarray frombuffer fromiter",
    "conj": "conjugate",
    "eye": "identity",
    "pow": "power",
    "repeat": "repeat_interleave",
    "float32": "float",
    "float64": "double",
    "float16": "half",
    "int64": "long",
    "jit": "compile",
    "fmod": "rem",
    "deg2rad": "radians",
    "rad2deg": "degrees",
    "result_type": "promote_types",
    "searchsorted": "bucketize",
    "value_and_grad": "grad_and_value",
    "jacrev": "jacobian",
    "checkpoint": "remat",
    "custom_vjp": "custom_gradient",
    "tree.map": "tree_map tree_multimap",
    "tree.leaves": "tree_leaves",
    "tree.flatten": "tree_flatten",
    "tree.unflatten": "tree_unflatten",
    "tree.structure": "tree_structure",
    "random.key": "PRNGKey key",
    "random.fold_in": "fold_in",
    "random.categorical": "categorical",
    "random.choice": "choice",
    "random.poisson": "poisson",
    "random.binomial": "binomial",
    "random.exponential": "exponential",
    "random.gumbel": "gumbel",
    "special.gammaln": "gammaln lgamma",
    "special.digamma": "digamma",
    "special.erfc": "erfc",
    "special.xlogy": "xlogy",
    "special.logit": "logit",
    "special.expit": "expit",
    "linalg.norm": "norm",
    "manual_seed": "seed_everything set_seed set_random_seed",
    "optim": "optimizers",
    "nn": "layers Layer",
    "nn.Module": "Module Model LightningModule",
    "nn.Sequential": "Sequential",
    "nn.Linear": "Linear Dense",
    "data.DataLoader": "DataLoader",
    "data.from_arrays": "TensorDataset from_tensor_slices",
    "train.EarlyStopping": "EarlyStopping",
    "train.Checkpoint": "ModelCheckpoint Checkpoint",
    "train.Callback": "Callback callbacks",
    "autocast": "amp",
    "linalg.svd": "svd",
    "linalg.qr": "qr",
    "linalg.inv": "inv inverse",
    "linalg.pinv": "pinv pinverse",
    "linalg.det": "det",
    "linalg.slogdet": "slogdet logdet",
    "linalg.solve": "solve",
    "linalg.solve_triangular": "solve_triangular triangular_solve",
    "linalg.lstsq": "lstsq",
    "linalg.eigh": "eigh",
    "linalg.eig": "eig",
    "linalg.cholesky": "cholesky",
    "linalg.matrix_power": "matrix_power",
    "linalg.matrix_exp": "matrix_exp expm",
    "linalg.matrix_rank": "matrix_rank",
    "nn.functional.gelu": "gelu",
    "nn.functional.silu": "silu swish",
    "nn.functional.softplus": "softplus",
    "nn.functional.dropout": "dropout",
    "nn.functional.embedding": "embedding",
    "nn.functional.layer_norm": "layer_norm",
    "nn.functional.conv2d": "conv2d",
    "nn.functional.cross_entropy": "cross_entropy",
    "nn.functional.pairwise_distance": "pairwise_distance",
    "special.i0": "i0",
    "nn.functional.relu": "relu",
    "nn.functional.sigmoid": "sigmoid",
    "nn.functional.softmax": "softmax",
    "nn.functional.log_softmax": "log_softmax",
}

OTHER_NAMES = {other: name for name, others in _SAME.items() for other in others.split()}


def hint_for(name: str) -> str:
    """What to say of a name that the package does not have: nothing, or what it is called here."""
    found = OTHER_NAMES.get(name)
    return "" if found is None else f"; it is called {found} here"


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for a word that is none of the known ones: the most alike, or all of them."""
    import difflib  # only errors need it

    names = list(known)
    alike = difflib.get_close_matches(word, names, 1)
    return f"did you mean {alike[0]!r}?" if alike else f"there are {', '.join(names[:20])}"
