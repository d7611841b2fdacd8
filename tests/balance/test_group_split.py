"""Splitting and merging parameter groups, for any groups and units."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tempbalance.balance._groups import GroupSplit

groups = st.lists(st.lists(st.sampled_from([None, "a", "b", "c"]), min_size=1, max_size=6), min_size=1, max_size=4)


def view(optimizer: torch.optim.Optimizer) -> list[dict]:
    return [{**group, "params": [id(p) for p in group["params"]]} for group in optimizer.param_groups]


@settings(max_examples=60, deadline=None)
@given(groups, st.booleans(), st.dictionaries(st.sampled_from("abc"), st.floats(0.01, 100)))
def test_split_apply_merge(units, named, factors):
    parameters, owner, given_groups = [], {}, []
    for index, members in enumerate(units):
        group = [nn.Parameter(torch.zeros(2)) for _ in members]
        owner |= {id(p): unit for p, unit in zip(group, members, strict=True) if unit is not None}
        parameters += group
        entries = [(f"{index}.{k}", p) for k, p in enumerate(group)] if named else group
        given_groups.append({"params": entries, "lr": 0.1 * (index + 1), "weight_decay": float(index)})
    optimizer = torch.optim.AdamW(given_groups)
    before = view(optimizer)
    split = GroupSplit(optimizer, owner)
    split.split()
    held = [p for group in optimizer.param_groups for p in group["params"]]
    assert sorted(map(id, held)) == sorted(map(id, parameters))
    split.apply(factors, ["lr"])
    for group in optimizer.param_groups:
        for p in group["params"]:
            parent = next(g for g in before if id(p) in g["params"])
            assert group["weight_decay"] == parent["weight_decay"]
            assert group["lr"] == parent["lr"] * factors.get(owner.get(id(p)), 1.0)
            if named:
                place = parent["params"].index(id(p))
                mine = [id(q) for q in group["params"]].index(id(p))
                assert group["param_names"][mine] == parent["param_names"][place]
    for p in parameters:
        p.grad = torch.ones(2)
    optimizer.step()
    split.split()  # a second split has no effect
    split.merge()
    assert view(optimizer) == before
    split.merge()
    assert view(optimizer) == before
