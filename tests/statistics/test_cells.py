"""What cells are told apart by."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from replication.statistics.cells import ROLLOUT, predicted_frames_only


@pytest.mark.parametrize("diverged", [0, 1])
def test_a_diverged_run_does_not_hide_which_frames_a_score_counts(diverged):
    scores = {"darcy": [0.2, 0.3], "flow": [0.1, 0.1]}
    rollout = {"darcy": [0.2, 0.3], "flow": [0.19, 0.19]}
    for values in (*scores.values(), *rollout.values()):
        values[diverged] = math.nan
    runs = pd.concat(
        pd.DataFrame({"dataset": name, "score": scores[name], ROLLOUT: rollout[name]}, index=[7, 8]) for name in scores
    ).reset_index(drop=True)
    assert predicted_frames_only(runs).tolist() == [True, True, False, False]


def test_scores_without_frames_count_none_alone():
    language = pd.DataFrame({"dataset": ["sst2"], "score": [0.9]})
    assert predicted_frames_only(language).tolist() == [False]
    assert predicted_frames_only(language.assign(**{ROLLOUT: math.nan})).tolist() == [False]
    every_run_diverged = pd.DataFrame({"dataset": ["darcy"], "score": [math.nan], ROLLOUT: [math.nan]})
    assert predicted_frames_only(every_run_diverged).tolist() == [False]
