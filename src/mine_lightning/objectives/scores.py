"""Scores of pairs: their shapes, how they are split, and what is summed over them.

Throughout, ``joint`` holds the scores of N pairs drawn together, shape ``(N,)``, and ``marginal``
those of pairs drawn apart, with one partner, shape ``(N,)``, or K partners, shape ``(N, K)``, for
each row.
"""

import math

import torch
from torch import Tensor

__all__ = [
    "all_pairs",
    "candidates",
    "check_scores",
    "log_mean_exp",
    "log_sum_without",
    "other_rows",
    "split_pairs",
    "split_partners",
    "widen",
]


def widen(scores: Tensor) -> Tensor:
    """Return half-precision scores as float32, others unchanged: exponentials need the range."""
    return scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores


def check_scores(joint: Tensor, marginal: Tensor) -> tuple[Tensor, Tensor]:
    """Check the scores' shapes once, at the door, and widen half precision to float32.

    Args:
        joint: Scores of pairs drawn together, shape ``(N,)``.
        marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.

    Returns:
        Both, in float32 or wider.

    Raises:
        ValueError: If a shape is another one. Broadcasting ``(N, 1)`` against ``(N,)`` would give
            ``(N, N)`` and a wrong estimate without an error.
    """
    if joint.ndim != 1 or len(joint) == 0:
        raise ValueError(
            f"Expected `joint` to hold one score for each pair, shape (N,) with N >= 1, "
            f"got {tuple(joint.shape)}. A critic that returns (N, 1) needs `.squeeze(-1)`."
        )
    if marginal.ndim not in (1, 2) or len(marginal) != len(joint) or marginal.numel() == 0:
        raise ValueError(
            f"Expected `marginal` to have shape (N,) or (N, K) with N = {len(joint)} as `joint`, "
            f"got {tuple(marginal.shape)}."
        )
    if not (joint.is_floating_point() and marginal.is_floating_point()):
        raise ValueError(
            f"Expected `joint` and `marginal` to be floating point scores, "
            f"got {joint.dtype} and {marginal.dtype}."
        )
    return widen(joint), widen(marginal)


def log_mean_exp(scores: Tensor, dim: int | tuple[int, ...] | None = None) -> Tensor:
    r"""Compute :math:`\ln \frac{1}{n} \sum_i e^{t_i}` without overflow.

    Args:
        scores: Tensor of scores, any shape; half precision is widened to float32.
        dim: Dimension or dimensions to reduce; all of them by default.

    Returns:
        The reduced tensor, in nats.

    Example:
        >>> log_mean_exp(torch.tensor([1000.0, 1000.0]))
        tensor(1000.)
    """
    scores = widen(scores)
    dims = tuple(range(scores.ndim)) if dim is None else (dim,) if isinstance(dim, int) else dim
    count = math.prod([scores.shape[d] for d in dims])
    return torch.logsumexp(scores, dims) - math.log(count)


def log_sum_without(scores: Tensor) -> Tensor:
    """Return for every score the log-sum-exp of its row without it, shape ``(N, C)``.

    Subtracting from the row's sum would cancel for a row's largest score: its sum is taken apart.
    """
    largest = torch.zeros_like(scores, dtype=torch.bool)
    largest = largest.scatter(1, scores.argmax(1, keepdim=True), True)
    total = scores.logsumexp(1, keepdim=True)
    share = (scores - total).masked_fill(largest, -1.0)  # others have at most half: no cancellation
    rest = scores.masked_fill(largest, -math.inf).logsumexp(1, keepdim=True)
    return torch.where(largest, rest, total + torch.log1p(-share.exp()))


def candidates(joint: Tensor, marginal: Tensor, include_positive: bool = True) -> Tensor:
    """Return the scores among which a row chooses: ``(N, 1 + K)``, the positive first."""
    return torch.cat((joint.unsqueeze(1), marginal), dim=1) if include_positive else marginal


def all_pairs(joint: Tensor, marginal: Tensor) -> Tensor:
    """Rebuild the scores of all pairs of a batch from its diagonal and the rest.

    Args:
        joint: The diagonal, shape ``(N,)``.
        marginal: The rest row by row, shape ``(N, N - 1)``.

    Returns:
        ``scores[i, j]`` of the i-th x with the j-th z, shape ``(N, N)``.

    Raises:
        ValueError: If ``marginal`` has another shape.

    Example:
        >>> all_pairs(torch.tensor([0.0, 4.0, 8.0]), torch.tensor([[1.0, 2], [3, 5], [6, 7]]))
        tensor([[0., 1., 2.],
                [3., 4., 5.],
                [6., 7., 8.]])
    """
    rows = len(joint)
    if rows < 2 or marginal.shape != (rows, rows - 1):
        raise ValueError(
            f"Expected `marginal` to hold the scores of all other pairs of the batch, shape "
            f"(N, N - 1) with N = {rows} >= 2 as `joint`, got {tuple(marginal.shape)}. "
            f"Score all pairs: `all_pairs=True`."
        )
    below = torch.cat((marginal.reshape(rows - 1, rows), joint[1:].unsqueeze(1)), dim=1)
    return torch.cat((joint[:1], below.flatten())).view(rows, rows)


def split_pairs(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Split the scores of all pairs of a batch into its diagonal and the rest.

    Args:
        scores: ``scores[..., i, j]`` of the i-th x with the j-th z, shape ``(*, N, N)``.

    Returns:
        The joint scores, shape ``(*, N)``, and the marginal ones row by row, shape
        ``(*, N, N - 1)``.

    Raises:
        ValueError: If ``scores`` is not square or has fewer than 2 rows.

    Example:
        >>> split_pairs(torch.arange(9.0).view(3, 3))
        (tensor([0., 4., 8.]), tensor([[1., 2.],
                [3., 5.],
                [6., 7.]]))
    """
    rows = scores.shape[-1] if scores.ndim else 0
    if rows < 2 or scores.shape[-2:] != (rows, rows):
        raise ValueError(
            f"Expected `scores` to hold all pairs of at least 2 rows, shape (N, N), "
            f"got {tuple(scores.shape)}."
        )
    rest = scores.flatten(-2)[..., 1:].unflatten(-1, (rows - 1, rows + 1))[..., :-1]
    rest = rest.flatten(-2).unflatten(-1, (rows, rows - 1))
    return scores.diagonal(dim1=-2, dim2=-1), rest


def split_partners(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Split the scores of every x with its own z and with K partners.

    Args:
        scores: The own z first, shape ``(*, 1 + K, N)``.

    Returns:
        The joint scores, shape ``(*, N)``, and the marginal ones, shape ``(*, N, K)``.

    Example:
        >>> split_partners(torch.tensor([[0.0, 1.0], [2.0, 3.0]]))
        (tensor([0., 1.]), tensor([[2.],
                [3.]]))
    """
    if scores.shape[-2] == 2:
        joint, marginal = scores.unbind(-2)
        return joint, marginal.unsqueeze(-1)
    joint, marginal = scores.split((1, scores.shape[-2] - 1), dim=-2)
    return joint.squeeze(-2), marginal.mT


def other_rows(joint: Tensor, marginal: Tensor) -> Tensor:
    """Return the scores of each z with the x of all other rows, shape ``(N, N - 1)``."""
    return split_pairs(all_pairs(joint, marginal).t())[1]
