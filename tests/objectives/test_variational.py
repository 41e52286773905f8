"""What is particular to single objectives: state, options, errors, known answers."""

import math
import re
import warnings

import pytest
import torch

from mine_lightning.critics.densities import ConditionalGaussian
from mine_lightning.functional import donsker_varadhan, interpolated_bound, nwj, tuba
from mine_lightning.metrics import (
    EffectiveSampleSize,
    FInformation,
    MutualInformation,
    MutualInformationStandardError,
)
from mine_lightning.metrics import mutual_information as mutual_information_of_scores
from mine_lightning.objectives import (
    MINE,
    NWJ,
    SMILE,
    TUBA,
    AnchoredInfoNCE,
    DivergenceBound,
    DonskerVaradhan,
    FDivergence,
    InfoNCE,
    InterpolatedBound,
    JensenShannonNWJ,
    LearnableBaseline,
    MovingAverageBaseline,
    Objective,
)
from mine_lightning.objectives.divergences import Pearson
from mine_lightning.objectives.pooling import Pooled
from mine_lightning.training.ensemble import MutualInformationEnsemble
from mine_lightning.training.estimator import MutualInformationEstimator
from normal_pair import (
    held_out,
    held_out_estimate,
    mutual_information,
    optimal_log_ratios,
    train,
)
from objective_cases import CASES, draw_scores, every_objective


def gradient(objective, joint, marginal):
    joint, marginal = (s.detach().clone().requires_grad_() for s in (joint, marginal))
    return torch.autograd.grad(objective.loss(joint, marginal), [joint, marginal])


# MINE and the moving averages


@pytest.mark.parametrize("make", [MINE, lambda r: TUBA(MovingAverageBaseline(r))])
@pytest.mark.parametrize("ma_rate", [0.01, 0.5, 1.0])
def test_gradient_is_equation_12_with_the_moving_average(make, ma_rate):
    objective, average = make(ma_rate).double(), None
    for step in range(5):
        joint, marginal = draw_scores(seed=step)
        partition = marginal.exp().mean()
        average = partition if average is None else (1 - ma_rate) * average + ma_rate * partition
        joint_gradient, marginal_gradient = gradient(objective, joint, marginal)
        expected = marginal.exp() / marginal.numel() / average
        torch.testing.assert_close(joint_gradient, torch.full_like(joint, -1 / len(joint)))
        torch.testing.assert_close(marginal_gradient, expected)
    (log_average,) = objective.buffers()
    torch.testing.assert_close(log_average, average.log())


def test_mine_of_rate_1_has_the_gradient_of_donsker_varadhan():
    objective = MINE(ma_rate=1.0).double()
    for step in range(3):
        scores = draw_scores(seed=step)
        torch.testing.assert_close(
            gradient(objective, *scores), gradient(DonskerVaradhan(), *scores)
        )


@pytest.mark.parametrize("make", [DonskerVaradhan, MINE])
@pytest.mark.parametrize("shift", [0.0, 30.0])
def test_a_stable_loss_leaves_scores_alone_that_no_marginal_score_contradicts(make, shift):
    joint, marginal = torch.tensor([0.0, 1.7, 1.9, 50.0]) + shift, torch.zeros(4, 2) + shift
    marginal = marginal[:, :1].expand(4, 2)  # ln 8 = 2.08
    expected = torch.tensor([-1, -1, -1, 0]) / 3
    found, marginal_gradient = gradient(make(stable=True), joint, marginal)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(marginal_gradient, torch.full((4, 2), 1 / 8))


def test_stable_nwj_leaves_ratios_alone_beyond_the_number_of_marginal_scores():
    joint, marginal = torch.tensor([1.0, 2.9, 3.2, 50.0]), torch.ones(4, 2)  # 1 + ln 8 = 3.08
    found, marginal_gradient = gradient(NWJ(stable=True), joint, marginal)
    torch.testing.assert_close(found, torch.tensor([-0.25, -0.25, 0, 0]))
    torch.testing.assert_close(marginal_gradient, gradient(NWJ(), joint, marginal)[1])


def test_the_first_batch_starts_the_average():
    objective = MINE(ma_rate=0.01)
    objective.loss(torch.zeros(2), torch.full((2,), 5.0))
    assert objective.log_ema.item() == 5


def test_an_average_of_huge_scores_stays_finite():
    objective = MINE(ma_rate=0.1)
    for value in (1e4, -1e4, 0.0):
        assert torch.isfinite(objective.loss(torch.zeros(2), torch.full((2,), value)))
    assert torch.isfinite(objective.log_ema)


