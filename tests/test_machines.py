"""The same bits on every kind of machine: levels of x86-64 in this process and in others, AArch64,
RISC-V and WebAssembly where there is something to run their code. `make test-cross` does the same
with more numbers."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import other_machines
import pytest
import sweeps
from run_kernels import run_python

from elinvar.core.errors import CompileError
from elinvar.runtime import llvm, native
from elinvar.runtime.targets import NAMES, target_named

HERE = Path(__file__).resolve().parent
LEVELS = [level for level in llvm.X86_LEVELS if not llvm._missing(level, llvm.this_machine())]
several_levels = pytest.mark.skipif(
    len(LEVELS) < 2, reason="this machine runs one level of x86-64 at most"
)
# One of each kind of lowering; the others have their turn in `make test-cross`.
SWEEPS = [
    "exp_f32", "sin_f32", "atan2_f32_f32", "erf_bf16", "power_f32_f32", "tan_f64", "divide_f16_f16",
    "floor_divide_i32_i32", "nextafter_f32_f32", "cast_f64_bf16", "cast_i64_f16", "shift_right_u8_u8",
]  # fmt: skip


# ---- targets by name ----------------------------------------------------------------------------


def test_targets():
    for name in NAMES:
        named = target_named(name)
        assert named.name == name and named.pointer_bits in (32, 64)
        assert named.vector_bits == llvm.vector_bits_of(named.target)
        assert named.has_fma == llvm.has_fma(named.target)
        code = native.object_code("define void @nothing() { ret void }", named.target)
        assert len(code) > 50
    assert target_named("host").target == native.host()


def test_an_unknown_target_is_refused():
    with pytest.raises(CompileError, match="unknown target 'aarch64'; known: x86-64-v2, x86-64-v3"):
        target_named("aarch64")
    with pytest.raises(CompileError, match="did you mean wasm32"):
        target_named("wasm-32")


def test_what_objects_take_from_elsewhere():
    text = """
declare double @outside(double)
define double @inside(double %x) {
  %y = call double @outside(double %x)
  ret double %y
}
"""
    for name in NAMES:
        code = native.object_code(text, target_named(name).target)
        assert native.undefined_symbols(code) == {"outside"}, name
    assert native.undefined_symbols(b"something else") == set()


# ---- nothing is called ---------------------------------------------------------------------------

@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name != "host"])
def test_kernels_call_no_library(name):
    """Some of the kernels of all ops; `make test-cross` compiles every one."""
    texts = other_machines.kernel_texts(target_named(name).vector_bits)
    short = [text for _, text in sorted(texts.items()) if len(text) < 6000]
    for text in short[:: max(1, len(short) // 5)]:
        assert not other_machines.calls_of(name, text, 1), text


# ---- sweeps --------------------------------------------------------------------------------------


@pytest.mark.slow
@several_levels
@pytest.mark.parametrize("name", SWEEPS)
def test_levels_of_x86_agree(name):
    count = sweeps.count_of(name, 200_000)
    first, *others = (sweeps.native_sweep(name, level) for level in LEVELS)
    for other in others:
        assert sweeps.first_difference(first, other, count) is None


def test_a_difference_is_found():
    one = sweeps.native_sweep("exp_f32", LEVELS[0]) if LEVELS else None
    if one is None:
        pytest.skip("this machine is no x86-64")

    def wrong(begin, end):
        return one(begin, end) + (begin <= 4711 < end)

    assert sweeps.first_difference(one, wrong, 16384) == 4704


@pytest.mark.slow
@pytest.mark.parametrize("target", other_machines.EMULATED)
def test_other_machines_agree(target):
    reason = other_machines.reason_to_skip(target)
    if reason or not LEVELS:
        pytest.skip(reason or "compared with a level of x86-64")
    names = [*SWEEPS[::4], "shift_right_u8_u8", "shift_right_u16_u16", "cast_f32_i64"]
    here = other_machines.digests(LEVELS[-1], names, 20_000)
    assert other_machines.digests(target, names, 20_000) == here


# ---- whole programs ------------------------------------------------------------------------------

PROGRAMS = (
    "product/f32/5x600x33", "product/int8", "convolution/winograd/f32",
    "convolution/depthwise/f32", "attention/f32/True", "rows/f16/softmax",
    "rows/f64/sums", "rows/random", "train/mlp/f32",
)  # fmt: skip


def digests_of_programs(level):
    command = [sys.executable, str(HERE / "machines.py"), "--only", *PROGRAMS]
    environment = other_machines.environment(ELINVAR_CPU=level, ELINVAR_VERIFY="0")
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=environment, check=True
    )
    return json.loads(result.stdout)


@several_levels
@pytest.mark.slow
def test_programs_have_the_same_bits_at_every_level():
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(digests_of_programs, LEVELS))
    assert len(found[0]) >= len(PROGRAMS)
    assert not [digest for digest in found[0].values() if ":" in digest]
    for other in found[1:]:
        assert other == found[0]


# ---- the setting ---------------------------------------------------------------------------------

SHOW = """
from elinvar.runtime import compile, native
print(native.host().cpu, compile.vector_bits(), native.machine_label())
"""


def test_cpu_setting():
    labels = {}
    for level in ("host", *LEVELS[:1]):
        cpu, bits, labels[level] = run_python(SHOW, ELINVAR_CPU=level).stdout.split()
        if level != "host":
            assert (cpu, int(bits)) == (level, llvm.X86_LEVELS[level][0])
    assert len(set(labels.values())) == len(labels)


def test_an_unknown_cpu_is_refused_at_first_use():
    code = "import elinvar as el; print('imported'); el.ones(3) + 1"
    result = run_python(code, ELINVAR_CPU="x86-64-v5")
    assert "imported" in result.stdout and result.returncode
    expected = (
        "[ELINVAR_CPU] unknown instruction set 'x86-64-v5'; "
        "known: host, x86-64-v2, x86-64-v3, x86-64-v4"
    )
    assert expected in result.stderr


def test_a_cpu_that_the_machine_lacks_is_refused(monkeypatch):
    own = llvm.Target("x86_64-unknown-linux-gnu", "nehalem", "+cx16,+sahf,+popcnt,+sse3,+ssse3,+sse4.1,+sse4.2")
    assert llvm._missing("x86-64-v2", own) == []
    assert llvm._missing("x86-64-v3", own)[:2] == ["avx", "avx2"]
    arm = llvm.Target("aarch64-unknown-linux-gnu", "generic", "+neon")
    assert llvm._missing("x86-64-v2", arm) == ["instruction of x86-64"]
