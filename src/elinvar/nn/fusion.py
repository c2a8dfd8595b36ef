"""Batch norm folded into the layer before it, for inference."""

from __future__ import annotations

from typing import TypeVar

from elinvar.core.errors import ShapeError, StateError, fail
from elinvar.nn.module import Module
from elinvar.nn.parameter import Parameter, set_value
from elinvar.tensor.tape import no_grad
from elinvar.tensor.tensor import Tensor

M = TypeVar("M", bound=Module)
_ARGUMENTS = ("kernel_size", "stride", "padding", "output_padding", "dilation", "groups")


def fuse_conv_bn_eval(conv: M, bn: Module, transpose: bool = False) -> M:
    """One convolution that does what a convolution and the batch norm behind it do in evaluation.

    w' = w · γ / √(v + ε),  b' = (b - m) · γ / √(v + ε) + β, with the running mean m and variance v.
    **This changes bits**: products are rounded with other weights. So nothing does it unasked.

    Args:
        conv: Conv1d, Conv2d, Conv3d or a ConvTranspose; it is not changed.
        bn: the batch norm that follows, with running statistics.
        transpose: whether `conv` is transposed; known from `conv` itself where that is true.

    Returns:
        A new layer of `conv`'s class, in evaluation mode.

    Raises:
        StateError: one of the two is in training mode, or `bn` has no running statistics.
        ShapeError: the numbers of channels differ.

    Example:
        >>> import elinvar as el
        >>> conv, bn = el.nn.Conv2d(3, 8, 3).eval(), el.nn.BatchNorm2d(8).eval()
        >>> fused = el.nn.utils.fuse_conv_bn_eval(conv, bn)
        >>> x = el.randn(1, 3, 6, 6)
        >>> bool((el.abs(fused(x) - bn(conv(x))) < 1e-5).all())
        True
    """
    op = "fuse_conv_bn_eval"
    for module in (conv, bn):
        if module.training:
            text = f"{type(module).__name__} is in training mode"
            fail(StateError, op, text, "call .eval() first: batch statistics cannot be folded")
    if bn.running_mean is None or bn.running_var is None:
        fail(StateError, op, f"{type(bn).__name__} has no running statistics")
    if bn.num_features != conv.out_channels:
        text = f"channels differ: {conv.out_channels} of the convolution ≠ {bn.num_features}"
        fail(ShapeError, op, f"{text} of the batch norm")
    names = {name: getattr(conv, name) for name in _ARGUMENTS if hasattr(conv, name)}
    if hasattr(conv, "padding_mode"):
        names["padding_mode"] = conv.padding_mode
    dtype = conv.weight.dtype
    fused: M = type(conv)(conv.in_channels, conv.out_channels, **names, dtype=dtype)
    transposed = bool(transpose or conv.transposed)
    weight, bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias,
        transposed,
    )  # fmt: skip
    set_value(fused.weight, weight.detach())
    set_value(fused.bias, bias.detach())
    return fused.eval()


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """The kernel and bias of `fuse_conv_bn_eval`. Groups of a transposed kernel
    [C, O / groups, …] share its second axis, and so does γ / √(v + ε).

    Returns:
        New parameters (weight, bias).
    """
    with no_grad():
        scale = (bn_rv + bn_eps) ** -0.5
        if bn_w is not None:
            scale = scale * bn_w
        out = scale.shape[0]
        spatial = (1,) * (conv_w.ndim - 2)
        if transpose:
            groups = out // conv_w.shape[1]
            rows = conv_w.shape[0] // groups
            cut = conv_w.reshape((groups, rows, out // groups, *conv_w.shape[2:]))
            weight = (cut * scale.reshape((groups, 1, out // groups, *spatial))).reshape(
                conv_w.shape
            )
        else:
            weight = conv_w * scale.reshape((out, 1, *spatial))
        shift = -bn_rm if conv_b is None else conv_b - bn_rm
        bias = shift * scale
        if bn_b is not None:
            bias = bias + bn_b
        return Parameter(weight.astype(conv_w.dtype)), Parameter(bias.astype(conv_w.dtype))
