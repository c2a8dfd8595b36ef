"""TensorFlow: everything in `tf.function` with oneDNN, Keras' optimizers, channels last."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.engines.base import (
    BATCHES,
    OPTIMIZERS,
    Engine,
    Prepared,
    convolution_arrays,
    normal,
)
from benchmarks.models import batches
from benchmarks.models_tensorflow import MODELS
from benchmarks.native import channels_first, channels_last, native_weights
from benchmarks.pictures import training_pictures
from benchmarks.sizes import SIZES


def _variables(model: str, size: Any) -> tuple[dict[str, Any], list[Any]]:
    """All variables by name, and those that are trained."""
    parameters, buffers = native_weights(model, size)
    trained = {name: tf.Variable(value) for name, value in parameters.items()}
    kept = {name: tf.Variable(value, trainable=False) for name, value in buffers.items()}
    return trained | kept, list(trained.values())


def _optimizer(name: str) -> Any:
    options = OPTIMIZERS[name]
    rate = options["lr"]
    if name == "adam":
        return tf.keras.optimizers.Adam(rate, epsilon=1e-8)
    if name == "adamw":
        decay = options["weight_decay"]
        return tf.keras.optimizers.AdamW(rate, weight_decay=decay, epsilon=1e-8)
    return tf.keras.optimizers.SGD(rate, momentum=options.get("momentum", 0.0))


class TensorFlow(Engine):
    """TensorFlow on the CPU."""

    version = tf.__version__

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)

    def _step(self, model: str, size: Any, optimizer: str, prepare: Any = lambda x: x) -> Any:
        variables, trained = _variables(model, size)
        made = _optimizer(optimizer)
        made.build(trained)

        @tf.function
        def step(x: Any, y: Any) -> Any:
            with tf.GradientTape() as tape:
                logits = MODELS[model](variables, prepare(x), True, size)
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
                loss = tf.reduce_mean(losses)
            made.apply_gradients(zip(tape.gradient(loss, trained), trained))
            return loss

        return step, sum(int(np.prod(value.shape)) for value in trained)

    def training(self, model: str, size: list[int], optimizer: str) -> Prepared:
        """A whole step is one function."""
        made = SIZES[model](*size)
        step, count = self._step(model, made, optimizer)
        data = [
            (tf.constant(channels_last(x)), tf.constant(y, tf.int32))
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
        variables, trained = _variables(model, made)
        x = tf.constant(channels_last(batches(model, made, 1)[0][0]))
        predict = tf.function(lambda x: MODELS[model](variables, x, False, made))
        return Prepared(
            lambda: predict(x).numpy(),
            channels_first,
            sum(int(np.prod(value.shape)) for value in trained),
        )

    def adds(self, size: int, count: int) -> Prepared:
        """Eager."""
        x, y = tf.range(size, dtype=tf.float32), tf.ones(size)

        def run() -> Any:
            value = x
            for _ in range(count):
                value = value + y
            return value.numpy()

        return Prepared(run)

    def rows(self, function: str, rows: int, columns: int, part: str) -> Prepared:
        """Compiled by XLA, which fuses where TensorFlow's own graphs do not."""
        x, cotangent = (tf.constant(normal(seed, rows, columns)) for seed in (1, 2))
        scale, shift = (tf.constant(normal(seed, columns)) for seed in (3, 4))

        def gelu_softmax(x: Any) -> Any:
            return tf.nn.softmax(tf.nn.gelu(x))

        def layer_norm(x: Any, scale: Any, shift: Any) -> Any:
            mean, variance = tf.nn.moments(x, [-1], keepdims=True)
            return tf.nn.batch_normalization(x, mean, variance, shift, scale, 1e-5)

        inputs = (x,) if function == "gelu_softmax" else (x, scale, shift)
        forward = {"gelu_softmax": gelu_softmax, "layer_norm": layer_norm}[function]
        if part == "forward":
            run = tf.function(forward, jit_compile=True)
            return Prepared(lambda: run(*inputs), lambda result: result.numpy())

        @tf.function(jit_compile=True)
        def both(cotangent: Any, *inputs: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                result = forward(*inputs)
            return tape.gradient(result, inputs, cotangent)

        return Prepared(lambda: both(cotangent, *inputs), lambda result: result[0].numpy())

    def matmul(self, m: int, n: int, k: int, left: str, right: str) -> Prepared:
        """One operation; transposition is its argument."""
        a = tf.constant(normal(1, m, k) if left == "plain" else normal(1, k, m))
        b = tf.constant(normal(2, k, n) if right == "plain" else normal(2, n, k))
        flags = {"transpose_a": left != "plain", "transpose_b": right != "plain"}
        return Prepared(lambda: tf.matmul(a, b, **flags), lambda result: result.numpy())

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
        """One operation; a gradient is computed alone."""
        arrays = convolution_arrays(batch, pixels, inputs, outputs, kernel, stride)
        x, cotangent = (tf.constant(channels_last(array)) for array in (arrays[0], arrays[2]))
        weight = tf.constant(arrays[1].transpose(2, 3, 1, 0).copy())
        side = kernel // 2
        options = {
            "strides": [1, stride, stride, 1], "padding": "EXPLICIT",
            "explicit_paddings": [0, 0, side, side, side, side, 0, 0],
        }  # fmt: skip
        if part == "forward":
            run = tf.function(lambda: tf.raw_ops.Conv2D(input=x, filter=weight, **options))
            return Prepared(run, lambda result: channels_first(result.numpy()))
        if part == "input":
            run = tf.function(
                lambda: tf.raw_ops.Conv2DBackpropInput(
                    input_sizes=x.shape, filter=weight, out_backprop=cotangent, **options
                )
            )
            return Prepared(run, lambda result: channels_first(result.numpy()))
        run = tf.function(
            lambda: tf.raw_ops.Conv2DBackpropFilter(
                input=x, filter_sizes=weight.shape, out_backprop=cotangent, **options
            )
        )
        return Prepared(run, lambda result: result.numpy().transpose(3, 2, 0, 1))

    def epoch(self, size: list[int], samples: int) -> Prepared:
        """tf.data cuts whole batches by index and prefetches."""
        made = SIZES["cnn"](*size)
        pictures, classes, _ = training_pictures(samples)
        images, labels = tf.constant(channels_last(pictures)), tf.constant(classes, tf.int32)

        def cut(chosen: Any) -> Any:
            return tf.gather(images, chosen), tf.gather(labels, chosen)

        order = tf.data.Dataset.range(samples).shuffle(samples)
        loader = (
            order.batch(made.batch, drop_remainder=True)
            .map(cut, num_parallel_calls=tf.data.AUTOTUNE)
            .prefetch(tf.data.AUTOTUNE)
        )
        step, count = self._step("cnn", made, "adamw", lambda x: tf.cast(x, tf.float32) / 255 - 0.5)

        def run() -> float:
            loss: Any = 0.0
            for images, labels in loader:
                loss = step(images, labels)
            return float(loss)

        return Prepared(run, np.asarray, count)


ENGINE = TensorFlow
