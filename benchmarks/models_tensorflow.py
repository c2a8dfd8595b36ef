"""The models in plain TensorFlow: functions of a dictionary of variables; pictures are NHWC.

Each takes (variables, input, training, size) and gives logits; batch normalization assigns its
running statistics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Variables = dict[str, Any]


def linear(p: Variables, name: str, x: Any) -> Any:
    """x W + b."""
    y = tf.matmul(x, p[f"{name}.weight"])
    return tf.nn.bias_add(y, p[f"{name}.bias"]) if f"{name}.bias" in p else y


def convolution(p: Variables, name: str, x: Any, stride: int = 1, padding: int = 1) -> Any:
    """A padded convolution, NHWC and HWIO."""
    sides = [[0, 0], [padding, padding], [padding, padding], [0, 0]]
    y = tf.nn.conv2d(x, p[f"{name}.weight"], stride, sides)
    return tf.nn.bias_add(y, p[f"{name}.bias"]) if f"{name}.bias" in p else y


def layer_norm(p: Variables, name: str, x: Any) -> Any:
    """Over the last axis."""
    mean, variance = tf.nn.moments(x, [-1], keepdims=True)
    return tf.nn.batch_normalization(
        x, mean, variance, p[f"{name}.bias"], p[f"{name}.weight"], 1e-5
    )


def batch_norm(p: Variables, name: str, x: Any, training: bool) -> Any:
    """Over all axes but the last, in one fused operation."""
    mean, variance = p[f"{name}.running_mean"], p[f"{name}.running_var"]
    scale, offset = p[f"{name}.weight"], p[f"{name}.bias"]
    if not training:
        return tf.compat.v1.nn.fused_batch_norm(
            x, scale, offset, mean, variance, epsilon=1e-5, is_training=False
        )[0]
    # The fused operation gives the unbiased variance, which is the one that is averaged.
    y, fresh_mean, fresh_variance = tf.compat.v1.nn.fused_batch_norm(
        x, scale, offset, epsilon=1e-5, is_training=True
    )
    mean.assign(0.9 * mean + 0.1 * fresh_mean)
    variance.assign(0.9 * variance + 0.1 * fresh_variance)
    return y


def max_pool(x: Any) -> Any:
    """2 × 2."""
    return tf.nn.max_pool2d(x, 2, 2, "VALID")


def mlp(p: Variables, x: Any, training: bool, size: Any) -> Any:
    """784 → 512 → 512 → 10."""
    x = tf.nn.relu(linear(p, "0", x))
    x = tf.nn.relu(linear(p, "2", x))
    return linear(p, "4", x)


def cnn(p: Variables, x: Any, training: bool, size: Any) -> Any:
    """The demo's network."""
    x = tf.nn.relu(batch_norm(p, "2", max_pool(convolution(p, "0", x)), training))
    x = tf.nn.relu(batch_norm(p, "6", max_pool(convolution(p, "4", x)), training))
    # (B, 7, 7, 32) in the order of PyTorch's weights
    x = tf.reshape(tf.transpose(x, (0, 3, 1, 2)), (x.shape[0], 32 * 7 * 7))
    return linear(p, "11", tf.nn.relu(linear(p, "9", x)))


def resnet(p: Variables, x: Any, training: bool, size: Any) -> Any:
    """ResNet-18 for small pictures."""
    x = tf.nn.relu(batch_norm(p, "norm", convolution(p, "stem", x), training))
    for number in range(8):
        name = f"blocks.{number}"
        stride = 2 if number in (2, 4, 6) else 1
        y = convolution(p, f"{name}.conv1", x, stride)
        y = tf.nn.relu(batch_norm(p, f"{name}.norm1", y, training))
        y = batch_norm(p, f"{name}.norm2", convolution(p, f"{name}.conv2", y), training)
        if stride == 2:
            x = convolution(p, f"{name}.shortcut.0", x, stride, padding=0)
            x = batch_norm(p, f"{name}.shortcut.1", x, training)
        x = tf.nn.relu(x + y)
    return linear(p, "head", tf.reduce_mean(x, (1, 2)))


