"""The critic that learns what a closed form leaves over."""

import pytest
import torch

from mine_lightning.monitor.network import RunningStandardize


def test_inputs_of_any_scale_are_standardised():
    scale = RunningStandardize((2,))
    rows = torch.randn(4096, 2) * torch.tensor([200.0, 3.0]) + torch.tensor([1000.0, -1.0])
    scale.update(rows)
    assert torch.allclose(scale(rows).mean(0), torch.zeros(2), atol=1e-3)
    assert scale(rows).std(0)[0] == pytest.approx(1, abs=1e-2)
