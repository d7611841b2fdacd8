"""The bound on the change of an exponent, against brute force, and TempBalance with a tolerance."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from torch import nn

from tempbalance import TempBalance, pl_alpha_hill
from tempbalance.balance import hill_interval
from tempbalance.balance._drift import ROUNDING, Drift, reach
from tempbalance.errors import InputError
from tempbalance.spectra import find_layers, get_preset, layer_spectra

TOLERANCE = 0.01


def singular_values(matrix: np.ndarray) -> np.ndarray:
    return np.linalg.svd(matrix, compute_uv=False)[::-1]


def exponent(matrix: np.ndarray, xmin_pos: float) -> float:
    try:
        return pl_alpha_hill(singular_values(matrix) ** 2, xmin_pos=xmin_pos)
    except InputError:  # a flat tail
        return np.inf


def drifts(matrix: np.ndarray, start: int, radius: float, generator: np.random.Generator) -> list[np.ndarray]:
    """Changes of norm ``radius``: noise, low rank, and along the singular vectors of the matrix, the worst case.

    The last two raise the start of the tail as far as possible, with the values that it would pass, or lower it.
    """
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    s, u, vt = s[::-1], u[:, ::-1], vt[::-1]
    here = np.arange(len(s))
    levels = s[start] + np.linspace(-1, 1, 41) * radius
    fills = [np.where(here >= start, np.maximum(x - s, 0), 0) for x in levels[levels > s[start]]]
    fills += [np.where(here <= start, np.minimum(x - s, 0), 0) for x in levels[levels < s[start]]]
    found = [
        generator.standard_normal(matrix.shape),
        np.outer(generator.standard_normal(len(matrix)), generator.standard_normal(matrix.shape[1])),
        *((u * values) @ vt for values in (generator.standard_normal(len(s)), 1 / s, -1 / s)),
    ]
    found = [radius * change / np.linalg.norm(change) for change in found]
    return found + [(u * fill) @ vt for fill in fills if np.linalg.norm(fill) <= radius]


@pytest.mark.parametrize("xmin_pos", [1.5, 2.0])
@pytest.mark.parametrize("shape", [(2, 2), (6, 4), (20, 20), (40, 25), (64, 64)])
def test_no_drift_leaves_the_interval(shape, xmin_pos):
    generator = np.random.default_rng(sum(shape))
    used = 0.0
    for scale in (0.0, 1.0, 3.0):  # noise, and spectra with heavier and heavier tails
        matrix = generator.standard_normal(shape) * np.exp(scale * generator.standard_normal(shape[1]))
        values = singular_values(matrix)
        start = int(len(values) / xmin_pos)
        exact = exponent(matrix, xmin_pos)
        assert hill_interval(values, start, 0.0) == pytest.approx((exact, exact))
        for share in (1e-4, 1e-2, 0.1, 0.5, 0.95):
            radius = share * values[start]
            low, high = hill_interval(values, start, radius)
            for change in drifts(matrix, start, radius, generator):
                moved = exponent(matrix + change, xmin_pos)
                assert low * (1 - 1e-9) <= moved <= high * (1 + 1e-9)
                if np.isfinite(high):
                    used = max(used, (moved - exact) / (high - exact), (exact - moved) / (exact - low))
    # The worst change uses more than half of the interval, so the bound cannot be much tighter.
    assert used > 0.5 or min(shape) < 20


def test_an_interval_grows_with_the_radius_and_ends_where_the_tail_can_reach_zero():
    values = np.sort(np.random.default_rng(0).uniform(0.2, 3, 30))
    widths = [np.subtract(*hill_interval(values, 15, r)[::-1]) for r in (0, 1e-3, 1e-2, 0.1)]
    assert widths == sorted(widths)
    assert hill_interval(values, 15, 50.0) == (1.0, np.inf)


class Layers(nn.Module):
    """A dense layer, a convolution, a layer with a filtered spectrum, and a layer that is too small."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(24, 32)
        self.conv = nn.Conv2d(16, 16, 3)
        self.low = nn.Linear(40, 40)
        self.small = nn.Linear(40, 2)
        with torch.no_grad():
            self.low.weight[:, 20:] *= 1e-3  # eigenvalues on both sides of the filter


@pytest.mark.parametrize("preset", [{}, {"min_eigenvalue": None}, {"xmin_pos": 1.5}])
def test_within_reach_the_exponent_stays_within_the_tolerance(preset):
    torch.manual_seed(0)
    model = Layers().double()
    options = {"preset": "sciml", **preset}
    before = {spectrum.layer.name: spectrum for spectrum in layer_spectra(model, **options)}
    radii = {name: reach(spectrum, TOLERANCE) for name, spectrum in before.items()}
    assert radii.pop("small") == -1
    assert min(radii.values()) > 0
    scales = {"dense": 1.0, "conv": 0.5**0.5, "low": 1.0}
    original = {name: module.weight.detach().clone() for name, module in model.named_children()}
    worst = 0.0
    for _ in range(30):
        for name, radius in radii.items():
            direction = torch.randn_like(original[name])
            if name != "conv":
                direction = torch.outer(direction[:, 0], direction[0])  # a change of rank one moves single values most
            step = direction * radius / scales[name] / direction.norm()
            getattr(model, name).weight.data = original[name] + step
        for spectrum in layer_spectra(model, **options):
            if spectrum.layer.name in radii:
                first = before[spectrum.layer.name]
                worst = max(worst, abs(spectrum.alpha / first.alpha - 1))
                assert len(spectrum._filtered()[0]) == len(first._filtered()[0])
    assert 0 < worst <= TOLERANCE


