"""Traced functions: a graph with typed places for tensors, compiled on demand and differentiable.

A `TracedFunction` keeps the tape of its trace. Its vector-Jacobian and Jacobian-vector products are
found by walking that tape inside the same trace, and are traced functions again; so custom rules,
`no_grad` and `detach` in the traced code mean what they mean in eager code, to any order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sys import getrefcount
from typing import Any

from elinvar.core.shapes import Dim, is_static
from elinvar.graph.ir import Graph, inline
from elinvar.graph.sizes import Limits, resolve_sizes, specialize
from elinvar.graph.walk import content_key, fingerprint
from elinvar.tensor.backward import backward
from elinvar.tensor.cell import concrete, state, traces
from elinvar.tensor.dispatch import packed
from elinvar.tensor.engine import Compiled, allocator, compile_graph
from elinvar.tensor.forward import push_forward
from elinvar.tensor.layout import Layout, dense
from elinvar.tensor.oneop import kept
from elinvar.tensor.replaying import examine_program
from elinvar.tensor.tape import Derivative, Leaf, record_call
from elinvar.tensor.trace import Requirement, Trace
from elinvar.tensor.watching import watch

ONLY_THE_CELL = 3  # references to a buffer: the cell's, a local name's and the argument's
MOST_BOUND = 1024  # programs bound to sizes that one function keeps, or all that are shared
_shared: dict[Any, Program] = {}


class Kept:
    """What a function prepared from tensors that its program reads and does not write: packed
    weights. It holds their memory, so that nobody overwrites it in place, and prepares anew when a
    tensor has other memory, or memory that others may change.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        # (memory of the sources, what was made of it): one value, so that a thread that finds the
        # sources of another finds what that one made of them
        self._held: tuple[list[tuple[Any, int]], Any] | None = None

    def memory(self, program: Program, operands: list[Any]) -> Any:
        """The memory that a call of a program needs, filled."""
        held = self._held
        if held is not None and _stand_there(held[0], program, operands):
            return held[1]
        self._held = held = None  # the old copy may go before the new one is made
        memory = program.allocate(program.kept_nbytes)
        program.fill(memory, operands)
        found = [(operands[n]._buffer, operands[n]._address) for n in program.prepares_from]
        own = type(memory)
        if all(type(buffer) is own and buffer.owner is None for buffer, _ in found):
            self._held = found, memory
        return memory


def _stand_there(sources: list[tuple[Any, int]], program: Program, operands: list[Any]) -> bool:
    """Whether the operands that something was prepared from have the memory that they had."""
    for number, (buffer, address) in zip(program.prepares_from, sources, strict=True):
        x = operands[number]
        if x._buffer is not buffer or x._address != address:
            return False
    return True


class Program:
    """A compiled graph for given layouts.

    Attributes:
        call, arena_nbytes, sizes: the native program, its scratch memory, the results' bytes.
        results: where each result is found: (input, -1, None) or (-1, output, layout).
        unpacked: numbers of operands that have to be packed first.
        aliases: (input, output) pairs whose kernels allow the output to overwrite the input;
        overwriting: makes the program for calls in which some do.
        kept: what is prepared and kept between calls, if anything is; see `run.compile.Bound`.
    """

    __slots__ = (
        "aliases",
        "allocate",
        "arena_nbytes",
        "call",
        "kept",
        "kept_nbytes",
        "overwriting",
        "prepare",
        "prepare_arena",
        "prepares_from",
        "results",
        "sizes",
        "unpacked",
    )

    call: Any
    arena_nbytes: Any
    sizes: list[Any]
    results: list[Any]
    unpacked: list[int]
    overwriting: Any
    kept: Kept | None
    kept_nbytes: Any
    prepare: Any
    prepare_arena: Any
    prepares_from: Any

    def __init__(self, bound: Any, results: list[Any], unpacked: list[int], kept: Kept) -> None:
        self.call = bound.call
        self.arena_nbytes = bound.arena_nbytes
        self.sizes = [output.nbytes for output in bound.outputs]
        self.results = results
        self.unpacked = unpacked
        self.allocate: Callable[[int], Any] = allocator()
        self.aliases: set[tuple[int, int]] = set(bound.aliases)
        self.overwriting = bound.overwriting
        self.kept = kept if bound.kept_nbytes else None
        self.kept_nbytes, self.prepare = bound.kept_nbytes, bound.prepare
        self.prepare_arena, self.prepares_from = bound.prepare_arena, bound.prepares_from

    def fill(self, memory: Any, operands: list[Any]) -> None:
        """Prepare what depends on some operands alone."""
        arena = self.allocate(self.prepare_arena)
        addresses = [x._address for x in operands]
        self.prepare(arena.address, *addresses, *[0] * len(self.sizes), memory.address)

    def run(self, operands: list[Any]) -> list[Any]:
        """New tensors with the results. Operands that need it are packed in place in the list."""
        for number in self.unpacked:
            operands[number] = packed(operands[number])
        allocate = self.allocate
        plain = not self.arena_nbytes and self.kept is None
        if plain and len(self.sizes) == 1 and len(self.results) == 1:
            buffer = allocate(self.sizes[0])
            address = buffer.address
            self.call(0, *[x._address for x in operands], address)
            return [concrete(buffer, address, self.results[0][2])]
        return self.tensors(operands, self.compute(operands))

    def compute(self, operands: list[Any], donated: Sequence[tuple[int, int]] = ()) -> list[Any]:
        """The memory of the outputs, for packed operands.

        `donated`: (input, output) pairs of `aliases` where the input's tensor will be rebound to
        the output; its memory is used again if nothing else holds it.
        """
        allocate = self.allocate
        if not self.sizes:
            return []
        again = {}
        for number, output in donated:
            x = operands[number]
            buffer = x._buffer
            if getrefcount(buffer) == ONLY_THE_CELL and x._address == buffer.address:
                again[output] = buffer
        buffers = [
            again[n] if n in again else allocate(nbytes) for n, nbytes in enumerate(self.sizes)
        ]
        arena = allocate(self.arena_nbytes) if self.arena_nbytes else None
        call = self.overwriting() if again else self.call
        addresses = [x._address for x in operands]
        addresses += [buffer.address for buffer in buffers]
        if self.kept is not None:
            memory = self.kept.memory(self, operands)
            addresses.append(memory.address)
        call(0 if arena is None else arena.address, *addresses)
        return buffers

    def tensors(self, operands: list[Any], buffers: list[Any]) -> list[Any]:
        """The results as tensors."""
        found = []
        for source, output, layout in self.results:
            if source >= 0:
                x = operands[source]
                found.append(concrete(x._buffer, x._address, x._layout))
            else:
                buffer = buffers[output]
                found.append(concrete(buffer, buffer.address, layout))
        return found


