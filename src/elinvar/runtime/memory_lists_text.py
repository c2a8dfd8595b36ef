"""Where the memory of buffers comes from, as LLVM text: size classes, free lists, the system.

A buffer that Python lets go keeps its memory and waits in two lists: that of its size class, from
which the next request of this size takes the newest, and that of all waiting buffers in order of
age, from whose end memory goes back to the system. What may wait is bounded by what was in use at
one time lately: memory in use and waiting together stay below the largest use of the last two
windows of some seconds, plus 64 MiB. All of this runs under the GIL.

Sizes are rounded up to 64 bytes times 1 … 4, then to four steps for each power of two.
"""

from __future__ import annotations

from elinvar.runtime.platform_text import HUGE_PAGES, MAP_PRIVATE_ANONYMOUS, clock_text

SPARE_BYTES = 64 << 20
_WINDOW_NANOSECONDS = 2_000_000_000
_MAPPED_BYTES = 1 << 20  # from here on memory comes from mmap
_HUGE_BYTES = 4 << 20  # from here on with huge pages, where there are any
_HUGE_PAGE = 2 << 20

_STATE = """
; references, type, address as int, nbytes as int, owner, address, size class (-1: not our memory),
; in the list of the class: next older, next newer; in the list of all: next older, next newer
%Buffer = type { i64, ptr, ptr, ptr, ptr, i64, i64, ptr, ptr, ptr, ptr }
; live bytes, largest live bytes, waiting bytes, buffers alive
%Counts = type { i64, i64, i64, i64 }

@class_heads = internal global [256 x ptr] zeroinitializer
@newest = internal global ptr null
@oldest = internal global ptr null
@counts = internal global %Counts zeroinitializer
@window_peak = internal global i64 0
@previous_peak = internal global i64 0
@window_end = internal global i64 0

declare i32 @clock_gettime(i32, ptr) nounwind
declare void @PyObject_Free(ptr) nounwind
declare void @Py_DecRef(ptr) nounwind
declare ptr @mmap(ptr, i64, i32, i32, i32, i64) nounwind
declare i32 @munmap(ptr, i64) nounwind
declare i32 @posix_memalign(ptr, i64, i64) nounwind
declare void @free(ptr) nounwind
declare i64 @llvm.ctlz.i64(i64, i1)
declare i64 @llvm.umax.i64(i64, i64)
"""

_CLASSES = """
; The size class of a request, and the bytes that buffers of a class have.
define internal i64 @class_of(i64 %nbytes) nounwind alwaysinline {
  %padded = add i64 %nbytes, 63
  %units = lshr i64 %padded, 6
  %some = call i64 @llvm.umax.i64(i64 %units, i64 1)
  %last = sub i64 %some, 1
  %is_small = icmp ult i64 %last, 4
  %zeros = call i64 @llvm.ctlz.i64(i64 %last, i1 false)
  %top = sub i64 63, %zeros
  %shift_or_less = sub i64 %top, 2
  %shift = select i1 %is_small, i64 0, i64 %shift_or_less
  %shifted = lshr i64 %last, %shift
  %step = and i64 %shifted, 3
  %octave = add i64 %shift, 1
  %octave_start = shl i64 %octave, 2
  %large = add i64 %octave_start, %step
  %class = select i1 %is_small, i64 %last, i64 %large
  ret i64 %class
}

define internal i64 @class_bytes(i64 %class) nounwind alwaysinline {
  %is_small = icmp ult i64 %class, 4
  %octave = lshr i64 %class, 2
  %shift_or_less = sub i64 %octave, 1
  %shift = select i1 %is_small, i64 0, i64 %shift_or_less
  %step = and i64 %class, 3
  %high = select i1 %is_small, i64 0, i64 4
  %sum = add i64 %step, %high
  %units_less = add i64 %sum, 1
  %units = shl i64 %units_less, %shift
  %bytes = shl i64 %units, 6
  ret i64 %bytes
}
"""

