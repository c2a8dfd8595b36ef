"""Builtin functions of Python whose code is native code of our own."""

from __future__ import annotations

import ctypes
from typing import Any, TypeVar

_Thing = TypeVar("_Thing")
METH_FASTCALL, METH_ONE = 0x80, 0x08


def keep_for_ever(thing: _Thing) -> _Thing:
    """Never free `thing`, not even when the interpreter ends: native code points to it."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
    return thing


class _MethodDef(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class BuiltinMaker:
    """Makes builtin functions that share their code and differ in `self`.

    Python keeps a pointer to the description of the code, which is therefore never freed.

    Args:
        name: the function's name.
        code: the address of `PyObject *(PyObject *self, PyObject *argument)` for `METH_ONE`, of
            `PyObject *(PyObject *self, PyObject *const *arguments, Py_ssize_t count)` for
            `METH_FASTCALL`.
        convention: `METH_ONE` or `METH_FASTCALL`.
    """

    def __init__(self, name: str, code: int, convention: int) -> None:
        method = keep_for_ever(_MethodDef(name.encode(), code, convention, None))
        self._address = ctypes.addressof(method)
        prototype = ctypes.PYFUNCTYPE(
            ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p
        )
        self._create = prototype(("PyCFunction_NewEx", ctypes.pythonapi))

    def __call__(self, owner: object) -> Any:
        """A builtin whose `self` is `owner`."""
        return self._create(self._address, owner, None)
