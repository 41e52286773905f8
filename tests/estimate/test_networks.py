"""Networks of several pairs of variables side by side are those of each pair alone."""

import pytest
import torch
from torch import Tensor

from mine_lightning import estimate_mutual_information
from mine_lightning.data.loading.stacks import Batch
from mine_lightning.estimate.crossfit import CrossFitEstimator
from mine_lightning.estimate.networks import FoldNetworks, Widths
from mine_lightning.estimate.steps import FusedSteps

FOLDS, ROWS = 2, 9
PAIRS = [Widths(4, 3, 2), Widths(2, 5, 1), Widths(3, 1, 0)]


def batch(widths: Widths, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(FOLDS, ROWS, *shape, generator=generator)

    return {
        "x": draw(widths.x),
        "z": draw(widths.z),
        "u": draw(widths.variates),
        "v": draw(widths.variates),
        "offset": draw(2),
    }


def networks(pairs: list[Widths], warped: bool = True) -> FoldNetworks:
    found = FoldNetworks.of(Widths.widest(pairs), FOLDS * len(pairs), warped)
    for place, widths in enumerate(pairs):
        found.draw(place, widths, torch.full((FOLDS, widths.variates), 0.5), seed=3)
    return found


@torch.no_grad()
def moved(found: FoldNetworks) -> FoldNetworks:
    """Set what starts at zero in all pairs of variables to the same something else."""
    found.concat.weights[-1] += torch.linspace(-1, 1, 32)
    if found.warps is not None:
        found.warps.change[:, -found.warps.more :] += 0.4
    return found


def test_nothing_is_added_at_first() -> None:
    for warped in (False, True):
        assert torch.equal(
            networks(PAIRS[:1], warped)(batch(PAIRS[0])), torch.zeros(FOLDS, ROWS, 2)
        )


@pytest.mark.parametrize("place", range(len(PAIRS)))
@pytest.mark.parametrize("warped", [False, True])
def test_a_pair_has_the_networks_that_it_has_alone(place: int, warped: bool) -> None:
    members = torch.arange(place * FOLDS, (place + 1) * FOLDS)
    together = moved(networks(PAIRS, warped)).take(members)
    alone, shown = moved(networks([PAIRS[place]], warped)), batch(PAIRS[place])
    assert alone(shown).abs().max() > 0.1
    torch.testing.assert_close(together(shown), alone(shown))


@pytest.mark.parametrize("warped", [False, True])
def test_the_written_gradients_are_those_of_autograd(warped: bool) -> None:
    found = moved(networks(PAIRS[:1], warped)).double()
    shown = {name: part.double() for name, part in batch(PAIRS[0]).items()}
    model = CrossFitEstimator(folds=FOLDS)
    model.networks, model.limit = found, 1.0
    losses = model.losses(*model.score(shown))
    expected = torch.autograd.grad(losses.sum(), list(found.parameters()))
    steps = FusedSteps.__new__(FusedSteps)
    steps.module = model
    loss, gradients = steps._differentiate(shown)
    torch.testing.assert_close(loss, losses.mean())
    for gradient, slow in zip(gradients, expected, strict=True):
        assert gradient.is_contiguous()  # fused kernels read memory, whatever the strides say
        torch.testing.assert_close(gradient, slow)


@pytest.mark.trained
def test_a_turn_that_grows_with_the_radius_is_found(seed: int, outcome) -> None:
    x, noise = torch.randn(2, 4_000, 2, generator=torch.Generator().manual_seed(seed))
    angle = 1.5 * x.norm(dim=1)
    (a, b), z = x.T, 0.8 * x + 0.6 * noise
    turned = torch.stack([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], 1)
    outcome(estimate_mutual_information(turned, z, seed=seed, progress_bar=False).nats, 0.9, 1.16)
