"""Spectra of a model during training, solved once for each state of its weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from tempbalance.errors import InputError
from tempbalance.spectra._layers import Layer, find_layers, named_tensors, tensor_identity
from tempbalance.spectra._metrics import LayerSpectrum, eigenvalues_by_layer, spectra_of
from tempbalance.spectra._presets import Preset, get_preset


class Diagnostics:
    """Spectra of a model during training, without balancing, for a baseline run.

    Args:
        model: the model.
        optimizer: the optimizer that trains it.
        preset: ``"nlp"`` or ``"sciml"``; keywords change its options (:func:`tempbalance.spectra.layer_metrics`).
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer, *, preset: str | Preset = "nlp", **changes: Any) -> None:
        self.model = model
        self.optimizer = optimizer
        self.preset = get_preset(preset, **changes)
        self.layers = find_layers(model, self.preset)
        if not self.layers:
            raise InputError(f"{type(model).__name__} has no weight matrix for the preset {self.preset.name!r}")
        self._initial: dict[str, NDArray[np.floating]] | None = None
        # Optimizers that write through `.data` do not change torch's version counters, so steps are counted too.
        # The hook refers to the counter only, so it does not keep the model alive.
        self._optimizer_steps = counter = Counter[str]()
        self._hook = optimizer.register_step_post_hook(lambda *_: counter.update(["steps"]))
        self._latest: tuple[Any, list[LayerSpectrum]] | None = None

    def tensors(self) -> dict[str, Tensor]:
        """Name (without the prefixes of wrappers) -> parameter of the model."""
        return named_tensors(self.model)

    def measure(self) -> list[LayerSpectrum]:
        """Solve the spectra of all layers."""
        spectra = self.measure_some(self.layers)
        self._latest = (self._weights_version(), spectra)
        if self._initial is None:
            self._initial = eigenvalues_by_layer(spectra)
        return spectra

    def measure_some(self, layers: Sequence[Layer]) -> list[LayerSpectrum]:
        """Solve the spectra of some of the layers."""
        return spectra_of(layers, self.tensors(), self.preset)

    def latest(self) -> list[LayerSpectrum]:
        """Spectra of all layers, solved only if a weight has been written since the last measurement."""
        if self._latest is None or self._latest[0] != self._weights_version():
            return self.measure()
        return self._latest[1]

    def _weights_version(self) -> Any:
        """Changes whenever an optimizer step or a torch operation writes a layer's weight."""
        tensors = self.tensors()
        used = [tensors[name] for layer in self.layers for name in layer.tensors]
        return self._optimizer_steps["steps"], [(tensor_identity(tensor), tensor._version) for tensor in used]

    def detach(self) -> None:
        """Stop counting the optimizer's steps."""
        self._hook.remove()

    def rows(self, rates: Mapping[str, float] | None = None) -> list[dict[str, Any]]:
        """One dict per layer: ``layer``, ``block``, ``alpha`` (NaN without an exponent), ``lr`` (NaN if frozen).

        Exponents are those of the current weights, measured only if a weight has changed since the last measurement.
        ``rates`` (parameter name -> rate) are the optimizer's by default.
        """
        tensors = self.tensors()
        if rates is None:
            own = {id(p): float(group["lr"]) for group in self.optimizer.param_groups for p in group["params"]}
            rates = {name: own[id(tensor)] for name, tensor in tensors.items() if id(tensor) in own}
        rows = []
        for spectrum in self.latest():
            layer = spectrum.layer
            # The weight's rate, or the adapters' if the weight is frozen.
            trained = (rates[name] for name in layer.tensors if tensors[name].requires_grad and name in rates)
            lr = next(trained, float("nan"))
            rows.append({"layer": layer.name, "block": layer.block, "alpha": spectrum.alpha, "lr": lr})
        return rows

    def initial_eigenvalues(self) -> dict[str, NDArray[np.floating]]:
        """Layer -> eigenvalues ``[N]`` ascending of the first measurement."""
        if self._initial is None:
            self.measure()
        return dict(self._initial or {})

    def state_dict(self) -> dict[str, Any]:
        """Plain lists, for JSON and ``torch.save``."""
        initial = self.initial_eigenvalues()
        return {
            "initial_eigenvalues": {name: values.tolist() for name, values in initial.items()},
            "dtypes": {name: str(values.dtype) for name, values in initial.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the first measurement. Raises InputError for anything else than a :meth:`state_dict`."""
        try:
            dtypes = state["dtypes"]
            self._initial = {name: np.asarray(v, dtypes[name]) for name, v in state["initial_eigenvalues"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"not a Diagnostics state ({error!r})") from None
