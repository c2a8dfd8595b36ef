"""Metrics of texts: BLEU as sacrebleu counts it, ROUGE as rouge-score does (the extra `text`)."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np

from elinvar.core.dtypes import float64
from elinvar.core.errors import DTypeError, ShapeError, ValueRangeError, fail
from elinvar.metrics.metric import Metric
from elinvar.tensor.storage import from_numpy
from elinvar.tensor.tensor import Tensor

Decode = Callable[[list[int]], str]


def _need(op: str, module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        text = f"[{op}] the package {package} is not installed"
        raise ModuleNotFoundError(f"{text}\n  hint: pip install elinvar[text]") from error


class _OfTexts(Metric):
    """A metric that compares texts with one or several references each.

    Args:
        decode: numbers of a row → text, for outputs and targets that are tensors.
    """

    compiled: ClassVar[bool] = False

    def __init__(self, decode: Decode | None = None) -> None:
        super().__init__()
        if decode is not None and not callable(decode):
            text = f"decode must be a function, received {type(decode).__name__}"
            fail(DTypeError, self.name, text)
        self.decode = decode

    def _texts(self, values: Any, what: str) -> list[Any]:
        if isinstance(values, str):
            text = f"{what} must be a list of texts, received one text"
            fail(DTypeError, self.name, text, "write [text]")
        if not isinstance(values, Tensor):
            return list(values)
        if self.decode is None:
            text = f"{what} is a tensor, {values._type}, and there is no decode"
            hint = f"{type(self).__name__}(decode=function from a list of numbers to a text)"
            fail(DTypeError, self.name, text, hint)
        return [self.decode(row) for row in values.numpy().tolist()]

    def _pairs(self, output: Any, target: Any) -> Iterator[tuple[str, list[str]]]:
        """Each text with its references."""
        if isinstance(output, Tensor) and output.dtype.is_floating:  # scores of tokens, (N, K, T)
            output = output.argmax(1)
        texts, wanted = self._texts(output, "output"), self._texts(target, "target")
        if len(texts) != len(wanted):
            fail(ShapeError, self.name, f"{len(texts)} texts, but references for {len(wanted)}")
        for number, (text, given) in enumerate(zip(texts, wanted)):
            references = [given] if isinstance(given, str) else list(given)
            if not references or not all(isinstance(x, str) for x in [text, *references]):
                found = f"{text!r:.40} with {given!r:.40}"
                hint = "expected a text with a text, or with a list of them"
                fail(DTypeError, self.name, f"sample {number} is {found}", hint)
            yield text, references


class BLEU(_OfTexts):
    """BLEU of all texts together, 0 to 100, by sacrebleu: bp · exp(Σₙ log pₙ / N), n = 1 … N.

    pₙ is the part of n-grams that a reference has, bp a penalty for texts that are too short. Only
    counts are kept, so that the figure does not depend on batches.

    Args:
        tokenize: how sacrebleu cuts texts: `"13a"` (its default), `"intl"`, `"zh"`, `"char"`,
            `"none"`.
        lowercase: whether case does not count.
        order: the N of the formula.
        decode: numbers of a row → text, where outputs and targets are tensors. Outputs with
            scores, (N, K, T), say the token with the greatest one.

    Source: Papineni et al., "BLEU" (2002); Post, "A call for clarity in reporting BLEU scores"
    (2018).
    """

    name: ClassVar[str] = "bleu"

    def __init__(
        self,
        tokenize: str = "13a",
        lowercase: bool = False,
        order: int = 4,
        decode: Decode | None = None,
    ) -> None:
        super().__init__(decode)
        if not isinstance(order, int) or order < 1:
            fail(ValueRangeError, self.name, f"order must be 1 or more, received {order!r}")
        self._library = _need(self.name, "sacrebleu.metrics", "sacrebleu").BLEU
        known = self._library.TOKENIZERS
        if tokenize not in known:
            text = f"there is no way {tokenize!r} to cut texts"
            fail(ValueRangeError, self.name, text, f"one of {', '.join(known)}")
        self.tokenize, self.lowercase, self.order = tokenize, lowercase, order
        self._counting = self._library(  # effective_order: no warning about short texts
            lowercase, tokenize=tokenize, max_ngram_order=order, effective_order=True
        )

    def update(self, output: Any, target: Any) -> None:
        """Count texts.

        Args:
            output: a list of texts.
            target: as many texts, or lists of them: several references for one text.
        """
        found = np.zeros(2 + 2 * self.order, np.int64)
        for text, references in self._pairs(output, target):
            score = self._counting.sentence_score(text, references)
            found += np.array([score.sys_len, score.ref_len, *score.counts, *score.totals])
        self.add("counts", from_numpy(found))

    def compute(self) -> float:
        """The figure; NaN if there were no texts."""
        counts = self.total("counts")
        if isinstance(counts, int) or not counts.any():
            return math.nan
        texts, references, *rest = counts.tolist()
        right, whole = rest[: self.order], rest[self.order :]
        score = self._library.compute_bleu(
            right, whole, texts, references, smooth_method="exp", max_ngram_order=self.order
        )
        return float(score.score)


class ROUGE(_OfTexts):
    """The mean of ROUGE's F over texts, 0 to 1, by rouge-score.

    F is the harmonic mean of precision and recall of what text and reference share: n-grams
    (`rouge1`, `rouge2`), or the longest common subsequence of words (`rougeL`; `rougeLsum` takes
    it line by line). Of several references the best one counts.

    Args:
        kind: `"rouge1"` … `"rouge9"`, `"rougeL"`, `"rougeLsum"`.
        stem: compare stems of English words.
        decode: see `BLEU`.

    Source: Lin, "ROUGE: A package for automatic evaluation of summaries" (2004).
    """

    name: ClassVar[str] = "rouge"

    def __init__(
        self, kind: str = "rougeL", stem: bool = False, decode: Decode | None = None
    ) -> None:
        super().__init__(decode)
        kinds = (*(f"rouge{n}" for n in range(1, 10)), "rougeL", "rougeLsum")
        if kind not in kinds:
            text = f"there is no {kind!r}"
            fail(ValueRangeError, self.name, text, "rouge1 … rouge9, rougeL or rougeLsum")
        library = _need(self.name, "rouge_score.rouge_scorer", "rouge-score")
        self.kind, self.stem = kind, stem
        self._counting = library.RougeScorer([kind], use_stemmer=stem)

    def update(self, output: Any, target: Any) -> None:
        """Count texts.

        Args:
            output: a list of texts.
            target: as many texts, or lists of them: several references for one text.
        """
        scores = [
            self._counting.score_multi(references, text)[self.kind].fmeasure
            for text, references in self._pairs(output, target)
        ]
        total = float(self.total("sum"))
        for score in scores:  # one after the other, whatever the batches
            total += score
        self.counter("sum", (), float64).assign(from_numpy(np.array(total)))
        self.add("all", from_numpy(np.array(len(scores))))

    def compute(self) -> float:
        """The mean; NaN if there were no texts."""
        count = self.total("all")
        return float(self.total("sum")) / count if count else math.nan
