"""Fashion-MNIST to more than 93.5 %: augmentation, one cycle of rates, averaged weights.

    python examples/fashion_trainer.py [EPOCHS]

It takes some minutes on two cores; docs/training.md has the figures. Ctrl-C saves the run.
"""

import sys

import numpy as np

import elinvar as el
from elinvar import nn

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 14
T = el.data.transforms


def images(split):
    """Images as uint8 (N, 1, 28, 28), and their classes."""
    pictures, labels = el.data.fashion_mnist(split)
    return np.asarray(pictures).reshape(-1, 1, 28, 28), np.asarray(labels)


def block(inputs, outputs):
    """Two convolutions, with normalisation, and half the size."""
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
        nn.MaxPool2d(2),
    ]  # fmt: skip


train, test = images("train"), images("test")
normalise = T.Normalise(0.286, 0.353)
training = (
    el.data.from_arrays(*train).shuffle(seed=0).batch(128, drop_last=True)
    .augment(T.Flip(), T.Crop(padding=2), normalise, seed=0).prefetch(2)
)  # fmt: skip
testing = el.data.from_arrays(*test).batch(500).augment(normalise, seed=0).prefetch(2)

el.manual_seed(0)
model = nn.Sequential(
    *block(1, 32), *block(32, 64), nn.Dropout(0.1),
    nn.Flatten(), nn.Linear(64 * 7 * 7, 256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, 10),
)  # fmt: skip
trainer = el.Trainer(
    model,
    el.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.05),
    nn.CrossEntropyLoss(label_smoothing=0.05),
    metrics=["accuracy"],
    schedule="one_cycle",
    ema=0.995,
)
history = trainer.fit(training, epochs, validation=testing)
accuracy, seconds = history[-1]["val_accuracy"], sum(history["seconds"])
print(f"test accuracy {accuracy:.2%}, {seconds:.0f} s of training")
