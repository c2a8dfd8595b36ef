"""Sub-graphs in the samples of control ops, built from the functions that describe them."""

from __future__ import annotations

from typing import Any

from elinvar.graph.ir import Builder, Graph
from elinvar.ops.record import Region


def build_region(region: Region, name: str = "region") -> Graph:
    """The graph of a sample's sub-graph.

    Example:
        >>> from elinvar.core.types import parse_type
        >>> region = Region(lambda f, x: f.add(x, x), (parse_type("f32[2]"),))
        >>> build_region(region).output_types
        (f32[2],)
    """
    builder = Builder(capture_source=False)
    inputs = [builder.input(kind) for kind in region.types]
    found = region.rule(builder.f, *inputs)
    return builder.graph(found if isinstance(found, tuple) else (found,), name)


def build_params(params: dict[str, Any]) -> dict[str, Any]:
    """A sample's params with each `Region` replaced by its graph."""
    return {
        name: build_region(value, name) if isinstance(value, Region) else value
        for name, value in params.items()
    }
