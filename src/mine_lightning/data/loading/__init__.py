"""How rows become stacks of minibatches, on which device."""
