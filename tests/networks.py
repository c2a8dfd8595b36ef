"""A small network that the tests of modules share."""

from __future__ import annotations

from typing import Any

import elinvar as el
from elinvar import nn


class Block(nn.Module):
    def __init__(self, size: int = 4) -> None:
        super().__init__()
        self.attn = nn.Linear(size, size)
        self.norm = nn.LayerNorm(size)

    def forward(self, x: Any) -> Any:
        return self.norm(self.attn(x) + x)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Block(), Block()])
        self.head = nn.Linear(4, 2, bias=False)
        self.scale = nn.Parameter(el.ones(2))
        self.register_buffer("count", el.zeros((), dtype=el.int64))
        self.register_buffer("cache", el.zeros(3), persistent=False)

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return self.head(x) * self.scale
