"""Elinvar under the names of the `autograd` package, so that the tests in its source archive run.

`install()` puts modules called `autograd`, `autograd.numpy`, … into `sys.modules`. Their functions
are Elinvar's; what is written here is the other spelling of names, the conventions of derivatives
by complex numbers, and `check_grads`, which compares derivatives with differences. What concerns
the package's own inside (boxes, its tables of derivatives) is not imitated.

Numbers are float64 here, as in NumPy: ELINVAR_DEFAULT_FLOAT has to be set before.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import sys
import types
from typing import Any

import numpy

import elinvar as el
from elinvar.core import tree

STEP, TOLERANCE = 1e-6, 1e-6

# ---- vectors: numbers, tensors and containers of them --------------------------------------------


def as_leaf(value: Any) -> Any:
    x = el.asarray(value)
    return x if x.dtype.is_inexact else x.astype(el.float64)


class Space:
    """The vectors that are made like a value."""

    def __init__(self, value: Any) -> None:
        leaves, self.structure = tree.flatten(value)
        for leaf in leaves:
            if not isinstance(leaf, (el.Tensor, float, complex, int, numpy.ndarray, numpy.generic)):
                raise TypeError(f"no vector: {type(leaf).__name__}")
        self.kinds = [(x.shape, x.dtype) for x in map(as_leaf, leaves)]

    def __eq__(self, other: Any) -> bool:
        return self.structure == other.structure and self.kinds == other.kinds

    def __repr__(self) -> str:
        return f"Space({self.kinds})"

    @property
    def iscomplex(self) -> bool:
        return any(dtype.is_complex for _, dtype in self.kinds)

    @property
    def size(self) -> int:
        return sum((1 + d.is_complex) * numpy.prod(s, dtype=int) for s, d in self.kinds)

    @property
    def shape(self) -> Any:
        return self.kinds[0][0]

    def leaves(self, value: Any) -> list[Any]:
        return [as_leaf(leaf) for leaf in tree.flatten(value)[0]]

    def build(self, leaves: Any) -> Any:
        return tree.unflatten(self.structure, list(leaves))

    def zeros(self) -> Any:
        return self.build(el.zeros(shape, dtype=dtype) for shape, dtype in self.kinds)

    def ones(self) -> Any:
        number = {False: 1, True: 1 + 1j}
        return self.build(el.full(s, number[d.is_complex], dtype=d) for s, d in self.kinds)

    def randn(self) -> Any:
        found = []
        for shape, dtype in self.kinds:
            value = numpy.asarray(numpy.random.randn(*shape))
            if dtype.is_complex:
                value = value + 1j * numpy.asarray(numpy.random.randn(*shape))
            found.append(el.asarray(value, dtype=dtype))
        return self.build(found)

    def standard_basis(self) -> Any:
        for place, (shape, dtype) in enumerate(self.kinds):
            for index in numpy.ndindex(*shape):
                for number in (1.0, 1.0j) if dtype.is_complex else (1.0,):
                    value = numpy.zeros(shape, dtype.numpy)
                    value[index] = number
                    leaves = self.leaves(self.zeros())
                    leaves[place] = el.asarray(value)
                    yield self.build(leaves)

    def add(self, x: Any, y: Any) -> Any:
        return self.build(a + b for a, b in zip(self.leaves(x), self.leaves(y), strict=True))

    def scalar_mul(self, x: Any, number: Any) -> Any:
        return self.build(a * number for a in self.leaves(x))

    def inner_prod(self, x: Any, y: Any) -> Any:
        pairs = zip(self.leaves(x), self.leaves(y), strict=True)
        return sum((el.real(el.sum(el.conj(a) * b)) for a, b in pairs), start=0.0)

    def covector(self, x: Any) -> Any:
        return self.build(el.conj(a) if a.dtype.is_complex else a for a in self.leaves(x))


# ---- derivatives ---------------------------------------------------------------------------------


def unary_to_nary(operator: Any) -> Any:
    """An operator of functions of one argument, for functions of several."""

    @functools.wraps(operator)
    def of_several(function: Any, argnum: Any = 0, *options: Any, **named: Any) -> Any:
        def called(*args: Any, **kwargs: Any) -> Any:
            def of_one(x: Any) -> Any:
                given = list(args)
                for place, value in zip(places, x if several else (x,), strict=True):
                    given[place] = value
                return function(*given, **kwargs)

            several = not isinstance(argnum, int)
            places = argnum if several else (argnum,)
            of_one.__name__ = getattr(function, "__name__", "function")
            x = tuple(args[place] for place in places) if several else args[argnum]
            return operator(of_one, x, *options, **named)

        name = getattr(function, "__name__", "function")
        called.__name__ = f"{operator.__name__}_of_{name}_wrt_argnum_{argnum}"
        called.__doc__ = f"    {operator.__name__} of function {name} with respect to an argument."
        return called

    return of_several


def _vjp(function: Any, x: Any) -> Any:
    """Pull-back and result. For complex numbers the package's cotangents are conjugates of ours."""
    result, pull_back = el.vjp(function, Space(x).build(Space(x).leaves(x)))
    own, space = Space(result), Space(x)

    def pull(cotangent: Any) -> Any:
        return space.covector(pull_back(own.covector(cotangent))[0])

    return pull, result


