"""TensorBoard as a person finds it, and nothing with any other logger."""

from pathlib import Path

import pytest
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import (
    STORE_EVERYTHING_SIZE_GUIDANCE,
    EventAccumulator,
)
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from mine_lightning import GaussianDataModule, MutualInformationEstimator
from mine_lightning.callbacks.dashboard import Dashboard, MonitorCharts
from mine_lightning.demos import GaussianGrid, PlainGAN
from shared import SILENT


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> EventAccumulator:
    folder = tmp_path_factory.mktemp("logs")
    seed_everything(11, verbose=False)
    logger = TensorBoardLogger(folder, name="", default_hp_metric=False)
    data = GaussianDataModule(rows=1000, correlation=0.5, batch_size=32)
    model = MutualInformationEstimator()
    checkpoint = ModelCheckpoint(folder / "checkpoints", monitor="val/mi", mode="max")
    trainer = Trainer(
        max_epochs=4, logger=logger, log_every_n_steps=10, callbacks=[checkpoint], **SILENT
    )
    trainer.fit(model, data)
    trainer.test(model, data, verbose=False)
    accumulator = EventAccumulator(logger.log_dir, STORE_EVERYTHING_SIZE_GUIDANCE)
    return accumulator.Reload()


def test_curves_are_on_the_axis_of_optimizer_steps(events: EventAccumulator) -> None:
    assert [event.step for event in events.Scalars("val/mi")] == [18, 36, 54, 72]
    steps = [event.step for event in events.Scalars("train/mi")]
    assert steps == sorted(set(steps))
    assert [event.step for event in events.Scalars("test/mi")] == [72]
    assert {round(event.value, 4) for event in events.Scalars("mi/truth")} == {0.1438}


def test_estimates_and_truth_are_runs_of_one_chart(events: EventAccumulator) -> None:
    main = Path(events.path)
    assert sorted(path.name for path in main.iterdir() if path.is_dir()) == [
        "test", "train", "truth", "validation"
    ]  # fmt: skip
    lines = {run: EventAccumulator(str(main / run)).Reload() for run in ("train", "truth", "test")}
    lines["val"] = EventAccumulator(str(main / "validation")).Reload()
    for run in ("val", "test"):
        drawn, logged = lines[run].Scalars("mi/estimate"), events.Scalars(f"{run}/mi")
        assert [(e.step, e.value) for e in drawn] == [(e.step, e.value) for e in logged]
        errors = events.Scalars(f"{run}/mi_standard_error")
        for end, sign in (("low", -2), ("high", 2)):
            ends = [event.value for event in lines[run].Scalars(f"mi/estimate_{end}")]
            assert ends == pytest.approx(
                [e.value + sign * s.value for e, s in zip(logged, errors, strict=True)]
            )
    assert [event.step for event in lines["train"].Scalars("mi/estimate")] == [18, 36, 54, 72]
    truth = lines["truth"].Scalars("mi/estimate")
    assert {(event.step, round(event.value, 4)) for event in truth} == {
        (step, 0.1438) for step in (18, 36, 54, 72)
    }


def test_charts_name_what_is_drawn(events: EventAccumulator) -> None:
    (event,) = events.Tensors("custom_scalars__config__")
    layout = Layout.FromString(event.tensor_proto.string_val[0])
    lines, band = layout.category[0].chart
    assert list(lines.multiline.tag) == ["^mi/estimate$"]
    (series,) = band.margin.series
    assert [series.value, series.lower, series.upper] == [
        "mi/estimate", "mi/estimate_low", "mi/estimate_high"
    ]  # fmt: skip


def test_scores_have_histograms(events: EventAccumulator) -> None:
    assert set(events.Tags()["histograms"]) == {"scores/joint", "scores/marginal"}
    assert [event.step for event in events.Histograms("scores/joint")] == [18, 36, 54, 72]


