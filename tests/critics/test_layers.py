"""Layers: spectral norms, and how they start."""

import pytest
import torch

from mine_lightning.critics.layers import PairLinear, spectral_normalize


def test_spectral_normalize_has_unit_norm():
    torch.manual_seed(0)
    for shape in [(8, 8), (3, 50), (50, 3), (1, 7), (4, 2, 3, 3)]:
        weight = spectral_normalize(5 * torch.randn(shape).double())
        norm = torch.linalg.matrix_norm(weight.flatten(1), ord=2).item()
        assert norm == pytest.approx(1, rel=0.03)
    assert torch.isfinite(spectral_normalize(torch.zeros(3, 3))).all()


def test_spectral_normalize_gradient():
    weight = torch.diag(torch.tensor([3.0, 1.0], dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda w: spectral_normalize(w, 200), weight)


def test_a_pair_linear_is_drawn_for_the_width_of_both_sides():
    torch.manual_seed(0)
    layer = PairLinear(1000)
    layer(torch.zeros(1, 30), torch.zeros(1, 70))
    for drawn in (layer.weight, layer.bias):
        assert drawn.abs().max().item() == pytest.approx(0.1, rel=0.02)