def _jvp(function: Any, x: Any) -> Any:
    space = Space(x)
    return lambda v: el.jvp(function, (space.build(space.leaves(x)),), (v,))


def _grad(function: Any, x: Any) -> Any:
    return _value_and_grad(function, x)[1]


def _value_and_grad(function: Any, x: Any) -> Any:
    pull, result = _vjp(function, x)
    if Space(result).size != 1:
        raise TypeError("Grad only applies to real scalar-output functions.")
    return result, pull(Space(result).ones())


def _elementwise_grad(function: Any, x: Any) -> Any:
    pull, result = _vjp(function, x)
    if Space(result).iscomplex:
        raise TypeError("Elementwise_grad only applies to real-output functions.")
    return pull(Space(result).ones())


def _deriv(function: Any, x: Any) -> Any:
    return _jvp(function, x)(Space(x).ones())[1]


def _jacobian(function: Any, x: Any) -> Any:
    return el.jacrev(function)(as_leaf(x))


def _hessian(function: Any, x: Any) -> Any:
    return el.hessian(function)(as_leaf(x))


def _holomorphic_grad(function: Any, x: Any) -> Any:
    return _grad(lambda z: el.real(function(z)), x)


def _make_hvp(function: Any, x: Any) -> Any:
    return _vjp(lambda y: _grad(function, y), x)


def _make_jvp_reversemode(function: Any, x: Any) -> Any:
    pull, result = _vjp(function, x)
    return _vjp(pull, Space(result).zeros())[0]


def _grad_and_aux(function: Any, x: Any) -> Any:
    result, pull_back, aux = el.vjp(function, x, has_aux=True)
    return pull_back(Space(result).ones())[0], aux


for _function in (_vjp, _jvp, _grad, _value_and_grad, _elementwise_grad, _jacobian, _hessian):
    _function.__name__ = _function.__name__.removeprefix("_")

make_vjp, make_jvp, grad = map(unary_to_nary, (_vjp, _jvp, _grad))
value_and_grad, elementwise_grad = map(unary_to_nary, (_value_and_grad, _elementwise_grad))
deriv, jacobian, hessian = map(unary_to_nary, (_deriv, _jacobian, _hessian))
holomorphic_grad, make_hvp = map(unary_to_nary, (_holomorphic_grad, _make_hvp))
make_jvp_reversemode, grad_and_aux = map(unary_to_nary, (_make_jvp_reversemode, _grad_and_aux))


def hessian_tensor_product(function: Any, argnum: int = 0) -> Any:
    def along(*args: Any) -> Any:
        found = grad(function, argnum)(*args[:-1])
        return el.tensordot(found, args[-1], axes=numpy.ndim(args[-1]))

    return grad(along, argnum)


def tensor_jacobian_product(function: Any, argnum: int = 0) -> Any:
    def along(*args: Any) -> Any:
        return el.tensordot(args[-1], function(*args[:-1]), axes=numpy.ndim(args[-1]))

    return jacobian(along, argnum)


def _half_square(x: Any) -> Any:
    return el.sum(x * x, axis=-1) / 2


