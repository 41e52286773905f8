"""One line of progress, and nothing else."""

import re
from functools import partial

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from tqdm import tqdm

from mine_lightning import (
    GaussianDataModule,
    MutualInformationEstimator,
    estimate_mutual_information,
)
from mine_lightning.callbacks import progress
from mine_lightning.callbacks.progress import EpochBar, with_bar
from mine_lightning.support.remarks import without_remarks

X, NOISE = torch.randn(2, 300, generator=torch.Generator().manual_seed(0))


def fit(**settings) -> None:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    data = GaussianDataModule(rows=600, correlation=0.5, batch_size=64, seed=0)
    with without_remarks():
        Trainer(accelerator="cpu", **{**quiet, **settings}).fit(MutualInformationEstimator(), data)


def lines(capsys: pytest.CaptureFixture) -> list[str]:
    shown = capsys.readouterr()
    assert shown.out == ""
    return shown.err.split("\r")


def test_an_estimate_shows_how_far_it_is_in_one_line_that_disappears(
    capsys: pytest.CaptureFixture,
) -> None:
    result = estimate_mutual_information(X, X + NOISE, max_epochs=3)
    shown = lines(capsys)
    nats = result.learning_curve.mean(1)[-1]
    assert any(f"folds trained together, epoch 3 of at most 3, {nats:.2f} nats" in s for s in shown)
    assert all("left" in line for line in shown[1:-2])
    assert shown[-2].strip() == shown[-1] == ""
    assert "\n" not in "".join(shown)


def test_without_a_bar_nothing_is_shown(capsys: pytest.CaptureFixture) -> None:
    estimate_mutual_information(X, X + NOISE, max_epochs=2, progress_bar=False)
    estimate_mutual_information(X, X + NOISE, max_epochs=2, enable_progress_bar=False)
    assert lines(capsys) == [""]


def test_a_bar_of_the_users_own_is_the_only_one() -> None:
    own = TQDMProgressBar()
    assert with_bar(own) == with_bar([own]) == [own]
    (bar,) = with_bar(None, "what")
    assert isinstance(bar, EpochBar)
    assert bar.label == "what"
    estimate_mutual_information(X, X + NOISE, max_epochs=1, callbacks=own)
    assert own.total_train_batches > 0


def test_a_run_without_an_end_shows_its_epoch_and_its_time(capsys: pytest.CaptureFixture) -> None:
    fit(max_epochs=-1, max_steps=12, callbacks=[EpochBar()])
    shown = lines(capsys)
    assert any(re.search(r"epoch \d, -?0\.\d\d nats", line) for line in shown)
    assert not any("at most" in line for line in shown)


def test_values_are_read_when_the_bar_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "tqdm", partial(tqdm, mininterval=1000))
    texts = []

    class Watched(EpochBar):
        def _text(self, trainer: Trainer) -> str:
            texts.append(super()._text(trainer))
            return texts[-1]

    fit(max_epochs=3, callbacks=[Watched()])
    (at_the_end,) = texts
    assert at_the_end.startswith("epoch 3 of at most 3, ")


def test_a_failing_run_closes_its_bar(capsys: pytest.CaptureFixture) -> None:
    class Broken(MutualInformationEstimator):
        def on_train_batch_end(self, *args) -> None:
            raise RuntimeError("broken")

    bar = EpochBar()
    data = GaussianDataModule(rows=600, correlation=0.5, batch_size=64, seed=0)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    with pytest.raises(RuntimeError, match="broken"):
        Trainer(accelerator="cpu", max_epochs=2, callbacks=[bar], **quiet).fit(Broken(), data)
    assert bar._bar is None
