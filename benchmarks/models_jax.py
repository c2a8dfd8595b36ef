"""The models in plain JAX: functions of a dictionary of parameters; pictures are NHWC.

Each takes (parameters, buffers, input, training) and gives (logits, new buffers).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Arrays = dict[str, jax.Array]
Result = tuple[jax.Array, Arrays]


def linear(p: Arrays, name: str, x: jax.Array) -> jax.Array:
    """x W + b."""
    y = x @ p[f"{name}.weight"]
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


def convolution(p: Arrays, name: str, x: jax.Array, stride: int = 1, padding: int = 1) -> jax.Array:
    """A padded convolution, NHWC and HWIO."""
    y = lax.conv_general_dilated(
        x, p[f"{name}.weight"], (stride, stride), [(padding, padding)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )  # fmt: skip
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


def layer_norm(p: Arrays, name: str, x: jax.Array) -> jax.Array:
    """Over the last axis."""
    mean = x.mean(-1, keepdims=True)
    variance = jnp.square(x - mean).mean(-1, keepdims=True)
    scaled = (x - mean) * lax.rsqrt(variance + 1e-5)
    return scaled * p[f"{name}.weight"] + p[f"{name}.bias"]


class Norms:
    """Batch normalization; collects the new running statistics."""

    def __init__(self, p: Arrays, buffers: Arrays, training: bool) -> None:
        self.p, self.old, self.training = p, buffers, training
        self.new = dict(buffers)

    def __call__(self, name: str, x: jax.Array) -> jax.Array:
        """Over all axes but the last."""
        if self.training:
            axes = tuple(range(x.ndim - 1))
            mean, variance = x.mean(axes), x.var(axes)
            count = x.size // x.shape[-1]
            for key, value in (
                ("running_mean", mean),
                ("running_var", variance * (count / (count - 1))),
            ):
                self.new[f"{name}.{key}"] = 0.9 * self.old[f"{name}.{key}"] + 0.1 * value
        else:
            mean = self.old[f"{name}.running_mean"]
            variance = self.old[f"{name}.running_var"]
        scale = self.p[f"{name}.weight"] * lax.rsqrt(variance + 1e-5)
        return (x - mean) * scale + self.p[f"{name}.bias"]


def max_pool(x: jax.Array) -> jax.Array:
    """2 × 2."""
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def mlp(p: Arrays, buffers: Arrays, x: jax.Array, training: bool, size: Any) -> Result:
    """784 → 512 → 512 → 10."""
    x = jax.nn.relu(linear(p, "0", x))
    x = jax.nn.relu(linear(p, "2", x))
    return linear(p, "4", x), buffers


def cnn(p: Arrays, buffers: Arrays, x: jax.Array, training: bool, size: Any) -> Result:
    """The demo's network."""
    norm = Norms(p, buffers, training)
    x = jax.nn.relu(norm("2", max_pool(convolution(p, "0", x))))
    x = jax.nn.relu(norm("6", max_pool(convolution(p, "4", x))))  # (B, 7, 7, 32)
    x = x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)  # in the order of PyTorch's weights
    return linear(p, "11", jax.nn.relu(linear(p, "9", x))), norm.new


def resnet(p: Arrays, buffers: Arrays, x: jax.Array, training: bool, size: Any) -> Result:
    """ResNet-18 for small pictures."""
    norm = Norms(p, buffers, training)
    x = jax.nn.relu(norm("norm", convolution(p, "stem", x)))
    for number in range(8):
        name = f"blocks.{number}"
        stride = 2 if number in (2, 4, 6) else 1
        y = jax.nn.relu(norm(f"{name}.norm1", convolution(p, f"{name}.conv1", x, stride)))
        y = norm(f"{name}.norm2", convolution(p, f"{name}.conv2", y))
        if stride == 2:
            shortcut = convolution(p, f"{name}.shortcut.0", x, stride, padding=0)
            x = norm(f"{name}.shortcut.1", shortcut)
        x = jax.nn.relu(x + y)
    return linear(p, "head", x.mean((1, 2))), norm.new


def block(p: Arrays, name: str, x: jax.Array, heads: int, is_causal: bool) -> jax.Array:
    """A transformer block."""
    batch, length, width = x.shape
    qkv = linear(p, f"{name}.to_qkv", layer_norm(p, f"{name}.attention_norm", x))
    q, k, v = (part.reshape(batch, length, heads, -1) for part in jnp.split(qkv, 3, axis=-1))
    mixed = jax.nn.dot_product_attention(q, k, v, is_causal=is_causal)  # (B, T, heads, head_dim)
    x = x + linear(p, f"{name}.from_heads", mixed.reshape(batch, length, width))
    inner = linear(p, f"{name}.up", layer_norm(p, f"{name}.mlp_norm", x))
    return x + linear(p, f"{name}.down", jax.nn.gelu(inner, approximate=False))


