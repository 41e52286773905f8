"""Log ratios of columns matched one by one."""

import pytest
import torch

from mine_lightning.estimate.ratios.copulas import smoothed


@pytest.mark.parametrize("width", [0.5, 8.0])
def test_a_smoothed_histogram_is_a_density_given_each_strip(width: float) -> None:
    counts = torch.randint(0, 5, (2, 32, 32), generator=torch.Generator().manual_seed(0)).double()
    density = smoothed(counts, width).exp()
    torch.testing.assert_close(density.mean(2), torch.ones(2, 32).double())
