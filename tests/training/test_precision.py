"""The same estimate in every precision, and exponentials never in half precision."""

import copy
import math

import pytest
import torch
from lightning.pytorch import Trainer, seed_everything

from mine_lightning import (
    MINE,
    NWJ,
    TUBA,
    ConcatCritic,
    GaussianDataModule,
    InfoNCE,
    LearnableBaseline,
    MutualInformationEstimator,
)
from objective_cases import every_case
from shared import QUIET

TOLERANCE = {"64-true": 0.002, "bf16-mixed": 0.01, "bf16-true": 0.06}  # nats, of 0.51
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="16-mixed needs CUDA")


def estimate(precision: str, objective, all_pairs: bool = False, seed: int = 0) -> float:
    seed_everything(seed, verbose=False)
    data = GaussianDataModule(correlation=0.8, rows=6000, batch_size=128, seed=seed)
    model = MutualInformationEstimator(
        ConcatCritic((32, 32)), copy.deepcopy(objective), all_pairs=all_pairs
    )
    model(next(iter_batches(data)))
    trainer = Trainer(**QUIET, max_epochs=3, enable_checkpointing=False, precision=precision)
    trainer.fit(model, data)
    (result,) = trainer.test(model, data, verbose=False)
    assert all(value.dtype in (torch.float32, torch.float64) for value in model.objective.buffers())
    return result["test/mi"]


def iter_batches(data):
    data.setup()
    return iter(data.train_dataloader())


OBJECTIVES = {
    "mine": MINE(),
    "nwj": NWJ(),
    "tuba": TUBA(LearnableBaseline()),
    "infonce": InfoNCE(learn_temperature=True),
}


@pytest.mark.trained
@pytest.mark.slow
@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_precision_gives_the_same_estimate(name: str, seed: int, outcome) -> None:
    all_pairs = name == "infonce"
    single = estimate("32-true", OBJECTIVES[name], all_pairs, seed)
    for precision, room in TOLERANCE.items():
        value = estimate(precision, OBJECTIVES[name], all_pairs, seed)
        outcome(value - single, -room, room, of=precision)


@CUDA
def test_half_precision_on_a_gpu_gives_the_same_estimate() -> None:
    single = estimate("32-true", MINE())
    assert estimate("16-mixed", MINE()) == pytest.approx(single, abs=0.03)


@every_case
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_scores_in_half_precision_are_averaged_in_float32(case, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    joint, marginal = (
        scores.to(dtype) for scores in torch.randn(2, 40, 39, generator=generator).unbind()
    )
    joint = joint[:, 0]
    half, single = case.make().to(dtype), case.make()
    for function in ("loss", "estimate"):
        ours = getattr(half, function)(joint, marginal)
        assert ours.dtype == torch.float32
        assert torch.equal(ours, getattr(single, function)(joint.float(), marginal.float()))
    for ours, theirs in zip(half.state_dict().values(), single.state_dict().values(), strict=True):
        assert ours.dtype == torch.float32
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_moving_average_moves_in_steps_that_half_precision_has_not(dtype) -> None:
    objective = MINE(ma_rate=0.01).to(dtype)
    for _ in range(500):
        objective.loss(torch.zeros(4), torch.full((4,), 6.0))
        objective.loss(torch.zeros(4), torch.full((4,), 6.2))
    expected = math.log((math.exp(6.0) + math.exp(6.2)) / 2)
    assert objective.log_ema.item() == pytest.approx(expected, abs=2e-3)
