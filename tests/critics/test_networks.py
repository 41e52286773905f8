import copy
import pickle

import jsonargparse
import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from mine_lightning.critics.encoders import EmbeddingEncoder, SequenceEncoder
from mine_lightning.critics.networks import (
    BilinearCritic,
    ConcatCritic,
    Critic,
    SeparableCritic,
    in_chunks,
    score_pairs,
)
from parsing import instantiate

CRITICS = {
    "bilinear": lambda: BilinearCritic(),
    "concat": lambda: ConcatCritic(hidden_features=(8, 6)),
    "concat one layer": lambda: ConcatCritic(hidden_features=(8,), activation="tanh"),
    "concat chunked": lambda: ConcatCritic(hidden_features=(8, 6), chunk_size=5),
    "concat spectral": lambda: ConcatCritic(hidden_features=(8, 6), spectral_norm=True),
    "concat encoded": lambda: ConcatCritic((8,), x_encoder=nn.LazyLinear(4)),
    "separable": lambda: SeparableCritic(embedding_dim=4, hidden_features=(8,)),
    "separable linear": lambda: SeparableCritic(embedding_dim=4, hidden_features=()),
    "separable spectral": lambda: SeparableCritic(hidden_features=(8,), spectral_norm=True),
    "separable encoded": lambda: SeparableCritic(4, (8,), z_encoder=nn.LazyLinear(4)),
}


@pytest.fixture(params=CRITICS)
def critic(request):
    torch.manual_seed(0)
    return CRITICS[request.param]()


@pytest.fixture
def pairs():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(7, 3, generator=generator), torch.randn(7, 2, generator=generator)


def test_shapes(critic, pairs):
    x, z = pairs
    assert critic(x, z).shape == (7,)
    assert critic(x[:, None], z[None]).shape == (7, 7)
    assert critic(x[0], z[0]).shape == ()
    assert critic(x[:, None], z.expand(4, 7, 2).transpose(0, 1)).shape == (7, 4)
    assert critic(x, z.expand(2, 3, 7, 2)).shape == (2, 3, 7)


def test_all_pairs_are_the_pairs_one_by_one(critic, pairs):
    x, z = pairs
    scores = critic(x[:, None], z[None])
    singles = torch.stack([torch.stack([critic(a, b) for b in z]) for a in x])
    torch.testing.assert_close(scores, singles)
    torch.testing.assert_close(scores.diagonal(), critic(x, z))
    torch.testing.assert_close(score_pairs(critic, x[:, None], z[None]), scores)


def test_gradient_reaches_inputs_and_parameters(critic, pairs):
    x, z = (v.requires_grad_() for v in pairs)
    critic(x[:, None], z[None]).square().sum().backward()
    *parameters, last = critic.named_parameters()
    for name, value in [*parameters, last, ("x", x), ("z", z)]:
        assert value.grad is not None, name
        assert value.grad.abs().sum() > 0, name


def test_double_precision(critic, pairs):
    critic = critic.double()
    scores = critic(*(v.double() for v in pairs))
    assert scores.dtype == torch.float64
    assert all(value.dtype == torch.float64 for value in critic.parameters())


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
@pytest.mark.parametrize("materialized", [False, True])
def test_copies(critic, pairs, duplicate, materialized):
    if materialized:
        critic(*pairs)
    other = duplicate(critic)
    scores = other(*pairs)
    other.load_state_dict(critic.state_dict()) if materialized else critic(*pairs)
    critic.load_state_dict(other.state_dict())
    torch.testing.assert_close(critic(*pairs), scores)
    next(other.parameters()).data.add_(1)
    assert not torch.equal(next(critic.parameters()), next(other.parameters()))


@pytest.mark.parametrize("name", CRITICS)
def test_state_dict_fits_a_lazy_critic(name, pairs):
    trained, lazy = CRITICS[name](), CRITICS[name]()
    scores = trained(*pairs)
    lazy.load_state_dict(trained.state_dict())
    torch.testing.assert_close(lazy(*pairs), scores)
    empty = CRITICS[name]()
    empty.load_state_dict(CRITICS[name]().state_dict())
    assert empty(*pairs).shape == (7,)


def test_evaluation_changes_nothing(critic, pairs):
    critic(*pairs)
    before = copy.deepcopy(critic.state_dict())
    critic.eval()(*pairs)
    for name, value in critic.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("name", [name for name in CRITICS if name != "concat chunked"])
