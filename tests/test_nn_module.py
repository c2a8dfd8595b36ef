"""Modules: members, walking, state dicts, hooks, printing, conversion."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import elinvar as el
from elinvar import nn
from elinvar.core.errors import (
    DTypeError,
    OutOfBoundsError,
    ShapeError,
    StateError,
    ValueRangeError,
)
from tests.networks import Block, Net

pytestmark = pytest.mark.any_level

NAMES = [
    "scale",
    "layers.0.attn.weight",
    "layers.0.attn.bias",
    "layers.0.norm.weight",
    "layers.0.norm.bias",
    "layers.1.attn.weight",
    "layers.1.attn.bias",
    "layers.1.norm.weight",
    "layers.1.norm.bias",
    "head.weight",
]


def test_walking() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [name for name, _ in net.named_buffers()] == ["count", "cache"]
    assert [name for name, _ in net.named_children()] == ["layers", "head"]
    paths = [name for name, _ in net.named_modules()]
    assert paths == [
        "", "layers", "layers.0", "layers.0.attn", "layers.0.norm",
        "layers.1", "layers.1.attn", "layers.1.norm", "head",
    ]  # fmt: skip
    assert net.get_submodule("layers.1.norm") is net.layers[1].norm
    assert net.get_parameter("head.weight") is net.head.weight
    assert net.get_buffer("count") is net.count
    assert [n for n, _ in net.named_parameters(recurse=False)] == ["scale"]
    with pytest.raises(ValueRangeError, match=r"'layers.2' has no part '2'; known there: 0, 1"):
        net.get_submodule("layers.2")
    with pytest.raises(ValueRangeError, match="is not a parameter"):
        net.get_parameter("layers.0")


def test_a_shared_parameter_is_walked_once_and_saved_under_both_names() -> None:
    net = nn.ModuleDict({"embed": nn.Embedding(5, 3), "head": nn.Linear(3, 5, bias=False)})
    net["head"].weight = net["embed"].weight
    assert len(list(net.parameters())) == 1
    assert len(list(net.named_parameters(remove_duplicate=False))) == 2
    assert set(net.state_dict()) == {"embed.weight", "head.weight"}


def test_init_need_not_be_called() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(2, 2)

    assert len(list(Bare().parameters())) == 2


def test_assignment_rules() -> None:
    net = Net()
    with pytest.raises(DTypeError, match="cannot assign Tensor to the parameter 'scale'"):
        net.scale = el.ones(2)
    with pytest.raises(DTypeError, match="cannot assign str to the buffer 'count'"):
        net.count = "three"
    with pytest.raises(DTypeError, match="cannot assign int to the module 'head'"):
        net.head = 3
    net.count = el.ones(())
    assert dict(net.named_buffers())["count"] is net.count
    net.scale = None
    assert "scale" not in dict(net.named_parameters())
    net.scale = nn.Parameter(el.zeros(2))
    assert "scale" in dict(net.named_parameters())
    del net.scale
    assert not hasattr(net, "scale") and "scale" not in net.state_dict()
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = net.nothing_here


def test_registration_rules() -> None:
    net = nn.Module()
    with pytest.raises(ValueRangeError, match="without dots"):
        net.register_parameter("a.b", None)
    with pytest.raises(ValueRangeError, match="'forward' exists already"):
        net.register_buffer("forward", None)
    with pytest.raises(DTypeError, match="must be a Parameter or None, received Tensor"):
        net.register_parameter("weight", el.ones(2))
    with pytest.raises(DTypeError, match="must be a Module or None"):
        net.add_module("child", 3)
    with pytest.raises(DTypeError, match="only floats have gradients, received int64"):
        nn.Parameter(el.asarray([1, 2]))
    assert not nn.Parameter(el.asarray([1, 2]), requires_grad=False).requires_grad
    with pytest.raises(ValueRangeError, match="has no forward function"):
        net(1)


def test_training_mode_and_gradients() -> None:
    net = Net()
    assert net.training and net.layers[0].attn.training
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    net.layers.train()
    assert net.layers[1].norm.training and not net.training
    net(el.ones((3, 4))).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all(not p.grad.numpy().any() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())
    assert not net(el.ones((3, 4))).requires_grad


def test_apply_goes_children_first() -> None:
    seen: list[str] = []
    Net().apply(lambda module: seen.append(type(module).__name__))
    assert seen == [
        "Linear", "LayerNorm", "Block", "Linear", "LayerNorm", "Block", "ModuleList", "Linear", "Net",
    ]  # fmt: skip


def test_conversion() -> None:
    net = Net()
    net(el.ones((3, 4))).sum().backward()
    weight = net.head.weight
    for convert, dtype in (
        (net.double, el.float64),
        (net.half, el.float16),
        (net.bfloat16, el.bfloat16),
        (net.float, el.float32),
    ):
        assert convert() is net
        assert {p.dtype for p in net.parameters()} == {dtype}
        assert net.cache.dtype is dtype and net.count.dtype is el.int64
        assert weight.grad.dtype is dtype
    assert net.head.weight is weight, "parameters keep their identity, as optimizers hold them"
    assert net.to("cpu") is net and net.to(el.float64).scale.dtype is el.float64
    assert net.to("bfloat16").scale.dtype is el.bfloat16
    with pytest.raises(DTypeError, match=r"\[Module.to\] parameters need a floating dtype"):
        net.to(el.int32)


def test_state_dict_round_trip() -> None:
    source, target = Net(), Net()
    assert list(source.state_dict()) == ["scale", "count", *NAMES[1:]]
    state = source.state_dict()
    held = state["head.weight"].numpy().copy()
    with el.no_grad():
        source.head.weight.assign(source.head.weight * 0)
    np.testing.assert_array_equal(state["head.weight"].numpy(), held)
    missing, unexpected = target.load_state_dict(state)
    assert not missing and not unexpected
    np.testing.assert_array_equal(target.head.weight.numpy(), held)
    arrays = {name: value.numpy() for name, value in state.items()}
    Net().load_state_dict(arrays)
    assert list(source.head.state_dict(prefix="x")) == ["x.weight"]


def test_loading_casts() -> None:
    layer = nn.Linear(2, 2).bfloat16()
    layer.load_state_dict({"weight": el.ones((2, 2)), "bias": np.zeros(2)})
    assert layer.weight.dtype is el.bfloat16 and layer.weight.requires_grad
    assert layer.weight.float().tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_loading_lists_everything_that_does_not_fit() -> None:
    net = Net()
    before = {name: value.numpy().copy() for name, value in net.state_dict().items()}
    state = dict(net.state_dict())
    del state["scale"], state["layers.0.attn.bias"]
    state["head.weight"] = el.zeros((4, 2))
    state["extra"] = el.zeros(1)
    state["layers.1.attn.bias"] = el.ones(4) * 9
    with pytest.raises(StateError) as caught:
        net.load_state_dict(state)
    text = str(caught.value)
    assert text.startswith("[load_state_dict] the state does not fit Net:")
    assert (
        "shapes differ (1):\n    head.weight: the module has f32[2,4], the state has f32[4,2]"
        in text
    )
    assert "missing from the state (2):\n    scale\n    layers.0.attn.bias" in text
    assert "unknown to the module (1):\n    extra" in text
    assert "strict=False" in text
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    with pytest.raises(StateError, match="shapes differ"):
        net.load_state_dict(state, strict=False)
    del state["head.weight"]
    found = net.load_state_dict(state, strict=False)
    assert found.missing_keys == ["scale", "layers.0.attn.bias", "head.weight"]
    assert found.unexpected_keys == ["extra"]
    assert net.layers[1].attn.bias.tolist() == [9.0] * 4
    with pytest.raises(DTypeError, match="expected a dict, received list"):
        net.load_state_dict([1])


def test_a_prefix_is_recognised() -> None:
    net = Net()
    wrapped = {f"module.{name}": value for name, value in net.state_dict().items()}
    with pytest.raises(StateError, match=r"hint: remove the prefix 'module\.'"):
        net.load_state_dict(wrapped)


def test_hooks() -> None:
    layer, calls = nn.Linear(2, 2), []
    with el.no_grad():
        layer.weight.assign(el.eye(2))
        layer.bias.assign(el.zeros(2))
    first = layer.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
    second = layer.register_forward_hook(lambda module, args, output: output + 1)
    third = layer.register_forward_hook(
        lambda module, args, kwargs, output: calls.append((args, kwargs)), with_kwargs=True
    )
    x = el.asarray([1.0, 3.0])
    assert layer(x).tolist() == [3.0, 7.0]
    assert calls[0][0][0].tolist() == [2.0, 6.0] and calls[0][1] == {}
    first.remove()
    first.remove()
    assert layer(input=x).tolist() == [2.0, 4.0]
    assert list(calls[1][1]) == ["input"]
    with layer.register_forward_hook(lambda module, args, output: output * 0, prepend=True):
        assert layer(x).tolist() == [1.0, 1.0]
    second.remove()
    third.remove()
    assert layer(x).tolist() == [1.0, 3.0]
    changed = layer.register_forward_pre_hook(
        lambda module, args, kwargs: ((), {"input": kwargs["input"] * 5}), with_kwargs=True
    )
    assert layer(input=x).tolist() == [5.0, 15.0]
    changed.remove()


def test_errors_name_the_module() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Sequential(nn.Identity(), Block(4))

        def forward(self, x: Any) -> Any:
            return self.encoder(x)

    model = Model()
    with pytest.raises(ShapeError) as caught:
        model(el.ones((2, 5)))
    assert "in module encoder.1.attn\n" in str(caught.value) + "\n"
    with pytest.raises(ShapeError) as caught:
        Net()(el.ones((2, 5)))
    assert "in module layers.0.attn\n" in str(caught.value) + "\n"
    with pytest.raises(ShapeError) as caught:
        el.ones(2) + el.ones(3)
    assert "in module" not in str(caught.value)


def test_unregistered_modules_are_named_by_class() -> None:
    class Model(nn.Module):
        def forward(self, x: Any) -> Any:
            return nn.Linear(3, 3)(x)

    with pytest.raises(ShapeError, match="in module <Linear>"):
        Model()(el.ones((2, 5)))


def test_deepcopy_is_independent() -> None:
    net = Net()
    other = copy.deepcopy(net)
    assert [n for n, _ in other.named_parameters()] == NAMES
    assert other.head.weight is not net.head.weight and other.head.weight.requires_grad
    with el.no_grad():
        other.head.weight.assign(other.head.weight + 1)
    assert not np.allclose(other.head.weight.numpy(), net.head.weight.numpy())
    tied = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    tied[1].weight = tied[0].weight
    twin = copy.deepcopy(tied)
    assert twin[0].weight is twin[1].weight and twin[0].weight is not tied[0].weight


def test_repr() -> None:
    assert repr(nn.Linear(3, 4, bias=False)) == "Linear(in_features=3, out_features=4, bias=False)"
    assert repr(Net()) == (
        "Net(\n"
        "  (layers): ModuleList(\n"
        "    (0-1): 2 x Block(\n"
        "      (attn): Linear(in_features=4, out_features=4, bias=True)\n"
        "      (norm): LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)\n"
        "    )\n"
        "  )\n"
        "  (head): Linear(in_features=4, out_features=2, bias=False)\n"
        ")"
    )


def test_summary() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    before = net[1].running_mean.numpy().copy()
    net[2].requires_grad_(False)
    table = net.summary((5, 4))
    assert table.parameters == 4 * 8 + 8 + 16 + 18
    assert table.trainable == table.parameters - 18
    assert table.nbytes == 4 * table.parameters
    lines = str(table).splitlines()
    assert lines[0].split() == ["module", "class", "input", "output", "parameters", "bytes", "FLOPs"]
    assert lines[3].split() == ["0", "Linear", "[5,4]", "[5,8]", "40", "160", "B", "360"]
    assert "18" in lines[5] and lines[-1].startswith("74 parameters (296 B), 56 trainable")
    assert net.training and not net._hooks.after
    np.testing.assert_array_equal(net[1].running_mean.numpy(), before)
    plain = str(net.summary())
    assert "input" not in plain and "Linear" in plain
    folded = str(Net().summary(depth=1))
    assert "attn" not in folded and len(folded.splitlines()) == 7
    with pytest.raises(DTypeError, match="expected tensors or shapes, received str"):
        net.summary("5, 4")


def test_containers() -> None:
    layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    extra = nn.Identity()
    layers.append(extra).extend([nn.ReLU()]).insert(0, nn.Tanh())
    assert [type(m).__name__ for m in layers] == [
        "Tanh", "Linear", "Linear", "Linear", "Identity", "ReLU",
    ]  # fmt: skip
    assert layers[-2] is extra and extra in layers and len(layers[1:4]) == 3
    assert layers.pop(0).__class__ is nn.Tanh and len(layers) == 5
    del layers[1:3]
    assert [name for name, _ in layers.named_children()] == ["0", "1", "2"]
    layers[0] = nn.Sigmoid()
    assert isinstance(layers[0], nn.Sigmoid) and isinstance(layers + [extra], nn.ModuleList)
    with pytest.raises(OutOfBoundsError, match="index 3 is out of range for 3 entries"):
        layers[3]
    with pytest.raises(DTypeError, match="must be a Module or None, received int"):
        layers.append(3)


def test_sequential_by_name() -> None:
    net = nn.Sequential({"first": nn.Linear(2, 3), "second": nn.ReLU()})
    assert list(net.state_dict()) == ["first.weight", "first.bias"]
    assert net[0] is net.first and net[-1] is net.second and len(net[:1]) == 1
    del net[0]
    assert [name for name, _ in net.named_children()] == ["second"]
    assert net(el.asarray([-1.0, 1.0])).tolist() == [0.0, 1.0]


def test_dicts_and_parameter_containers() -> None:
    heads = nn.ModuleDict({"a": nn.Linear(2, 1)})
    heads["b"] = nn.Linear(2, 2)
    assert list(heads) == ["a", "b"] and "a" in heads and len(heads) == 2
    assert [name for name, _ in heads.items()] == list(heads.keys())
    heads.pop("a")
    with pytest.raises(ValueRangeError, match="no entry 'a'; known: b"):
        heads["a"]
    scales = nn.ParameterList([el.ones(2), nn.Parameter(el.zeros(3))])
    assert [tuple(p.shape) for p in scales] == [(2,), (3,)]
    assert all(isinstance(p, nn.Parameter) for p in scales)
    weights = nn.ParameterDict({"x": el.ones(2)})
    weights["y"] = el.zeros(1)
    assert [name for name, _ in weights.named_parameters()] == ["x", "y"]
    weights.clear()
    assert len(weights) == 0


def test_training_flag_under_jit() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    run = el.jit(lambda x: net(x))
    x = el.ones((64, 2))
    assert (run(x).numpy() == 0).any()
    net.eval()
    assert not (run(x).numpy() == 0).any()
    net.train()
    assert (run(x).numpy() == 0).any()
    assert run.compilations == 2


def test_running_statistics_under_jit() -> None:
    random = np.random.default_rng(0)
    eager, jitted = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    run = el.jit(lambda x: jitted(x))
    for _ in range(3):
        x = el.asarray(random.standard_normal((8, 3)).astype(np.float32))
        np.testing.assert_array_equal(eager(x).numpy(), run(x).numpy())
    np.testing.assert_array_equal(eager.running_var.numpy(), jitted.running_var.numpy())
    assert jitted.num_batches_tracked.item() == 3


def test_deepcopied_buffers_are_independent() -> None:
    norm = nn.BatchNorm1d(2)
    twin = copy.deepcopy(norm)
    norm(el.asarray([[1.0, 2.0], [3.0, 5.0]]))
    assert twin.running_mean.tolist() == [0.0, 0.0] and twin.num_batches_tracked.item() == 0
    assert norm.running_mean.tolist() != [0.0, 0.0]


def test_summary_counts_operations() -> None:
    """A product of (2, 4) and (4, 3) is 2 · 2 · 4 · 3 operations, its bias 2 · 3 more."""
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    found = net.summary((2, 4))
    assert [row.flops for row in found.rows] == [54, 54, 0] and found.flops == 54
    assert "54 FLOPs forward" in str(found) and net.summary().flops is None

    class Branching(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    untraceable = Branching().summary((2,))
    assert untraceable.flops is None and untraceable.rows[0].outputs == "[2]"
