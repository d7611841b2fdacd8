"""TempBalance: measure the layers and set the learning rate of each parameter group."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from tempbalance.balance._diagnostics import Diagnostics
from tempbalance.balance._drift import Drift
from tempbalance.balance._groups import GroupSplit
from tempbalance.balance._schedules import grouped_rates, schedule_from
from tempbalance.errors import InputError
from tempbalance.spectra._layers import block_of
from tempbalance.spectra._metrics import LayerSpectrum
from tempbalance.spectra._presets import Preset

#: Option ``scheduled`` -> the optimizer's options that are scaled.
_KEYS = {"lr": ("lr",), "weight_decay": ("weight_decay",), "both": ("lr", "weight_decay")}


def updates_every(steps_per_epoch: int) -> int:
    """Steps between measurements in the released NLP code: ``min(100, max(1, steps_per_epoch // 10))``."""
    return min(100, max(1, steps_per_epoch // 10))


def _layer_of(name: str, layers: Collection[str]) -> str | None:
    """The deepest layer on a parameter's path."""
    # Raw parameters are layers themselves, and in_proj_bias belongs to in_proj_weight.
    path = name.removesuffix("_weight").removesuffix("_bias")
    while path and path not in layers:
        path = path.rpartition(".")[0]
    return path or None


def metric_values(spectra: Sequence[LayerSpectrum], preset: Preset) -> NDArray[np.float64]:
    """``[L]`` values of layers that have an exponent, by ``preset.metric`` and ``preset.metric_scale``.

    Schedules and tau are made for exponents. Stable ranks and spectral norms have other magnitudes, so they are scaled
    to the exponents' mean and standard deviation, except with ``metric_scale="released"``.
    """
    raw = np.array([spectrum.value(preset.metric) for spectrum in spectra], dtype=np.float64)
    if preset.metric in ("alpha", "farms") or preset.metric_scale == "released" or not len(raw):
        return raw
    alphas = np.array([spectrum.alpha for spectrum in spectra])
    # A less trained layer has a larger stable rank, like its exponent, but a smaller norm.
    sign = -1.0 if preset.metric == "spectral_norm" else 1.0
    spread = raw.std()
    centred = np.zeros_like(raw) if spread == 0 else sign * (raw - raw.mean()) / spread
    return np.maximum(alphas.mean() + alphas.std() * centred, 1.0)  # like exponents; log2 needs this


class TempBalance:
    """Layer-wise learning rates from heavy-tailed spectra (Liu et al., EMNLP 2024, section 3).

    Splits the optimizer's parameter groups so that every layer (or transformer block) has its own. The rate of a group
    is the scheduler's rate times a factor, which is larger for under-trained layers: they have a larger exponent.
    Parameters are matched by *name*. A bias has the rate of its layer. Normalization parameters have the rate of their
    block if ``unit="block"``; otherwise ``norms`` decides. Other parameters, and layers without an exponent, keep the
    scheduler's rate.

    Build it after the optimizer and before the scheduler (or pass ``scheduler=``). Then call this after every update
    (NLP) or epoch (SciML)::

        optimizer.step(); scheduler.step(); balancer.step()

    Any scheduler works: each original group stays, unbalanced, and has the rate that its parts would have without
    balancing. To change a rate by hand, change it in all groups; a change in a balanced group alone is overwritten.

    Args:
        model: the model, which may be wrapped by DDP or torch.compile.
        optimizer: a torch optimizer of some or all of the model's parameters, with support for several groups.
        preset: ``"nlp"`` or ``"sciml"``, see :class:`tempbalance.spectra.Preset`; keywords change its options:
            ``unit``, ``metric``, ``xmin_pos``, ``conv1d``, ``min_count``, ``timing``, ``tail``, ...
        schedule: ``sigmoid`` (the paper's), ``linear``, ``sqrt``, ``log2``, ``exp``, ``rank``, or ``fixed`` (sigmoid
            with the exponents at initialisation, "TB_Fix"). It ignores those of the following parameters that it does
            not have, so that one set of hyper-parameters serves all schedules.
        s_min: strength for exponents below the mean (sigmoid and exp; the paper's s1); default 1.
        s_max: strength for exponents above the mean (sigmoid and exp; the paper's s2); default 1.
        tau: steepness of the sigmoid; default 10.
        min_ratio: smallest factor (linear, rank, and within a block for ``layer_in_block``); default 0.5.
        slope: largest factor minus smallest factor, for the same schedules; default 1.
        every: calls of :meth:`step` between measurements (released NLP code: :func:`updates_every`). None: measure only
            at the start.
        scheduled: the optimizer option that is scaled: ``lr``, ``weight_decay`` or ``both``.
        normalize: scale the factors so that their mean over layers is 1.
        scheduler: a scheduler that was already built on this optimizer.
        tolerance: skip a layer's measurement while its exponent cannot have changed by more than this fraction
            (:func:`tempbalance.balance.hill_interval` gives a bound); this costs a copy of the weights. 0: always
            measure. Only Hill exponents that set the rates (``tail="hill"``, ``metric="alpha"``) can be skipped.
        groups: ``split``: the groups stay split. ``per_step``: they are split only inside ``optimizer.step()``, so
            schedulers and checkpoints see the original groups.

    Raises InputError for unknown options, for an optimizer without any of the model's layers, and for weights that
    cannot be read (shards, meta tensors).

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from tempbalance import TempBalance
        >>> model = nn.Sequential(nn.Linear(20, 40), nn.Tanh(), nn.Linear(40, 40), nn.Tanh(), nn.Linear(40, 1))
        >>> optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        >>> balancer = TempBalance(model, optimizer, preset="sciml", s_min=1.0, s_max=1.0)
        >>> x, y = torch.randn(32, 20), torch.randn(32, 1)  # [batch, in], [batch, out]
        >>> loss = (model(x) - y).square().mean()
        >>> loss.backward()
        >>> optimizer.step()
        >>> balancer.step()
        >>> sorted(balancer.factors)  # layers that the optimizer trains; "4" has one eigenvalue, so its factor is 1
        ['0', '2', '4']
        >>> all(10**-0.5 <= factor <= 10**0.5 for factor in balancer.factors.values())
        True
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        *,
        preset: str | Preset = "nlp",
        schedule: str = "sigmoid",
        s_min: float | None = None,
        s_max: float | None = None,
        tau: float | None = None,
        min_ratio: float | None = None,
        slope: float | None = None,
        every: int | None = 1,
        scheduled: Literal["lr", "weight_decay", "both"] = "lr",
        normalize: bool = False,
        scheduler: Any = None,
        tolerance: float = 0.0,
        groups: Literal["split", "per_step"] = "split",
        **changes: Any,
    ) -> None:
        if scheduled not in _KEYS:
            raise InputError(f"scheduled: {scheduled!r} is unknown, expected one of {list(_KEYS)}")
        if groups not in ("split", "per_step"):
            raise InputError(f"groups: {groups!r} is unknown, expected 'split' or 'per_step'")
        if every is not None and every < 1:
            raise InputError(f"every: {every!r} is out of range, expected 1 or more, or None")
        if not 0 <= tolerance < 1:
            raise InputError(f"tolerance: {tolerance!r} is out of range, expected 0 or more, and below 1")
        frozen = schedule == "fixed"
        self.schedule = schedule_from(
            "sigmoid" if frozen else schedule, s_min=s_min, s_max=s_max, tau=tau, min_ratio=min_ratio, slope=slope
        )
        inner = {"min_ratio": min_ratio, "slope": slope}
        self._inner_map = {key: value for key, value in inner.items() if value is not None}
        self.every = None if frozen else every
        self.normalize = normalize
        self.optimizer = optimizer
        self._keys = _KEYS[scheduled]
        self._diagnostics = Diagnostics(model, optimizer, preset=preset, **changes)
        self.preset = self._diagnostics.preset
        found, exclude = self._diagnostics.layers, self.preset.exclude
        self._layers = {layer.name: layer for layer in found if not any(part in layer.name for part in exclude)}
        self._groups = GroupSplit(optimizer, self._units())
        self._check_groups(has_scheduler=scheduler is not None or groups == "per_step")
        layers = list(self._layers.values())
        self._drift = Drift(layers, self.preset, tolerance) if tolerance and self.every else None
        #: Layer -> the value that the schedule maps to a rate; NaN without an exponent.
        self._values: dict[str, float] = {}
        self._steps = 0
        self._factors: dict[str, float] = {}
        self._hooks: list[RemovableHandle] = []
        if groups == "split":
            self._groups.split([] if scheduler is None else [scheduler])
        else:
            self._hooks = [
                optimizer.register_step_pre_hook(lambda *_: self._enter_step()),
                optimizer.register_step_post_hook(lambda *_: self._groups.merge()),
            ]
        self.update()
        if self.preset.timing == "fresh":
            self._activate()

    def _check_groups(self, *, has_scheduler: bool) -> None:
        if not self._groups.units:
            raise InputError(
                f"the optimizer trains no {self.preset.unit} that the preset {self.preset.name!r} finds in the model; "
                "use unit='layer', another preset, or an optimizer over this model's parameters"
            )
        for key in self._keys:
            if any(group.get(key) is None for group in self.optimizer.param_groups):
                raise InputError(
                    f"the optimizer's groups have no {key!r} to scale (an Adafactor that sets its own rate has none: "
                    "give it lr=..., relative_step=False)"
                )
        if not has_scheduler and hasattr(self.optimizer.step, "_wrapped_by_lr_sched"):
            raise InputError(
                "a scheduler was built on this optimizer before TempBalance; build TempBalance first, or pass the "
                "scheduler: TempBalance(..., scheduler=scheduler)"
            )

    # ---- the unit of each parameter --------------------------------------------------------------------

    def _units(self) -> dict[int, str]:
        """id(parameter) -> unit, matched by name."""
        blocks = {layer.block for layer in self._layers.values()}
        units: dict[int, str] = {}
        preceding: dict[str, str] = {}
        for name, parameter in self._diagnostics.tensors().items():
            block = block_of(name.rpartition(".")[0])
            block = block if block in blocks else None
            unit = block if self.preset.unit == "block" else _layer_of(name, self._layers)
            if block is not None and self.preset.norms == "preceding":
                unit = unit or preceding.get(block)
                if unit is not None:
                    preceding[block] = unit
            if unit is not None:
                units.setdefault(id(parameter), unit)
        return units

    # ---- rates -------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Rescale all rates; every ``every`` calls, also measure the exponents.

        Call it after ``optimizer.step()`` and ``scheduler.step()``. With ``timing="lagged"`` new exponents take effect
        at the next call, as in the released NLP code.
        """
        self._groups.check()
        self._steps += 1
        due = self.every is not None and self._steps % self.every == 0
        if self._drift is not None and not due:
            self._drift.track(self._diagnostics.tensors())
        if self.preset.timing == "lagged":
            self._activate()
        if due:
            self.update()
        if self.preset.timing == "fresh":
            self._activate()

    def update(self) -> None:
        """Measure the exponents now; rates follow at the next :meth:`step`."""
        if self._drift is None:
            spectra = self._diagnostics.measure()
        else:
            self._drift.track(self._diagnostics.tensors())
            due = self._drift.due()
            some = len(due) < len(self._layers)  # a full measurement also serves rows()
            spectra = self._diagnostics.measure_some(due) if some else self._diagnostics.measure()
            self._drift.measured(spectra)
        #: Layers that the last update measured: all, or (with a tolerance) those that had moved too far.
        self.measured = [spectrum.layer.name for spectrum in spectra]
        used = [spectrum for spectrum in spectra if spectrum.layer.name in self._layers and spectrum.reason is None]
        preset = self.preset
        if not self._steps and preset.metric == "stable_rank_released":
            preset = replace(preset, metric="stable_rank")  # at initialisation of the whole spectrum
        names = [spectrum.layer.name for spectrum in used]
        self._values |= dict.fromkeys(self.measured, float("nan"))
        self._values |= zip(names, map(float, metric_values(used, preset)), strict=True)
        self._pending = self._new_factors()

    def _activate(self) -> None:
        self._factors = self._pending
        self._groups.apply(self._factors, self._keys)

    def _new_factors(self) -> dict[str, float]:
        used = [layer for layer in self._layers.values() if np.isfinite(self._values[layer.name])]
        values, blocks = [self._values[layer.name] for layer in used], [layer.block for layer in used]
        rates = grouped_rates(
            values, blocks, 1.0, self.schedule, unit=self.preset.unit, normalize=self.normalize, **self._inner_map
        )  # with a base rate of 1 these are factors: every schedule is proportional to its base rate
        factors = {layer.name: float(rate) for layer, rate in zip(used, rates, strict=True)}
        for block in dict.fromkeys(block for block in blocks if block is not None):
            inside = [factors[layer.name] for layer in used if layer.block == block]
            factors.setdefault(block, float(np.mean(inside)))
        return factors

    @property
    def factors(self) -> dict[str, float]:
        """Unit -> current factor on the scheduler's rate; 1 for units without an exponent."""
        return {unit: self._factors.get(unit, 1.0) for unit in self._groups.units}

    def _enter_step(self) -> None:
        self._groups.split()
        self._groups.apply(self._factors, self._keys)

    def detach(self) -> None:
        """Restore the optimizer's original groups and rates, and remove the hooks."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        self._diagnostics.detach()
        self._groups.merge()

    # ---- records -------------------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """:meth:`Diagnostics.rows`, with balanced rates."""
        return self._diagnostics.rows(self.rates())

    def rates(self) -> dict[str, float]:
        """Parameter name -> rate, for the parameters that the optimizer trains."""
        rates = self._groups.rates(self._factors if "lr" in self._keys else {})
        return {name: rates[id(p)] for name, p in self._diagnostics.tensors().items() if id(p) in rates}

    def initial_eigenvalues(self) -> dict[str, NDArray[np.floating]]:
        """Layer -> eigenvalues ``[N]`` ascending, measured when this object was built."""
        return self._diagnostics.initial_eigenvalues()

    # ---- checkpoints -----------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """State for a checkpoint; save it with the states of the model, the optimizer and the scheduler."""
        state = {
            "steps": self._steps,
            "factors": dict(self._factors),
            "pending": dict(self._pending),
            "diagnostics": self._diagnostics.state_dict(),
        }
        if self._drift is not None:
            state |= {"drift": self._drift.state_dict(), "values": dict(self._values)}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state, to continue bit for bit. Load the model, the optimizer and the scheduler first.

        Raises InputError for anything else than a :meth:`state_dict` of the same model.
        """
        try:
            steps, factors, pending = int(state["steps"]), dict(state["factors"]), dict(state["pending"])
            diagnostics = state["diagnostics"]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"not a TempBalance state ({error!r}); save it with balancer.state_dict()") from None
        known = {name for layer in self._diagnostics.layers for name in (layer.name, layer.block)}
        if unexpected := sorted({*factors, *pending} - known):
            raise InputError(
                f"the TempBalance state belongs to another model: it has {unexpected[0]!r}, which this model lacks"
            )
        self._diagnostics.load_state_dict(diagnostics)
        self._steps, self._factors, self._pending = steps, factors, pending
        if self._drift is not None:
            # A state that was saved without a tolerance has no distances, so all layers are measured again.
            self._drift.load_state_dict(state.get("drift", {}), self._diagnostics.tensors())
            self._values |= state.get("values", {})
        self._groups.apply(self._factors, self._keys)
