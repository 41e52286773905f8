"""Several processes compute what one process computes of all their rows, to rounding."""

import copy

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from mine_lightning import (
    ConcatCritic,
    MutualInformation,
    MutualInformationEstimator,
    MutualInformationStandardError,
    Objective,
)
from mine_lightning.support.distributed import Processes
from objective_cases import CASES
from processes import run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not distributed.is_gloo_available(), reason="needs gloo"),
]

ROWS, PARTNERS = 4, 3
CLOSE = {"rtol": 1e-9, "atol": 1e-12}


def batches(world: int, step: int) -> list[dict]:
    """Return each process's batch of a step, the same in every process."""
    generator = torch.Generator().manual_seed(step)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def batch() -> dict:
        x = draw(ROWS, 2)
        return {"joint": (x, x + draw(ROWS, 2)), "marginal": draw(ROWS, PARTNERS, 2)}

    return [batch() for _ in range(world)]


def together(parts: list[dict]) -> dict:
    x, z = (torch.cat([part["joint"][side] for part in parts]) for side in (0, 1))
    return {"joint": (x, z), "marginal": torch.cat([part["marginal"] for part in parts])}


class Loss(nn.Module):
    """The loss as a module that DistributedDataParallel can wrap."""

    def __init__(self, model: MutualInformationEstimator, processes: Processes) -> None:
        super().__init__()
        self.model, self.processes = model, processes

    def forward(self, batch: dict) -> torch.Tensor:
        return self.model.objective.loss(*self.model.scores(batch, self.processes))


def check_objective(name: str, all_pairs: bool, rank: int, world: int) -> None:
    """Check loss, gradient, moving average and pooled metrics of one objective."""
    torch.manual_seed(rank)  # weights of rank 0 count
    model = MutualInformationEstimator(
        ConcatCritic((8,)), CASES[name].make(), all_pairs=all_pairs
    ).double()
    model.scores(batches(world, 0)[0])
    shared = DistributedDataParallel(Loss(model, Processes(even=True)))
    alone = Loss(copy.deepcopy(model), Processes(alone=True))
    for step in range(3):
        parts = batches(world, step)
        pairs = []
        for loss, batch in ((shared, parts[rank]), (alone, together(parts))):
            loss.zero_grad()
            value = loss(batch)
            value.backward()
            gradients = [p.grad.clone() for p in loss.parameters()]
            pairs.append([value.detach(), *gradients, *loss.buffers()])
        for ours, theirs in zip(*pairs, strict=True):
            torch.testing.assert_close(ours, theirs, **CLOSE)
    metrics = [MutualInformation, MutualInformationStandardError]
    single = [metric(alone.model.objective, sync_on_compute=False) for metric in metrics]
    for step in range(10, 13):
        parts = batches(world, step)
        processes = Processes(alone=not all_pairs)  # as MutualInformationEstimator evaluates
        model.val_metrics.update(*model.scores(parts[rank], processes))
        for metric in single:
            metric.update(*alone.model.scores(together(parts)))
    pooled = model.val_metrics.compute()
    for key, metric in zip(("mi", "mi_standard_error"), single, strict=True):
        torch.testing.assert_close(pooled[key], metric.compute(), rtol=1e-6, atol=1e-7)


def check_every_objective(rank: int, world: int) -> None:
    distributed.init_process_group("gloo")
    objectives = {name: case for name, case in CASES.items() if isinstance(case.make(), Objective)}
    assert len(objectives) > 20
    for name, case in objectives.items():
        for all_pairs in {case.all_pairs, True}:
            check_objective(name, all_pairs, rank, world)
    check_uneven(rank, world)
    distributed.destroy_process_group()


def check_uneven(rank: int, world: int) -> None:
    """Check that rows of any number and type are gathered in the order of the ranks."""
    for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.int64):
        own = torch.full((rank, 2), rank, dtype=dtype)
        rows = Processes().gather(own)
        assert rows.dtype == dtype
        assert rows[:, 0].tolist() == [r for r in range(world) for _ in range(r)]


@pytest.mark.parametrize("world", [2, 3])
def test_every_objective_trains_and_evaluates_as_one_process(world: int) -> None:
    run(check_every_objective, world)
