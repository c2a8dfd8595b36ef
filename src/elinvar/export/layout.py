"""Where everything stands that an exported function reads and writes.

A value that a weight becomes is written over the old one where its kernel allows that; else it is
computed in the arena, or where the caller wants it, and copied when all else is done.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from elinvar.core.shapes import Dim, evaluate, size
from elinvar.export.interface import Interface, Weight
from elinvar.export.limits import Condition, conditions_of
from elinvar.graph.ir import Graph, Value
from elinvar.graph.walk import subgraphs
from elinvar.kernels.plan import ALIGNMENT, Storage, overwritable, touched
from elinvar.runtime.planning import Lowered
from elinvar.tensor.trace import Requirement

MAGIC, FORMAT = b"ELINVARW", 1
HEADER_BYTES = 64
Copy = tuple[Storage, Storage, Any]  # target, source, bytes


@dataclass
class Layout:
    """Storages, and where they stand.

    Attributes:
        dims: the ranges of the symbolic sizes, in the order in which callers give them.
        every_dim: all dims and numbers of bytes of values, to be checked.
        conditions: what else must hold of the sizes.
        inputs, results: storages whose addresses callers give.
        weights: storages inside of the weights, at these offsets.
        weights_bytes: of the weights with their header; 0 where there are none.
        key: what the weights must be made for.
        before, after: copies around the steps.
        extra: storages of the arena that live longer than the steps that touch them.
    """

    dims: dict[str, tuple[int, int | None]]
    key: bytes
    every_dim: list[Any] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    inputs: list[Storage] = field(default_factory=list)
    results: list[Storage] = field(default_factory=list)
    weights: dict[Storage, int] = field(default_factory=dict)
    weights_bytes: int = 0
    before: list[Copy] = field(default_factory=list)
    after: list[Copy] = field(default_factory=list)
    extra: list[tuple[Storage, int, int]] = field(default_factory=list)

    def header(self) -> bytes:
        """What weights begin with."""
        start = struct.pack("<8sII16sq", MAGIC, FORMAT, 0, self.key, self.weights_bytes)
        return start.ljust(HEADER_BYTES, b"\0")

    def header_words(self) -> tuple[int, ...]:
        """The header's words that are compared."""
        return struct.unpack("<5q", self.header()[:40])


def computed_graph(interface: Interface) -> Graph:
    """The graph of what has to be computed: results that are inputs, or twice there, are left
    out."""
    wanted = [port.value for port in interface.results]
    wanted += [weight.becomes for weight in interface.weights if weight.becomes is not None]
    inputs = set(interface.graph.inputs)
    outputs = dict.fromkeys(value for value in wanted if value not in inputs)
    return Graph(interface.graph.inputs, outputs, interface.name)


