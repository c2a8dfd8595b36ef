"""What users get wrong, as a PyTorch user would: each error says what, where and what to do."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import elinvar as el
from elinvar import nn
from elinvar.core.errors import (
    AxisError,
    DTypeError,
    GradientError,
    LeakedTensorError,
    OutOfBoundsError,
    ShapeError,
    StateError,
    TraceError,
    ValueRangeError,
)
from elinvar.core.other_names import OTHER_NAMES
from elinvar.nn import functional as F
from elinvar.optim import lr_scheduler

X = el.ones((2, 3))
NAN = float("nan")


def linear(features: int = 3) -> nn.Linear:
    return nn.Linear(features, 2)


# name: (call, kind, parts of the message)
CASES = {
    # shapes
    "add": (lambda: X + el.ones((4, 5)), ShapeError, "[add] shapes [2,3] and [4,5] cannot be broadcast"),
    "matmul": (lambda: X @ X, ShapeError, "[matmul] inner dimensions differ"),
    "reshape": (lambda: X.reshape(4), ShapeError, "[reshape] sizes differ: f32[2,3] to [4]"),
    "a negative size": (lambda: el.zeros((-1,)), ShapeError, "[zeros] sizes must not be negative"),
    "a size of float": (lambda: el.zeros((2.5,)), ShapeError, "[zeros] sizes must be ints"),
    "a huge size": (lambda: el.zeros((2**40, 2**40)), ShapeError, "more than memory can have"),
    "linear": (lambda: linear(4)(X), ShapeError, "[linear] input f32[2,3] and weight f32[2,4]"),
    "conv": (
        lambda: nn.Conv2d(3, 4, 3)(el.ones((1, 2, 8, 8))),
        ShapeError,
        "[conv2d] input f32[1,2,8,8]",
    ),
    "batch norm": (
        lambda: nn.BatchNorm2d(3)(el.ones((2, 4, 2, 2))),
        ShapeError,
        "[batch_norm] input f32[2,4,2,2] has 4 channels, but running_mean is f32[3]",
    ),
    "ragged": (lambda: el.asarray([[1], [1, 2]]), ShapeError, "[asarray] lists must be regular"),
    "loss": (lambda: F.mse_loss(X, X.T), ShapeError, "[mse_loss] input f32[2,3] and target f32[3,2]"),
    "module": (lambda: nn.Linear(3, 2)(el.ones((1, 4))), ShapeError, "4 ≠ 3"),
    # dtypes
    "dtype's name": (lambda: el.zeros(2, dtype="floaty"), DTypeError, "no dtype is called 'floaty'"),
    "a number": (lambda: el.zeros(2, dtype=5), DTypeError, "expected a dtype such as el.float32"),
    "text": (lambda: el.exp("a"), DTypeError, "[exp] expected a tensor or a number, received str"),
    "None": (lambda: el.asarray(None), DTypeError, "received NoneType"),
    "too large": (lambda: el.asarray(300, dtype=el.int8), ValueRangeError, "300 does not fit into int8"),
    "too large in a list": (
        lambda: el.asarray([1, 300], dtype=el.int8),
        ValueRangeError,
        "[asarray] 300 does not fit into int8: -128 … 127",
    ),
    "negative in a list": (
        lambda: el.asarray([[-1], [2]], dtype=el.uint8),
        ValueRangeError,
        "-1 does not fit into uint8",
    ),
    "bits of floats": (lambda: X & X, DTypeError, "expected an integer dtype or bool"),
    "float index": (lambda: X[el.ones(1)], DTypeError, "indices must be integers|.long()"),
    # devices
    "to a device": (lambda: X.to("cuda"), ValueRangeError, "[to] 'cuda' is neither a dtype nor"),
    "to another": (lambda: X.to("gpu:1"), ValueRangeError, "tensors live on 'cpu'"),
    "to a number": (lambda: X.to(0), ValueRangeError, "[to] 0 is neither a dtype nor a device"),
    "cuda": (lambda: X.cuda(), ValueRangeError, "no CUDA device is available"),
    "device=": (lambda: el.zeros(2, device="cuda"), ValueRangeError, "[zeros] device 'cuda' is not"),
    "module.to": (lambda: linear().to("cuda"), ValueRangeError, "[Module.to] 'cuda' is neither"),
    "module.to device": (lambda: linear().to(device="cuda"), ValueRangeError, "device 'cuda' is not"),
    "module.cuda": (lambda: linear().cuda(), ValueRangeError, "[Module.cuda]|leave the call out"),
    # axes
    "axis": (lambda: el.sum(X, axis=2), AxisError, "[sum] axis 2 is out of range for 2 dimensions"),
    "axis twice": (lambda: el.sum(X, axis=(0, 0)), AxisError, "an axis is named twice"),
    "axis of float": (lambda: el.sum(X, axis=0.5), AxisError, "axis must be an int, received 0.5"),
    "dim and axis": (lambda: X.sum(0, axis=1), ValueRangeError, "dim and axis are the same thing"),
    "softmax": (lambda: F.softmax(X, dim=5), AxisError, "[softmax] axis 5 is out of range"),
    "empty": (lambda: el.max(el.zeros((0,))), ShapeError, "[max] axis 0 of f32[0] is empty"),
    # indices and random numbers
    "index": (lambda: X[5], OutOfBoundsError, "[getitem] index 5 is out of bounds for axis 0 of size 2"),
    "gather": (lambda: X.gather(1, el.asarray([[3]])), OutOfBoundsError, "[gather] index 3 is out of"),
    "take": (lambda: el.take(X, el.asarray([9]), axis=0), OutOfBoundsError, "[take] index 9"),
    "scatter": (lambda: X.scatter(1, el.asarray([[7]]), 1.0), OutOfBoundsError, "[scatter] index 7"),
    "embedding": (lambda: nn.Embedding(3, 4)(el.asarray([3])), OutOfBoundsError, "[embedding] index 3"),
    "class": (
        lambda: F.cross_entropy(X, el.asarray([0, 5])),
        OutOfBoundsError,
        "[cross_entropy] target holds class 5, but the input has 3 classes",
    ),
    "one_hot": (
        lambda: F.one_hot(el.asarray([0, 5]), 3),
        OutOfBoundsError,
        "[one_hot] classes must be 0 … 2, received 5",
    ),
    "one_hot below": (lambda: F.one_hot(el.asarray([-1]), 3), OutOfBoundsError, "received -1"),
    "weights below 0": (
        lambda: el.multinomial(el.asarray([-1.0, 2.0]), 1),
        ValueRangeError,
        "[multinomial] weights must be finite, not negative and not all 0",
    ),
    "weights of NaN": (lambda: el.multinomial(el.asarray([NAN, 2.0]), 1), ValueRangeError, "finite"),
    "no weights": (lambda: el.multinomial(el.asarray([0.0, 0.0]), 1), ValueRangeError, "not all 0"),
    "probability": (
        lambda: el.bernoulli(el.asarray([0.5, 2.0])),
        ValueRangeError,
        "[bernoulli] p must be between 0 and 1|apply `sigmoid`",
    ),
    "probability of NaN": (lambda: el.bernoulli(el.asarray([NAN])), ValueRangeError, "[bernoulli]"),
    "deviation": (lambda: el.normal(0.0, -1.0, (2,)), ValueRangeError, "[normal] std must not be"),
    # functions
    "jit of a number": (lambda: el.jit(3), DTypeError, "[jit] expected a function, received int"),
    "grad of a number": (lambda: el.grad(3), DTypeError, "[grad] expected a function, received int"),
    "static name": (
        lambda: el.jit(linear().forward, static_argnames="mode"),
        ValueRangeError,
        "static_argnames names 'mode', which is no argument|it has input",
    ),
    "static number": (
        lambda: el.jit(lambda x: x, static_argnums=3),
        ValueRangeError,
        "static_argnums names argument 3, the function has 1",
    ),
    "static number of text": (
        lambda: el.jit(lambda x: x, static_argnums="a"),
        ValueRangeError,
        "names argument 'a'",
    ),
    "unhashable": (
        lambda: el.jit(lambda x, s: x, static_argnums=1)(X, [1]),
        TraceError,
        "argument 's' is static and must be hashable, received list",
    ),
    # optimizers
    "no parameters": (lambda: el.optim.SGD([]), ValueRangeError, "[SGD] received no parameters"),
    "rate of text": (
        lambda: el.optim.SGD(linear().parameters(), lr="fast"),
        DTypeError,
        "[SGD] lr must be a number, received str 'fast'",
    ),
    "rate of a group": (
        lambda: el.optim.Adam([{"params": linear().parameters(), "lr": "fast"}]),
        DTypeError,
        "[Adam] lr must be a number, received str 'fast'",
    ),
    "one beta": (
        lambda: el.optim.Adam(linear().parameters(), betas=0.9),
        DTypeError,
        "[Adam] betas must be a tuple of numbers, received float",
    ),
    "integer parameters": (
        lambda: el.optim.SGD([el.asarray([1])]),
        DTypeError,
        "only floating tensors can be optimized, received i64[1] (number 0)",
    ),
    "step size": (
        lambda: lr_scheduler.StepLR(el.optim.SGD(linear().parameters()), 0),
        ValueRangeError,
        "[StepLR] step_size must be at least 1, received 0",
    ),
    "period": (
        lambda: lr_scheduler.CosineAnnealingLR(el.optim.SGD(linear().parameters()), 0),
        ValueRangeError,
        "[CosineAnnealingLR] T_max must be at least 1",
    ),
    "no lambda": (
        lambda: lr_scheduler.LambdaLR(el.optim.SGD(linear().parameters()), 3),
        DTypeError,
        "[LambdaLR] lr_lambda must be a function, received int",
    ),
    "negative norm": (
        lambda: nn.utils.clip_grad_norm_(linear().parameters(), -1.0),
        ValueRangeError,
        "[clip_grad_norm_] max_norm must not be negative",
    ),
    "norm of NaN": (
        lambda: nn.utils.clip_grad_norm_(linear().parameters(), NAN),
        ValueRangeError,
        "received nan",
    ),
    # data
    "no dataset": (lambda: el.data.DataLoader(3), DTypeError, "[DataLoader] int has no len()"),
    "lengths": (
        lambda: el.data.DataLoader((np.ones(5), np.ones(4))),
        ShapeError,
        "[DataLoader] columns have different lengths: [5, 4]",
    ),
    "batch size": (lambda: el.data.DataLoader(np.ones(5), 0), ValueRangeError, "at least 1, not 0"),
    "collate": (
        lambda: el.data.DataLoader([1, 2], collate=3),
        DTypeError,
        "[DataLoader] collate must be a function, received int",
    ),
    "samples": (
        lambda: list(el.data.DataLoader([np.ones(2), np.ones(3)], batch_size=2)),
        ShapeError,
        "[collate] samples have different shapes|pad them",
    ),
    "sample's number": (
        lambda: el.data.TensorDataset(np.ones(5))[9],
        OutOfBoundsError,
        "[TensorDataset] sample 9 is out of range for 5 samples",
    ),
    "dim's name": (lambda: el.Dim(3), ShapeError, "[Dim] a dim's name must be an identifier"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_errors_say_what_and_where(name):
    call, kind, parts = CASES[name]
    with pytest.raises(kind) as caught:
        call()
    lines = str(caught.value).splitlines()
    assert any(line.startswith("  at test_bad_input.py:") for line in lines)  # the user's own line
    text = "\n".join(line for line in lines if not line.startswith("  at "))  # it quotes the test
    for part in parts.split("|"):
        assert part in text, text


def test_negative_static_numbers_count_from_the_end():
    @el.jit(static_argnums=-1)
    def scaled(x, mode):
        return x * 2 if mode == "double" else x

    assert scaled(X, "double").sum().item() == 12.0
    assert scaled(X, "plain").sum().item() == 6.0


# -- gradients ---------------------------------------------------------------------------------


def leaf(*values):
    return el.tensor(list(values), requires_grad=True)


def test_backward_twice():
    loss = (leaf(1.0) ** 2).sum()
    loss.backward()
    with pytest.raises(GradientError, match=r"(?s)was freed by an earlier backward.*retain_graph"):
        loss.backward()


def test_backward_starts_at_one_number():
    with pytest.raises(
        GradientError, match=r"(?s)at one number only, received f32\[2\].*\.sum\(\)"
    ):
        (leaf(1.0, 2.0) * 2).backward()


@pytest.mark.parametrize("write", ["w += 1", "w[0] = 1.0", "w.mul_(2)", "w.assign(w)", "w.zero_()"])
def test_a_leaf_is_not_changed_in_place(write):
    w = leaf(1.0)
    with pytest.raises(GradientError, match=r"(?s)a leaf tensor that requires a gradient.*no_grad"):
        exec(write, {"w": w})
    assert w.tolist() == [1.0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: el.tensor([1], requires_grad=True),
        lambda: el.tensor([True]).requires_grad_(),
        lambda: nn.Parameter(el.tensor([1])),
        lambda: el.grad(lambda x: x.sum())(el.asarray([1])),
    ],
)
def test_integers_have_no_gradient(make):
    with pytest.raises((GradientError, DTypeError), match="float"):
        make()


# -- jit ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x if x.sum() > 0 else -x,
        lambda x: float(x.sum()),
        lambda x: x.sum().item(),
        lambda x: np.asarray(x),
        lambda x: [1, 2, 3][x.long().sum()],
        lambda x: [0 for _ in range(x.long().sum())],
        lambda x: f"{x.sum():.2f}",
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: 1.0 in x,
    ],
)
def test_python_that_depends_on_data(function):
    with pytest.raises(TraceError) as caught:
        el.jit(function)(X)
    assert "hint: " in str(caught.value) and "at test_bad_input.py:" in str(caught.value)
    assert el.jit(lambda x: x + 1)(X).sum().item() == 12.0  # the next one is fine


@pytest.fixture
def leaked():
    kept = []

    @el.jit
    def leak(x):
        kept.append(x + 1)
        return x

    leak(X)
    return kept[0]


@pytest.mark.parametrize(
    "use",
    [
        lambda t: t + 1,
        lambda t: t.sum().item(),
        lambda t: t.numpy(),
        lambda t: el.jit(lambda x: x + t)(X),
        lambda t: el.jit(lambda x: x + 1)(t),
        lambda t: el.ones((2, 3)).assign(t),
        lambda t: el.ones((2, 3)).copy_(t),
        lambda t: setattr(el.ones((2, 3)), "data", t),
        lambda t: el.ones((2, 3)).__setitem__(slice(None), t),
    ],
)
def test_a_leaked_tensor(leaked, use):
    with pytest.raises(LeakedTensorError, match="is used after its trace ended"):
        use(leaked)


def test_indices_beyond_the_range_in_compiled_code():
    """Reads are clamped, writes are dropped, as docs/numerics.md says; nothing outside is touched."""
    x = el.arange(6).reshape(2, 3)
    beyond = el.asarray([7, -9, 2**62])
    read = el.jit(lambda v, i: v[i])(x, beyond)
    assert read.tolist() == [[3, 4, 5], [0, 1, 2], [3, 4, 5]]
    written = el.jit(lambda v, i: v.index_add(0, i, el.ones((3, 3), dtype=el.int64)))(x, beyond)
    assert written.tolist() == x.tolist()
    for call in (lambda: x[beyond], lambda: x.index_add(0, beyond, el.ones((3, 3)).long())):
        with pytest.raises(OutOfBoundsError):
            call()


def test_floats_without_an_integer_become_known_ones():
    """NaN gives 0 and infinities the ends of the range, so an index of NaN is never undefined."""
    found = el.asarray([NAN, float("inf"), -float("inf"), 1e30]).long()
    assert found.tolist() == [0, 2**63 - 1, -(2**63), 2**63 - 1]
    with pytest.raises(OutOfBoundsError):
        X[el.asarray([float("inf")]).long()]


# -- state dicts and files ---------------------------------------------------------------------


def model():
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


@pytest.mark.parametrize(
    "change,expected",
    [
        (lambda s: s.pop("0.weight"), "0.weight"),
        (lambda s: s.update(extra=X), "extra"),
        (lambda s: s.update({"0.weight": X}), r"0\.weight.*f32\[4,3\].*f32\[2,3\]|f32\[2,3\]"),
    ],
)
def test_a_state_dict_that_does_not_fit(change, expected):
    net = model()
    before = {name: value.tolist() for name, value in net.state_dict().items()}
    state = dict(net.state_dict())
    state["1.bias"] = state["1.bias"] + 1
    change(state)
    with pytest.raises(StateError, match=f"(?s){expected}"):
        net.load_state_dict(state)
    assert {name: value.tolist() for name, value in net.state_dict().items()} == before


@pytest.mark.parametrize(
    "change,expected",
    [
        (lambda s: {}, "the keys 'state' and 'param_groups'"),
        (lambda s: None, "the keys 'state' and 'param_groups'"),
        (lambda s: {**s, "state": "a"}, "'state' must be a dict by number, received str"),
        (lambda s: {**s, "state": {0: 1}}, "the state of parameter 0 must be a dict, received int"),
        (lambda s: {**s, "param_groups": "a"}, "'param_groups' must be a list of dicts"),
        (lambda s: {**s, "param_groups": [1]}, "group 0 must be a dict with a list 'params'"),
        (lambda s: {**s, "param_groups": []}, r"have \[4\] parameters, the state's have \[\]"),
        (
            lambda s: {**s, "state": {0: {**s["state"][0], "step": "a"}}},
            "'step' of parameter 0 must be a number, received 'a'",
        ),
        (lambda s: {**s, "state": {0: {"step": 1}}}, "state of parameter 0 lacks 'exp_avg'"),
    ],
)
def test_an_optimizer_state_that_does_not_fit(change, expected):
    net = model()
    optimizer = el.optim.Adam(net.parameters())
    net(X).sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    fresh = el.optim.Adam(net.parameters(), lr=0.125)
    with pytest.raises(StateError, match=expected):
        fresh.load_state_dict(change(state))
    assert fresh.param_groups[0]["lr"] == 0.125 and not fresh.state


@pytest.mark.parametrize(
    "content,expected",
    [
        (b"", "no valid safetensors file"),
        (b"hello world, this is text", "no valid safetensors file"),
        (b"PK\x03\x04" + bytes(60), r"(?s)a zip archive \(of `torch.save`\?\).*save_file"),
        (b"\x80\x04\x95" + bytes(60), "a pickle, which is not read"),
        ((2**40).to_bytes(8, "little") + b"{}", "the header's length"),
    ],
)
def test_files_that_are_no_weights(content, expected, tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(content)
    with pytest.raises(StateError, match=expected):
        el.load(path)


def test_a_header_whose_length_begins_like_a_pickle(tmp_path):
    """Every 32nd length of a header does."""
    path = tmp_path / "weights"
    first_bytes = set()
    for size in range(1, 120, 3):
        el.save({"x" * size: X}, path)
        assert list(el.load(path)) == ["x" * size]
        first_bytes.add(path.read_bytes()[0])
    assert 0x80 in first_bytes


def test_saving_to_nowhere_and_without_end(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"(?s)\[save\] there is no folder .*makedirs"):
        el.save({"x": X}, tmp_path / "missing" / "file")
    endless: dict = {"x": X}
    endless["again"] = endless
    with pytest.raises(StateError, match=r"(?s)levels of nesting.*contain itself"):
        el.save(endless, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


# -- the machine -------------------------------------------------------------------------------

SUM = "import elinvar as el; print(float(el.jit(lambda v: (v * 3.25).sum())(el.ones(7))))"


def run(code: str, **environment: str | None) -> subprocess.CompletedProcess:
    """A fresh process with some variables changed (None: unset)."""
    changed = {k: v for k, v in {**os.environ, **environment}.items() if v is not None}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=changed, timeout=100)


def test_home_is_not_set(tmp_path):
    done = run(SUM, HOME=None, XDG_CACHE_HOME=str(tmp_path), ELINVAR_CACHE=None)
    assert (done.stdout, done.stderr) == ("22.75\n", "")
    assert any(tmp_path.rglob("*.object"))


def test_a_user_without_a_home(monkeypatch):
    """In many containers the user is a bare number: no home, so nothing is kept on disk."""
    code = (
        "import pathlib\n"
        "def fail(path): raise RuntimeError('Could not determine home directory.')\n"
        "pathlib.Path.expanduser = fail\n"
        "from elinvar.core.settings import settings; assert settings.cache_dir is None\n" + SUM
    )
    done = run(code, HOME=None, XDG_CACHE_HOME=None, ELINVAR_CACHE=None)
    assert (done.stdout, done.stderr) == ("22.75\n", "")


def test_a_home_that_is_no_absolute_path(tmp_path):
    code = f"import os; os.chdir({str(tmp_path)!r}); {SUM}"
    done = run(code, HOME="here", XDG_CACHE_HOME=None, ELINVAR_CACHE=None)
    assert done.stdout == "22.75\n" and list(tmp_path.iterdir()) == []


def test_a_home_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("no folder")
    done = run(SUM, HOME=str(tmp_path / "file"), XDG_CACHE_HOME=None, ELINVAR_CACHE=None)
    assert done.stdout == "22.75\n"
    assert done.stderr.count("compiled kernels are not kept on disk") == 1
    assert "set ELINVAR_CACHE" in done.stderr


def test_a_full_disk_under_the_cache(tmp_path):
    """Every write ends with ENOSPC: one warning, right results, no broken file."""
    code = (
        "import errno, os\n"
        "def write(descriptor, data): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))\n"
        "import elinvar.runtime.cache as cache\n"
        "real = os.write\n"
        "cache.os.write = write\n" + SUM + "\nprint(el.ones(3).cumsum(0).tolist())"
    )
    done = run(code, ELINVAR_CACHE=str(tmp_path / "cache"))
    assert done.stdout == "22.75\n[1.0, 2.0, 3.0]\n", done.stderr
    assert done.stderr.count("No space left on device") == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


INTERRUPTED = """
import sys
import elinvar as el

