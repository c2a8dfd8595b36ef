"""Graph → steps: which kernels run, in which order, on which memory."""

from __future__ import annotations

from elinvar.codegen.lower_control import ControlLowering
from elinvar.codegen.lower_heavy import HeavyLowering
from elinvar.codegen.lower_products import ProductLowering


class Lowering(ProductLowering, HeavyLowering, ControlLowering):
    """Lowers one graph (and its sub-graphs) onto given storages."""
