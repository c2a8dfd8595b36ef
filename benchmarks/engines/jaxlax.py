"""JAX: everything under `jax.jit`, the training state donated, channels last."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks import transforms
from benchmarks.engines.base import (
    BATCHES,
    OPTIMIZERS,
    Engine,
    Prepared,
    convolution_arrays,
    normal,
)
from benchmarks.models import batches
from benchmarks.models_jax import MODELS, cross_entropy, start, update
from benchmarks.native import channels_first, channels_last, native_weights
from benchmarks.pictures import training_pictures
from benchmarks.sizes import SIZES


def _arrays(given: dict[str, np.ndarray]) -> dict[str, jax.Array]:
    return {name: jnp.array(value) for name, value in given.items()}


class Jax(Engine):
    """JAX on the CPU. The number of threads follows the CPUs that the process may use."""

    version = jax.__version__

    def _training(self, model: str, size: Any, optimizer: str, prepare: Any = lambda x: x) -> Any:
        """A function that takes a step with the state that it keeps, and returns the loss."""
        parameters, buffers = (_arrays(given) for given in native_weights(model, size))
        state = (parameters, buffers, start(optimizer, parameters))

        @functools.partial(jax.jit, donate_argnums=0)
        def step(state: Any, x: jax.Array, y: jax.Array) -> Any:
            p, buffers, moments = state

            def loss_of(p: Any) -> Any:
                logits, fresh = MODELS[model](p, buffers, prepare(x), True, size)
                return cross_entropy(logits, y), fresh

            (loss, fresh), gradients = jax.value_and_grad(loss_of, has_aux=True)(p)
            p, moments = update(OPTIMIZERS[optimizer], optimizer, p, gradients, moments)
            return (p, fresh, moments), loss

        def run(x: Any, y: Any) -> Any:
            nonlocal state
            state, loss = step(state, x, y)
            return loss

        return run, sum(value.size for value in parameters.values())

    def training(self, model: str, size: list[int], optimizer: str) -> Prepared:
        """A whole step is one program."""
        made = SIZES[model](*size)
        step, count = self._training(model, made, optimizer)
        data = [
            (jnp.array(channels_last(x)), jnp.array(y, jnp.int32))
            for x, y in batches(model, made, BATCHES)
        ]
        number = 0

        def run() -> float:
            nonlocal number
            number += 1
            return float(step(*data[number % BATCHES]))

        return Prepared(run, np.asarray, count)

    def inference(self, model: str, size: list[int]) -> Prepared:
        """With the running statistics."""
        made = SIZES[model](*size)
        parameters, buffers = (_arrays(given) for given in native_weights(model, made))
        x = jnp.array(channels_last(batches(model, made, 1)[0][0]))
        predict = jax.jit(lambda p, buffers, x: MODELS[model](p, buffers, x, False, made)[0])
        return Prepared(
            lambda: predict(parameters, buffers, x).block_until_ready(),
            lambda result: channels_first(np.asarray(result)),
            sum(value.size for value in parameters.values()),
        )

    def adds(self, size: int, count: int) -> Prepared:
        """Eager."""
        x, y = jnp.arange(size, dtype=jnp.float32), jnp.ones(size)

        def run() -> jax.Array:
            value = x
            for _ in range(count):
                value = value + y
            return value.block_until_ready()

        return Prepared(run)

    def rows(self, function: str, rows: int, columns: int, part: str) -> Prepared:
        """Compiled."""
        x, cotangent = (jnp.array(normal(seed, rows, columns)) for seed in (1, 2))
        scale, shift = (jnp.array(normal(seed, columns)) for seed in (3, 4))

        def gelu_softmax(x: jax.Array) -> jax.Array:
            return jax.nn.softmax(jax.nn.gelu(x, approximate=False))

        def layer_norm(x: jax.Array, scale: jax.Array, shift: jax.Array) -> jax.Array:
            mean = x.mean(-1, keepdims=True)
            variance = jnp.square(x - mean).mean(-1, keepdims=True)
            return (x - mean) * lax.rsqrt(variance + 1e-5) * scale + shift

        inputs = (x,) if function == "gelu_softmax" else (x, scale, shift)
        forward = {"gelu_softmax": gelu_softmax, "layer_norm": layer_norm}[function]
        if part == "forward":
            run = jax.jit(forward)
            return Prepared(lambda: run(*inputs).block_until_ready())
        both = jax.jit(lambda cotangent, *inputs: jax.vjp(forward, *inputs)[1](cotangent))
        return Prepared(
            lambda: jax.block_until_ready(both(cotangent, *inputs)),
            lambda result: np.asarray(result[0]),
        )

    def matmul(self, m: int, n: int, k: int, left: str, right: str) -> Prepared:
        """Compiled, so that a transposition is part of the product."""
        a = jnp.array(normal(1, m, k) if left == "plain" else normal(1, k, m))
        b = jnp.array(normal(2, k, n) if right == "plain" else normal(2, n, k))

        @jax.jit
        def product(a: jax.Array, b: jax.Array) -> jax.Array:
            return (a if left == "plain" else a.T) @ (b if right == "plain" else b.T)

        return Prepared(lambda: product(a, b).block_until_ready())

    def convolution(
        self,
        batch: int,
        pixels: int,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int,
        part: str,
    ) -> Prepared:
        """Compiled; a gradient is the transposed function alone."""
        arrays = convolution_arrays(batch, pixels, inputs, outputs, kernel, stride)
        x, cotangent = (jnp.array(channels_last(array)) for array in (arrays[0], arrays[2]))
        weight = jnp.array(arrays[1].transpose(2, 3, 1, 0).copy())

        def forward(x: jax.Array, weight: jax.Array) -> jax.Array:
            return lax.conv_general_dilated(
                x, weight, (stride, stride), [(kernel // 2, kernel // 2)] * 2,
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )  # fmt: skip

        if part == "forward":
            run = jax.jit(forward)
            return Prepared(
                lambda: run(x, weight).block_until_ready(),
                lambda result: channels_first(np.asarray(result)),
            )
        if part == "input":
            back = jax.jit(lambda x, w, g: jax.vjp(lambda x: forward(x, w), x)[1](g)[0])
            turn = (0, 3, 1, 2)
        else:
            back = jax.jit(lambda x, w, g: jax.vjp(lambda w: forward(x, w), w)[1](g)[0])
            turn = (3, 2, 0, 1)
        return Prepared(
            lambda: back(x, weight, cotangent).block_until_ready(),
            lambda result: np.asarray(result).transpose(turn),
        )

    def transform(self, program: str, **sizes: Any) -> Prepared:
        """Compiled."""
        return Prepared(transforms.make("jax", program, **sizes), transforms.fetch)

    def epoch(self, size: list[int], samples: int) -> Prepared:
        """numpy mixes and cuts; steps run while the next batch is cut."""
        made = SIZES["cnn"](*size)
        images, labels, _ = training_pictures(samples)
        images, labels = channels_last(images), labels.astype(np.int32)
        random = np.random.default_rng(0)
        step, count = self._training(
            "cnn", made, "adamw", lambda x: x.astype(jnp.float32) / 255 - 0.5
        )

        def run() -> float:
            order = random.permutation(samples)
            loss: Any = 0.0
            for first in range(0, samples - made.batch + 1, made.batch):
                chosen = order[first : first + made.batch]
                loss = step(images[chosen], labels[chosen])
            return float(loss)

        return Prepared(run, np.asarray, count)


ENGINE = Jax
