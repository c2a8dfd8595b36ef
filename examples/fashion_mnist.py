"""A small convolutional network learns Fashion-MNIST. `make demo` runs this."""

import time

import numpy as np
from pictures import draw
from rich.progress import Progress

import elinvar as el
from elinvar import nn

epochs, batch, rate = 4, 128, 5e-3
try:
    train, test = el.data.fashion_mnist("train"), el.data.fashion_mnist("test")
    classes = el.data.FASHION_CLASSES
except FileNotFoundError as missing:
    print(f"{str(missing).splitlines()[0]}; training on scikit-learn's digits instead")
    train, test, epochs = el.data.digits("train", 28), el.data.digits("test", 28), 30
    classes = tuple("0123456789")

el.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(16), nn.ReLU(),
    nn.Conv2d(16, 32, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(32), nn.ReLU(),
    nn.Flatten(), nn.Linear(32 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10),
)  # fmt: skip
loader = el.data.DataLoader(train, batch, shuffle=True, drop_last=True)
optimizer = el.optim.AdamW(model.parameters(), lr=rate)
schedule = el.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * len(loader))


@el.jit
def train_step(images, labels):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(images.float() / 255 - 0.5), labels)
    loss.backward()
    optimizer.step()
    schedule.step()
    return loss


losses, start = [], time.perf_counter()
with Progress() as progress:
    task = progress.add_task("", total=epochs * len(loader))
    for _ in range(epochs):
        for images, labels in loader:
            losses.append(train_step(images, labels).item())
            progress.update(task, advance=1, description=f"loss {np.mean(losses[-50:]):.3f}")
seconds = time.perf_counter() - start

predict = el.jit(lambda images: model(images.float() / 255 - 0.5).argmax(-1))
model.eval()
confusion = np.zeros((10, 10), int)
for images, labels in el.data.DataLoader(test, 1000):
    np.add.at(confusion, (labels.numpy(), predict(images).numpy()), 1)
accuracy, speed = np.trace(confusion) / len(test[1]), len(losses) * batch / seconds
print(f"test accuracy {accuracy:.2%}, {seconds:.1f} s of training, {speed:,.0f} images/s")
draw("demo/fashion_mnist.png", losses, confusion, classes)
print("picture: demo/fashion_mnist.png")
