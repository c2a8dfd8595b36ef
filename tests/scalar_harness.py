"""Compiles functions of scalars into loops over arrays, for tests of lowerings."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from elinvar.codegen.llvm_scalars import FunctionText, LLVMHandler, llvm_type, memory_type
from elinvar.codegen.stand_ins import with_stand_ins
from elinvar.core.dtypes import DType, bool_
from elinvar.runtime.llvm import has_fma, has_half, this_machine

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()
_KEPT: list[Any] = []


def target_machine() -> Any:
    """The host's machine, with all of its instruction sets."""
    target = llvm.Target.from_default_triple()
    features = llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=3)


def module_text(
    function: Callable[..., Any], operands: tuple[DType, ...], lanes: int, name: str = "run"
) -> tuple[str, DType, int]:
    """LLVM text of a loop over `n` elements (a multiple of `lanes`), the result's dtype, and the
    number of instructions printed."""
    text = FunctionText()
    handler = LLVMHandler(text, lanes)
    scalars = []
    for position, dtype in enumerate(operands):
        scalars.append(handler.scalar(dtype, _load(text, dtype, f"%p{position}", lanes)))
    before = len(text.lines)
    result = function(*scalars)
    count = len(text.lines) - before
    _store(text, result, lanes)
    pointers = ", ".join(f"ptr %p{position}" for position in range(len(operands)))
    lines = "\n".join([*text.declarations, f"define void @{name}(ptr %out, {pointers}, i64 %n) {{"])
    body = "\n".join(text.lines)
    return (
        f"{lines}\nentry:\n  br label %head\nhead:\n  %i = phi i64 [ 0, %entry ], [ %next, %body ]\n"
        f"  %more = icmp slt i64 %i, %n\n  br i1 %more, label %body, label %end\nbody:\n{body}\n"
        f"  %next = add i64 %i, {lanes}\n  br label %head\nend:\n  ret void\n}}\n",
        result.dtype,
        count,
    )


def _kinds(dtype: DType, lanes: int) -> tuple[str, str]:
    memory = memory_type(dtype)
    return memory, memory if lanes == 1 else f"<{lanes} x {memory}>"


def _load(text: FunctionText, dtype: DType, pointer: str, lanes: int) -> str:
    element, kind = _kinds(dtype, lanes)
    place, value = text.fresh("a"), text.fresh("x")
    text.emit(f"{place} = getelementptr {element}, ptr {pointer}, i64 %i")
    text.emit(f"{value} = load {kind}, ptr {place}, align 1")
    if dtype is not bool_:
        return value
    narrow = text.fresh("b")
    text.emit(f"{narrow} = trunc {kind} {value} to {llvm_type(bool_, lanes)}")
    return narrow


def _store(text: FunctionText, result: Any, lanes: int) -> None:
    element, kind = _kinds(result.dtype, lanes)
    value = result.payload
    if result.dtype is bool_:
        wide = text.fresh("w")
        text.emit(f"{wide} = zext {llvm_type(bool_, lanes)} {value} to {kind}")
        value = wide
    place = text.fresh("a")
    text.emit(f"{place} = getelementptr {element}, ptr %out, i64 %i")
    text.emit(f"store {kind} {value}, ptr {place}, align 1")


def optimized(text: str, machine: Any = None) -> tuple[Any, Any]:
    """The module after LLVM's passes, and the machine it is for."""
    if machine is None:
        machine, own = target_machine(), this_machine()
        text = with_stand_ins(text, has_fma(own), has_half(own))
    module = llvm.parse_assembly(text)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = False
    options.loop_unrolling = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return module, machine


def assembly(function: Callable[..., Any], operands: tuple[DType, ...], lanes: int) -> str:
    """The machine code, as text."""
    module, machine = optimized(module_text(function, operands, lanes)[0])
    return machine.emit_assembly(module)


def cross_assembly(
    function: Callable[..., Any], operands: tuple[DType, ...], lanes: int, triple: str, cpu: str
) -> str:
    """The machine code for another machine, as text."""
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, opt=3)
    module, machine = optimized(module_text(function, operands, lanes)[0], machine)
    return machine.emit_assembly(module)


def compiled(
    function: Callable[..., Any], operands: tuple[DType, ...], lanes: int = 1
) -> Callable[..., Any]:
    """A function of numpy arrays (in storage dtypes: bfloat16 as uint16) of equal sizes."""
    text, result, _ = module_text(function, operands, lanes)
    module, machine = optimized(text)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    _KEPT.append(engine)
    address = engine.get_function_address("run")
    count = len(operands) + 1
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * count, ctypes.c_int64)(address)

    def run(*arrays: Any) -> Any:
        shape = np.shape(arrays[0])
        padded = -(-np.size(arrays[0]) // lanes) * lanes
        columns = [
            np.resize(np.ascontiguousarray(array, dtype.storage).ravel(), padded or 0)
            for array, dtype in zip(arrays, operands, strict=True)
        ]
        out = np.empty(padded, result.storage)
        call(out.ctypes.data, *(column.ctypes.data for column in columns), padded)
        return out[: np.size(arrays[0])].reshape(shape)

    return run
