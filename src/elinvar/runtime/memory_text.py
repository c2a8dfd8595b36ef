"""The native type `Buffer` and the builtins `allocate` and `wrap`, as LLVM text.

The object of a buffer waits together with its memory, so that a request for memory that waits
costs no allocation at all. Everything here runs under the GIL.
"""

from __future__ import annotations

from elinvar.runtime.memory_lists_text import lists_text
from elinvar.runtime.platform_text import text_constant

OBJECT_BYTES = 88  # of %Buffer
ADDRESS_OFFSET, NBYTES_OFFSET, OWNER_OFFSET = 16, 24, 32
_FREES_BETWEEN_LOOKS = 1024

PYTHON_FUNCTIONS = (
    "PyBuffer_FillInfo",
    "PyErr_Format",
    "PyErr_Occurred",
    "PyLong_AsSsize_t",
    "PyLong_AsUnsignedLongLong",
    "PyLong_FromUnsignedLongLong",
    "PyObject_Free",
    "PyObject_Init",
    "PyObject_Malloc",
    "Py_DecRef",
    "Py_IncRef",
)

_OBJECTS = f"""
@frees = internal global i64 0
@type = internal global ptr null          ; Python objects, set once
@value_error = internal global ptr null
@type_error = internal global ptr null
@memory_error = internal global ptr null
{text_constant("negative", "[allocate] the size must not be negative, received %zd")}
{text_constant("exhausted", "[allocate] the system has no %zd bytes of memory left")}
{text_constant("wrong_wrap", "[wrap] takes an address, a size and an owner")}

declare i32 @PyBuffer_FillInfo(ptr, ptr, ptr, i64, i32, i32) nounwind
declare ptr @PyErr_Format(ptr, ptr, ...) nounwind
declare ptr @PyErr_Occurred() nounwind
declare i64 @PyLong_AsSsize_t(ptr) nounwind
declare i64 @PyLong_AsUnsignedLongLong(ptr) nounwind
declare ptr @PyLong_FromUnsignedLongLong(i64) nounwind
declare ptr @PyObject_Init(ptr, ptr) nounwind
declare ptr @PyObject_Malloc(i64) nounwind
declare void @Py_IncRef(ptr) nounwind
"""

