"""The code of each process in test_parallel.py, in a module that a spawned process can import."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from tempbalance import TempBalance, layer_metrics
from tempbalance.errors import InputError

OPTIONS = {"preset": "sciml", "min_count": 4, "min_eigenvalue": 0.0}


def build() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 24), nn.Tanh(), nn.Linear(24, 8))


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(8, 16, generator=generator), torch.randn(8, 8, generator=generator)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, balancer: TempBalance, rows: slice) -> dict:
    """Train for three updates; returns the factors after each."""
    x, y = data()
    history = []
    for _ in range(3):
        optimizer.zero_grad()
        (model(x[rows]) - y[rows]).square().mean().backward()
        optimizer.step()
        balancer.step()
        history.append(balancer.factors)
    return {"factors": history, "rates": balancer.rates()}


def alone() -> dict:
    model = build()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    return train(model, optimizer, TempBalance(model, optimizer, **OPTIONS), slice(None))


def run(rank: int, world: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=world)
    half = slice(rank * 4, rank * 4 + 4)
    result = {}

    model = nn.parallel.DistributedDataParallel(build())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    result["ddp"] = train(model, optimizer, TempBalance(model, optimizer, **OPTIONS), half)

    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard

    mesh = init_device_mesh("cpu", (world,))
    sharded = build()
    for part in (sharded[0], sharded[2], sharded):
        fully_shard(part, mesh=mesh)
    optimizer = torch.optim.AdamW(sharded.parameters(), lr=0.01)
    balancer = TempBalance(sharded, optimizer, **OPTIONS)
    result["shard"] = list(sharded[0].weight.to_local().shape)
    result["fsdp2"] = train(sharded, optimizer, balancer, half)

    for original in (False, True):
        flat = FullyShardedDataParallel(build(), device_id=torch.device("cpu"), use_orig_params=original)
        try:
            TempBalance(flat, torch.optim.AdamW(flat.parameters(), lr=0.01), **OPTIONS)
            result[f"fsdp1 {original}"] = "no error"
        except InputError as error:
            result[f"fsdp1 {original}"] = str(error)
    with FullyShardedDataParallel.summon_full_params(flat):
        result["summoned"] = len(layer_metrics(flat, **OPTIONS))
    Path(folder, f"rank{rank}.json").write_text(json.dumps(result))
    dist.barrier()
    dist.destroy_process_group()
