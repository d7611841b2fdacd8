"""Read the weights of untrusted checkpoints, without executing anything in them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tempbalance.errors import DataError

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl")
#: Weight files in a folder, in order of preference.
_FOLDER_FILES = (
    "model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors",
    "pytorch_model.bin", "pytorch_model.bin.index.json", "adapter_model.bin",
)  # fmt: skip
#: Keys under which training scripts store the weights in a checkpoint dictionary.
_NESTED = ("state_dict", "model_state_dict", "model", "module", "weights")


@dataclass(frozen=True)
class Checkpoint:
    """Weights by name (on the CPU), their path, and alpha / r of LoRA pairs."""

    path: Path
    tensors: dict[str, Tensor]
    lora_scale: float = 1.0


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a safetensors file, a transformers or adapter folder, or a torch state dict.

    Torch files are read with ``weights_only=True``, which accepts only tensors and plain containers, so a hostile file
    cannot run code.

    Raises DataError for a file that is missing, damaged, refused, or of an unknown format.
    """
    path = Path(path).expanduser()
    try:
        if path.is_dir():
            return _read_folder(path)
        if not path.exists():
            raise DataError(f"{path}: no such file or folder")
        return Checkpoint(path, _read_file(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from None


def _read_folder(folder: Path) -> Checkpoint:
    files = [folder / name for name in _FOLDER_FILES if (folder / name).is_file()]
    if not files:
        files = sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", *PICKLES))
        if len(files) != 1:
            found = f"{len(files)} weight files ({files[0].name}, ...)" if files else "no weight file"
            raise DataError(f"{folder}: has {found}; give one file, or a folder with one of {', '.join(_FOLDER_FILES)}")
    tensors = _read_shards(files[0]) if files[0].suffix == ".json" else _read_file(files[0])
    return Checkpoint(folder, tensors, _lora_scale(folder / "adapter_config.json"))


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: is not JSON ({error})") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content


def _read_shards(index: Path) -> dict[str, Tensor]:
    weight_map = _read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise DataError(f"{index}: has no 'weight_map' from tensor names to files")
    tensors: dict[str, Tensor] = {}
    for name in dict.fromkeys(weight_map.values()):
        if not isinstance(name, str) or Path(name).name != name:
            raise DataError(f"{index}: names the file {name!r}, expected a plain file name in the same folder")
        if not (index.parent / name).is_file():
            raise DataError(f"{index}: the shard {name} is missing from the folder; download it again")
        tensors.update(_read_file(index.parent / name))
    return tensors


def _lora_scale(config: Path) -> float:
    if not config.is_file():
        return 1.0
    content = _read_json(config)
    try:
        rank, alpha = float(content["r"]), float(content["lora_alpha"])
        return alpha / (rank**0.5 if content.get("use_rslora") else rank)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        raise DataError(f"{config}: expected the numbers 'r' and 'lora_alpha' of a LoRA adapter") from None


def _read_file(path: Path) -> dict[str, Tensor]:
    tensors = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    if not tensors:
        raise DataError(f"{path}: has no tensors")
    return tensors


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, ValueError, KeyError, OverflowError) as error:
        raise DataError(f"{path}: is not an intact safetensors file ({error})") from None


def _read_torch(path: Path) -> dict[str, Tensor]:
    if path.suffix not in PICKLES:
        raise DataError(f"{path}: unknown file type, expected .safetensors, {', '.join(PICKLES)} or a folder")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise DataError(
            f"{path}: refused, because it is damaged or has more than tensors and plain containers (loading it could "
            "run code); save the weights alone with torch.save(model.state_dict(), ...) or as safetensors"
        ) from None
    except Exception as error:  # a damaged or forged file can fail in many ways
        raise DataError(f"{path}: is not an intact torch file ({type(error).__name__}: {str(error)[:120]})") from None
    return _tensors_in(content, path)


def _tensors_in(content: Any, path: Path) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: is of type {type(content).__name__}, expected a state dict (names to tensors)")
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if tensors:
        return tensors
    for name in _NESTED:
        if isinstance(content.get(name), Mapping):
            return _tensors_in(content[name], path)
    raise DataError(f"{path}: has no tensors; found the keys {[str(name) for name in content][:5]}")
