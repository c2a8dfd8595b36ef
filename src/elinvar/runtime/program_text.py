"""The interpreter of programs and the builtin that calls it, as LLVM text.

See `program.py` for the words of a program. While a program runs, a `%Run` holds what it needs.
The list of items is run by `run_list`, or by its twin `run_list_timed` while a profile is taken
(`timing_text.py`), or by `run_list_counted` in programs of quick code, which ask for better code
when they have used up what word 5 allows them. Which of them is decided once for each run.
"""

from __future__ import annotations

from elinvar.runtime.platform_text import clock_text, text_constant
from elinvar.runtime.timing_text import (
    PART_WORDS,
    READ_PART,
    TIMED_SERIAL,
    TIMED_SHARED,
    timing_text,
)

_POLL_NANOSECONDS = 50_000_000
_STACK_SLOTS = 4096
HEADER_WORDS = 6  # of a program, before its list of items

PYTHON_FUNCTIONS = (
    "PyBytes_AsString",
    "PyErr_CheckSignals",
    "PyErr_Clear",
    "PyErr_Format",
    "PyErr_NoMemory",
    "PyErr_Occurred",
    "PyEval_RestoreThread",
    "PyEval_SaveThread",
    "PyLong_AsLongLong",
    "PyLong_AsUnsignedLongLong",
    "PyLong_FromLongLong",
    "PyMem_RawFree",
    "PyMem_RawMalloc",
    "PyObject_CallNoArgs",
    "PyObject_CallOneArg",
    "PyThread_get_thread_ident",
    "Py_DecRef",
    "Py_IncRef",
)

_STATE = """
; words, externals, slots, counters, thread state (null: the GIL is ours), time of the next poll,
; events (null: nothing is timed), number of this run among those timed, when it began
%Run = type { ptr, ptr, ptr, ptr, ptr, i64, ptr, i64, i64 }

@none = internal global ptr null          ; Python objects, set once
@type_error = internal global ptr null
@start_pool = internal global ptr null
@on_spent = internal global ptr null
@pool_started = internal global i32 0
@main_thread = internal global i64 0

declare ptr @PyBytes_AsString(ptr) nounwind
declare i32 @PyErr_CheckSignals() nounwind
declare void @PyErr_Clear() nounwind
declare ptr @PyErr_Format(ptr, ptr, ...) nounwind
declare ptr @PyErr_NoMemory() nounwind
declare ptr @PyErr_Occurred() nounwind
declare void @PyEval_RestoreThread(ptr) nounwind
declare ptr @PyEval_SaveThread() nounwind
declare i64 @PyLong_AsLongLong(ptr) nounwind
declare i64 @PyLong_AsUnsignedLongLong(ptr) nounwind
declare ptr @PyLong_FromLongLong(i64) nounwind
declare void @PyMem_RawFree(ptr) nounwind
declare ptr @PyMem_RawMalloc(i64) nounwind
declare ptr @PyObject_CallNoArgs(ptr) nounwind
declare ptr @PyObject_CallOneArg(ptr, ptr) nounwind
declare i64 @PyThread_get_thread_ident() nounwind
declare void @Py_DecRef(ptr) nounwind
declare void @Py_IncRef(ptr) nounwind
declare i32 @clock_gettime(i32, ptr) nounwind
declare i64 @elinvar_pool_run(ptr, ptr, i64, ptr, ptr) nounwind
"""

_WRONG_COUNT = text_constant("wrong_count", "a program of %zd addresses was called with %zd")