_LISTS = """
define internal ptr @head_of(i64 %class) nounwind alwaysinline {
  %head = getelementptr [256 x ptr], ptr @class_heads, i64 0, i64 %class
  ret ptr %head
}

; Put a buffer in front of both lists.
define internal void @put_in(ptr %buffer, i64 %class) nounwind alwaysinline {
entry:
  %older_at = getelementptr %Buffer, ptr %buffer, i32 0, i32 7
  %newer_at = getelementptr %Buffer, ptr %buffer, i32 0, i32 8
  %all_older_at = getelementptr %Buffer, ptr %buffer, i32 0, i32 9
  %all_newer_at = getelementptr %Buffer, ptr %buffer, i32 0, i32 10
  store ptr null, ptr %newer_at
  store ptr null, ptr %all_newer_at
  %head_at = call ptr @head_of(i64 %class)
  %head = load ptr, ptr %head_at
  store ptr %head, ptr %older_at
  store ptr %buffer, ptr %head_at
  %has_head = icmp ne ptr %head, null
  br i1 %has_head, label %link_class, label %all
link_class:
  %head_newer_at = getelementptr %Buffer, ptr %head, i32 0, i32 8
  store ptr %buffer, ptr %head_newer_at
  br label %all
all:
  %newest = load ptr, ptr @newest
  store ptr %newest, ptr %all_older_at
  store ptr %buffer, ptr @newest
  %has_newest = icmp ne ptr %newest, null
  %link_at = getelementptr %Buffer, ptr %newest, i32 0, i32 10
  %back_at = select i1 %has_newest, ptr %link_at, ptr @oldest
  store ptr %buffer, ptr %back_at
  ret void
}

; Take a buffer out of both lists.
define internal void @take_out(ptr %buffer, i64 %class) nounwind alwaysinline {
entry:
  %older_at = getelementptr %Buffer, ptr %buffer, i32 0, i32 7
  %older = load ptr, ptr %older_at
  %newer_at = getelementptr %Buffer, ptr %buffer, i32 0, i32 8
  %newer = load ptr, ptr %newer_at
  %is_head = icmp eq ptr %newer, null
  %head_at = call ptr @head_of(i64 %class)
  %newer_link = getelementptr %Buffer, ptr %newer, i32 0, i32 7
  %front = select i1 %is_head, ptr %head_at, ptr %newer_link
  store ptr %older, ptr %front
  %has_older = icmp ne ptr %older, null
  br i1 %has_older, label %link_class, label %all
link_class:
  %older_link = getelementptr %Buffer, ptr %older, i32 0, i32 8
  store ptr %newer, ptr %older_link
  br label %all
all:
  %all_older_at = getelementptr %Buffer, ptr %buffer, i32 0, i32 9
  %all_older = load ptr, ptr %all_older_at
  %all_newer_at = getelementptr %Buffer, ptr %buffer, i32 0, i32 10
  %all_newer = load ptr, ptr %all_newer_at
  %is_newest = icmp eq ptr %all_newer, null
  %all_newer_link = getelementptr %Buffer, ptr %all_newer, i32 0, i32 9
  %all_front = select i1 %is_newest, ptr @newest, ptr %all_newer_link
  store ptr %all_older, ptr %all_front
  %is_oldest = icmp eq ptr %all_older, null
  %all_older_link = getelementptr %Buffer, ptr %all_older, i32 0, i32 10
  %all_back = select i1 %is_oldest, ptr @oldest, ptr %all_older_link
  store ptr %all_newer, ptr %all_back
  ret void
}
"""

_ADVISE = """
declare i32 @madvise(ptr, i64, i32) nounwind

define internal void @want_huge_pages(ptr %memory, i64 %bytes) nounwind {
  %failed = call i32 @madvise(ptr %memory, i64 %bytes, i32 14)
  ret void
}
"""

_NO_ADVICE = """
define internal void @want_huge_pages(ptr %memory, i64 %bytes) nounwind {
  ret void
}
"""

