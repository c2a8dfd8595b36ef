"""The native side of the thread pool, as LLVM text.

A launch is cut into chunks. The caller takes them from the beginning, workers from the end: so one
launch after the other the same thread meets the same part of the data, in its own cache. `@word`
holds the number of the launch and how many chunks are taken at both ends; a thread takes
a chunk by a compare-and-swap of the whole word, so a thread that comes late
can never touch a later launch: its swap fails. For that the word changes twice: it is closed (a
number of its own, no chunk left) before what describes the next launch is written, and opened
after. Without the first a late thread could compare a chunk of the old word with the new number of
chunks, and take a chunk that is not there. The launch is over when `@finished` has counted all
chunks; threads that never came are not waited for, which is what keeps a shared machine fast.

Which thread runs which chunk never changes a result: chunks are tasks, and tasks are independent.
"""

from __future__ import annotations

from elinvar.runtime.platform_text import relax_text, sleep_text

CHUNKS_PER_THREAD = 4
CHUNKS_ALONE = 16
_END_BITS = 10  # of the word, for the chunks taken at one end
_MOST_CHUNKS = 1000
_LAUNCH_SHIFT = 2 * _END_BITS
_CLOSED = (1 << _LAUNCH_SHIFT) - 1  # nothing is left
_PAUSE_ROUNDS = 16
_WORKER_ROUNDS = 256  # about 50 µs on a quiet machine
_CALLER_ROUNDS = 256

_STATE = """
@word = internal global i64 0, align 128      ; number of the launch, chunks taken at end, at start
@finished = internal global i32 0, align 128  ; chunks of the launch that are done
@waiting = internal global i32 0, align 4     ; the caller sleeps until all are
@bell = internal global i32 0, align 128      ; rung for each launch and each change of @threads
@sleepers = internal global i32 0, align 4    ; workers that sleep until it rings
@busy = internal global i32 0, align 128      ; a caller has the pool
@owner = internal global i64 0, align 8       ; the thread of that caller
@threads = internal global i64 1, align 8     ; threads that share a launch, the caller among them
@kernel = internal global ptr null, align 128 ; the launch: written before @word, read before the
@slots = internal global ptr null, align 8    ; swap of @word that makes what was read valid
@tasks = internal global i64 0, align 8
@chunks = internal global i64 0, align 8
declare i64 @llvm.umin.i64(i64, i64)
declare i64 @pthread_self() nounwind
"""

_CHUNK = f"""
; Run chunk `chunk` of `chunks`: sizes differ by one at most and depend on nothing else.
define internal void @run_chunk(ptr %kernel, ptr %slots, i64 %tasks, i64 %chunks, i64 %chunk)
    nounwind {{
  %size = udiv i64 %tasks, %chunks
  %longer = urem i64 %tasks, %chunks
  %before = mul i64 %size, %chunk
  %extra = call i64 @llvm.umin.i64(i64 %chunk, i64 %longer)
  %begin = add i64 %before, %extra
  %is_longer = icmp ult i64 %chunk, %longer
  %one = zext i1 %is_longer to i64
  %shorter_end = add i64 %begin, %size
  %end = add i64 %shorter_end, %one
  call void %kernel(ptr %slots, i64 %begin, i64 %end)
  ret void
}}

; How many chunks are taken at both ends together.
define internal i64 @taken(i64 %word) nounwind alwaysinline {{
  %start = and i64 %word, {(1 << _END_BITS) - 1}
  %above = lshr i64 %word, {_END_BITS}
  %end = and i64 %above, {(1 << _END_BITS) - 1}
  %both = add i64 %start, %end
  ret i64 %both
}}

; Take and run one chunk of launch `launch`, from the start or the end; false when none is left.
define internal i1 @take(i64 %launch, i1 %from_end) nounwind {{
entry:
  %one = select i1 %from_end, i64 {1 << _END_BITS}, i64 1
  br label %again
again:
  %word = load atomic i64, ptr @word acquire, align 8
  %number = lshr i64 %word, {_LAUNCH_SHIFT}
  %current = icmp eq i64 %number, %launch
  br i1 %current, label %look, label %none
look:
  %kernel = load atomic ptr, ptr @kernel monotonic, align 8
  %slots = load atomic ptr, ptr @slots monotonic, align 8
  %tasks = load atomic i64, ptr @tasks monotonic, align 8
  %chunks = load atomic i64, ptr @chunks monotonic, align 8
  %taken = call i64 @taken(i64 %word)
  %left = icmp ult i64 %taken, %chunks
  br i1 %left, label %claim, label %none
claim:
  fence acquire  ; with that of the publisher: who read something of a later launch fails to swap
  %next = add i64 %word, %one
  %swap = cmpxchg ptr @word, i64 %word, i64 %next acq_rel acquire
  %won = extractvalue {{ i64, i1 }} %swap, 1
  br i1 %won, label %run, label %again
run:
  %start = and i64 %word, {(1 << _END_BITS) - 1}
  %above = lshr i64 %next, {_END_BITS}
  %end = and i64 %above, {(1 << _END_BITS) - 1}
  %from_back = sub i64 %chunks, %end
  %chunk = select i1 %from_end, i64 %from_back, i64 %start
  call void @run_chunk(ptr %kernel, ptr %slots, i64 %tasks, i64 %chunks, i64 %chunk)
  call void @finish(i64 %chunks, i32 1)
  ret i1 true
none:
  ret i1 false
}}

; Count chunks as done, and wake the caller after the last of them.
define internal void @finish(i64 %chunks, i32 %more) nounwind {{
  %before = atomicrmw add ptr @finished, i32 %more seq_cst
  %after = add i32 %before, %more
  %all = trunc i64 %chunks to i32
  %complete = icmp eq i32 %after, %all
  br i1 %complete, label %last, label %done
last:
  %waiting = load atomic i32, ptr @waiting seq_cst, align 4
  %asleep = icmp ne i32 %waiting, 0
  br i1 %asleep, label %call, label %done
call:
  call void @wake(ptr @finished, i32 1)
  br label %done
done:
  ret void
}}
"""

