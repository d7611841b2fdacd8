"""Find the weight matrices of a model or a checkpoint, with their layers and blocks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from tempbalance.errors import InputError
from tempbalance.spectra._presets import Preset

#: Prefixes that wrappers add to names: torch.compile, FSDP1 and activation checkpointing.
_WRAPPER = re.compile(r"(^|(?<=\.))(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_BLOCK = re.compile(r"^(?:.*?\.)?\d+(?=\.)")
_EMBEDDING = re.compile(r"^(\w*embeddings?|embed_\w+|wte|wpe|relative_attention_bias|shared)$", re.IGNORECASE)
_NORM = re.compile(r"(norm|^ln(_\w+)?$|^bn\d*$)", re.IGNORECASE)
_LORA = re.compile(r"^(?P<layer>.+)\.lora_(?P<side>[AB])(?:\.(?P<adapter>[^.]+))?\.weight$")
SHARD = (
    "{name}: this process holds only a shard of the weight; use FSDP2 (fully_shard), which is gathered for you, or "
    "measure inside FSDP.summon_full_params or deepspeed.zero.GatheredParameters"
)


@dataclass(frozen=True)
class Adapter:
    """A low-rank pair: the layer's weight is ``W + scale * B @ A``."""

    a: str
    b: str
    scale: float


@dataclass(frozen=True)
class Layer:
    """A layer of a model: one weight that is a matrix or a stack of matrices.

    Attributes:
        name: the module's path (``encoder.layer.0.output.dense``), or the name of a raw parameter.
        weight: name of the weight tensor; None for an adapter without its base weight.
        kind: ``matrix`` (dense and convolutions) or ``spectral`` (complex or AFNO-style stacks of matrices).
        block: the name up to the first number (``encoder.layer.0``); None if it has no number.
        adapters: LoRA pairs that are added to the weight.
    """

    name: str
    weight: str | None
    kind: Literal["matrix", "spectral"] = "matrix"
    block: str | None = None
    adapters: tuple[Adapter, ...] = ()

    @property
    def tensors(self) -> list[str]:
        """Names of the weight and the adapters' tensors."""
        adapters = [name for adapter in self.adapters for name in (adapter.a, adapter.b)]
        return adapters if self.weight is None else [self.weight, *adapters]


def clean_name(name: str) -> str:
    """A parameter's name without the prefixes that wrappers add."""
    return _WRAPPER.sub("", name)


def block_of(name: str) -> str | None:
    """The block of a parameter or layer: its name up to the first number between dots."""
    match = _BLOCK.match(name + ".")
    return match.group(0) if match else None


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside DistributedDataParallel, DataParallel or torch.compile."""
    is_parallel = isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel)
    inner = getattr(model, "module" if is_parallel else "_orig_mod", None)
    return unwrapped(inner) if isinstance(inner, nn.Module) else model


def named_tensors(model: nn.Module) -> dict[str, Tensor]:
    """A model's parameters by cleaned name; tied parameters appear under each of their names."""
    named = unwrapped(model).named_parameters(remove_duplicate=False)
    return {clean_name(name): parameter for name, parameter in named}


def gathered(tensor: Tensor, name: str) -> Tensor:
    """The whole tensor: DTensors (FSDP2, tensor parallelism) are gathered, by a call that every process must make.

    Raises InputError for shards that only their framework can gather (DeepSpeed ZeRO-3), and for meta tensors.
    """
    if hasattr(tensor, "full_tensor"):
        return tensor.full_tensor()
    if hasattr(tensor, "ds_id") and tensor.numel() == 0:
        raise InputError(SHARD.format(name=name))
    if tensor.is_meta:
        raise InputError(f"{name}: the weight is on the meta device, so it has no values; load the weights first")
    return tensor


def _module_of(name: str) -> str:
    """The last part of the path of a parameter's module."""
    return name.rpartition(".")[0].rpartition(".")[2]


def _layer_name(name: str) -> str | None:
    """The layer that a weight's name belongs to; None if it is not the name of a weight."""
    path, _, leaf = name.rpartition(".")
    if leaf == "weight":
        return path.removesuffix(".base_layer") or name
    if leaf == "tensor" and path.endswith(".weight"):  # neuraloperator's factorised tensors
        return path.removesuffix(".weight")
    if leaf.endswith("_weight"):  # nn.MultiheadAttention's in_proj_weight
        return name.removesuffix("_weight")
    if leaf.startswith("weight_"):  # recurrent layers' weight_ih_l0, old-style weight norm's weight_v
        return name
    return None


def _kind(name: str, tensor: Tensor) -> Literal["matrix", "spectral"] | None:
    """The kind of a tensor by name and shape; None if it is not a layer's weight."""
    if tensor.ndim < 2 or not (tensor.is_floating_point() or tensor.is_complex()):
        return None
    if tensor.is_complex():
        return "spectral"
    if _layer_name(name) is not None:
        return "matrix" if tensor.ndim <= 5 and not _NORM.search(_module_of(name)) else None
    # AFNO stores its block-diagonal complex maps as real parameters [2, blocks, in, out].
    return "spectral" if tensor.ndim == 4 and tensor.shape[0] == 2 else None


