"""What spectra cost: full SVD as in the released code, WeightWatcher and this library, side by side in one run.

    python benchmarks/spectra.py [--threads 1] [--device cpu|cuda] [--json FILE]

The matrices are RoBERTa-base's 73 (12 blocks of six, and the classifier's dense layer), randomly initialised at
their true shapes. Every method takes its turn at each block, so other load on the machine hits all alike; ratios are
medians over blocks. The second part times one TempBalance update of a MiniLM against one of its training steps.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from tempbalance import TempBalance, pl_alpha_hill
from tempbalance.balance import updates_every
from tempbalance.spectra import batched_eigenvalues

WIDTH, BLOCKS = 768, 12
CHECKED = 3  # blocks whose exponents are compared with a float64 SVD


def weights(device: str) -> list[list[Tensor]]:
    """The blocks' matrices, and the classifier's."""
    generator = torch.Generator().manual_seed(0)
    block = [(WIDTH, WIDTH)] * 4 + [(4 * WIDTH, WIDTH), (WIDTH, 4 * WIDTH)]
    shapes = [block] * BLOCKS + [[(WIDTH, WIDTH)]]
    return [[0.02 * torch.randn(shape, generator=generator).to(device) for shape in part] for part in shapes]


def timed(call: Callable[[], object], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def hill(eigenvalues: list[Tensor]) -> list[float]:
    return [pl_alpha_hill(values, xmin_pos=1.5) for values in eigenvalues]


def released(matrices: list[Tensor]) -> list[float]:
    """Singular vectors and values of every matrix, squared, sorted."""
    return hill([torch.linalg.svd(w, full_matrices=False).S.square().flip(0) for w in matrices])


def values_only(matrices: list[Tensor]) -> list[float]:
    return hill([torch.linalg.svdvals(w).square().flip(0) for w in matrices])


def ours(matrices: list[Tensor]) -> list[float]:
    return hill([values[0] for values in batched_eigenvalues([w.unsqueeze(0) for w in matrices])])


def weightwatcher(matrices: list[Tensor]) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        import weightwatcher as ww

        layers = nn.Sequential(*(nn.Linear(w.shape[1], w.shape[0], bias=False) for w in matrices))
        for layer, weight in zip(layers, matrices, strict=True):
            layer.weight.data = weight.cpu()
        ww.WeightWatcher(model=layers, log_level="ERROR").analyze()


def matrices_part(device: str) -> dict:
    blocks = weights(device)
    methods: dict[str, Callable] = {
        "full SVD (released)": released, "singular values only": values_only, "tempbalance": ours,
    }  # fmt: skip
    try:
        weightwatcher(blocks[-1])  # import and first call
        methods["weightwatcher analyze"] = weightwatcher
    except ImportError:
        print("weightwatcher is not installed: left out")
    for method in methods.values():
        method(blocks[0])  # warm up
    seconds = {name: [0.0] * len(blocks) for name in methods}
    for index, matrices in enumerate(blocks):
        for name, method in methods.items():
            seconds[name][index] = timed(lambda method=method, matrices=matrices: method(matrices), device)
    some = [w for block in blocks[:CHECKED] for w in block]
    exact = hill([torch.linalg.svdvals(w.double()).square().flip(0) for w in some])
    error = max(abs(a - b) for a, b in zip(ours(some), exact, strict=True))
    count = sum(map(len, blocks))
    print(
        f"\n{count} matrices of RoBERTa-base, {device}, {torch.get_num_threads()} thread(s): total, medians over blocks"
    )
    ratios = {}
    for name, values in seconds.items():
        ratio = [value / own for value, own in zip(values, seconds["tempbalance"], strict=True)][:BLOCKS]
        ratios[name] = statistics.median(ratio)
        print(
            f"  {name:24} {sum(values):7.3f} s  {statistics.median(values[:BLOCKS]):6.3f} s a block  "
            f"{ratios[name]:5.1f} x tempbalance ({min(ratio):.1f}..{max(ratio):.1f})"
        )
    print(f"  largest error of alpha against a float64 SVD, {len(some)} matrices: {error:.1e}")
    return {"seconds": seconds, "ratios": ratios, "alpha_error": error}


def training_part(device: str) -> dict:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=30522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    )
    torch.manual_seed(0)
    model = BertForSequenceClassification(config).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    balancer = TempBalance(model, optimizer, preset="nlp")
    ids = torch.randint(1000, 30000, (16, 32), device=device)
    labels = torch.randint(0, 2, (16,), device=device)

    def step() -> None:
        optimizer.zero_grad()
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()

    step()
    steps, updates = [], []
    for _ in range(7):
        steps.append(timed(step, device))
        updates.append(timed(balancer.step, device))
    step_s, update_s = statistics.median(steps), statistics.median(updates)
    print(f"\nMiniLM (22.7 M parameters), batch 16, length 32, on {device}")
    print(
        f"  training step {step_s:.3f} s, one TempBalance update {update_s:.3f} s = {update_s / step_s:.0%} of a step"
    )
    for epoch in (4, 16, 64, 1000):
        every = updates_every(epoch)
        extra = update_s / every / step_s
        print(f"  epochs of {epoch:4} steps: measured every {every:3} steps, adds {extra:.1%} to the training time")
    return {"step_s": step_s, "update_s": update_s}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="more than one only on an idle machine")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    result = {
        "threads": options.threads, "device": options.device, "torch": torch.__version__,
        "matrices": matrices_part(options.device),
        "training": training_part(options.device),
    }  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
