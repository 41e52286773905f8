import copy
import math
import pickle
import warnings

import pytest
import torch
from lightning import LightningModule, Trainer
from torch.utils.data import DataLoader
from torchmetrics import MetricCollection
from torchmetrics.clustering import MutualInfoScore
from torchmetrics.wrappers import MetricTracker, Running

from mine_lightning.functional import donsker_varadhan
from mine_lightning.metrics import (
    EffectiveSampleSize,
    LogPartition,
    MutualInformation,
    MutualInformationStandardError,
    mutual_information,
)
from mine_lightning.objectives import (
    CLUB,
    MINE,
    NWJ,
    SMILE,
    TUBA,
    DonskerVaradhan,
    FDivergence,
    InfoNCE,
    InterpolatedBound,
    JensenShannonNWJ,
    LearnableBaseline,
    LeaveOneOut,
)
from mine_lightning.objectives.scores import log_mean_exp

OBJECTIVES = [
    DonskerVaradhan(),
    MINE(),
    NWJ(),
    TUBA(),
    InfoNCE(),
    InfoNCE(include_positive=False),
    InterpolatedBound(),
    SMILE(),
    JensenShannonNWJ(),
    FDivergence(),
    FDivergence(normalize=False),
    CLUB(),
]
METRICS = [MutualInformation, MutualInformationStandardError, EffectiveSampleSize]
SHAPES = [(), (1,), (3,)]

objectives = pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)
metrics = pytest.mark.parametrize("metric_class", METRICS)
shapes = pytest.mark.parametrize("partners", SHAPES, ids=str)


class Clipped(DonskerVaradhan):
    """Pools the same as Donsker-Varadhan as long as no score exceeds ``tau``."""

    def __init__(self, tau=5.0):
        super().__init__()
        self.tau = tau

    def terms(self, joint, marginal):
        return joint, marginal.clamp(-self.tau, self.tau)


def batches(partners=(), sizes=(7, 1, 12), dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            torch.randn(n, generator=generator, dtype=dtype),
            torch.randn(n, *partners, generator=generator, dtype=dtype) - 1,
        )
        for n in sizes
    ]


def concatenated(pairs):
    return tuple(torch.cat(scores) for scores in zip(*pairs, strict=True))


def gaussian_scores(rows, rho, dims=1, seed=0, dtype=torch.float64):
    """Return the exact log-ratios of joint pairs and of pairs with independent partners."""
    generator = torch.Generator().manual_seed(seed)
    x, noise, apart = torch.randn(3, rows, dims, generator=generator, dtype=dtype)
    z = rho * x + math.sqrt(1 - rho**2) * noise

    def log_ratio(x, z):
        quadratic = (rho**2 * (x**2 + z**2) - 2 * rho * x * z) / (2 * (1 - rho**2))
        return (-quadratic - 0.5 * math.log1p(-(rho**2))).sum(-1)

    return log_ratio(x, z), log_ratio(x, apart)


# torchmetrics' own class tests


@objectives
@shapes
def test_forward_is_the_batch_and_compute_is_the_concatenation(objective, partners):
    metric = MutualInformation(objective)
    pairs = batches(partners)
    for joint, marginal in pairs:
        value = metric(joint, marginal)
        torch.testing.assert_close(value, mutual_information(joint, marginal, objective))
        torch.testing.assert_close(value, objective.estimate(joint, marginal))
        assert value.shape == ()
    everything = concatenated(pairs)
    torch.testing.assert_close(metric.compute(), mutual_information(*everything, objective))
    torch.testing.assert_close(metric.compute(), objective.estimate(*everything))


@metrics
@objectives
def test_update_and_forward_and_one_batch_agree(metric_class, objective):
    updated, forwarded, once = (metric_class(objective) for _ in range(3))
    pairs = batches((3,))
    for joint, marginal in pairs:
        assert updated.update(joint, marginal) is None
        forwarded(joint, marginal)
    once.update(*concatenated(pairs))
    torch.testing.assert_close(updated.compute(), once.compute())
    torch.testing.assert_close(forwarded.compute(), once.compute())
    assert updated.update_count == forwarded.update_count == 3


