"""LLVM text to machine code: loading, errors, what the code may call, other targets."""

from __future__ import annotations

import ctypes
import hashlib
import re
import threading
from pathlib import Path

import pytest
from run_kernels import run_python

from elinvar.core.errors import CompileError
from elinvar.core.settings import settings
from elinvar.runtime import memory_text, native, platform_text, pool_text, program_text
from elinvar.runtime.cache import DiskCache


def returning(name: str, number: int) -> str:
    return f"define i64 @{name}() nounwind {{ ret i64 {number} }}\n"


def call(address: int) -> int:
    return ctypes.CFUNCTYPE(ctypes.c_int64)(address)()


def test_load_gives_addresses_that_work() -> None:
    text = returning("native_one", 1) + returning("native_two", 2)
    addresses = native.load(text, ["native_one", "native_two"])
    assert [call(addresses[name]) for name in ("native_one", "native_two")] == [1, 2]


def test_the_same_text_is_loaded_once() -> None:
    text = returning("native_again", 3)
    first = native.load(text, ["native_again"])
    assert native.load(text, iter(["native_again"])) == first


def test_internal_functions_do_not_collide() -> None:
    helper = (
        "define internal i64 @helper(i64 %x) noinline {{ %r = add i64 %x, {0}\n ret i64 %r }}\n"
    )
    for number in (10, 20):
        text = helper.format(number) + (
            f"define i64 @native_outer{number}() {{ %r = call i64 @helper(i64 1)\n ret i64 %r }}"
        )
        assert (
            call(native.load(text, [f"native_outer{number}"])[f"native_outer{number}"])
            == number + 1
        )


def test_a_broken_text_is_named_and_kept() -> None:
    text = "define i64 @native_broken() { ret i64 }"
    with pytest.raises(CompileError, match=r"\[compile\] LLVM refused a text") as caught:
        native.load(text, ["native_broken"])
    assert "expected" in str(caught.value)
    path = Path(re.search(r"the text is in (\S+)", str(caught.value))[1])
    assert path.read_text() == text
    path.unlink()


def test_a_text_that_fails_verification_is_refused() -> None:
    text = "define i64 @native_loop() {\nagain:\n  br label %again\n}"
    with pytest.raises(CompileError, match="Entry block") as caught:
        native.load(text, ["native_loop"])
    Path(re.search(r"the text is in (\S+)", str(caught.value))[1]).unlink()


@pytest.mark.parametrize(
    ("text", "called"),
    [
        (
            "declare i64 @nobody()\ndefine i64 @native_c0() { %r = call i64 @nobody()\n ret i64 %r }",
            "nobody",
        ),
        (
            "declare double @llvm.sin.f64(double)\ndefine double @native_c1(double %x) {"
            " %r = call double @llvm.sin.f64(double %x)\n ret double %r }",
            "sin",
        ),
    ],
)
def test_code_that_calls_a_library_is_refused(text: str, called: str) -> None:
    with pytest.raises(
        CompileError, match=f"the code calls {called}, which nobody declared"
    ) as caught:
        native.load(text, [re.search(r"native_c\d", text)[0]])
    Path(re.search(r"the text is in (\S+)", str(caught.value))[1]).unlink()


def test_copies_may_become_memcpy() -> None:
    text = """
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
define void @native_copy(ptr %a, ptr %b, i64 %n) {
  call void @llvm.memcpy.p0.p0.i64(ptr %a, ptr %b, i64 %n, i1 false)
  ret void
}"""
    address = native.load(text, ["native_copy"])["native_copy"]
    source, target = ctypes.create_string_buffer(b"abcdef"), ctypes.create_string_buffer(7)
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(address)
    function(ctypes.addressof(target), ctypes.addressof(source), 6)
    assert target.value == b"abcdef"


