import copy
import pickle
import random
import warnings

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import nn

from hosts import (
    TAPS,
    VAE,
    CallsTwice,
    DrawsInside,
    Keywords,
    Nests,
    Records,
    ReturnsNothing,
    Z,
    loader,
)
from mine_lightning.critics.networks import SeparableCritic
from mine_lightning.monitor import Estimate, MutualInformationLearner, MutualInformationMonitor
from processes import run
from shared import EVERY_STEP

pytestmark = [
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no"),
    pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader` but have no"),
]


def trainer(tmp_path, *callbacks, **options):
    options = {
        **EVERY_STEP,
        "max_epochs": 2,
        "default_root_dir": tmp_path,
        "logger": False,
    } | options
    return pl.Trainer(callbacks=list(callbacks), **options)


def monitor(x="generator:output", z="generator:input", **options):
    learner = MutualInformationLearner(**{"window": 64, "rows": 16} | options.pop("learner", {}))
    return MutualInformationMonitor(x, z, learner=learner, **{"every_n_steps": 1} | options)


def same(a, b):
    if isinstance(a, torch.Tensor):
        alike = a.dtype == b.dtype and a.shape == b.shape
        return alike and torch.allclose(a, b, rtol=0, atol=0, equal_nan=a.is_floating_point())
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def trace(host_class, tmp_path, *callbacks, **options):
    """Fit a host and return everything that a neutral callback leaves alone."""
    pl.seed_everything(3, verbose=False)
    host, records = host_class(), Records()
    fit = trainer(tmp_path, *callbacks, **{"logger": records} | options)
    fit.fit(host, loader(), loader(shuffle=False))
    logged = [
        (step, {k: v for k, v in row.items() if not k.startswith("mi")})
        for step, row in records.rows
    ]
    return {
        "weights": host.state_dict(),
        "gradients": [p.grad for p in host.parameters()],
        "optimizers": [optimizer.state_dict() for optimizer in fit.optimizers],
        "streams": [torch.get_rng_state(), random.getstate(), np.random.get_state()],  # noqa: NPY002
        "step": fit.global_step,
        "logged": [row for row in logged if row[1].keys() - {"epoch"}],
        "attributes": sorted(vars(host)),
        "hooks": [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in host.modules()],
        "modes": [m.training for m in host.modules()],
    }, records


OPTIONS = [
    {},
    {"every_n_steps": 2, "calls": "all"},
    {"learner": {"steps_per_batch": 2}, "calls": "last"},
]


@pytest.mark.parametrize("host", TAPS, ids=lambda host: host.__name__)
@pytest.mark.parametrize("options", OPTIONS, ids=["default", "all", "steps"])
def test_the_host_is_the_same_to_the_bit(host, options, tmp_path):
    x, z = TAPS[host]
    attached = monitor(x, z, **options)
    with_monitor, records = trace(host, tmp_path, attached)
    without, _ = trace(host, tmp_path)
    for name in without:
        assert same(without[name], with_monitor[name]), name
    assert all("mi" in row for _, row in records.rows if row.keys() & {"loss", "d_loss", "g_loss"})
    assert attached.estimate().mi.isfinite()


@pytest.mark.parametrize(
    "options",
    [
        {"precision": "bf16-mixed"},
        {"precision": "bf16-true"},
        {"precision": "64-true"},
        {"accumulate_grad_batches": 3},
        {"gradient_clip_val": 0.1},
        {"detect_anomaly": True},
        {"num_sanity_val_steps": 0, "limit_val_batches": 0},
        {"fast_dev_run": 2},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
def test_neutral_under_every_option_of_the_trainer(options, tmp_path):
    tap = TAPS[VAE]
    with_monitor, _ = trace(VAE, tmp_path, attached := monitor(*tap), **options)
    without, _ = trace(VAE, tmp_path, **options)
    for name in without:
        assert same(without[name], with_monitor[name]), name
    assert attached.estimate().mi.dtype == torch.float32
    assert attached.estimate().mi.isfinite()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("host", TAPS, ids=lambda host: host.__name__)
@pytest.mark.parametrize("precision", ["32-true", "16-mixed"])
def test_the_host_is_the_same_to_the_bit_on_cuda(host, precision, tmp_path):
    options = {"accelerator": "gpu", "devices": 1, "precision": precision}
    with_monitor, _ = trace(host, tmp_path, monitor(*TAPS[host]), **options)
    stream = torch.cuda.get_rng_state()
    without, _ = trace(host, tmp_path, **options)
    assert torch.equal(stream, torch.cuda.get_rng_state())
    for name in without:
        assert same(without[name], with_monitor[name]), name


def test_a_critic_with_dropout_draws_nothing_from_the_host(tmp_path):
    encoders = [nn.Sequential(nn.LazyLinear(4), nn.Dropout(0.5)) for _ in range(2)]
    critic = SeparableCritic(x_encoder=encoders[0], z_encoder=encoders[1])
    with_monitor, _ = trace(ReturnsNothing, tmp_path, monitor(learner={"critic": critic}))
    without, _ = trace(ReturnsNothing, tmp_path)
    assert all(same(without[name], with_monitor[name]) for name in without)


def test_a_function_runs_with_the_host_in_evaluation_mode_and_leaves_its_modes_alone(tmp_path):
    def sample(trainer, pl_module, outputs, batch):
        assert not any(module.training for module in pl_module.modules())
        pl_module.fake_z = torch.randn(8, Z)
        return pl_module.generator(pl_module.fake_z)

    def latent(trainer, pl_module, outputs, batch):
        return pl_module.__dict__.pop("fake_z")

    class Frozen(ReturnsNothing):
        def on_train_start(self):
            self.generator[1].eval()

    with_monitor, _ = trace(Frozen, tmp_path, attached := monitor(sample, latent))
    without, _ = trace(Frozen, tmp_path)
    assert all(same(without[name], with_monitor[name]) for name in without)
    assert attached.estimate().mi.isfinite()


@pytest.mark.parametrize(("calls", "rows"), [("first", 8), ("last", 8), ("all", 16)])
def test_calls_choose_what_counts(calls, rows, tmp_path, monkeypatch):
    attached = monitor(calls=calls)
    seen = []
    monkeypatch.setattr(attached.learners["mi"], "update", lambda x, z: seen.append((x, z)))
    host = CallsTwice()
    calls_made = []
    host.generator.register_forward_pre_hook(lambda module, args: calls_made.append(args[0]))
    trainer(tmp_path, attached, max_steps=4).fit(host, loader())
    x, z = seen[0]
    assert x.shape[0] == z.shape[0] == rows
    expected = {"first": calls_made[:1], "last": calls_made[1:2], "all": calls_made[:2]}[calls]
    assert torch.equal(z, torch.cat(expected))


def test_only_calls_of_training_steps_are_captured(tmp_path, monkeypatch):
    attached = monitor(calls="all")
    rows = []
    monkeypatch.setattr(attached.learners["mi"], "update", lambda x, z: rows.append(len(z)) or True)
    trainer(tmp_path, attached, max_epochs=1).fit(ReturnsNothing(), loader(), loader(shuffle=False))
    assert rows == [16] * 6


def test_a_wrong_name_raises_with_the_nearest_submodules(tmp_path):
    with pytest.raises(ValueError, match=r"submodule of Keywords, got 'net'.*nearest are: net_g"):
        trainer(tmp_path, monitor("net:output")).fit(Keywords(), loader())


def test_a_wrong_name_shows_near_taps_with_their_shapes(tmp_path):
    with pytest.raises(ValueError, match=r"Near taps and their shapes: .*net_g:output \(8, 4\)"):
        trainer(tmp_path, monitor("net:output")).fit(Keywords(), loader())


def test_no_call_for_a_while_warns_once_and_names_what_was_looked_for(tmp_path):
    class Sleeps(DrawsInside):
        def __init__(self):
            super().__init__()
            self.unused = nn.Linear(1, 1)

    attached = monitor(z="unused:input", patience=3)
    with pytest.warns(UserWarning, match=r"'mi' saw nothing of 'unused:input' in 3") as caught:
        trainer(tmp_path, attached).fit(Sleeps(), loader())
    assert len([w for w in caught if "saw nothing" in str(w.message)]) == 1
    assert attached.estimate().mi.isnan()


class ReturnsSometimes(Nests):
    """Returns nothing in one step of three, and no z in another."""

    def training_step(self, batch, batch_idx):
        outputs = super().training_step(batch, batch_idx)
        if batch_idx % 3 == 0:
            return None
        return outputs if batch_idx % 3 == 1 else {"loss": outputs["loss"]}


@pytest.mark.filterwarnings("ignore:`training_step` returned `None`")
def test_steps_that_return_nothing_or_lack_a_key_are_left_out(tmp_path):
    attached = monitor("outputs[x]", "outputs[z]")
    trainer(tmp_path, attached, max_epochs=1).fit(ReturnsSometimes(), loader())
    assert attached.learners["mi"].state_dict()["updates"] == 2


def test_a_key_that_never_comes_warns(tmp_path):
    attached = monitor("outputs[y]", "outputs[z]", patience=3)
    with pytest.warns(UserWarning, match=r"'mi' saw nothing of 'outputs\[y\]' in 3"):
        trainer(tmp_path, attached).fit(Nests(), loader())


def test_the_two_views_of_a_contrastive_model_are_a_pair(tmp_path, monkeypatch):
    attached = monitor("generator:output@0", "generator:output@1")
    seen = []
    monkeypatch.setattr(attached.learners["mi"], "update", lambda x, z: seen.append((x, z)))
    host, outputs = CallsTwice(), []
    host.generator.register_forward_hook(lambda module, args, out: outputs.append(out.clone()))
    trainer(tmp_path, attached, max_steps=2).fit(host, loader())
    assert torch.equal(seen[0][0], outputs[0])
    assert torch.equal(seen[0][1], outputs[1])


class Checkpointed(VAE):
    """Runs its network again during the backward pass."""

    def training_step(self, batch, batch_idx):
        x = batch[0].requires_grad_()
        model = self.model
        run = torch.utils.checkpoint.checkpoint(model, x, use_reentrant=False)
        loss = run[0].square().mean()
        self.log("loss", loss)
        return loss


def test_calls_during_the_backward_pass_do_not_count(tmp_path, monkeypatch):
    attached = monitor("model.decoder:output", "model.encoder:input", calls="all")
    rows = []
    monkeypatch.setattr(attached.learners["mi"], "update", lambda x, z: rows.append(len(x)) or True)
    trainer(tmp_path, attached, max_epochs=1).fit(Checkpointed(), loader())
    assert rows == [8] * 6


def test_a_scripted_submodule_is_refused(tmp_path):
    host = ReturnsNothing()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        host.discriminator = torch.jit.script(host.discriminator)
    with pytest.raises(ValueError, match="'discriminator:output' to be an ordinary module, got a"):
        trainer(tmp_path, monitor("discriminator:output")).fit(host, loader())


class LogsItself(VAE):
    def training_step(self, batch, batch_idx):
        self.log("mi", 1.0)
        return super().training_step(batch, batch_idx)


def test_a_key_of_the_host_is_refused(tmp_path):
    with pytest.raises(ValueError, match="keys that LogsItself does not log itself, got 'mi'"):
        trainer(tmp_path, monitor(*TAPS[VAE])).fit(LogsItself(), loader())
    records = Records()
    trainer(tmp_path, monitor(*TAPS[VAE], name="of"), logger=records).fit(LogsItself(), loader())
    assert all(row["mi"] == 1.0 for _, row in records.rows if "mi" in row)


def test_several_pairs_share_their_taps_and_have_a_curve_each(tmp_path):
    records = Records()
    taps = {
        "code": ("generator:output", "generator:input"),
        "data": ("generator:output", "batch[0]"),
    }
    attached = MutualInformationMonitor(pairs=taps, every_n_steps=1)
    trainer(tmp_path, attached, logger=records).fit(ReturnsNothing(), loader())
    assert len(attached.taps) == 3
    keys = set().union(*(row for _, row in records.rows))
    assert {"mi/code", "mi/data", "mi/code_ceiling", "mi/data_warming_up"} <= keys
    assert attached.estimate("mi/data").mi.isfinite()


def test_short_epochs_reach_early_stopping_and_checkpoints(tmp_path):
    keep = ModelCheckpoint(tmp_path, monitor="mi", mode="max", every_n_epochs=1)
    stop = EarlyStopping("mi", patience=99, check_on_train_epoch_end=True)
    options = {"enable_checkpointing": True, "log_every_n_steps": 50}
    trainer(tmp_path, monitor(), keep, stop, **options).fit(ReturnsNothing(), loader())
    assert keep.best_model_score.isfinite()


@pytest.mark.parametrize("end", [{"max_steps": 3}, {"limit_train_batches": 3, "max_epochs": 1}])
def test_a_run_that_ends_within_an_epoch_tells_its_last_reading(tmp_path, end):
    run = trainer(tmp_path, monitor(), log_every_n_steps=50, **end)
    run.fit(ReturnsNothing(), loader())
    assert run.callback_metrics["mi"].isfinite()


def test_the_ceiling_is_told_once_in_words(tmp_path, monkeypatch):
    attached = monitor()
    flat = Estimate(torch.tensor(8.2), torch.tensor(3.0), torch.tensor(8.3), False, True)
    monkeypatch.setattr(attached.learners["mi"], "compute", lambda: flat)
    with pytest.warns(UserWarning, match=r"'mi' reads 8.2 nats, near the ceiling of 8.3") as caught:
        trainer(tmp_path, attached).fit(ReturnsNothing(), loader())
    assert len([w for w in caught if "near the ceiling" in str(w.message)]) == 1


def test_alternating_hosts_do_not_warn(tmp_path):
    host = next(h for h in TAPS if h.__name__ == "Alternates")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*saw nothing.*")
        trainer(tmp_path, monitor(patience=3)).fit(host(), loader())


def test_a_resting_monitor_waits_for_the_next_call_of_an_alternating_host(tmp_path):
    host = next(h for h in TAPS if h.__name__ == "Alternates")
    attached = monitor(every_n_steps=4)
    trainer(tmp_path, attached, max_epochs=3).fit(host(), loader())
    assert (
        attached.learners["mi"].state_dict()["updates"] == 3
    )  # batches 0, 6, 12 of calls in 0, 3, 6 ..


def test_images_go_through_a_convolutional_encoder(tmp_path):
    def image(trainer, pl_module, outputs, batch):
        return batch[0].view(-1, 1, 2, 2)

    attached = monitor(image, "generator:input")
    trainer(tmp_path, attached, max_epochs=1).fit(ReturnsNothing(), loader())
    assert attached.learners["mi"].state_dict()["shapes"][0] == [1, 2, 2]


def test_x_and_z_of_different_lengths_raise(tmp_path):
    attached = monitor("generator:output", lambda t, m, o, b: torch.ones(16, 4))
    with pytest.raises(ValueError, match=r"same number of rows, got \(8, 4\) and \(16, 4\)"):
        trainer(tmp_path, attached).fit(ReturnsNothing(), loader())


def test_hooks_come_off_after_an_exception_and_a_second_fit_works(tmp_path):
    class Fails(ReturnsNothing):
        def training_step(self, batch):
            super().training_step(batch)
            if self.fails:
                raise RuntimeError("stop")

    attached, host = monitor(), Fails()
    host.fails = True
    with pytest.raises(RuntimeError, match="stop"):
        trainer(tmp_path, attached).fit(host, loader())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in host.modules())
    host.fails = False
    trainer(tmp_path, attached).fit(host, loader())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in host.modules())
    assert attached.estimate().mi.isfinite()


def test_a_second_fit_from_the_start_is_the_same_as_the_first(tmp_path):
    attached = monitor()
    _, rows = trace(ReturnsNothing, tmp_path, attached)
    _, again = trace(ReturnsNothing, tmp_path, attached)
    assert rows.rows == again.rows


def curve(records):
    return {step: row["mi"] for step, row in records.rows if "mi" in row}


class Steady(ReturnsNothing):
    """Draws what follows from the epoch and the rows, so that a resumed run can repeat it."""

    def training_step(self, batch):
        seed_streams(100 * self.current_epoch + int(batch[1][0]))
        super().training_step(batch)

    def train_dataloader(self):
        return loader(shuffle=False)


def seed_streams(seed):
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


@pytest.mark.parametrize("options", [{}, {"learner": {"window": 100}, "every_n_steps": 4}], ids=str)
def test_ten_epochs_are_five_and_five_resumed(options, tmp_path):
    def fit(epochs, ckpt_path=None):
        pl.seed_everything(0, verbose=False)
        records, host, attached = Records(), Steady(), monitor(**options)
        run = trainer(tmp_path, attached, max_epochs=epochs, logger=records)
        run.fit(host, ckpt_path=ckpt_path)
        return run, host, attached, curve(records)

    _, whole_host, whole, whole_curve = fit(10)
    run, _, _, early_curve = fit(5)
    run.save_checkpoint(tmp_path / "half.ckpt")
    torch.load(tmp_path / "half.ckpt", weights_only=True)
    _, host, resumed, late_curve = fit(10, tmp_path / "half.ckpt")
    assert same(host.state_dict(), whole_host.state_dict())
    assert same(resumed.learned(), whole.learned())
    assert early_curve | late_curve == whole_curve
    assert len(early_curve) == len(late_curve) == 30


def test_checkpoints_load_with_and_without_the_monitor(tmp_path):
    run = trainer(tmp_path, monitor(), max_epochs=1)
    run.fit(host := ReturnsNothing(), loader())
    run.save_checkpoint(tmp_path / "with.ckpt")
    with pytest.warns(UserWarning, match="add the following callbacks.*MutualInformationMonitor"):
        trainer(tmp_path).fit(ReturnsNothing(), loader(), ckpt_path=tmp_path / "with.ckpt")
    bare = trainer(tmp_path, max_epochs=1)
    bare.fit(ReturnsNothing(), loader())
    bare.save_checkpoint(tmp_path / "without.ckpt")
    attached = monitor()
    trainer(tmp_path, attached).fit(ReturnsNothing(), loader(), ckpt_path=tmp_path / "without.ckpt")
    assert attached.estimate().mi.isfinite()
    ckpt = torch.load(tmp_path / "with.ckpt", weights_only=True)
    assert ckpt["state_dict"].keys() == host.state_dict().keys()


def test_several_monitors_in_one_trainer(tmp_path):
    records = Records()
    monitors = [
        monitor("outputs[x]", "model:output[1][0][z]", name="mi"),
        monitor("outputs[x]", "batch[0]", name="mi/data"),
    ]
    trainer(tmp_path, *monitors, logger=records).fit(Nests(), loader())
    keys = set().union(*(row for _, row in records.rows))
    assert {"mi", "mi_standard_error", "mi/data", "mi/data_standard_error"} <= keys


@pytest.mark.parametrize("options", [{}, {"z": "batch[0]"}], ids=["the same", "another"])
def test_two_monitors_of_one_name_are_told_to_differ(options, tmp_path):
    run = trainer(tmp_path, monitor(), monitor(**options))
    with pytest.raises(ValueError, match=r"a `name` of its own, got 'mi' twice.*name='mi/data'"):
        run.fit(ReturnsNothing(), loader())


def test_other_callbacks_can_watch_the_estimate(tmp_path):
    keep = ModelCheckpoint(tmp_path, monitor="mi", mode="max", every_n_epochs=1)
    stop = EarlyStopping("mi", patience=99, check_on_train_epoch_end=True)
    run = trainer(tmp_path, monitor(), keep, stop, enable_checkpointing=True)
    run.fit(ReturnsNothing(), loader())
    assert keep.best_model_score.isfinite()


@pytest.mark.parametrize(
    "options", [{"barebones": True}, {"logger": False}, {"fast_dev_run": True}], ids=str
)
@pytest.mark.filterwarnings("ignore:You are trying to `self.log\\(\\)`:UserWarning")
def test_it_stays_silent_where_nothing_is_logged(options, tmp_path):
    if "barebones" in options:
        attached, quiet = monitor(), {"accelerator": "cpu", "max_epochs": 1}
        run = pl.Trainer(callbacks=[attached], **quiet, **options)
    else:
        run = trainer(tmp_path, attached := monitor(), **options)
    run.fit(ReturnsNothing(), loader())
    assert attached.estimate().mi.isfinite()


def test_csv_logger_gets_the_same_columns_from_the_first_row(tmp_path):
    run = trainer(tmp_path, monitor(), logger=CSVLogger(tmp_path), max_epochs=1)
    run.fit(ReturnsNothing(), loader())
    header = (tmp_path / "lightning_logs/version_0/metrics.csv").read_text().splitlines()[0]
    assert "mi_standard_error" in header.split(",")


def test_a_compiled_host_is_told_what_to_do(tmp_path):
    host = torch.compile(ReturnsNothing(), backend="eager")
    with pytest.raises(ValueError, match=r"outside a compiled graph.*self.generator = torch.comp"):
        trainer(tmp_path, monitor()).fit(host, loader())


def test_a_host_on_the_mirror_package(tmp_path):
    mirror = pytest.importorskip("pytorch_lightning")

    class Host(mirror.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(4, 2)

        def training_step(self, batch, batch_idx):
            loss = self.net(batch[0]).square().mean()
            self.log("loss", loss)
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    attached = monitor("net:output", "net:input")
    options = {**EVERY_STEP, "default_root_dir": tmp_path, "logger": False, "max_epochs": 1}
    mirror.Trainer(callbacks=[attached], **options).fit(Host(), loader())
    assert attached.estimate().mi.isfinite()


def test_the_monitor_can_be_copied_and_pickled_before_it_has_run():
    for clone in (copy.deepcopy(monitor()), pickle.loads(pickle.dumps(monitor()))):
        assert clone.state_key == monitor().state_key


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x": "generator"}, "Expected `x` to be 'submodule:output'"),
        (
            {"calls": "some"},
            "Expected `calls` to be 'first', 'last', 'all' or the number.*got 'some'",
        ),
        ({"every_n_steps": 0}, "Expected `every_n_steps` to be an integer of at least 1, got 0"),
    ],
)
def test_a_bad_argument_raises(options, message):
    with pytest.raises(ValueError, match=message):
        monitor(**options)


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