@metrics
@objectives
def test_dist_sync_on_step_gives_the_same(metric_class, objective):
    metric, stepwise = metric_class(objective), metric_class(objective, dist_sync_on_step=True)
    for joint, marginal in batches():
        torch.testing.assert_close(
            metric(joint, marginal), stepwise(joint, marginal), equal_nan=True
        )
    torch.testing.assert_close(metric.compute(), stepwise.compute())


@metrics
@objectives
def test_state_dict_is_empty_and_nothing_is_registered(metric_class, objective):
    metric = metric_class(objective)
    metric.update(*batches()[0])
    assert metric.state_dict() == {}
    assert list(metric.modules()) == [metric]
    assert list(metric.parameters()) == list(metric.buffers()) == []


@metrics
def test_persistent_states_survive_a_checkpoint(metric_class):
    metric, other = metric_class(), metric_class()
    metric.persistent(True)
    metric.update(*batches()[0])
    other.persistent(True)
    other.load_state_dict(metric.state_dict())
    other._update_count = 1
    assert other.compute() == metric.compute()


@metrics
def test_memory_is_constant(metric_class):
    metric = metric_class()
    shapes = {name: state.shape for name, state in metric.metric_state.items()}
    for joint, marginal in batches((4,), sizes=(3, 50)):
        metric.update(joint, marginal)
        assert {name: state.shape for name, state in metric.metric_state.items()} == shapes


@metrics
@pytest.mark.parametrize(
    "name", ["is_differentiable", "higher_is_better", "full_state_update", "plot_lower_bound"]
)
def test_class_constants_are_constant(metric_class, name):
    with pytest.raises(RuntimeError, match=f"Can't change const `{name}`"):
        setattr(metric_class(), name, True)


@metrics
def test_unknown_arguments_raise(metric_class):
    with pytest.raises(ValueError, match=r"Unexpected keyword arguments: `bound`"):
        metric_class(bound="dv")


@metrics
@pytest.mark.parametrize("objective", ["dv", DonskerVaradhan, donsker_varadhan])
def test_objective_must_be_an_objective(metric_class, objective):
    message = r"Expected `objective` to be an `Objective` or None, got "
    with pytest.raises(ValueError, match=message):
        metric_class(objective)
    with pytest.raises(ValueError, match=message):
        mutual_information(*batches()[0], objective)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@metrics
def test_scripting_does_not_fail(metric_class):
    torch.jit.script(metric_class())


@metrics
@objectives
@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_independent(metric_class, objective, clone):
    first, second = batches(sizes=(5, 6))
    metric = metric_class(objective)
    metric.update(*first)
    other = clone(metric)
    assert other.compute() == metric.compute()
    assert type(other.objective) is type(objective)
    other.update(*second)
    metric.update(*second)
    assert other.compute() == metric.compute()


@metrics
@objectives
def test_merge_state(metric_class, objective):
    pairs = batches((2,), sizes=(5, 9))
    whole, left, right = (metric_class(objective) for _ in range(3))
    whole.update(*concatenated(pairs))
    left.update(*pairs[0])
    right.update(*pairs[1])
    left.merge_state(right)
    torch.testing.assert_close(left.compute(), whole.compute())
    left.merge_state(metric_class(objective))
    torch.testing.assert_close(left.compute(), whole.compute())


@metrics
@objectives
def test_compute_before_update_warns_and_is_no_number(metric_class, objective):
    metric = metric_class(objective)
    with pytest.warns(UserWarning, match="was called before the ``update`` method"):
        value = metric.compute()
    assert value.isnan()


@metrics
def test_reset_in_inference_mode_then_update_outside(metric_class):
    metric, fresh = metric_class(), metric_class()
    joint, marginal = batches((3,))[0]
    with torch.inference_mode():
        metric.update(joint, marginal)
        metric.compute()
        metric.reset()
    metric.update(joint, marginal)
    fresh.update(joint, marginal)
    assert metric.compute() == fresh.compute()
    metric(joint.clone().requires_grad_(), marginal)
    metric.update(joint, marginal)