_WORKER = f"""
; A worker's life: share launches, wait, sleep; it leaves when there are `worker + 1` threads only.
define void @elinvar_pool_worker(i64 %worker) nounwind {{
entry:
  %place = add i64 %worker, 1
  br label %top
top:
  %threads = load atomic i64, ptr @threads seq_cst, align 8
  %wanted = icmp ult i64 %place, %threads
  br i1 %wanted, label %join, label %leave
join:
  %word = load atomic i64, ptr @word acquire, align 8
  %launch = lshr i64 %word, {_LAUNCH_SHIFT}
  br label %more
more:
  %did = call i1 @take(i64 %launch, i1 true)
  br i1 %did, label %more, label %look
look:
  %round = phi i64 [ 0, %more ], [ %next_round, %relax ]
  %word_now = load atomic i64, ptr @word acquire, align 8
  %launch_now = lshr i64 %word_now, {_LAUNCH_SHIFT}
  %new = icmp ne i64 %launch_now, %launch
  br i1 %new, label %top, label %same
same:
  %tired = icmp uge i64 %round, {_WORKER_ROUNDS}
  br i1 %tired, label %sleep, label %relax
relax:
  call void @relax(i64 %round)
  %next_round = add i64 %round, 1
  br label %look
sleep:
  %bell = load atomic i32, ptr @bell seq_cst, align 4
  %word_last = load atomic i64, ptr @word seq_cst, align 8
  %launch_last = lshr i64 %word_last, {_LAUNCH_SHIFT}
  %missed = icmp ne i64 %launch_last, %launch
  br i1 %missed, label %top, label %check
check:
  %threads_now = load atomic i64, ptr @threads seq_cst, align 8
  %still = icmp ult i64 %place, %threads_now
  br i1 %still, label %lie_down, label %leave
lie_down:
  %one_more = atomicrmw add ptr @sleepers, i32 1 seq_cst
  call void @sleep_on(ptr @bell, i32 %bell, i1 false)
  %one_less = atomicrmw sub ptr @sleepers, i32 1 seq_cst
  br label %top
leave:
  ret void
}}
"""

