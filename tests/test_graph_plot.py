"""The picture of a model's graph: which boxes there are, what goes into what, and that it is quick."""

import pytest

import elinvar as el
from elinvar import nn
from elinvar.core.errors import TraceError
from elinvar.train.graph_plot import boxes, graph, traced


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x):
        q, k, v = (part[:, None] for part in el.split(self.qkv(self.norm(x)), x.shape[-1], axis=-1))
        return x + self.out(nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)[:, 0])


class Net(nn.Module):
    def __init__(self, count: int) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(10, 8), nn.Embedding(4, 8)
        self.blocks = nn.ModuleList([Block(8) for _ in range(count)])
        self.head = nn.Linear(8, 10)

    def forward(self, tokens):
        x = self.tokens(tokens) + self.places(el.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def edges(model, shape, depth=None, dtype=None):
    made = boxes(traced(model, [shape], dtype), depth)
    return {(one.title, other.title) for one in made for other in one.after}, made


def test_a_chain() -> None:
    found, made = edges(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), (1, 4))
    assert found == {("input", "0  Linear"), ("0  Linear", "1  ReLU"), ("1  ReLU", "2  Linear"), ("2  Linear", "output")}
    assert [box.shape for box in made] == ["[1,4]", "[1,8]", "[1,8]", "[1,2]", "[1,2]"]


def test_residuals_and_operations_between_modules() -> None:
    found, _ = edges(Block(8), (1, 4, 8))
    assert found == {
        ("input", "norm  LayerNorm"), ("input", "+"), ("norm  LayerNorm", "qkv  Linear"), ("qkv  Linear", "attention"),
        ("attention", "out  Linear"), ("out  Linear", "+"), ("+", "output"),
    }  # fmt: skip


def test_large_models_are_folded_and_blocks_that_share_constants_stay_apart() -> None:
    found, made = edges(Net(30), (1, 4), dtype=el.int64)
    assert len(made) <= 40
    assert ("blocks.3  Block", "blocks.4  Block") in found and ("blocks.3  Block", "blocks.5  Block") not in found
    assert ("places  Embedding", "+") in found and ("tokens  Embedding", "+") in found
    whole, _ = edges(Net(2), (1, 4), dtype=el.int64)
    assert ("blocks.1.qkv  Linear", "attention") in whole
    folded, made = edges(Net(2), (1, 4), depth=1, dtype=el.int64)
    assert ("blocks  ModuleList", "head  Linear") in folded


def test_it_is_drawn_and_nothing_is_changed(tmp_path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
    before = [value.numpy().tobytes() for value in model.state_dict().values()]
    figure = el.train.plots.graph(model, (2, 3, 4, 4), path=tmp_path / "graph.png")
    assert model.training and before == [value.numpy().tobytes() for value in model.state_dict().values()]
    assert (tmp_path / "graph.png").stat().st_size > 5000
    assert {"0  Conv2d", "[2,4,2,2]", "output"} <= {text.get_text() for text in figure.axes[0].texts}


def test_what_cannot_be_drawn() -> None:
    class Branch(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(TraceError, match="cannot be traced, so it has no graph"):
        graph(Branch(), (2,))
    with pytest.raises(ValueError, match="needs inputs or their shapes"):
        graph(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="depth must be 1 or more"):
        graph(nn.Linear(2, 2), (1, 2), depth=0)