def _adapters(tensors: Mapping[str, Tensor], scales: Mapping[str, float]) -> dict[str, tuple[Adapter, ...]]:
    """LoRA pairs by layer. ``scales`` is keyed by ``<layer>|<adapter>``."""
    sides: dict[tuple[str, str], dict[str, str]] = {}
    for name in tensors:
        if match := _LORA.match(name):
            sides.setdefault((match["layer"], match["adapter"] or ""), {})[match["side"]] = name
    found: dict[str, tuple[Adapter, ...]] = {}
    for (layer, adapter), pair in sides.items():
        if len(pair) == 2:
            scale = scales.get(f"{layer}|{adapter}", scales.get("", 1.0))
            found[layer] = (*found.get(layer, ()), Adapter(pair["A"], pair["B"], scale))
    return found


def tensor_identity(tensor: Tensor) -> tuple:
    """Equal for two names of one tensor, different for two tensors with equal values."""
    if tensor.is_meta or tensor.numel() == 0 or hasattr(tensor, "full_tensor"):
        return (id(tensor),)
    return (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype, str(tensor.device))


def _find(
    tensors: Mapping[str, Tensor], preset: Preset, embeddings: Iterable[str], scales: Mapping[str, float]
) -> list[Layer]:
    tables = {tensor_identity(tensors[name]) for name in embeddings}
    adapters = _adapters(tensors, scales)
    layers: list[Layer] = []
    seen: set[tuple] = set()
    for name, tensor in tensors.items():
        kind = _kind(name, tensor)
        if kind is None or (kind == "spectral" and preset.spectral == "skip"):
            continue
        if _LORA.match(name) or ".original_module." in name:
            continue
        identity = tensor_identity(tensor)
        # A head that is tied to an embedding table is an embedding.
        if identity in seen or (identity in tables and not preset.embeddings):
            continue
        seen.add(identity)
        layer = _layer_name(name) or name
        layers.append(Layer(layer, name, kind, block_of(layer), adapters.pop(layer, ())))
    layers += [Layer(layer, None, "matrix", block_of(layer), pairs) for layer, pairs in adapters.items()]
    return layers


def find_layers(model: nn.Module, preset: Preset) -> list[Layer]:
    """The layers of a model, in the order of its parameters. Tied weights count once, embeddings not by default.

    Raises InputError for weights that FSDP1 has flattened into shards.
    """
    tensors = named_tensors(model)
    # FSDP1 marks its parameters; they have their own shapes only while they are summoned.
    flattened = {name: tensor for name, tensor in tensors.items() if getattr(tensor, "_fsdp_flattened", False)}
    if flattened and all(tensor.ndim < 2 for tensor in flattened.values()):
        raise InputError(SHARD.format(name=next(iter(flattened))))
    embeddings, transposed, scales = set(), set(), {}
    for name, module in unwrapped(model).named_modules(remove_duplicate=False):
        path = clean_name(f"{name}.") if name else ""
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            embeddings.add(f"{path}weight")
        if isinstance(module, _ConvTransposeNd):
            transposed.add(f"{path}weight")
        scaling: Any = getattr(module, "scaling", None)  # peft's LoRA layers: adapter -> alpha / r
        if hasattr(module, "lora_A") and isinstance(scaling, dict):
            scales.update({f"{path.removesuffix('.')}|{adapter}": float(value) for adapter, value in scaling.items()})
    if preset.transposed == "skip":
        tensors = {name: tensor for name, tensor in tensors.items() if name not in transposed}
    return _find(tensors, preset, embeddings & set(tensors), scales if preset.lora == "scaled" else {})


def find_layers_in_state_dict(tensors: Mapping[str, Tensor], preset: Preset, *, lora_scale: float = 1.0) -> list[Layer]:
    """The layers of a plain ``{name: tensor}``; names and shapes decide their kinds.

    ``lora_scale`` is alpha / r of LoRA pairs, which a state dict does not contain.
    """
    embeddings = [name for name, tensor in tensors.items() if tensor.ndim == 2 and _EMBEDDING.match(_module_of(name))]
    return _find(tensors, preset, embeddings, {"": lora_scale if preset.lora == "scaled" else 1.0})


@torch.no_grad()
def layer_weight(layer: Layer, tensors: Mapping[str, Tensor]) -> Tensor:
    """The weight of a layer as the forward pass uses it: ``W + scale * B @ A`` with adapters.

    Raises InputError for a shard that cannot be gathered, and for an adapter that does not fit its weight.
    """
    weight = None if layer.weight is None else gathered(tensors[layer.weight], layer.weight).detach()
    for adapter in layer.adapters:
        a, b = (gathered(tensors[name], name).detach() for name in (adapter.a, adapter.b))
        if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[1]:
            shapes = f"{tuple(b.shape)} and {tuple(a.shape)}"
            raise InputError(f"{layer.name}: LoRA factors of shapes {shapes} do not multiply")
        product = adapter.scale * (b.float() @ a.float())
        if weight is None:
            weight = product
            continue
        if weight.shape not in (product.shape, product.T.shape):
            shapes = f"{tuple(product.shape)} does not fit its weight {tuple(weight.shape)}"
            raise InputError(f"{layer.name}: a LoRA product of shape {shapes}")
        # transformers' Conv1D stores (in, out)
        weight = weight.float() + (product if product.shape == weight.shape else product.T)
    assert weight is not None  # noqa: S101 - a layer has a weight or an adapter
    return weight
