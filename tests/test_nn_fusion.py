"""Batch norm folded into convolutions."""

import pytest

import elinvar as el
from elinvar import nn
from elinvar.core.errors import ShapeError, StateError
from elinvar.nn.utils import fuse_conv_bn_eval

LAYERS = {
    "1-D": (nn.Conv1d(4, 6, 3, padding=1), nn.BatchNorm1d(6), (2, 4, 9)),
    "no bias, strided": (nn.Conv2d(4, 6, 3, stride=2, bias=False), nn.BatchNorm2d(6), (2, 4, 9, 8)),
    "groups, same, reflect": (
        nn.Conv2d(4, 6, 3, padding="same", groups=2, dilation=2, padding_mode="reflect"),
        nn.BatchNorm2d(6),
        (2, 4, 9, 8),
    ),
    "without scale": (nn.Conv3d(2, 3, 2), nn.BatchNorm3d(3, affine=False), (2, 2, 4, 5, 3)),
    "transposed groups": (
        nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, output_padding=1),
        nn.BatchNorm2d(6),
        (2, 4, 5, 4),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_one_layer_does_what_two_do(name):
    conv, bn, shape = LAYERS[name]
    el.manual_seed(0)
    for _ in range(3):  # statistics other than 0 and 1
        bn(conv(el.randn(*shape) * 2 + 1))
    if bn.weight is not None:
        nn.init.uniform_(bn.weight, -2, 2)
        nn.init.uniform_(bn.bias)
    conv.eval(), bn.eval()
    kept = conv.weight.tolist()
    fused = fuse_conv_bn_eval(conv, bn)
    x = el.randn(*shape)
    expected = bn(conv(x))
    assert fused(x).shape == expected.shape
    assert float((fused(x) - expected).abs().max()) < 2e-5
    assert type(fused) is type(conv) and not fused.training and conv.weight.tolist() == kept


def test_errors():
    conv, bn = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
    with pytest.raises(StateError, match="Conv2d is in training mode"):
        fuse_conv_bn_eval(conv, bn.eval())
    with pytest.raises(StateError, match="no running statistics"):
        fuse_conv_bn_eval(conv.eval(), nn.BatchNorm2d(4, track_running_stats=False).eval())
    with pytest.raises(ShapeError, match="channels differ: 4 of the convolution ≠ 5"):
        fuse_conv_bn_eval(conv, nn.BatchNorm2d(5).eval())
