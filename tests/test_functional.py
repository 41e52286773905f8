"""Laws that tie the functions of scores to each other."""

import math

import pytest
import torch

from mine_lightning.functional import (
    club,
    donsker_varadhan,
    f_divergence,
    infonce,
    interpolated_bound,
    leave_one_out,
    nwj,
    smile,
    tuba,
)
from mine_lightning.objectives import divergences
from mine_lightning.objectives.scores import log_mean_exp, other_rows, split_pairs
from objective_cases import MEMBERS, draw_scores

seeds = pytest.mark.parametrize("seed", range(8))
scales = pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])


@seeds
@scales
def test_nwj_never_exceeds_donsker_varadhan(seed, scale):
    scores = draw_scores(scale=scale, seed=seed)
    assert nwj(*scores) <= donsker_varadhan(*scores) + 1e-12


@seeds
def test_a_constant_does_not_change_donsker_varadhan(seed):
    joint, marginal = draw_scores(seed=seed)
    torch.testing.assert_close(
        donsker_varadhan(joint + 3, marginal + 3), donsker_varadhan(joint, marginal)
    )


@seeds
def test_nwj_of_normalised_scores_is_donsker_varadhan(seed):
    joint, marginal = draw_scores(seed=seed)
    shift = 1 - log_mean_exp(marginal)
    torch.testing.assert_close(
        nwj(joint + shift, marginal + shift), donsker_varadhan(joint, marginal)
    )


@seeds
@pytest.mark.parametrize("log_baseline", [-1.0, 0.0, 2.0])
def test_tuba_never_exceeds_donsker_varadhan_and_meets_it_at_the_partition(seed, log_baseline):
    joint, marginal = draw_scores(seed=seed)
    best = donsker_varadhan(joint, marginal)
    assert tuba(joint, marginal, log_baseline) <= best
    torch.testing.assert_close(tuba(joint, marginal, log_mean_exp(marginal)), best)


def test_tuba_with_baseline_e_is_nwj():
    scores = draw_scores()
    torch.testing.assert_close(tuba(*scores, log_baseline=1.0), nwj(*scores))


def test_a_wrong_baseline_costs_what_the_docstring_says():
    joint, marginal = draw_scores()
    factor = 3.0
    wrong = tuba(joint, marginal, log_mean_exp(marginal) - math.log(factor))
    lost = donsker_varadhan(joint, marginal) - wrong
    assert lost.item() == pytest.approx(factor - 1 - math.log(factor))


@seeds
@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_infonce_never_exceeds_its_ceiling(seed, scale, symmetric, temperature):
    scores = draw_scores(scale=scale, seed=seed)
    bound = infonce(*scores, temperature=temperature, symmetric=symmetric)
    assert bound <= math.log(7) + 1e-12


def test_infonce_without_the_positive_has_no_ceiling():
    joint, marginal = torch.full((7,), 50.0), torch.zeros(7, 6)
    assert infonce(joint, marginal, include_positive=False).item() == 50


def test_a_function_of_x_does_not_change_infonce_but_the_symmetric_one():
    joint, marginal = draw_scores()
    offset = torch.linspace(-2, 2, 7, dtype=torch.float64)
    moved = joint + offset, marginal + offset.unsqueeze(1)
    torch.testing.assert_close(infonce(*moved), infonce(joint, marginal))
    assert infonce(*moved, symmetric=True) != infonce(joint, marginal, symmetric=True)


def test_symmetric_infonce_is_the_mean_over_both_directions():
    joint, marginal = draw_scores()
    forth, back = infonce(joint, marginal), infonce(joint, other_rows(joint, marginal))
    torch.testing.assert_close(infonce(joint, marginal, symmetric=True), (forth + back) / 2)


@seeds
def test_interpolated_bound_at_1_is_infonce_over_the_partners_but_one(seed):
    joint, marginal = draw_scores(seed=seed)
    kept = [
        infonce(joint, torch.cat((marginal[:, :k], marginal[:, k + 1 :]), dim=1)) for k in range(6)
    ]
    torch.testing.assert_close(interpolated_bound(joint, marginal, 1.0), torch.stack(kept).mean())


@seeds
@pytest.mark.parametrize("log_baseline", [-1.0, 0.0, 1.0])
def test_interpolated_bound_tends_to_tuba(seed, log_baseline):
    joint, marginal = draw_scores(seed=seed)
    torch.testing.assert_close(
        interpolated_bound(joint, marginal, 1e-9, log_baseline),
        tuba(joint, marginal, log_baseline),
        rtol=0,
        atol=1e-6,
    )


@pytest.mark.parametrize("alpha", [0.01, 0.5, 1.0])
def test_interpolated_bound_stays_below_its_ceiling(alpha):
    joint, marginal = draw_scores(scale=1e3)
    assert interpolated_bound(joint, marginal, alpha) <= math.log(6 / alpha) + 1


@seeds
def test_smile_without_a_clip_is_donsker_varadhan(seed):
    scores = draw_scores(scale=20, seed=seed)
    assert smile(*scores, tau=math.inf) == donsker_varadhan(*scores)


def test_smile_clips_only_the_marginal_scores():
    assert smile(torch.tensor([100.0]), torch.tensor([100.0]), tau=5.0).item() == 95
    assert smile(torch.tensor([-100.0]), torch.tensor([-100.0]), tau=5.0).item() == -95


def test_leave_one_out_compares_each_z_with_the_other_x():
    scores = torch.randn(5, 5, generator=torch.Generator().manual_seed(0)).double()
    terms = [
        scores[j, j] - torch.log(torch.exp(torch.cat([scores[:j, j], scores[j + 1 :, j]])).mean())
        for j in range(5)
    ]
    bound = leave_one_out(*split_pairs(scores))
    assert bound.item() == pytest.approx(torch.stack(terms).mean().item())


@seeds
def test_leave_one_out_never_exceeds_club(seed):
    scores = draw_scores(seed=seed)
    assert leave_one_out(*scores) <= club(*scores)


def test_f_divergence_of_kullback_leibler_is_nwj():
    scores = draw_scores()
    bound = f_divergence(*scores, divergences.KullbackLeibler())
    torch.testing.assert_close(bound, nwj(*scores))


def test_gan_is_jensen_shannon_less_its_constant():
    scores = draw_scores()
    torch.testing.assert_close(
        f_divergence(*scores, divergences.GAN()),
        f_divergence(*scores, divergences.JensenShannon()) - math.log(4),
    )


@pytest.mark.parametrize(
    "function",
    [
        club,
        donsker_varadhan,
        infonce,
        leave_one_out,
        nwj,
        smile,
        tuba,
        lambda joint, marginal: interpolated_bound(joint, marginal, 0.5),
        *(
            lambda joint, marginal, member=member: f_divergence(
                joint, marginal, getattr(divergences, member)()
            )
            for member in MEMBERS
        ),
    ],
)
def test_a_column_of_scores_is_never_broadcast(function):
    with pytest.raises(ValueError, match=r"A critic that returns \(N, 1\) needs `.squeeze\(-1\)`"):
        function(torch.zeros(4, 1), torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r"Expected `marginal` to have shape \(N,\) or \(N, K\)"):
        function(torch.zeros(4), torch.zeros(5, 3))
