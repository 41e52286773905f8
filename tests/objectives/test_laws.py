"""Laws that hold for every objective at once."""

import copy
import importlib
import io
import math
import re

import pytest
import torch
from torch import Tensor

from mine_lightning.critics.densities import ConditionalGaussian
from mine_lightning.critics.networks import ConcatCritic
from mine_lightning.objectives import Objective
from mine_lightning.objectives.base import Statistic
from mine_lightning.training.estimator import MutualInformationEstimator
from normal_pair import held_out, held_out_estimate, mutual_information, optimal_log_ratios, train
from objective_cases import CASES, Case, cases_where, draw_scores, every_case, every_objective


def gradients(loss, joint: Tensor, marginal: Tensor) -> list[Tensor]:
    joint, marginal = (s.detach().clone().requires_grad_() for s in (joint, marginal))
    found = torch.autograd.grad(loss(joint, marginal), [joint, marginal], allow_unused=True)
    return [
        torch.zeros_like(s) if g is None else g
        for s, g in zip((joint, marginal), found, strict=True)
    ]


def build(config: dict) -> object:
    module, _, name = config["class_path"].rpartition(".")
    arguments = {
        key: build(value) if isinstance(value, dict) and "class_path" in value else value
        for key, value in config["init_args"].items()
    }
    return getattr(importlib.import_module(module), name)(**arguments)


def trained(case: Case, steps: int = 3) -> Objective:
    """Return an objective whose state has moved."""
    objective = case.make()
    for step in range(steps):
        objective.loss(*draw_scores(seed=step))
    for parameter in objective.parameters():
        parameter.data.add_(0.1)
    return objective


@every_case
def test_estimate_agrees_with_the_formula(case):
    scores = draw_scores()
    torch.testing.assert_close(
        case.make().double().estimate(*scores), case.estimate(*scores), rtol=1e-8, atol=1e-8
    )


@every_case
def test_gradient_agrees_with_the_formula(case):
    scores = draw_scores(seed=1)
    ours = gradients(case.make().double().loss, *scores)
    torch.testing.assert_close(ours, gradients(case.reference_loss, *scores), rtol=1e-8, atol=1e-9)


@every_case
def test_gradient_of_the_estimate_agrees_with_the_formula(case):
    scores = draw_scores(seed=2)
    ours = gradients(case.make().double().estimate, *scores)
    torch.testing.assert_close(ours, gradients(case.estimate, *scores), rtol=1e-8, atol=1e-9)


@every_case
def test_scores_that_claim_independence_give_its_value(case):
    rows = torch.full((6,), case.neutral)
    estimate = case.make().estimate(rows, torch.full((6, 5), case.neutral))
    assert estimate.item() == pytest.approx(case.independence, abs=1e-6)


@every_case
def test_result_is_a_scalar_that_can_be_differentiated(case):
    joint, marginal = (s.float().requires_grad_() for s in draw_scores())
    objective = case.make()
    for result in (objective.loss(joint, marginal), objective.estimate(joint, marginal)):
        assert result.shape == ()
        assert result.requires_grad


@every_objective
def test_log_ratio_is_one_number_for_each_score_and_the_kind_is_said(case):
    joint, objective = draw_scores()[0].float(), case.make()
    assert objective.log_ratio(joint).shape == joint.shape
    assert objective.kind in ("lower bound", "upper bound", "neither")


@cases_where(lambda case: not case.all_pairs)
def test_one_partner_may_be_given_flat(case):
    joint, marginal = draw_scores(partners=1)
    objective = case.make().eval()
    assert objective.estimate(joint, marginal[:, 0]) == objective.estimate(joint, marginal)
    assert objective.loss(joint, marginal[:, 0]) == objective.loss(joint, marginal)


@every_case
@pytest.mark.parametrize(
    ("joint", "marginal", "message"),
    [
        ((7, 1), (7, 6), "Expected `joint` to hold one score for each pair, shape (N,)"),
        ((), (7, 6), "Expected `joint` to hold one score for each pair, shape (N,)"),
        ((0,), (0, 6), "Expected `joint` to hold one score for each pair, shape (N,)"),
        ((7,), (6, 6), "Expected `marginal` to have shape (N,) or (N, K) with N = 7 as `joint`"),
        ((7,), (7, 6, 1), "Expected `marginal` to have shape (N,) or (N, K) with N = 7"),
        ((7,), (7, 0), "Expected `marginal` to have shape (N,) or (N, K) with N = 7"),
    ],
)
def test_shapes_are_checked_at_the_door(case, joint, marginal, message):
    objective = case.make()
    for method in (objective.loss, objective.estimate):
        with pytest.raises(ValueError, match=re.escape(message)):
            method(torch.zeros(joint), torch.zeros(marginal))


@every_case
def test_integer_scores_are_refused(case):
    with pytest.raises(ValueError, match="Expected `joint` and `marginal` to be floating point"):
        case.make().loss(torch.zeros(7, dtype=torch.long), torch.zeros(7, 6))


@cases_where(lambda case: case.all_pairs)
def test_all_pairs_are_demanded(case):
    objective = case.make()
    message = "Expected `marginal` to hold the scores of all other pairs of the batch"
    with pytest.raises(ValueError, match=message):
        objective.estimate(torch.zeros(7), torch.zeros(7, 3))
    with pytest.raises(ValueError, match=message):
        objective.terms(torch.zeros(1), torch.zeros(1, 1))


@cases_where(lambda case: not case.all_pairs)
def test_pooled_terms_give_the_estimate_of_the_concatenation(case):
    joint, marginal = draw_scores(rows=20, partners=3)
    objective = case.make().double().eval()
    parts = [objective.pool(*part) for part in zip(joint.split(7), marginal.split(7), strict=True)]
    pooled = objective.read(parts[0] + parts[1] + parts[2])
    torch.testing.assert_close(pooled, objective.estimate(joint, marginal), rtol=1e-12, atol=1e-12)


