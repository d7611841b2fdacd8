"""Fine-tuning with the transformers Trainer, the same way for every method."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.integrations import get_reporting_integration_callbacks
from transformers.trainer_callback import PrinterCallback

from replication.errors import ConfigError, DataError
from replication.runs.checkpoint import sha256
from replication.runs.rundir import RunDir
from replication.runs.subset import check_rows
from replication.settings.hyper import NlpHyper, parse_hyper, resolve
from replication.settings.spec import RunSpec
from replication.text.batches import collator, read_evaluation_rows, read_training_rows
from replication.text.encoders import load_model, load_tokenizer
from replication.text.methods import SharpnessAwareTrainer, add_lora, balancing, build_optimizer
from replication.text.preparing import MANIFEST, count_training_rows, read_manifest
from replication.text.recording import Recorder
from replication.text.scoring import Evaluator
from replication.text.tasks import parse_task


def _arguments(spec: RunSpec, hyper: NlpHyper, out: Path, device: str) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(out),
        seed=spec.seed,
        num_train_epochs=hyper.epochs,
        per_device_train_batch_size=hyper.batch_size,
        per_device_eval_batch_size=hyper.eval_batch_size,
        gradient_accumulation_steps=hyper.gradient_accumulation,
        activation_checkpointing=hyper.gradient_checkpointing,
        train_sampling_strategy="group_by_length" if hyper.group_by_length else "random",
        learning_rate=hyper.lr,
        lr_scheduler_type=hyper.scheduler,
        warmup_steps=hyper.warmup_ratio if hyper.warmup_ratio < 1 else int(hyper.warmup_ratio),
        max_grad_norm=hyper.max_grad_norm,
        bf16=hyper.precision == "bf16",
        fp16=hyper.precision == "fp16",
        use_cpu=not device.startswith("cuda"),
        logging_steps=1,
        # A loss that is not finite must not be averaged away: it ends the run as diverged.
        logging_nan_inf_filter=False,
        save_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=device.startswith("cuda"),
    )


def _tracker(run: RunDir) -> list[TrainerCallback]:
    """The callback of the run's tracker, if any. Raises ConfigError if the tracker is not installed."""
    if run.report_to == "none":
        return []
    # TensorBoard's callback has no argument for the folder.
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(run.events)
    try:
        return [kind() for kind in get_reporting_integration_callbacks(run.report_to)]
    except (ImportError, RuntimeError) as error:
        raise ConfigError(f"key 'report_to' is {run.report_to!r}: {error}") from None


def finetune(
    spec: RunSpec, *, data: Path, tokens: Path, indices: Sequence[int], run: RunDir, device: str = "cpu"
) -> None:
    """Fine-tune a pretrained model on rows ``indices`` of the training pool, and record the run.

    ``data`` is the folder of the prepared data, ``tokens`` the token cache of this task and model. Every epoch is
    evaluated on the validation set; :func:`replication.runs.epochs.outcome` chooses the epoch.

    Raises ConfigError for options that are not valid, DataError for a subset or cache that cannot be used.
    """
    task = parse_task(spec.dataset_options)
    hyper = parse_hyper("nlp", spec.hyper)
    method, _ = resolve("nlp", spec.method_options, spec.hyper)
    check_rows(indices, count_training_rows(data), data)
    cache = read_manifest(tokens)
    if cache["data_manifest"] != sha256(data / MANIFEST) or cache["max_length"] != task.max_length:
        raise DataError(f"{tokens}: it was made from other data or with another max_length; delete it and run again")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if device.startswith("cuda"):
        # Kernels without a deterministic implementation warn instead of ending the run.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    else:
        torch.set_num_threads(hyper.threads)
    transformers.set_seed(spec.seed)
    model = load_model(spec.model_options, task)
    if method["lora"] is not None:
        model = add_lora(model, method["lora"], task)
    rows = {"train": read_training_rows(tokens, indices)}
    rows |= {split: read_evaluation_rows(tokens, data, split) for split in ("validation", "test")}
    scratch = run.folder / "trainer"
    shutil.rmtree(scratch, ignore_errors=True)
    optimizer = build_optimizer(model, method, hyper)
    callbacks, monitor = balancing(model, optimizer, method["balance"])
    kind: Any = Trainer
    if method["optimizer"] == "sam":
        kind = partial(SharpnessAwareTrainer, rho=method["rho"], adaptive=method["adaptive"])
    trainer = kind(
        model=model,
        args=_arguments(spec, hyper, scratch, device),
        data_collator=collator(task, load_tokenizer(spec.model_options)),
        train_dataset=rows["train"],
        optimizers=(optimizer, None),
        callbacks=[*_tracker(run), *callbacks],
    )
    trainer.remove_callback(PrinterCallback)
    evaluate = Evaluator(trainer, task, cache.get("choice_tokens", ()))
    recorder = Recorder(run, hyper, task.primary, lambda split: evaluate(rows[split]), monitor)
    trainer.add_callback(recorder)
    if run.report_to != "none":
        run.track = lambda scalars, _epoch: trainer.log(scalars)
    checkpoint = run.resume()
    if checkpoint is not None:
        recorder.load(checkpoint)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    shutil.rmtree(scratch, ignore_errors=True)
    recorder.finish(model, len(indices))
