"""What the interpreter of programs does while a profile is taken, as LLVM text.

Nothing of this runs otherwise: a program looks once whether somebody listens (`@on_run`), and only
then runs by `run_list_timed`. Events go to a block of memory that belongs to Python:

    events   used · capacity · runs under way · nothing · the events
    event    run · program · 4 × position of the item + kind · start · end · thread
    kinds    0 a whole program · 1 a launch on the calling thread · 2 a launch that is shared
             · 3 a part of a shared launch on one thread

A launch of several kernels together is one event of kind 2; its parts are events of kind 3 whose
position is that of the launch, plus one, plus the number of the member that they belong to.

Times are nanoseconds. An event that finds no room is dropped; `used` counts it all the same.
"""

from __future__ import annotations

from elinvar.runtime.platform_text import clock_text

EVENT_WORDS = 6
HEADER_WORDS = 4
PART_WORDS = 5  # of a part of a launch of several kernels: see `program.py`
READ_PART = """  %part_at = getelementptr i64, ptr %slots, i64 %number
  %kernel = load ptr, ptr %part_at
  %own_at = getelementptr i64, ptr %part_at, i64 1
  %own_number = load i64, ptr %own_at
  %own = getelementptr i64, ptr %slots, i64 %own_number
  %from_at = getelementptr i64, ptr %part_at, i64 2
  %from = load i64, ptr %from_at
  %to_at = getelementptr i64, ptr %part_at, i64 3
  %to = load i64, ptr %to_at
"""  # its kernel, its own slots, and its tasks
PROGRAM, SERIAL, SHARED, PART = range(4)

TIMED_SERIAL = "call void @timed_serial(ptr %run, i64 %at, ptr %kernel, i64 %tasks)"
TIMED_SHARED = "call i64 @timed_shared(ptr %run, i64 %at, ptr %kernel, i64 %tasks, ptr %poll)"

