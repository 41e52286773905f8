"""Marginal samplers: nobody is their own partner, and nothing else is lost."""

import pytest
import torch

from mine_lightning.data.samplers import (
    CyclicShift,
    Derangement,
    IndependentDraw,
    MarginalSampler,
    Partners,
)
from shared import seeded

SAMPLERS = [Derangement(), CyclicShift(), CyclicShift(shift=3), IndependentDraw(), Partners(5)]
WITHIN = [sampler for sampler in SAMPLERS if not isinstance(sampler, IndependentDraw)]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("rows", [torch.arange(8), torch.randperm(64)[:32].view(4, 8)])
def test_no_row_is_its_own_partner(sampler: MarginalSampler, rows: torch.Tensor) -> None:
    for seed in range(200):
        partners = sampler.partners(rows, 64, seeded(seed))
        own = rows.unsqueeze(-1) if partners.ndim > rows.ndim else rows
        assert not (partners == own).any()


@pytest.mark.parametrize("sampler", WITHIN, ids=lambda s: type(s).__name__)
def test_partners_come_from_the_own_minibatch_and_each_row_serves_equally(
    sampler: MarginalSampler,
) -> None:
    rows = torch.randperm(100, generator=seeded())[:24].view(3, 8)
    partners = sampler.partners(rows, 100, seeded()).view(3, 8, -1)
    for batch, chosen in zip(rows, partners, strict=True):
        expected = batch.sort().values.repeat_interleave(chosen.shape[-1])
        assert torch.equal(chosen.flatten().sort().values, expected)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
def test_partners_of_shuffled_rows_are_other_rows_of_the_minibatch(
    sampler: MarginalSampler,
) -> None:
    rows = torch.randperm(24, generator=seeded()).view(3, 8)
    own = sampler.partners(rows, 24, seeded())
    partners = sampler.partners_of_shuffled(rows, 24, seeded())
    assert partners.shape == own.shape
    assert not (partners.view(3, 8, -1) == rows.unsqueeze(-1)).any()
    if sampler in WITHIN:
        assert all(
            set(c.flatten().tolist()) <= set(b.tolist())
            for b, c in zip(rows, partners, strict=True)
        )


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
def test_partners_fixed_once_are_those_drawn_at_once(sampler: MarginalSampler) -> None:
    every = sampler.partners(torch.arange(50), 50, seeded())
    fixed = sampler.fix(50, seeded())
    for rows in torch.arange(50).split(7):
        assert torch.equal(fixed(rows), every[rows])


def test_partners_of_a_row_differ() -> None:
    partners = Partners(7).partners(torch.arange(8), 8, seeded())
    others = [[j for j in range(8) if j != i] for i in range(8)]
    assert partners.sort(-1).values.tolist() == others


def test_a_derangement_is_uniform_over_the_other_rows() -> None:
    draws = torch.stack(
        [Derangement().partners(torch.arange(4), 4, seeded(seed)) for seed in range(6000)]
    )
    counts = torch.stack([(draws == row).sum(0) for row in range(4)]) / 6000
    expected = (1 - torch.eye(4)) / 3
    assert torch.allclose(counts, expected, atol=4 * (1 / 3 * 2 / 3 / 6000) ** 0.5)


@pytest.mark.parametrize("sampler", [Derangement(), Partners(1)], ids=["derangement", "partners"])
def test_partners_of_shuffled_rows_are_uniform_too(sampler: MarginalSampler) -> None:
    orders = torch.stack([torch.randperm(4, generator=seeded(seed)) for seed in range(6000)])
    partners = sampler.partners_of_shuffled(orders, 4).view(orders.shape)
    draws = torch.empty_like(partners).scatter_(-1, orders, partners)
    counts = torch.stack([(draws == row).sum(0) for row in range(4)]) / 6000
    expected = (1 - torch.eye(4)) / 3
    assert torch.allclose(counts, expected, atol=4 * (1 / 3 * 2 / 3 / 6000) ** 0.5)


def test_an_independent_draw_is_uniform_over_all_other_rows() -> None:
    draws = torch.stack(
        [IndependentDraw().partners(torch.tensor([2]), 5, seeded(seed)) for seed in range(6000)]
    )
    shares = torch.bincount(draws.flatten(), minlength=5) / 6000
    expected = torch.tensor([0.25, 0.25, 0, 0.25, 0.25])
    assert torch.allclose(shares, expected, atol=4 * (0.25 * 0.75 / 6000) ** 0.5)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
def test_the_generator_decides_alone(sampler: MarginalSampler) -> None:
    state = torch.get_rng_state()
    first = sampler.partners(torch.arange(16), 16, seeded(3))
    assert torch.equal(first, sampler.partners(torch.arange(16), 16, seeded(3)))
    assert torch.equal(state, torch.get_rng_state())


def test_calling_a_sampler_draws_rows_of_a_tensor() -> None:
    z = torch.randn(6, 2, 3)
    assert Derangement()(z, seeded()).shape == (6, 2, 3)
    assert Partners(4)(z, seeded()).shape == (6, 4, 2, 3)
    assert torch.equal(CyclicShift(2)(z), z.roll(-2, 0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CyclicShift(shift=0), "Expected `shift` to be an integer of at least 1, got 0."),
        (lambda: Partners(count=0), "Expected `count` to be an integer of at least 1, got 0."),
        (
            lambda: CyclicShift(4)(torch.arange(4)),
            "Expected `shift` not to be a multiple of the minibatch size 4, got 4",
        ),
        (lambda: Derangement()(torch.arange(1)), "at least 2 rows in a minibatch for Derangement"),
        (lambda: Partners(4)(torch.arange(4)), "at least 5 rows in a minibatch for Partners"),
        (lambda: IndependentDraw()(torch.arange(1)), "at least 2 rows to draw partners from"),
    ],
)
def test_bad_input_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
