"""Parameter groups of an optimizer, split so that each unit (a layer or a block) has a group of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from tempbalance.errors import InputError

Group = dict[str, Any]
Members = dict[str, list[int]]

#: Entries of a group that have one value per parameter.
_PER_PARAMETER = ("params", "param_names")
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
        self.is_split = False
        #: Each original group: unit -> positions of its parameters; "", for those of no unit, comes first. Groups that
        #: add_param_group adds later follow after these and are left alone.
        self._members: list[Members] = []
        for group in optimizer.param_groups:
            members: Members = {"": []}
            for position, parameter in enumerate(group["params"]):
                members.setdefault(units.get(id(parameter), ""), []).append(position)
            self._members.append(members)
        trained = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
        self._unit_of = {key: units[key] for key in trained if key in units}

    @property
    def units(self) -> list[str]:
        """Units that the optimizer trains, in group order."""
        return list(dict.fromkeys(self._unit_of.values()))

    def split(self, schedulers: Iterable[Any] = ()) -> None:
        """Split the groups, and extend the per-group lists of existing schedulers."""
        if self.is_split:
            return
        groups = self.optimizer.param_groups
        layout: list[Group] = []
        origin: list[int] = []
        for index, (parent, members) in enumerate(zip(groups, self._members, strict=False)):
            whole = {key: parent[key] for key in _PER_PARAMETER if key in parent}
            for unit, positions in members.items():
                group = _options(parent) | {"unit": unit} if unit else parent
                group |= {key: [values[position] for position in positions] for key, values in whole.items()}
                layout.append(group)
                origin.append(index)
        for scheduler in schedulers:
            _extend(scheduler, origin, len(groups))
        groups[: len(self._members)] = layout
        self.is_split = True

    def merge(self) -> None:
        """Undo :meth:`split`: restore the original groups, with the parents' options."""
        if not self.is_split:
            return
        merged = []
        for members, family in self._families():
            positions = [position for inside in members.values() for position in inside]
            parent = family[0]
            for key in _PER_PARAMETER:
                if key in parent:
                    values = [value for group in family for value in group[key]]
                    restored = dict(zip(positions, values, strict=True))
                    parent[key] = [restored[position] for position in range(len(restored))]
            merged.append(parent)
        self.optimizer.param_groups[: self._count()] = merged
        self.is_split = False

    def apply(self, factors: Mapping[str, float], keys: Iterable[str]) -> None:
        """Set the options ``keys`` of each child to the parent's value times the unit's factor (default 1)."""
        if not self.is_split:
            return
        for (_, *units), (parent, *children) in self._families():
            for unit, child in zip(units, children, strict=True):
                for key in keys:
                    _set(child, key, float(parent[key]) * factors.get(unit, 1.0))

    def rates(self, factors: Mapping[str, float]) -> dict[int, float]:
        """id(parameter) -> its rate in a step; applies ``factors`` if the groups are merged between steps."""
        rates = {id(p): float(group["lr"]) for group in self.optimizer.param_groups for p in group["params"]}
        if not self.is_split:
            for key, unit in self._unit_of.items():
                rates[key] *= factors.get(unit, 1.0)
        return rates

    def check(self) -> None:
        """Raise InputError if groups were removed, or a state dict with other groups was loaded."""
        found, expected = len(self.optimizer.param_groups), self._count()
        if found < expected:
            raise InputError(
                f"the optimizer has {found} parameter groups, TempBalance made {expected}; "
                "do not replace param_groups after TempBalance is built"
            )

    def _count(self) -> int:
        """Number of the groups that are split, or that :meth:`split` made."""
        return sum(map(len, self._members)) if self.is_split else len(self._members)

    def _families(self) -> Iterator[tuple[Members, list[Group]]]:
        """Members of each original group, and its parent and children."""
        groups = iter(self.optimizer.param_groups)
        for members in self._members:
            yield members, list(islice(groups, len(members)))


def _options(parent: Group) -> Group:
    """A group's options without its parameters; tensors (a capturable rate) are copied."""
    return {
        key: value.clone() if isinstance(value, Tensor) else value
        for key, value in parent.items()
        if key not in _PER_PARAMETER
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
