"""array-api-compat and array-api-extra take tensors: results as from numpy arrays, as tensors."""

import numpy as np
import pytest

import elinvar as el

compat = pytest.importorskip("array_api_compat")
extra = pytest.importorskip("array_api_extra", minversion="0.11")

pytestmark = pytest.mark.any_level

P = np.array([[1.0, 4.0, 2.0], [3.0, 0.0, 7.0]], np.float32)
HOLES = np.array([1.0, np.nan, 3.0, np.inf])

# name: a call with what makes arrays
CALLS = {
    "angle": lambda a: extra.angle(a([1 + 1j, -2.0])),
    "apply_where": lambda a: extra.apply_where(a(P) > 2, a(P), lambda x: x * 2, lambda x: -x),
    "argpartition": lambda a: extra.argpartition(a(P), 1),
    "atleast_nd": lambda a: extra.atleast_nd(a(P), ndim=3),
    "cov": lambda a: extra.cov(a(P)),
    "create_diagonal": lambda a: extra.create_diagonal(a(P[0])),
    "deg2rad": lambda a: extra.deg2rad(a(P)),
    "isclose": lambda a: extra.isclose(a(P), a(P) + 1e-9),
    "isin": lambda a: extra.isin(a(P), a(P[0])),
    "kron": lambda a: extra.kron(a(P), a(P)),
    "lazy_apply": lambda a: extra.lazy_apply(np.sin, a(P), as_numpy=True),
    "nan_to_num": lambda a: extra.nan_to_num(a(HOLES)),
    "nanmax": lambda a: extra.nanmax(a(HOLES)),
    "nanmean": lambda a: extra.nanmean(a(HOLES)),
    "nanmin": lambda a: extra.nanmin(a(HOLES)),
    "nansum": lambda a: extra.nansum(a(HOLES)),
    "nunique": lambda a: extra.nunique(a(P)),
    "one_hot": lambda a: extra.one_hot(a([1, 0, 2]), 3),
    "pad": lambda a: extra.pad(a(P), 1),
    "partition": lambda a: extra.partition(a(P), 1),
    "searchsorted": lambda a: extra.searchsorted(a(np.sort(P[0])), a(P[1])),
    "setdiff1d": lambda a: extra.setdiff1d(a(P), a(P[0])),
    "sinc": lambda a: extra.sinc(a(P)),
    "union1d": lambda a: extra.union1d(a(P), a(P[0])),
    "at set": lambda a: extra.at(a(P.copy()), (0, 1)).set(9.0),
    "at add": lambda a: extra.at(a(P.copy()))[a(P) > 3].add(1.0),
    "at multiply": lambda a: extra.at(a(P.copy()), slice(0, 1)).multiply(2.0),
    "at min": lambda a: extra.at(a(P.copy()), 0).min(2.0),
}


@pytest.mark.parametrize("name", CALLS)
def test_like_numpy(name):
    found, expected = CALLS[name](el.asarray), CALLS[name](np.asarray)
    assert type(found) is el.Tensor
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-6)


def test_indices():
    for name in ("diag_indices", "tril_indices", "triu_indices"):
        function = getattr(extra, name)
        for found, expected in zip(function(3, xp=el), function(3, xp=np), strict=True):
            assert type(found) is el.Tensor and found.tolist() == expected.tolist()


def test_what_compat_says():
    x = el.asarray(P)
    assert compat.array_namespace(x) is el and compat.array_namespace(x, 1.0) is el
    assert compat.device(x) == "cpu" and compat.size(x) == 6
    assert compat.to_device(x, "cpu").tolist() == P.tolist()
    assert compat.is_array_api_obj(x) and compat.is_writeable_array(x)
    assert not compat.is_lazy_array(x) and not compat.is_numpy_array(x)
    assert not compat.is_torch_namespace(el) and not compat.is_numpy_namespace(el)
    with pytest.raises(TypeError):
        compat.array_namespace(x, P)