def _without_inputs(graph: Graph) -> Graph:
    """What is compiled: results that are inputs, or appear twice, are left out."""
    inputs = set(graph.inputs)
    outputs = dict.fromkeys(v for v in graph.outputs if v not in inputs)
    return Graph(graph.inputs, outputs, graph.name)


def _program_of(graph: Graph, bound: Any, layouts: tuple[Layout, ...], kept: Kept) -> Program:
    kinds = [dense(output.dtype, tuple(output.shape)) for output in bound.outputs]
    numbers = {value: number for number, value in enumerate(graph.inputs)}
    places: dict[Any, int] = {}
    results: list[Any] = []
    for value in graph.outputs:
        if value in numbers:
            results.append((numbers[value], -1, None))
        else:
            number = places.setdefault(value, len(places))
            results.append((-1, number, kinds[number]))
    unpacked = [n for n, x in enumerate(layouts) if not x.is_dense]
    return Program(bound, results, unpacked, kept)


def program_for(graph: Graph, layouts: tuple[Layout, ...]) -> Program:
    """The program of a graph without symbolic sizes, with the machine code of an equal one."""
    compiled = _without_inputs(graph)
    key = ("shared", fingerprint(compiled), "exact")
    code = kept(key, lambda: compile_graph(compiled))
    return _program_of(graph, code.bind({}), layouts, Kept())