_TIMING = f"""
@on_run = internal global ptr null   ; a Python function: gives the number of a run that begins
@events = internal global ptr null

%Shared = type {{ ptr, ptr, ptr, i64 }}  ; kernel, slots, run, position of the item

; Note an event of a run that ends now.
define internal void @note(ptr %run, i64 %what, i64 %start) nounwind {{
entry:
  %end = call i64 @precise()
  %events_at = getelementptr %Run, ptr %run, i32 0, i32 6
  %events = load ptr, ptr %events_at
  %number = atomicrmw add ptr %events, i64 1 monotonic
  %capacity_at = getelementptr i64, ptr %events, i64 1
  %capacity = load i64, ptr %capacity_at
  %room = icmp ult i64 %number, %capacity
  br i1 %room, label %write, label %done
write:
  %words = mul i64 %number, {EVENT_WORDS}
  %place = add i64 %words, {HEADER_WORDS}
  %event = getelementptr i64, ptr %events, i64 %place
  %run_number_at = getelementptr %Run, ptr %run, i32 0, i32 7
  %run_number = load i64, ptr %run_number_at
  store i64 %run_number, ptr %event
  %code = load ptr, ptr %run
  %program_at = getelementptr i64, ptr %code, i64 4
  %program = load i64, ptr %program_at
  %to_program = getelementptr i64, ptr %event, i64 1
  store i64 %program, ptr %to_program
  %to_what = getelementptr i64, ptr %event, i64 2
  store i64 %what, ptr %to_what
  %to_start = getelementptr i64, ptr %event, i64 3
  store i64 %start, ptr %to_start
  %to_end = getelementptr i64, ptr %event, i64 4
  store i64 %end, ptr %to_end
  %thread = call i64 @PyThread_get_thread_ident()
  %to_thread = getelementptr i64, ptr %event, i64 5
  store i64 %thread, ptr %to_thread
  br label %done
done:
  ret void
}}

define internal void @timed_serial(ptr %run, i64 %at, ptr %kernel, i64 %tasks) nounwind {{
  %slots_at = getelementptr %Run, ptr %run, i32 0, i32 2
  %slots = load ptr, ptr %slots_at
  %start = call i64 @precise()
  call void %kernel(ptr %slots, i64 0, i64 %tasks)
  %place = shl i64 %at, 2
  %what = or i64 %place, {SERIAL}
  call void @note(ptr %run, i64 %what, i64 %start)
  ret void
}}

define internal i64 @timed_shared(ptr %run, i64 %at, ptr %kernel, i64 %tasks, ptr %poll)
    nounwind {{
  %slots_at = getelementptr %Run, ptr %run, i32 0, i32 2
  %slots = load ptr, ptr %slots_at
  %shared = alloca %Shared
  store ptr %kernel, ptr %shared
  %to_slots = getelementptr %Shared, ptr %shared, i32 0, i32 1
  store ptr %slots, ptr %to_slots
  %to_run = getelementptr %Shared, ptr %shared, i32 0, i32 2
  store ptr %run, ptr %to_run
  %to_at = getelementptr %Shared, ptr %shared, i32 0, i32 3
  store i64 %at, ptr %to_at
  %start = call i64 @precise()
  %stop = call i64 @elinvar_pool_run(ptr @timed_part, ptr %shared, i64 %tasks, ptr %poll,
                                     ptr %run)
  %place = shl i64 %at, 2
  %what = or i64 %place, {SHARED}
  call void @note(ptr %run, i64 %what, i64 %start)
  ret i64 %stop
}}

; A kernel that runs another one: some tasks of a shared launch on one thread.
define internal void @timed_part(ptr %shared, i64 %begin, i64 %end) nounwind {{
entry:
  %kernel = load ptr, ptr %shared
  %slots_at = getelementptr %Shared, ptr %shared, i32 0, i32 1
  %slots = load ptr, ptr %slots_at
  %run_at = getelementptr %Shared, ptr %shared, i32 0, i32 2
  %run = load ptr, ptr %run_at
  %at_at = getelementptr %Shared, ptr %shared, i32 0, i32 3
  %at = load i64, ptr %at_at
  %several = icmp eq ptr %kernel, @elinvar_program_together
  br i1 %several, label %parts, label %single
single:
  %start = call i64 @precise()
  call void %kernel(ptr %slots, i64 %begin, i64 %end)
  %place = shl i64 %at, 2
  %what = or i64 %place, {PART}
  call void @note(ptr %run, i64 %what, i64 %start)
  ret void
parts:
  call void @timed_together(ptr %run, i64 %at, ptr %slots, i64 %begin, i64 %end)
  ret void
}}

; What `elinvar_program_together` does, with an event for each part.
define internal void @timed_together(ptr %run, i64 %at, ptr %slots, i64 %begin, i64 %end)
    nounwind {{
entry:
  %first_at = getelementptr i64, ptr %slots, i64 %begin
  %first = load i64, ptr %first_at
  %last_at = getelementptr i64, ptr %slots, i64 %end
  %last = load i64, ptr %last_at
  br label %look
look:
  %number = phi i64 [ %first, %entry ], [ %next, %part ]
  %left = icmp slt i64 %number, %last
  br i1 %left, label %part, label %done
part:
{READ_PART}  %member_at = getelementptr i64, ptr %part_at, i64 4
  %member = load i64, ptr %member_at
  %start = call i64 @precise()
  call void %kernel(ptr %own, i64 %from, i64 %to)
  %after = add i64 %at, 1
  %position = add i64 %after, %member
  %place = shl i64 %position, 2
  %what = or i64 %place, {PART}
  call void @note(ptr %run, i64 %what, i64 %start)
  %next = add i64 %number, {PART_WORDS}
  br label %look
done:
  ret void
}}

; Begin a timed run: ask Python for its number. The answer is 1 when Python raised an exception.
define internal i64 @begin_timed(ptr %run, ptr %on_run) nounwind {{
entry:
  %answer = call ptr @PyObject_CallNoArgs(ptr %on_run)
  %raised = icmp eq ptr %answer, null
  br i1 %raised, label %fail, label %go
go:
  %number = call i64 @PyLong_AsLongLong(ptr %answer)
  call void @Py_DecRef(ptr %answer)
  %events = load ptr, ptr @events  ; Python may just have made more room
  %events_at = getelementptr %Run, ptr %run, i32 0, i32 6
  store ptr %events, ptr %events_at
  %number_at = getelementptr %Run, ptr %run, i32 0, i32 7
  store i64 %number, ptr %number_at
  %running = getelementptr i64, ptr %events, i64 2
  %before = atomicrmw add ptr %running, i64 1 seq_cst
  %start = call i64 @precise()
  %start_at = getelementptr %Run, ptr %run, i32 0, i32 8
  store i64 %start, ptr %start_at
  ret i64 0
fail:
  ret i64 1
}}

define internal void @end_timed(ptr %run) nounwind {{
  %start_at = getelementptr %Run, ptr %run, i32 0, i32 8
  %start = load i64, ptr %start_at
  call void @note(ptr %run, i64 {PROGRAM}, i64 %start)
  %events_at = getelementptr %Run, ptr %run, i32 0, i32 6
  %events = load ptr, ptr %events_at
  %running = getelementptr i64, ptr %events, i64 2
  %before = atomicrmw sub ptr %running, i64 1 seq_cst
  ret void
}}

; Time the programs that begin from now on, or none when `on_run` is null.
define void @elinvar_program_set_timing(ptr %on_run, ptr %events) nounwind {{
  store ptr %events, ptr @events
  store ptr %on_run, ptr @on_run
  ret void
}}
"""


def timing_text() -> str:
    """The functions that time a program."""
    return clock_text("precise", coarse=False) + _TIMING