def block(p: Variables, name: str, x: Any, heads: int, is_causal: bool) -> Any:
    """A transformer block."""
    batch, length, width = x.shape
    qkv = linear(p, f"{name}.to_qkv", layer_norm(p, f"{name}.attention_norm", x))
    q, k, v = (
        tf.transpose(tf.reshape(part, (batch, length, heads, width // heads)), (0, 2, 1, 3))
        for part in tf.split(qkv, 3, axis=-1)
    )  # (B, heads, T, head_dim)
    scores = tf.matmul(q, k, transpose_b=True) * (width // heads) ** -0.5
    if is_causal:
        scores += tf.constant(-1e9) * (1 - tf.linalg.band_part(tf.ones((length, length)), -1, 0))
    mixed = tf.transpose(tf.matmul(tf.nn.softmax(scores), v), (0, 2, 1, 3))
    x = x + linear(p, f"{name}.from_heads", tf.reshape(mixed, (batch, length, width)))
    inner = tf.nn.gelu(linear(p, f"{name}.up", layer_norm(p, f"{name}.mlp_norm", x)))
    return x + linear(p, f"{name}.down", inner)


def gpt(p: Variables, tokens: Any, training: bool, size: Any) -> Any:
    """A small GPT."""
    x = tf.gather(p["token.weight"], tokens) + p["position.weight"][: tokens.shape[1]]
    for layer in range(size.layers):
        x = block(p, f"blocks.{layer}", x, size.heads, True)
    return linear(p, "head", layer_norm(p, "norm", x))


def lstm(p: Variables, tokens: Any, training: bool, size: Any) -> Any:
    """Layers of LSTM, unrolled: TensorFlow's loops on the CPU are slower."""
    x = tf.gather(p["token.weight"], tokens)  # (B, T, width)
    for layer in range(size.layers):
        bias = p[f"lstm.bias_ih_l{layer}"] + p[f"lstm.bias_hh_l{layer}"]
        projected = tf.unstack(tf.matmul(x, p[f"lstm.weight_ih_l{layer}"]) + bias, axis=1)
        h = c = tf.zeros((x.shape[0], size.width))
        outputs = []
        for gates in projected:
            i, f, g, o = tf.split(gates + tf.matmul(h, p[f"lstm.weight_hh_l{layer}"]), 4, axis=-1)
            c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
            h = tf.sigmoid(o) * tf.tanh(c)
            outputs.append(h)
        x = tf.stack(outputs, axis=1)
    return linear(p, "head", x)


def vit(p: Variables, x: Any, training: bool, size: Any) -> Any:
    """ViT-tiny."""
    x = convolution(p, "patch", x, stride=size.patch, padding=0)
    x = tf.reshape(x, (x.shape[0], -1, size.width))  # (B, patches, width)
    first = tf.broadcast_to(p["class_token"], (x.shape[0], 1, size.width))
    x = tf.concat([first, x], axis=1) + p["position"]
    for layer in range(size.layers):
        x = block(p, f"blocks.{layer}", x, size.heads, False)
    return linear(p, "head", layer_norm(p, "norm", x)[:, 0])


def unet(p: Variables, x: Any, training: bool, size: Any) -> Any:
    """A U-Net of three levels."""

    def double(name: str, x: Any) -> Any:
        for first, second in ((0, 1), (3, 4)):
            y = convolution(p, f"{name}.{first}", x)
            x = tf.nn.relu(batch_norm(p, f"{name}.{second}", y, training))
        return x

    def up(name: str, x: Any) -> Any:
        batch, height, width, _ = x.shape
        kernel = tf.transpose(p[f"{name}.weight"], (0, 1, 3, 2))  # (height, width, outputs, inputs)
        shape = (batch, 2 * height, 2 * width, kernel.shape[2])
        y = tf.nn.conv2d_transpose(x, kernel, shape, 2, "VALID")
        return tf.nn.bias_add(y, p[f"{name}.bias"])

    levels = []
    for level in range(3):
        x = double(f"down{level}", x)
        levels.append(x)
        x = max_pool(x)
    x = double("bottom", x)
    for level in (2, 1, 0):
        x = double(f"join{level}", tf.concat([up(f"up{level}", x), levels[level]], axis=-1))
    return convolution(p, "head", x, padding=0)


MODELS: dict[str, Callable[..., Any]] = {
    "mlp": mlp, "cnn": cnn, "resnet": resnet, "gpt": gpt, "lstm": lstm, "vit": vit, "unet": unet,
}  # fmt: skip