_SLOTS = """
; Work out the slots of the item at `at`.
define internal void @resolve(ptr %run, i64 %at) nounwind {
entry:
  %code = load ptr, ptr %run
  %externals_at = getelementptr %Run, ptr %run, i32 0, i32 1
  %externals = load ptr, ptr %externals_at
  %slots_at = getelementptr %Run, ptr %run, i32 0, i32 2
  %slots = load ptr, ptr %slots_at
  %item = getelementptr i64, ptr %code, i64 %at
  %count_at = getelementptr i64, ptr %item, i64 5
  %count = load i64, ptr %count_at
  %moves_at = getelementptr i64, ptr %item, i64 6
  %moves = load i64, ptr %moves_at
  %pairs = getelementptr i64, ptr %item, i64 7
  br label %next_slot
next_slot:
  %slot = phi i64 [ 0, %entry ], [ %slot_after, %set ]
  %some_left = icmp ult i64 %slot, %count
  br i1 %some_left, label %set, label %move
set:
  %pair = getelementptr { i64, i64 }, ptr %pairs, i64 %slot
  %external = load i64, ptr %pair
  %offset_at = getelementptr i64, ptr %pair, i64 1
  %offset = load i64, ptr %offset_at
  %base_at = getelementptr i64, ptr %externals, i64 %external
  %base = load i64, ptr %base_at
  %value = add i64 %base, %offset
  %target = getelementptr i64, ptr %slots, i64 %slot
  store i64 %value, ptr %target
  %slot_after = add i64 %slot, 1
  br label %next_slot
move:
  %triples = getelementptr { i64, i64 }, ptr %pairs, i64 %count
  %counters_at = getelementptr %Run, ptr %run, i32 0, i32 3
  %counters = load ptr, ptr %counters_at
  br label %next_move
next_move:
  %number = phi i64 [ 0, %move ], [ %number_after, %add ]
  %more = icmp ult i64 %number, %moves
  br i1 %more, label %add, label %done
add:
  %triple = getelementptr { i64, i64, i64 }, ptr %triples, i64 %number
  %moved = load i64, ptr %triple
  %counter_at = getelementptr i64, ptr %triple, i64 1
  %counter = load i64, ptr %counter_at
  %stride_at = getelementptr i64, ptr %triple, i64 2
  %stride = load i64, ptr %stride_at
  %times_at = getelementptr i64, ptr %counters, i64 %counter
  %times = load i64, ptr %times_at
  %way = mul i64 %times, %stride
  %moved_at = getelementptr i64, ptr %slots, i64 %moved
  %still = load i64, ptr %moved_at
  %sum = add i64 %still, %way
  store i64 %sum, ptr %moved_at
  %number_after = add i64 %number, 1
  br label %next_move
done:
  ret void
}

; Whether the byte that slot 0 of the item at `at` points to is not zero.
define internal i1 @predicate(ptr %run, i64 %at) nounwind {
  call void @resolve(ptr %run, i64 %at)
  %slots_at = getelementptr %Run, ptr %run, i32 0, i32 2
  %slots = load ptr, ptr %slots_at
  %address = load ptr, ptr %slots
  %byte = load i8, ptr %address
  %answer = icmp ne i8 %byte, 0
  ret i1 %answer
}
"""

_POLL = f"""
; Every 50 ms let Python handle signals; the answer is 1 when a handler raised an exception.
define internal i64 @poll(ptr %run) nounwind {{
entry:
  %due_at = getelementptr %Run, ptr %run, i32 0, i32 5
  %due = load i64, ptr %due_at
  %never = icmp eq i64 %due, 0
  br i1 %never, label %go_on, label %look
look:
  %time = call i64 @now()
  %early = icmp slt i64 %time, %due
  br i1 %early, label %go_on, label %ask
ask:
  %state_at = getelementptr %Run, ptr %run, i32 0, i32 4
  %state = load ptr, ptr %state_at
  call void @PyEval_RestoreThread(ptr %state)
  %raised = call i32 @PyErr_CheckSignals()
  %again = call ptr @PyEval_SaveThread()
  store ptr %again, ptr %state_at
  %later = call i64 @now()
  %next = add i64 %later, {_POLL_NANOSECONDS}
  store i64 %next, ptr %due_at
  %stop = icmp ne i32 %raised, 0
  %answer = zext i1 %stop to i64
  ret i64 %answer
go_on:
  ret i64 0
}}
"""

