import math

import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from hosts import Drifts, Records
from mine_lightning.monitor import MutualInformationLearner, MutualInformationMonitor
from mine_lightning.monitor.network import RunningStandardize
from mine_lightning.support.distributed import Processes
from processes import run


def pairs(rows=64, mi=1.0, seed=0):
    stream = torch.Generator().manual_seed(seed)
    z = torch.randn(rows, 1, generator=stream)
    return math.sqrt(math.expm1(2 * mi)) * z + torch.randn(z.shape, generator=stream), z


def test_pairs_are_scored_before_the_critic_trains_on_them():
    learner = MutualInformationLearner(window=1)
    x, z = pairs()
    for _ in range(60):  # the same rows again and again: a critic scored after training is ahead
        learner.update(x, z)
    before = [p.clone() for p in learner._network.critic.parameters()]
    scored = []
    learner._network.push = lambda scores: scored.append(
        [
            torch.equal(a, b)
            for a, b in zip(before, learner._network.critic.parameters(), strict=True)
        ]
    )
    learner.update(x, z)
    assert all(scored[0])
    after = learner._network.critic.parameters()
    assert not all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_updates_are_a_function_of_the_seed_and_the_pairs():
    def state(seed):
        learner = MutualInformationLearner(seed=seed, steps_per_batch=2, replay=32)
        for number in range(5):
            torch.rand(1)
            learner.update(*pairs(seed=number))
        return learner.compute().mi

    assert state(0) == state(0) != state(1)


def test_no_pairs_few_rows_and_rows_that_are_not_finite_count_as_none():
    learner = MutualInformationLearner()
    x, z = pairs()
    assert learner.compute().mi.isnan()
    assert not learner.update(None, z)
    assert not learner.update(x[:1], z[:1])
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
    with pytest.raises(
        ValueError, match=r"shapes of the checkpoint, \(1,\) and \(1,\), got \(2,\)"
    ):
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
    scale.update(rows, len(rows), Processes())
    assert torch.allclose(scale(rows).mean(0), torch.zeros(2), atol=1e-3)
    assert scale(rows).std(0)[0] == pytest.approx(1, abs=1e-2)


def follow(levels, steps, rows, **options):
    """Return (step in the level, level, estimate) of a host whose truth is known at each step."""
    pl.seed_everything(0, verbose=False)
    records = Records()
    attached = MutualInformationMonitor("outputs[x]", "generator:input", every_n_steps=1, **options)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, logger=records, callbacks=[attached],
        log_every_n_steps=25, enable_progress_bar=False, enable_checkpointing=False,
        enable_model_summary=False,
    )  # fmt: skip
    host = Drifts(levels=levels, steps_per_level=steps)
    data = TensorDataset(torch.zeros(len(levels) * steps * rows, 1))
    trainer.fit(host, DataLoader(data, batch_sampler=[range(rows)] * (len(levels) * steps)))
    seen = [row["mi"] for _, row in records.rows if "mi" in row]
    at = [25 * (number + 1) - 1 for number in range(len(seen))]
    return [(i % steps + 1, host.level(i), mi) for i, mi in zip(at, seen, strict=True)]


@pytest.mark.filterwarnings("ignore:`LightningModule.configure_optimizers` returned `None`")
@pytest.mark.slow
def test_the_curve_is_within_a_seventh_of_a_nat_of_the_truth_400_steps_after_it_changes():
    curve = follow(levels=(0.0, 1.0, 2.0, 3.0, 0.5), steps=500, rows=256)
    late = [(level, mi) for step, level, mi in curve if step >= 400]
    assert len(late) == 5 * 5
    assert max(abs(mi - level) for level, mi in late) < 0.15


@pytest.mark.filterwarnings("ignore:`LightningModule.configure_optimizers` returned `None`")
def test_the_curve_follows_a_change():
    curve = follow(levels=(0.0, 1.0), steps=200, rows=64, window=50)
    assert abs(curve[7][2]) < 0.1
    assert abs(curve[-1][2] - 1) < 0.2


def updates():
    """Return the pairs of two processes for each update; some have none."""
    for number in range(6):
        both = [pairs(rows=6 + 2 * rank, seed=10 * number + rank) for rank in range(2)]
        if number in (0, 3):
            both[number // 3] = None
        yield both


def learned(learner):
    weights = torch.cat([p.detach().flatten() for p in learner._network.critic.parameters()])
    return weights, *learner.compute(), learner._network.objective.log_ema


def two(rank, world, directory):
    torch.distributed.init_process_group("gloo")
    learner = MutualInformationLearner(partners=9, steps_per_batch=2)
    for both in updates():
        learner.update(*(both[rank] or (None, None)))
    assert not learner.update(None, None)
    replaying = MutualInformationLearner(partners=2, steps_per_batch=2, replay=8)
    for both in updates():
        replaying.update(*(both[rank] or (None, None)))
    torch.save((learned(learner), learned(replaying)), directory / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_learn_what_one_does_also_when_one_has_no_pairs(tmp_path):
    run(two, 2, tmp_path)
    (first, first_replaying), (second, second_replaying) = (
        torch.load(tmp_path / f"{rank}.pt") for rank in range(2)
    )
    alone = MutualInformationLearner(partners=9, steps_per_batch=2)
    for both in updates():
        alone.update(*map(torch.cat, zip(*filter(None, both), strict=True)))
    for ours, theirs, single in zip(first, second, learned(alone), strict=True):
        assert torch.equal(ours, theirs)
        torch.testing.assert_close(ours, single, rtol=1e-4, atol=1e-5)  # float32, 12 steps
    assert all(map(torch.equal, first_replaying, second_replaying))
    assert first_replaying[1].isfinite()


def fit_on_two(rank, world, directory):
    from hosts import VAE, loader

    weights = []
    for attach in (True, False):
        pl.seed_everything(0, verbose=False)
        attached = MutualInformationMonitor(
            "model.decoder:output", "model:output[1][0][z]",
            every_n_steps=1, partners=3,
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
        ({"partners": True}, "Expected `partners` to be an integer of at least 1, got True"),
        (
            {"gradient_clip_val": -1.0},
            "Expected `gradient_clip_val` to be positive and finite, got -1.0",
        ),
    ],
)
def test_a_bad_argument_raises(options, message):
    with pytest.raises(ValueError, match=message):
        MutualInformationLearner(**options)
