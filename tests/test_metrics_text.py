"""BLEU and ROUGE, beside the libraries on their own."""

import sys

import numpy as np
import pytest

import elinvar as el
from elinvar.core.errors import DTypeError, ShapeError, ValueRangeError

TEXTS = [
    "the cat sat on the mat .",
    "a dog ran through the old town at night",
    "It was the best of times, it was the worst of times.",
    "no",
    "",
    "whales swim; the captain's leg is ivory",
]
REFERENCES = [
    "the cat sat on the mat.",
    "a dog was running through the town by night",
    "It was the best of times, it was the age of wisdom.",
    "yes",
    "something should be here",
    "the captain's leg is made of ivory, and whales swim",
]
MORE = ["a cat is on the mat", "the dog ran at night", "It was winter.", "no", "here", "whales"]
CUTS = ([6], [1, 5], [2, 2, 2], [1] * 6)


def streamed(metric, texts, references, sizes):
    metric.reset()
    start = 0
    for size in sizes:
        metric.update(texts[start : start + size], references[start : start + size])
        start += size
    return metric.compute()


@pytest.mark.parametrize("options", [{}, {"lowercase": True}, {"tokenize": "char"}, {"order": 2}])
def test_bleu_is_sacrebleu(options: dict[str, object]) -> None:
    library = pytest.importorskip("sacrebleu.metrics")
    wanted = {**options, "max_ngram_order": options.get("order", 4)}
    wanted.pop("order", None)
    metric = el.metrics.BLEU(**options)
    one = library.BLEU(**wanted).corpus_score(TEXTS, [REFERENCES]).score
    two = library.BLEU(**wanted).corpus_score(TEXTS, [REFERENCES, MORE]).score
    for sizes in CUTS:
        assert streamed(metric, TEXTS, REFERENCES, sizes) == one
        assert streamed(metric, TEXTS, list(zip(REFERENCES, MORE)), sizes) == two
    assert 0 < one < 100 and metric(TEXTS, TEXTS) == pytest.approx(100)
    assert metric(["x y z u"], ["a b c d"]) == library.BLEU(**wanted).corpus_score(["x y z u"], [["a b c d"]]).score


@pytest.mark.parametrize("kind", ["rouge1", "rouge2", "rougeL", "rougeLsum"])
@pytest.mark.parametrize("stem", [False, True])
def test_rouge_is_rouge_score(kind: str, stem: bool) -> None:
    library = pytest.importorskip("rouge_score.rouge_scorer")
    scorer = library.RougeScorer([kind], use_stemmer=stem)
    metric = el.metrics.ROUGE(kind, stem)
    one = [scorer.score(b, a)[kind].fmeasure for a, b in zip(TEXTS, REFERENCES)]
    two = [scorer.score_multi(b, a)[kind].fmeasure for a, b in zip(TEXTS, zip(REFERENCES, MORE))]
    for sizes in CUTS:
        assert streamed(metric, TEXTS, REFERENCES, sizes) == sum(one) / 6
        assert streamed(metric, TEXTS, list(zip(REFERENCES, MORE)), sizes) == sum(two) / 6
    assert 0 < sum(one) < 6


@pytest.mark.parametrize("name", ["bleu", "rouge"])
def test_state_and_bad_input(name: str) -> None:
    pytest.importorskip("sacrebleu")
    pytest.importorskip("rouge_score")
    metric, other = el.metrics.get(name), el.metrics.get(name)
    assert np.isnan(metric.compute())
    metric.update(TEXTS[:2], REFERENCES[:2])
    other.load_state_dict(metric.state_dict())
    for each in (metric, other):
        each.update(TEXTS[2:], REFERENCES[2:])
    assert metric.compute() == other.compute()
    with pytest.raises(ShapeError, match=rf"\[{name}\] 2 texts, but references for 1"):
        metric.update(TEXTS[:2], REFERENCES[:1])
    with pytest.raises(DTypeError, match="output must be a list of texts, received one text"):
        metric.update("a text", ["a text"])
    with pytest.raises(DTypeError, match=r"sample 1 is 3 with 'b'"):
        metric.update(["a", 3], ["a", "b"])
    with pytest.raises(DTypeError, match=r"output is a tensor, .* and there is no decode"):
        metric.update(el.zeros((2, 3), dtype=el.int64), ["a", "b"])
    with pytest.raises(ValueRangeError, match="order must be 1 or more"):
        el.metrics.BLEU(order=0)
    with pytest.raises(ValueRangeError, match="there is no way 'words'"):
        el.metrics.BLEU("words")
    with pytest.raises(ValueRangeError, match="there is no 'rougeX'"):
        el.metrics.ROUGE("rougeX")


def test_of_tensors_in_a_trainer() -> None:
    """A model that gives scores of tokens, (N, K, T), and targets that are tokens."""
    pytest.importorskip("sacrebleu")
    words = ["a", "b", "c", "d", "e"]

    def decode(row: list[int]) -> str:
        return " ".join(words[number] for number in row)

    tokens = el.asarray(np.random.default_rng(0).integers(0, 5, (7, 8)))

    class Scores(el.nn.Module):
        def forward(self, numbers):
            return el.nn.functional.one_hot(numbers, 5).float().transpose(1, 2)

    trainer = el.Trainer(Scores(), metrics=[el.metrics.BLEU(decode=decode)])
    assert trainer.evaluate((tokens, tokens), batch_size=3)["bleu"] == pytest.approx(100)
    assert trainer.evaluate((tokens, (tokens + 1) % 5))["bleu"] < 50


@pytest.mark.parametrize(("name", "module", "package"), [("bleu", "sacrebleu.metrics", "sacrebleu"), ("rouge", "rouge_score.rouge_scorer", "rouge-score")])
def test_the_extra_is_missing(name: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=rf"\[{name}\] the package {package} is not installed\n.*elinvar\[text\]"):
        el.metrics.get(name)
