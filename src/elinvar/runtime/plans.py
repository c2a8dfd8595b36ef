"""Plans: a program before its addresses are known; and programs from the disk without compiling.

Passes, clustering and lowering take most of the time of a large graph whose kernels are in the disk
cache. Their result for given sizes is small: launches with numbers, which kernels they call, some
tables. It is kept next to the object code, under a key of everything it depends on: the graph's
content, the vector width, the order of sums, and the text of the compiler itself.

    entry   JSON of everything but the tables' numbers · newline · these, as 64-bit integers
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from elinvar.codegen.numerics import EXACT, Numerics
from elinvar.core.settings import settings
from elinvar.graph.ir import Graph
from elinvar.graph.walk import fingerprint, subgraphs
from elinvar.ops.table import BY_NAME
from elinvar.runtime import native, program
from elinvar.runtime.cache import cache_key

LEAST_NODES = 48  # smaller graphs are lowered in a few milliseconds
TABLE = -2  # the `external` of a slot that holds a table's address; its offset is the number
FUNCTION = -3  # the same for a function's address, by its number among the kernels
_FLOORS = ("core", "ops", "graph", "passes", "kernels", "codegen", "runtime")
_ROOT = Path(__file__).resolve().parent.parent
_LAUNCH, _COND, _WHILE, _FOR, _TOGETHER = range(5)


class Kernel(NamedTuple):
    """A kernel by the name of its function and the digest of its text."""

    name: str
    digest: str


@dataclass
class Plan:
    """A program for given sizes.

    Attributes:
        items: as `make_program` takes them, but the kernel of a launch is a number of `kernels`,
            a slot `(TABLE, number)` holds the address of one of the `tables`, and
            `(FUNCTION, number)` that of one of the `kernels`.
        arena: bytes of scratch memory.
        release: whether other Python threads may run meanwhile.
        aliases: (input, output) pairs where the output may overwrite the input.
        preparation: what runs first when one of the inputs `prepares_from` has changed, in
            `preparation_arena` bytes of scratch memory; it fills `kept` bytes, which every call is
            given as its last argument.
    """

    items: list[program.Item]
    kernels: list[Kernel]
    tables: list[np.ndarray[Any, Any]]
    arena: int
    release: bool
    aliases: list[tuple[int, int]] = field(default_factory=list)
    preparation: list[program.Item] = field(default_factory=list)
    preparation_arena: int = 0
    prepares_from: list[int] = field(default_factory=list)
    kept: int = 0

    @functools.cached_property
    def work(self) -> int:
        """About how many elements a call computes at least."""
        return program.work_of(self.items)

    def linked(
        self, items: list[program.Item], addresses: list[int], overwrites: bool = False
    ) -> list[program.Item]:
        """Items with the addresses of kernels and tables; the tables must stay alive.

        Launches are `final` only in a program that `overwrites` the memory of its inputs.
        """
        tables = [table.__array_interface__["data"][0] for table in self.tables]
        return [_linked(item, addresses, tables, overwrites) for item in items]


def _linked(
    item: program.Item, kernels: list[int], tables: list[int], overwrites: bool
) -> program.Item:
    def every(items: Any) -> list[program.Item]:
        return [_linked(inner, kernels, tables, overwrites) for inner in items]

    if isinstance(item, program.Launch):
        found = {TABLE: tables, FUNCTION: kernels}
        slots = [
            (-1, found[slot[0]][slot[1]]) if slot[0] in found else slot for slot in item.slots
        ]
        final = item.final and overwrites
        kernel = kernels[item.kernel]
        return program.Launch(kernel, item.tasks, slots, item.parallel, final, item.work)
    if isinstance(item, program.Together):
        members: Any = every(item.members)
        return program.Together(members, item.tasks, item.final and overwrites)
    if isinstance(item, program.Cond):
        return program.Cond(item.predicate, every(item.true), every(item.false))
    if isinstance(item, program.While):
        return program.While(item.loop, every(item.condition), item.predicate, every(item.body))
    return program.For(item.loop, item.trips, every(item.body), item.reverse)


# keys


def plan_key(
    graph: Graph, layouts: Any, settled: Any, vector_bits: int, numerics: Numerics = EXACT
) -> str | None:
    """The key of a graph's plan; None where none is kept: small graphs, symbolic sizes, operations
    that are not in the table, and when every pass is to be verified."""
    if settings.verify or settings.cache_dir is None or len(graph.nodes) < LEAST_NODES:
        return None
    compiler = compiler_digest()
    if compiler is None or not _is_known(graph):
        return None
    settings_of = (repr(layouts), repr(settled), str(vector_bits), numerics.word)
    parts = (fingerprint(graph), *settings_of, compiler)
    return f"{native.machine_label()}-{cache_key('plan', *parts)}"


def _is_known(graph: Graph) -> bool:
    for node in graph.nodes:
        if node.op is not BY_NAME.get(node.op_name):
            return False
        if not all(isinstance(n, int) for value in node.results for n in value.shape):
            return False
        if not all(_is_known(inner) for inner in subgraphs(node).values()):
            return False
    return all(isinstance(n, int) for value in graph.inputs for n in value.shape)


@functools.cache
def compiler_digest() -> str | None:
    """The digest of the sources that a plan depends on; None where they cannot be read."""
    digest = hashlib.sha256()
    try:
        for floor in _FLOORS:
            for path in sorted((_ROOT / floor).glob("*.py")):
                data = path.read_bytes()
                digest.update(f"{floor}/{path.name} {len(data)}\n".encode())
                digest.update(data)
    except OSError:
        return None
    return digest.hexdigest()


# as bytes


def encode(plan: Plan) -> bytes:
    """A plan as bytes."""
    content = {
        "items": [_encoded(item) for item in plan.items],
        "kernels": plan.kernels,
        "tables": [len(table) for table in plan.tables],
        "arena": plan.arena,
        "release": plan.release,
        "aliases": plan.aliases,
        "preparation": [_encoded(item) for item in plan.preparation],
        "kept": [plan.preparation_arena, plan.kept, *plan.prepares_from],
    }
    text = json.dumps(content, separators=(",", ":")).encode()
    return b"\n".join([text, b"".join(table.astype("<i8").tobytes() for table in plan.tables)])


def decode(data: bytes) -> Plan | None:
    """The plan that was encoded; None where the bytes are none."""
    text, _, numbers = data.partition(b"\n")
    try:
        content = json.loads(text)
        lengths = [int(length) for length in content["tables"]]
        every = np.frombuffer(numbers, "<i8").astype(np.int64)
        if min(lengths, default=0) < 0 or sum(lengths) != len(every):
            return None
        tables = np.split(every, np.cumsum(lengths)[:-1]) if lengths else []
        kernels = [Kernel(str(name), str(digest)) for name, digest in content["kernels"]]
        items = [_decoded(item) for item in content["items"]]
        tables = [np.ascontiguousarray(table) for table in tables]
        aliases = [(int(source), int(target)) for source, target in content["aliases"]]
        arena, release = int(content["arena"]), bool(content["release"])
        preparation = [_decoded(item) for item in content["preparation"]]
        scratch, kept, *sources = map(int, content["kept"])
        return Plan(
            items, kernels, tables, arena, release, aliases, preparation, scratch, sources, kept
        )
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None


def _encoded(item: program.Item) -> list[Any]:
    def every(items: Any) -> list[Any]:
        return [_encoded(inner) for inner in items]

    if isinstance(item, program.Launch):
        own = [item.kernel, item.tasks, item.parallel, item.final, item.work]
        return [_LAUNCH, *own, item.slots]
    if isinstance(item, program.Together):
        return [_TOGETHER, every(item.members), item.tasks, item.final]
    if isinstance(item, program.Cond):
        return [_COND, item.predicate, every(item.true), every(item.false)]
    if isinstance(item, program.While):
        return [_WHILE, item.loop, every(item.condition), item.predicate, every(item.body)]
    return [_FOR, item.loop, item.trips, every(item.body), item.reverse]


def _decoded(row: Any) -> program.Item:
    kind, *rest = row
    if kind == _LAUNCH:
        kernel, tasks, parallel, final, work, slots = rest
        places = list(map(_slot, slots))
        own = (bool(parallel), bool(final), int(work))
        return program.Launch(int(kernel), int(tasks), places, *own)
    if kind == _TOGETHER:
        members, parts, final = rest
        cut = [[(int(a), int(b), int(c)) for a, b, c in task] for task in parts]
        found: Any = _every(members)
        return program.Together(found, cut, bool(final))
    if kind == _COND:
        predicate, true, false = rest
        return program.Cond(_slot(predicate), _every(true), _every(false))
    if kind == _WHILE:
        loop, condition, predicate, body = rest
        return program.While(int(loop), _every(condition), _slot(predicate), _every(body))
    loop, trips, body, reverse = rest
    return program.For(int(loop), int(trips), _every(body), bool(reverse))


def _every(rows: Any) -> list[program.Item]:
    return [_decoded(row) for row in rows]


def _slot(row: Any) -> program.Slot:
    if len(row) == 2:
        return int(row[0]), int(row[1])
    moves = [program.Move(int(loop), int(stride), bool(parity)) for loop, stride, parity in row[2]]
    return int(row[0]), int(row[1]), moves
