"""A GPT reads Moby-Dick letter by letter, and writes in its manner after every epoch.

    make gpt                                  fetches the book and runs this
    python examples/book_gpt.py [EPOCHS]      8 epochs without a number
    python examples/book_gpt.py 8 --resume   goes on where a stopped run was saved

docs/book.md has the figures. Source: Radford et al., "Language models are unsupervised multitask
learners" (2019).
"""

import math
import sys

import numpy as np

import elinvar as el
from elinvar import nn
from elinvar.nn import functional as F

numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
epochs = numbers[0] if numbers else 8
LENGTH, BATCH, WIDTH, HEADS, LAYERS = 128, 32, 128, 4, 4

chapters = el.data.moby_dick()
letters = sorted(set("".join(chapters)))
number_of = {letter: number for number, letter in enumerate(letters)}


def encode(text):
    """A text as numbers of letters, with an end of a line behind it."""
    return np.array([number_of[letter] for letter in text + "\n"])


def shifted(rows):
    """Rows of one more letter than LENGTH: what is read, and what comes next."""
    return rows[:, :-1], rows[:, 1:]


def rows(texts):
    """Chapters one after the other, cut into rows of LENGTH + 1 letters."""
    return el.data.from_sequence(texts).map(encode)


held = chapters[9::10]  # every tenth chapter is never trained on
read = [chapter for number, chapter in enumerate(chapters) if number % 10 != 9]
training = rows(read).shuffle(seed=0).pack(LENGTH + 1).batch(BATCH).map_batches(shifted)
validation = rows(held).pack(LENGTH + 1).batch(BATCH).map_batches(shifted)


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
    """Letters `(B, T)` → logits of the next letter `(B, letters, T)`, as cross entropy has them."""

    def __init__(self):
        super().__init__()
        self.token, self.position = nn.Embedding(len(letters), WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(letters))
        for weight in (self.token.weight, self.position.weight):
            nn.init.normal_(weight, std=0.02)

    def forward(self, tokens):
        x = self.token(tokens) + self.position.weight[: tokens.shape[1]]
        return self.head(self.norm(self.blocks(x))).transpose(1, 2)


class Writer(el.train.Callback):
    """Prints bits per letter and a few lines of the model's own after every epoch."""

    def __init__(self, beginning="The whale", count=300, temperature=0.7):
        self.beginning, self.count, self.temperature = beginning, count, temperature
        self.random = np.random.default_rng(0)  # its own, so that training has the same bits

    def on_epoch_end(self, trainer):
        bits = math.log2(trainer.logs["val_perplexity"])
        print(f"--- epoch {trainer.epoch}: {bits:.3f} bits per letter\n{self.write(trainer.model)}")

    def write(self, model):
        """The beginning, and what the model draws behind it."""
        written, text = list(encode(self.beginning)[:-1]), self.beginning
        predict = el.jit(model)
        for _ in range(self.count):
            window = np.zeros((1, LENGTH), np.int64)  # behind the last letter nothing is looked at
            recent = written[-LENGTH:]
            window[0, : len(recent)] = recent
            with el.no_grad():
                logits = predict(el.asarray(window))[0, :, len(recent) - 1].numpy()
            chances = np.exp((logits - logits.max()) / self.temperature, dtype=np.float64)
            written.append(self.random.choice(len(letters), p=chances / chances.sum()))
            text += letters[written[-1]]
        return text


if __name__ == "__main__":
    el.manual_seed(0)
    model = GPT()
    optimizer = el.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    count = sum(len(chapter) + 1 for chapter in read) // (LENGTH + 1)  # rows of an epoch
    steps = epochs * math.ceil(count / BATCH)
    trainer = el.Trainer(
        model,
        optimizer,
        "cross_entropy",
        metrics=["perplexity"],
        callbacks=[Writer(), el.train.Checkpoint("checkpoints/book")],
        schedule=el.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps),
        clip_norm=1.0,
        folder="checkpoints/book",
    )
    last = "checkpoints/book/last.safetensors" if "--resume" in sys.argv else None
    history = trainer.fit(training, epochs, validation=validation, resume=last)
    perplexity, seconds = history[-1]["val_perplexity"], sum(history["seconds"])
    bits = math.log2(perplexity)
    print(f"perplexity {perplexity:.3f}, {bits:.3f} bits per letter, {seconds:.0f} s of training")