def test_hyperparameters_come_with_the_final_estimate(events: EventAccumulator) -> None:
    def content(name: str) -> HParamsPluginData:
        return HParamsPluginData.FromString(events.summary_metadata[name].plugin_data.content)

    start = content("_hparams_/session_start_info").session_start_info.hparams
    assert sorted(start)[:5] == ["critic", "data", "objective", "optimizer", "seed"]
    assert start["critic"].string_value == "ConcatCritic"
    assert start["data"].string_value == "GaussianDataModule"
    assert start["settings/data/batch_size"].number_value == 32
    assert start["settings/data/distribution/correlation"].number_value == 0.5
    assert start["settings/objective/ma_rate"].number_value == 0.01
    assert start["optimizer"].string_value == "Adam"
    assert start["settings/optimizer/lr"].number_value == 0.001
    assert start["seed"].number_value == 11
    metrics = content("_hparams_/experiment").experiment.metric_infos
    assert [metric.name.tag for metric in metrics] == ["test/mi", "val/mi"]
    assert "hp_metric" not in events.Tags()["scalars"]


@pytest.mark.parametrize("logger", [False, "csv", "both"])
def test_any_logger_will_do(logger: str | bool, tmp_path: Path) -> None:
    loggers = {
        "csv": [CSVLogger(tmp_path)],
        "both": [CSVLogger(tmp_path), TensorBoardLogger(tmp_path)],
    }
    data = GaussianDataModule(rows=600, correlation=0.5, batch_size=64, seed=0)
    trainer = Trainer(
        max_epochs=1, logger=loggers.get(str(logger), False), enable_checkpointing=False, **SILENT
    )
    model = MutualInformationEstimator()
    trainer.fit(model, data)
    trainer.test(model, data, verbose=False)
    assert sum(isinstance(callback, Dashboard) for callback in trainer.callbacks) == 1


class Watching(Callback):
    """What a monitor does: it logs an estimate and draws its band and its ceiling."""

    def on_train_start(self, trainer, pl_module):
        self.charts = MonitorCharts(trainer, ["mi", "mi/other"])

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        pl_module.log_dict({"mi": 0.5, "mi/other": 0.25})
        self.charts.draw(trainer, "mi", 0.5, 0.1, 4.0)
        self.charts.draw(trainer, "mi/other", 0.25, 0.1, float("inf"))

    def on_train_end(self, trainer, pl_module):
        self.charts.close()


def test_a_monitor_has_its_band_and_its_ceiling_beside_its_curve(tmp_path: Path) -> None:
    logger = TensorBoardLogger(tmp_path, name="")
    settings = {"max_epochs": 1, "log_every_n_steps": 1, "enable_checkpointing": False}
    trainer = Trainer(
        logger=logger, callbacks=[Watching()], accelerator="cpu", **settings, **SILENT
    )
    trainer.fit(PlainGAN(codes=5, hidden_features=(16,)), GaussianGrid(steps_per_epoch=3))
    main, ceiling = (
        EventAccumulator(str(Path(logger.log_dir) / run)).Reload() for run in ("", "ceiling")
    )
    for end, value in (("", 0.5), ("_low", 0.3), ("_high", 0.7)):
        points = [(event.step, round(event.value, 5)) for event in main.Scalars(f"mi{end}")]
        assert points == [(0, value), (1, value), (2, value)]
    assert [(event.step, event.value) for event in ceiling.Scalars("mi")] == [
        (0, 4.0), (1, 4.0), (2, 4.0)
    ]  # fmt: skip
    assert "mi/other" not in ceiling.Tags()["scalars"]


@pytest.mark.parametrize("mode", [{"fast_dev_run": True}, {"barebones": True, "max_epochs": 1}])
@pytest.mark.filterwarnings("ignore:.*barebones", "ignore:You are running in `Trainer")
def test_development_modes_run(mode: dict, tmp_path: Path) -> None:
    data = GaussianDataModule(rows=600, correlation=0.5, batch_size=64, seed=0)
    Trainer(default_root_dir=tmp_path, **mode).fit(MutualInformationEstimator(), data)
