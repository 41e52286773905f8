"""Conditional densities, which upper bounds take as critics."""

import math

import pytest
import torch
from torch.distributions import Normal

from mine_lightning.critics.densities import ConditionalCategorical, ConditionalGaussian, LazyHead
from mine_lightning.objectives import CLUB, DonskerVaradhan, LeaveOneOut
from mine_lightning.training.estimator import MutualInformationEstimator


def test_conditional_gaussian_is_the_log_density():
    torch.manual_seed(0)
    critic = ConditionalGaussian((8,))
    x, z = torch.randn(5, 3), torch.randn(5, 2)
    found = critic(x, z)
    mean, raw = critic.head(critic.encoder(x), 4).chunk(2, dim=-1)
    scale = (7 * torch.tanh(raw / 7)).exp()
    torch.testing.assert_close(found, Normal(mean, scale).log_prob(z).sum(-1))


def test_conditional_gaussian_can_be_as_narrow_as_a_correlation_of_0_999():
    critic = ConditionalGaussian((8,))
    critic(torch.zeros(1, 1), torch.zeros(1, 1))
    with torch.no_grad():
        critic.head.weight.zero_()
        critic.head.bias.copy_(torch.tensor([0.0, 7 * math.atanh(math.log(0.0447) / 7)]))
    found = critic(torch.zeros(1), torch.zeros(1)).item()
    assert found == pytest.approx(-math.log(0.0447) - math.log(2 * math.pi) / 2, rel=1e-4)


@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_conditional_gaussian_is_finite_for_extreme_inputs(scale):
    torch.manual_seed(0)
    critic = ConditionalGaussian((8,))
    found = critic(scale * torch.randn(5, 3), scale * torch.randn(5, 2))
    found.mean().backward()
    assert torch.isfinite(found).all()
    assert all(torch.isfinite(p.grad).all() for p in critic.parameters())


@pytest.mark.parametrize(
    ("critic", "z"),
    [
        (ConditionalGaussian((8,)), torch.randn(7, 2)),
        (ConditionalCategorical(4, (8,)), torch.randint(4, (7, 1))),
        (ConditionalCategorical(4, (8,)), torch.eye(4)[torch.randint(4, (7,))]),
    ],
)
def test_conditionals_broadcast(critic, z):
    torch.manual_seed(0)
    x = torch.randn(7, 3)
    pairs = critic(x.unsqueeze(1), z.unsqueeze(0))
    assert pairs.shape == (7, 7)
    torch.testing.assert_close(pairs.diagonal(), critic(x, z))
    torch.testing.assert_close(pairs[2, 5], critic(x[2], z[5]))


def test_all_forms_of_a_label_mean_the_same():
    torch.manual_seed(0)
    critic, x = ConditionalCategorical(4, (8,)), torch.randn(6, 3)
    codes = torch.tensor([0, 3, 1, 2, 3, 0])
    expected = critic(x, codes)
    one_hot = torch.nn.functional.one_hot(codes, 4)
    standardised = (one_hot - one_hot.float().mean(0)) / one_hot.float().std(0)
    for label in (codes.unsqueeze(1), codes.int(), one_hot, one_hot.float(), standardised):
        assert torch.equal(critic(x, label), expected)
    every = critic(x.unsqueeze(1), torch.arange(4).view(1, 4))
    torch.testing.assert_close(every.exp().sum(1), torch.ones(6))


@pytest.mark.parametrize(
    "label", [torch.zeros(6), torch.zeros(6, 1), torch.zeros(6, 3), torch.zeros(6, 3).long()]
)
def test_what_is_no_label_is_refused(label):
    critic = ConditionalCategorical(4, (8,))
    message = r"Expected `z` to hold integer codes, shape \(\*,\) or \(\*, 1\), or one column"
    with pytest.raises(ValueError, match=message):
        critic(torch.randn(6, 3), label)


@pytest.mark.parametrize("classes", [1, 0, -2, 2.5, True])
def test_too_few_classes_are_refused(classes):
    with pytest.raises(ValueError, match="Expected `classes` to be an integer of at least 2, got"):
        ConditionalCategorical(classes)


@pytest.mark.parametrize("make", [ConditionalGaussian, lambda h: ConditionalCategorical(3, h)])
def test_layers_are_checked(make):
    with pytest.raises(ValueError, match="Expected `hidden_features` to hold at least one width"):
        make(())
    with pytest.raises(ValueError, match="positive integers"):
        make((8, 0))


def test_conditionals_take_an_encoder():
    encoder = torch.nn.Sequential(torch.nn.Flatten(-2), torch.nn.Linear(16, 5))
    critic = ConditionalGaussian(encoder=encoder)
    assert critic(torch.randn(3, 4, 4), torch.randn(3, 2)).shape == (3,)


@pytest.mark.parametrize("make", [ConditionalGaussian, lambda: ConditionalCategorical(2)])
def test_a_fresh_conditional_loads_the_state_of_a_trained_one(make):
    torch.manual_seed(0)
    x, z = torch.randn(4, 3), torch.eye(2).repeat(2, 1)
    critic, copied = make(), make()
    expected = critic(x, z)
    copied.load_state_dict(critic.state_dict())
    assert torch.equal(copied(x, z), expected)


def test_the_lazy_head_starts_like_a_linear_layer():
    torch.manual_seed(0)
    head = LazyHead()
    assert head(torch.randn(2, 100), 3).shape == (2, 3)
    assert head.weight.abs().max() <= 0.1
    assert not head.bias.any()


@pytest.mark.parametrize("dtype", [torch.bfloat16])
def test_conditional_under_autocast_agrees_with_float32(dtype):
    torch.manual_seed(0)
    critic, x, z = ConditionalGaussian((8,)), torch.randn(64, 3), torch.randn(64, 2)
    full = critic(x, z)
    with torch.autocast("cpu", dtype=dtype):
        half = critic(x, z)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, rtol=0.02, atol=0.1)


@pytest.mark.parametrize("objective", [CLUB(), LeaveOneOut(), DonskerVaradhan()])
def test_estimator_scores_conditionals(objective):
    torch.manual_seed(0)
    x, z = torch.randn(2, 8, 2).unbind()
    model = MutualInformationEstimator(ConditionalGaussian((8,)), objective, all_pairs=True)
    batch = {"joint": (x, z), "marginal": z.roll(1, 0)}
    joint, marginal = model.scores(batch)
    assert joint.shape == (8,)
    assert marginal.shape == (8, 7)
    torch.testing.assert_close(model(batch), objective.estimate(joint, marginal))
    model.objective.loss(joint, marginal).backward()
