"""export_native on this machine: the bits of jit, what is kept between calls, files, errors."""

import ctypes
import re
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import elinvar as el
from elinvar.core.errors import (
    CompileError,
    DataError,
    DTypeError,
    ShapeError,
    StateError,
    TraceError,
    ValueRangeError,
)
from elinvar.export.interface import Interface, Port
from elinvar.export.native import compile_interface
from elinvar.export.status import Status
from elinvar.runtime.compile import compile_graph
from elinvar.runtime.objects import undefined_symbols
from elinvar.runtime.targets import target_named
from tests.compiled import run_bound, same_bits, stored
from tests.graphs import arrays_for, graphs
from tests.native_models import Training

nn, F = el.nn, el.nn.functional


def bits(x):
    return (x.shape, str(x.dtype), x.numpy().tobytes())


def exported(function, specs, folder, name="model", **more):
    return el.load_native(el.export_native(function, specs, "host", folder / name, **more).object)


# the bits


def test_one_object_serves_every_size(tmp_path):
    model = nn.Sequential(nn.Linear(40, 64), nn.ReLU(), nn.Linear(64, 10), nn.Softmax(-1))
    native = exported(model, "f32[batch,40]", tmp_path)
    jitted = el.jit(model)
    for batch in (0, 1, 2, 5, 16, 33, 200):
        x = el.randn(batch, 40)
        assert bits(native(x)) == bits(jitted(x)), batch
    assert native.arena_bytes(batch=1) < native.arena_bytes(batch=1000)


@pytest.mark.parametrize(
    "name", ["mlp", *[pytest.param(n, marks=pytest.mark.slow) for n in ("lstm", "gpt", "cnn")]]
)
def test_a_training_step_is_exported_whole(name, tmp_path):
    training = Training(name)
    native = exported(training.step, training.specs, tmp_path, name)
    calls = training.calls(6)
    losses = [native(*call).numpy().tobytes() for call in calls]
    here, parameters = training.here(calls)
    assert losses == here
    for key, data in parameters.items():
        assert native.weights["model_" + key.replace(".", "_")].tobytes() == data, key


@pytest.mark.slow
def test_bfloat16_training_step(tmp_path):
    training = Training("mlp", "bfloat16")
    native = exported(training.step, training.specs, tmp_path)
    calls = training.calls(4)
    losses = [native(*call).numpy().tobytes() for call in calls]
    assert losses == training.here(calls)[0]


def test_all_sizes_fixed(tmp_path):
    weight = el.randn(30, 7)
    native = exported(lambda x: (x @ weight).tanh().sum(0), "f32[50,30]", tmp_path)
    x = el.randn(50, 30)
    assert bits(native(x)) == bits(el.jit(lambda x: (x @ weight).tanh().sum(0))(x))
    assert native.dims == {}
    with pytest.raises(ShapeError, match=r"expected f32\[50,30\]"):
        native(el.randn(49, 30))


def test_dims_are_computed_with(tmp_path):
    def function(x, y):
        joined = el.concat([x[:, 1:], y], axis=1)
        return joined.reshape(-1), joined.mean(axis=1), x.reshape(2, -1, x.shape[1]).sum(axis=0)

    batch, length = el.Dim("batch"), el.Dim("length", min=1)
    specs = (el.TensorSpec((2 * batch, length)), el.TensorSpec((2 * batch, 3)))
    native, jitted = exported(function, specs, tmp_path), el.jit(function)
    for b, t in ((1, 1), (2, 1), (3, 4), (0, 3), (5, 40)):
        x, y = el.randn(2 * b, t), el.randn(2 * b, 3)
        assert [bits(a) for a in native(x, y)] == [bits(a) for a in jitted(x, y)], (b, t)


def test_loops_and_branches(tmp_path):
    def function(x, flag):
        state, outputs = el.scan(lambda c, row: (c * 0.5 + row, c.sum()), el.zeros(4), x)
        backward = el.scan(lambda c, row: (c + row, c[0]), el.zeros(4), x, reverse=True)[1]
        chosen = el.cond(flag, lambda v: v * 2, lambda v: v - 1, state)
        count = el.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 1, c[1] * 1.5), (el.asarray(0), chosen))
        return outputs, backward, count[1]

    native, jitted = exported(function, ("f32[length,4]", "bool[]"), tmp_path), el.jit(function)
    for length in (0, 1, 2, 7):
        for flag in (True, False):
            x, f = el.randn(length, 4), el.asarray(flag)
            assert [bits(a) for a in native(x, f)] == [bits(a) for a in jitted(x, f)]


