"""Methods of tensors that PyTorch has and few programs use: imported when first called."""

from __future__ import annotations

from elinvar.core.later import Later
from elinvar.tensor import elementwise as ew
from elinvar.tensor import linear as lin
from elinvar.tensor.cell import Cell

_METHODS = "elinvar.tensor.extra.methods"
_PLACING = "elinvar.tensor.extra.methods_placing"
_ARITHMETIC = "elinvar.tensor.extra.arithmetic"
_SPECIAL = "elinvar.tensor.extra.special"
_SHAPING = "elinvar.tensor.extra.shaping"
_NUMERIC = "elinvar.tensor.extra.numeric"
_AT = "elinvar.tensor.extra.at"


class MoreMethods(Cell):
    """What `torch.Tensor` has beyond the everyday methods."""

    __slots__ = ()

    # other names of operators
    bitwise_left_shift, bitwise_right_shift = ew.bitwise_left_shift, ew.bitwise_right_shift
    greater, greater_equal, less, less_equal = ew.greater, ew.greater_equal, ew.less, ew.less_equal
    not_equal = ew.not_equal
    nextafter, signbit = ew.nextafter, ew.signbit
    sgn, arctan2 = ew.sign, ew.atan2
    ger = lin.outer

    # elementwise
    deg2rad, rad2deg, exp2, sinc = (Later(_ARITHMETIC) for _ in range(4))
    fmax, fmin, heaviside, logaddexp2 = (Later(_ARITHMETIC) for _ in range(4))
    float_power, gcd, lcm, ldexp, frexp = (Later(_ARITHMETIC) for _ in range(5))
    isneginf, isposinf, isreal = (Later(_ARITHMETIC) for _ in range(3))
    digamma, erfc, i0, lgamma, xlogy = (Later(_SPECIAL) for _ in range(5))
    igamma, igammac = Later(_SPECIAL, "gammainc"), Later(_SPECIAL, "gammaincc")
    mvlgamma = Later(_SPECIAL, "multigammaln")
    clamp_max, clamp_min, logit, polygamma = (Later(_METHODS) for _ in range(4))

    # reductions, order, statistics
    aminmax, cummax, cummin, logcumsumexp = (Later(_METHODS) for _ in range(4))
    quantile, nanquantile, nanmedian, kthvalue, mode, msort = (Later(_METHODS) for _ in range(6))
    bincount, histc, cov, corrcoef, dist, renorm = (Later(_METHODS) for _ in range(6))
    unique, unique_consecutive, sum_to_size, diff = (Later(_METHODS) for _ in range(4))
    is_nonzero, is_signed = (Later(_METHODS) for _ in range(2))

    # products
    addbmm, addmv, addr, cross = (Later(_METHODS) for _ in range(4))
    inner, kron, vdot = (Later(_NUMERIC) for _ in range(3))

    # shapes and places
    at = Later(_AT)
    fliplr, flipud, hsplit, vsplit, dsplit = (Later(_SHAPING) for _ in range(5))
    diagflat, diag_embed, rot90, tensor_split = (Later(_PLACING) for _ in range(4))
    diagonal_scatter, select_scatter, slice_scatter = (Later(_PLACING) for _ in range(3))
    index_put, masked_scatter, put, scatter_reduce = (Later(_PLACING) for _ in range(4))
    take_along_dim, argwhere, narrow_copy, split_with_sizes = (Later(_PLACING) for _ in range(4))

