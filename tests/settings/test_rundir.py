"""A run on disk: publishing, locking, checkpoints, records read back."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from replication.errors import BusyError, DataError
from replication.runs.checkpoint import Checkpoints, write_atomically
from replication.runs.records import read_record, runs_table, stacked_table
from replication.runs.rundir import RunDir
from replication.runs.select import adopt, choose_trial, write_selection
from replication.settings.spec import RunSpec

SPEC = RunSpec("study", "sciml", "demo", "fno", "pde", 0.5, "tb", 1, hyper={"lr": 1e-3}, stand_in="small")


def result(score: float, **more):
    return {
        "status": "finished",
        "primary": "nrmse",
        "higher_is_better": False,
        "metrics": {
            "test": {"selected": {"nrmse": score}, "final": {"nrmse": score + 1}, "paper": None},
            "val": {"selected": {"nrmse": score - 0.01}},
        },
        "selected_epoch": 2,
        "epochs": 3,
        "n_train": 8,
        "n_parameters": 10,
        **more,
    }


def finish(results, spec, score=0.5, **more):
    with RunDir.open(spec, results, inputs={"data": "abc"}) as run:
        run.history(epoch=1, loss=0.1)
        run.spectra([{"epoch": 1, "layer": "w0", "block": "w0", "alpha": 2.5, "lr": 1e-3}])
        run.finish(
            result(score, **more), model={"w0": torch.ones(2, 2)}, initial_eigenvalues={"w0": np.array([1.0, 2.0])}
        )
    return run


def test_a_finished_run_is_published_with_its_provenance(tmp_path):
    run = finish(tmp_path, SPEC)
    record = read_record(run.public / "metrics.json")
    assert record["run"]["seed"] == 1
    assert record["config_hash"] == run.run_hash
    assert record["provenance"]["packages"]["torch"].startswith(torch.__version__.split("+")[0])
    assert record["wall_s"] >= 0
    assert list(csv.DictReader((run.public / "history.csv").open())) == [{"epoch": "1", "loss": "0.1"}]
    assert not (run.folder / "checkpoints").exists()


def test_another_configuration_does_not_touch_a_finished_run(tmp_path):
    first = finish(tmp_path, SPEC, 0.5)
    second = finish(tmp_path, replace(SPEC, hyper={"lr": 2e-3}), 0.7)
    assert first.folder != second.folder
    assert read_record(first.folder / "metrics.json")["metrics"]["test"]["selected"]["nrmse"] == 0.5
    assert read_record(second.public / "metrics.json")["metrics"]["test"]["selected"]["nrmse"] == 0.7
    with RunDir.open(SPEC, tmp_path, inputs={"data": "abc"}) as again:
        assert again.finished
        again.publish()
    assert read_record(again.public / "metrics.json")["metrics"]["test"]["selected"]["nrmse"] == 0.5


def test_other_data_is_another_run(tmp_path):
    finish(tmp_path, SPEC)
    with RunDir.open(SPEC, tmp_path, inputs={"data": "changed"}) as run:
        assert not run.finished


def test_a_second_writer_is_refused(tmp_path):
    with (
        RunDir.open(SPEC, tmp_path, inputs={}),
        pytest.raises(BusyError, match="another process is writing"),
        RunDir.open(SPEC, tmp_path, inputs={}),
    ):
        pass


def test_rows_come_back_with_the_checkpoint(tmp_path):
    with RunDir.open(SPEC, tmp_path, inputs={}) as run:
        assert run.resume() is None
        run.history(epoch=1, loss=0.5)
        run.checkpoint(1, lambda folder: (folder / "state").write_text("one"))
        run.history(epoch=2, loss=0.4)  # lost: it came after the checkpoint
    with RunDir.open(SPEC, tmp_path, inputs={}) as run:
        folder = run.resume()
        assert (folder / "state").read_text() == "one"
        run.history(epoch=2, loss=0.4)
        run.finish(result(0.5), model={"w": torch.zeros(1)}, initial_eigenvalues={})
    assert len((run.public / "history.csv").read_text().splitlines()) == 3


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path):
    checkpoints = Checkpoints(tmp_path, "hash")
    for step in (1, 2, 3):
        checkpoints.save(step, lambda folder, step=step: (folder / "state").write_text(str(step)))
    assert [path.name for path in sorted(tmp_path.glob("step-*"))] == ["step-000000002", "step-000000003"]
    (tmp_path / "step-000000003" / "state").write_text("torn")
    assert checkpoints.latest().name == "step-000000002"
    (tmp_path / "step-000000002" / "manifest.json").unlink()
    assert checkpoints.latest() is None


def test_a_checkpoint_of_another_configuration_is_passed_over(tmp_path):
    Checkpoints(tmp_path, "one").save(1, lambda folder: (folder / "state").write_text("x"))
    assert Checkpoints(tmp_path, "other").latest() is None


def test_a_full_disk_leaves_the_last_checkpoint_whole(tmp_path):
    checkpoints = Checkpoints(tmp_path, "hash")
    checkpoints.save(1, lambda folder: (folder / "state").write_text("good"))

    def fail(folder):
        (folder / "state").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        checkpoints.save(2, fail)
    assert (checkpoints.latest() / "state").read_text() == "good"
    assert not list(tmp_path.glob(".tmp*"))


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    write_atomically(path, "old")
    monkeypatch.setattr("replication.runs.checkpoint.fsync", lambda _: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.json"]


def test_the_runs_table_has_a_row_a_run_with_alpha_and_provenance(tmp_path):
    records = []
    for seed in (2, 1):
        run = finish(tmp_path, replace(SPEC, seed=seed), 0.5 + seed)
        (run.public / "layers.csv").write_text("layer,block,alpha\na,1,2.0\nb,1,4.0\nc,2,\n")
        records.append(run.public / "metrics.json")
    table = runs_table(records)
    assert list(table["seed"]) == [1, 2]
    assert list(table["score"]) == [1.5, 2.5]
    assert table["alpha_std"].tolist() == [1.0, 1.0]
    assert table["alpha_std_block"].tolist() == [0.0, 0.0]
    for column in ("config_hash", "git_commit", "device", "wall_s", "pkg_torch", "stand_in", "experiment"):
        assert table[column].notna().all()
    layers = stacked_table(records, "layers.csv")
    assert len(layers) == 6
    assert {"method", "seed", "ratio", "alpha"} <= set(layers.columns)


def test_a_damaged_record_is_named(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text('{"run": {}}')
    with pytest.raises(DataError, match=r"metrics\.json: not a run's record"):
        read_record(path)


def trial(results, lr, seed, score, **more):
    spec = replace(SPEC, trial={"lr": lr}, hyper={"lr": lr}, seed=seed)
    return finish(results, spec, score, **more).public / "metrics.json"


def test_the_search_chooses_by_the_mean_over_seeds_and_never_a_diverged_trial(tmp_path):
    records = [
        trial(tmp_path, 0.1, 1, 0.5), trial(tmp_path, 0.1, 2, 0.4),
        trial(tmp_path, 0.2, 1, 0.1), trial(tmp_path, 0.2, 2, 0.9),
        trial(tmp_path, 0.3, 1, 0.0), trial(tmp_path, 0.3, 2, 0.0, status="diverged", diverged_epoch=1),
    ]  # fmt: skip
    choice = choose_trial([read_record(path) for path in records], "validation")
    assert choice["trial"] == {"lr": 0.1}
    assert len(choice["trials"]) == 3
    out = tmp_path / SPEC.cell / "selection.json"
    write_selection(records, "validation", out)
    target = tmp_path / SPEC.path
    adopt(out, [path for path in records if "seed=1" in str(path)], target)
    assert read_record(target / "metrics.json")["run"]["trial"] == {"lr": 0.1}
    assert json.loads(out.read_text())["select_on"] == "validation"
