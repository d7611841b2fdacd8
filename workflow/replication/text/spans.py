"""Extractive question answering (SQuAD v1.1): windows over long contexts, and answers from logits."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

#: Tokens that neighbouring windows share, candidates looked at per window, and the longest answer in tokens: the
#: values of the transformers question-answering example.
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
    """First and last token of the characters [start, end) in a window; the first token (CLS) where it is not there."""
    offsets = encoded["offset_mapping"][window]
    inside = [token for token, part in enumerate(encoded.sequence_ids(window)) if part == 1]
    covered = [token for token in inside if offsets[token][0] < end and offsets[token][1] > start]
    if not covered or offsets[inside[0]][0] > start or offsets[inside[-1]][1] < end:
        return 0, 0
    return covered[0], covered[-1]


def encode_spans(tokenizer: Any, max_length: int, columns: Columns) -> tuple[dict[str, list[Any]], int]:
    """Windows of question and context with start and end token of the first answer, for training and evaluation.

    Returns the columns, and how many rows needed more than one window. ``row`` is the question's number, and
    ``offsets`` the characters of each context token ([-1, -1] elsewhere).
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
    over = sum(count > 1 for count in Counter(rows).values())
    return {name: encoded[name] for name in names} | {
        "start_positions": starts, "end_positions": ends, "row": list(rows), "offsets": offsets,
    }, over  # fmt: skip


def _best_span(start: np.ndarray, end: np.ndarray, offsets: Sequence[Sequence[int]]) -> tuple[float, int, int]:
    """Highest start + end logit over valid pairs; (score, first character, end character)."""
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
    """The answer text of each question: its best span over all of its windows.

    Args:
        start: start logits [tokens] of each window.
        end: end logits [tokens] of each window.
        rows: question of each window.
        offsets: characters of each window's tokens.
        contexts: one per question.
    """
    found: dict[int, tuple[float, int, int]] = {}
    for window, row in enumerate(rows):
        span = _best_span(start[window], end[window], offsets[window])
        if row not in found or span[0] > found[row][0]:
            found[row] = span
    return [contexts[row][found[row][1] : found[row][2]] if row in found else "" for row in range(len(contexts))]


def normalise(text: str) -> str:
    """SQuAD's normal form: lower case, no punctuation, no articles, single spaces."""
    text = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def exact_match(predicted: str, true: str) -> float:
    """1 where the normal forms agree."""
    return float(normalise(predicted) == normalise(true))


def token_f1(predicted: str, true: str) -> float:
    """F1 over the words of the normal forms."""
    one, other = normalise(predicted).split(), normalise(true).split()
    same = sum((Counter(one) & Counter(other)).values())
    return 2 * same / (len(one) + len(other)) if same else float(one == other)


def squad_scores(predicted: Sequence[str], answers: Sequence[Sequence[str]]) -> dict[str, float]:
    """SQuAD v1.1's EM and F1 as fractions of 1: per question the best over its accepted answers, then the mean."""
    best = {
        name: [max((function(text, answer) for answer in accepted), default=0.0) for text, accepted in pairs]
        for name, function in (("span_exact_match", exact_match), ("span_f1", token_f1))
        for pairs in [list(zip(predicted, answers, strict=True))]
    }
    return {name: float(np.mean(values)) for name, values in best.items()}
