"""Where rows lie while a critic is trained."""

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer, seed_everything

from mine_lightning import GaussianDataModule, MutualInformationEstimator, StreamingDataModule
from mine_lightning.data import modules
from mine_lightning.data.loading import prefetch
from mine_lightning.data.loading.placement import fits, moved, placed, training_device
from mine_lightning.data.loading.prefetch import prefetched
from minibatches import X, training

CPU, META, CUDA = map(torch.device, ("cpu", "meta", "cuda"))
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def test_rows_fit_into_half_of_the_free_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (8000, 10**9))
    assert fits(1000, CUDA)
    assert not fits(1001, CUDA)
    assert not fits(1, CPU)


def test_on_the_cpu_there_is_nothing_to_do():
    loader = training(stack=2)
    assert prefetched(loader, CPU) is loader
    assert placed(X, CPU) is X
    assert training_device(None) == CPU


def test_expanded_rows_are_pinned_as_rows_of_their_own(monkeypatch) -> None:
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda rows: pinned.append(rows) or rows)
    monkeypatch.setattr(torch.Tensor, "to", lambda rows, device, non_blocking: rows)
    placed(torch.arange(3).expand(4, -1), CUDA)
    (rows,) = pinned
    assert rows.is_contiguous()


def test_tensors_move_however_deep_they_lie() -> None:
    class Fitted:
        def __init__(self) -> None:
            self.rows = torch.ones(2)
            self.parts = {"scale": [self.rows, 1.5]}

    fitted = Fitted()
    there = moved(fitted, META)
    assert there.rows.device == META
    assert there.parts["scale"][0] is there.rows
    assert there.parts["scale"][1] == 1.5
    assert fitted.rows.device == CPU


def test_rows_that_fit_are_moved_once(monkeypatch):
    moves = []
    monkeypatch.setattr(modules, "training_device", lambda trainer: CUDA)
    monkeypatch.setattr(modules, "fits", lambda values, device: values <= 1200)
    monkeypatch.setattr(modules, "placed", lambda rows, device: moves.append(len(rows)) or rows)
    monkeypatch.setattr(prefetch, "placed", lambda rows, device: rows)
    data = GaussianDataModule(1, 0.5, rows=1000, batch_size=32)
    data.setup()
    loader, validation = data.train_dataloader(), data.val_dataloader()
    assert moves == [600, 600, 200, 200]
    list(loader), list(validation)
    assert moves == [600, 600, 200, 200]


def fit(accelerator: str, data) -> MutualInformationEstimator:
    seed_everything(0, verbose=False)
    model = MutualInformationEstimator()
    trainer = Trainer(
        max_epochs=2,
        accelerator=accelerator,
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, data)
    return model.cpu()


def streaming(folder) -> StreamingDataModule:
    np.save(folder / "x.npy", np.random.default_rng(0).normal(size=(4000, 3)))
    return StreamingDataModule(folder / "x.npy", [0, 1], [2], seed=0)


@needs_cuda
@pytest.mark.parametrize("kind", ["fits", "does not fit", "fresh", "streamed"])
def test_minibatches_on_a_gpu_are_those_on_the_cpu_and_need_no_transfer(
    kind, tmp_path, monkeypatch
):
    if kind == "does not fit":
        monkeypatch.setattr(modules, "fits", lambda values, device: False)
    given = {"rows": None if kind == "fresh" else 4000, "batches_per_epoch": 20, "seed": 0}
    datas = [
        streaming(tmp_path) if kind == "streamed" else GaussianDataModule(2, 0.5, **given)
        for _ in range(2)
    ]
    seen = {"cuda": [], "cpu": []}

    class Watched(MutualInformationEstimator):
        def transfer_batch_to_device(self, batch, device, index):
            moved = super().transfer_batch_to_device(batch, device, index)
            if self.trainer.training:
                for before, after in zip(batch, moved, strict=True):
                    assert before["joint"][0] is after["joint"][0]
                    assert before["marginal"] is after["marginal"]
                    seen[device.type].append(before["marginal"].cpu())
            return moved

    monkeypatch.setattr(f"{__name__}.MutualInformationEstimator", Watched)
    on_gpu, on_cpu = (fit(kind, data) for kind, data in zip(seen, datas, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(seen["cuda"], seen["cpu"], strict=True))
    for name, value in on_cpu.critic.state_dict().items():
        torch.testing.assert_close(on_gpu.critic.state_dict()[name], value, rtol=0.02, atol=0.02)