_LIST = """
; Run the list of items at `start`; the answer is zero, or what `poll` said when it stopped us.
define internal i64 @{name}(ptr %run, i64 %start) nounwind {{
entry:
  %code = load ptr, ptr %run
  %counters_at = getelementptr %Run, ptr %run, i32 0, i32 3
  %counters = load ptr, ptr %counters_at
  %slots_at = getelementptr %Run, ptr %run, i32 0, i32 2
  %slots = load ptr, ptr %slots_at
  %due_at = getelementptr %Run, ptr %run, i32 0, i32 5
  br label %item
item:
  %at = phi i64 [ %start, %entry ], [ %after, %next ]
  %words = getelementptr i64, ptr %code, i64 %at
  %operation = load i64, ptr %words
  %after_at = getelementptr i64, ptr %words, i64 1
  %a_at = getelementptr i64, ptr %words, i64 2
  %b_at = getelementptr i64, ptr %words, i64 3
  %c_at = getelementptr i64, ptr %words, i64 4
  switch i64 %operation, label %done [ i64 1, label %launch
                                       i64 2, label %cond
                                       i64 3, label %loop
                                       i64 4, label %loop ]
next:
  %after = load i64, ptr %after_at
  br label %item

launch:
  {before}call void @resolve(ptr %run, i64 %at)
  %kernel = load ptr, ptr %a_at
  %tasks = load i64, ptr %b_at
  %manner = load i64, ptr %c_at
  %parallel = and i64 %manner, 1
  %two = and i64 %manner, 2
  %final = icmp ne i64 %two, 0
  %was_due = load i64, ptr %due_at
  %due = select i1 %final, i64 0, i64 %was_due
  store i64 %due, ptr %due_at
  %polls = icmp ne i64 %due, 0
  %alone = icmp eq i64 %parallel, 0
  br i1 %alone, label %serial, label %shared
serial:
  {serial}
  br i1 %polls, label %ask, label %next
ask:
  %asked = call i64 @poll(ptr %run)
  br label %check
shared:
  %poll = select i1 %polls, ptr @poll, ptr null
  %ran = {shared}
  br label %check
check:
  %stop = phi i64 [ %asked, %ask ], [ %ran, %shared ], [ %chosen, %cond ]
  %go_on = icmp eq i64 %stop, 0
  br i1 %go_on, label %next, label %leave
leave:
  %answer = phi i64 [ %stop, %check ], [ %tested, %test ], [ %bodied, %body ]
  ret i64 %answer

cond:
  %true = call i1 @predicate(ptr %run, i64 %at)
  %list_at = select i1 %true, ptr %a_at, ptr %b_at
  %list = load i64, ptr %list_at
  %chosen = call i64 @{name}(ptr %run, i64 %list)
  br label %check

loop:
  %index = phi i64 [ 0, %item ], [ 0, %item ], [ %index_after, %body ]
  %counter = load i64, ptr %c_at
  %index_at = getelementptr i64, ptr %counters, i64 %counter
  store i64 %index, ptr %index_at
  %parity = and i64 %index, 1
  %parity_at = getelementptr i64, ptr %index_at, i64 1
  store i64 %parity, ptr %parity_at
  %index_after = add i64 %index, 1
  %is_for = icmp eq i64 %operation, 4
  br i1 %is_for, label %count, label %test
count:
  %trips = load i64, ptr %b_at
  %left = icmp slt i64 %index, %trips
  br i1 %left, label %body, label %next
test:
  %condition = load i64, ptr %a_at
  %tested = call i64 @{name}(ptr %run, i64 %condition)
  %untested = icmp ne i64 %tested, 0
  br i1 %untested, label %leave, label %decide
decide:
  %holds = call i1 @predicate(ptr %run, i64 %at)
  br i1 %holds, label %body, label %next
body:
  %body_at = select i1 %is_for, ptr %a_at, ptr %b_at
  %inner = load i64, ptr %body_at
  %bodied = call i64 @{name}(ptr %run, i64 %inner)
  %again = icmp eq i64 %bodied, 0
  br i1 %again, label %loop, label %leave

done:
  ret i64 0
}}
"""
_TOGETHER = f"""
; A kernel that runs parts of others: see `program.py` for what stands in its slots.
define void @elinvar_program_together(ptr %slots, i64 %begin, i64 %end) nounwind {{
entry:
  %first_at = getelementptr i64, ptr %slots, i64 %begin
  %first = load i64, ptr %first_at
  %last_at = getelementptr i64, ptr %slots, i64 %end
  %last = load i64, ptr %last_at
  br label %look
look:
  %number = phi i64 [ %first, %entry ], [ %next, %run ]
  %left = icmp slt i64 %number, %last
  br i1 %left, label %run, label %done
run:
{READ_PART}  call void %kernel(ptr %own, i64 %from, i64 %to)
  %next = add i64 %number, {PART_WORDS}
  br label %look
done:
  ret void
}}
"""
_SPEND = f"""
; Take a launch's work off what its program may do before it asks Python for better code.
define internal void @spend(ptr %run, i64 %at) nounwind {{
entry:
  %code = load ptr, ptr %run
  %item = getelementptr i64, ptr %code, i64 %at
  %manner_at = getelementptr i64, ptr %item, i64 4
  %manner = load i64, ptr %manner_at
  %work = lshr i64 %manner, 2
  %left_at = getelementptr i64, ptr %code, i64 5
  %left = load i64, ptr %left_at
  %rest = sub i64 %left, %work
  store i64 %rest, ptr %left_at
  %enough = icmp sge i64 %rest, 0
  br i1 %enough, label %done, label %ask
ask:
  call void @ask_for_better(ptr %run)
  br label %done
done:
  ret void
}}

define internal void @ask_for_better(ptr %run) nounwind {{
entry:
  %code = load ptr, ptr %run
  %left_at = getelementptr i64, ptr %code, i64 5
  store i64 {(1 << 63) - 1}, ptr %left_at  ; once is enough
  %state_at = getelementptr %Run, ptr %run, i32 0, i32 4
  %state = load ptr, ptr %state_at
  %ours = icmp eq ptr %state, null
  br i1 %ours, label %tell, label %take
take:
  call void @PyEval_RestoreThread(ptr %state)
  br label %tell
tell:
  %number_at = getelementptr i64, ptr %code, i64 4
  %number = load i64, ptr %number_at
  %object = call ptr @PyLong_FromLongLong(i64 %number)
  %none = icmp eq ptr %object, null
  br i1 %none, label %clear, label %call
call:
  %on_spent = load ptr, ptr @on_spent
  %result = call ptr @PyObject_CallOneArg(ptr %on_spent, ptr %object)
  call void @Py_DecRef(ptr %object)
  %raised = icmp eq ptr %result, null
  br i1 %raised, label %clear, label %drop
drop:
  call void @Py_DecRef(ptr %result)
  br label %told
clear:
  call void @PyErr_Clear()
  br label %told
told:
  br i1 %ours, label %done, label %give
give:
  %again = call ptr @PyEval_SaveThread()
  store ptr %again, ptr %state_at
  br label %done
done:
  ret void
}}
"""
_COUNTED = "call void @spend(ptr %run, i64 %at)\n  "
_SERIAL = "call void %kernel(ptr %slots, i64 0, i64 %tasks)"
_SHARED = "call i64 @elinvar_pool_run(ptr %kernel, ptr %slots, i64 %tasks, ptr %poll, ptr %run)"

