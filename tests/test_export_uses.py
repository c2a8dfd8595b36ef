"""export_native as somebody uses it who knows its page alone: arguments, names, damage, threads."""

import dataclasses
import shutil
import subprocess
import threading
from collections import namedtuple

import numpy as np
import pytest

import elinvar as el
from elinvar.core.errors import DataError, DTypeError, ShapeError, TraceError
from elinvar.export import files
from tests.test_export_native import bits, exported

nn, F = el.nn, el.nn.functional


@dataclasses.dataclass
class Affine:
    factor: object
    offset: object


Pair = namedtuple("Pair", "first second")


# arguments


def test_arguments_are_those_of_the_function(tmp_path):
    def function(affine, named, pair, mode=None):
        return Affine(affine.factor * named["x"] + affine.offset, pair.first - named["y"])

    spec = (Affine("f32[n]", "f32[]"), {"x": "f32[n]", "y": "f32[]"}, Pair("f32[]", 1.0), None)
    native = exported(function, spec, tmp_path)
    affine, pair = Affine(el.randn(3), el.randn()), Pair(el.randn(), 2.0)
    x, y = el.randn(3), el.randn()
    expected = function(affine, {"x": x, "y": y}, pair)
    for named in ({"x": x, "y": y}, {"y": y, "x": x}):  # whatever the order
        found = native(affine, named, pair, None)
        assert bits(found["factor"]) == bits(expected.factor)
        assert bits(found["offset"]) == bits(expected.offset)
    found = native(affine, named_x=x, named_y=y, pair=pair, mode=None)
    assert bits(found["factor"]) == bits(expected.factor)
    with pytest.raises(DTypeError, match=r"named: expected x, y inside, received dict with u, v"):
        native(affine, {"u": x, "v": y}, pair)
    with pytest.raises(DTypeError, match=r"pair: expected 0, 1 inside, received tuple"):
        native(affine, {"x": x, "y": y}, (el.randn(),))
    with pytest.raises(DTypeError, match=r"mode: expected None, as when it was exported, received str"):
        native(affine, {"x": x, "y": y}, pair, "up")
    with pytest.raises(DTypeError, match=r"affine\['factor'\]: expected a tensor, received list"):
        native(Affine([1.0], y), {"x": x, "y": y}, pair)
    with pytest.raises(ShapeError, match=r"model still needs named_y; received named_x, pair"):
        native(affine, named_x=x, pair=pair)


def test_keys_that_are_numbers(tmp_path):
    native = exported(lambda table: {2: table[1], 1: None}, ({1: "f32[n]"},), tmp_path)
    assert native({1: el.ones(2)})[2].tolist() == [1.0, 1.0]
    assert native(el.jit(lambda x: {1: x})(el.ones(2)))[1] is None


def test_nothing_goes_in_and_nothing_comes_out(tmp_path):
    count, weight = el.asarray(0), el.randn(3)

    def advance():
        count.assign(count + 1)

    tick = exported(advance, (), tmp_path, "tick")
    assert tick() is None and tick() is None and tick.weights["count"] == 2
    assert bits(exported(lambda: weight * 2, (), tmp_path, "double")()) == bits(weight * 2)