@metrics
@objectives
@shapes
def test_differentiable_through_forward(metric_class, objective, partners):
    joint, marginal = batches(partners, sizes=(5,), dtype=torch.float64)[0]
    metric = metric_class(objective).set_dtype(torch.float64)
    if metric_class is EffectiveSampleSize and objective.terms(joint, marginal)[1] is None:
        assert not metric(joint.requires_grad_(), marginal).requires_grad
        return
    assert torch.autograd.gradcheck(metric, (joint.requires_grad_(), marginal.requires_grad_()))
    metric.update(joint, marginal)
    assert not metric.compute().requires_grad


@pytest.mark.parametrize("metric_class", [*METRICS, LogPartition])
def test_is_differentiable_says_whether_the_joint_scores_have_a_gradient(metric_class):
    joint, marginal = batches((3,), sizes=(5,))[0]
    value = metric_class()(joint.requires_grad_(), marginal)
    assert value.requires_grad == metric_class.is_differentiable


@pytest.mark.parametrize(
    ("metric_class", "best"),
    [(MutualInformation, 1), (EffectiveSampleSize, 0), (MutualInformationStandardError, 0)],
)
def test_a_tracker_knows_which_step_is_the_best(metric_class, best):
    tracker = MetricTracker(metric_class(), maximize=None)  # the default since 1.7
    for gap in (0.0, 2.0):
        tracker.increment()
        tracker.update(torch.linspace(0, gap, 8) + gap, torch.linspace(-gap, gap, 8))
    assert tracker.best_metric(return_step=True)[1] == best


@objectives
def test_functional_has_the_gradient_of_the_objective(objective):
    joint, marginal = (scores.requires_grad_() for scores in batches((3,))[0])
    pooled, direct = (
        torch.autograd.grad(value, (joint, marginal), allow_unused=True)
        for value in (
            mutual_information(joint, marginal, objective),
            objective.estimate(joint, marginal),
        )
    )
    torch.testing.assert_close(pooled, direct)


@metrics
def test_plot(metric_class):
    metric = metric_class()
    values = [metric(joint, marginal) for joint, marginal in batches(sizes=(5, 6))]
    for value in (None, values[0], values):
        figure, axis = metric.plot(value)
        assert axis.figure is figure
        figure.clear()


# numbers


@metrics
@objectives
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_scores(metric_class, objective, dtype):
    joint, marginal = (scores.to(dtype) for scores in batches((3,))[0])
    half, full = metric_class(objective), metric_class(objective)
    value = half(joint, marginal)
    assert value.dtype == torch.float32
    assert value == full(joint.float(), marginal.float())


def test_half_precision_scores_beyond_its_exponentials():
    joint, marginal = torch.full((4,), 50.0), torch.full((4,), 40.0)
    assert mutual_information(joint.half(), marginal.half()) == 10
    assert mutual_information(joint.half(), marginal.half()).dtype == torch.float32


@metrics
@pytest.mark.parametrize("cast", ["half", "double", "float"])
def test_casting_the_module_is_a_no_op(metric_class, cast):
    metric = metric_class()
    metric.update(*batches()[0])
    before = metric.compute()
    assert getattr(metric, cast)() is metric
    metric.update(*batches()[1])
    assert metric.dtype == torch.float32 == before.dtype
    assert all(state.dtype == torch.float64 for state in metric.metric_state.values())


@metrics
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("convert", [lambda m, d: m.set_dtype(d), lambda m, d: m.to(d)])
def test_set_dtype_changes_the_result_not_the_states(metric_class, dtype, convert):
    metric, reference = metric_class(), metric_class()
    for joint, marginal in batches(sizes=(5, 6, 7)):
        metric = convert(metric, dtype)
        metric.update(joint, marginal)
        reference.update(joint, marginal)
    assert metric.dtype == dtype
    assert metric.compute().dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(metric.compute(), reference.compute(), check_dtype=False)
    metric.reset()
    assert all(state.dtype == torch.float64 for state in metric.metric_state.values())


