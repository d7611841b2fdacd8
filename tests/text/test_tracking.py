"""The Trainer's trackers do not change the numbers of a fine-tuning."""

from __future__ import annotations

from dataclasses import asdict
from typing import get_args

import pytest
from nlp_tiny import FT, TB
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from replication.errors import ConfigError
from replication.runs.rundir import RunDir
from replication.settings.config import Tracker
from replication.text.training import finetune


def test_the_names_are_those_of_the_trainer():
    assert set(get_args(Tracker)) == {"none", *INTEGRATION_TO_CALLBACK}


@pytest.mark.parametrize("method", [FT, TB])
def test_tensorboard_shows_loss_scores_rates_and_exponents(chain, method, tmp_path, monkeypatch):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "")  # training sets this; it is restored after the test
    spec = chain.spec(method)
    with RunDir.open(spec, tmp_path, inputs={}) as run:
        run.report_to = "tensorboard"
        finetune(spec, data=chain.data, tokens=chain.tokens, indices=list(range(32)), run=run)
        run.publish()
    events = accumulator.EventAccumulator(str(run.events)).Reload()
    tags = events.Tags()["scalars"]
    assert len(events.Scalars("train/loss")) == 8  # one per step: 32 rows, batches of 8, two epochs
    for tag in ("eval/accuracy", "train/epoch_loss"):
        assert [scalar.step for scalar in events.Scalars(tag)] == [4, 8]
    exponents = [tag for tag in tags if tag.startswith("train/alpha/")]
    assert len(exponents) >= 2
    for tag in exponents:
        assert [scalar.step for scalar in events.Scalars(tag)] == [0, 4, 8]
        assert tag.replace("alpha", "lr") in tags
    record, unwatched = chain.run(method)
    assert record["run"] == {"id": spec.id, **asdict(spec)}
    for name in ("history.csv", "spectra.csv", "layers.csv", "model.safetensors"):
        assert (run.folder / name).read_bytes() == (unwatched / name).read_bytes(), name


def test_a_tracker_that_is_not_installed_is_named(chain, tmp_path, monkeypatch):
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "")
    monkeypatch.setattr("transformers.integrations.integration_utils.is_mlflow_available", lambda: False)
    spec = chain.spec(FT)
    with RunDir.open(spec, tmp_path, inputs={}) as run:
        run.report_to = "mlflow"
        with pytest.raises(ConfigError, match=r"key 'report_to' is 'mlflow'.* installed"):
            finetune(spec, data=chain.data, tokens=chain.tokens, indices=list(range(32)), run=run)