def test_ensemble_by_vmap(name, pairs):
    x, z = pairs
    members = [CRITICS[name]() for _ in range(3)]
    for member in members:
        member(*pairs)
    parameters, buffers = stack_module_state(members)

    def scores(state):
        return functional_call(members[0], state, (x[:, None], z[None]))

    together = vmap(scores)(parameters | buffers)
    torch.testing.assert_close(together, torch.stack([m(x[:, None], z[None]) for m in members]))
    together.sum().backward()
    for member in members:
        member(x[:, None], z[None]).sum().backward()
    for key, value in parameters.items():
        alone = torch.stack([dict(member.named_parameters())[key].grad for member in members])
        torch.testing.assert_close(value.grad, alone)


def test_functional_call_differentiates_the_given_parameters(critic, pairs):
    critic(*pairs)
    state = {name: value.detach() * 1.5 for name, value in critic.named_parameters()}
    given = {name: value.clone().requires_grad_() for name, value in state.items()}
    functional_call(critic, given, pairs).sum().backward()
    critic.load_state_dict(state, strict=False)
    critic(*pairs).sum().backward()
    for name, value in critic.named_parameters():
        torch.testing.assert_close(given[name].grad, value.grad)


@pytest.mark.parametrize("name", ["bilinear", "concat", "separable"])
def test_torch_compile_traces_without_a_break(name, pairs):
    critic = CRITICS[name]()
    scores = critic(*pairs)
    compiled = torch.compile(critic, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(*pairs), scores)


@pytest.mark.parametrize("size", [1, 6, 35, 10**6])
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_chunks_agree_with_the_whole(size, spectral_norm):
    x, z = torch.randn(11, 1, 3).double(), torch.randn(1, 9, 2).double()
    whole = ConcatCritic((8, 8), spectral_norm=spectral_norm).double()
    whole(x, z)
    chunked = ConcatCritic((8, 8), spectral_norm=spectral_norm, chunk_size=size).double()
    chunked.load_state_dict(whole.state_dict())
    grads = []
    for critic in (whole, chunked):
        inputs = [v.clone().requires_grad_() for v in (x, z)]
        scores = critic(*inputs)
        value = scores.diagonal().mean() - scores.logsumexp(1).mean()
        grads.append([scores, *torch.autograd.grad(value, [*inputs, *critic.parameters()])])
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("a", "b"),
    [((6, 1), (1, 5)), ((6,), (6,)), ((), ()), ((1,), (6, 1)), ((2, 3, 1), (4,)), ((0, 1), (1, 5))],
)
def test_chunks_broadcast(a, b):
    x, z = torch.randn(*a, 2), torch.randn(*b, 2)
    calls = []

    def score(x, z):
        scores = (x * z).sum(-1)
        calls.append(scores.numel())
        return scores

    torch.testing.assert_close(in_chunks(score, x, z, 4), (x * z).sum(-1))
    assert max(calls) <= 4


def saved_bytes(critic, rows):
    """Return the bytes of the distinct tensors that autograd keeps for the backward pass."""
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    x, z = torch.randn(rows, 1, 3), torch.randn(1, rows, 2)
    critic(x, z)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        scores = critic(x, z)
    assert scores.shape == (rows, rows)
    return sum(kept.values())


def test_chunked_memory_is_linear_in_the_batch():
    chunked = ConcatCritic((32, 32), chunk_size=64)
    assert saved_bytes(chunked, 64) < 3 * saved_bytes(chunked, 32)
    assert saved_bytes(chunked, 64) < saved_bytes(ConcatCritic((32, 32)), 64) / 10


@pytest.mark.parametrize("size", [3, None])
def test_no_gradient_no_graph(size, pairs):
    with torch.no_grad():
        assert not ConcatCritic(chunk_size=size)(*pairs).requires_grad


def test_spectral_norm_bounds_the_slope():
    torch.manual_seed(0)
    critic = ConcatCritic((16, 16), spectral_norm=True)
    x, z = torch.randn(50, 3, requires_grad=True), torch.randn(50, 2)
    critic(x, z)
    for parameter in critic.parameters():
        parameter.data.mul_(50)
    (slope,) = torch.autograd.grad(critic(x, z).sum(), x)
    assert slope.norm(dim=1).max() <= 1.05


def test_the_first_layer_starts_as_that_of_a_network_on_the_concatenation(pairs):
    critic = ConcatCritic((1000,))
    critic(*pairs)
    bound = 5**-0.5
    for parameter in critic.first.parameters():
        assert 0.9 * bound < parameter.abs().max() <= bound


@pytest.mark.parametrize("rows", [(7,), (7, 1)], ids=["pairs", "all pairs"])
def test_the_concat_critic_refuses_sides_that_are_swapped(pairs, rows):
    critic = ConcatCritic((8,))
    critic(*pairs)
    x, z = pairs[0].view(*rows, 3), pairs[1]
    critic(x, z)
    with pytest.raises(ValueError, match="Expected `x` of 3 and `z` of 2 features, got 2 and 3"):
        critic(z.view(*rows, 2), pairs[0])