def test_specs_that_do_not_fit_the_function(tmp_path):
    text = r"specs has 1 entries, which do not fit the arguments of pair\(x, y\): missing .* 'y'"

    def pair(x, y):
        return x + y

    with pytest.raises(TraceError, match=text):
        el.export_native(pair, "f32[n]", path=tmp_path / "m")
    with pytest.raises(TraceError, match=r"specs has 3 entries, .*pair\(x, y\): too many"):
        el.export_native(pair, ("f32[n]",) * 3, path=tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_sizes_of_arena_bytes_are_checked(tmp_path):
    native = exported(lambda x, y: x[:, None] * y, ("f32[n]", "f32[m]"), tmp_path)
    with pytest.raises(ShapeError, match=r"model has the sizes m, n, received m"):
        native.arena_bytes(m=3)
    with pytest.raises(ShapeError, match=r"larger than memory: n = 18446744073709551621"):
        native.arena_bytes(n=(1 << 64) + 5, m=1)  # 5, if it were cut off
    with pytest.raises(ShapeError, match=r"input y: expected f32\[m\], received the shape \[2,3\]"):
        native(el.ones(2), el.ones((2, 3)))


def test_sizes_stand_in_alphabetical_order(tmp_path):
    spec = el.TensorSpec((el.Dim("y"), el.Dim("x", min=1), el.Dim("a"), el.Dim("b", max=9)))
    made = el.export_native(lambda x: x.sum(), spec, path=tmp_path / "m")
    assert list(el.load_native(made).dims) == ["a", "b", "x", "y"]
    fields = [line.split()[1] for line in made.header.read_text().splitlines() if line.startswith("  int64_t")]
    assert fields == ["a;", "b;", "x;", "y;"]


# names


ODD = """
def odd(default, class_, NULL, int64_t, linux, é, π, Ж, sizes, unused):
    return {"int": default + class_ + NULL, "": int64_t, "a*/": linux, "static": é + π + Ж + sizes + unused}
"""
COMPILERS = [
    ("cc", "-std=c99"), ("cc", "-std=gnu17"), ("c++", "-std=c++11", "-x", "c++"),
    ("c++", "-std=c++20", "-x", "c++"),
]  # fmt: skip


def test_names_are_names_of_c(tmp_path):
    space = {}
    exec(ODD, space)
    a, A = el.randn(3), el.randn(3)
    sizes = el.TensorSpec((el.Dim("int"), el.Dim("class"), el.Dim("größe")))
    made = [
        el.export_native(space["odd"], ("f32[n]",) * 10, path=tmp_path / "odd"),
        el.export_native(lambda x: x * a + A, "f32[3]", path=tmp_path / "float"),
        el.export_native(lambda x: x + 1, sizes, path=tmp_path / "é-x"),
    ]
    text = "".join(one.header.read_text() for one in made)
    for wanted in (
        "*default_;", "*class_;", "*NULL_;", "*int64_t_;", "*linux_;", "*e;", "*pi;", "*zhe;",
        "*result_int;", "int64_t int_; /* int: 0 … any */", "int64_t class_;", "FLOAT_A_OFFSET", "FLOAT_A_2_OFFSET", "int e_x_run(",
    ):  # fmt: skip
        assert wanted in text, wanted
    x = el.ones(3)
    assert bits(el.load_native(made[1])(x)) == bits(x * a + A)
    source = tmp_path / "all.c"
    source.write_text("".join(f'#include "{one.header.name}"\n' for one in made) * 2)
    for command in COMPILERS:
        if shutil.which(command[0]):
            strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
            subprocess.run([*command, *strict, str(source)], check=True)


# gradients


def test_gradients_that_appear_or_vanish_are_refused(tmp_path):
    weight = nn.Parameter(el.ones(3))

    def accumulate(x):
        (weight * x).sum().backward()
        return weight.grad.sum()

    with pytest.raises(TraceError, match=r"weight has no .grad now, and has one .* after the first"):
        el.export_native(accumulate, "f32[3]", path=tmp_path / "m")
    optimizer = el.optim.SGD([weight], lr=0.1)

    def step(x):
        (weight * x).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    native = exported(step, "f32[3]", tmp_path)
    native(el.ones(3)), native(el.ones(3))
    assert native.weights["weight"].tolist() == (el.ones(3) - 0.1 - 0.1).tolist()
    weight.grad = el.ones(3)
    with pytest.raises(TraceError, match=r"weight has a .grad now, which the function uses and takes"):
        el.export_native(step, "f32[3]", path=tmp_path / "m")


def test_gradients_that_nobody_sees_are_scratch(tmp_path):
    body, head = nn.Linear(4, 4), nn.Linear(4, 2)
    optimizer = el.optim.SGD(head.parameters(), lr=0.1)

    def step(x):
        optimizer.zero_grad()
        loss = (head(body(x)) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    native, jitted = exported(step, "f32[n,4]", tmp_path), el.jit(step)
    for count in (2, 3, 1):
        x = el.randn(count, 4)
        assert bits(native(x)) == bits(jitted(x))


def test_weights_are_kept_in_files(tmp_path):
    weight = el.zeros(3)
    made = el.export_native(lambda x: weight.assign(weight + x), "f32[3]", path=tmp_path / "m")
    native, other = el.load_native(made), el.load_native(made)
    native(el.ones(3)), native(el.ones(3))
    native.save_weights(tmp_path / "later.weights")
    other.load_weights(tmp_path / "later.weights")
    other(el.ones(3))
    assert other.weights["weight"].tolist() == [3.0] * 3 and weight.tolist() == [0.0] * 3


# sizes of convolutions


@pytest.mark.slow
def test_strides_over_sizes_that_are_multiples(tmp_path):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(2, 4, 7, stride=2, padding=3)
            self.down = nn.Conv2d(4, 4, 3, stride=2, padding=1, bias=False)
            self.norm, self.short = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1, stride=2)

        def forward(self, x):
            h = F.max_pool2d(F.relu(self.stem(x)), 3, 2, 1)
            return F.avg_pool2d(self.norm(self.down(h)) + self.short(h), 2)

    model, h = Block(), el.Dim("h", min=1)
    optimizer = el.optim.SGD(model.parameters(), lr=0.1)

    def step(x):
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    native = exported(step, el.TensorSpec((el.Dim("n"), 2, 16 * h, 16)), tmp_path)
    known = el.jit(step, infer_dims=False)
    for count, height in ((1, 16), (2, 48)):
        x = el.randn(count, 2, height, 16)
        assert bits(native(x)) == bits(known(x))
    with pytest.raises(ShapeError, match=r"h-1 is not known to be divisible by 2(?s:.*)hint: .*2 \* el.Dim"):
        el.export_native(nn.Conv1d(1, 1, 1, stride=2), "f32[n,1,h]", path=tmp_path / "m")


# damage, interruption, threads


def test_damaged_objects_are_refused(tmp_path):
    made = el.export_native(nn.Linear(3, 2), "f32[n,3]", path=tmp_path / "m")
    good, numbers = made.object.read_bytes(), np.random.default_rng(0)
    for place in numbers.integers(0, len(good), 60):
        damaged = bytearray(good)
        damaged[place] ^= 1 << int(place) % 8
        made.object.write_bytes(damaged)
        with pytest.raises(DataError, match=r"m.o is (damaged: it is not as|no object file)"):
            el.load_native(made)
    for length in (0, 10, len(good) // 2, len(good) - 1):
        made.object.write_bytes(good[:length])
        with pytest.raises(DataError):
            el.load_native(made)
    made.object.write_bytes(good)
    assert el.load_native(made)(el.ones((1, 3))).shape == (1, 2)


@pytest.mark.parametrize("target", ["aarch64-linux-gnu", "wasm32", "arm64-apple-macos"])
def test_every_kind_of_object_is_sealed(target, tmp_path):
    made = el.export_native(lambda x: x + 1, "f32[n]", target, tmp_path / "m")
    with pytest.raises(DataError, match=f"was compiled for {target}"):
        el.load_native(made)
    data = bytearray(made.object.read_bytes())
    data[-1] ^= 1
    made.object.write_bytes(data)
    with pytest.raises(DataError, match="is damaged"):
        el.load_native(made)


@pytest.mark.slow
@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_interrupted_export_leaves_the_old_files(failing, tmp_path, monkeypatch):
    made = el.export_native(nn.Linear(3, 2), "f32[n,3]", path=tmp_path / "m")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    calls, chmod = [], files.os.chmod

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == failing + 1:
            raise KeyboardInterrupt
        chmod(*arguments)

    monkeypatch.setattr(files.os, "chmod", interrupted)
    with pytest.raises(KeyboardInterrupt):
        el.export_native(nn.Linear(3, 2), "f32[n,3]", path=made.object)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_calls_from_many_threads(tmp_path):
    native = exported(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)), "f32[n,8]", tmp_path)
    given = [el.randn(count, 8) for count in (1, 5, 64, 3)]
    expected = [bits(native(x)) for x in given]
    wrong = []

    def work():
        for _ in range(30):
            wrong.extend(x.shape for x, y in zip(given, expected, strict=True) if bits(native(x)) != y)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
