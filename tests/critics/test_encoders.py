import copy
import pickle

import jsonargparse
import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from mine_lightning.critics.encoders import ConvEncoder, EmbeddingEncoder, Encoder, SequenceEncoder
from mine_lightning.critics.networks import ConcatCritic, SeparableCritic, score_pairs
from parsing import instantiate


def images(*batch):
    return torch.randn(*batch, 2, 9, 8)


def series(*batch):
    return torch.randn(*batch, 6, 3)


def code(*batch):
    return torch.randint(5, batch)


def codes(*batch):
    return torch.stack((torch.randint(5, batch), torch.randint(3, batch)), dim=-1)


ENCODERS = {
    "conv": (lambda: ConvEncoder(8, channels=(3, 4)), images),
    "conv spectral": (lambda: ConvEncoder(8, channels=(3, 4), spectral_norm=True), images),
    "embedding": (lambda: EmbeddingEncoder(5, 8), code),
    "embeddings": (lambda: EmbeddingEncoder([5, 3], 4), codes),
    "sequence": (lambda: SequenceEncoder(8, (6, 5)), series),
    "sequence spectral": (lambda: SequenceEncoder(8, (6,), spectral_norm=True), series),
}


@pytest.fixture(params=ENCODERS)
def case(request):
    torch.manual_seed(0)
    return ENCODERS[request.param]


def test_batch_dimensions_broadcast(case):
    build, events = case
    encoder, x = build(), events(4, 3)
    features = encoder(x)
    assert features.shape == (4, 3, 8)
    torch.testing.assert_close(encoder(x[1]), features[1])
    torch.testing.assert_close(encoder(x[1, 2]), features[1, 2])


def test_gradient_reaches_every_parameter(case):
    build, events = case
    encoder = build()
    encoder(events(64)).square().sum().backward()
    for name, value in encoder.named_parameters():
        assert value.grad is not None, name
        assert value.grad.abs().sum() > 0, name


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
@pytest.mark.parametrize("materialized", [False, True])
def test_copies(case, duplicate, materialized):
    build, events = case
    encoder, x = build(), events(4)
    if materialized:
        encoder(x)
    other = duplicate(encoder)
    features = other(x)
    lazy = build()
    lazy.load_state_dict(other.state_dict())
    torch.testing.assert_close(lazy(x), features)


def test_double_precision(case):
    build, events = case
    x = events(4)
    x = x.double() if x.is_floating_point() else x
    assert build().double()(x).dtype == torch.float64


def test_ensemble_by_vmap(case):
    build, events = case
    members, x = [build() for _ in range(2)], events(4)
    alone = torch.stack([member(x) for member in members])
    parameters, buffers = stack_module_state(members)
    together = vmap(lambda state: functional_call(members[0], state, (x,)))(parameters | buffers)
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("critic", [SeparableCritic, ConcatCritic])
def test_in_a_critic(case, critic):
    build, events = case
    sizes = {"embedding_dim": 8} if critic is SeparableCritic else {"hidden_features": (4,)}
    both = critic(**sizes, x_encoder=build())
    x, z = events(5), torch.randn(5, 2)
    scores = score_pairs(both, x.unsqueeze(1), z.unsqueeze(0))
    assert scores.shape == (5, 5)
    torch.testing.assert_close(both(x, z), scores.diagonal())
    candidates = z.unsqueeze(1).expand(5, 3, 2)
    assert score_pairs(both, x.unsqueeze(1), candidates).shape == (5, 3)


def test_config_round_trip(case):
    build, events = case
    encoder = build()
    parser = jsonargparse.ArgumentParser()
    parser.add_subclass_arguments(Encoder, "encoder")
    again = instantiate(parser, parser.parse_object({"encoder": encoder.config()})).encoder
    assert again.config()["init_args"].items() >= encoder.config()["init_args"].items()
    assert again(events(4)).shape == (4, 8)


def test_own_network():
    network = nn.Sequential(nn.Flatten(), nn.LazyLinear(8))
    assert Encoder(network, event_dims=3)(images(4, 1)).shape == (4, 1, 8)


def test_columns_have_their_own_codes():
    encoder = EmbeddingEncoder([5, 3], 4)
    features = encoder(torch.tensor([[0, 0], [1, 0]]))
    torch.testing.assert_close(features[0, 4:], features[1, 4:])
    assert not torch.equal(features[0, :4], features[0, 4:])
    assert encoder.network.weight.shape == (8, 4)


def test_sequences_of_any_length_in_order():
    encoder, x = SequenceEncoder(8), series(4)
    forward, backward = encoder(x), encoder(x.flip(1))
    assert encoder(torch.cat((x, x), dim=1)).shape == forward.shape
    assert not torch.allclose(forward, backward)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ConvEncoder(0), "`out_features` to be an integer of at least 1, got 0"),
        (lambda: ConvEncoder(channels=()), "`channels` to hold at least one width, got none"),
        (lambda: ConvEncoder(channels=(4, -1)), "`channels` to hold positive integers"),
        (lambda: ConvEncoder(kernel_size=4), "`kernel_size` to be odd, got 4"),
        (lambda: ConvEncoder(activation="sine"), "`activation` to be one of .*'sine'"),
        (lambda: EmbeddingEncoder(0), r"`num_codes` to hold positive integers, got \[0\]"),
        (lambda: EmbeddingEncoder([3, 0]), "`num_codes` to hold positive integers"),
        (lambda: SequenceEncoder(hidden_features=()), "`hidden_features` to hold at least one"),
        (lambda: SequenceEncoder(-1), "`out_features` to be an integer of at least 1, got -1"),
        (lambda: Encoder(nn.Identity(), -1), "`event_dims` to be an integer of at least 0, got -1"),
        (lambda: ConvEncoder()(torch.randn(9, 9)), r"events of 3 dimensions, got shape \(9, 9\)"),
        (lambda: EmbeddingEncoder(5)(torch.randn(4)), "integer codes, got torch.float32"),
        (lambda: EmbeddingEncoder([5, 3])(code(4)), r"2 columns of codes, got shape \(4,\)"),
    ],
)
def test_errors(build, message):
    with pytest.raises(ValueError, match=message):
        build()
