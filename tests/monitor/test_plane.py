import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from mine_lightning import InformationPlane, MutualInformationLearner


class Classifier(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.2))
        self.head = nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        loss = nn.functional.cross_entropy(self.head(self.hidden(batch[0])), batch[1])
        self.log("loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)


def fit(plane, tmp_path, epochs=2, **options):
    stream = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (64,), generator=stream)
    images = torch.randn(3, 4, generator=stream)[labels]
    images = images + 0.1 * torch.randn(64, 4, generator=stream)
    pl.seed_everything(0, verbose=False)
    host = Classifier()
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=epochs, callbacks=[plane] if plane else [],
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
        log_every_n_steps=1,
        default_root_dir=tmp_path, **options,
    )  # fmt: skip
    trainer.fit(host, DataLoader(TensorDataset(images, labels), batch_size=16))
    return trainer, host


def plane(**options):
    learner = MutualInformationLearner(window=64, rows=32)
    return InformationPlane(["hidden", "head:input"], learner=learner, every_n_steps=1, **options)


def test_every_layer_has_its_two_curves_and_the_host_is_the_same(tmp_path):
    trainer, host = fit(attached := plane(), tmp_path, logger=False)
    assert set(attached.curves) <= trainer.callback_metrics.keys()
    assert all(len(seen) == 2 for seen in attached.history.values())
    _, alone = fit(None, tmp_path, logger=False)
    for ours, theirs in zip(host.parameters(), alone.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_picture_and_the_charts_are_in_tensorboard(tmp_path):
    fit(plane(), tmp_path, logger=TensorBoardLogger(tmp_path, name="", version=""))
    events = EventAccumulator(str(tmp_path)).Reload()
    assert "plane" in events.Tags()["images"]
    assert "custom_scalars__config__" in events.Tags()["tensors"]
    assert {"plane/hidden/x", "plane/hidden/x_ceiling"} <= set(events.Tags()["scalars"])


def test_the_picture_has_a_path_for_each_layer(tmp_path):
    fit(attached := plane(), tmp_path, epochs=3, logger=False)
    (axis,) = attached.plot().axes
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["hidden", "head:input"]
    assert len(axis.lines[0].get_xdata()) == 3


def test_the_history_is_in_the_state(tmp_path):
    fit(attached := plane(), tmp_path, logger=False)
    other = plane()
    other.load_state_dict(attached.learned())
    assert other.history == attached.history


@pytest.mark.parametrize("layers", [[], "hidden", ["hidden", "hidden"]])
def test_layers_are_different_names(layers):
    with pytest.raises(ValueError, match="Expected `layers` to be different names of submodules"):
        InformationPlane(layers)