class TracedFunction:
    """A graph over tensors.

    Args:
        name: for printing and for the tape.
        trace: where it was traced; kept for derivatives.
        inputs: traced tensors in the order of arguments; a leaf of the tape where a derivative may
            be wanted.
        outputs: traced tensors.
        held: tensors from outside that are the last inputs of every call.

    Attributes:
        keeps_lines: whether the user's lines in the graph are those of every call.
        settled: numbers of the inputs that are expected to be the same in most calls.
        numerics: the order in which sums are added, here and in derivatives.
        lines_are_own: whether the lines in the graph are of the user's own code.
    """

    graph: Graph
    differentiable: list[bool]
    requirements: list[Requirement]

    keeps_lines: bool = False
    settled: tuple[int, ...] = ()
    numerics: str = "exact"
    lines_are_own: bool = False
    _is_shared = False

    def __init__(
        self, name: str, trace: Trace, inputs: list[Any], outputs: list[Any], held: list[Any]
    ) -> None:
        self.name = name
        self._inputs = inputs
        self._outputs = outputs
        self.held = held
        self.graph = Graph([x._value for x in inputs], [y._value for y in outputs], name)
        self.differentiable = [y._node is not None and _is_usable(y._node) for y in outputs]
        self._trace = trace if any(self.differentiable) else None
        self._compiled: Compiled | None = None
        self._programs: dict[tuple[Layout, ...], Program] = {}
        self._kept = Kept()
        self._limits: Limits | None = None
        self.requirements = trace.requirements
        self._vjps: dict[Any, tuple[TracedFunction, list[int]]] = {}
        self._jvps: dict[Any, tuple[TracedFunction, list[int]]] = {}
        self._rule = Derivative(self._derive, self._push)

    def __repr__(self) -> str:
        return f"<traced {self.name}>"

    # running

    def __call__(self, tensors: list[Any]) -> list[Any]:
        """Run on concrete tensors, and record one node on the tape where gradients are wanted.

        Under a trace the graph is inlined. The list may be changed.
        """
        operands = [*tensors, *self.held] if self.held else tensors
        if traces.active and state.trace is not None:
            return self._in_trace(state.trace, operands)
        program = self._programs.get(tuple([x._layout for x in operands]))
        if program is None:
            program = self.program(operands)
        results = program.run(operands)
        if self._trace is not None:
            for x in operands:
                if x._node is not None:
                    self.record(operands, results)
                    break
        return results

    def examined(self, tensors: list[Any], name: str) -> list[Any]:
        """The same while somebody watches for NaN: refused where the program makes one.

        `name`: see `replaying.examine_program`.
        """
        results = self(list(tensors))
        examine_program(name, self.graph, [*tensors, *self.held], results, self.lines_are_own)
        return results

    def _in_trace(self, trace: Any, operands: list[Any]) -> list[Any]:
        """Build the nodes in the running trace: a tape of eager operations is walked in there."""
        graph, given = self.graph, [trace.read(x) for x in operands]
        if not state.grad_enabled:
            given = [trace.cut(value) for value in given]
        sizes = _sizes(graph.input_types, [x.shape for x in given])
        if sizes:
            graph = specialize(graph, sizes)
        values = inline(trace.builder, graph, given)
        results = [trace.wrap(value) for value in values]
        if self._trace is not None and any(x._node is not None for x in operands):
            self.record(operands, results)
        return results

    def record(self, operands: list[Any], results: list[Any]) -> None:
        """Put the call on the tape."""
        if state.grad_enabled:
            record_call(self.name, self._rule, operands, results, self.differentiable, False)

    @property
    def can_record(self) -> bool:
        """Whether a gradient can flow through a call."""
        return self._trace is not None

    def program(self, operands: list[Any]) -> Program:
        """The compiled graph for the operands' layouts."""
        key = tuple([x._layout for x in operands])
        found = self._programs.get(key)
        if found is None:
            if len(self._programs) >= MOST_BOUND:
                self._programs.clear()
            found = self._shared_program(key) if self._is_shared else self._bind(key)
            self._programs[key] = found
        return found

    def _shared_program(self, layouts: tuple[Layout, ...]) -> Program:
        """The program of an equal function, if there was one."""
        key = (content_key(self.graph), layouts, self.numerics)
        found = _shared.get(key)
        if found is None:
            found = self._bind(layouts)
            if any(isinstance(dim, Dim) for kind in self.graph.input_types for dim in kind.shape):
                return found  # the sizes that it takes were held against what it requires
            if len(_shared) >= MOST_BOUND:
                _shared.clear()
            _shared[key] = found
        return found

    def compile(self) -> Compiled:
        """The machine code. Results that are inputs, or appear twice, are left out of it."""
        if self._compiled is None:
            graph = _without_inputs(self.graph)

            def made() -> Compiled:
                return compile_graph(
                    graph, lines=self.keeps_lines, settled=self.settled, numerics=self.numerics
                )

            key = ("shared", fingerprint(graph), self.numerics) if self._is_shared else None
            self._compiled = kept(key, made) if key else made()
        return self._compiled

    def share_code(self) -> None:
        """Take the machine code of an equal graph, here and in derivatives: for what is traced in
        each call."""
        self._is_shared, self.keeps_lines, self.settled = True, False, ()

    def check_sizes(self, sizes: dict[str, int]) -> None:
        """Refuse sizes for which some array inside cannot exist."""
        if sizes:
            if self._limits is None:
                self._limits = Limits(self.graph)
            self._limits.check(self.name, sizes)
            for requirement in self.requirements:
                requirement.check(sizes)

    def _bind(self, layouts: tuple[Layout, ...]) -> Program:
        sizes = resolve_sizes(self.graph.input_types, [x.shape for x in layouts])
        self.check_sizes(sizes)
        return _program_of(self.graph, self.compile().bind(sizes), layouts, self._kept)

    # derivatives

    def _derive(self, operands: Any, results: Any, cotangents: Any) -> list[Any]:
        wanted = tuple([x._node is not None for x in operands])
        present = tuple([c is not None for c in cotangents])
        vjp, places = self.vjp(wanted, present)
        found: list[Any] = [None] * len(operands)
        if places:
            given = [*operands, *(c for c in cotangents if c is not None)]
            watched = traces.active and watch.on and state.trace is None
            gradients = vjp.examined(given, "") if watched else vjp(given)
            for place, gradient in zip(places, gradients, strict=True):
                found[place] = gradient
        return found

    def vjp(self, wanted: tuple[bool, ...], present: tuple[bool, ...]) -> Any:
        """The function (inputs, cotangents of `present` outputs) → cotangents of some inputs.

        Returns:
            the traced function, and the numbers of the inputs whose cotangents it gives: those of
            the `wanted` ones that the outputs depend on.
        """
        key = (wanted, present)
        if key not in self._vjps:
            self._vjps[key] = self._trace_vjp(wanted, present)
        return self._vjps[key]

    def _trace_vjp(self, wanted: tuple[bool, ...], present: tuple[bool, ...]) -> Any:
        trace = self._trace
        assert trace is not None
        asked = [n for n, want in enumerate(wanted) if want and self._inputs[n]._node is not None]
        given = [n for n, there in enumerate(present) if there and self.differentiable[n]]
        with trace:
            seeds = []
            for number, there in enumerate(present):
                if there:
                    seed = trace.input(self._outputs[number]._type, "cotangent")
                    seed._node, seed._slot = Leaf(seed), 0
                    seeds.append(seed)
            starts = [s for s, n in zip(seeds, _true(present), strict=True) if n in given]
            outputs = [self._outputs[number] for number in given]
            found: Any = []
            if outputs and asked:
                chosen = [self._inputs[number] for number in asked]
                found = backward(outputs, starts, True, True, chosen)
            places = [n for n, gradient in zip(asked, found, strict=False) if gradient is not None]
            gradients = [gradient for gradient in found if gradient is not None]
            held = trace.inputs
        inputs = [*self._inputs, *seeds, *(one.tensor for one in held)]
        cells = [one.cell for one in held]
        vjp = TracedFunction(f"{self.name}_vjp", trace, inputs, gradients, cells)
        vjp.numerics, vjp.lines_are_own = self.numerics, self.lines_are_own
        if self._is_shared:
            vjp.share_code()
        return vjp, places


    def _push(self, operands: Any, results: Any, tangents: Any) -> list[Any]:
        jvp, places = self.jvp(tuple([t is not None for t in tangents]))
        found: list[Any] = [None] * len(self._outputs)
        if places:
            given = [*operands, *(t for t in tangents if t is not None)]
            for place, tangent in zip(places, jvp(given), strict=True):
                found[place] = tangent
        return found

    def jvp(self, moving: tuple[bool, ...]) -> Any:
        """The function (inputs, tangents of the `moving` ones) → tangents of some outputs.

        Returns:
            the traced function, and the numbers of the outputs whose tangents it gives.
        """
        if moving not in self._jvps:
            self._jvps[moving] = self._trace_jvp(moving)
        return self._jvps[moving]

    def _trace_jvp(self, moving: tuple[bool, ...]) -> Any:
        trace = self._trace
        assert trace is not None
        with trace:
            seeds = []
            for number in _true(moving):
                seed = trace.input(self._inputs[number]._type, "tangent")
                seed._node, seed._slot = Leaf(seed), 0
                seeds.append(seed)
            starts = [self._inputs[number] for number in _true(moving)]
            given = _true(tuple(self.differentiable))
            outputs = [self._outputs[number] for number in given]
            pushed = push_forward(starts, seeds, outputs, True)
            places = [n for n, tangent in zip(given, pushed, strict=True) if tangent is not None]
            tangents = [tangent for tangent in pushed if tangent is not None]
            held = trace.inputs
        inputs = [*self._inputs, *seeds, *(one.tensor for one in held)]
        cells = [one.cell for one in held]
        jvp = TracedFunction(f"{self.name}_jvp", trace, inputs, tangents, cells)
        jvp.numerics = self.numerics
        if self._is_shared:
            jvp.share_code()
        return jvp, places


def _sizes(types: Any, shapes: Any) -> dict[str, Any]:
    """The sizes of a graph's symbols; they may be symbols of the running trace."""
    if all(is_static(shape) for shape in shapes):
        return resolve_sizes(types, shapes)
    found = {}
    for kind, shape in zip(types, shapes, strict=True):
        for dim, size in zip(kind.shape, shape, strict=True):
            names = sorted(dim.names()) if isinstance(dim, Dim) else []
            if len(names) == 1 and dim == Dim(names[0]):
                found[names[0]] = size
    return found


def _true(flags: tuple[bool, ...]) -> list[int]:
    return [number for number, flag in enumerate(flags) if flag]


def _is_usable(node: Any) -> bool:
    return node.is_leaf or node.operands is not None
