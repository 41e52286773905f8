"""Several minibatches in one item."""

import pytest
import torch

from minibatches import flat, training


@pytest.mark.parametrize("stack", [2, 3, 5, 7])
def test_a_stack_holds_the_same_minibatches_in_the_same_order(stack: int) -> None:
    stacked, plain = training(stack), training()
    assert len(stacked) == -(-5 // stack)
    for _ in range(2):
        batches = flat(stacked)
        assert [batch["joint"][0].shape for batch in batches] == [(8, 1)] * 5
        rows = torch.cat([batch["joint"][0] for batch in batches])
        assert torch.equal(rows, torch.cat([batch["joint"][0] for batch in flat(plain)]))
