"""Scores of pairs: means of exponentials, and how they are split and rebuilt."""

import math

import pytest
import torch

from mine_lightning.objectives.scores import (
    all_pairs,
    candidates,
    check_scores,
    log_mean_exp,
    log_sum_without,
    other_rows,
    split_pairs,
    split_partners,
)


@pytest.mark.parametrize("dim", [None, 0, 1, (0, 1)])
def test_log_mean_exp_of_a_constant_is_the_constant(dim):
    result = log_mean_exp(torch.full((3, 4), 1e4), dim)
    torch.testing.assert_close(result, torch.full_like(result, 1e4))


def test_log_mean_exp_agrees_with_the_naive_form():
    scores = torch.randn(3, 4, dtype=torch.float64)
    torch.testing.assert_close(log_mean_exp(scores, 1), scores.exp().mean(1).log())


@pytest.mark.parametrize("rows", [2, 3, 8])
def test_all_pairs_undoes_the_split_into_diagonal_and_rest(rows):
    scores = torch.randn(rows, rows)
    rest = scores.flatten()[1:].view(rows - 1, rows + 1)[:, :-1].reshape(rows, rows - 1)
    assert torch.equal(all_pairs(scores.diagonal(), rest), scores)
    for place in range(rows):
        others = torch.cat((scores[:place, place], scores[place + 1 :, place]))
        assert torch.equal(other_rows(scores.diagonal(), rest)[place], others)


@pytest.mark.parametrize("shape", [(5,), (5, 5), (4, 5), (1, 0)])
def test_all_pairs_refuses_other_shapes(shape):
    message = r"Expected `marginal` to hold the scores of all other pairs of the batch, shape "
    with pytest.raises(ValueError, match=message):
        all_pairs(torch.zeros(shape[0]), torch.zeros(shape))


@pytest.mark.parametrize("scale", [1.0, 1e2, 1e4])
def test_sums_without_one_score_agree_with_leaving_it_out(scale):
    scores = scale * torch.randn(5, 6, dtype=torch.float64)
    expected = [
        torch.cat((scores[:, :k], scores[:, k + 1 :]), dim=1).logsumexp(1) for k in range(6)
    ]
    torch.testing.assert_close(log_sum_without(scores), torch.stack(expected, dim=1))


def test_sum_without_the_only_score_is_empty():
    scores = torch.zeros(2, 1, requires_grad=True)
    result = log_sum_without(candidates(torch.zeros(2), scores))
    result[:, 1].sum().backward()
    assert torch.equal(scores.grad, torch.zeros(2, 1))
    assert log_sum_without(torch.zeros(2, 1)).tolist() == [[-math.inf], [-math.inf]]


def test_all_pairs_are_split_and_rebuilt():
    scores = torch.randn(5, 5)
    joint, marginal = split_pairs(scores)
    assert torch.equal(joint, scores.diagonal())
    for row in range(5):
        assert torch.equal(marginal[row], torch.cat((scores[row, :row], scores[row, row + 1 :])))
    assert torch.equal(all_pairs(joint, marginal), scores)


@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (3,)])
def test_only_all_pairs_are_split(shape):
    with pytest.raises(ValueError, match=r"Expected `scores` to hold all pairs .*, got \("):
        split_pairs(torch.zeros(shape))


@pytest.mark.parametrize("partners", [1, 3])
def test_the_own_partner_comes_first(partners):
    scores = torch.randn(2, 1 + partners, 5)
    joint, marginal = split_partners(scores)
    assert torch.equal(joint, scores[:, 0])
    assert marginal.shape == (2, 5, partners)
    for place in range(partners):
        assert torch.equal(marginal[..., place], scores[:, 1 + place])


def test_half_precision_is_widened_and_columns_are_refused():
    scores = torch.full((4,), 100.0, dtype=torch.float16)
    assert log_mean_exp(scores).dtype == check_scores(scores, scores)[0].dtype == torch.float32
    with pytest.raises(ValueError, match=r"got \(4, 1\)\. A critic that returns \(N, 1\)"):
        check_scores(scores.unsqueeze(1), scores)


def test_candidates_are_the_positive_and_the_others():
    joint, marginal = torch.tensor([1.0, 2.0]), torch.tensor([[3.0], [4.0]])
    assert candidates(joint, marginal).tolist() == [[1, 3], [2, 4]]
    assert candidates(joint, marginal, include_positive=False) is marginal
