"""What data and optimizers were, in a form that can be compared later."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from elinvar.data.contents import contents_of
from elinvar.store.fingerprint import fingerprint, fingerprint_path, version_of
from elinvar.store.walk import MARKER
from elinvar.tensor.random import default_generator


def identity(
    arrays: Sequence[Any],
    paths: Sequence[str],
    others: Sequence[str],
    order: Mapping[str, Any],
    algorithm: str | None = None,
) -> dict[str, Any]:
    """Fingerprints of arrays and files, versions of data, and what has none of them.

    Args:
        arrays: numpy's.
        paths: files and folders; addresses of remote ones are only named.
        others: in words.
        order: how batches are made.
        algorithm: of the fingerprints; None for the best there is.
    """
    found: dict[str, Any] = {"order": dict(order)}
    if arrays:
        found["arrays"] = [
            {
                "shape": list(array.shape),
                "dtype": str(array.dtype),
                "fingerprint": fingerprint([array], algorithm=algorithm),
            }
            for array in arrays
        ]
    if paths:
        found["files"] = [_file(path, algorithm) for path in paths]
    if others:
        found["only named"] = list(others)
    return found


def identities(
    sources: Mapping[str, Any], algorithm: str | None = None
) -> Callable[[], dict[str, Any]]:
    """A function that finds out what data are, which takes a while.

    Args:
        sources: loaders and pipelines by their use; None for those that are not there.
        algorithm: see `identity`.
    """
    parts, trouble = dict[str, Any](), None
    try:
        parts = {use: contents_of(source) for use, source in sources.items() if source is not None}
    except Exception as error:  # whatever a source of the user's own may raise
        trouble = error

    def find() -> dict[str, Any]:
        if trouble is not None:
            raise trouble
        return {
            use: identity(x.arrays, x.paths, x.others, x.order, algorithm)
            for use, x in parts.items()
        }

    return find


def _file(path: str, algorithm: str | None) -> dict[str, Any]:
    if "://" in path:
        return {"path": path}
    full = os.path.abspath(path)
    version = version_of(full, check=True)  # what was changed there is no version any more
    if version is not None:
        return {"path": full, "version": f"{version.name}@{version.id}{_inside(Path(full))}"}
    return {"path": full, "fingerprint": fingerprint_path(full, algorithm=algorithm)}


def _inside(path: Path) -> str:
    """Where in its version a path lies: `/red/1.png`; empty for the version's own folder."""
    root = next(folder for folder in (path, *path.parents) if (folder / MARKER).exists())
    inside = path.relative_to(root).as_posix()
    return "" if inside == "." else f"/{inside}"


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """How data differ, in words.

    Args:
        before, now: what `identity` gave, by the use of the data: training, validation.
    """
    found = []
    for use in sorted(set(before) | set(now)):
        if use not in now or use not in before:
            found.append(f"{use} data were {'given' if use in now else 'not given'} this time")
            continue
        found += [f"{use} data: {text}" for text in _of_one(before[use], now[use])]
    return found


def _of_one(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    found = []
    old, new = before.get("order", {}), now.get("order", {})
    for name in sorted(set(old) | set(new)):
        if old.get(name) != new.get(name):
            found.append(f"{name} was {old.get(name)!r}, is {new.get(name)!r}")
    a, b = before.get("arrays", []), now.get("arrays", [])
    if len(a) != len(b):
        found.append(f"{len(a)} arrays before, {len(b)} now")
    for number, (x, y) in enumerate(zip(a, b, strict=False), 1):
        if x != y:
            same = x["shape"] == y["shape"] and x["dtype"] == y["dtype"]
            what = (
                "other values" if same else f"{x['dtype']} {x['shape']} → {y['dtype']} {y['shape']}"
            )
            found.append(f"array {number} of {len(a)}: {what}")
    return found + _files(before.get("files", []), now.get("files", []))


def _files(before: Sequence[Any], now: Sequence[Any]) -> list[str]:
    content: Callable[[Any], Any] = lambda row: row.get("version") or row.get("fingerprint")  # noqa: E731
    if [content(row) for row in before] == [content(row) for row in now]:
        return []  # wherever they lie
    old = {os.path.basename(row["path"]): content(row) for row in before}
    new = {os.path.basename(row["path"]): content(row) for row in now}
    found = []
    for name in sorted(set(old) | set(new)):
        if old.get(name) != new.get(name):
            what = "was changed" if name in old and name in new else "is new"
            found.append(f"{name} {what if name in new else 'is gone'}")
    return found or ["the files have another order"]


def seeds() -> dict[str, int]:
    """Where Elinvar's own random numbers stand."""
    seed, drawn = (int(word) for word in default_generator.get_state().numpy())
    return {"manual_seed": seed, "random numbers drawn before": drawn}


def optimizer_table(optimizer: Any) -> dict[str, Any]:
    """An optimizer's class and its options by group."""
    groups = [
        {name: _plain(value) for name, value in group.items() if name != "params"}
        for group in optimizer.param_groups
    ]
    return {"class": type(optimizer).__name__, "groups": groups}


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        return value.item()
    return list(value) if isinstance(value, tuple) else value
