"""Parameter groups of an optimizer, split so that each unit (a layer or a block) has a group of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from tempbalance.errors import InputError

Group = dict[str, Any]

#: Per-group lists that torch's schedulers keep; they grow with the groups.
_PER_GROUP = (
    "base_lrs", "lr_lambdas", "_last_lr", "min_lrs", "max_lrs", "base_momentums", "max_momentums",
)  # fmt: skip


class GroupSplit:
    """Splits an optimizer's groups by unit, and merges them again.

    Each original group (parent) keeps the parameters that belong to no unit. It is followed by one child per unit, with
    a copy of the parent's options. Every scheduler treats parent and children alike, so the parent always has the rate
    that the children would have without balancing.

    Args:
        optimizer: any torch optimizer that takes several groups.
        units: ``id(parameter)`` -> unit, for the parameters that belong to a unit.
    """

    def __init__(self, optimizer: Optimizer, units: Mapping[int, str]) -> None:
        if isinstance(optimizer, torch.optim.LBFGS):
            raise InputError("LBFGS supports only one parameter group, so its layers cannot have different rates")
        self.optimizer = optimizer
        #: For each original group, its units and the positions of their parameters. Groups that add_param_group adds
        #: later follow after these and are left alone.
        self._sizes: list[list[tuple[str | None, list[int]]]] = []
        for group in optimizer.param_groups:
            members: dict[str | None, list[int]] = {None: []}
            for position, parameter in enumerate(group["params"]):
                members.setdefault(units.get(id(parameter)), []).append(position)
            self._sizes.append(list(members.items()))
        self.is_split = False

    @property
    def units(self) -> list[str]:
        """Units that the optimizer trains, in group order."""
        return list(dict.fromkeys(unit for parent in self._sizes for unit, _ in parent if unit is not None))

    def split(self, schedulers: Iterable[Any] = ()) -> None:
        """Split the groups, and extend the per-group lists of existing schedulers."""
        if self.is_split:
            return
        groups = self.optimizer.param_groups
        parents, others = groups[: len(self._sizes)], groups[len(self._sizes) :]
        layout: list[Group] = []
        origin: list[int] = []
        for index, (parent, members) in enumerate(zip(parents, self._sizes, strict=True)):
            whole = list(parent["params"])
            names = parent.get("param_names")
            for unit, positions in members:
                group = parent if unit is None else _options(parent)
                group["params"] = [whole[position] for position in positions]
                if names is not None:
                    group["param_names"] = [names[position] for position in positions]
                if unit is not None:
                    group["unit"] = unit
                layout.append(group)
                origin.append(index)
        for scheduler in schedulers:
            _extend(scheduler, origin, len(groups))
        groups[:] = [*layout, *others]
        self.is_split = True

    def merge(self) -> None:
        """Undo :meth:`split`: restore the original groups, with the parents' options."""
        if not self.is_split:
            return
        groups = self.optimizer.param_groups
        count = self._count()
        layout, merged = iter(groups[:count]), []
        for members in self._sizes:
            whole: list[tuple[int, Any, Any]] = []
            parent: Group = {}
            for unit, positions in members:
                group = next(layout)
                names = group.get("param_names", [None] * len(positions))
                whole += zip(positions, group["params"], names, strict=True)
                if unit is None:
                    parent = group
            whole.sort(key=lambda entry: entry[0])
            parent["params"] = [parameter for _, parameter, _ in whole]
            if "param_names" in parent:
                parent["param_names"] = [name for _, _, name in whole]
            merged.append(parent)
        groups[:] = [*merged, *groups[count:]]
        self.is_split = False

    def apply(self, factors: Mapping[str, float], keys: Iterable[str]) -> None:
        """Set the options ``keys`` of each child to the parent's value times the unit's factor (default 1)."""
        if not self.is_split:
            return
        groups = iter(self.optimizer.param_groups[: self._count()])
        for members in self._sizes:
            parent: Group = {}
            for unit, _ in members:
                group = next(groups)
                if unit is None:
                    parent = group
                    continue
                for key in keys:
                    _set(group, key, float(parent[key]) * factors.get(unit, 1.0))

    def rates(self, factors: Mapping[str, float]) -> dict[int, float]:
        """id(parameter) -> its rate in a step; applies ``factors`` if the groups are merged between steps."""
        groups = self.optimizer.param_groups
        rates = {id(p): float(group["lr"]) for group in groups for p in group["params"]}
        if not self.is_split:
            for parent, members in zip(groups, self._sizes, strict=False):
                for unit, positions in members:
                    for position in positions:
                        rates[id(parent["params"][position])] *= factors.get(unit or "", 1.0)
        return rates

    def check(self) -> None:
        """Raise InputError if groups were removed, or a state dict with other groups was loaded."""
        expected = self._count() if self.is_split else len(self._sizes)
        if len(self.optimizer.param_groups) < expected:
            raise InputError(
                f"the optimizer has {len(self.optimizer.param_groups)} parameter groups, TempBalance made {expected}; "
                "do not replace param_groups after TempBalance is built"
            )

    def _count(self) -> int:
        return sum(len(members) for members in self._sizes)


def _options(parent: Group) -> Group:
    """A group's options without its parameters; tensors (a capturable rate) are copied."""
    return {
        key: value.clone() if isinstance(value, Tensor) else value
        for key, value in parent.items()
        if key not in ("params", "param_names")
    }


def _set(group: Group, key: str, value: float) -> None:
    if isinstance(group[key], Tensor):
        group[key].fill_(value)
    else:
        group[key] = value


def _extend(scheduler: Any, origin: list[int], before: int) -> None:
    for nested in getattr(scheduler, "_schedulers", ()):
        _extend(nested, origin, before)
    for name in _PER_GROUP:
        values = getattr(scheduler, name, None)
        if isinstance(values, list) and len(values) == before:
            setattr(scheduler, name, [values[index] for index in origin] + values[max(origin) + 1 :])
