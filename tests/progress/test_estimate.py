"""The time left, on a simulated run of the demo: long trainings and many short jobs, as their dependencies allow."""

from __future__ import annotations

import json

import pytest
from simulated import SEEDS, demo, planned, run

from snakemake_logger_plugin_tempbalance.estimate import START_UP_S, Job, Jobs, costs_of, earlier_seconds

#: Seconds of all operator runs and of all language runs on two cores, and the same after both became faster.
SIZES = [(1173.0, 1299.0), (480.0, 780.0)]


def late_ratios(seed: int, operators_s: float, text_s: float, earlier: dict[str, float] | None = None):
    """Estimated by true time left, from a third of the run to a minute before its end; None where none is shown."""
    tasks = demo(operators_s, text_s)
    shown = list(run(tasks, planned(tasks, earlier), seed=seed))
    end = shown[-1][0]
    return [left and left / (end - now) for now, left in shown if end / 3 < now < end - 60]


@pytest.mark.parametrize(("operators_s", "text_s"), SIZES)
def test_time_left_is_within_a_factor_of_one_and_a_half_from_a_third_of_the_run_on(operators_s, text_s):
    ratios = [ratio for seed in range(10) for ratio in late_ratios(seed, operators_s, text_s)]
    shown = [ratio for ratio in ratios if ratio is not None]
    assert len(shown) > 0.9 * len(ratios)
    assert sum(1 / 1.5 < ratio < 1.5 for ratio in shown) > 0.98 * len(shown)


def test_nothing_is_claimed_while_a_kind_of_training_is_to_come_that_nothing_is_known_of():
    tasks = demo(*SIZES[0])
    jobs = planned(tasks)
    before = [
        left
        for _, left in run(tasks, jobs, seed=0)
        if not any(group.startswith("train_nlp") for (group, _), _ in jobs.known)
    ]
    # It starts with the first heartbeat of a language run.
    assert before[0] is None
    assert before[-1] is not None


def test_seconds_of_earlier_calls_give_an_estimate_from_the_start():
    tasks = demo(*SIZES[0])
    earlier = {"train_sciml" + SEEDS: SIZES[0][0] / 35, "train_nlp" + SEEDS: SIZES[0][1] / 6, "simulate": 37.0}
    jobs = planned(tasks, earlier)
    shown = list(run(tasks, jobs, seed=1))
    assert shown[4][1] is not None
    assert late_ratios(1, *SIZES[0], earlier)[0] == pytest.approx(1.0, rel=0.5)


def test_mean_seconds_of_a_rule_are_read_from_snakemakes_records(tmp_path):
    (tmp_path / "deep").mkdir()
    for name, end in (("a", 10.0), ("deep/b", 20.0)):
        (tmp_path / name).write_text(json.dumps({"rule": "train", "starttime": 0.0, "endtime": end}))
    (tmp_path / "c").write_text('{"rule": "subset", "starttime": null, "endtime": 3}')
    (tmp_path / "d").write_text("{")
    assert earlier_seconds(tmp_path) == {"train": 15.0}
    assert earlier_seconds(tmp_path / "none") == {}


def seconds_of(work, alike, others):
    start_up, per_work = costs_of(alike, others)
    return start_up + per_work * work


def test_a_job_takes_start_up_and_what_its_work_takes():
    # Two jobs of its group tell both; one alone is assumed to have needed the usual start-up.
    assert seconds_of(4.0, [(7.0, 1.0), (9.0, 2.0)], []) == pytest.approx(13.0)
    assert seconds_of(4.0, [(START_UP_S + 2.0, 1.0)], []) == pytest.approx(START_UP_S + 8.0)
    assert seconds_of(4.0, [(1.0, 1.0)], []) == pytest.approx(1.0)
    # More work never takes less time, and start-up never takes less than none.
    assert seconds_of(4.0, [(9.0, 1.0), (7.0, 2.0)], []) == pytest.approx(8.0)
    assert seconds_of(0.5, [(1.0, 1.0), (9.0, 2.0)], []) > 0


def test_the_first_job_of_a_group_is_judged_by_other_groups_of_its_rule():
    others = [(START_UP_S + 20.0, 10.0), (START_UP_S + 10.0, 5.0)]
    assert seconds_of(1.0, [], others) == pytest.approx(START_UP_S + 2.0)


def submitted(count: int, started: float = 0.0) -> Jobs:
    """Trainings that were all submitted at once."""
    jobs = Jobs(total=count)
    for number in range(count):
        jobs.start(Job(number, "train", started=started))
    return jobs


def test_jobs_that_wait_in_a_clusters_queue_count_by_the_rate_at_which_jobs_end():
    jobs = submitted(16)
    for number in range(8):  # two at once run, 10 s each
        jobs.finish(number, 10.0 * (1 + number // 2))
    assert jobs.time_left(40.0, {}) == pytest.approx(40.0)


def test_a_heartbeat_gives_an_estimate_before_any_job_is_done():
    jobs = submitted(1)
    jobs.waiting["train", 1.0] = 2
    # A quarter in 10 s: 30 s to go in this one, 40 s for each of the two that wait.
    assert jobs.time_left(10.0, {0: 0.25}) == pytest.approx(110.0)
    assert submitted(1).time_left(10.0, {}) is None