x = el.ones((64, 64))
(x @ x).sum().item()

def loop():
    state = (x, el.asarray(0))
    more = lambda s: s[1] < 10**12
    el.jit(lambda v: el.while_loop(more, lambda s: (el.sin(s[0] @ s[0]), s[1] + 1), v))(state)

def kernels():
    y = el.ones((2000, 2000))
    while True:
        y = y @ y * 1e-4

def compiling():
    k = 0
    while True:
        k += 1
        def deep(v, k=k):
            for i in range(40):
                v = el.sin(v * (i + 2.5 + k)) @ v.T.softmax(0)
                v = v.sort(0).values.cumsum(1) / (i + k)
            return v.sum()
        el.jit(el.grad(deep))(x)

print("start", flush=True)
try:
    {"loop": loop, "kernels": kernels, "compiling": compiling}[sys.argv[1]]()
except KeyboardInterrupt:
    print("interrupted", flush=True)
w = el.tensor([2.0], requires_grad=True)
el.jit(lambda v: (v * v).sum())(w).backward()
assert w.grad.tolist() == [4.0]
assert float((x @ x).sum()) == 64.0**3
print("usable", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("what", ["loop", "kernels", "compiling"])
def test_ctrl_c(what):
    """It stops within a second, whatever runs, and the process can go on."""
    environment = {**os.environ, "ELINVAR_CACHE": "off"}
    command = [sys.executable, "-c", INTERRUPTED, what]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout.readline() == "start\n"
            time.sleep(1.5)
            assert process.poll() is None
            begin = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "interrupted\n"
            assert time.monotonic() - begin < 1.0
            out, errors = process.communicate(timeout=60)
            assert out == "usable\n" and process.returncode == 0, errors
        finally:
            process.kill()


def test_other_names_are_known() -> None:
    """A user of PyTorch or numpy is told what a function is called here; every hint is true."""
    for other, name in OTHER_NAMES.items():
        with pytest.raises(AttributeError, match=rf"no attribute '{other}'; it is called {name} here"):
            getattr(el, other)
        found = el
        for part in name.split("."):
            found = getattr(found, part)
    with pytest.raises(AttributeError, match=r"module 'elinvar' has no attribute 'nonsense'$"):
        getattr(el, "nonsense")  # noqa: B009
