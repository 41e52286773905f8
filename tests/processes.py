"""Running a test's worker in several processes, with a limit on the time."""

import json
import os
import time
from pathlib import Path

import pytest
import torch
from lightning.fabric.plugins.environments.lightning import find_free_network_port
from lightning.pytorch import Callback


def start(rank, worker, world, port, args):
    """Be one process of a Trainer's or of a group of one's own."""
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "GROUP_RANK": "0",
        "TORCHELASTIC_RUN_ID": "0",
    }
    torch.set_num_threads(1)
    worker(rank, world, *args)


def run(worker, world, *args, limit=300):
    """Call ``worker(rank, world, *args)`` in ``world`` processes; fail after ``limit`` seconds."""
    context = torch.multiprocessing.spawn(
        start, (worker, world, find_free_network_port(), args), nprocs=world, join=False
    )
    deadline = time.monotonic() + limit
    while not context.join(timeout=1):
        if time.monotonic() > deadline:
            for process in context.processes:
                process.kill()
            pytest.fail(f"The processes did not end within {limit} s.")


class Recorder(Callback):
    """Write what each process has logged in the end, and the sum of its weights.

    Args:
        directory: Where to write a file for each rank.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def on_test_end(self, trainer, pl_module) -> None:
        values = {name: value.item() for name, value in trainer.callback_metrics.items()}
        values["weights"] = sum(p.sum().item() for p in pl_module.parameters())
        Path(self.directory, f"{trainer.global_rank}.json").write_text(json.dumps(values))