def make_ggnvp(function: Any, g: Any = _half_square, f_argnum: int = 0) -> Any:
    def of_one(function: Any, x: Any) -> Any:
        pull, result = _vjp(function, x)
        second = _make_hvp(g, result)[0]
        push = _vjp(pull, Space(result).zeros())[0]
        return lambda v: pull(second(push(v)))

    return unary_to_nary(of_one)(function, f_argnum)


class primitive:
    """A function whose derivative is given with `defvjp`."""

    def __init__(self, function: Any) -> None:
        self.function, self.rules = function, ()

    def __call__(self, *args: Any) -> Any:
        if not self.rules:
            raise TypeError("no derivative was given")
        wrapped = el.custom_vjp(self.function)

        def pull(held: Any, g: Any) -> Any:
            return tuple(rule(held[0], *held[1])(g) for rule in self.rules)

        def forward(*args: Any) -> Any:
            result = self.function(*args)
            return result, (result, args)

        wrapped.defvjp(forward, pull)
        return wrapped(*args)


def defvjp(function: Any, *rules: Any) -> None:
    function.rules = rules


# ---- derivatives against differences --------------------------------------------------------------


def scalar_close(a: Any, b: Any) -> bool:
    a, b = (numpy.asarray(v) for v in (a, b))
    return bool(abs(a - b) < TOLERANCE or abs(a - b) / abs(a + b) < TOLERANCE)


def _difference(function: Any, x: Any, v: Any) -> Any:
    space, own = Space(x), Space(function(x))
    ahead = function(space.add(x, space.scalar_mul(v, STEP / 2)))
    behind = function(space.add(x, space.scalar_mul(v, -STEP / 2)))
    return own.scalar_mul(own.add(ahead, own.scalar_mul(behind, -1.0)), 1 / STEP)


def check_equivalent(x: Any, y: Any) -> None:
    assert Space(x) == Space(y), f"spaces differ: {Space(x)}, {Space(y)}"
    v = Space(x).randn()
    assert scalar_close(Space(x).inner_prod(v, x), Space(x).inner_prod(v, y)), (x, y)


def _check_reverse(function: Any, x: Any) -> None:
    pull, y = _vjp(function, x)
    space, own = Space(x), Space(y)
    v, w = space.randn(), own.randn()
    pulled = space.covector(pull(own.covector(w)))
    assert Space(pulled) == space, f"gradient {Space(pulled)} of {space}"
    exact, differences = space.inner_prod(v, pulled), own.inner_prod(w, _difference(function, x, v))
    assert scalar_close(exact, differences), f"reverse: {exact} ≠ {differences} at {x}"


def _check_grads(function: Any, x: Any, modes: Any = ("fwd", "rev"), order: int = 2) -> None:
    if "fwd" in modes:
        v = Space(x).randn()
        check_equivalent(_jvp(function, x)(v)[1], _difference(function, x, v))
    if "rev" in modes:
        _check_reverse(function, x)
    if order > 1:
        pairs = []
        if "fwd" in modes:
            pairs.append((lambda x, v: _jvp(function, x)(v)[1], Space(x).randn()))
        if "rev" in modes:
            pairs.append((lambda x, v: _vjp(function, x)[0](v), Space(function(x)).randn()))
        for derivative, v in pairs:
            check_grads(derivative, (0, 1), modes, order=order - 1)(x, v)


check_grads = unary_to_nary(_check_grads)


def combo_check(function: Any, *options: Any, **named: Any) -> Any:
    checked = check_grads(function, *options, **named)

    def over(*args: Any, **kwargs: Any) -> None:
        choices = [[(key, value) for value in values] for key, values in kwargs.items()]
        for positional in itertools.product(*args):
            for keyword in itertools.product(*choices):
                checked(*positional, **dict(keyword))

    return over


# ---- NumPy's spelling ------------------------------------------------------------------------------

_OTHER_NAMES = {
    "absolute": "abs",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "concatenate": "concat",
    "conjugate": "conj",
    "cumprod": "cumulative_prod",
    "degrees": "rad2deg",
    "fabs": "abs",
    "linalg.norm": "linalg.norm",
    "mod": "remainder",
    "power": "pow",
    "radians": "deg2rad",
    "row_stack": "vstack",
    "true_divide": "divide",
}


def _array(values: Any, dtype: Any = None, ndmin: int = 0) -> Any:
    found = el.asarray(values, dtype=dtype)
    return found.reshape((1,) * max(0, ndmin - found.ndim) + found.shape)


