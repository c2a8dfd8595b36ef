"""Learning on the device: export a training step, which main.c runs on whatever machine.

    python examples/native/export.py build/native [TARGET]
    cmake -S examples/native -B build/native/cmake -DSTEP_DIR=$PWD/build/native
    cmake --build build/native/cmake && build/native/cmake/learn build/native

writes step.o, step.h and step.weights, and spirals.bin: points on two spirals that must be told
apart. The C program starts from the exported weights, trains on batches of 100 (the last one of an
epoch is smaller), and prints the loss: the same digits as this script prints.
"""

import sys
from pathlib import Path

import numpy as np

import elinvar as el
from elinvar import nn

EPOCHS, BATCH = 30, 100


def spirals(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Points on two arms that wind around each other, and which arm each is on."""
    generator = el.Generator().manual_seed(1)
    turn = el.rand(count, generator=generator) * 3.5 + 0.4
    arm = el.randint(0, 2, (count,), generator=generator)
    angle = turn + arm * np.pi
    noise = el.randn(count, 2, generator=generator) * 0.1
    points = el.stack([turn * el.cos(angle), turn * el.sin(angle)], axis=1) + noise
    return points.to(el.float32).numpy(), arm.numpy()


def main(folder: Path, target: str) -> None:
    el.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(2, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(), nn.Dropout(0.05),
        nn.Linear(64, 2),
    )  # fmt: skip
    optimizer = el.optim.AdamW(model.parameters(), lr=0.01)

    def step(x, y):
        logits = model(x)
        loss = nn.functional.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, (logits.argmax(1) == y).sum()

    made = el.export_native(step, ("f32[batch,2]", "i64[batch]"), target, folder / "step")
    x, y = spirals(1050)
    with open(folder / "spirals.bin", "wb") as file:
        for array in (np.array([len(x)]), x, y):
            file.write(array.tobytes())
    print(f"wrote {made.object}, {made.header.name}, {made.weights and made.weights.name}")

    compiled = el.jit(step)
    for epoch in range(EPOCHS):
        right = 0
        for at in range(0, len(x), BATCH):
            loss, correct = compiled(el.asarray(x[at : at + BATCH]), el.asarray(y[at : at + BATCH]))
            right += correct.item()
        if epoch % 10 == 9:
            print(f"epoch {epoch + 1}: loss {loss.item():.9g}, {right} of {len(x)} right")


if __name__ == "__main__":
    place = Path(sys.argv[1] if len(sys.argv) > 1 else "build/native")
    place.mkdir(parents=True, exist_ok=True)
    main(place, sys.argv[2] if len(sys.argv) > 2 else "host")