@pytest.mark.parametrize("ma_rate", [0.0, -0.1, 1.5, math.nan])
@pytest.mark.parametrize("make", [MINE, MovingAverageBaseline])
def test_rates_outside_their_range_are_refused(make, ma_rate):
    with pytest.raises(ValueError, match=r"Expected `ma_rate` to be in \(0, 1\], got"):
        make(ma_rate)


# TUBA and the interpolated bound


def test_tuba_reports_the_bound_at_its_baseline():
    objective = TUBA(LearnableBaseline(0.7))
    joint, marginal = draw_scores()
    torch.testing.assert_close(objective.estimate(joint, marginal), tuba(joint, marginal, 0.7))
    unseen = TUBA().estimate(joint, marginal)  # a = 1
    torch.testing.assert_close(unseen, tuba(joint, marginal, 0.0))


def test_tuba_after_training_on_one_batch_is_donsker_varadhan_there():
    objective, scores = TUBA(), draw_scores()
    objective.loss(*scores)
    torch.testing.assert_close(objective.estimate(*scores), donsker_varadhan(*scores))


def test_a_learnable_baseline_descends_to_the_partition():
    objective = TUBA(LearnableBaseline()).double()
    joint, marginal = draw_scores()
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        objective.loss(joint, marginal).backward()
        optimizer.step()
    partition = marginal.exp().mean().log()
    torch.testing.assert_close(objective.baseline().detach(), partition, atol=1e-4, rtol=0)


def test_log_ratio_of_tuba_subtracts_the_baseline():
    scores = torch.tensor([0.0, 2.0])
    assert TUBA(LearnableBaseline(0.5)).log_ratio(scores).tolist() == [-0.5, 1.5]
    assert NWJ().log_ratio(scores).tolist() == [-1, 1]


def test_interpolated_bound_reports_the_bound_at_its_baseline():
    objective = InterpolatedBound(0.2, LearnableBaseline(0.7)).double()
    scores = draw_scores()
    expected = interpolated_bound(*scores, 0.2, objective.baseline())
    torch.testing.assert_close(objective.estimate(*scores), expected)


@pytest.mark.parametrize("alpha", [0.0, -0.5, 1.01, math.nan])
def test_alpha_outside_its_range_is_refused(alpha):
    with pytest.raises(ValueError, match=r"Expected `alpha` to be in \(0, 1\], got .* is `TUBA`"):
        InterpolatedBound(alpha)


# InfoNCE


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan])
def test_temperatures_that_are_not_positive_are_refused(temperature):
    with pytest.raises(ValueError, match="Expected `temperature` to be positive and finite, got"):
        InfoNCE(temperature=temperature)


def test_temperature_is_learnt_only_on_demand():
    scores = draw_scores()
    assert not list(InfoNCE(temperature=0.1).parameters())
    objective = InfoNCE(temperature=0.1, learn_temperature=True)
    objective.loss(*scores).backward()
    (log_temperature,) = objective.parameters()
    assert log_temperature.grad.abs() > 0
    assert objective.temperature.item() == pytest.approx(0.1)


def test_temperature_scales_the_log_ratio_as_it_scales_the_loss():
    assert InfoNCE(temperature=0.5).log_ratio(torch.tensor([1.0, 3.0])).tolist() == [2, 6]


def test_a_learnt_temperature_finds_the_scale_of_the_log_ratio():
    joint, _ = optimal_log_ratios(4000, 0.8)
    marginal = optimal_log_ratios(4000 * 15, 0.8, seed=7)[1].view(4000, 15)
    objective = InfoNCE(temperature=1.0, learn_temperature=True).double()
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        objective.loss(joint / 5, marginal / 5).backward()
        optimizer.step()
    assert objective.temperature.item() == pytest.approx(1 / 5, rel=0.1)


@pytest.mark.parametrize(
    ("objective", "ceiling"),
    [
        (InfoNCE(), math.log(16)),
        (InfoNCE(symmetric=True), math.log(16)),
        (InfoNCE(include_positive=False), math.inf),
        (InterpolatedBound(0.01), math.log(1500)),
        (DonskerVaradhan(), math.inf),
    ],
)
def test_ceiling(objective, ceiling):
    assert objective.ceiling(partners=15) == pytest.approx(ceiling)


def test_an_estimate_near_its_ceiling_warns_once():
    objective = InfoNCE()
    pooled = objective.pool(torch.zeros(4), torch.zeros(4, 15))
    with pytest.warns(UserWarning, match=r"InfoNCE estimate 2\.7.* ceiling ln 16 = 2\.773 nats"):
        objective.warn_near_ceiling(torch.tensor(2.7), pooled)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        objective.warn_near_ceiling(torch.tensor(2.7), pooled)
        InfoNCE().warn_near_ceiling(torch.tensor(2.0), pooled)
        InfoNCE().warn_near_ceiling(torch.tensor(math.nan), pooled)
        InfoNCE().warn_near_ceiling(torch.tensor(math.nan), Pooled.nothing())