@pytest.mark.slow
@settings(deadline=None, max_examples=12)
@given(data=st.data())
def test_random_graphs(data, tmp_path_factory):
    graph = data.draw(graphs())
    check_graph(graph, tmp_path_factory.mktemp("random"))


def check_graph(graph, folder):
    """A graph gives the same bits as an object file as it does from the JIT."""
    inputs = [Port(f"x{n}", value) for n, value in enumerate(graph.inputs)]
    results = [Port(f"y{n}", value) for n, value in enumerate(graph.outputs)]
    interface = Interface("graph", graph, inputs, results, [], {"B": (0, None)})
    _, code = compile_interface(interface, "graph", target_named("host"), False)
    (folder / "graph.o").write_bytes(code)
    native = el.load_native(folder / "graph")
    for batch in (0, 1, 3):
        arrays = [
            stored(array, value.dtype)
            for array, value in zip(arrays_for(graph, batch, batch), graph.inputs, strict=True)
        ]
        outputs = dict.fromkeys(graph.outputs)  # each once
        expected = run_bound(compile_graph(graph).bind({"B": batch}), arrays)
        found = native.arrays(arrays, {"B": batch})
        assert len(found) == len(graph.outputs) >= len(outputs)
        for one, other in zip(found, expected, strict=True):
            assert same_bits(one, other)


# what a function may return and keep


def test_results_keep_their_structure(tmp_path):
    native = exported(lambda x: {"sum": x.sum(), "parts": (x + 1, [x > 0])}, "f32[n,3]", tmp_path)
    found = native(np.ones((2, 3), np.float32))
    assert found["sum"].item() == 6.0 and isinstance(found["parts"], tuple)
    assert found["parts"][1][0].dtype == el.bool_ and found["parts"][0].tolist() == [[2.0] * 3] * 2


def test_what_is_passed_through_and_given_twice(tmp_path):
    weight = el.randn(3)
    native = exported(lambda x: (x, weight, x + 1, x + 1), "f32[n]", tmp_path)
    x = el.randn(4)
    one, held, first, second = native(x)
    assert bits(one) == bits(x) and bits(held) == bits(weight)
    assert bits(first) == bits(second) == bits(x + 1)


def test_state_that_is_swapped_counted_and_only_written(tmp_path):
    a, b, count, last = el.randn(5), el.randn(5), el.asarray(0), el.zeros(2)

    def function(x):
        old = a.detach()
        a.assign(b)
        b.assign(old)
        count.assign(count + 1)
        last.assign(x.sum(0) * 2)
        return a + count

    native, before = exported(function, "f32[n,2]", tmp_path), (a.tolist(), b.tolist())
    for call in range(1, 4):
        x = el.randn(call, 2)
        found = native(x).tolist()
        names = dict(native.weights)
        assert names["count"] == call and names["last"].tolist() == (x.sum(0) * 2).tolist()
        one, other = (before[1], before[0]) if call % 2 else before
        assert names["a"].tolist() == one and names["b"].tolist() == other
        assert found == (el.asarray(one) + call).tolist()
    assert (a.tolist(), b.tolist()) == before  # exporting and running changes nothing here


def test_gradients_that_are_summed_up_are_kept(tmp_path):
    weight = nn.Parameter(el.ones(3))
    weight.grad = el.zeros(3)

    def accumulate(x):
        (weight * x).sum().backward()
        return weight.grad.sum()

    native = exported(accumulate, "f32[3]", tmp_path)
    found = [native(np.ones(3, np.float32)).item() for _ in range(3)]
    assert found == [3.0, 6.0, 9.0]


def test_weights_inside_of_the_object(tmp_path):
    model = nn.Linear(6, 4)
    made = el.export_native(model, "f32[n,6]", "host", tmp_path / "inside", weights="inside")
    assert made.weights is None and not (tmp_path / "inside.weights").exists()
    x = el.randn(3, 6)
    assert bits(el.load_native(made.object)(x)) == bits(model(x))


