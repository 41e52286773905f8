import copy
import math

import pytest
import torch

from mine_lightning.monitor import MutualInformationLearner
from normal_pair import correlation, single
from processes import run


def pairs(rows=64, seed=0):
    return single(rows, correlation(1.0), seed)


def test_pairs_are_scored_before_the_critic_trains_on_them():
    learner = MutualInformationLearner(rows=64)
    for number in range(8):
        learner.update(*pairs(seed=number))
    x, z = pairs(seed=8)
    before = copy.deepcopy(learner._network)
    closed = learner._closed(x, z)
    learner.update(x, z)
    before.observe(x, z)
    expected, _ = before.learn(x, z, closed, 64)
    assert torch.allclose(learner._pairs.gains[-1], expected)


def test_updates_are_a_function_of_the_seed_and_the_pairs():
    def state(seed):
        learner = MutualInformationLearner(seed=seed, steps_per_batch=2)
        for number in range(5):
            torch.rand(1)
            learner.update(*pairs(seed=number))
        return torch.cat([p.flatten() for p in learner._network.critic.parameters()])

    assert torch.equal(state(0), state(0))
    assert not torch.equal(state(0), state(1))


def test_no_pairs_and_rows_that_are_not_finite_count_as_none():
    learner = MutualInformationLearner()
    x, z = pairs()
    assert learner.compute().mi.isnan()
    assert not learner.update(None, z)
    assert not learner.update(x[:0], z[:0])
    with pytest.warns(UserWarning, match="Left out pairs with values that are NaN or infinite"):
        assert not learner.update(x / 0, z)
    assert learner.update(x, z)
    assert not learner.update(x * math.nan, z)
    assert learner.compute().mi.isfinite()


def test_values_that_are_not_finite_leave_the_learner_as_it_was():
    ours, theirs = MutualInformationLearner(), MutualInformationLearner()
    for number in range(4):
        ours.update(*pairs(seed=number))
        theirs.update(*pairs(seed=number))
    x, z = pairs(seed=4)
    with pytest.warns(UserWarning, match="Left out pairs with values that are NaN or infinite"):
        assert not ours.update(x, z * math.inf)
    for learner in (ours, theirs):
        assert learner.update(x, z)
    for mine, other in zip(learned(ours), learned(theirs), strict=True):
        assert torch.equal(mine, other)


def test_scores_that_are_not_finite_train_nothing_and_are_not_read():
    learner = MutualInformationLearner()
    for number in range(4):
        learner.update(*pairs(seed=number))
    before, scores = learned(learner)[0], learner._network.scores
    learner._network.scores = lambda x, z: math.inf * scores(x, z)
    with pytest.warns(UserWarning, match="Left out a training step of the monitor's critic"):
        learner.update(*pairs(seed=4))
    after, *estimate = learned(learner)
    assert torch.equal(before, after)
    assert torch.stack(estimate).isfinite().all()


def test_codes_and_short_batches_work():
    learner = MutualInformationLearner()
    assert learner.update(torch.arange(9) % 2, torch.arange(9))
    assert learner.update(torch.arange(2), torch.arange(2))


def test_shapes_may_not_change():
    learner = MutualInformationLearner()
    x, z = pairs()
    learner.update(x, z)
    with pytest.raises(ValueError, match=r"shapes \(1,\) and \(1,\) of those before, got \(2,\)"):
        learner.update(x.repeat(1, 2), z)
    other = MutualInformationLearner()
    other.load_state_dict(learner.state_dict())
    with pytest.raises(ValueError, match=r"shapes \(1,\) and \(1,\) of those before, got \(2,\)"):
        other.update(x.repeat(1, 2), z)


def test_it_works_and_trains_inside_inference_mode_and_autocast():
    learner = MutualInformationLearner()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        x, z = pairs()
        assert learner.update(x + 0, z + 0)
    assert all(p.dtype == torch.float32 for p in learner._network.critic.parameters())
    assert learner.update(*pairs(seed=1))


def follow(levels, updates, rows=64, seed=0, **options):
    """Return (update in the level, level, estimate) of a stream whose truth is known."""
    stream = torch.Generator().manual_seed(seed)
    learner, seen = MutualInformationLearner(seed=seed, **options), []
    for level in levels:
        for number in range(1, updates + 1):
            learner.update(*single(rows, correlation(level, 4), stream, dim=4))
            seen.append((number, level, learner.compute()))
    return seen


def worst(estimates, truth):
    """Return the error of the estimate that is farthest from the truth."""
    return max((float(estimate.mi) - truth for estimate in estimates), key=abs)


