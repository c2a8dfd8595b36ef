"""Epochs of Fashion-MNIST in Keras, one for each line on standard input; seconds go to standard
output. Started by `benchmarks.training` with the Python that has TensorFlow.

    python benchmarks/keras_epoch.py arrays.npz THREADS
"""

from __future__ import annotations

import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


def main() -> None:
    """Train as told."""
    import keras
    import numpy as np
    import tensorflow as tf
    from keras import layers

    arrays, threads = np.load(sys.argv[1]), int(sys.argv[2])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((28, 28, 1)),
        layers.Conv2D(16, 3, padding="same"), layers.MaxPooling2D(2),
        layers.BatchNormalization(), layers.ReLU(),
        layers.Conv2D(32, 3, padding="same"), layers.MaxPooling2D(2),
        layers.BatchNormalization(), layers.ReLU(),
        layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(10),
    ])  # fmt: skip
    model.compile(
        keras.optimizers.AdamW(2e-3, weight_decay=0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    images = [np.moveaxis(arrays[name], 1, 3) for name in ("train", "test")]
    labels = [np.asarray(arrays[f"{name}_labels"], "int32") for name in ("train", "test")]
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        model.fit(
            images[0], labels[0], batch_size=128, epochs=1, verbose=0,
            validation_data=(images[1], labels[1]), validation_batch_size=128,
        )  # fmt: skip
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
