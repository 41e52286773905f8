"""Work inside somebody else's run that leaves no trace in it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import nn

from mine_lightning.support.ambient import own_settings

__all__ = ["evaluating", "isolated"]


@contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Run with gradients, in full precision and with random streams of one's own.

    The streams of python, numpy, torch and every CUDA device are put back afterwards; inside, those
    of torch start at ``seed``, so that what is drawn is not what the host draws next.
    """
    with ExitStack() as stack:
        stack.enter_context(isolate_rng())
        stack.enter_context(own_settings())
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_available():
            torch.cuda.manual_seed(seed)
        yield


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put every submodule into evaluation mode and give each its own mode back afterwards."""
    modes = {part: part.training for part in module.modules()}
    try:
        for part in modes:
            part.training = False
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