_ALLOCATE = f"""
; The builtin `allocate(nbytes)`.
define ptr @elinvar_memory_allocate(ptr %self, ptr %argument) nounwind {{
entry:
  %nbytes = call i64 @PyLong_AsSsize_t(ptr %argument)
  %odd = icmp slt i64 %nbytes, 0
  br i1 %odd, label %refuse, label %find
refuse:
  %error = call ptr @PyErr_Occurred()
  %raised = icmp ne ptr %error, null
  br i1 %raised, label %fail, label %negative
negative:
  %value_error = load ptr, ptr @value_error
  %n = call ptr (ptr, ptr, ...) @PyErr_Format(ptr %value_error, ptr @negative, i64 %nbytes)
  ret ptr null
fail:
  ret ptr null

find:
  %class = call i64 @class_of(i64 %nbytes)
  %bytes = call i64 @class_bytes(i64 %class)
  %head_at = call ptr @head_of(i64 %class)
  %head = load ptr, ptr %head_at
  %waits = icmp ne ptr %head, null
  br i1 %waits, label %reuse, label %make
reuse:
  call void @take_out(ptr %head, i64 %class)
  %waiting_at = getelementptr %Counts, ptr @counts, i32 0, i32 2
  %waiting = load i64, ptr %waiting_at
  %waiting_less = sub i64 %waiting, %bytes
  store i64 %waiting_less, ptr %waiting_at
  br label %ready
make:
  %made = call ptr @make(i64 %class, i64 %bytes)
  %missing = icmp eq ptr %made, null
  br i1 %missing, label %exhausted, label %ready
exhausted:
  %memory_error = load ptr, ptr @memory_error
  %m = call ptr (ptr, ptr, ...) @PyErr_Format(ptr %memory_error, ptr @exhausted, i64 %nbytes)
  ret ptr null

ready:
  %buffer = phi ptr [ %head, %reuse ], [ %made, %make ]
  %type = load ptr, ptr @type
  %object = call ptr @PyObject_Init(ptr %buffer, ptr %type)
  call void @Py_IncRef(ptr %argument)
  %nbytes_at = getelementptr %Buffer, ptr %buffer, i32 0, i32 3
  store ptr %argument, ptr %nbytes_at
  %live = load i64, ptr @counts
  %live_now = add i64 %live, %bytes
  store i64 %live_now, ptr @counts
  %peak_at = getelementptr %Counts, ptr @counts, i32 0, i32 1
  %peak = load i64, ptr %peak_at
  %peak_now = call i64 @llvm.umax.i64(i64 %peak, i64 %live_now)
  store i64 %peak_now, ptr %peak_at
  %window_peak = load i64, ptr @window_peak
  %window_now = call i64 @llvm.umax.i64(i64 %window_peak, i64 %live_now)
  store i64 %window_now, ptr @window_peak
  %alive_at = getelementptr %Counts, ptr @counts, i32 0, i32 3
  %alive = load i64, ptr %alive_at
  %alive_now = add i64 %alive, 1
  store i64 %alive_now, ptr %alive_at
  ret ptr %buffer
}}

; A buffer with fresh memory; when the system has none left, after all that waits was given back.
define internal ptr @make(i64 %class, i64 %bytes) nounwind {{
entry:
  call void @tidy(i64 %bytes)
  %first = call ptr @obtain(i64 %bytes)
  %got = icmp ne ptr %first, null
  br i1 %got, label %build, label %retry
retry:
  call void @elinvar_memory_trim(i64 0)
  %second = call ptr @obtain(i64 %bytes)
  %got_now = icmp ne ptr %second, null
  br i1 %got_now, label %build, label %fail
build:
  %memory = phi ptr [ %first, %entry ], [ %second, %retry ]
  %address = ptrtoint ptr %memory to i64
  %buffer = call ptr @new_buffer(i64 %address, i64 %class)
  %built = icmp ne ptr %buffer, null
  br i1 %built, label %done, label %undo
undo:
  call void @give_back(ptr %memory, i64 %bytes)
  br label %fail
done:
  ret ptr %buffer
fail:
  ret ptr null
}}

; The object of a buffer, still without references and `nbytes`.
define internal ptr @new_buffer(i64 %address, i64 %class) nounwind {{
entry:
  %buffer = call ptr @PyObject_Malloc(i64 {OBJECT_BYTES})
  %no_buffer = icmp eq ptr %buffer, null
  br i1 %no_buffer, label %fail, label %number
number:
  %object = call ptr @PyLong_FromUnsignedLongLong(i64 %address)
  %no_object = icmp eq ptr %object, null
  br i1 %no_object, label %undo, label %fill
undo:
  call void @PyObject_Free(ptr %buffer)
  br label %fail
fill:
  %object_at = getelementptr %Buffer, ptr %buffer, i32 0, i32 2
  store ptr %object, ptr %object_at
  %owner_at = getelementptr %Buffer, ptr %buffer, i32 0, i32 4
  store ptr null, ptr %owner_at
  %address_at = getelementptr %Buffer, ptr %buffer, i32 0, i32 5
  store i64 %address, ptr %address_at
  %class_at = getelementptr %Buffer, ptr %buffer, i32 0, i32 6
  store i64 %class, ptr %class_at
  ret ptr %buffer
fail:
  ret ptr null
}}
"""

_RELEASE = f"""
; What Python calls when the last reference is gone.
define void @elinvar_memory_release(ptr %buffer) nounwind {{
entry:
  %type_at = getelementptr %Buffer, ptr %buffer, i32 0, i32 1
  %type = load ptr, ptr %type_at
  %nbytes_at = getelementptr %Buffer, ptr %buffer, i32 0, i32 3
  %nbytes = load ptr, ptr %nbytes_at
  call void @Py_DecRef(ptr %nbytes)
  %alive_at = getelementptr %Counts, ptr @counts, i32 0, i32 3
  %alive = load i64, ptr %alive_at
  %alive_now = sub i64 %alive, 1
  store i64 %alive_now, ptr %alive_at
  %class_at = getelementptr %Buffer, ptr %buffer, i32 0, i32 6
  %class = load i64, ptr %class_at
  %foreign = icmp slt i64 %class, 0
  br i1 %foreign, label %let_go, label %keep
let_go:
  %owner_at = getelementptr %Buffer, ptr %buffer, i32 0, i32 4
  %owner = load ptr, ptr %owner_at
  %address_at = getelementptr %Buffer, ptr %buffer, i32 0, i32 2
  %address = load ptr, ptr %address_at
  call void @PyObject_Free(ptr %buffer)
  call void @Py_DecRef(ptr %address)
  call void @Py_DecRef(ptr %owner)
  br label %done
keep:
  %bytes = call i64 @class_bytes(i64 %class)
  %live = load i64, ptr @counts
  %live_now = sub i64 %live, %bytes
  store i64 %live_now, ptr @counts
  %waiting_at = getelementptr %Counts, ptr @counts, i32 0, i32 2
  %waiting = load i64, ptr %waiting_at
  %waiting_now = add i64 %waiting, %bytes
  store i64 %waiting_now, ptr %waiting_at
  call void @put_in(ptr %buffer, i64 %class)
  %frees = load i64, ptr @frees
  %frees_now = add i64 %frees, 1
  store i64 %frees_now, ptr @frees
  %turn = urem i64 %frees_now, {_FREES_BETWEEN_LOOKS}
  %is_turn = icmp eq i64 %turn, 0
  br i1 %is_turn, label %look, label %done
look:
  call void @tidy(i64 0)
  br label %done
done:
  call void @Py_DecRef(ptr %type)
  ret void
}}
"""

