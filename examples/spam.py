"""A spam filter on 6,046 real mails: a small network over words beside the usual baselines.

    make spam                        fetches the mails and runs this
    python examples/spam.py [EPOCHS]

docs/spam.md says what was found, and which leaks were closed.
"""

import email
import email.policy
import hashlib
import html
import re
import sys
from collections import Counter

import numpy as np

import elinvar as el
from elinvar import nn

WORDS, LONGEST, WIDTH = 20_000, 1024, 32
WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+|[$!?£€]")
HIDDEN = re.compile(r"<!--.*?-->|<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)


def texts(message):
    """The parts of a mail that a reader sees, without the tags of HTML."""
    for part in message.walk():
        if part.get_content_maintype() != "text":
            continue
        content = part.get_payload(decode=True) or b""
        try:
            text = content.decode(part.get_content_charset() or "latin-1", "replace")
        except LookupError:  # no encoding that Python knows
            text = content.decode("latin-1")
        yield html.unescape(HIDDEN.sub(" ", text)) if part.get_content_subtype() == "html" else text


def words(content):
    """Words of the subject and the body. Other headers say which mailbox a mail came from."""
    message = email.message_from_bytes(content, policy=email.policy.compat32)
    subject = str(message.get("Subject", ""))
    subject = re.sub(r"^(\s*(re|fwd?|aw)\s*:|\s*\[[^\]]*\])+", "", subject, flags=re.IGNORECASE)
    return (
        ["subject:" + word for word in WORD.findall(subject.lower())],
        WORD.findall(" ".join(texts(message)).lower()),
    )


def split(mails):
    """(words, label) to learn from, and to test with.

    Mails with the same words (numbers aside) are taken once, whoever they were sent to. All mails
    of one subject, which are one thread or one campaign, are on one side, which the subject says.
    """
    seen, train, test = set(), [], []
    for mail in mails:
        subject, body = words(mail.content)
        letters = " ".join(word for word in body if not word.isdigit())
        if (print_of_body := hashlib.sha256(letters.encode()).digest()) in seen:
            continue
        seen.add(print_of_body)
        topic = " ".join(word for word in subject if not word[8:].isdigit()) or letters
        side = test if hashlib.sha256(topic.encode()).digest()[0] < 64 else train  # a quarter
        side.append((subject + body, mail.spam))
    return train, test


class Filter(nn.Module):
    """Words `(B, T)`, 0 for none → one logit: three words at a time, the strongest sign of each."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(WORDS + 2, WIDTH, padding_idx=0)
        self.signs = nn.Conv1d(WIDTH, 64, 3, padding=1)
        self.dropout, self.head = nn.Dropout(0.5), nn.Linear(64 + WIDTH, 1)

    def forward(self, tokens):
        there = (tokens != 0).float().unsqueeze(1)  # (B, 1, T)
        embedded = self.embedding(tokens).transpose(1, 2)  # (B, WIDTH, T)
        signs = (self.signs(embedded).relu() * there).amax(2)  # (B, 64)
        mean = embedded.sum(2) / there.sum(2).clamp(min=1)  # (B, WIDTH)
        return self.head(self.dropout(el.concat([signs, mean], axis=1))).squeeze(1)


def network(train, test, epochs):
    """Train the network; its trainer and the figures of the test mails."""
    counts = Counter(word for found, _ in train for word in set(found))
    number_of = {word: i + 2 for i, (word, _) in enumerate(counts.most_common(WORDS))}

    def numbered(sample):
        found = [number_of.get(word, 1) for word in sample[0][:LONGEST]] or [1]
        return np.array(found), sample[1]

    def batches(samples):
        chain = el.data.from_sequence(samples).shuffle(seed=0).map(numbered)
        edges = [64, 128, 256, 512, LONGEST]
        return chain.bucket(lambda s: len(s[0]), edges, 32, pad_to="edge")

    el.manual_seed(0)
    model = Filter()
    metrics = el.metrics
    trainer = el.Trainer(
        model,
        el.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01),
        "bce",
        metrics={
            "accuracy": "accuracy",
            "precision": metrics.Precision("binary"),
            "recall": metrics.Recall("binary"),
            "f1": metrics.F1("binary"),
            "auroc": metrics.AUROC(),
        },
    )
    trainer.fit(batches(train), epochs)
    return trainer, trainer.evaluate(batches(test))


def baselines(train, test):
    """What scikit-learn's usual filters reach with the same words of the same mails."""
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    kinds = {
        "naive Bayes": (CountVectorizer, MultinomialNB()),
        "logistic regression": (TfidfVectorizer, LogisticRegression(C=100, max_iter=1000)),
    }
    (x, y), (x_test, y_test) = zip(*train), zip(*test)
    for name, (counting, classifier) in kinds.items():
        counter = counting(analyzer=lambda found: found, max_features=WORDS)
        chances = make_pipeline(counter, classifier).fit(x, y).predict_proba(x_test)
        score, target = el.asarray(chances[:, 1] - 0.5), el.asarray(np.array(y_test))
        yield name, figures(score, target)


def figures(score, target):
    """All metrics of scores that are above 0 where they say spam."""
    kinds = {"precision": el.metrics.Precision, "recall": el.metrics.Recall, "f1": el.metrics.F1}
    found = {name: kind("binary")(score, target) for name, kind in kinds.items()}
    return {
        "accuracy": el.metrics.Accuracy()(score, target),
        **found,
        "auroc": el.metrics.AUROC()(score, target),
    }


def row(name, found):
    names = ("accuracy", "precision", "recall", "f1", "auroc")
    print(f"{name:20}" + "".join(f"  {key} {found[key]:.4f}" for key in names))


if __name__ == "__main__":
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    mails = el.data.spam_mails()
    train, test = split(mails)
    spam = sum(label for _, label in test)
    print(f"{len(mails)} mails: {len(train)} to learn from, {len(test)} to test ({spam} are spam)")
    trainer, found = network(train, test, epochs)
    row("network", found)
    for name, other in baselines(train, test):
        row(name, other)