# JensenShannonNWJ and SMILE


def test_the_nwj_read_out_is_at_the_score_plus_1():
    joint, marginal = draw_scores()
    torch.testing.assert_close(
        JensenShannonNWJ().estimate(joint, marginal), nwj(joint + 1, marginal + 1)
    )


@pytest.mark.parametrize("tau", [0.0, -1.0, math.nan])
def test_a_clip_that_is_not_positive_is_refused(tau):
    with pytest.raises(ValueError, match="Expected `tau` to be positive, got"):
        SMILE(tau)


def test_smile_is_a_bound_without_a_clip_alone():
    assert SMILE(math.inf).kind == "lower bound"
    assert SMILE(5.0).kind == "neither"


def test_the_clip_does_not_touch_training():
    scores = draw_scores(scale=20)
    for first, second in zip(
        gradient(SMILE(1.0), *scores), gradient(SMILE(math.inf), *scores), strict=True
    ):
        assert torch.equal(first, second)


# kinds, pooling, failures


def test_kinds():
    kinds = {name: case.make().kind for name, case in CASES.items() if case.is_objective}
    assert {n for n, kind in kinds.items() if kind == "upper bound"} == {"club", "leave-one-out"}
    neither = {n for n, kind in kinds.items() if kind == "neither"}
    plain = {name for name in CASES if name.endswith("-plain")}
    assert neither == {"anchored", "anchored-5", "infonce-without", "smile-1", "smile-5", *plain}


@every_objective
def test_metric_pools_exactly(case):
    objective = case.make().eval()
    batches = [draw_scores(rows=4, seed=seed) for seed in range(5)]
    metric = MutualInformation(objective).set_dtype(torch.float64)
    for batch in batches:
        metric.update(*batch)
    expected = objective.pooled_estimate(batches)
    torch.testing.assert_close(metric.compute(), expected, rtol=1e-6, atol=1e-6)
    if not case.all_pairs:
        whole = objective.estimate(*map(torch.cat, zip(*batches, strict=True)))
        torch.testing.assert_close(expected, whole)


def test_pooled_batches_may_differ_in_size_and_partners():
    few, many = draw_scores(rows=3, partners=1), draw_scores(rows=5, partners=4)
    joint = torch.cat((few[0], many[0]))
    marginal = torch.cat((few[1].expand(3, 4), many[1]))
    torch.testing.assert_close(
        DonskerVaradhan().pooled_estimate([few, many]), donsker_varadhan(joint, marginal)
    )


def test_sums_add_along_any_dimension():
    objective, batches = DonskerVaradhan(), [draw_scores(rows=4, seed=seed) for seed in range(3)]
    pooled = [objective.pool(*batch) for batch in batches]
    stacked = Pooled(*map(torch.stack, zip(*pooled, strict=True)))
    whole = objective.pool(*map(torch.cat, zip(*batches, strict=True)))
    for total in (stacked.total(), pooled[0] + pooled[1] + pooled[2], whole + Pooled.nothing()):
        torch.testing.assert_close(total, whole)
    torch.testing.assert_close(
        objective.standard_error(stacked), torch.stack([*map(objective.standard_error, pooled)])
    )


def test_the_bound_on_a_divergence_is_pooled_but_is_not_mutual_information():
    bound, (joint, marginal) = FDivergence(Pearson()).bound, draw_scores(rows=20, partners=3)
    metric = FInformation(Pearson())
    for part in zip(joint.split(7), marginal.split(7), strict=True):
        metric.update(*part)
    expected = DivergenceBound(Pearson()).estimate(joint, marginal)
    torch.testing.assert_close(metric.compute().double(), expected, rtol=1e-6, atol=1e-6)
    for face in (
        MutualInformation,
        MutualInformationStandardError,
        EffectiveSampleSize,
        lambda bound: MutualInformationEstimator(objective=bound),
        lambda bound: MutualInformationEnsemble(objective=bound),
        lambda bound: mutual_information_of_scores(joint, marginal, bound),
    ):
        with pytest.raises(ValueError, match=r"got DivergenceBound\(.*is not mutual information"):
            face(bound)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_check_finite(value):
    message = r"Expected the loss of SMILE\(tau=5.0\) to be finite, got .* lower the learning rate"
    with pytest.raises(FloatingPointError, match=message):
        SMILE().check_finite(torch.tensor(value), "loss")
    number = torch.tensor(1.0, requires_grad=True)
    assert SMILE().check_finite(number) is number


def test_the_base_leaves_the_contract_open():
    scores = draw_scores()
    for method in ("loss", "terms", "estimate"):
        with pytest.raises(NotImplementedError):
            getattr(Objective(), method)(*scores)