_RUN = f"""
; Run all tasks of a launch, shared with the workers. The caller looks at `poll(context)` between
; its chunks, unless `poll` is null; when that is not zero, the chunks that nobody took are dropped
; and its value is returned once the others are done.
define i64 @elinvar_pool_run(ptr %kernel, ptr %slots, i64 %tasks, ptr %poll, ptr %context)
    nounwind {{
entry:
  %polls = icmp ne ptr %poll, null
  %threads = load atomic i64, ptr @threads monotonic, align 8
  %several = icmp ugt i64 %threads, 1
  %divisible = icmp ugt i64 %tasks, 1
  %shared = and i1 %several, %divisible
  br i1 %shared, label %ask, label %alone
ask:
  %asked = cmpxchg ptr @busy, i32 0, i32 1 acquire monotonic
  %mine = extractvalue {{ i32, i1 }} %asked, 1
  br i1 %mine, label %publish, label %alone
alone:
  %r = call i64 @run_alone(ptr %kernel, ptr %slots, i64 %tasks, ptr %poll, ptr %context)
  ret i64 %r

publish:
  %self = call i64 @pthread_self()
  store atomic i64 %self, ptr @owner monotonic, align 8
  %many = mul i64 %threads, {CHUNKS_PER_THREAD}
  %bounded = call i64 @llvm.umin.i64(i64 %many, i64 {_MOST_CHUNKS})
  %chunks = call i64 @llvm.umin.i64(i64 %bounded, i64 %tasks)
  %word = load atomic i64, ptr @word monotonic, align 8
  %previous = lshr i64 %word, {_LAUNCH_SHIFT}
  %between_launches = add i64 %previous, 1
  %between_first = shl i64 %between_launches, {_LAUNCH_SHIFT}
  %closed = or i64 %between_first, {_CLOSED}
  store atomic i64 %closed, ptr @word monotonic, align 8
  fence release
  store atomic ptr %kernel, ptr @kernel monotonic, align 8
  store atomic ptr %slots, ptr @slots monotonic, align 8
  store atomic i64 %tasks, ptr @tasks monotonic, align 8
  store atomic i64 %chunks, ptr @chunks monotonic, align 8
  store atomic i32 0, ptr @finished monotonic, align 4
  store atomic i32 0, ptr @waiting monotonic, align 4
  %launch = add i64 %previous, 2
  %first = shl i64 %launch, {_LAUNCH_SHIFT}
  store atomic i64 %first, ptr @word seq_cst, align 8
  %rung = atomicrmw add ptr @bell, i32 1 seq_cst
  %sleepers = load atomic i32, ptr @sleepers seq_cst, align 4
  %some_sleep = icmp ne i32 %sleepers, 0
  br i1 %some_sleep, label %ring, label %more
ring:
  %other_threads = sub i64 %threads, 1
  %other_chunks = sub i64 %chunks, 1
  %helpers = call i64 @llvm.umin.i64(i64 %other_threads, i64 %other_chunks)
  %helpers_32 = trunc i64 %helpers to i32
  call void @wake(ptr @bell, i32 %helpers_32)
  br label %more

more:
  %did = call i1 @take(i64 %launch, i1 false)
  br i1 %did, label %between, label %wait
between:
  br i1 %polls, label %poll_now, label %more
poll_now:
  %stop = call i64 %poll(ptr %context)
  %go_on = icmp eq i64 %stop, 0
  br i1 %go_on, label %more, label %drop
drop:
  %seen = load atomic i64, ptr @word acquire, align 8
  %last = add i64 %first, %chunks
  %dropped = cmpxchg ptr @word, i64 %seen, i64 %last acq_rel acquire
  %ours = extractvalue {{ i64, i1 }} %dropped, 1
  br i1 %ours, label %count, label %drop
count:
  %taken = call i64 @taken(i64 %seen)
  %unrun = sub i64 %chunks, %taken
  %unrun_32 = trunc i64 %unrun to i32
  call void @finish(i64 %chunks, i32 %unrun_32)
  br label %wait

wait:
  %result = phi i64 [ 0, %more ], [ %stop, %count ], [ %result, %relax ], [ %result, %sleep ],
                    [ %answer, %poll_late ]
  %round = phi i64 [ 0, %more ], [ 0, %count ], [ %next_round, %relax ], [ 0, %sleep ],
                   [ 0, %poll_late ]
  %done = load atomic i32, ptr @finished acquire, align 4
  %all = trunc i64 %chunks to i32
  %complete = icmp eq i32 %done, %all
  br i1 %complete, label %give_back, label %pending
pending:
  %next_round = add i64 %round, 1
  %tired = icmp uge i64 %round, {_CALLER_ROUNDS}
  br i1 %tired, label %sleep, label %relax
relax:
  call void @relax(i64 %round)
  br label %wait
sleep:
  %flag = atomicrmw xchg ptr @waiting, i32 1 seq_cst
  call void @sleep_on(ptr @finished, i32 %done, i1 true)
  %unstopped = icmp eq i64 %result, 0
  %ask_late = and i1 %polls, %unstopped
  br i1 %ask_late, label %poll_late, label %wait
poll_late:
  %answer = call i64 %poll(ptr %context)
  br label %wait
give_back:
  store atomic i32 0, ptr @busy release, align 4
  ret i64 %result
}}

; The same on the calling thread alone; cut only where there is somebody to ask in between.
define internal i64 @run_alone(ptr %kernel, ptr %slots, i64 %tasks, ptr %poll, ptr %context)
    nounwind {{
entry:
  %polls = icmp ne ptr %poll, null
  br i1 %polls, label %cut, label %whole
whole:
  call void %kernel(ptr %slots, i64 0, i64 %tasks)
  ret i64 0
cut:
  %chunks = call i64 @llvm.umin.i64(i64 %tasks, i64 {CHUNKS_ALONE})
  br label %look
look:
  %chunk = phi i64 [ 0, %cut ], [ %next, %run ]
  %left = icmp ult i64 %chunk, %chunks
  br i1 %left, label %run, label %done
run:
  call void @run_chunk(ptr %kernel, ptr %slots, i64 %tasks, i64 %chunks, i64 %chunk)
  %next = add i64 %chunk, 1
  %stop = call i64 %poll(ptr %context)
  %go_on = icmp eq i64 %stop, 0
  br i1 %go_on, label %look, label %stopped
stopped:
  ret i64 %stop
done:
  ret i64 0
}}
"""