def test_declared_functions_can_be_called() -> None:
    calls = []
    callback_type = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
    callback = callback_type(lambda x: calls.append(x) or x * 2)
    native.declare_symbols({"native_back": ctypes.cast(callback, ctypes.c_void_p).value})
    text = (
        "declare i64 @native_back(i64)\n"
        "define i64 @native_caller() { %r = call i64 @native_back(i64 21)\n ret i64 %r }"
    )
    assert call(native.load(text, ["native_caller"])["native_caller"]) == 42
    assert calls == [21]


def test_a_missing_name_and_a_name_used_twice() -> None:
    native.load(returning("native_taken", 1), ["native_taken"])
    with pytest.raises(CompileError, match="the text defines no function named native_absent"):
        native.load(returning("native_present", 1), ["native_absent"])
    with pytest.raises(
        CompileError, match="another text already defines a function named native_taken"
    ):
        native.load(returning("native_taken", 2), ["native_taken"])


def test_constants_and_tables_are_reached() -> None:
    text = """
@table = internal constant [4 x i64] [i64 5, i64 6, i64 7, i64 8]
define i64 @native_table() {
  %at = getelementptr [4 x i64], ptr @table, i64 0, i64 2
  %r = load volatile i64, ptr %at
  ret i64 %r
}"""
    assert call(native.load(text, ["native_table"])["native_table"]) == 7


def test_many_threads_load_at_once() -> None:
    results: dict[int, int] = {}

    def work(number: int) -> None:
        for i in range(6):
            name = f"native_thread{i}"
            results[number * 10 + i] = call(native.load(returning(name, i), [name])[name])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n * 10 + i: i for n in range(4) for i in range(6)}


def test_prepare_compiles_the_same_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native._engine, "disk", DiskCache(None))
    monkeypatch.setattr(native._engine, "prepared", {})  # of other tests
    texts = [FMA.replace("native_fma", f"native_prepared{i}") for i in range(8)]
    native.prepare([*texts, texts[0]], threads=4)
    prepared = dict(native._engine.prepared)
    assert len(prepared) == 8
    for text in texts:
        assert prepared[hashlib.sha256(text.encode()).digest()] == native.object_code(text)
    monkeypatch.setattr(native, "object_code", None)
    for i, text in enumerate(texts):
        assert native.load(text, [f"native_prepared{i}"])
    assert not native._engine.prepared
    native.prepare(texts, threads=4)
    assert not native._engine.prepared


def test_prepare_forgets_what_nobody_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native._engine, "disk", DiskCache(None))
    monkeypatch.setattr(native._engine, "prepared", {})  # of other tests
    texts = [returning(f"native_unwanted{i}", i) for i in range(12)]
    most = 4 * len(native.object_code(texts[0]))
    monkeypatch.setattr(native, "_PREPARED_BYTES", most)
    for first in range(0, len(texts), 3):
        native.prepare(texts[first : first + 3], threads=2)
        assert sum(map(len, native._engine.prepared.values())) <= most
    assert 1 <= len(native._engine.prepared) <= 4
    assert hashlib.sha256(texts[0].encode()).digest() not in native._engine.prepared
    for i, text in enumerate(texts):  # those that were dropped too
        assert call(native.load(text, [f"native_unwanted{i}"])[f"native_unwanted{i}"]) == i
    assert not native._engine.prepared


def test_prepare_leaves_what_is_wrong_to_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native._engine, "disk", DiskCache(None))
    monkeypatch.setattr(native._engine, "prepared", {})  # of other tests
    calls_out = (
        "declare void @nobody2()\ndefine void @native_out() { call void @nobody2()\n ret void }"
    )
    texts = [returning("native_right", 8), "define broken", calls_out]
    native.prepare(texts, threads=3)
    assert len(native._engine.prepared) == 1
    assert call(native.load(texts[0], ["native_right"])["native_right"]) == 8
    for text, reason in ((texts[1], "expected"), (texts[2], "nobody2, which nobody declared")):
        with pytest.raises(CompileError, match=reason) as caught:
            native.load(text, [])
        Path(re.search(r"the text is in (\S+)", str(caught.value))[1]).unlink()


