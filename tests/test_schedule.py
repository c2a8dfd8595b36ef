"""Steps that share a launch: which may, how it is shared out, and that no bit tells."""

from __future__ import annotations

import random

import numpy as np
import pytest

import elinvar as el
from elinvar.kernels.plan import (
    ControlStep,
    Place,
    Step,
    Storage,
    Together,
    flatten,
    overwritable,
    place_arena,
    touched,
)
from elinvar.kernels.schedule import LEAST_WORK, NEAR, SMALL, cut, schedule
from elinvar.runtime import compile as compiling

LARGE = 4 * SMALL


def arena(nbytes: int = 64) -> Storage:
    return Storage("arena", -1, nbytes)


def step(name: str, reads, writes, work: int = LARGE, tasks: int = 8, in_place=()) -> Step:
    slots = [Place(storage) for storage in (*reads, *writes)]
    return Step(
        name, "", slots, lambda sizes: tasks, list(reads), list(writes), name,
        lambda sizes: work, None, list(in_place),
    )  # fmt: skip


def names(steps) -> list:
    return [
        [s.name for s in item.steps] if isinstance(item, Together) else item.name for item in steps
    ]


X, Y, Z = (Storage("input", n) for n in range(3))


def test_independent_steps_share_a_launch() -> None:
    a, b, c = arena(), arena(), arena()
    steps = [step("a", [X], [a]), step("b", [X], [b]), step("c", [a, b], [c])]
    assert names(schedule(steps, {})) == [["a", "b"], "c"]


def test_a_step_moves_up_past_what_it_does_not_touch() -> None:
    a, b, c, d = arena(), arena(), arena(), Storage("output", 0)
    steps = [step("a", [X], [a]), step("b", [a], [b]), step("c", [b], [c]), step("d", [Y], [d])]
    assert names(schedule(steps, {})) == [["a", "d"], "b", "c"]


@pytest.mark.parametrize("kind", ["read after write", "write after read", "write after write"])
def test_dependent_steps_stay_in_order(kind: str) -> None:
    a, b = arena(), arena()
    second = {
        "read after write": ([a], [b]),
        "write after read": ([Y], [X]),
        "write after write": ([Y], [a]),
    }[kind]
    steps = [step("first", [X], [a]), step("second", *second)]
    assert names(schedule(steps, {})) == ["first", "second"]
    between = step("between", second[1] if kind == "write after read" else [a], [arena()])
    assert names(schedule([*steps, between], {}))[0] == "first"


def test_who_overwrites_an_input_waits_for_its_readers() -> None:
    """Output 0 may be written over input 0, which the first step reads as well."""
    output, a = Storage("output", 0), arena()
    steps = [step("reader", [X], [a]), step("writer", [X], [output], in_place=[(X, output)])]
    assert overwritable(steps, [X], [output]) == [(0, 0)]
    assert names(schedule(steps, {}, [X], [output])) == ["reader", "writer"]


def test_updates_in_one_launch_still_overwrite_their_states() -> None:
    inputs = [Storage("input", n) for n in range(5)]
    outputs = [Storage("output", n) for n in range(5)]
    steps = [
        step(f"{n}", [x], [y], in_place=[(x, y)])
        for n, (x, y) in enumerate(zip(inputs, outputs, strict=True))
    ]
    found = schedule(steps, {}, inputs, outputs)
    assert len(found) == 1
    assert sorted(overwritable(found, inputs, outputs)) == [(n, n) for n in range(5)]


def test_nothing_is_overwritten_earlier_than_before() -> None:
    """Ctrl-C stops a program until it begins to overwrite its inputs."""
    a, b = arena(), arena()
    outputs = [Storage("output", n) for n in range(2)]
    steps = [
        step("a", [Y], [a]),
        step("b", [a], [b]),
        step("first", [b, X], [outputs[0]], in_place=[(X, outputs[0])]),
        step("second", [Z], [outputs[1]], in_place=[(Z, outputs[1])]),
    ]
    found = schedule(steps, {}, [X, Y, Z], outputs)
    assert names(found) == ["a", "b", ["first", "second"]]


def test_the_arena_does_not_grow() -> None:
    """A chain that needs two blocks at a time; what moves up may not be a third."""
    blocks = [arena(1 << 20) for _ in range(4)]
    chain = [step("0", [X], [blocks[0]])]
    chain += [step(f"{n}", [blocks[n - 1]], [blocks[n]]) for n in (1, 2, 3)]
    late = arena(1 << 20)
    steps = [*chain, step("late", [Y], [late]), step("end", [late, blocks[3]], [X])]
    found = schedule(steps, {})
    assert names(found) == ["0", "1", "2", "3", "late", "end"]
    assert place_arena(found, {}) == place_arena(steps, {})