def _is_complex(x: Any) -> bool:
    return el.asarray(x).dtype.is_complex


class _Joining:
    """`r_` and `c_` with arrays alone."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def __getitem__(self, parts: Any) -> Any:
        parts = [el.asarray(numpy.r_[p]) if isinstance(p, slice) else p for p in parts]
        arrays = [el.atleast_1d(part) for part in parts]
        if self.axis:
            arrays = [x[:, None] if x.ndim == 1 else x for x in arrays]
        return el.concat(arrays, axis=-1 if self.axis else 0)


_OWN = {
    "__version__": numpy.__version__,
    "dtype": numpy.dtype,
    "linalg": types.SimpleNamespace(
        **{name: getattr(el.linalg, name) for name in el.linalg.__all__},
    ),
    "where": lambda condition, x=None, y=None: (
        el.nonzero(el.asarray(condition)) if x is None else el.where(el.asarray(condition), x, y)
    ),
    "array": _array,
    "c_": _Joining(-1),
    "clip": lambda x, a_min=None, a_max=None: el.clip(x, a_min, a_max),
    "cumsum": lambda x, axis=None: el.cumulative_sum(
        el.ravel(x) if axis is None else x, axis=0 if axis is None else axis
    ),
    "iscomplex": lambda x: el.imag(x) != 0 if _is_complex(x) else el.zeros_like(x, dtype=el.bool),
    "iscomplexobj": _is_complex,
    "isrealobj": lambda x: not _is_complex(x),
    "make_diagonal": lambda x, offset=0, axis1=0, axis2=1: el.moveaxis(
        x[..., None] * el.eye(x.shape[-1], dtype=x.dtype), (-2, -1), (axis1, axis2)
    ),
    "msort": lambda x: el.sort(x, axis=0),
    "ndarray": el.Tensor,
    "ndim": lambda x: el.asarray(x).ndim,
    "r_": _Joining(0),
    "real_if_close": lambda x: x,
    "rollaxis": lambda x, axis, start=0: el.moveaxis(
        x, axis, (start if start >= 0 else start + x.ndim) - (axis % x.ndim < start % (x.ndim + 1))
    ),
    "shape": lambda x: tuple(el.asarray(x).shape),
    "split": el.array_split,
    "std": lambda x, axis=None, ddof=0, keepdims=False: el.std(
        x, axis=axis, correction=ddof, keepdims=keepdims
    ),
    "tile": lambda x, reps: el.tile(x, reps),
    "var": lambda x, axis=None, ddof=0, keepdims=False: el.var(
        x, axis=axis, correction=ddof, keepdims=keepdims
    ),
    "transpose": lambda x, axes=None: el.permute_dims(
        x, tuple(reversed(range(el.asarray(x).ndim))) if axes is None else tuple(axes)
    ),
    **{name: getattr(numpy, name) for name in ("index_exp", "s_", "longdouble", "clongdouble")},
}


def _eigh(x: Any, UPLO: str = "L") -> Any:
    """Of the matrix that one triangle stands for, as in NumPy: the other has no gradient."""
    half = el.tril(x, k=-1) if UPLO == "L" else el.triu(x, k=1)
    diagonal = el.real(el.linalg.diagonal(x))[..., None] * el.eye(x.shape[-1])
    return el.linalg.eigh(half + el.conj(el.matrix_transpose(half)) + diagonal)


def _svd(x: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    return el.linalg.svd(x, full_matrices=full_matrices) if compute_uv else el.linalg.svdvals(x)


_OWN["linalg"].eigh, _OWN["linalg"].svd = _eigh, _svd


class Numpy(types.ModuleType):
    """`autograd.numpy`: Elinvar's functions under NumPy's names."""

    def __getattr__(self, name: str) -> Any:
        if name in _OWN:
            return _OWN[name]
        found = getattr(el, _OTHER_NAMES.get(name, name), None)
        if found is None:
            raise AttributeError(f"elinvar has no {name}")
        return found


class _Lacking:
    """A function that Elinvar has not, or a distribution."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "rvs":
            drawn = getattr(importlib.import_module("scipy.stats"), self.name.rpartition(".")[2])
            return drawn.rvs
        return _Lacking(f"{self.name}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise AttributeError(f"elinvar has no {self.name}")


class Lacking(types.ModuleType):
    """A module of which Elinvar has a part."""

    places: tuple[Any, ...] = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        for place in self.places:
            if hasattr(place, name):
                return getattr(place, name)
        return _Lacking(f"{self.__name__}.{name}")


class Random(types.ModuleType):
    """`autograd.numpy.random`: NumPy's numbers as tensors."""

    source: Any = numpy.random

    def __getattr__(self, name: str) -> Any:
        if name == "RandomState":
            return random_state
        drawn = getattr(self.source, name)

        def draw(*args: Any, **kwargs: Any) -> Any:
            found = drawn(*args, **kwargs)
            return el.asarray(found) if isinstance(found, numpy.ndarray) else found

        return draw


def random_state(seed: Any = None) -> Any:
    found = Random("RandomState")
    found.source = numpy.random.RandomState(seed)
    return found


# ---- the modules -----------------------------------------------------------------------------------


def flatten(value: Any) -> Any:
    """One vector of all numbers of a container, and the way back."""
    space = Space(value)
    leaves = space.leaves(value)
    vector = el.concat([el.reshape(x, (-1,)) for x in leaves]) if leaves else el.zeros((0,))

    def back(vector: Any) -> Any:
        parts, start = [], 0
        for shape, _ in space.kinds:
            count = int(numpy.prod(shape, dtype=int))
            parts.append(el.reshape(vector[start : start + count], shape))
            start += count
        return space.build(parts)

    return vector, back


def _module(name: str, **content: Any) -> Any:
    found = sys.modules[name] = types.ModuleType(name)
    found.__dict__.update(content, __path__=[])
    parent, _, last = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], last, found)
    return found


