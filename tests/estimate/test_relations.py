"""Exact functions are told from strong dependence."""

import math

import numpy as np
import pytest
import torch

from mine_lightning import estimate_mutual_information
from mine_lightning.estimate.relations import is_functional

ROWS = 2000
GENERATOR = torch.Generator().manual_seed(0)
X, E = torch.randn(2, ROWS, 3, generator=GENERATOR).double()
FUNCTIONS = {
    "itself": X,
    "linear combinations": X @ torch.randn(3, 2, generator=GENERATOR).double(),
    "cube of a column": X[:, :1] ** 3,
    "wave of a column": (5 * X[:, 1:2]).sin(),
    "among noise": torch.cat([E, X[:, 2:].exp()], dim=1),
}
NOISY = {
    "independent": E,
    "8 nats": X + math.exp(-8) * E,
    "wave": (5 * X).sin() + 0.01 * E,
    "zero-inflated": (X + 0.1 * E).clamp(min=0),
    "few values": (3 * X).round(),
    "labels": (X > 0).double(),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_found_in_either_direction(name: str) -> None:
    assert is_functional(X, FUNCTIONS[name])
    assert is_functional(FUNCTIONS[name], X)
    assert is_functional(X.float(), FUNCTIONS[name].float())


@pytest.mark.parametrize("name", NOISY)
def test_noise_is_seen(name: str) -> None:
    assert not is_functional(X, NOISY[name])
    assert not is_functional(NOISY[name], X)


def test_images_are_looked_at_quickly() -> None:
    images = torch.randn(3000, 1, 16, 16, generator=GENERATOR)
    images[:, 0, 0, 0] = 0
    assert is_functional(images, images[:, :, :2, :2] * 2)
    assert not is_functional(images, images.flip(0))


def test_a_function_has_no_upper_end() -> None:
    x = np.random.default_rng(0).normal(size=300)
    result = estimate_mutual_information(x, x, max_epochs=3, progress_bar=False)
    low, high = result.interval()
    assert 0 < low < result.nats < high == math.inf
    assert "functional" in result.diagnostics
    assert "inf]" in str(result)
