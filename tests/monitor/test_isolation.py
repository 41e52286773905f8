"""Work inside somebody else's run leaves no trace."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from mine_lightning.monitor.isolation import evaluating, isolated


def drawn() -> tuple[float, ...]:
    return random.random(), np.random.rand(), float(torch.rand(1))  # noqa: NPY002


def test_the_streams_of_the_host_go_on_as_if_nothing_had_been_drawn() -> None:
    def host(interrupted: bool) -> tuple[float, ...]:
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        torch.manual_seed(1)
        if interrupted:
            with isolated(seed=5):
                drawn()
        return drawn()

    assert host(interrupted=True) == host(interrupted=False)


def test_what_is_drawn_depends_on_the_seed_alone() -> None:
    def own(seed: int) -> float:
        with isolated(seed):
            return float(torch.rand(1))

    first = own(3)
    torch.manual_seed(8)
    assert own(3) == first != own(4)


def test_gradients_and_full_precision_inside_any_mode() -> None:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        with isolated(seed=0):
            weight = torch.ones(2, 2, requires_grad=True)
            product = weight @ weight
            assert product.requires_grad
            assert product.dtype == torch.float32
        assert torch.is_inference_mode_enabled()


@pytest.mark.parametrize("error", [False, True])
def test_every_part_gets_its_own_mode_back(error: bool) -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.Dropout()))
    model[1].eval()
    before = [part.training for part in model.modules()]
    try:
        with evaluating(model):
            assert not any(part.training for part in model.modules())
            if error:
                raise KeyError("stop")
    except KeyError:
        pass
    assert [part.training for part in model.modules()] == before == [True, True, False, False]