@pytest.mark.trained
@pytest.mark.parametrize(
    ("truth", "room"),
    [(0.0, 0.03), (0.02, 0.035), (0.1, 0.11), (0.5, 0.23), (1.0, 0.3), (3.0, 0.45)],
)
def test_it_reads_the_truth_from_the_first_thousand_pairs_on(truth, room, seed, outcome):
    read = [estimate for number, _, estimate in follow([truth], 40, seed=seed) if number >= 25]
    outcome(worst(read, truth), -room, room)
    outcome(max(abs(e.mi - truth) / e.standard_error for e in read), high=5, of="standard errors")


@pytest.mark.trained
def test_nothing_reads_as_nothing(seed, outcome):
    seen = follow([0.0], 60, seed=seed)
    read = [estimate for number, _, estimate in seen if number >= 16]
    assert min(float(estimate.mi) for estimate in read) >= 0
    outcome(worst(read, 0.0), high=0.02)


def test_a_large_value_is_flat_at_a_ceiling_that_is_told():
    *_, (_, _, last) = follow([12.0], 41)
    assert last.ceiling == pytest.approx(math.log(41 * 64), abs=0.1)
    assert last.ceiling - 1 < last.mi <= last.ceiling
    assert last.at_ceiling


def test_a_side_that_is_the_other_reads_the_ceiling_of_the_whole_window():
    stream, learner = torch.Generator().manual_seed(0), MutualInformationLearner(window=1024)
    for _ in range(17):
        x = torch.randn(64, 3, generator=stream)
        learner.update(x, x)
    estimate = learner.compute()
    assert estimate.mi == pytest.approx(math.log(1024), abs=0.1)
    assert estimate.ceiling == pytest.approx(math.log(1024), abs=0.1)
    assert estimate.at_ceiling


def test_the_closed_form_is_fitted_at_every_eighth_update_or_with_four_times_the_rows(monkeypatch):
    fitted, learner = [], MutualInformationLearner()
    fit = learner._fit
    monkeypatch.setattr(learner, "_fit", lambda: (fitted.append(learner._updates), fit()))
    for number in range(26):
        learner.update(*pairs(rows=8, seed=number))
    assert fitted == [0, 3, 8, 16, 24]


@pytest.mark.trained
@pytest.mark.parametrize(("before", "after"), [(1.0, 0.1), (1.0, 3.0)])
def test_a_jump_is_followed_within_62_updates(before, after, seed, outcome):
    seen = follow([before, after], 62, seed=seed)
    room = max(0.06, 0.15 * after)
    outcome(worst([seen[61][2]], before), -0.15, 0.15, of="before")
    outcome(worst([seen[-1][2]], after), -room, room, of="after")


@pytest.mark.trained
@pytest.mark.slow
def test_an_encoder_that_learns_is_followed(seed, outcome):
    stream, learner = torch.Generator().manual_seed(seed), MutualInformationLearner(seed=seed)
    for number in range(1, 1001):  # 4,000 steps of a host at the monitor's defaults
        truth = 6.5 * number / 1000
        learner.update(*single(64, correlation(truth, 4), stream, dim=4))
        if number % 250 == 0:
            outcome(learner.compute().mi / truth, 0.7, 1.2, of=f"at {truth} nats")


@pytest.mark.trained
def test_the_critic_adds_what_the_closed_form_leaves_over(seed, outcome):
    stream, learner = torch.Generator().manual_seed(seed), MutualInformationLearner(seed=seed)
    for _ in range(120):
        signs = torch.randint(2, (64, 2), generator=stream) * 2.0 - 1
        noise = 0.3 * torch.randn(64, 2, generator=stream)
        learner.update(signs + noise, signs.prod(1, keepdim=True))
    outcome(learner._reading.value, high=0.05, of="closed form")
    outcome(learner.compute().mi - math.log(2), -0.2, 0.05)


@pytest.mark.trained
def test_codes_share_no_more_than_their_entropy(seed, outcome):
    stream, learner = torch.Generator().manual_seed(seed), MutualInformationLearner(seed=seed)
    prototypes = torch.randn(4, 1, 4, 4, generator=stream)
    for _ in range(20):
        labels = torch.randint(4, (64,), generator=stream)
        images = prototypes[labels] + 0.3 * torch.randn(64, 1, 4, 4, generator=stream)
        learner.update(images, labels)
    outcome(learner.compute().mi - math.log(4), -0.05, 0.05)


def test_single_rows_are_read_from_the_second_on():
    learner, readings = MutualInformationLearner(), []
    for number in range(8):
        learner.update(*pairs(rows=1, seed=number))
        readings.append(learner.compute().mi)
    assert readings[0].isnan()
    assert torch.stack(readings[1:]).isfinite().all()


