from dataclasses import dataclass

import pytest
import torch

from hosts import CallsTwice, Keywords, Nests, ReturnsNothing, loader
from mine_lightning.monitor import list_taps
from mine_lightning.monitor.listing import tensors

BATCH = next(iter(loader(shuffle=False)))


@pytest.mark.parametrize(
    ("host", "taps"),
    [
        (
            ReturnsNothing,
            {"batch[0]": (8, 4), "generator:input": (8, 3), "generator:output": (8, 4)},
        ),
        (CallsTwice, {"generator:output@1": (8, 4), "discriminator:input@2": (8, 4)}),
        (Keywords, {"net_g:input[0]": (8, 4), "net_g:input[speaker]": (8, 3)}),
        (Nests, {"model:output[1][0][z]": (8, 3), "outputs[z]": (8, 3), "outputs[loss]": ()}),
    ],
)
def test_every_tensor_of_a_step_is_listed_with_its_shape(host, taps):
    found = {tap: shape for tap, shape, _ in list_taps(host(), BATCH)}
    assert taps.items() <= found.items()


def test_the_model_and_the_random_streams_stay_as_they_are():
    host = ReturnsNothing()
    before = {name: value.clone() for name, value in host.state_dict().items()}
    stream = torch.get_rng_state()
    list_taps(host, BATCH)
    assert torch.equal(stream, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in host.state_dict().items())
    assert not any(module._forward_hooks for module in host.modules())


def test_as_text_it_is_a_table():
    lines = str(list_taps(ReturnsNothing(), BATCH)).splitlines()
    assert lines[0].split() == ["batch[0]", "8x4", "float32"]
    assert lines[1].split() == ["batch[1]", "8", "int64"]


def test_nested_values_and_dataclasses_are_walked_through():
    @dataclass
    class Batch:
        image: torch.Tensor
        name: str

    nested = {"a": [Batch(torch.ones(2), "b"), None], "c": torch.ones(3)}
    assert [path for path, _ in tensors("batch", nested)] == ["batch[a][0][image]", "batch[c]"]