_SYSTEM = f"""
; Memory from the system: aligned to 64 bytes, large blocks to a huge page. Null when there is none.
define internal ptr @obtain(i64 %bytes) nounwind {{
entry:
  %place = alloca ptr
  %is_mapped = icmp uge i64 %bytes, {_MAPPED_BYTES}
  br i1 %is_mapped, label %choose, label %small
small:
  %failed = call i32 @posix_memalign(ptr %place, i64 64, i64 %bytes)
  %ok = icmp eq i32 %failed, 0
  %memory = load ptr, ptr %place
  %small_answer = select i1 %ok, ptr %memory, ptr null
  ret ptr %small_answer
choose:
  %is_huge = icmp uge i64 %bytes, {_HUGE_BYTES}
  br i1 %is_huge, label %huge, label %plain
plain:
  %mapped = call ptr @mmap(ptr null, i64 %bytes, i32 3, i32 {MAP_PRIVATE_ANONYMOUS}, i32 -1, i64 0)
  %number = ptrtoint ptr %mapped to i64
  %bad = icmp eq i64 %number, -1
  %plain_answer = select i1 %bad, ptr null, ptr %mapped
  ret ptr %plain_answer
huge:
  %wide = add i64 %bytes, {_HUGE_PAGE}
  %span = call ptr @mmap(ptr null, i64 %wide, i32 3, i32 {MAP_PRIVATE_ANONYMOUS}, i32 -1, i64 0)
  %start = ptrtoint ptr %span to i64
  %none = icmp eq i64 %start, -1
  br i1 %none, label %fail, label %align
fail:
  ret ptr null
align:
  %end = add i64 %start, %wide
  %up = add i64 %start, {_HUGE_PAGE - 1}
  %aligned = and i64 %up, {-_HUGE_PAGE}
  %aligned_end = add i64 %aligned, %bytes
  %before = sub i64 %aligned, %start
  %after = sub i64 %end, %aligned_end
  %some_before = icmp ne i64 %before, 0
  br i1 %some_before, label %cut_front, label %cut_back
cut_front:
  %f = call i32 @munmap(ptr %span, i64 %before)
  br label %cut_back
cut_back:
  %tail = inttoptr i64 %aligned_end to ptr
  %some_after = icmp ne i64 %after, 0
  br i1 %some_after, label %cut_tail, label %advise
cut_tail:
  %t = call i32 @munmap(ptr %tail, i64 %after)
  br label %advise
advise:
  %block = inttoptr i64 %aligned to ptr
  call void @want_huge_pages(ptr %block, i64 %bytes)
  ret ptr %block
}}

define internal void @give_back(ptr %memory, i64 %bytes) nounwind {{
entry:
  %is_mapped = icmp uge i64 %bytes, {_MAPPED_BYTES}
  br i1 %is_mapped, label %unmap, label %small
small:
  call void @free(ptr %memory)
  ret void
unmap:
  %failed = call i32 @munmap(ptr %memory, i64 %bytes)
  ret void
}}

; Give the memory of the oldest waiting buffers back until live and waiting bytes are `most`.
define void @elinvar_memory_trim(i64 %most) nounwind {{
entry:
  br label %look
look:
  %live = load i64, ptr @counts
  %waiting_at = getelementptr %Counts, ptr @counts, i32 0, i32 2
  %waiting = load i64, ptr %waiting_at
  %sum = add i64 %live, %waiting
  %too_much = icmp ugt i64 %sum, %most
  %oldest = load ptr, ptr @oldest
  %some = icmp ne ptr %oldest, null
  %go_on = and i1 %too_much, %some
  br i1 %go_on, label %drop, label %done
drop:
  %class_at = getelementptr %Buffer, ptr %oldest, i32 0, i32 6
  %class = load i64, ptr %class_at
  call void @take_out(ptr %oldest, i64 %class)
  %bytes = call i64 @class_bytes(i64 %class)
  %left = sub i64 %waiting, %bytes
  store i64 %left, ptr %waiting_at
  %memory_at = getelementptr %Buffer, ptr %oldest, i32 0, i32 5
  %memory = load ptr, ptr %memory_at
  call void @give_back(ptr %memory, i64 %bytes)
  %address_at = getelementptr %Buffer, ptr %oldest, i32 0, i32 2
  %address = load ptr, ptr %address_at
  call void @Py_DecRef(ptr %address)
  call void @PyObject_Free(ptr %oldest)
  br label %look
done:
  ret void
}}

; Before `more` bytes come from the system: bound what waits by what was in use lately.
define internal void @tidy(i64 %more) nounwind {{
entry:
  %live = load i64, ptr @counts
  %soon = add i64 %live, %more
  %known_peak = load i64, ptr @window_peak
  %peak = call i64 @llvm.umax.i64(i64 %known_peak, i64 %soon)
  store i64 %peak, ptr @window_peak
  %time = call i64 @now()
  %end = load i64, ptr @window_end
  %over = icmp sgt i64 %time, %end
  br i1 %over, label %next_window, label %trim
next_window:
  store i64 %peak, ptr @previous_peak
  store i64 %soon, ptr @window_peak
  %next_end = add i64 %time, {_WINDOW_NANOSECONDS}
  store i64 %next_end, ptr @window_end
  br label %trim
trim:
  %last = load i64, ptr @previous_peak
  %current = load i64, ptr @window_peak
  %most = call i64 @llvm.umax.i64(i64 %last, i64 %current)
  %limit = add i64 %most, {SPARE_BYTES}
  %most_now = sub i64 %limit, %more
  call void @elinvar_memory_trim(i64 %most_now)
  ret void
}}
"""


def lists_text() -> str:
    """Size classes, the lists of waiting buffers, and memory from and to the system."""
    advise = _ADVISE if HUGE_PAGES else _NO_ADVICE
    return "".join((_STATE, clock_text("now", coarse=True), _CLASSES, _LISTS, advise, _SYSTEM))