@metrics
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_device_moves(metric_class):
    metric, reference = metric_class(MINE()), metric_class()
    for device in ("cuda", "cpu"):
        metric = metric.to(device)
        joint, marginal = batches((2,))[0]
        metric.update(joint.to(device), marginal.to(device))
        reference.update(joint, marginal)
        assert metric.compute().device.type == device
        assert all(state.device.type == device for state in metric.metric_state.values())
    assert metric.objective.log_ema.device.type == "cpu"
    torch.testing.assert_close(metric.compute(), reference.compute())


@metrics
@objectives
def test_nothing_stays_behind_on_another_device(metric_class, objective, monkeypatch):
    monkeypatch.setattr("mine_lightning.metrics.checked", lambda value, *args: value)
    metric = metric_class(objective).to("meta")
    assert all(state.device.type == "meta" for state in metric.metric_state.values())
    joint, marginal = (scores.to("meta") for scores in batches((2,))[0])
    metric.update(joint, marginal)
    metric.reset()
    metric.update(joint, marginal)
    assert all(state.device.type == "meta" for state in metric.metric_state.values())
    if math.isinf(objective.ceiling(1)):
        assert metric.compute().device.type == "meta"


@objectives
def test_double_precision_throughout(objective):
    joint, marginal = batches((3,), dtype=torch.float64)[0]
    metric = MutualInformation(objective).set_dtype(torch.float64)
    value = metric(joint, marginal)
    torch.testing.assert_close(value, objective.estimate(joint, marginal), rtol=1e-14, atol=1e-14)
    assert value.dtype == mutual_information(joint, marginal, objective).dtype == torch.float64


def test_many_batches_lose_nothing():
    metric = MutualInformation()
    joint, marginal = torch.full((10,), 0.1), torch.full((10,), -0.1)
    for _ in range(3_000):
        metric.update(joint, marginal)
    torch.testing.assert_close(metric.compute(), torch.tensor(0.2), rtol=1e-7, atol=0)


@pytest.mark.parametrize("offset", [-1e3, 1e3])
def test_many_batches_far_from_zero_keep_estimate_and_standard_error(offset):
    joint, marginal = torch.randn(2, 200_000, generator=torch.Generator().manual_seed(0)) + offset
    metrics = [MutualInformation(), MutualInformationStandardError()]
    for metric in metrics:
        metric.set_dtype(torch.float64)
        for batch in zip(joint.split(200), marginal.split(200), strict=True):
            metric.update(*batch)
    near, weights = joint.double() - offset, (marginal.double() - offset).exp()
    estimate = near.mean() - weights.mean().log()
    spread = near.var(correction=0) + weights.var(correction=0) / weights.mean() ** 2
    error = (spread / (len(near) - 1)).sqrt()
    torch.testing.assert_close(metrics[0].compute(), estimate, rtol=0, atol=1e-10)
    torch.testing.assert_close(metrics[1].compute(), error, rtol=1e-8, atol=0)


@pytest.mark.parametrize("offset", [0.0, -1e4, 1e4])
def test_constant_added_to_every_score_changes_nothing(offset):
    joint, marginal = batches((3,), dtype=torch.float64)[0]
    for metric_class in METRICS:
        shifted = metric_class()(joint + offset, marginal + offset)
        torch.testing.assert_close(shifted, metric_class()(joint, marginal))


def test_rows_count_once_whatever_their_partners():
    metric = EffectiveSampleSize()
    assert metric(torch.zeros(4), torch.zeros(4, 100)) == 4
    column = batches(sizes=(6,))[0]
    repeated = column[0], column[1].unsqueeze(1).expand(-1, 5)
    for metric_class in METRICS:
        torch.testing.assert_close(metric_class()(*column), metric_class()(*repeated))


def test_wide_and_narrow_batches_may_be_mixed():
    (wide_joint, wide), (joint, narrow) = batches((4,), sizes=(6,))[0], batches(sizes=(2,))[0]
    metric = MutualInformation()
    metric.update(wide_joint, wide)
    metric.update(joint, narrow)
    expected = torch.cat((wide_joint, joint)).mean() - torch.log(
        (wide.exp().mean(1).sum() + narrow.exp().sum()) / 8
    )
    torch.testing.assert_close(metric.compute(), expected)


