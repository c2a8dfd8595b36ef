"""Objects whose constants stand behind their code: nothing is left that a loader could put too far."""

from __future__ import annotations

import ctypes
import struct

import pytest

from elinvar.runtime import native
from elinvar.runtime.joining import joined
from elinvar.runtime.llvm import binding, host, target_machine

TEXT = """
declare double @llvm.fma.f64(double, double, double)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
@table = private constant [4 x double] [double 1.5, double -2.0, double 0.25, double 8.0]
@bytes = constant [3 x i8] c"abc"

define double @joined_sum(i64 %i, double %x) nounwind {
  %p = getelementptr double, ptr @table, i64 %i
  %v = load double, ptr %p
  %r = call double @llvm.fma.f64(double %v, double %x, double 0.1)
  ret double %r
}

define i64 @joined_choice(i64 %i) nounwind {
  switch i64 %i, label %other [i64 0, label %a i64 1, label %b i64 2, label %c i64 3, label %d i64 4, label %e]
a:
  ret i64 17
b:
  ret i64 -5
c:
  ret i64 1000
d:
  ret i64 3
e:
  ret i64 99
other:
  ret i64 0
}

define void @joined_copy(ptr %to, ptr %from, i64 %n) nounwind {
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %n, i1 false)
  ret void
}
"""


def loaded_sections(code: bytes) -> list[int]:
    """The sizes of the sections that take memory."""
    (table,) = struct.unpack_from("<Q", code, 0x28)
    size, count = struct.unpack_from("<HH", code, 0x3A)
    found = [struct.unpack_from("<IIQQQQ", code, table + size * i) for i in range(count)]
    return [nbytes for _, _, flags, _, _, nbytes in found if flags & 2 and nbytes]


def relations(code: bytes) -> set[int]:
    """The kinds of relocations."""
    (table,) = struct.unpack_from("<Q", code, 0x28)
    size, count = struct.unpack_from("<HH", code, 0x3A)
    sections = [struct.unpack_from("<IIQQQQ", code, table + size * i) for i in range(count)]
    return {
        struct.unpack_from("<I", code, at + 8)[0]
        for _, kind, _, _, offset, nbytes in sections
        if kind == 4
        for at in range(offset, offset + nbytes, 24)
    }


@pytest.mark.skipif(not host().triple.startswith("x86_64"), reason="x86-64's relocations")
def test_one_section_is_left_and_it_works() -> None:
    code = native.object_code(TEXT)
    whole = joined(code)
    assert len(loaded_sections(code)) > 1 and len(loaded_sections(whole)) == 1
    assert joined(whole) == whole
    assert native.undefined_symbols(whole) == native.undefined_symbols(code)

    llvm = binding()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine(host(), jit=True))
    engine.add_object_file(llvm.ObjectFileRef.from_data(whole))
    engine.finalize_object()
    number = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int64, ctypes.c_double)
    total = number(engine.get_function_address("joined_sum"))
    assert [total(i, 2.0) for i in range(4)] == [3.1, -3.9, 0.6, 16.1]
    choice = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(
        engine.get_function_address("joined_choice")
    )
    assert [choice(i) for i in range(6)] == [17, -5, 1000, 3, 99, 0]
    to, source = ctypes.create_string_buffer(5), ctypes.create_string_buffer(b"hello", 5)
    copy = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    copy(engine.get_function_address("joined_copy"))(to, source, 5)
    assert to.raw == b"hello"
    place = engine.get_global_value_address("bytes")
    assert ctypes.string_at(place, 3) == b"abc"


def test_other_objects_stay() -> None:
    mach_o = b"\xcf\xfa\xed\xfe" + bytes(60)
    assert joined(mach_o) is mach_o and joined(b"") == b""
    bare = native.object_code("define i64 @joined_bare() nounwind { ret i64 3 }")
    assert joined(bare) is bare
    written = native.object_code(
        "@state = global i64 7\n"
        "define i64 @joined_state() nounwind { %v = load i64, ptr @state\n ret i64 %v }"
    )
    assert joined(written) is written


@pytest.mark.skipif(not host().triple.startswith("x86_64"), reason="x86-64's relocations")
def test_no_table_of_addresses_is_needed() -> None:
    code = native.object_code(TEXT)
    assert relations(code) == {2, 4}  # offsets to constants, calls
    assert relations(joined(code)) == {1}  # whole addresses