# known answers


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("name", ["dv", "mine", "nwj", "tuba", "tuba-learnable", "js", "smile-inf"])
def test_bound_of_the_optimal_critic_is_the_mutual_information(name, rho):
    rows = 40_000
    joint, marginal = optimal_log_ratios(rows, rho)
    shift = CASES[name].neutral
    estimate = CASES[name].make().eval().estimate(joint + shift, marginal + shift).item()
    error = 4 * math.sqrt((joint.var() + marginal.exp().var()) / rows)
    assert abs(estimate - mutual_information(rho)) <= error + 1e-9


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.9])
def test_infonce_of_the_optimal_critic_is_a_lower_bound_that_more_partners_tighten(rho):
    joint, marginal = optimal_log_ratios(64_000, rho)
    rows = 1000
    values = [
        InfoNCE().estimate(joint[:rows], marginal[: rows * k].view(rows, k)).item()
        for k in (1, 7, 63)
    ]
    error = 4 * (joint.std() / math.sqrt(rows)).item()
    assert values[2] == pytest.approx(mutual_information(rho), abs=error + 0.02)
    if rho > 0:
        assert values[0] < values[1] < values[2]


SEVERAL = ("infonce", "infonce-symmetric", "infonce-without", "interpolated", "interpolated-1")


@pytest.mark.trained
@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["dv", "mine", "nwj", "tuba", "tuba-learnable", "js", "smile-5", "smile-inf", *SEVERAL],
)
def test_a_trained_critic_is_within_5_percent(name, seed, outcome):
    rho, objective = 0.6, CASES[name].make()
    if name in SEVERAL:
        critic = train(objective, rho, steps=400, rows=64, all_pairs=True, seed=seed)
        estimate = held_out_estimate(objective, critic, rho)
    else:
        estimate = objective.estimate(*held_out(train(objective, rho, seed=seed), rho))
    outcome(estimate / mutual_information(rho), 0.95, 1.05)


@pytest.mark.trained
@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, case in CASES.items() if case.is_objective])
def test_independent_data_give_0(name, seed, outcome):
    case = CASES[name]
    objective = case.make()
    upper = objective.kind == "upper bound"
    critic = ConditionalGaussian((32,), activation="tanh") if upper else None
    critic = train(objective, 0.0, critic, 150, rows=64, all_pairs=case.all_pairs, seed=seed)
    if case.all_pairs:
        estimate = held_out_estimate(objective, critic, 0.0)
    else:
        estimate = objective.estimate(*held_out(critic, 0.0, rows=20_000))
    outcome(estimate, -0.02, 0.02)


def enumerated(table: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return scores of all (x, z, two partners), each as often as it is likely."""
    pairs = [(x, z) for x in (0, 1) for z in (0, 1) for _ in range(3 if x == z else 1)]
    rows = [(x, z, a, b) for x, z in pairs for a in (0, 1) for b in (0, 1)]
    x, z, a, b = torch.tensor(rows).T
    return table[x, z], torch.stack([table[x, a], table[x, b]], dim=1)


@pytest.mark.parametrize("anchor", [0.3, 1.0, 7.0])
def test_the_anchored_loss_is_least_at_the_log_density_ratio(anchor):
    """InfoNCE does not feel a function of x that is added to the scores."""
    ratio = torch.tensor([[1.5, 0.5], [0.5, 1.5]], dtype=torch.float64).log()
    shifted = ratio + torch.tensor([[0.4], [-0.4]])
    objective = AnchoredInfoNCE(anchor)
    table = ratio.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(objective.loss(*enumerated(table)), table)
    torch.testing.assert_close(gradient, torch.zeros_like(ratio))
    assert objective.loss(*enumerated(shifted)) > objective.loss(*enumerated(ratio)) + 1e-3
    least = InfoNCE().loss(*enumerated(ratio))
    torch.testing.assert_close(InfoNCE().loss(*enumerated(shifted)), least)
    truth = 2 * 3 / 8 * math.log(1.5) + 2 / 8 * math.log(0.5)
    assert objective.estimate(*enumerated(ratio)).item() == pytest.approx(truth)


def test_one_partner_and_an_anchor_of_one_are_logistic_regression():
    joint, marginal = draw_scores(partners=1)
    anchored, logistic = AnchoredInfoNCE(), JensenShannonNWJ()
    torch.testing.assert_close(2 * anchored.loss(joint, marginal), logistic.loss(joint, marginal))


@pytest.mark.parametrize("anchor", [0.0, -1.0, math.inf, math.nan])
def test_the_anchor_has_to_be_positive(anchor):
    with pytest.raises(
        ValueError, match=re.escape(f"Expected `anchor` to be positive, got {anchor}.")
    ):
        AnchoredInfoNCE(anchor)