def test_negative_estimates_are_not_clamped():
    assert mutual_information(torch.zeros(3), torch.ones(3)) == -1
    assert MutualInformation()(torch.zeros(3), torch.ones(3)) == -1


def test_no_number_hides_a_bad_score():
    joint, marginal = batches()[0]
    metric = MutualInformation()
    metric.update(joint, marginal)
    metric.update(torch.tensor([math.nan]), torch.tensor([0.0]))
    with pytest.raises(FloatingPointError, match=r"DonskerVaradhan\(\) to be finite, got nan"):
        metric.compute()


@metrics
@pytest.mark.parametrize(
    ("joint", "marginal", "message"),
    [
        ((4, 1), (4,), r"Expected `joint` to hold one score for each pair.*got \(4, 1\)"),
        ((0,), (0,), r"Expected `joint` to hold one score for each pair.*got \(0,\)"),
        ((4,), (5,), r"Expected `marginal` to have shape.*N = 4 as `joint`, got \(5,\)"),
        ((4,), (4, 2, 2), r"Expected `marginal` to have shape.*got \(4, 2, 2\)"),
    ],
)
def test_shapes_are_checked_at_the_door(metric_class, joint, marginal, message):
    metric = metric_class()
    with pytest.raises(ValueError, match=message):
        metric.update(torch.zeros(joint), torch.zeros(marginal))
    assert metric.rows == 0


# collections and wrappers


@pytest.mark.parametrize("objective", [None, *OBJECTIVES], ids=repr)
def test_metrics_of_one_objective_are_updated_once(objective):
    collection = MetricCollection([metric_class(objective) for metric_class in METRICS])
    pairs = batches((2,))
    for joint, marginal in pairs:
        collection.update(joint, marginal)
    assert len(collection.compute_groups) == 1
    for metric_class in METRICS:
        alone = metric_class(objective)(*concatenated(pairs))
        torch.testing.assert_close(collection.compute()[metric_class.__name__], alone)


@pytest.mark.parametrize("first", [0.0, 3.0])
def test_groups_hold_one_objective_even_if_the_first_batch_hides_it(first):
    family = {
        "dv": DonskerVaradhan(),
        "infonce": InfoNCE(),
        "infonce without": InfoNCE(include_positive=False),
        "clipped at 5": Clipped(5.0),
        "clipped at 6": Clipped(6.0),
    }
    collection = MetricCollection({name: MutualInformation(o) for name, o in family.items()})
    pairs = [(torch.full((4,), first), torch.full((4, 2), first)), *batches((2,), sizes=(5, 6))]
    pairs.append((torch.full((3,), 9.0), torch.full((3, 2), 8.0)))
    for joint, marginal in pairs:
        collection.update(joint, marginal)
    assert len(collection.compute_groups) == len(family)
    for name, value in collection.compute().items():
        torch.testing.assert_close(value, family[name].estimate(*concatenated(pairs)))


def test_collection_resets_and_clones():
    collection = MetricCollection([MutualInformation(), MutualInformationStandardError()])
    joint, marginal = batches()[0]
    collection.update(joint, marginal)
    clone = collection.clone(prefix="val/")
    collection.reset()
    collection.update(joint, marginal)
    assert clone.compute()["val/MutualInformation"] == collection.compute()["MutualInformation"]
    assert collection.state_dict() == {}


@metrics
@objectives
def test_running_window(metric_class, objective):
    running = Running(metric_class(objective), window=2)
    pairs = batches((2,), sizes=(4, 5, 6))
    for joint, marginal in pairs:
        running(joint, marginal)
    torch.testing.assert_close(
        running.compute(), metric_class(objective)(*concatenated(pairs[-2:]))
    )


# the objective


def test_objective_is_read_not_owned():
    objective = MINE()
    metric = MutualInformation(objective)
    metric.update(*batches()[0])
    assert metric.objective is objective
    assert objective.log_ema == -math.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metric.compute()


