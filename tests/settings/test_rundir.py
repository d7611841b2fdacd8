"""A run on disk: publishing, locking, checkpoints, records read back."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from replication.errors import BusyError, DataError, InputError
from replication.figures.data import read_eigenvalues
from replication.runs.checkpoint import Checkpoints, write_atomically
from replication.runs.records import RUN_COLUMNS, experiment_tables, read_record, stacked_table
from replication.runs.rundir import RunDir, forget_finished, hold_folder, keep_finished
from replication.settings.spec import RunSpec

SPEC = RunSpec("sciml", "fno", "pde", 0.5, "tb", 1, hyper={"epochs": 1, "batch_size": 1, "lr": 1e-3})
LAYER_MODEL = {f"w{i}.weight": torch.randn(12, 8, generator=torch.Generator().manual_seed(i)) for i in range(2)}


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
        run.finish(result(score, **more), model=LAYER_MODEL, initial_eigenvalues={"w0": np.array([1.0, 2.0])})
        run.publish()
    return run


def test_a_finished_run_is_published_with_its_provenance(tmp_path):
    run = finish(tmp_path, SPEC)
    record = read_record(run.folder / "metrics.json")
    assert record["run"]["seed"] == 1
    assert record["config_hash"] == run.run_hash
    assert record["provenance"]["packages"]["torch"].startswith(torch.__version__.split("+")[0])
    assert record["wall_s"] >= 0
    assert list(csv.DictReader((run.folder / "history.csv").open())) == [{"epoch": "1", "loss": "0.1"}]
    assert not (run.folder / "checkpoints").exists()


def test_another_configuration_does_not_touch_a_finished_run(tmp_path):
    first = finish(tmp_path, SPEC, 0.5)
    second = finish(tmp_path, replace(SPEC, hyper={**SPEC.hyper, "lr": 2e-3}), 0.7)
    assert first.folder != second.folder
    assert read_record(first.folder / "metrics.json")["metrics"]["test"]["selected"]["nrmse"] == 0.5
    assert read_record(second.folder / "metrics.json")["metrics"]["test"]["selected"]["nrmse"] == 0.7
    with RunDir.open(SPEC, tmp_path, inputs={"data": "abc"}) as again:
        assert again.finished
        again.publish()
    assert read_record(again.folder / "metrics.json")["metrics"]["test"]["selected"]["nrmse"] == 0.5


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
        run.finish(result(0.5), model=LAYER_MODEL, initial_eigenvalues={})
        run.publish()
    assert len((run.folder / "history.csv").read_text().splitlines()) == 3


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


def test_a_sealed_run_is_finished_but_shows_nothing_before_it_is_published(tmp_path):
    with RunDir.open(SPEC, tmp_path, inputs={}) as run:
        run.finish(result(0.5), model=LAYER_MODEL, initial_eigenvalues={})
        assert run.finished
        assert not (run.folder / "metrics.json").exists()
        run.publish()
        assert (run.folder / "metrics.json").is_file()
        assert not run.sealed.exists()


def test_a_training_whose_inputs_came_out_the_same_publishes_the_finished_run_as_it_was(tmp_path):
    folder = finish(tmp_path, SPEC).folder
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    keep_finished(folder / "metrics.json")
    for path in before:
        path.unlink()  # as Snakemake does before a job
    with RunDir.open(SPEC, tmp_path, inputs={"data": "other"}) as run:
        assert not run.finished
    with RunDir.open(SPEC, tmp_path, inputs={"data": "abc"}) as run:
        assert run.finished
        run.publish()
    assert {path: path.read_bytes() for path in before} == before
    keep_finished(folder / "metrics.json")
    forget_finished(folder / "metrics.json")
    (folder / "metrics.json").unlink()
    with RunDir.open(SPEC, tmp_path, inputs={"data": "abc"}) as run:
        assert not run.finished


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/runs: cannot be written \(Not a directory\)"):
        hold_folder(tmp_path / "file/runs")
    held = hold_folder(tmp_path / "results")
    with pytest.raises(BusyError, match=r"another process is writing .*results \(lock .*results/\.lock\); wait for it"):
        hold_folder(tmp_path / "results")
    held.lock.release()
    hold_folder(tmp_path / "results").lock.release()


def test_weights_are_kept_only_where_that_is_asked(tmp_path):
    with RunDir.open(SPEC, tmp_path, inputs={}, keep_model=False) as run:
        run.finish(result(0.5), model=LAYER_MODEL, initial_eigenvalues={})
        run.publish()
    assert not list(tmp_path.rglob("model.safetensors"))
    assert (run.folder / "layers.csv").is_file()


def test_the_end_of_a_run_measures_the_trained_spectra_beside_the_first(tmp_path):
    run = finish(tmp_path, SPEC)
    with np.load(run.folder / "eigenvalues.npz") as arrays:
        assert arrays["first/w0"].tolist() == [1.0, 2.0]
        last = arrays["last/w0"]
    expected = np.linalg.svd(LAYER_MODEL["w0.weight"].numpy(), compute_uv=False) ** 2
    assert np.allclose(np.sort(last), np.sort(expected), rtol=1e-4)


def truncated(path):
    path.write_bytes(path.read_bytes()[:-7])


def with_another_digit(path):
    path.write_bytes(path.read_bytes().replace(b"0.1", b"0.2", 1))


@pytest.mark.parametrize("name", ["model.safetensors", "history.csv", "layers.csv", "spectra.csv", "eigenvalues.npz"])
def test_a_truncated_file_is_named_when_the_run_is_collected(tmp_path, repository, name):
    grid = repository.grid()
    train_all(grid, tmp_path, lambda run: 0.5)
    path = tmp_path / "runs" / next(iter(grid.runs)) / name
    truncated(path)
    sentence = rf"{name}: has \d+ bytes, \d+ were written, .*; snakemake trains the run again$"
    with pytest.raises(DataError, match=sentence):
        experiment_tables(grid, grid.experiments["study"], tmp_path)


def test_a_file_of_the_same_size_with_other_content_is_named_when_it_is_read(tmp_path):
    run = finish(tmp_path, SPEC)
    with_another_digit(run.folder / "history.csv")
    rows = pd.DataFrame([{**dict.fromkeys(RUN_COLUMNS, 0), "run": SPEC.path}])
    with pytest.raises(DataError, match=r"history\.csv: was damaged or changed after it had been"):
        stacked_table(rows, tmp_path, "history.csv")


def test_an_edited_record_is_named(tmp_path):
    path = finish(tmp_path, SPEC, 0.5).folder / "metrics.json"
    path.write_text(path.read_text().replace("0.5", "0.4", 1))
    with pytest.raises(
        DataError, match=r"metrics\.json: was changed after the run had written it; snakemake trains the run again"
    ):
        read_record(path)


def test_damaged_eigenvalues_are_named_when_they_are_drawn(tmp_path):
    run = finish(tmp_path, SPEC)
    truncated(run.folder / "eigenvalues.npz")
    with pytest.raises(DataError, match=r"eigenvalues\.npz: has \d+ bytes"):
        read_eigenvalues(run.folder / "eigenvalues.npz")


def test_deleted_weights_are_no_damage(tmp_path, repository):
    grid = repository.grid()
    train_all(grid, tmp_path, lambda run: 0.5)
    for path in tmp_path.rglob("model.safetensors"):
        path.unlink()
    assert len(experiment_tables(grid, grid.experiments["study"], tmp_path)[0]) == 8


def test_a_damaged_record_is_named(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text('{"run": {}}')
    with pytest.raises(DataError, match=r"metrics\.json: not a run's record"):
        read_record(path)


def train_all(grid, results, score):
    for run in grid.runs.values():
        finish(results, run, score(run))


def test_the_runs_table_has_a_row_a_run_with_alpha_and_provenance(tmp_path, repository):
    grid = repository.grid()
    train_all(grid, tmp_path, lambda run: run.seed + 0.5)
    for run in grid.runs.values():
        path = tmp_path / "runs" / run.path / "layers.csv"
        path.write_text("layer,block,alpha\na,1,2.0\nb,1,4.0\nc,2,\n")
        record = json.loads(path.with_name("metrics.json").read_text())
        del record["files"], record["digest"]
        path.with_name("metrics.json").write_text(json.dumps(record))
    table, trials = experiment_tables(grid, grid.experiments["study"], tmp_path)
    assert len(table) == 8
    assert trials.empty
    assert (table["score"] == table["seed"] + 0.5).all()
    assert (table["alpha_std"] == 1.0).all()
    assert (table["alpha_std_block"] == 0.0).all()
    for column in ("config_hash", "git_commit", "device", "wall_s", "pkg_torch", "run", "experiment"):
        assert table[column].notna().all()
    assert set(table["stand_in"]) == {"a stand-in"}
    layers = stacked_table(table, tmp_path, "layers.csv")
    assert len(layers) == 24
    assert {"method", "seed", "ratio", "alpha"} <= set(layers.columns)


def test_titles_and_stand_ins_come_from_the_configuration_not_from_the_record(tmp_path, repository):
    grid = repository.grid()
    train_all(grid, tmp_path, lambda run: 0.5)
    repository.catalog["models"]["fno"]["title"] = "Another title"
    repository.experiment["scales"]["demo"]["stand_in"] = "a corrected sentence"
    renamed = repository.grid()
    assert list(renamed.runs) == list(grid.runs)
    assert renamed.fingerprint("study") != grid.fingerprint("study")
    table, _ = experiment_tables(renamed, renamed.experiments["study"], tmp_path)
    assert set(table["model_title"]) == {"Another title"}
    assert set(table["stand_in"]) == {"a corrected sentence"}


def test_the_search_chooses_by_the_mean_over_seeds_and_never_a_diverged_trial(tmp_path, repository):
    repository.block.update(ratios=[0.5], methods=["baseline"], overrides=[], search={"lr": [0.1, 0.2, 0.3]})
    grid = repository.grid()
    scores = {(0.1, 1): 0.5, (0.1, 2): 0.4, (0.2, 1): 0.1, (0.2, 2): 0.9}
    for run in grid.runs.values():
        lr = run.hyper["lr"]
        diverged = {"status": "diverged", "diverged_epoch": 1} if lr == 0.3 else {}
        finish(tmp_path, run, scores.get((lr, run.seed), 0.0), **diverged)
    table, trials = experiment_tables(grid, grid.experiments["study"], tmp_path)
    assert list(table["trial"]) == ['{"lr": 0.1}'] * 2
    assert list(table["score"]) == [0.5, 0.4]
    assert list(trials["chosen"]) == [True, False, False]
    assert len(trials) == 3


def test_the_papers_protocol_chooses_the_trial_on_the_test_set(tmp_path, repository):
    repository.block.update(ratios=[0.5], methods=["baseline"], overrides=[], search={"lr": [0.1, 0.2]})
    grid = repository.grid()
    for run in grid.runs.values():
        chosen_on_validation = run.hyper["lr"] == 0.1
        scores = result(0.3 if chosen_on_validation else 0.4)
        scores["metrics"]["test"]["paper"] = {"nrmse": 0.29 if chosen_on_validation else 0.21}
        with RunDir.open(run, tmp_path, inputs={}) as folder:
            folder.finish(scores, model=LAYER_MODEL, initial_eigenvalues={})
            folder.publish()
    table, _ = experiment_tables(grid, grid.experiments["study"], tmp_path)
    assert list(table["trial"]) == ['{"lr": 0.1}'] * 2
    assert list(table["trial_paper"]) == ['{"lr": 0.2}'] * 2
    assert list(table["score"]) == [0.3, 0.3]
    assert list(table["score_paper"]) == [0.21, 0.21]
