"""Small kernels written by hand, for the tests of the run-time floor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from elinvar.runtime import native

# add(slots: integers, number): adds the number to elements begin … end - 1
# slow(slots: doubles, number): that many steps x ← x / 2 + 1 on elements begin … end - 1
# less(slots: integers, integer bound, byte result): result ← integers[0] < bound
# copy(slots: target, source): target[0] ← source[0]
# total(slots: target, count, numbers): target[0] ← sum of the numbers in the slots
TEXT = """
define void @test_add(ptr %slots, i64 %begin, i64 %end) nounwind {
entry:
  %data = load ptr, ptr %slots
  %number_at = getelementptr i64, ptr %slots, i64 1
  %number = load i64, ptr %number_at
  br label %look
look:
  %i = phi i64 [ %begin, %entry ], [ %next, %step ]
  %left = icmp slt i64 %i, %end
  br i1 %left, label %step, label %done
step:
  %at = getelementptr i64, ptr %data, i64 %i
  %old = load i64, ptr %at
  %new = add i64 %old, %number
  store i64 %new, ptr %at
  %next = add i64 %i, 1
  br label %look
done:
  ret void
}

declare double @llvm.fma.f64(double, double, double)

define void @test_slow(ptr %slots, i64 %begin, i64 %end) nounwind {
entry:
  %data = load ptr, ptr %slots
  %steps_at = getelementptr i64, ptr %slots, i64 1
  %steps = load i64, ptr %steps_at
  br label %look
look:
  %i = phi i64 [ %begin, %entry ], [ %next, %store ]
  %left = icmp slt i64 %i, %end
  br i1 %left, label %read, label %done
read:
  %at = getelementptr double, ptr %data, i64 %i
  %old = load double, ptr %at
  br label %step
step:
  %k = phi i64 [ 0, %read ], [ %k_next, %work ]
  %x = phi double [ %old, %read ], [ %x_next, %work ]
  %more = icmp slt i64 %k, %steps
  br i1 %more, label %work, label %store
work:
  %x_next = call double @llvm.fma.f64(double %x, double 0.5, double 1.0)
  %k_next = add i64 %k, 1
  br label %step
store:
  store double %x, ptr %at
  %next = add i64 %i, 1
  br label %look
done:
  ret void
}

define void @test_less(ptr %slots, i64 %begin, i64 %end) nounwind {
  %data = load ptr, ptr %slots
  %bound_at = getelementptr i64, ptr %slots, i64 1
  %bound = load i64, ptr %bound_at
  %result_at = getelementptr i64, ptr %slots, i64 2
  %result = load ptr, ptr %result_at
  %value = load i64, ptr %data
  %less = icmp slt i64 %value, %bound
  %byte = zext i1 %less to i8
  store i8 %byte, ptr %result
  ret void
}

define void @test_copy(ptr %slots, i64 %begin, i64 %end) nounwind {
  %target = load ptr, ptr %slots
  %source_at = getelementptr i64, ptr %slots, i64 1
  %source = load ptr, ptr %source_at
  %value = load i64, ptr %source
  store i64 %value, ptr %target
  ret void
}

define void @test_total(ptr %slots, i64 %begin, i64 %end) nounwind {
entry:
  %target = load ptr, ptr %slots
  %count_at = getelementptr i64, ptr %slots, i64 1
  %count = load i64, ptr %count_at
  br label %look
look:
  %i = phi i64 [ 0, %entry ], [ %next, %step ]
  %sum = phi i64 [ 0, %entry ], [ %new, %step ]
  %left = icmp slt i64 %i, %count
  br i1 %left, label %step, label %done
step:
  %next = add i64 %i, 1
  %slot = add i64 %i, 2
  %at = getelementptr i64, ptr %slots, i64 %slot
  %number = load i64, ptr %at
  %new = add i64 %sum, %number
  br label %look
done:
  store i64 %sum, ptr %target
  ret void
}
"""

_NAMES = ("test_add", "test_slow", "test_less", "test_copy", "test_total")
_ADDRESSES = native.load(TEXT, _NAMES)
ADD, SLOW, LESS, COPY, TOTAL = (_ADDRESSES[name] for name in _NAMES)

TESTS = Path(__file__).resolve().parent


def run_python(code: str, timeout: float = 60, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run code in another Python that can import the package and this module."""
    environment = {**os.environ, **settings}
    environment["PYTHONPATH"] = os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment,
    )