@pytest.mark.parametrize("options", [{"tail": "ks"}, {"metric": "stable_rank"}, {"metric": "farms"}])
def test_what_the_bound_does_not_cover_is_always_measured(options):
    model = nn.Sequential(nn.Linear(32, 32))
    (spectrum,) = layer_spectra(model, preset="sciml", **options)
    assert reach(spectrum, TOLERANCE) == -1


def test_distances_add_up_and_a_measurement_starts_anew():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(30, 30), nn.Conv1d(30, 30, 2))
    preset = get_preset("sciml")
    drift = Drift(find_layers(model, preset), preset, TOLERANCE)
    tensors = dict(model.named_parameters())
    drift.track(tensors)
    assert [layer.name for layer in drift.due()] == ["0", "1"]
    drift.measured(layer_spectra(model))
    assert not drift.due()
    left = dict(drift._left)
    step = torch.randn(30, 30, 2)
    for sign in (1, -1):  # back and forth counts twice
        with torch.no_grad():
            tensors["1.weight"] += sign * 1e-5 * step
        drift.track(tensors)
    moved = 2 * 1e-5 * step.norm().item() * 0.5**0.5 * ROUNDING
    assert drift._left["1"] == pytest.approx(left["1"] - moved, rel=1e-3)
    assert drift._left["0"] == left["0"]
    with torch.no_grad():
        tensors["0.weight"][0, 0] = float("nan")
    drift.track(tensors)
    assert [layer.name for layer in drift.due()] == ["0"]


# ---- SciML and NLP: every rate against a balancer that always measures ------------------------


def operator():
    """A small FNO (1x1 convolutions, lifting and projection are measured), and a loss on batches of four."""
    from neuralop.models import FNO

    model = FNO(n_modes=(6,), in_channels=1, out_channels=1, hidden_channels=20, n_layers=2)
    x, y = torch.randn(16, 1, 32), torch.randn(16, 1, 32)
    return model, {"preset": "sciml"}, 4e-4, lambda rows: (model(x[rows]) - y[rows]).square().mean()


def encoder():
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(vocab_size=60, hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=96)
    model = BertForSequenceClassification(config)
    ids, labels = torch.randint(0, 60, (16, 8)), torch.randint(0, 2, (16,))
    return model, {"preset": "nlp"}, 2e-5, lambda rows: model(input_ids=ids[rows], labels=labels[rows]).loss


def start(half, tolerance):
    torch.manual_seed(0)
    model, options, lr, loss = half()
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    balancer = TempBalance(model, optimizer, s_min=1.0, s_max=1.0, tolerance=tolerance, **options)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, total_iters=16)
    return model, optimizer, scheduler, balancer, loss


def train(parts, steps):
    model, optimizer, scheduler, balancer, loss = parts
    for step in steps:
        torch.manual_seed(step)
        optimizer.zero_grad()
        loss(torch.randperm(16)[:4]).backward()
        optimizer.step()
        scheduler.step()
        balancer.step()
        yield model, balancer


def used_values(balancer):
    return {name: value for name, value in balancer._values.items() if np.isfinite(value)}


def assert_close(balancer, values, factors):
    """Exponents are off by at most the tolerance, and factors by what follows from it.

    With s = 1 and tau = 10, the logarithm of a factor changes by at most 2.5 ln(10) times the change of exponent minus
    mean, and both may be off by the tolerance. There is a margin for the solver's rounding.
    """
    for name, value in used_values(balancer).items():
        assert value == pytest.approx(values[name], rel=TOLERANCE + 1e-4)
    furthest = 2 * TOLERANCE * max(values.values()) * 2.5 * np.log(10)
    for unit, factor in factors.items():
        assert abs(np.log(balancer._pending[unit] / factor)) <= furthest


@pytest.mark.parametrize("half", [operator, encoder])
def test_every_rate_is_within_the_tolerance_of_measuring_always(half):
    """Compared with a second run that always measures, and with the exact exponents of the run's weights."""
    skipping, always = start(half, TOLERANCE), start(half, 0.0)
    measured = 0
    for (model, balancer), (_, other) in zip(train(skipping, range(20)), train(always, range(20)), strict=True):
        measured += len(balancer.measured)
        assert_close(balancer, used_values(other), other._pending)
        exact = {s.layer.name: s.alpha for s in layer_spectra(model, preset=balancer.preset)}
        kept, balancer._values = balancer._values, exact
        factors = balancer._new_factors()
        balancer._values = kept
        assert_close(balancer, {name: alpha for name, alpha in exact.items() if np.isfinite(alpha)}, factors)
    assert 0 < measured < 20 * len(balancer._drift.layers)  # some measurements were skipped


@pytest.mark.parametrize("half", [operator, encoder])
def test_resuming_with_a_tolerance_is_bit_for_bit(half):
    whole = start(half, 0.05)
    states = None
    for step, _ in enumerate(train(whole, range(12))):
        if step == 6:
            states = [part.state_dict() for part in whole[:4]]
            states[:3] = [copy.deepcopy(state) for state in states[:3]]
            states[3] = json.loads(json.dumps(states[3]))
    resumed = start(half, 0.05)
    for part, state in zip(resumed[:4], states, strict=True):
        part.load_state_dict(state)
    assert len([*train(resumed, range(7, 12))]) == 5
    assert resumed[3].state_dict()["drift"] == whole[3].state_dict()["drift"]
    assert resumed[3].rates() == whole[3].rates()
    for a, b in zip(whole[0].parameters(), resumed[0].parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_state_without_distances_measures_again():
    always, skipping = start(encoder, 0.0), start(encoder, 0.05)
    skipping[3].load_state_dict(always[3].state_dict())
    assert len(skipping[3]._drift.due()) == len(skipping[3]._drift.layers)


def test_a_tolerance_out_of_range():
    with pytest.raises(InputError, match=r"tolerance: 1\.0 is out of range"):
        start(encoder, 1.0)
