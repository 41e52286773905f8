import math

import lightning.pytorch as pl
import pytest
import torch

from hosts import Records
from mine_lightning.monitor import MutualInformationLearner, MutualInformationMonitor
from mine_lightning.monitor.network import RunningStandardize
from processes import run


def pairs(rows=64, mi=1.0, seed=0):
    stream = torch.Generator().manual_seed(seed)
    z = torch.randn(rows, 1, generator=stream)
    return math.sqrt(math.expm1(2 * mi)) * z + torch.randn(z.shape, generator=stream), z


def test_pairs_are_scored_before_the_critic_trains_on_them():
    learner = MutualInformationLearner()
    learner.update(*pairs())
    network, order = learner._network, []
    gain, train = network.gain, network.train
    network.gain = lambda *args: order.append("score") or gain(*args)
    network.train = lambda *args: order.append("train") or train(*args)
    learner.update(*pairs(seed=1))
    assert order == ["score", "train"]


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


def test_inputs_of_any_scale_are_standardised():
    scale = RunningStandardize((2,))
    rows = torch.randn(4096, 2) * torch.tensor([200.0, 3.0]) + torch.tensor([1000.0, -1.0])
    scale.update(rows)
    assert torch.allclose(scale(rows).mean(0), torch.zeros(2), atol=1e-3)
    assert scale(rows).std(0)[0] == pytest.approx(1, abs=1e-2)


def normal_pairs(mi, rows, stream, dim=4):
    """Pairs of jointly normal vectors that share a known number of nats."""
    z = torch.randn(rows, dim, generator=stream)
    gain = math.sqrt(math.expm1(2 * mi / dim))
    return gain * z + torch.randn(z.shape, generator=stream), z


def follow(levels, updates, rows=64, seed=0, **options):
    """Return (update in the level, level, estimate) of a stream whose truth is known."""
    stream = torch.Generator().manual_seed(seed)
    learner, seen = MutualInformationLearner(**options), []
    for level in levels:
        for number in range(1, updates + 1):
            learner.update(*normal_pairs(level, rows, stream))
            seen.append((number, level, learner.compute()))
    return seen


def close(estimate, truth, share=0.15):
    return abs(float(estimate.mi) - truth) <= max(0.03, share * truth)


@pytest.mark.parametrize("truth", [0.0, 0.02, 0.1, 0.5, 1.0, 3.0])
def test_it_reads_the_truth_from_the_first_thousand_pairs_on(truth):
    seen = [estimate for number, _, estimate in follow([truth], 40) if number >= 25]
    assert all(close(estimate, truth) for estimate in seen)
    assert all(abs(e.mi - truth) <= 3 * e.standard_error for e in seen)


def test_nothing_reads_as_nothing():
    seen = [float(estimate.mi) for number, _, estimate in follow([0.0], 60) if number >= 16]
    assert all(0 <= mi < 0.01 for mi in seen)


def test_a_large_value_is_flat_at_a_ceiling_that_is_told():
    *_, (_, _, last) = follow([12.0], 40)
    assert last.ceiling == pytest.approx(math.log(40 * 64), abs=0.3)
    assert last.ceiling - 1 < last.mi <= last.ceiling
    assert last.at_ceiling


@pytest.mark.parametrize(("before", "after"), [(1.0, 0.1), (1.0, 3.0)])
def test_a_jump_is_followed_within_62_updates(before, after):
    seen = follow([before, after], 62)
    assert close(seen[61][2], before)
    assert close(seen[-1][2], after, share=0.1)


@pytest.mark.trained
@pytest.mark.slow
def test_an_encoder_that_learns_is_followed():
    stream, learner = torch.Generator().manual_seed(0), MutualInformationLearner()
    for number in range(1, 1001):  # 4,000 steps of a host at the monitor's defaults
        truth = 6.5 * number / 1000
        learner.update(*normal_pairs(truth, 64, stream))
        if number % 250 == 0:
            assert close(learner.compute(), truth)


@pytest.mark.trained
def test_the_critic_adds_what_the_closed_form_leaves_over():
    stream, learner = torch.Generator().manual_seed(0), MutualInformationLearner()
    for _ in range(120):
        signs = torch.randint(2, (64, 2), generator=stream) * 2.0 - 1
        noise = 0.3 * torch.randn(64, 2, generator=stream)
        learner.update(signs + noise, signs.prod(1, keepdim=True))
    estimate = learner.compute()
    assert float(learner._reading.value) < 0.02
    assert math.log(2) - 0.15 < estimate.mi < math.log(2) + 0.02
    assert abs(estimate.mi - math.log(2)) <= 3 * estimate.standard_error


def test_codes_share_no_more_than_their_entropy():
    stream, learner = torch.Generator().manual_seed(0), MutualInformationLearner()
    prototypes = torch.randn(4, 1, 4, 4, generator=stream)
    for _ in range(20):
        labels = torch.randint(4, (64,), generator=stream)
        images = prototypes[labels] + 0.3 * torch.randn(64, 1, 4, 4, generator=stream)
        learner.update(images, labels)
    assert learner.compute().mi == pytest.approx(math.log(4), abs=0.05)


def test_single_rows_are_learned_from():
    stream, learner = torch.Generator().manual_seed(0), MutualInformationLearner(rows=64)
    for _ in range(200):
        learner.update(*normal_pairs(1.0, 1, stream, dim=1))
    assert abs(learner.compute().mi - 1) < 0.4


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
def test_it_stays_between_zero_and_its_ceiling(host):
    stream, learner = torch.Generator().manual_seed(0), MutualInformationLearner(window=1024)
    for _ in range(40):
        learner.update(*host(stream))
        estimate = learner.compute()
        assert -0.05 <= estimate.mi <= estimate.ceiling + 0.05
        assert estimate.standard_error.isfinite()


@pytest.mark.trained
@pytest.mark.slow
def test_nothing_runs_away_in_thousands_of_updates():
    seen = follow([6.0], 2_000, window=1024)
    assert all(4.5 < estimate.mi < 7.5 for number, _, estimate in seen if number >= 20)


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
    for ours, theirs, single in zip(first, second, learned(alone), strict=True):
        assert torch.equal(ours, theirs)
        torch.testing.assert_close(ours, single, rtol=1e-4, atol=1e-5)


def fit_on_two(rank, world, directory):
    from hosts import VAE, loader

    weights = []
    for attach in (True, False):
        pl.seed_everything(0, verbose=False)
        attached = MutualInformationMonitor(
            "model.decoder:output", "model:output[1][0][z]",
            every_n_steps=1, learner=MutualInformationLearner(rows=16),
        )  # fmt: skip
        records, host = Records(), VAE()
        trainer = pl.Trainer(
            accelerator="cpu", devices=2, strategy="ddp", max_epochs=2, logger=records,
            callbacks=[attached] if attach else [], log_every_n_steps=1, default_root_dir=directory,
            enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(host, loader())
        weights.append(torch.cat([p.detach().flatten() for p in host.parameters()]))
        if attach:
            estimate = attached.estimate().mi
    torch.save((*weights, estimate), f"{directory}/{rank}.pt")


@pytest.mark.slow
def test_a_host_under_ddp_is_the_same_to_the_bit_and_ranks_agree(tmp_path):
    run(fit_on_two, 2, str(tmp_path))
    (with_monitor, without, first), (_, _, second) = (
        torch.load(tmp_path / f"{rank}.pt") for rank in range(2)
    )
    assert torch.equal(with_monitor, without)
    assert torch.equal(first, second)
    assert first.isfinite()


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
