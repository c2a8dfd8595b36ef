"""What a source of data is made of, for those who want to know whether it is still the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from elinvar.core import tree
from elinvar.data.loader import DataLoader
from elinvar.data.pipeline import Pipeline
from elinvar.tensor.cell import Cell
from elinvar.tensor.storage import stored_array


@dataclass
class Contents:
    """Arrays, files, and what is neither and can only be named.

    Attributes:
        arrays: all of them, in order.
        paths: files, or folders of files; addresses of remote ones.
        others: in words, such as `stream`.
        order: batch size, seeds and the like: what decides about batches beside the samples.
    """

    arrays: list[Any] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    order: dict[str, Any] = field(default_factory=dict)


def contents_of(data: Any) -> Contents:
    """What a loader, a pipeline or a list of batches is made of."""
    if isinstance(data, DataLoader):
        order = {
            name: getattr(data, name) for name in ("batch_size", "shuffle", "seed", "drop_last")
        }
        if not data.shuffle:
            del order["seed"]  # it decides nothing
        found = Contents(order={**order, "samples": data.num_samples})
        if data.columns is not None:
            found.arrays += data.columns
        else:
            found.others.append(f"{type(data.dataset).__name__} of {data.num_samples} samples")
        return found
    if isinstance(data, Pipeline):
        state = data.state_dict()
        found = Contents(order={"chain": state["chain"], "samples": state["samples"]})
        _add(found, data.source)
        return found
    found = Contents()
    if isinstance(data, list | tuple | dict):
        for leaf in tree.flatten(data)[0]:
            if isinstance(leaf, Cell):
                found.arrays.append(stored_array(leaf, "data"))
            elif isinstance(leaf, np.ndarray):
                found.arrays.append(leaf)
            elif hasattr(leaf, "__array__"):
                found.arrays.append(np.asarray(leaf))
            else:
                found.others.append(f"{leaf!r:.80}")
        return found
    found.others.append(type(data).__name__)
    return found


def _add(found: Contents, source: Any) -> None:
    """Add what a source says of itself."""
    arrays, paths, parts = source.contents()
    found.arrays += arrays
    found.paths += paths
    for part in parts:
        _add(found, part.source)
    if not arrays and not paths and not parts:
        found.others.append(f"{source.name} of {len(source)} samples")