FMA = """
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
define void @native_fma(ptr %p) "prefer-vector-width"="512" "min-legal-vector-width"="512" {
  %x = load <16 x float>, ptr %p, align 4
  %y = call <16 x float> @llvm.fma.v16f32(<16 x float> %x, <16 x float> %x, <16 x float> %x)
  store <16 x float> %y, ptr %p, align 4
  ret void
}"""


@pytest.mark.parametrize(
    ("target", "instruction"),
    [
        (native.Target("x86_64-unknown-linux-gnu", "x86-64-v4", ""), r"vfmadd\w+ps.*%zmm"),
        (native.Target("x86_64-unknown-linux-gnu", "x86-64-v3", ""), r"vfmadd\w+ps.*%ymm"),
        (native.Target("aarch64-unknown-linux-gnu", "generic", ""), r"fmla\s+v\d+\.4s"),
    ],
    ids=["x86-64-v4", "x86-64-v3", "aarch64"],
)
def test_other_targets(target: native.Target, instruction: str) -> None:
    assert re.search(instruction, native.assembly(FMA, target))
    assert native.object_code(FMA, target)[:4] == b"\x7fELF"


@pytest.mark.skipif(settings.llvm_level == 0, reason="LLVM is told to optimise nothing")
def test_optimized_shows_llvm_text() -> None:
    text = "define i64 @native_fold() { %a = add i64 2, 3\n %b = mul i64 %a, 4\n ret i64 %b }"
    assert "ret i64 20" in native.optimized(text)


def test_undefined_symbols() -> None:
    text = "declare void @outside()\ndefine void @inside() { call void @outside()\n ret void }"
    target = native.Target("x86_64-unknown-linux-gnu", "x86-64", "")
    assert native.undefined_symbols(native.object_code(text, target)) == {"outside"}


def test_import_does_not_load_llvm() -> None:
    code = (
        "import sys\n"
        "from elinvar.runtime import native, cache, pool, program, memory\n"
        "assert not any(name.startswith('llvmlite') for name in sys.modules), 'loaded'\n"
    )
    result = run_python(code)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("machine", "futex", "target"),
    [
        ("x86", True, native.Target("x86_64-unknown-linux-gnu", "x86-64-v2", "")),
        ("arm", True, native.Target("aarch64-unknown-linux-gnu", "generic", "")),
        ("arm", False, native.Target("arm64-apple-darwin", "apple-m1", "")),
        ("risc", True, native.Target("riscv64-unknown-linux-gnu", "generic-rv64", "+m,+a,+f,+d,+c")),
    ],
    ids=["x86-64-v2", "aarch64", "macos", "riscv64"],
)  # fmt: skip
def test_the_native_side_compiles_for(
    machine: str, futex: bool, target: native.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform_text, "_IS_X86", machine == "x86")
    monkeypatch.setattr(platform_text, "_IS_ARM", machine == "arm")
    monkeypatch.setattr(platform_text, "HAS_FUTEX", futex)
    monkeypatch.setattr(platform_text, "_FUTEX_CALL", 98)
    for text in (pool_text.pool_text(), program_text.program_text(), memory_text.memory_text()):
        code = native.object_code(text, target, level=0)
        declared = set(re.findall(r"^declare .*@(\w+)\(", text, re.MULTILINE))
        extra = native.undefined_symbols(code) - declared - {"_GLOBAL_OFFSET_TABLE_"}
        assert not extra, extra


def test_a_process_without_room_for_kernels_says_so(monkeypatch):
    """LLVM would end the process."""
    monkeypatch.setattr(native, "CHECKED", 1)
    monkeypatch.setattr(native, "SPARE_MAPS", 1 << 40)
    with pytest.raises(CompileError, match="kernels fill the memory mappings of this process") as e:
        native.load("define i64 @no_room() { ret i64 7 }", ["no_room"])
    assert "vm.max_map_count" in str(e.value)