_CALL = f"""
; The builtin: `program(address0, address1, ...)`; `self` is the bytes object with the words.
define ptr @elinvar_program_call(ptr %self, ptr %arguments, i64 %count) nounwind {{
entry:
  %code = call ptr @PyBytes_AsString(ptr %self)
  %expected = load i64, ptr %code
  %fits = icmp eq i64 %expected, %count
  br i1 %fits, label %convert, label %wrong
wrong:
  %type_error = load ptr, ptr @type_error
  %r = call ptr (ptr, ptr, ...) @PyErr_Format(ptr %type_error, ptr @wrong_count, i64 %expected,
                                              i64 %count)
  ret ptr null

convert:
  %size = add i64 %count, 1
  %externals = alloca i64, i64 %size
  store i64 0, ptr %externals
  br label %argument
argument:
  %number = phi i64 [ 0, %convert ], [ %number_after, %stored ]
  %more = icmp ult i64 %number, %count
  br i1 %more, label %read, label %prepare
read:
  %object_at = getelementptr ptr, ptr %arguments, i64 %number
  %object = load ptr, ptr %object_at
  %address = call i64 @PyLong_AsUnsignedLongLong(ptr %object)
  %odd = icmp eq i64 %address, -1
  br i1 %odd, label %suspect, label %stored
suspect:
  %error = call ptr @PyErr_Occurred()
  %failed = icmp ne ptr %error, null
  br i1 %failed, label %fail, label %stored
stored:
  %number_after = add i64 %number, 1
  %external_at = getelementptr i64, ptr %externals, i64 %number_after
  store i64 %address, ptr %external_at
  br label %argument
fail:
  ret ptr null

prepare:
  %slot_count_at = getelementptr i64, ptr %code, i64 1
  %slot_count = load i64, ptr %slot_count_at
  %counter_count_at = getelementptr i64, ptr %code, i64 2
  %counter_count = load i64, ptr %counter_count_at
  %counters = alloca i64, i64 %counter_count
  %many = icmp ugt i64 %slot_count, {_STACK_SLOTS}
  br i1 %many, label %on_heap, label %on_stack
on_stack:
  %stack_slots = alloca i64, i64 %slot_count
  br label %enter
on_heap:
  %bytes = shl i64 %slot_count, 3
  %heap_slots = call ptr @PyMem_RawMalloc(i64 %bytes)
  %missing = icmp eq ptr %heap_slots, null
  br i1 %missing, label %no_memory, label %enter
no_memory:
  %n = call ptr @PyErr_NoMemory()
  ret ptr null

enter:
  %slots = phi ptr [ %stack_slots, %on_stack ], [ %heap_slots, %on_heap ]
  %run = alloca %Run
  store ptr %code, ptr %run
  %externals_at = getelementptr %Run, ptr %run, i32 0, i32 1
  store ptr %externals, ptr %externals_at
  %slots_at = getelementptr %Run, ptr %run, i32 0, i32 2
  store ptr %slots, ptr %slots_at
  %counters_at = getelementptr %Run, ptr %run, i32 0, i32 3
  store ptr %counters, ptr %counters_at
  %due_at = getelementptr %Run, ptr %run, i32 0, i32 5
  store i64 0, ptr %due_at
  %state_at = getelementptr %Run, ptr %run, i32 0, i32 4
  store ptr null, ptr %state_at
  %events_at = getelementptr %Run, ptr %run, i32 0, i32 6
  store ptr null, ptr %events_at
  %flags_at = getelementptr i64, ptr %code, i64 3
  %flags = load i64, ptr %flags_at
  %on_run = load ptr, ptr @on_run
  %untimed = icmp eq ptr %on_run, null
  br i1 %untimed, label %choose, label %time
time:
  %quick = and i64 %flags, 4
  %good = icmp eq i64 %quick, 0
  br i1 %good, label %begin, label %improve
improve:
  call void @ask_for_better(ptr %run)  ; a profile shows what good code takes
  br label %begin
begin:
  %late = call i64 @begin_timed(ptr %run, ptr %on_run)
  %begun = icmp eq i64 %late, 0
  br i1 %begun, label %run_timed, label %leave
run_timed:
  %stop_timed = call i64 @run_long(ptr %run, ptr @run_list_timed, i64 %flags)
  call void @end_timed(ptr %run)
  br label %leave
choose:
  %short = icmp eq i64 %flags, 0
  br i1 %short, label %run_short, label %run_long
run_short:
  %stop_short = call i64 @run_list(ptr %run, i64 {HEADER_WORDS})
  br label %leave
run_long:
  %four = and i64 %flags, 4
  %counted = icmp ne i64 %four, 0
  %list = select i1 %counted, ptr @run_list_counted, ptr @run_list
  %stop_long = call i64 @run_long(ptr %run, ptr %list, i64 %flags)
  br label %leave
leave:
  %stop = phi i64 [ %stop_short, %run_short ], [ %stop_long, %run_long ], [ %late, %begin ],
                  [ %stop_timed, %run_timed ]
  br i1 %many, label %free, label %answer
free:
  call void @PyMem_RawFree(ptr %slots)
  br label %answer
answer:
  %ended = icmp eq i64 %stop, 0
  br i1 %ended, label %give_none, label %give_null
give_none:
  %none = load ptr, ptr @none
  call void @Py_IncRef(ptr %none)
  ret ptr %none
give_null:
  ret ptr null
}}

; Run by `%list` with the pool started (flag 2) and without the GIL (flag 1).
define internal i64 @run_long(ptr %run, ptr %list, i64 %flags) nounwind {{
entry:
  %parallel = and i64 %flags, 2
  %serial = icmp eq i64 %parallel, 0
  br i1 %serial, label %ready, label %check
check:
  %started = load i32, ptr @pool_started
  %is_started = icmp ne i32 %started, 0
  br i1 %is_started, label %ready, label %start
start:
  %starter = load ptr, ptr @start_pool
  %result = call ptr @PyObject_CallNoArgs(ptr %starter)
  %raised = icmp eq ptr %result, null
  br i1 %raised, label %fail, label %drop
fail:
  ret i64 1
drop:
  call void @Py_DecRef(ptr %result)
  br label %ready
ready:
  %release = and i64 %flags, 1
  %keep = icmp eq i64 %release, 0
  br i1 %keep, label %hold, label %let_go
hold:
  %held = call i64 %list(ptr %run, i64 {HEADER_WORDS})
  ret i64 %held
let_go:
  %thread = call i64 @PyThread_get_thread_ident()
  %main = load i64, ptr @main_thread
  %is_main = icmp eq i64 %thread, %main
  br i1 %is_main, label %watch, label %go
watch:
  %time = call i64 @now()
  %due = add i64 %time, {_POLL_NANOSECONDS}
  %due_at = getelementptr %Run, ptr %run, i32 0, i32 5
  store i64 %due, ptr %due_at
  br label %go
go:
  %state = call ptr @PyEval_SaveThread()
  %state_at = getelementptr %Run, ptr %run, i32 0, i32 4
  store ptr %state, ptr %state_at
  %ran = call i64 %list(ptr %run, i64 {HEADER_WORDS})
  %state_now = load ptr, ptr %state_at
  call void @PyEval_RestoreThread(ptr %state_now)
  ret i64 %ran
}}

; Hand over the Python objects that the interpreter needs.
define void @elinvar_program_setup(ptr %none, ptr %type_error, ptr %start_pool, ptr %on_spent)
    nounwind {{
  store ptr %none, ptr @none
  store ptr %type_error, ptr @type_error
  store ptr %start_pool, ptr @start_pool
  store ptr %on_spent, ptr @on_spent
  ret void
}}

define void @elinvar_program_set_main_thread(i64 %thread) nounwind {{
  store i64 %thread, ptr @main_thread
  ret void
}}

define void @elinvar_program_set_pool_started(i32 %started) nounwind {{
  store i32 %started, ptr @pool_started
  ret void
}}
"""

FUNCTIONS = (
    "elinvar_program_call",
    "elinvar_program_together",
    "elinvar_program_setup",
    "elinvar_program_set_main_thread",
    "elinvar_program_set_pool_started",
    "elinvar_program_set_timing",
)


def program_text() -> str:
    """The LLVM module of the interpreter."""
    direct = {"serial": _SERIAL, "shared": _SHARED}
    timed = {"serial": TIMED_SERIAL, "shared": TIMED_SHARED}
    lists = (
        _LIST.format(name="run_list", before="", **direct),
        _LIST.format(name="run_list_counted", before=_COUNTED, **direct),
        _LIST.format(name="run_list_timed", before="", **timed),
    )
    clock = clock_text("now", coarse=True)
    start = (_STATE, _WRONG_COUNT, clock, timing_text(), _SLOTS, _POLL)
    return "".join((*start, _SPEND, _TOGETHER, *lists, _CALL))
