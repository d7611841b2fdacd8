"""Extractive question answering (SQuAD v1.1): windows over long contexts, answers from logits, scores."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
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


def _answer_tokens(offsets: Sequence[Sequence[int]], start: int, end: int) -> tuple[int, int]:
    """First and last token of the characters [start, end) in a window; 0 (CLS) for both if they are not in it."""
    inside = [token for token, (first, _) in enumerate(offsets) if first >= 0]
    covered = [token for token in inside if offsets[token][0] < end and offsets[token][1] > start]
    if not covered or offsets[inside[0]][0] > start or offsets[inside[-1]][1] < end:
        return 0, 0
    return covered[0], covered[-1]


def encode_spans(tokenizer: Any, max_length: int, columns: Columns) -> tuple[Columns, int]:
    """Windows of question and context, with start and end token of the first answer.

    Returns the columns, and the number of rows with more than one window. ``row`` is the number of the question, and
    ``offsets`` are the characters of each context token ([-1, -1] for other tokens).
    """
    encoded = _windows(tokenizer, max_length, columns)
    rows, characters = encoded.pop("overflow_to_sample_mapping"), encoded.pop("offset_mapping")
    parts = [encoded.sequence_ids(window) for window in range(len(rows))]
    offsets = [
        [list(pair) if part == 1 else [-1, -1] for pair, part in zip(*window, strict=True)]
        for window in zip(characters, parts, strict=True)
    ]
    positions = []
    for window, row in zip(offsets, rows, strict=True):
        text = next(iter(columns["answers"][row]), "")
        begin = columns["starts"][row][0] if text else 0
        positions.append(_answer_tokens(window, begin, begin + len(text)))
    starts, ends = zip(*positions, strict=True)
    truncated = sum(count > 1 for count in Counter(rows).values())
    return {**encoded, "start_positions": starts, "end_positions": ends, "row": rows, "offsets": offsets}, truncated


def _spans(start: np.ndarray, end: np.ndarray, offsets: Sequence[Sequence[int]]) -> Iterator[tuple[float, int, int]]:
    """Valid spans of a window: (sum of start and end logit, first character, end character)."""
    usable = [token for token, (first, _) in enumerate(offsets) if first >= 0]
    firsts = sorted(usable, key=lambda token: -start[token])[:N_BEST]
    lasts = sorted(usable, key=lambda token: -end[token])[:N_BEST]
    for first, last in product(firsts, lasts):
        if first <= last < first + MAX_ANSWER_TOKENS:
            yield float(start[first] + end[last]), offsets[first][0], offsets[last][1]


def answers_from_logits(
    start: Sequence[np.ndarray],
    end: Sequence[np.ndarray],
    rows: Sequence[int],
    offsets: Sequence[Any],
    contexts: Sequence[str],
) -> list[str]:
    """The answer to each question: the span with the highest score over all of its windows, or "" without windows.

    ``start`` and ``end`` are the logits ``[tokens]`` of each window, ``rows`` the number of its question, ``offsets``
    the characters of its tokens. ``contexts`` has one text per question.
    """
    best = [(-np.inf, 0, 0)] * len(contexts)
    for row, *window in zip(rows, start, end, offsets, strict=True):
        for span in _spans(*window):
            if span[0] > best[row][0]:
                best[row] = span
    return [context[first:end] for context, (_, first, end) in zip(contexts, best, strict=True)]


def normalise(text: str) -> str:
    """Normalise an answer as SQuAD does: lower case, no punctuation, no articles, single spaces."""
    text = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def token_f1(predicted: str, true: str) -> float:
    """F1 over the words of the normalised answers."""
    one, other = normalise(predicted).split(), normalise(true).split()
    same = sum((Counter(one) & Counter(other)).values())
    return 2 * same / (len(one) + len(other)) if same else float(one == other)


def squad_scores(predicted: Sequence[str], answers: Sequence[Sequence[str]]) -> dict[str, float]:
    """SQuAD v1.1's EM and F1 as fractions of 1: the mean over questions of the best score over accepted answers."""
    pairs = list(zip(predicted, answers, strict=True))
    exact = [normalise(text) in map(normalise, accepted) for text, accepted in pairs]
    f1 = [max((token_f1(text, one) for one in accepted), default=0.0) for text, accepted in pairs]
    return {"span_exact_match": float(np.mean(exact)), "span_f1": float(np.mean(f1))}
