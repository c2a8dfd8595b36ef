"""Graph → steps: which kernels run, in which order, on which memory."""

from __future__ import annotations

from elinvar.codegen.lower_attention import AttentionLowering
from elinvar.codegen.lower_control import ControlLowering
from elinvar.codegen.lower_convolution import ConvolutionLowering
from elinvar.codegen.lower_fft import FourierLowering
from elinvar.codegen.lower_heavy import HeavyLowering
from elinvar.codegen.lower_matrices import MatrixLowering


class Lowering(
    ConvolutionLowering,
    AttentionLowering,
    FourierLowering,
    MatrixLowering,
    HeavyLowering,
    ControlLowering,
):
    """Lowers one graph (and its sub-graphs) onto given storages."""
