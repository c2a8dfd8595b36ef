"""A character GPT reads a real book and then writes in its manner.

    make gpt                                   fetches the King James Bible (Debian) and runs this
    python examples/char_gpt.py book.txt 500   any text, any number of steps
    python examples/char_gpt.py                without a book: Python's own language reference

Source: Radford et al., "Language models are unsupervised multitask learners" (2019).
"""

import importlib
import sys
import time
from pathlib import Path

import numpy as np
from rich.progress import Progress

import elinvar as el
from elinvar import nn
from elinvar.nn import functional as F


def read_text(path: Path) -> str:
    """The book, or without one what every Python has: the chapters of its language reference."""
    if len(sys.argv) > 1 or path.exists():
        return path.read_text(encoding="utf-8", errors="replace")
    print(f"{path} is not there (`make gpt` fetches it): reading Python's language reference")
    return "\n".join(importlib.import_module("pydoc_data.topics").topics.values())


text = read_text(Path(sys.argv[1] if len(sys.argv) > 1 else ".data/book.txt"))
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
letters = sorted(set(text))
number_of = {letter: number for number, letter in enumerate(letters)}
numbers = np.array([number_of[letter] for letter in text])
LENGTH, BATCH, WIDTH, HEADS, LAYERS = 96, 16, 128, 4, 3


class Block(nn.Module):
    """Attention, then a small network, each added to what came in."""

    def __init__(self):
        super().__init__()
        self.attention_norm, self.mlp_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.to_qkv, self.from_heads = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )

    def forward(self, x):
        batch, length, _ = x.shape
        qkv = self.to_qkv(self.attention_norm(x)).reshape(batch, length, 3, HEADS, -1)
        q, k, v = (qkv[:, :, i].transpose(1, 2) for i in range(3))  # (B, heads, T, head_dim)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.from_heads(mixed.transpose(1, 2).reshape(batch, length, WIDTH))
        return x + self.mlp(self.mlp_norm(x))


class GPT(nn.Module):
    """Tokens `(B, T)` → logits of the next token `(B, T, vocabulary)`."""

    def __init__(self):
        super().__init__()
        self.token = nn.Embedding(len(letters), WIDTH)
        self.position = nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(letters))

    def forward(self, tokens):
        x = self.token(tokens) + self.position.weight[: tokens.shape[1]]
        return self.head(self.norm(self.blocks(x)))


el.manual_seed(0)
model = GPT()
optimizer = el.optim.AdamW(model.parameters(), lr=2e-3)
schedule = el.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)


@el.jit
def train_step(inputs, targets):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(inputs).reshape(-1, len(letters)), targets.reshape(-1))
    loss.backward()
    optimizer.step()
    schedule.step()
    return loss


@el.jit
def next_letter(window, position):
    logits = model(window)[0, position] / 0.8
    noise = -el.log(-el.log(el.rand(len(letters)) + 1e-9))  # Gumbel: argmax draws from softmax
    return (logits + noise).argmax()


random, start, loss = np.random.default_rng(0), time.perf_counter(), float("nan")
with Progress() as progress:
    task = progress.add_task("", total=steps)
    for _ in range(steps):
        places = random.integers(0, len(numbers) - LENGTH - 1, BATCH)
        rows = np.stack([numbers[place : place + LENGTH + 1] for place in places])
        loss = train_step(el.asarray(rows[:, :-1]), el.asarray(rows[:, 1:])).item()
        progress.update(task, advance=1, description=f"loss {loss:.3f}")
seconds = time.perf_counter() - start
print(f"loss {loss:.3f}, {steps * BATCH * LENGTH / seconds:,.0f} letters/s, {seconds:.0f} s\n")

model.eval()
written = [number_of[letter] for letter in text[:4]]
for _ in range(400):
    window = np.zeros((1, LENGTH), np.int64)
    recent = written[-LENGTH:]
    window[0, : len(recent)] = recent
    written.append(int(next_letter(el.asarray(window), len(recent) - 1).item()))
print("".join(letters[number] for number in written))