@pytest.mark.slow
def test_names_follow_the_model(tmp_path):
    training = Training("gpt")
    native = exported(training.step, training.specs, tmp_path)
    assert "model_blocks_0_qkv_weight" in native.weights
    assert any(name.endswith("exp_avg_sq") for name in native.weights)
    assert [name for name, _ in native.inputs] == ["x", "y"]


# files


@pytest.mark.slow
def test_the_object_needs_nothing_but_memory_functions(tmp_path):
    training = Training("mlp", "bfloat16")
    made = el.export_native(training.step, training.specs, "x86-64-v2", tmp_path / "step")
    code = made.object.read_bytes()
    assert undefined_symbols(code) <= {"memcpy", "memset", "memmove", "_GLOBAL_OFFSET_TABLE_"}


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_headers_and_objects_of_two_functions_go_together(tmp_path):
    one = el.export_native(nn.Linear(3, 2), "f32[n,3]", "host", tmp_path / "first")
    two = el.export_native(nn.Linear(3, 2), "f32[n,3]", "host", tmp_path / "second")
    source = tmp_path / "main.c"
    source.write_text(
        '#include "first.h"\n#include "second.h"\n#include <stdio.h>\n'
        "int main(void) {\n  first_sizes a = {4};\n  second_sizes b = {-1};\n"
        '  printf("%lld %lld %s\\n", (long long)first_arena_bytes(&a),\n'
        "    (long long)second_arena_bytes(&b), first_message(FIRST_OVERFLOW));\n  return 0;\n}\n"
    )
    strict = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{tmp_path}"]
    program = tmp_path / "main"
    files = [str(source), str(one.object), str(two.object), "-o", str(program)]
    subprocess.run(["cc", *strict, *files], check=True)
    said = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    first, second, rest = said.split(" ", 2)
    assert int(first) > 0 and int(second) == -Status.SIZE_OUT_OF_RANGE
    assert "larger than memory" in rest
    if shutil.which("g++"):
        flags = ["-std=c++11", "-fsyntax-only", "-Wall", "-Werror", f"-I{tmp_path}", "-x", "c++"]
        subprocess.run(["g++", *flags, str(source)], check=True)


def test_a_jitted_function_brings_its_specs(tmp_path):
    jitted = el.jit(lambda x: x * 2, specs="f32[n]")
    native = el.load_native(el.export_native(jitted, path=tmp_path / "double"))
    assert native(el.ones(3)).tolist() == [2.0] * 3 and native.dims == {"n": (0, None)}


def test_where_files_go(tmp_path):
    made = el.export_native(nn.Linear(3, 2), "f32[n,3]", path=tmp_path / "new" / "my-model.o")
    assert sorted(p.name for p in made.header.parent.iterdir()) == [
        "my-model.h", "my-model.o", "my-model.weights",
    ]  # fmt: skip
    assert "int my_model_run(" in made.header.read_text()
    assert el.load_native(made)(input=el.ones((1, 3))).shape == (1, 2)
    made = el.export_native(nn.Linear(3, 2), "f32[n,3]", path=tmp_path)
    assert made.object == tmp_path / "Linear.o"
    with pytest.raises(ShapeError, match="still needs input; received x"):
        el.load_native(made)(x=el.ones((1, 3)))


def test_objects_for_other_systems(tmp_path):
    made = el.export_native(nn.Linear(3, 2), "f32[n,3]", "arm64-apple-macos", tmp_path / "mac")
    assert made.object.read_bytes()[:4] == b"\xcf\xfa\xed\xfe"  # Mach-O, 64 bit
    assert "mac_run" in made.header.read_text()


# errors