def _logsumexp(x: Any, axis: Any = None, b: Any = 1.0, keepdims: bool = False) -> Any:
    x = el.asarray(x)
    top = el.stop_gradient(el.max(x, axis=axis, keepdims=True))
    total = el.sum(b * el.exp(x - top), axis=axis, keepdims=keepdims)
    return el.log(total) + (top if keepdims else el.reshape(top, total.shape))


_SCIPY: dict[str, Any] = {
    "integrate": (),
    "linalg": (_OWN["linalg"],),
    "signal": (),
    "special": (types.SimpleNamespace(logsumexp=_logsumexp), el),
    "stats": (),
    "stats.multivariate_normal": (),
}


def install() -> None:
    """Make `import autograd` find this."""
    derivatives = {
        f.__name__.lstrip("_"): f
        for f in (hessian_tensor_product, tensor_jacobian_product, make_ggnvp)
    }
    for name in (
        "make_vjp make_jvp grad value_and_grad elementwise_grad deriv jacobian hessian "
        "holomorphic_grad make_hvp make_jvp_reversemode grad_and_aux"
    ).split():
        derivatives[name] = globals()[name]
    kinds = {"tuple": tuple, "list": list, "dict": dict, "isinstance": isinstance}
    _module("autograd", checkpoint=el.checkpoint, **derivatives, **kinds)
    for place, kind in (("numpy", Numpy), ("numpy.random", Random)):
        name = f"autograd.{place}"
        found = sys.modules[name] = kind(name)
        found.__path__ = []
        parent, _, last = name.rpartition(".")
        setattr(sys.modules[parent], last, found)
    _module("autograd.builtins", **kinds)
    own = {"primitive": primitive, "defvjp": defvjp, "isbox": lambda x: False}
    _module("autograd.core", vspace=Space, make_vjp=_vjp, make_jvp=_jvp, primitive_vjps={}, **own)
    _module("autograd.extend", **own)
    _module("autograd.misc", flatten=flatten, const_graph=None)
    _module("autograd.wrap_util", unary_to_nary=unary_to_nary)
    _module("autograd.tracer", **own)
    _module(
        "autograd.test_util",
        check_grads=check_grads,
        check_equivalent=check_equivalent,
        combo_check=combo_check,
        scalar_close=scalar_close,
    )
    _module("autograd.scipy")
    for place, sources in _SCIPY.items():
        name = f"autograd.scipy.{place}"
        found = sys.modules[name] = Lacking(name)
        found.__path__, found.places = [], sources
        parent, _, last = name.rpartition(".")
        setattr(sys.modules[parent], last, found)
