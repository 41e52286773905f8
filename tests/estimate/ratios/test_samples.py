"""Closed forms of several samples at once are those of each alone."""

import pytest
import torch
from torch import Tensor

from closed_forms import confirmed
from mine_lightning.data.transforms import RankToNormal
from mine_lightning.estimate.features import Described, Features
from mine_lightning.estimate.ratios import FAMILY, LogRatio, SplitRows, choose
from mine_lightning.estimate.ratios.copulas import MatchedColumns
from mine_lightning.estimate.ratios.samples import EachSample, against
from shared import seeded

TRAIN, VAL = torch.arange(1_000).split([800, 200])


def regimes(seed: int, strength: float) -> tuple[Tensor, Tensor]:
    """Draw two columns a side, of clusters that both share, and of other shapes."""
    x, noise = torch.randn(2, 1_000, 2, generator=seeded(seed)).double()
    shift = 3 * torch.randint(0, 2, (1_000, 1), generator=seeded(seed))
    return x + shift, strength * (x**3 + shift) + noise


def described(x: Tensor, z: Tensor) -> SplitRows:
    a, b = Features().fit(x[TRAIN])(x), Features().fit(z[TRAIN])(z)
    return SplitRows(*(side.take(rows) for rows in (TRAIN, VAL) for side in (a, b)))


SAMPLES = [described(*regimes(seed, strength)) for seed, strength in enumerate((0, 0.2, 1, 50))]


@pytest.mark.parametrize("kind", FAMILY)
def test_a_form_of_several_samples_is_that_of_each_alone(kind: type[LogRatio]) -> None:
    together = kind.fit_each(*map(Described.together, zip(*SAMPLES, strict=True)))
    for rows, fit in zip(SAMPLES, together, strict=True):
        ratio, losses = fit.ratio, fit.losses
        alone, val = confirmed(kind, *rows), (rows.x_val, rows.z_val)
        torch.testing.assert_close(losses, alone.losses(*val), atol=1e-6, rtol=1e-6)
        found, expected = (r.log_ratio(*val) for r in (ratio, alone))
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
        assert ratio.encode_x(rows.x_val).shape == alone.encode_x(rows.x_val).shape


def test_forms_are_chosen_for_each_sample() -> None:
    together = choose(SAMPLES)
    for rows, choice in zip(SAMPLES, together, strict=True):
        (alone,) = choose([rows])
        assert choice.name == alone.name
        assert choice.losses == pytest.approx(alone.losses)
    assert len({choice.name for choice in together}) > 1


def test_what_is_left_of_a_sample_holds_no_memory_of_the_others() -> None:
    x, z, *_ = map(Described.together, zip(*SAMPLES, strict=True))
    ratio = MatchedColumns().fit(x, z)
    one, of_all = (found.counts.untyped_storage() for found in (ratio.of_sample(0, 4), ratio))
    assert 4 * one.nbytes() == of_all.nbytes()


def test_a_transform_of_samples_is_that_of_each() -> None:
    rows = torch.randn(3, 50, 2, generator=seeded())
    transform = EachSample(RankToNormal())
    found = transform.fit_transform(rows)
    for place, sample in enumerate(rows):
        alone = RankToNormal().fit(sample)
        assert torch.equal(found[place], alone(sample))
        assert torch.equal(transform.of_sample(place, 3)(rows[0]), alone(rows[0]))


def test_a_parameter_is_spread_over_the_rows_of_its_sample() -> None:
    parameter, rows = torch.arange(6.0).view(2, 3), torch.zeros(2, 7, 1, 3)
    assert torch.equal((against(parameter, rows) + rows)[1, 4, 0], parameter[1])
