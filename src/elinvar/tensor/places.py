"""Plain indices: ints, slices, None and ... of concrete tensors, read without parsing.

What an index names is an offset in bytes and a layout over the same memory. Ints only move the
offset, so indices are kept by their pattern: x[3, :] and x[5, :] find the same one. Slices with
bounds are kept as they are. Whatever is not plain, or out of bounds, gives None: `parse` in
indexing.py then reads it, or says what is wrong.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from elinvar.tensor.layout import Layout
from elinvar.tensor.regions import Form, Region, form_of

MOST_KEPT = 8192
_WHOLE = slice(None)
_PARTS = {int, type(None)}


class Rows(NamedTuple):
    """x[int] for tensors of one layout."""

    length: int
    step: int  # from row to row, in bytes
    view: Layout
    form: Form
    rest: tuple[int, ...]  # a region starts at (row, *rest)


class Pattern(NamedTuple):
    """A tuple of ints, whole slices, None and ... for tensors of one layout."""

    view: Layout
    picks: tuple[tuple[int, int, int], ...]  # of each int: its place in the index, size, bytes
    form: Form
    axes: tuple[int, ...]  # of each int
    rank: int

    def region(self, key: Any) -> Region:
        """The region, for the tape."""
        start = [0] * self.rank
        for axis, (number, dim, _) in zip(self.axes, self.picks, strict=True):
            start[axis] = key[number] % dim
        return Region(tuple(start), self.form)


class Place(NamedTuple):
    """Where an index with slices leads, for tensors of one layout."""

    offset: int  # in bytes
    view: Layout
    start: Region

    def region(self, key: Any) -> Region:
        """The region, for the tape."""
        return self.start


Found = tuple[int, Layout, Any]  # offset in bytes, layout, and what gives the region

_rows: dict[Layout, Rows | None] = {}
_patterns: dict[Any, Pattern | None] = {}
_places: dict[Any, Place | None] = {}


def rows_of(whole: Layout) -> Rows | None:
    """What x[int] is for this layout; None for 0-d and empty tensors."""
    try:
        return _rows[whole]
    except KeyError:
        pass
    found = None
    if whole.size and whole.ndim:
        rank = whole.ndim
        form = form_of((1, *whole.shape[1:]), (1,) * rank, tuple(range(1, rank)))
        step = whole.strides[0] * whole.dtype.itemsize
        found = Rows(whole.shape[0], step, form.view(whole), form, (0,) * (rank - 1))
    _keep(_rows, whole, found)
    return found


def find_place(whole: Layout, key: Any) -> Found | None:
    """Where a plain index leads; None for every other one."""
    if type(key) is tuple:
        pattern: list[Any] = []
        for item in key:
            kind = type(item)
            if kind is int:
                pattern.append(int)
            elif kind is slice:
                if item.start is None and item.stop is None and item.step is None:
                    pattern.append(slice)
                else:
                    return _find_sliced(whole, key)
            elif item is None or item is Ellipsis:
                pattern.append(item)
            else:
                return None
        return _find_pattern(whole, key, (whole, *pattern))
    if type(key) is slice or key is None or key is Ellipsis:
        return _find_sliced(whole, (key,))
    return _find_pattern(whole, (key,), (whole, int)) if type(key) is int else None


def _find_pattern(whole: Layout, key: Any, known: Any) -> Found | None:
    try:
        found = _patterns[known]
    except KeyError:
        found = _pattern(whole, key)
        _keep(_patterns, known, found)
    if found is None:
        return None
    offset = 0
    for number, dim, step in found[1]:
        place = key[number]
        if place < 0:
            place += dim
        if not 0 <= place < dim:
            return None
        offset += place * step
    return offset, found[0], found


def _pattern(whole: Layout, key: Any) -> Pattern | None:
    if not whole.size:
        return None
    region = _region(whole.shape, tuple([0 if type(item) is int else item for item in key]))
    if region is None:
        return None
    axes = []
    axis = 0
    dots = whole.ndim + 1 - len(key) + key.count(None)
    for item in key:
        if type(item) is int:
            axes.append(axis)
        axis += dots if item is Ellipsis else item is not None
    numbers = [number for number, item in enumerate(key) if type(item) is int]
    size = whole.dtype.itemsize
    picks = [
        (n, whole.shape[axis], whole.strides[axis] * size)
        for n, axis in zip(numbers, axes, strict=True)
    ]
    view = region.form.view(whole)
    return Pattern(view, tuple(picks), region.form, tuple(axes), whole.ndim)


def _find_sliced(whole: Layout, key: Any) -> Found | None:
    signature: list[Any] = [whole]
    for item in key:
        if type(item) is slice:
            first, last, step = item.start, item.stop, item.step
            if type(first) not in _PARTS or type(last) not in _PARTS or type(step) not in _PARTS:
                return None  # 1.0 and True are equal to 1, and found where it was
            signature.append((first, last, step))
        elif item is None or item is Ellipsis or type(item) is int:
            signature.append(item)
        else:
            return None
    known = tuple(signature)
    try:
        found = _places[known]
    except KeyError:
        region = _region(whole.shape, key)
        if region is None:
            return None
        found = Place(region.offset(whole), region.form.view(whole), region)
        _keep(_places, known, found)
    return None if found is None else (found[0], found[1], found)


def _region(shape: tuple[int, ...], key: Any) -> Region | None:
    missing = len(shape) - len(key) + key.count(None)
    if Ellipsis in key:
        dots = key.index(Ellipsis)
        key = (*key[:dots], *(_WHOLE,) * (missing + 1), *key[dots + 1 :])
    else:
        key += (_WHOLE,) * missing
    start: list[int] = []
    lengths: list[int] = []
    steps: list[int] = []
    axes: list[int] = []
    for item in key:
        axis = len(start)
        if item is None:
            axes.append(-1)
            continue
        if axis == len(shape) or item is Ellipsis:
            return None
        dim = shape[axis]
        first, count, step = 0, dim, 1
        if type(item) is int:
            first, count = item + dim if item < 0 else item, 1
            if not 0 <= first < dim:
                return None
        else:
            axes.append(axis)
            if item is not _WHOLE:
                if item.step == 0:
                    return None
                first, last, step = item.indices(dim)
                count = len(range(first, last, step))
        start.append(first if count else 0)
        lengths.append(count)
        steps.append(step)
    return Region(tuple(start), form_of(tuple(lengths), tuple(steps), tuple(axes)))


def _keep(kept: dict[Any, Any], key: Any, value: Any) -> None:
    if len(kept) >= MOST_KEPT:
        kept.clear()
    kept[key] = value
