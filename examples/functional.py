"""Pure functions all the way: parameters are a value, a training step maps them to new ones."""

from itertools import pairwise

import numpy as np

import elinvar as el


def initial(sizes, seed=0):
    """Weights and biases of a small network: a list of dicts of tensors."""
    random = np.random.default_rng(seed)
    return [
        {
            "w": el.asarray(random.normal(0, n**-0.5, (n, m)).astype(np.float32)),
            "b": el.zeros(m),
        }
        for n, m in pairwise(sizes)
    ]


def predict(parameters, x):
    """x (N, 1) → y (N, 1)."""
    for layer in parameters[:-1]:
        x = el.tanh(x @ layer["w"] + layer["b"])
    return x @ parameters[-1]["w"] + parameters[-1]["b"]


def loss_of(parameters, x, y):
    """The mean squared error."""
    return ((predict(parameters, x) - y) ** 2).mean()


@el.jit
def step(parameters, x, y, rate):
    """One step of gradient descent; nothing is changed in place."""
    loss, gradients = el.value_and_grad(loss_of)(parameters, x, y)
    new = [
        {name: value - rate * slopes[name] for name, value in layer.items()}
        for layer, slopes in zip(parameters, gradients, strict=True)
    ]
    return new, loss


x = el.asarray(np.linspace(-3, 3, 256, dtype=np.float32)[:, None])
y = el.sin(x * 2)
parameters = initial([1, 32, 32, 1])
for number in range(3001):
    parameters, loss = step(parameters, x, y, 0.1)
    if number % 1000 == 0:
        print(f"step {number:4d}: loss {loss.item():.5f}")

# The slope of the network is a function, too: it should be 2 cos 2x.
slope = el.grad(lambda v: predict(parameters, v).sum())(x)
inside = slope.numpy()[32:-32] - 2 * np.cos(2 * x.numpy()[32:-32])
print(f"mean error of the slope {np.abs(inside).mean():.3f}")