def offsets_of(weights: list[Weight]) -> tuple[list[int], int]:
    """Where each weight begins, and the bytes in all."""
    offsets, at = [], HEADER_BYTES
    for weight in weights:
        offsets.append(at)
        at += -(-max(1, weight.data.nbytes) // ALIGNMENT) * ALIGNMENT
    return offsets, at if weights else 0


def weights_key(interface: Interface) -> bytes:
    """What tells the weights of one function from those of another: names and types."""
    digest = hashlib.sha256(interface.name.encode())
    for weight in interface.weights:
        digest.update(f"{weight.name} {weight.type}\n".encode())
    return digest.digest()[:16]


def weights_bytes(interface: Interface, layout: Layout) -> bytes:
    """The weights with their header."""
    if not layout.weights_bytes:
        return b""
    data = bytearray(layout.weights_bytes)
    data[:HEADER_BYTES] = layout.header()
    for weight, offset in zip(
        interface.weights, offsets_of(interface.weights)[0], strict=True
    ):
        content = np.ascontiguousarray(weight.data).tobytes()
        data[offset : offset + len(content)] = content
    return bytes(data)


def make_layout(interface: Interface, graph: Graph, lowered: Lowered, steps: list[Any]) -> Layout:
    """Give every storage its place. `graph`: what was lowered."""
    return _Maker(interface, graph, lowered, steps).make()


class _Maker:
    def __init__(
        self, interface: Interface, graph: Graph, lowered: Lowered, steps: list[Any]
    ) -> None:
        self.interface, self.lowered, self.steps = interface, lowered, steps
        self.layout = Layout(interface.dims, weights_key(interface))
        self.read = dict(zip(graph.inputs, lowered.inputs, strict=True))
        self.made = dict(zip(graph.outputs, lowered.outputs, strict=True))
        self.aliases = overwritable(steps, lowered.inputs, lowered.outputs)

    def make(self) -> Layout:
        layout, weights = self.layout, self.interface.weights
        layout.inputs = [self.read[port.value] for port in self.interface.inputs]
        offsets, layout.weights_bytes = offsets_of(weights)
        places: list[tuple[Weight, Storage]] = []
        for number, (weight, offset) in enumerate(zip(weights, offsets, strict=True)):
            storage = Storage("input", -1 - number)
            if weight.value is not None:
                storage = self.read[weight.value]
            layout.weights[storage] = offset
            places.append((weight, storage))
        for port in self.interface.results:
            self._result(port.value)
        for weight, storage in places:
            if weight.becomes is not None:
                self._state(weight, storage)
        whole = self.interface.graph
        dims = [*_dims_of(whole), *_dims_of(self.lowered.optimized)]
        layout.every_dim = list(dict.fromkeys(dims))
        layout.conditions = [*conditions_of(whole), *map(_condition, self.interface.requirements)]
        return layout

    def _result(self, value: Value) -> None:
        """A result goes where the caller wants it."""
        layout, nbytes = self.layout, _bytes_of(value)
        storage = self.made.get(value)
        if storage is not None and storage not in layout.results:
            layout.results.append(storage)
            return
        other = Storage("output", -1 - len(layout.results))
        layout.results.append(other)
        if storage is None:
            layout.before.append((other, self.read[value], nbytes))
        else:
            layout.after.append((other, storage, nbytes))

    def _state(self, weight: Weight, target: Storage) -> None:
        """What a weight becomes is written over it, or copied there in the end."""
        value = weight.becomes
        assert value is not None
        layout, nbytes = self.layout, _bytes_of(value)
        source = self.made.get(value)
        if source is None:
            aside = Storage("arena", -1, nbytes)
            layout.extra.append((aside, 0, len(self.steps)))
            layout.before.append((aside, self.read[value], nbytes))
            layout.after.append((target, aside, nbytes))
            return
        is_placed = source in layout.results or source in layout.weights or source.kind == "arena"
        if not is_placed and self._may_overwrite(target, source):
            layout.weights[source] = layout.weights[target]
            return
        if not is_placed:
            source.kind, source.nbytes = "arena", nbytes
            first = min(
                (n for n, step in enumerate(self.steps) if source in touched(step)[1]), default=0
            )
            layout.extra.append((source, first, len(self.steps)))
        layout.after.append((target, source, nbytes))

    def _may_overwrite(self, target: Storage, source: Storage) -> bool:
        numbers = {storage: number for number, storage in enumerate(self.lowered.inputs)}
        output = self.lowered.outputs.index(source)
        return (numbers.get(target, -1), output) in self.aliases


def _condition(requirement: Requirement) -> Condition:
    return lambda sizes: requirement.holds(evaluate(requirement.dim, sizes))


def _bytes_of(value: Value) -> Any:
    return size(value.shape) * value.dtype.itemsize


def _dims_of(graph: Graph) -> Iterator[Any]:
    """All dims and numbers of bytes of a graph's values that depend on sizes."""
    values = [*graph.inputs, *(value for node in graph.nodes for value in node.results)]
    for value in values:
        yield from (dim for dim in value.shape if isinstance(dim, Dim))
        nbytes = _bytes_of(value)
        if isinstance(nbytes, Dim):
            yield nbytes
    for node in graph.nodes:
        for inner in subgraphs(node).values():
            yield from _dims_of(inner)


def typical_sizes(dims: Mapping[str, tuple[int, int | None]]) -> dict[str, int]:
    """Sizes for which the arena is laid out best."""
    return {
        name: max(low, min(64 + 2 * number, high if high is not None else 1 << 30))
        for number, (name, (low, high)) in enumerate(dims.items())
    }
