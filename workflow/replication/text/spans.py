"""Extractive question answering (SQuAD v1.1): windows over long contexts, answers from logits, scores."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

#: Tokens that neighbouring windows share, candidates per window, and the longest answer in tokens, as in the
#: question-answering example of transformers.
STRIDE = 128
N_BEST = 20
MAX_ANSWER_TOKENS = 30

Columns = Mapping[str, list[Any]]


def _windows(tokenizer: Any, max_length: int, columns: Columns) -> Any:
    return tokenizer(
        [question.strip() for question in columns["question"]],
        columns["context"],
        truncation="only_second",
        max_length=max_length,
        stride=min(STRIDE, max_length // 3),
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )


def _answer_tokens(encoded: Any, window: int, start: int, end: int) -> tuple[int, int]:
    """First and last token of the characters [start, end) in a window; 0 (CLS) for both if they are not in it."""
    offsets = encoded["offset_mapping"][window]
    inside = [token for token, part in enumerate(encoded.sequence_ids(window)) if part == 1]
    covered = [token for token in inside if offsets[token][0] < end and offsets[token][1] > start]
    if not covered or offsets[inside[0]][0] > start or offsets[inside[-1]][1] < end:
        return 0, 0
    return covered[0], covered[-1]


def encode_spans(tokenizer: Any, max_length: int, columns: Columns) -> tuple[dict[str, list[Any]], int]:
    """Windows of question and context, with start and end token of the first answer.

    Returns the columns, and the number of rows with more than one window. ``row`` is the number of the question, and
    ``offsets`` are the characters of each context token ([-1, -1] for other tokens).
    """
    encoded = _windows(tokenizer, max_length, columns)
    rows = encoded["overflow_to_sample_mapping"]
    starts, ends, offsets = [], [], []
    for window, row in enumerate(rows):
        begin = columns["starts"][row][0] if columns["starts"][row] else 0
        text = columns["answers"][row][0] if columns["answers"][row] else ""
        first, last = _answer_tokens(encoded, window, begin, begin + len(text)) if text else (0, 0)
        starts.append(first)
        ends.append(last)
        parts = encoded.sequence_ids(window)
        characters = encoded["offset_mapping"][window]
        offsets.append([list(pair) if part == 1 else [-1, -1] for pair, part in zip(characters, parts, strict=True)])
    names = [name for name in encoded if name not in ("overflow_to_sample_mapping", "offset_mapping")]
    truncated = sum(count > 1 for count in Counter(rows).values())
    return {name: encoded[name] for name in names} | {
        "start_positions": starts, "end_positions": ends, "row": list(rows), "offsets": offsets,
    }, truncated  # fmt: skip


def _best_span(start: np.ndarray, end: np.ndarray, offsets: Sequence[Sequence[int]]) -> tuple[float, int, int]:
    """The valid span with the highest sum of start and end logit: (score, first character, end character)."""
    best = (-np.inf, 0, 0)
    usable = [token for token, (first, _) in enumerate(offsets) if first >= 0]
    firsts = sorted(usable, key=lambda token: -start[token])[:N_BEST]
    lasts = sorted(usable, key=lambda token: -end[token])[:N_BEST]
    for first in firsts:
        for last in lasts:
            if first <= last < first + MAX_ANSWER_TOKENS:
                score = float(start[first] + end[last])
                if score > best[0]:
                    best = (score, offsets[first][0], offsets[last][1])
    return best


def answers_from_logits(
    start: Sequence[np.ndarray],
    end: Sequence[np.ndarray],
    rows: Sequence[int],
    offsets: Sequence[Any],
    contexts: Sequence[str],
) -> list[str]:
    """The answer to each question: the best span over all of its windows.

    Args:
        start: start logits ``[tokens]`` of each window.
        end: end logits ``[tokens]`` of each window.
        rows: number of each window's question.
        offsets: characters of each window's tokens.
        contexts: context of each question.
    """
    found: dict[int, tuple[float, int, int]] = {}
    for window, row in enumerate(rows):
        span = _best_span(start[window], end[window], offsets[window])
        if row not in found or span[0] > found[row][0]:
            found[row] = span
    return [contexts[row][found[row][1] : found[row][2]] if row in found else "" for row in range(len(contexts))]


def normalise(text: str) -> str:
    """Normalise an answer as SQuAD does: lower case, no punctuation, no articles, single spaces."""
    text = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def exact_match(predicted: str, true: str) -> float:
    """1 if the normalised answers are equal, otherwise 0."""
    return float(normalise(predicted) == normalise(true))


def token_f1(predicted: str, true: str) -> float:
    """F1 over the words of the normalised answers."""
    one, other = normalise(predicted).split(), normalise(true).split()
    same = sum((Counter(one) & Counter(other)).values())
    return 2 * same / (len(one) + len(other)) if same else float(one == other)


def squad_scores(predicted: Sequence[str], answers: Sequence[Sequence[str]]) -> dict[str, float]:
    """SQuAD v1.1's EM and F1 as fractions of 1: the mean over questions of the best score over accepted answers."""
    pairs = list(zip(predicted, answers, strict=True))

    def mean_of_best(metric: Callable[[str, str], float]) -> float:
        return float(np.mean([max((metric(text, a) for a in accepted), default=0.0) for text, accepted in pairs]))

    return {"span_exact_match": mean_of_best(exact_match), "span_f1": mean_of_best(token_f1)}