_CONTROL = f"""
; Change how many threads share a launch, and let the workers see it.
define void @elinvar_pool_set_threads(i64 %threads) nounwind {{
  store atomic i64 %threads, ptr @threads seq_cst, align 8
  %rung = atomicrmw add ptr @bell, i32 1 seq_cst
  call void @wake(ptr @bell, i32 2147483647)
  ret void
}}

define i64 @elinvar_pool_threads() nounwind {{
  %threads = load atomic i64, ptr @threads seq_cst, align 8
  ret i64 %threads
}}

; In a child of fork: there are no workers. The launch of a thread that the child does not have is
; over, and nobody may take a chunk of it; a launch of this thread, in which a signal handler
; forked, goes on.
define void @elinvar_pool_forget() nounwind {{
entry:
  store atomic i64 1, ptr @threads seq_cst, align 8
  store atomic i32 0, ptr @sleepers seq_cst, align 4
  %busy = load atomic i32, ptr @busy monotonic, align 4
  %is_busy = icmp ne i32 %busy, 0
  %owner = load atomic i64, ptr @owner monotonic, align 8
  %self = call i64 @pthread_self()
  %same = icmp eq i64 %owner, %self
  %ours = and i1 %is_busy, %same
  br i1 %ours, label %done, label %drop
drop:
  %word = load atomic i64, ptr @word monotonic, align 8
  %over = or i64 %word, {_CLOSED}
  store atomic i64 %over, ptr @word monotonic, align 8
  store atomic i32 0, ptr @busy monotonic, align 4
  br label %done
done:
  ret void
}}

define internal void @nothing(ptr %slots, i64 %begin, i64 %end) nounwind {{
  ret void
}}

; Run `launches` launches that do nothing, to measure what a launch costs.
define void @elinvar_pool_measure(i64 %launches) nounwind {{
entry:
  br label %look
look:
  %launch = phi i64 [ 0, %entry ], [ %next, %run ]
  %left = icmp ult i64 %launch, %launches
  br i1 %left, label %run, label %done
run:
  %r = call i64 @elinvar_pool_run(ptr @nothing, ptr null, i64 1024, ptr null, ptr null)
  %next = add i64 %launch, 1
  br label %look
done:
  ret void
}}
"""

FUNCTIONS = (
    "elinvar_pool_worker",
    "elinvar_pool_run",
    "elinvar_pool_set_threads",
    "elinvar_pool_threads",
    "elinvar_pool_forget",
    "elinvar_pool_measure",
)


def pool_text() -> str:
    """The LLVM module of the pool."""
    parts = (_STATE, relax_text(_PAUSE_ROUNDS), sleep_text(), _CHUNK, _WORKER, _RUN, _CONTROL)
    return "".join(parts)