def gpt(p: Arrays, buffers: Arrays, tokens: jax.Array, training: bool, size: Any) -> Result:
    """A small GPT."""
    x = p["token.weight"][tokens] + p["position.weight"][: tokens.shape[1]]
    for layer in range(size.layers):
        x = block(p, f"blocks.{layer}", x, size.heads, True)
    return linear(p, "head", layer_norm(p, "norm", x)), buffers


def lstm(p: Arrays, buffers: Arrays, tokens: jax.Array, training: bool, size: Any) -> Result:
    """Layers of LSTM; the input's part of the gates is one product over all steps."""
    x = p["token.weight"][tokens].swapaxes(0, 1)  # (T, B, width)
    zeros = jnp.zeros((x.shape[1], size.width))
    for layer in range(size.layers):
        recurrent = p[f"lstm.weight_hh_l{layer}"]
        bias = p[f"lstm.bias_ih_l{layer}"] + p[f"lstm.bias_hh_l{layer}"]
        projected = x @ p[f"lstm.weight_ih_l{layer}"] + bias

        def step(state: Any, gates: jax.Array, recurrent: jax.Array = recurrent) -> Any:
            h, c = state
            i, f, g, o = jnp.split(gates + h @ recurrent, 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        _, x = lax.scan(step, (zeros, zeros), projected)
    return linear(p, "head", x.swapaxes(0, 1)), buffers


def vit(p: Arrays, buffers: Arrays, x: jax.Array, training: bool, size: Any) -> Result:
    """ViT-tiny."""
    x = convolution(p, "patch", x, stride=size.patch, padding=0)
    x = x.reshape(x.shape[0], -1, size.width)  # (B, patches, width)
    first = jnp.broadcast_to(p["class_token"], (x.shape[0], 1, size.width))
    x = jnp.concatenate([first, x], axis=1) + p["position"]
    for layer in range(size.layers):
        x = block(p, f"blocks.{layer}", x, size.heads, False)
    return linear(p, "head", layer_norm(p, "norm", x)[:, 0]), buffers


def unet(p: Arrays, buffers: Arrays, x: jax.Array, training: bool, size: Any) -> Result:
    """A U-Net of three levels."""
    norm = Norms(p, buffers, training)

    def double(name: str, x: jax.Array) -> jax.Array:
        for first, second in ((0, 1), (3, 4)):
            x = jax.nn.relu(norm(f"{name}.{second}", convolution(p, f"{name}.{first}", x)))
        return x

    def up(name: str, x: jax.Array) -> jax.Array:
        # A kernel as large as its stride: every pixel makes its own 2 × 2, as one product.
        batch, height, width, _ = x.shape
        y = jnp.einsum("bhwi,yxio->bhywxo", x, p[f"{name}.weight"])
        return y.reshape(batch, 2 * height, 2 * width, -1) + p[f"{name}.bias"]

    levels = []
    for level in range(3):
        x = double(f"down{level}", x)
        levels.append(x)
        x = max_pool(x)
    x = double("bottom", x)
    for level in (2, 1, 0):
        x = double(f"join{level}", jnp.concatenate([up(f"up{level}", x), levels[level]], axis=-1))
    return convolution(p, "head", x, padding=0), norm.new


MODELS: dict[str, Callable[..., Result]] = {
    "mlp": mlp, "cnn": cnn, "resnet": resnet, "gpt": gpt, "lstm": lstm, "vit": vit, "unet": unet,
}  # fmt: skip


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The mean over all labels; classes stand last."""
    rates = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(rates, labels[..., None], axis=-1).mean()


def start(optimizer: str, parameters: Arrays) -> dict[str, Any]:
    """The optimizer's state before the first step."""
    zeros = {name: jnp.zeros_like(value) for name, value in parameters.items()}
    if optimizer == "sgd":
        return {}
    if optimizer == "momentum":
        return {"b": zeros}
    return {"m": zeros, "v": jax.tree.map(jnp.copy, zeros), "step": jnp.zeros((), jnp.float32)}


def update(
    options: dict[str, float], optimizer: str, p: Arrays, gradients: Arrays, state: dict[str, Any]
) -> tuple[Arrays, dict[str, Any]]:
    """One step of SGD, momentum, Adam (Kingma and Ba, 2014) or AdamW, by PyTorch's formulas."""
    rate = options["lr"]
    if optimizer == "sgd":
        return jax.tree.map(lambda p, g: p - rate * g, p, gradients), state
    if optimizer == "momentum":
        momentum = options["momentum"]
        b = jax.tree.map(lambda b, g: momentum * b + g, state["b"], gradients)
        return jax.tree.map(lambda p, b: p - rate * b, p, b), {"b": b}
    decay = options.get("weight_decay", 0.0)
    step = state["step"] + 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, state["m"], gradients)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, state["v"], gradients)
    first, second = 1 - 0.9**step, 1 - 0.999**step

    def moved(p: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
        return p * (1 - rate * decay) - rate * (m / first) / (jnp.sqrt(v / second) + 1e-8)

    return jax.tree.map(moved, p, m, v), {"m": m, "v": v, "step": step}