@pytest.mark.trained
def test_single_rows_are_learned_from(seed, outcome):
    stream = torch.Generator().manual_seed(seed)
    learner = MutualInformationLearner(rows=64, seed=seed)
    for _ in range(200):
        learner.update(*single(1, correlation(1.0), stream))
    outcome(learner.compute().mi - 1, -0.6, 0.6)


def constant(stream):
    return torch.ones(64, 3), torch.randn(64, 2, generator=stream)


def deterministic(stream):
    z = torch.randn(64, 3, generator=stream)
    return z @ torch.ones(3, 5), z


def heavy(stream):
    z = torch.randn(64, 2, generator=stream) / torch.randn(64, 2, generator=stream)
    return z + torch.randn(64, 2, generator=stream) / torch.randn(64, 2, generator=stream), z


def enormous(stream):
    z = torch.randn(64, 2, generator=stream)
    return 1e30 * (z + torch.randn(64, 2, generator=stream)), 1e-30 * z


@pytest.mark.trained
@pytest.mark.parametrize("host", [constant, deterministic, heavy, enormous])
def test_it_stays_between_zero_and_its_ceiling(host, seed):
    stream = torch.Generator().manual_seed(seed)
    learner = MutualInformationLearner(window=1024, seed=seed)
    for _ in range(40):
        learner.update(*host(stream))
        estimate = learner.compute()
        assert -0.05 <= estimate.mi <= estimate.ceiling + 0.05
        assert estimate.standard_error.isfinite()


@pytest.mark.trained
@pytest.mark.slow
def test_nothing_runs_away_in_dozens_of_windows(seed, outcome):
    seen = follow([6.0], 500, seed=seed, window=1024)
    read = [float(estimate.mi) for number, _, estimate in seen if number >= 20]
    outcome(min(read), low=4.5, of="least")
    outcome(max(read), high=7.5, of="most")


def test_the_default_type_does_not_matter():
    torch.set_default_dtype(torch.float64)
    try:
        learner = MutualInformationLearner()
        for number in range(3):
            learner.update(*(side.float() for side in pairs(seed=number)))
    finally:
        torch.set_default_dtype(torch.float32)
    assert learner.compute().mi.dtype == torch.float32


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (torch.ones(8, 2, dtype=torch.complex64), "Expected x to hold dense real numbers.*complex"),
        (torch.ones(8, 2).to_sparse(), "Expected x to hold dense real numbers, got torch.sparse"),
        (torch.ones(8, 0), r"Expected x to hold rows with at least one value.*got \(8, 0\)"),
        (torch.tensor(1.0), r"Expected x to hold rows with at least one value.*got \(\)"),
        (torch.ones(7, 2), r"same number of rows, got \(7, 2\) and \(8, 2\)"),
    ],
)
def test_what_holds_no_rows_of_real_numbers_is_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        MutualInformationLearner().update(rows, torch.ones(8, 2))


def updates():
    """Return the pairs of two processes for each update; some have none."""
    for number in range(6):
        both = [pairs(rows=6 + 2 * rank, seed=10 * number + rank) for rank in range(2)]
        if number in (0, 3):
            both[number // 3] = None
        yield both


def learned(learner):
    weights = torch.cat([p.detach().flatten() for p in learner._network.critic.parameters()])
    return weights, *learner.compute()[:3]


def two(rank, world, directory):
    torch.distributed.init_process_group("gloo")
    learner = MutualInformationLearner(steps_per_batch=2, rows=32)
    for both in updates():
        learner.update(*(both[rank] or (None, None)))
    assert not learner.update(None, None)
    torch.save(learned(learner), directory / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_learn_what_one_does_also_when_one_has_no_pairs(tmp_path):
    run(two, 2, tmp_path)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    alone = MutualInformationLearner(steps_per_batch=2, rows=32)
    for both in updates():
        alone.update(*map(torch.cat, zip(*filter(None, both), strict=True)))
    for ours, theirs, one in zip(first, second, learned(alone), strict=True):
        assert torch.equal(ours, theirs)
        torch.testing.assert_close(ours, one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"steps_per_batch": 0},
            "Expected `steps_per_batch` to be an integer of at least 1, got 0",
        ),
        ({"rows": True}, "Expected `rows` to be an integer of at least 2, got True"),
        ({"window": 63}, "Expected `window` to be an integer of at least 64, got 63"),
    ],
)
def test_a_bad_argument_raises(options, message):
    with pytest.raises(ValueError, match=message):
        MutualInformationLearner(**options)