def test_large_steps_move_a_little_small_ones_far() -> None:
    for work, together in ((LARGE, False), (LEAST_WORK, True)):
        blocks = [arena() for _ in range(3 * NEAR)]
        steps = [step("0", [X], [blocks[0]], work)]
        steps += [step(f"{n}", [blocks[n - 1]], [blocks[n]], work) for n in range(1, 3 * NEAR)]
        steps.append(step("last", [Y], [Storage("output", 0)], work))
        assert isinstance(schedule(steps, {})[0], Together) is together


def test_little_work_is_not_shared_out() -> None:
    steps = [step(f"{n}", [X], [arena()], 100) for n in range(5)]
    assert names(schedule(steps, {})) == ["0", "1", "2", "3", "4"]


def test_bodies_of_loops_are_scheduled() -> None:
    body = [step("a", [X], [arena()]), step("b", [X], [arena()])]
    (loop,) = schedule([ControlStep("for", None, [body], count=3)], {})
    assert names(loop.bodies[0]) == [["a", "b"]]
    assert names(body) == ["a", "b"]


def test_every_task_is_run_once() -> None:
    random.seed(0)
    for _ in range(200):
        members = [
            (random.choice([1, 1, 2, 3, 16, 100]), random.choice([1, 500, 30_000, 2_000_000]))
            for _ in range(random.randint(2, 40))
        ]
        tasks = cut(members)
        seen = sorted(part for task in tasks for part in task)
        assert all(task for task in tasks) and len(tasks) <= 128
        for member, (count, _) in enumerate(members):
            own = [(a, b) for m, a, b in seen if m == member]
            assert [a for a, _ in own] == [0, *(b for _, b in own[:-1])]
            assert own[-1][1] == count and all(a < b for a, b in own)


def test_random_programs_keep_the_order_of_all_that_touch_the_same() -> None:
    random.seed(1)
    for _ in range(60):
        storages = [X, Y, *(arena(random.choice([8, 1 << 20])) for _ in range(12))]
        steps = [
            step(
                f"{n}",
                random.sample(storages, random.randint(1, 3)),
                [random.choice(storages)],
                random.choice([10, LEAST_WORK, LARGE]),
                random.choice([0, 1, 8]),
            )
            for n in range(40)
        ]
        found = schedule(steps, {})
        place = {s.name: n for n, item in enumerate(found) for s in flatten([item])}
        assert len(place) == 40
        for later, second in enumerate(steps):
            reads, writes = map(set, touched(second))
            for first in steps[:later]:
                before_reads, before_writes = map(set, touched(first))
                if before_writes & (reads | writes) or before_reads & writes:
                    assert place[first.name] < place[second.name]


# whole programs


def training(seed: int = 0):
    el.manual_seed(seed)
    sizes = [(40, 80), (80, 80), (80, 48), (48, 10)]
    layers = [layer for m, n in sizes for layer in (el.nn.Linear(m, n), el.nn.GELU())]
    model = el.nn.Sequential(*layers)
    optimizer = el.optim.AdamW(model.parameters(), lr=0.01)

    @el.jit
    def train(x, y):
        loss = el.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    random = np.random.default_rng(1)
    x = el.asarray(random.standard_normal((64, 40)).astype(np.float32))
    y = el.asarray(random.integers(0, 10, 64))
    return model, train, (x, y)


def result(model, train, batch) -> bytes:
    losses = [train(*batch).numpy().tobytes() for _ in range(4)]
    return b"".join([*losses, *(p.detach().numpy().tobytes() for p in model.parameters())])


def test_bits_do_not_depend_on_who_shares_a_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = el.get_num_threads()
    together = set()
    for count in (1, 2, 3, 8):
        el.set_num_threads(count)
        together.add(result(*training()))
    el.set_num_threads(threads)
    monkeypatch.setattr(compiling, "schedule", lambda steps, *_: steps)
    assert together == {result(*training())}


def test_the_updates_of_parameters_share_launches() -> None:
    model, train, batch = training()
    train(*batch)
    train(*batch)
    compiled = train.lower(*batch)._program.compiled()
    scheduled = compiled._scheduled({})
    assert len(scheduled) < 0.75 * len(compiled.steps)
    updates = [item for item in scheduled if any("sqrt" in s.label for s in flatten([item]))]
    assert sum(isinstance(item, Step) for item in updates) <= 3
    assert "together" in train.lower(*batch).loops
    addresses = [p._address for p in model.parameters()]
    train(*batch)
    assert [p._address for p in model.parameters()] == addresses


def test_a_profile_tells_the_members_apart() -> None:
    _, train, batch = training()
    train(*batch)
    train(*batch)
    compiled = train.lower(*batch)._program.compiled()
    labels = sorted(step.label for step in flatten(compiled.steps))
    with el.profile() as p:
        train(*batch)
    events = [event for event in p._all() if event.kind in (1, 2)]
    assert sorted(event.name for event in events) == labels
    assert sum(row.calls for row in p.rows) == len(labels)
    ends = [event.start for event in events[1:]]
    assert all(event.end <= start for event, start in zip(events, ends, strict=False))
    assert sum(row.seconds for row in p.rows) <= p.seconds
    assert f"{len(labels)} launches" in str(p)