_FOREIGN = """
; The builtin `wrap(address, nbytes, owner)`.
define ptr @elinvar_memory_wrap(ptr %self, ptr %arguments, i64 %count) nounwind {
entry:
  %three = icmp eq i64 %count, 3
  br i1 %three, label %read, label %wrong
wrong:
  %type_error = load ptr, ptr @type_error
  %w = call ptr (ptr, ptr, ...) @PyErr_Format(ptr %type_error, ptr @wrong_wrap)
  ret ptr null
read:
  %address_object = load ptr, ptr %arguments
  %address = call i64 @PyLong_AsUnsignedLongLong(ptr %address_object)
  %error = call ptr @PyErr_Occurred()
  %bad_address = icmp ne ptr %error, null
  br i1 %bad_address, label %fail, label %read_size
read_size:
  %nbytes_at = getelementptr ptr, ptr %arguments, i64 1
  %nbytes = load ptr, ptr %nbytes_at
  %size = call i64 @PyLong_AsSsize_t(ptr %nbytes)
  %negative = icmp slt i64 %size, 0
  br i1 %negative, label %bad_size, label %build
bad_size:
  %raised = call ptr @PyErr_Occurred()
  %has_raised = icmp ne ptr %raised, null
  br i1 %has_raised, label %fail, label %complain
complain:
  %value_error = load ptr, ptr @value_error
  %c = call ptr (ptr, ptr, ...) @PyErr_Format(ptr %value_error, ptr @negative, i64 %size)
  ret ptr null
build:
  %buffer = call ptr @new_buffer(i64 %address, i64 -1)
  %missing = icmp eq ptr %buffer, null
  br i1 %missing, label %fail, label %fill
fill:
  %owner_from = getelementptr ptr, ptr %arguments, i64 2
  %owner = load ptr, ptr %owner_from
  call void @Py_IncRef(ptr %owner)
  %owner_at = getelementptr %Buffer, ptr %buffer, i32 0, i32 4
  store ptr %owner, ptr %owner_at
  call void @Py_IncRef(ptr %nbytes)
  %size_at = getelementptr %Buffer, ptr %buffer, i32 0, i32 3
  store ptr %nbytes, ptr %size_at
  %type = load ptr, ptr @type
  %object = call ptr @PyObject_Init(ptr %buffer, ptr %type)
  %alive_at = getelementptr %Counts, ptr @counts, i32 0, i32 3
  %alive = load i64, ptr %alive_at
  %alive_now = add i64 %alive, 1
  store i64 %alive_now, ptr %alive_at
  ret ptr %buffer
fail:
  ret ptr null
}

; The buffer protocol: the bytes of a buffer, which stays alive with the view.
define i32 @elinvar_memory_view(ptr %buffer, ptr %view, i32 %flags) nounwind {
  %nbytes_at = getelementptr %Buffer, ptr %buffer, i32 0, i32 3
  %nbytes = load ptr, ptr %nbytes_at
  %size = call i64 @PyLong_AsSsize_t(ptr %nbytes)
  %address_at = getelementptr %Buffer, ptr %buffer, i32 0, i32 5
  %address = load ptr, ptr %address_at
  %r = call i32 @PyBuffer_FillInfo(ptr %view, ptr %buffer, ptr %address, i64 %size, i32 0,
                                   i32 %flags)
  ret i32 %r
}

; Hand over the Python objects that are needed here.
define void @elinvar_memory_setup(ptr %type, ptr %type_error, ptr %value_error,
                                  ptr %memory_error) nounwind {
  store ptr %type, ptr @type
  store ptr %type_error, ptr @type_error
  store ptr %value_error, ptr @value_error
  store ptr %memory_error, ptr @memory_error
  ret void
}

define ptr @elinvar_memory_counts() nounwind {
  ret ptr @counts
}
"""

FUNCTIONS = (
    "elinvar_memory_allocate",
    "elinvar_memory_counts",
    "elinvar_memory_release",
    "elinvar_memory_setup",
    "elinvar_memory_trim",
    "elinvar_memory_view",
    "elinvar_memory_wrap",
)


def memory_text() -> str:
    """The LLVM module of buffers."""
    return "".join((lists_text(), _OBJECTS, _ALLOCATE, _RELEASE, _FOREIGN))