@pytest.mark.parametrize("name", CRITICS)
def test_config_round_trip(name, pairs):
    if "encoded" in name:
        pytest.skip("a plain module has no configuration")
    critic = CRITICS[name]()
    parser = jsonargparse.ArgumentParser()
    parser.add_subclass_arguments(Critic, "critic")
    again = instantiate(parser, parser.parse_object({"critic": critic.config()})).critic
    assert type(again) is type(critic)
    assert again.config()["init_args"].items() >= critic.config()["init_args"].items()
    assert again(*pairs).shape == (7,)


def test_config_nests_encoders():
    critic = SeparableCritic(
        16, x_encoder=EmbeddingEncoder([4, 2], 8), z_encoder=SequenceEncoder(16)
    )
    parser = jsonargparse.ArgumentParser()
    parser.add_subclass_arguments(Critic, "critic")
    again = instantiate(parser, parser.parse_object({"critic": critic.config()})).critic
    assert type(again.x_encoder) is EmbeddingEncoder
    assert type(again.z_encoder) is SequenceEncoder
    codes, series = torch.tensor([[3, 1], [0, 0]]), torch.randn(2, 5, 1)
    assert score_pairs(again, codes[:, None], series[None]).shape == (2, 2)


def test_config_refuses_a_plain_module():
    with pytest.raises(TypeError, match="a LazyLinear cannot be written"):
        SeparableCritic(x_encoder=nn.LazyLinear(32)).config()


class Plain(nn.Module):
    def __init__(self, squeeze):
        super().__init__()
        self.layer, self.squeeze = nn.Linear(5, 1), squeeze

    def forward(self, x, z):
        scores = self.layer(torch.cat((x, z), dim=1))
        return scores.squeeze(-1) if self.squeeze else scores


def test_plain_modules_are_called_with_plain_batches(pairs):
    x, z = pairs
    critic = Plain(squeeze=True)
    scores = score_pairs(critic, x[:, None], z[None])
    torch.testing.assert_close(scores[2], critic(x[2].expand(7, 3), z))
    assert score_pairs(critic, x[:, None], z.expand(7, 7, 2)).shape == (7, 7)


def test_scores_with_a_trailing_dimension_are_refused(pairs):
    x, z = pairs
    with pytest.raises(ValueError, match=r"shape \(49,\), got \(49, 1\).*squeeze"):
        score_pairs(Plain(squeeze=False), x[:, None], z[None])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ConcatCritic(()), "`hidden_features` to hold at least one width, got none"),
        (lambda: ConcatCritic((8, 0)), r"`hidden_features` to hold positive integers, got \(8, 0"),
        (lambda: ConcatCritic((8.0,)), "`hidden_features` to hold positive integers"),
        (lambda: ConcatCritic(activation="sine"), "`activation` to be one of elu, .*got 'sine'"),
        (lambda: ConcatCritic(chunk_size=0), "`chunk_size` to be an integer of at least 1, got 0"),
        (lambda: SeparableCritic(0), "`out_features` to be an integer of at least 1, got 0"),
        (lambda: SeparableCritic(hidden_features=(True,)), "`hidden_features` to hold positive"),
        (lambda: SeparableCritic(activation="Relu"), "`activation` to be one of"),
    ],
)
def test_errors(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_encoders_of_different_sizes(pairs):
    critic = SeparableCritic(4, x_encoder=nn.LazyLinear(3))
    with pytest.raises(ValueError, match="one size, got 3 for x and 4 for z"):
        critic(*pairs)


@pytest.mark.parametrize(
    ("x_shape", "z_shape"), [((1, 5), (4, 1)), ((1, 5), (1, 1)), ((1, 5), (4, 5)), ((5,), (4, 5))]
)
def test_a_concat_critic_scores_the_same_however_the_batch_broadcasts(x_shape, z_shape) -> None:
    critic = ConcatCritic((8,))
    x, z = torch.randn(*x_shape, 3), torch.randn(*z_shape, 2)
    critic(x[..., :1, :], z[..., :1, :])
    pairs = torch.broadcast_shapes(x_shape, z_shape)
    scores = critic(x, z)
    assert scores.shape == pairs
    for place in torch.cartesian_prod(*map(torch.arange, pairs)).tolist():
        alone = critic(x.expand(*pairs, 3)[tuple(place)], z.expand(*pairs, 2)[tuple(place)])
        torch.testing.assert_close(scores[tuple(place)], alone)
