"""Ten lines: a small network learns to tell the two arms of a spiral apart."""

import numpy as np

import elinvar as el
from elinvar import nn

angle = np.linspace(0.5, 10, 500, dtype=np.float32)
arm = np.stack([angle * np.cos(angle), angle * np.sin(angle)], 1) / 10
x = el.asarray(np.concatenate([arm, -arm]))  # (1000, 2)
y = el.arange(1000) // 500  # the arm each point is on

model = nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2))
optimizer = el.optim.AdamW(model.parameters(), lr=0.01)


@el.jit
def step():
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss


losses = [step().item() for _ in range(500)]
right = (model(x).argmax(-1) == y).float().mean().item()
print(f"loss {losses[0]:.3f} → {losses[-1]:.4f}, {right:.1%} of the points are told apart")
