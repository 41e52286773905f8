"""Read-outs: exact for the truth, forgiving of small errors, bounded for large ones."""

import pytest
import torch

from mine_lightning.data import GaussianPairs
from mine_lightning.estimate.readout import corrected_terms, normalized_terms

PAIR = GaussianPairs(1, 0.8)
TRUTH = PAIR.mutual_information


def scores(error: float, rows: int = 200_000) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the true log ratios plus a wrong constant."""
    x, z = PAIR.sample(rows, torch.Generator().manual_seed(0))
    joint, marginal = PAIR.log_ratio(x, z), PAIR.log_ratio(x, z.roll(1, 0))
    return joint + error, marginal.unsqueeze(1) + error


@pytest.mark.parametrize("tilt", [0.0, 2.0, 6.0])
def test_the_true_ratio_gives_the_truth(tilt: float) -> None:
    assert corrected_terms(*scores(0.0), tilt).mean().item() == pytest.approx(TRUTH, abs=0.01)


def test_a_small_error_is_corrected_to_first_order() -> None:
    plain = scores(0.2)[0].mean().item()
    corrected = corrected_terms(*scores(0.2)).mean().item()
    assert plain - TRUTH == pytest.approx(0.2, abs=0.01)
    assert abs(corrected - TRUTH) < 0.06


def test_one_large_score_cannot_ruin_the_mean() -> None:
    joint, marginal = torch.zeros(1000), torch.zeros(1000, 1)
    marginal[0] = 1e4
    assert corrected_terms(joint, marginal).mean().item() == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0])
def test_normalised_terms_never_exceed_the_entropy(scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = torch.tensor([0.5, 0.3, 0.2])
    label = torch.multinomial(weights, 1000, replacement=True, generator=generator)
    every = scale * torch.randn(1000, 3, generator=generator)
    terms = normalized_terms(every.gather(1, label.unsqueeze(1))[:, 0], every, weights.log())
    assert (terms <= -weights.log()[label] + 1e-4).all()
    assert terms.mean() <= 0.05


def test_a_perfect_classifier_reaches_the_entropy() -> None:
    weights = torch.tensor([0.5, 0.3, 0.2])
    label = torch.arange(3).repeat_interleave(torch.tensor([500, 300, 200]))
    every = torch.full((1000, 3), -50.0).scatter(1, label.unsqueeze(1), 0.0)
    terms = normalized_terms(torch.zeros(1000), every, weights.log())
    assert terms.mean().item() == pytest.approx(-(weights * weights.log()).sum().item(), rel=1e-5)