def test_ceiling_warns_once_with_the_partners_seen():
    metric = MutualInformation(InfoNCE())
    metric.update(torch.full((4,), 100.0), torch.zeros(4, 7))
    with pytest.warns(
        UserWarning, match=r"InfoNCE estimate 2.079 is within 5 % of its ceiling ln 8"
    ):
        metric.compute()
    metric.update(torch.full((4,), 100.0), torch.zeros(4, 7))
    metric.compute()


def test_functional_warns_near_the_ceiling():
    with pytest.warns(UserWarning, match=r"within 5 % of its ceiling ln 2 = 0.693 nats"):
        mutual_information(torch.full((4,), 100.0), torch.zeros(4), InfoNCE())


def test_ceiling_counts_partners_of_all_batches():
    metric = MutualInformation(InfoNCE())
    metric.update(torch.full((20,), 100.0), torch.zeros(20, 9))
    metric.update(torch.full((1,), 100.0), torch.zeros(1, 1))
    with pytest.warns(UserWarning, match="ceiling ln 10"):
        metric.compute()


def test_objectives_that_need_all_pairs():
    objective = LeaveOneOut()
    joint, marginal = batches((4,), sizes=(5,))[0]
    for metric_class in METRICS:
        assert metric_class(objective)(joint, marginal).isfinite()
    estimate = MutualInformation(objective)(joint, marginal)
    torch.testing.assert_close(estimate, objective.estimate(joint, marginal))


def test_objective_with_state_is_read_when_asked():
    baseline = LearnableBaseline()
    metric = MutualInformation(TUBA(baseline))
    joint, marginal = batches((3,))[0]
    metric.update(joint, marginal)
    before = metric.compute()
    baseline.log_value.data.fill_(1.0)
    metric.update(joint, marginal)
    torch.testing.assert_close(
        metric.compute(), metric.objective.estimate(joint, marginal).detach()
    )
    assert metric.compute() != before
    assert set(metric.parameters()) == set()


# known answers


def test_standard_error_is_the_formula():
    joint, marginal = batches((3,), sizes=(50,), dtype=torch.float64)[0]
    rows = marginal.exp().mean(1)
    weight = {DonskerVaradhan: 1.0, NWJ: rows.mean().item() / math.e}
    for objective_class, slope in weight.items():
        metric = MutualInformationStandardError(objective_class()).set_dtype(torch.float64)
        variance = joint.var() + slope**2 * rows.var() / rows.mean() ** 2
        torch.testing.assert_close(metric(joint, marginal), torch.sqrt(variance / 50))
    ratios = joint - torch.log((joint.exp() + marginal.exp().sum(1)) / 4)
    metric = MutualInformationStandardError(InfoNCE()).set_dtype(torch.float64)
    torch.testing.assert_close(metric(joint, marginal), ratios.std() / math.sqrt(50))


def test_standard_error_needs_two_rows():
    assert MutualInformationStandardError()(torch.zeros(1), torch.zeros(1)).isnan()
    assert MutualInformationStandardError()(torch.zeros(2), torch.zeros(2)) == 0


@pytest.mark.parametrize("objective", [DonskerVaradhan(), NWJ(), InfoNCE()], ids=repr)
@pytest.mark.parametrize("shuffled", [False, True])
def test_standard_error_is_the_spread_of_repeated_estimates(objective, shuffled):
    runs, rows, rho = 400, 500, 0.4
    generator = torch.Generator().manual_seed(3)
    x, noise, apart = torch.randn(3, runs, rows, generator=generator, dtype=torch.float64)
    z = rho * x + math.sqrt(1 - rho**2) * noise

    def log_ratio(x, z):
        quadratic = (rho**2 * (x**2 + z**2) - 2 * rho * x * z) / (2 * (1 - rho**2))
        return 1 - quadratic - 0.5 * math.log1p(-(rho**2))

    joint, marginal = log_ratio(x, z), log_ratio(x, z.roll(1, 1) if shuffled else apart)
    estimates = torch.stack([objective.estimate(*run) for run in zip(joint, marginal, strict=True)])
    metric = MutualInformationStandardError(objective)
    errors = torch.stack([metric(*run) for run in zip(joint, marginal, strict=True)])
    assert errors.mean().item() == pytest.approx(estimates.std().item(), rel=0.1)


