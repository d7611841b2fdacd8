"""Compiled models, two processes, and weights that are sharded between them."""

from __future__ import annotations

import json

import pytest
import torch
import torch.multiprocessing as mp
from parallel_worker import OPTIONS, alone, build, data, run, train

from tempbalance import TempBalance


def test_compiled_model():
    plain = alone()
    model = build()
    compiled = torch.compile(model, backend="aot_eager")
    optimizer = torch.optim.AdamW(compiled.parameters(), lr=0.01)
    found = train(compiled, optimizer, TempBalance(compiled, optimizer, **OPTIONS), slice(None))
    assert set(found["rates"]) == set(plain["rates"])  # names without torch.compile's prefix
    assert found["rates"] == pytest.approx(plain["rates"], rel=1e-4)


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_two_processes(tmp_path):
    mp.spawn(run, args=(2, str(tmp_path)), nprocs=2)
    ranks = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2)]
    plain = json.loads(json.dumps(alone()))
    for kind in ("ddp", "fsdp2"):
        assert ranks[0][kind]["factors"] == ranks[1][kind]["factors"]  # both processes have the same weights
        for found, expected in zip(ranks[0][kind]["factors"], plain["factors"], strict=True):
            assert found == pytest.approx(expected, rel=1e-3)
        assert ranks[0][kind]["rates"] == pytest.approx(plain["rates"], rel=1e-3)
    assert ranks[0]["shard"] == [16, 16]  # half of the weight's 32 rows, so it was sharded
    for original in (False, True):
        assert "holds only a shard" in ranks[0][f"fsdp1 {original}"]
        assert "fully_shard" in ranks[0][f"fsdp1 {original}"]
    assert ranks[0]["summoned"] == 3


@pytest.mark.gpu
def test_gpu_agrees_with_cpu():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    plain = alone()
    model = build().cuda()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, fused=True)
    balancer = TempBalance(model, optimizer, **OPTIONS)
    x, y = (part.cuda() for part in data())
    for expected in plain["factors"]:
        optimizer.zero_grad()
        (model(x) - y).square().mean().backward()
        optimizer.step()
        balancer.step()
        assert balancer.factors == pytest.approx(expected, rel=1e-3)
