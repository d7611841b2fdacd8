"""Trainings that are killed, starved of disk or damaged end with the bytes of an undisturbed one."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
from tiny_runs import Starter, TinyRun, make_demo_run, wait_for

from replication.runs.checkpoint import MANIFEST
from replication.runs.termination import ending_on_sigterm, termination_asked

FAMILIES = pytest.mark.parametrize("name", ["text", "pde"])


def checkpoints(run: TinyRun, folder: Path) -> list[Path]:
    """The sealed checkpoints, oldest first."""
    return sorted((run.folder(folder) / "checkpoints").glob("step-*"))


def die_after_checkpoints(starter: Starter, run: TinyRun, folder: Path, count: int = 2, number: int = signal.SIGKILL):
    """Run until so many checkpoints are written; the process then kills itself."""
    process = starter.start(run.arguments, folder, signal_after=(count, number))
    assert process.wait() == -number, process.output


def kill_at_random(
    starter: Starter, run: TinyRun, folder: Path, kills: int, draw: random.Random, longest: float
) -> int:
    """Kill and restart a training; the number of kills that hit it before it had finished."""
    hits = 0
    for _ in range(kills):
        process = starter.start(run.arguments, folder)
        wait_for((run.folder(folder) / ".lock").exists)
        time.sleep(draw.uniform(0, longest))
        hits += process.kill() == -signal.SIGKILL
    process = starter.start(run.arguments, folder)
    assert process.wait() == 0, process.output
    return hits


@FAMILIES
def test_kill_9_three_times(name, starter, tiny, undisturbed, tmp_path):
    expected, seconds = undisturbed(name)
    assert kill_at_random(starter, tiny(name), tmp_path, 3, random.Random(1), longest=seconds / 2) >= 1
    assert tiny(name).result(tmp_path) == expected
    assert not checkpoints(tiny(name), tmp_path)


@FAMILIES
def test_a_run_goes_on_from_its_checkpoint_and_does_not_begin_again(name, starter, tiny, whole, tmp_path):
    run = tiny(name)
    die_after_checkpoints(starter, run, tmp_path)
    last = checkpoints(run, tmp_path)[-1].name
    process = starter.start(run.arguments, tmp_path)
    assert process.wait() == 0, process.output
    assert f"resumed from {last}" in process.output
    assert run.result(tmp_path) == whole(name)
    finished = starter.start(run.arguments, tmp_path)
    assert finished.wait() == 0
    assert "already finished" in finished.output


@FAMILIES
def test_sigterm_as_a_scheduler_sends_it(name, starter, tiny, whole, tmp_path):
    run = tiny(name)
    # No checkpoint is due for days: the one that is there was written because the process had to end.
    seldom = run.with_(checkpoint_every_s=1e6)
    process = starter.start([*run.arguments, "--unseen", '{"checkpoint_every_s": 1e6}'], tmp_path)
    wait_for((run.folder(tmp_path) / "heartbeat.json").exists)
    assert process.kill(signal.SIGTERM) == 143, process.output
    assert "ended by SIGTERM; a checkpoint is saved" in process.output
    (last,) = checkpoints(seldom, tmp_path)
    process = starter.start(seldom.arguments, tmp_path)
    assert process.wait() == 0, process.output
    assert f"resumed from {last.name}" in process.output
    done, expected = seldom.result(tmp_path), whole(name)
    assert done["record"].pop("run")["hyper"] == {**expected["record"]["run"]["hyper"], "checkpoint_every_s": 1e6}
    assert done == {**expected, "record": {k: v for k, v in expected["record"].items() if k != "run"}}


@FAMILIES
def test_a_second_sigterm_ends_at_once(name, starter, tiny, tmp_path):
    run = tiny(name).with_(checkpoint_every_s=1e6)
    process = starter.start(run.arguments, tmp_path)
    wait_for((run.folder(tmp_path) / "heartbeat.json").exists)
    os.kill(process.pid, signal.SIGTERM)
    assert process.kill(signal.SIGTERM) in (-signal.SIGTERM, 143)
    assert process.starter.start(run.arguments, tmp_path).wait() == 0


def test_only_the_block_handles_sigterm():
    before = signal.getsignal(signal.SIGTERM)
    with ending_on_sigterm():
        assert signal.getsignal(signal.SIGTERM) is not before
        assert not termination_asked()
        signal.raise_signal(signal.SIGTERM)
        assert termination_asked()
        assert signal.getsignal(signal.SIGTERM) is before, "the next one kills"
    assert signal.getsignal(signal.SIGTERM) is before
    with ending_on_sigterm():
        assert not termination_asked()


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def largest(folder: Path) -> Path:
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: cut_short(largest(folder)),
        lambda folder: flip_a_bit(largest(folder)),
        lambda folder: largest(folder).unlink(),
        lambda folder: cut_short(folder / MANIFEST),
        lambda folder: (folder / MANIFEST).write_text("[]"),
        lambda folder: (folder / MANIFEST).unlink(),
    ],
    ids=["cut", "bit", "gone", "manifest-cut", "manifest-other", "manifest-gone"],
)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(damage, starter, tiny, whole, tmp_path):
    run = tiny("pde")
    die_after_checkpoints(starter, run, tmp_path)
    *_, before, newest = checkpoints(run, tmp_path)
    damage(newest)
    process = starter.start(run.arguments, tmp_path)
    assert process.wait() == 0, process.output
    assert f"checkpoint {newest.name} is skipped" in process.output
    assert f"resumed from {before.name}" in process.output
    assert run.result(tmp_path) == whole("pde")


def test_with_every_checkpoint_damaged_the_run_begins_again(starter, tiny, whole, tmp_path):
    run = tiny("pde")
    die_after_checkpoints(starter, run, tmp_path)
    for folder in checkpoints(run, tmp_path):
        cut_short(largest(folder))
    process = starter.start(run.arguments, tmp_path)
    assert process.wait() == 0, process.output
    assert "resumed from" not in process.output
    assert run.result(tmp_path) == whole("pde")


@FAMILIES
def test_a_full_disk_ends_the_job_and_spares_the_last_good_checkpoint(name, starter, tiny, whole, tmp_path):
    run = tiny(name)
    die_after_checkpoints(starter, run, tmp_path)
    good = checkpoints(run, tmp_path)[-1]
    # A write that fails in the middle of the largest file, as on a full disk.
    process = starter.start(run.arguments, tmp_path, largest_file=largest(good).stat().st_size // 2)
    assert process.wait() == 1
    assert process.output.strip().splitlines()[-1].startswith(("error: ", "unexpected error: "))
    assert "Traceback" not in process.output
    assert good in checkpoints(run, tmp_path)
    assert not (run.folder(tmp_path) / "metrics.json").exists()
    process = starter.start(run.arguments, tmp_path)
    assert process.wait() == 0, process.output
    assert f"resumed from {good.name}" in process.output
    assert run.result(tmp_path) == whole(name)
    assert not list(tmp_path.rglob("*tmp*")), "left-overs"


def test_a_second_writer_is_refused(starter, tiny, whole, tmp_path):
    run = tiny("pde")
    first = starter.start(run.arguments, tmp_path, signal_after=(1, signal.SIGSTOP))
    wait_for(lambda: checkpoints(run, tmp_path))
    second = starter.start(run.arguments, tmp_path)
    assert second.wait() == 2
    assert "another process is writing" in second.output
    time.sleep(0.1)  # a checkpoint is there before the process stops
    os.kill(first.pid, signal.SIGCONT)
    assert first.wait() == 0, first.output
    assert run.result(tmp_path) == whole("pde")


def test_several_seeds_in_one_job_end_with_the_bytes_of_a_job_each(starter, tiny, whole, tmp_path):
    run = tiny("pde")
    other = run.with_(seed=37)
    alone = tmp_path / "alone"
    alone.mkdir()
    assert starter.start(other.arguments, alone).wait() == 0
    process = starter.start(run.together(other), tmp_path)
    assert process.wait() == 0, process.output
    assert run.result(tmp_path) == whole("pde")
    assert other.result(tmp_path) == other.result(alone)


def test_a_killed_job_of_several_seeds_keeps_the_one_that_is_finished(starter, tiny, whole, tmp_path):
    run = tiny("pde")
    other = run.with_(seed=37)
    epochs = run.spec.hyper["epochs"]
    process = starter.start(run.together(other), tmp_path, signal_after=(epochs + 3, signal.SIGKILL))
    assert process.wait() == -signal.SIGKILL, process.output
    assert not (run.folder(tmp_path) / "metrics.json").exists(), "outputs appear when the whole job is over"
    process = starter.start(run.together(other), tmp_path)
    assert process.wait() == 0, process.output
    assert f"{run.spec.path}  already finished" in process.output
    assert f"{other.spec.path}  resumed from" in process.output
    assert run.result(tmp_path) == whole("pde")


def test_a_run_that_fails_does_not_keep_the_others_of_its_job_from_training(starter, tiny, tmp_path):
    run = tiny("pde")
    other = run.with_(seed=37)
    held = starter.start(run.arguments, tmp_path, signal_after=(1, signal.SIGSTOP))
    wait_for(lambda: checkpoints(run, tmp_path))
    process = starter.start(run.together(other), tmp_path)
    code = process.wait()
    os.kill(held.pid, signal.SIGKILL)
    held.wait()
    assert code == 2
    assert "another process is writing" in process.output
    process = starter.start(run.together(other), tmp_path)
    assert process.wait() == 0, process.output
    assert f"{other.spec.path}  already finished" in process.output


def test_changed_hyper_parameters_never_overwrite_another_run(starter, tiny, whole, tmp_path):
    run = tiny("pde")
    other = run.with_(lr=run.spec.hyper["lr"] / 2)
    assert starter.start(run.arguments, tmp_path).wait() == 0
    assert starter.start(other.arguments, tmp_path).wait() == 0
    assert other.result(tmp_path)["model.safetensors"] != whole("pde")["model.safetensors"]
    process = starter.start(run.arguments, tmp_path)
    assert process.wait() == 0
    assert "already finished" in process.output
    assert run.result(tmp_path) == whole("pde")


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("family", ["nlp", "sciml"])
def test_a_demo_run_killed_at_twenty_random_points(family, starter, root, tmp_path):
    run = make_demo_run(root, tmp_path, family)
    alone = tmp_path / "alone"
    alone.mkdir()
    started = time.monotonic()
    process = starter.start(run.arguments, alone)
    assert process.wait() == 0, process.output
    seconds = time.monotonic() - started
    expected = run.result(alone)
    draw, hits, trial = random.Random(2), 0, 0
    while hits < 20:
        trial += 1
        assert trial <= 20, "the kills come too late"
        folder = tmp_path / f"trial-{trial}"
        folder.mkdir()
        hits += kill_at_random(starter, run, folder, 5, draw, longest=seconds / 2)
        assert run.result(folder) == expected
    print(f"{run.spec.path}: {seconds:.1f} s undisturbed, {hits} kills in {trial} trials")