@every_case
def test_only_the_loss_in_training_changes_state(case):
    objective = trained(case)
    before = copy.deepcopy(objective.state_dict())
    scores = draw_scores(seed=5)
    objective.estimate(*scores)
    objective.eval()
    objective.loss(*scores)
    objective.estimate(*scores)
    after = objective.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


@every_case
def test_state_survives_a_file_and_gives_the_same_numbers(case):
    objective, copied, file = trained(case), case.make(), io.BytesIO()
    torch.save(objective.state_dict(), file)
    file.seek(0)
    copied.load_state_dict(torch.load(file, weights_only=True))
    scores = draw_scores(seed=6)
    assert torch.equal(copied.estimate(*scores), objective.estimate(*scores))
    assert torch.equal(copied.loss(*scores), objective.loss(*scores))


@every_case
def test_configuration_builds_the_same_objective(case):
    objective, scores = case.make(), draw_scores()
    rebuilt = build(objective.config())
    assert type(rebuilt) is type(objective)
    assert torch.equal(rebuilt.estimate(*scores), objective.estimate(*scores))


@every_case
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_scores_give_exactly_what_float32_gives(case, dtype):
    joint, marginal = (scores.to(dtype) for scores in draw_scores())
    for method in ("loss", "estimate"):
        half = getattr(case.make(), method)(joint, marginal)
        full = getattr(case.make(), method)(joint.float(), marginal.float())
        assert half.dtype == torch.float32
        assert torch.equal(half, full)


@every_case
def test_autocast_changes_nothing(case):
    joint, marginal = (scores.float() for scores in draw_scores())
    for method in ("loss", "estimate"):
        full = getattr(case.make(), method)(joint, marginal)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            torch.testing.assert_close(getattr(case.make(), method)(joint, marginal), full)


def extreme_scores() -> tuple[Tensor, Tensor]:
    signs = torch.tensor([1.0, -1.0, 1.0, 0.5, -0.3, 0.0, 1.0])
    marginal = 1e4 * torch.stack([signs.roll(k + 1) for k in range(6)], dim=1)
    return 1e4 * signs.flip(0), marginal


@cases_where(lambda case: not case.loss_overflows)
def test_loss_and_gradient_are_finite_at_ten_thousand(case):
    loss = case.make().loss(*extreme_scores())
    assert torch.isfinite(loss)
    assert all(torch.isfinite(g).all() for g in gradients(case.make().loss, *extreme_scores()))


@cases_where(lambda case: not case.estimate_overflows)
def test_estimate_and_gradient_are_finite_at_ten_thousand(case):
    objective = case.make()
    assert torch.isfinite(objective.estimate(*extreme_scores()))
    assert all(torch.isfinite(g).all() for g in gradients(objective.estimate, *extreme_scores()))


@cases_where(lambda case: case.estimate_overflows)
def test_overflow_of_an_estimate_names_the_objective(case):
    objective = case.make()
    name = re.escape(f"{type(objective).__name__}({objective.extra_repr()})")
    with pytest.raises(FloatingPointError, match=f"Expected the estimate of {name} to be finite"):
        objective.estimate(*extreme_scores())


@cases_where(lambda case: case.loss_overflows)
def test_overflow_of_a_loss_is_infinite_and_named_by_the_check(case):
    objective = case.make()
    loss = objective.loss(*extreme_scores())
    assert loss.item() == math.inf
    message = f"Expected the loss of {type(objective).__name__}.* to be finite, got inf"
    with pytest.raises(FloatingPointError, match=message):
        objective.check_finite(loss, "loss")


@every_case
def test_scores_that_are_no_numbers_fail_loudly(case):
    joint, marginal = (scores.float() for scores in draw_scores())
    joint[0] = math.nan
    with pytest.raises(FloatingPointError, match="scores are not finite"):
        case.make().estimate(joint, marginal)


@every_objective
def test_estimator_and_backward_pass(case):
    torch.manual_seed(0)
    x, z = torch.randn(2, 8, 2).unbind()
    model = MutualInformationEstimator(
        ConcatCritic(hidden_features=(8,)), case.make(), all_pairs=case.all_pairs
    )
    batch = {"joint": (x, z), "marginal": z.roll(1, 0)}
    assert model(batch).shape == ()
    model.objective.loss(*model.scores(batch)).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_every_public_objective_is_in_the_list():
    objectives = importlib.import_module("mine_lightning.objectives")
    public = {
        value
        for name in objectives.__all__
        if isinstance(value := getattr(objectives, name), type) and issubclass(value, Statistic)
    }
    assert public - {Objective} == {type(case.make()) for case in CASES.values()}


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("name", ["dv", "mine", "nwj", "tuba", "tuba-learnable", "js", "smile-inf"])
def test_bound_of_the_optimal_critic_is_the_mutual_information(name, rho):
    rows = 40_000
    joint, marginal = optimal_log_ratios(rows, rho)
    shift = CASES[name].neutral
    estimate = CASES[name].make().eval().estimate(joint + shift, marginal + shift).item()
    error = 4 * math.sqrt((joint.var() + marginal.exp().var()) / rows)
    assert abs(estimate - mutual_information(rho)) <= error + 1e-9


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
    all_pairs = case.all_pairs or name in SEVERAL
    critic = train(objective, 0.0, critic, 150, rows=64, all_pairs=all_pairs, seed=seed)
    if all_pairs:
        estimate = held_out_estimate(objective, critic, 0.0)
    else:
        estimate = objective.estimate(*held_out(critic, 0.0, rows=20_000))
    outcome(estimate, -0.02, 0.02)
