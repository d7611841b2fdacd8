"""The small network and a batch for it."""

from __future__ import annotations

import pytest
import torch
from small_net import Net


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Net()


@pytest.fixture
def batch():
    torch.manual_seed(1)
    return torch.randn(32, 12), torch.randn(32, 2)