def test_bad_arguments_of_export_native(tmp_path):
    model = nn.Linear(3, 2)
    with pytest.raises(CompileError, match=r"unknown target 'arm65'; known: x86-64-v2"):
        el.export_native(model, "f32[n,3]", "arm65", tmp_path / "m")
    with pytest.raises(ValueRangeError, match=r"must have letters, received '.*/---'"):
        el.export_native(model, "f32[n,3]", "host", tmp_path / "---")
    with pytest.raises(ValueRangeError, match=r"weights must be one of beside, inside"):
        el.export_native(model, "f32[n,3]", "host", tmp_path / "m", weights="below")
    with pytest.raises(TraceError, match=r"expected a function, received int"):
        el.export_native(3, "f32[n,3]", "host", tmp_path / "m")
    with pytest.raises(TraceError, match=r"the types of the arguments are needed \(input\)"):
        el.export_native(model, path=tmp_path / "m")
    with pytest.raises(TraceError, match=r"changes its argument 0 in place"):
        el.export_native(lambda x: x.add_(1), "f32[n,3]", "host", tmp_path / "m")
    with pytest.raises(TraceError, match=r"result_1 is str 'done', which the trace did not compute"):
        el.export_native(lambda x: (x, "done"), "f32[n,3]", "host", tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_linker_is_named_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(CompileError, match=r"link=True needs aarch64-linux-gnu-gcc to link for"):
        el.export_native(nn.Linear(3, 2), "f32[n,3]", "aarch64-linux-gnu", tmp_path / "m", link=True)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_do_not_fit(tmp_path):
    made = el.export_native(nn.Linear(3, 2), "f32[n,3]", "host", tmp_path / "one")
    other = el.export_native(nn.Linear(2, 3), "f32[n,2]", "host", tmp_path / "two")
    native = el.load_native(made.object)
    with pytest.raises(StateError, match=r"belong to another function|has \d+ bytes, one needs"):
        native.load_weights(other.weights)
    good = made.weights.read_bytes()
    made.weights.write_bytes(good[:-1])
    with pytest.raises(StateError, match=r"bytes, one needs"):
        el.load_native(made.object)
    made.weights.write_bytes(b"GGUF" + good[4:])
    with pytest.raises(StateError, match=r"is no file of weights"):
        el.load_native(made.object)
    made.weights.write_bytes(good[:20] + bytes([good[20] ^ 1]) + good[21:])
    with pytest.raises(StateError, match=r"belong to another function"):
        el.load_native(made.object)
    made.weights.unlink()
    with pytest.raises(StateError, match=r"one.weights is missing"):
        el.load_native(made.object)


def test_objects_that_cannot_be_loaded(tmp_path):
    made = el.export_native(nn.Linear(3, 2), "f32[n,3]", "aarch64-linux-gnu", tmp_path / "arm")
    with pytest.raises(DataError, match=r"was compiled for aarch64-linux-gnu, this machine is"):
        el.load_native(made.object)
    (tmp_path / "noise.o").write_bytes(b"\x7fELF" + bytes(200))
    with pytest.raises(DataError, match=r"is no object file that export_native made"):
        el.load_native(tmp_path / "noise.o")
    with pytest.raises(FileNotFoundError):
        el.load_native(tmp_path / "nothing")


def test_bad_calls_from_python(tmp_path):
    batch = el.Dim("batch", min=1, max=8)
    native = exported(nn.Linear(3, 2), el.TensorSpec((batch, 3)), tmp_path)
    assert native(el.ones((8, 3))).shape == (8, 2)
    with pytest.raises(ShapeError, match=r"a size is outside of its range: batch = 9"):
        native(el.ones((9, 3)))
    with pytest.raises(ShapeError, match=r"outside of its range: batch = 0"):
        native(el.ones((0, 3)))
    with pytest.raises(DTypeError, match=r"input must be f32\[batch,3\], received f64\[2,3\]"):
        native(np.ones((2, 3)))
    with pytest.raises(ShapeError, match=r"model takes \(input\), received 2 arguments"):
        native(el.ones((2, 3)), el.ones(2))


def test_sizes_beyond_memory_are_an_overflow(tmp_path):
    native = exported(lambda x: (x[:, None] * x).sum(1), "f32[n]", tmp_path)
    for size in (1 << 40, 1 << 62, (1 << 63) - 1):
        with pytest.raises(ShapeError, match=r"larger than memory: n = "):
            native.arena_bytes(n=size)
    with pytest.raises(ShapeError, match=r"outside of its range"):
        native.arena_bytes(n=-1)


def test_a_derived_size_below_zero_is_out_of_range(tmp_path):
    native = exported(lambda x: x[1:] - x[:-1], "f32[n]", tmp_path)
    assert native(el.ones(1)).shape == (0,)
    with pytest.raises(ShapeError, match=r"outside of its range"):
        native.arena_bytes(n=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "function, spec, refused, taken",
    [
        (lambda x: el.max(x, axis=0), "f32[n,3]", [0], [1, 4]),
        (lambda x: x.argmin(), "f32[n]", [0], [1]),
        (lambda x: x.topk(3)[0], el.TensorSpec(el.Dim("n", min=3)), [2, 0], [3, 9]),
        (lambda x: x[3] + x[:2].sum(), el.TensorSpec(el.Dim("n", min=4)), [3, 0], [4]),
        (lambda x: x[-1], "f32[n,2]", [0], [1, 3]),
        (lambda x: F.max_pool1d(x, 3, stride=1), "f32[1,2,n]", [1, 2], [3, 8]),
        (lambda x: F.batch_norm(x, None, None, training=True), "f32[n,2]", [1], [2, 5]),
    ],
    ids=["max", "argmin", "topk", "index", "last", "window", "batch_norm"],
)
def test_what_jit_refuses_is_refused(function, spec, refused, taken, tmp_path):
    """Sizes that an operation cannot serve are no memory errors elsewhere."""
    native, jitted = exported(function, spec, tmp_path), el.jit(function, specs=spec)
    for n in (*refused, *taken):
        shape = [dim.evaluate({"n": n}) if isinstance(dim, el.Dim) else dim for dim in native.inputs[0][1].shape]
        x = el.randn(*shape)
        if n in taken:
            assert bits(native(x)) == bits(jitted(x))
            continue
        with pytest.raises(ShapeError, match="outside of its range"):
            native(x)
        with pytest.raises(ValueError):
            jitted(x)


def test_every_error_code_from_c(tmp_path):
    native = exported(nn.Linear(3, 2), "f32[n,3]", tmp_path)
    x, y = np.ones((4, 3), np.float32), np.zeros((4, 2), np.float32)
    sizes, needed = (ctypes.c_int64 * 1)(4), native.arena_bytes(n=4)
    memory = np.zeros(needed + 128, np.uint8)
    arena = memory.ctypes.data + -memory.ctypes.data % 64
    inputs = (ctypes.c_void_p * 1)(x.ctypes.data)
    results = (ctypes.c_void_p * 1)(y.ctypes.data)
    nothing = (ctypes.c_void_p * 1)(None)
    weights = native._memory
    good = [sizes, inputs, results, weights.ctypes.data, len(weights), arena, needed, None]
    run = native._run

    def status(**changes):
        names = ("sizes", "inputs", "results", "weights", "count", "arena", "bytes", "threads")
        given = [changes.get(name, value) for name, value in zip(names, good, strict=True)]
        return run(*[ctypes.addressof(g) if isinstance(g, ctypes.Array) else g for g in given])

    assert status() == Status.OK and y.any()
    y[:] = 0
    assert status(sizes=None) == Status.NULL_POINTER
    assert status(inputs=None) == status(inputs=nothing) == Status.NULL_POINTER
    assert status(results=None) == status(results=nothing) == Status.NULL_POINTER
    assert status(weights=None) == status(arena=None) == Status.NULL_POINTER
    assert status(arena=arena + 8) == status(weights=weights.ctypes.data + 4) == Status.MISALIGNED
    assert status(sizes=(ctypes.c_int64 * 1)(-3)) == Status.SIZE_OUT_OF_RANGE
    assert status(sizes=(ctypes.c_int64 * 1)(1 << 55)) == Status.OVERFLOW
    assert status(bytes=needed - 1) == Status.ARENA_TOO_SMALL
    assert status(count=len(weights) - 1) == Status.WRONG_WEIGHTS
    weights[16] ^= 1
    assert status() == Status.WRONG_WEIGHTS
    assert not y.any()  # nothing was written by any of them


def test_statuses_are_documented(tmp_path):
    made = el.export_native(nn.Linear(3, 2), "f32[n,3]", "host", tmp_path / "doc")
    text = made.header.read_text()
    for status in Status:
        assert re.search(rf"DOC_{status.name} = {status.value}, /\* \w+", text)
