import warnings

import pytest
import torch
from torch import distributed
from torchmetrics import MetricCollection

from mine_lightning.metrics import (
    EffectiveSampleSize,
    MutualInformation,
    MutualInformationStandardError,
)
from mine_lightning.objectives import MINE, NWJ, DonskerVaradhan, InfoNCE
from processes import run

METRICS = [MutualInformation, MutualInformationStandardError, EffectiveSampleSize]
OBJECTIVES = [MINE(), InfoNCE()]
SIZES = {"uneven": [(5, 3), (7,)], "one rank without rows": [(5, 3), ()]}
WORLD = 2


def scores(sizes, rank):
    """Return the batches of a rank, the same in every process."""
    generator = torch.Generator().manual_seed(rank)
    return [
        (torch.randn(n, generator=generator), torch.randn(n, 3, generator=generator) - 1)
        for n in sizes[rank]
    ]


def check_pooling(metric, sizes, rank):
    """Check that all ranks compute what one process computes of all batches."""
    everything = [batch for r in range(WORLD) for batch in scores(sizes, r)]
    alone = type(metric)(metric.objective, sync_on_compute=False)
    alone.update(*(torch.cat(part) for part in zip(*everything, strict=True)))
    for batch in scores(sizes, rank):
        metric.update(*batch)
    rows = metric.rows.clone()
    torch.testing.assert_close(metric.compute(), alone.compute())
    assert metric.rows == rows
    metric.reset()


def check_forward(rank):
    """Check that forward returns the rank's own batch unless told to synchronise."""
    batches = [scores(SIZES["uneven"], r)[0] for r in range(WORLD)]
    own, pooled = MutualInformation(), MutualInformation(dist_sync_on_step=True)
    objective = DonskerVaradhan()
    everything = tuple(torch.cat(part) for part in zip(*batches, strict=True))
    torch.testing.assert_close(own(*batches[rank]), objective.estimate(*batches[rank]))
    torch.testing.assert_close(pooled(*batches[rank]), objective.estimate(*everything))
    torch.testing.assert_close(own.compute(), objective.estimate(*everything))


def check_collection(rank):
    """Check that each objective of a collection is pooled over the ranks."""
    family = {"dv": DonskerVaradhan(), "nwj": NWJ(), "infonce": InfoNCE()}
    collection = MetricCollection({name: MutualInformation(o) for name, o in family.items()})
    for batch in scores(SIZES["uneven"], rank):
        collection.update(*batch)
    everything = [batch for r in range(WORLD) for batch in scores(SIZES["uneven"], r)]
    pooled = tuple(torch.cat(part) for part in zip(*everything, strict=True))
    for name, value in collection.compute().items():
        torch.testing.assert_close(value, family[name].estimate(*pooled))


def worker(rank, world):
    distributed.init_process_group("gloo")
    warnings.filterwarnings("ignore", message="The ``compute`` method of metric")
    for sizes in SIZES.values():
        for metric_class in METRICS:
            for objective in OBJECTIVES:
                check_pooling(metric_class(objective), sizes, rank)
            check_pooling(metric_class().to(torch.bfloat16), sizes, rank)
    check_forward(rank)
    check_collection(rank)
    distributed.barrier()
    distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.skipif(not distributed.is_gloo_available(), reason="needs gloo")
def test_processes_pool_as_one():
    run(worker, WORLD)
