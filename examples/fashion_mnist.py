"""A small convolutional network learns Fashion-MNIST. `make demo` runs this."""

import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from rich.progress import Progress

import elinvar as el
from elinvar import nn
from elinvar.nn import functional as F

EPOCHS, BATCH, RATE = 4, 128, 5e-3

try:
    train, test = el.data.fashion_mnist("train"), el.data.fashion_mnist("test")
    classes = el.data.FASHION_CLASSES
except el.DataMissingError as missing:
    print(f"{missing}\nFashion-MNIST is not to be had here: training on scikit-learn's digits.")
    train, test, EPOCHS = el.data.digits("train", 28), el.data.digits("test", 28), 20
    classes = tuple("0123456789")

el.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(16), nn.ReLU(),
    nn.Conv2d(16, 32, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(32), nn.ReLU(),
    nn.Flatten(), nn.Linear(32 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10),
)  # fmt: skip
loader = el.data.DataLoader(train, BATCH, shuffle=True, drop_last=True)
optimizer = el.optim.AdamW(model.parameters(), lr=RATE)
schedule = el.optim.OneCycleLR(optimizer, RATE, total_steps=EPOCHS * len(loader))


@el.jit
def train_step(images, labels):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images.float() / 255 - 0.5), labels)
    loss.backward()
    optimizer.step()
    schedule.step()
    return loss


@el.jit
def predict(images):
    return model(images.float() / 255 - 0.5).argmax(-1)


losses, start = [], time.perf_counter()
with Progress() as progress:
    task = progress.add_task("loss –.–––", total=EPOCHS * len(loader))
    for _ in range(EPOCHS):
        for images, labels in loader:
            losses.append(float(train_step(images, labels)))
            progress.update(task, advance=1, description=f"loss {np.mean(losses[-50:]):.3f}")
seconds = time.perf_counter() - start

model.eval()
confusion = np.zeros((10, 10), int)
for images, labels in el.data.DataLoader(test, 1000):
    np.add.at(confusion, (labels.numpy(), predict(images).numpy()), 1)
accuracy, speed = np.trace(confusion) / confusion.sum(), len(losses) * BATCH / seconds
print(f"test accuracy {accuracy:.2%} after {seconds:.1f} s of training, {speed:,.0f} images/s")

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
left.plot(losses, color="0.8")
left.plot(np.convolve(losses, np.ones(50) / 50, "valid"), color="C0")
left.set(title="training loss", xlabel="step", ylabel="cross entropy", yscale="log")
right.imshow(np.sqrt(confusion), cmap="Blues")
right.set(title=f"test accuracy {accuracy:.2%}", xlabel="predicted", ylabel="true")
right.set_xticks(range(10), classes, rotation=45, ha="right")
right.set_yticks(range(10), classes)
for (row, column), count in np.ndenumerate(confusion):
    right.text(column, row, count, ha="center", va="center", fontsize=7)
Path("demo").mkdir(exist_ok=True)
figure.savefig("demo/fashion_mnist.png", dpi=120)
print("picture: demo/fashion_mnist.png")
