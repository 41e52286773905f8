"""Running a test's worker in several processes, with a limit on the time."""

import os
import time

import pytest
import torch
from lightning.fabric.plugins.environments.lightning import find_free_network_port


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
