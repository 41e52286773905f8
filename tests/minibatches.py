"""Minibatches of rows that carry their own number, and how they are compared."""

import torch

from mine_lightning.data.loading.loaders import Sampling, TrainingLoader
from mine_lightning.data.loading.stacks import Stacking
from mine_lightning.data.samplers import Derangement

X = torch.arange(40.0).unsqueeze(1)
Z = X + 100


def training(stack: int = 1, **kwargs) -> TrainingLoader:
    sampling = Sampling(8, Derangement(), seed=5, **kwargs)
    return TrainingLoader(X, Z, sampling, Stacking(stack))


def flat(loader) -> list[dict]:
    batches = []
    for item in loader:
        batches += item if isinstance(item, list) else [item]
    return batches


def same(left: list[dict], right: list[dict]) -> bool:
    return len(left) == len(right) and all(
        torch.equal(a["joint"][0], b["joint"][0])
        and torch.equal(a["joint"][1], b["joint"][1])
        and torch.equal(a["marginal"], b["marginal"])
        for a, b in zip(left, right, strict=True)
    )
