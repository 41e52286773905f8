"""Numbers that are not finite are found wherever they are, and undone."""

import math

import pytest
import torch

from mine_lightning.support.distributed import Processes
from mine_lightning.support.finite import SMALL, Snapshot, any_bad, read, weights


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("size", [1, SMALL - 1, SMALL], ids=["one", "small", "large"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_one_bad_value_among_many_is_found(value: float, size: int, dtype: torch.dtype) -> None:
    tensors = [torch.ones(3), torch.ones(size, dtype=dtype)]
    assert not any_bad(tensors, Processes())
    tensors[1][-1] = value
    assert any_bad(tensors, Processes())


def test_integers_and_nothing_are_finite() -> None:
    assert not any_bad([], Processes())
    assert not any_bad([torch.tensor([2**62]), torch.ones(0), torch.tensor(True)], Processes())


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.SGD])
def test_a_snapshot_undoes_steps_to_the_bit(kind: type) -> None:
    weight, average = torch.nn.Parameter(torch.ones(2)), torch.zeros(())
    optimizer = kind([weight], lr=0.1)

    def step() -> list[torch.Tensor]:
        weight.grad = weight.detach().clone()
        optimizer.step()
        average.add_(1)
        return [value.detach().clone() for value in (*weights(optimizer), average)]

    step()
    snapshot = Snapshot([average], optimizer)
    first = step()
    optimizer.param_groups[0]["lr"] = 7.0
    snapshot.restore()
    assert average == 1
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert all(torch.equal(a, b) for a, b in zip(first, step(), strict=True))


def test_a_snapshot_before_the_first_step_forgets_the_state() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([weight])
    snapshot = Snapshot([], optimizer)
    weight.grad = torch.ones(2)
    optimizer.step()
    snapshot.restore()
    assert torch.equal(weight, torch.ones(2))
    assert not optimizer.state


def test_numbers_are_read_in_the_widest_type() -> None:
    third = torch.tensor(1 / 3, dtype=torch.float64)
    assert read([third, torch.tensor(2), torch.tensor(0.5)]) == [1 / 3, 2.0, 0.5]