def test_effective_sample_size():
    marginal = batches((3,), sizes=(20,))[0][1]
    weights = marginal.exp().mean(1)
    expected = weights.sum() ** 2 / weights.square().sum()
    torch.testing.assert_close(EffectiveSampleSize()(torch.zeros(20), marginal), expected)
    assert EffectiveSampleSize(InfoNCE())(torch.zeros(20), marginal) == 20


def test_log_partition_is_pooled():
    metric = LogPartition()
    pairs = batches((3,), sizes=(4, 9))
    for joint, marginal in pairs:
        metric.update(joint, marginal)
    torch.testing.assert_close(metric.compute(), log_mean_exp(concatenated(pairs)[1]))


@pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")
def test_agrees_with_the_discrete_score_of_torchmetrics():
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(4, (400,), generator=generator)
    z = torch.where(torch.rand(400, generator=generator) < 0.7, x, x.flip(0))
    counts = torch.zeros(4, 4).index_put_((x, z), torch.ones(400), accumulate=True) / 400
    log_ratio = torch.log(counts / counts.sum(1, keepdim=True) / counts.sum(0))
    joint, all_pairs = log_ratio[x, z], log_ratio[x][:, z]
    exact = MutualInfoScore()(x, z)
    torch.testing.assert_close(MutualInformation()(joint, all_pairs), exact, rtol=1e-5, atol=1e-5)
    metric, error = MutualInformation(), MutualInformationStandardError()
    for _ in range(100):
        marginal = log_ratio[x, z[torch.randperm(400, generator=generator)]]
        metric.update(joint, marginal)
        error.update(joint, marginal)
    assert abs(metric.compute() - exact) < 4 * error.compute()


def test_pooling_beats_averaging_with_a_perfect_critic():
    truth = -5 * math.log1p(-0.81)
    joint, marginal = gaussian_scores(25_600, rho=0.9, dims=10)
    averaged = torch.stack(
        [
            donsker_varadhan(*batch)
            for batch in zip(joint.split(64), marginal.split(64), strict=True)
        ]
    ).mean()
    metric = MutualInformation()
    for batch in zip(joint.split(64), marginal.split(64), strict=True):
        metric.update(*batch)
    assert truth == pytest.approx(8.30, abs=0.01)
    assert averaged > truth + 4
    assert abs(metric.compute() - truth) < 1.5


class Scorer(LightningModule):
    """Logs the metric object of given scores."""

    def __init__(self):
        super().__init__()
        self.objective = MINE()
        self.scale = torch.nn.Parameter(torch.tensor(1.0))
        self.metric = MutualInformation(self.objective)
        self.collection = MetricCollection([MutualInformationStandardError(self.objective)])

    def training_step(self, batch, batch_idx):
        return self.objective.loss(batch[0] * self.scale, batch[1] * self.scale)

    def validation_step(self, batch, batch_idx):
        self.metric.update(*batch)
        self.collection.update(*batch)
        self.log("val/mi", self.metric)
        self.log_dict(self.collection)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-3)


@pytest.mark.parametrize("precision", ["32-true", "bf16-true", "64-true"])
def test_logged_as_an_object_the_epoch_value_is_pooled(precision):
    pairs = batches((2,), sizes=(5, 9, 2))
    loader = DataLoader(pairs, batch_size=None)
    model = Scorer()
    assert set(model.state_dict()) == {"scale", "objective.log_ema"}
    trainer = Trainer(
        accelerator="cpu",
        precision=precision,
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, loader, loader)
    expected = mutual_information(*concatenated(pairs))
    tolerance = 1e-2 if precision == "bf16-true" else 1e-6
    logged = trainer.callback_metrics["val/mi"]
    torch.testing.assert_close(logged.float(), expected, rtol=tolerance, atol=tolerance)
    assert trainer.callback_metrics["MutualInformationStandardError"] > 0
    assert model.metric.rows == 0
