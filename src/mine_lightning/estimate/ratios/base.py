"""What a closed-form log density ratio is, and the loss by which one is preferred to another."""

import math
from collections.abc import Mapping
from typing import Generic, NamedTuple, Self, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from mine_lightning.estimate.features import Described
from mine_lightning.estimate.ratios.samples import PerSample
from mine_lightning.estimate.readout import TILT

__all__ = [
    "LARGE",
    "MOST_APART",
    "PARTNERS",
    "Fit",
    "Independence",
    "LogRatio",
    "least",
    "log_partition",
    "logistic_losses",
    "ranks",
]

Tried = TypeVar("Tried")

PARTNERS = 100
# Of larger ratios the logistic loss hardly says how large they are, nor does the read-out correct
# them. The numbers below it are judgement: on the 21 distributions of `benchmarks/kinds.py` above
# 1.7 nats with 1,000 rows or more, they change two forms, and no form that is chosen.
LARGE = TILT
LEAST_APART, MOST_APART = 100, 1_000  # rows that are scored all with all
CERTAIN = 2.0  # standard errors


class LogRatio(PerSample):
    r"""Base of the closed forms of :math:`\ln p(x, z) / (p(x) p(z))`.

    Each is fitted on training rows, ``fit``, and may choose how much of itself it uses on
    validation rows, ``confirm``. A row is encoded once, by its own side alone, and encoded rows are
    scored in pairs or all against all, so that a row with many partners is cheap.

    S samples of as many rows and columns, such as those of all folds, are fitted at once: what is
    learned has a first dimension of S, until :meth:`fit_each` takes it apart. In the shapes below,
    ``*`` stands for S or for nothing.

    No sample of N rows excludes that one in N of them does not follow the closed form: with T its
    log ratio, the score is that of a mixture with independence,

    .. math:: \ln\bigl((1 - 1/N) e^T + 1/N\bigr) \ge -\ln N

    A new one defines :meth:`fit`, :meth:`encode_x`, :meth:`encode_z` and :meth:`pairwise`, perhaps
    a cheaper :meth:`crosswise`, and is added to the list
    :data:`~mine_lightning.estimate.ratios.FAMILY`.
    """

    rows: int
    correlations = torch.zeros(0)  # of the columns that `paired` returns

    @classmethod
    def suits(cls, x: Described, z: Described) -> bool:
        """Whether there are columns and training rows enough for it."""
        return True

    @classmethod
    def fit_each(
        cls, x: Described, z: Described, x_val: Described, z_val: Described
    ) -> "list[Fit[Self]]":
        """Fit on the training rows of S samples, and confirm on their validation rows."""
        ratio = cls().fit(x, z)
        losses = ratio.code_losses(*ratio.confirm(ratio.encode_x(x_val), ratio.encode_z(z_val)))
        return [Fit(ratio, place, len(losses), loss) for place, loss in enumerate(losses)]

    def fit(self, x: Described, z: Described) -> Self:
        """Fit on the training rows of S samples, ``(S, N, D)``, and return the closed form."""
        self.rows = x.coordinates.shape[-2]
        return self

    def confirm(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Choose, on encoded validation rows, how much of what was fitted is used.

        Returns:
            The rows as they are encoded then.
        """
        return a, b

    def trimmed(self) -> Self:
        """Leave out what is not used, of one sample."""
        return self

    def encode_x(self, x: Described) -> Tensor:
        """Return what the scores depend on of rows of x, shape ``(*, M, R)``, float64."""
        raise NotImplementedError

    def encode_z(self, z: Described) -> Tensor:
        """Return what the scores depend on of rows of z, likewise."""
        raise NotImplementedError

    def pairwise(self, a: Tensor, b: Tensor) -> Tensor:
        """Return T of encoded rows, shape ``(*, ...)``, in nats.

        Args:
            a: Encoded rows of x, shape ``(*, ..., R)``; the dimensions between broadcast.
            b: Encoded rows of z, likewise.
        """
        raise NotImplementedError

    def crosswise(self, a: Tensor, b: Tensor) -> Tensor:
        """Return T of all N encoded rows of x with all M encoded rows of z, ``(*, N, M)``."""
        return self.pairwise(a.unsqueeze(-2), b.unsqueeze(-3))

    def paired(self, code: Tensor) -> Tensor:
        """Return the columns of encoded rows that depend in pairs, the strongest first, if any."""
        return code[..., :0]

    def score(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the scores of encoded rows; arguments and shape as of :meth:`pairwise`."""
        return self._doubted(self.pairwise(a, b))

    def log_ratio(self, x: Described, z: Described) -> Tensor:
        """Return the scores of pairs of rows, shape ``(M,)``, in nats."""
        return self.score(self.encode_x(x), self.encode_z(z))

    def losses(self, x: Described, z: Described) -> Tensor:
        """Return the logistic loss of each row, ``(*, M)``, see :func:`logistic_losses`."""
        return self.code_losses(self.encode_x(x), self.encode_z(z))

    def code_losses(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the logistic loss of each encoded row, ``(*, M)``."""
        few = b[..., : self.partners(a), :]
        return logistic_losses(self.pairwise(a, b), self.crosswise(a, few))

    def partners(self, a: Tensor) -> int:
        """Return the number of partners that the losses of encoded rows are computed with."""
        return PARTNERS

    def _doubted(self, scores: Tensor) -> Tensor:
        least = scores.new_full((), -math.log(self.rows))
        return torch.logaddexp(scores + math.log1p(-1 / self.rows), least)


Kind = TypeVar("Kind", bound=LogRatio)


class Fit(NamedTuple, Generic[Kind]):
    """A closed form as fitted to one of several samples.

    Attributes:
        of_all: The closed form of S samples.
        place: The sample's place among them.
        samples: The number S.
        losses: The logistic losses of the sample's validation rows, shape ``(n,)``.
    """

    of_all: Kind
    place: int
    samples: int
    losses: Tensor

    @property
    def ratio(self) -> Kind:
        """The closed form of the sample, taken out."""
        return self.of_all.of_sample(self.place, self.samples).trimmed()


class Independence(LogRatio):
    """No dependence: a ratio of 1 everywhere. What any other closed form has to beat."""

    def encode_x(self, x: Described) -> Tensor:
        return x.coordinates[..., :0]

    def encode_z(self, z: Described) -> Tensor:
        return z.coordinates[..., :0]

    def pairwise(self, a: Tensor, b: Tensor) -> Tensor:
        return (a + b).sum(-1)


def logistic_losses(joint: Tensor, table: Tensor) -> Tensor:
    r"""Compute the logistic loss of each row with partners that are the first rows.

    .. math:: \ln(1 + e^{-T(x_i, z_i)}) + \frac{1}{K} \sum_j \ln(1 + e^{T(x_i, z_j)})

    A proper score of the ratio: whatever the marginals are, its expectation is least where T is the
    log ratio. Only values in float64 tell large ratios apart.

    Args:
        joint: Scores of pairs drawn together, shape ``(*, N)``, float64.
        table: Scores of the rows of x with the first K rows of z, shape ``(*, N, K)``, float64.

    Returns:
        Shape ``(*, N)``; :math:`2 \ln 2` each where all scores are 0.

    Example:
        >>> logistic_losses(torch.zeros(3), torch.zeros(3, 2))
        tensor([1.3863, 1.3863, 1.3863])
    """
    losses, count = F.softplus(table.float()), min(table.shape[-2:])  # sums, to a millionth
    losses.diagonal(dim1=-2, dim2=-1).zero_()
    others = torch.full_like(joint, table.shape[-1])
    others[..., :count] -= 1
    return F.softplus(-joint) + losses.sum(-1) / others.clamp(min=1)


def log_partition(table: Tensor) -> float:
    r"""Return the logarithm of a ratio's mean over pairs drawn apart, where it is clearly above 0.

    .. math:: \ln Z = \ln \frac{1}{N (N - 1)} \sum_{i \ne j} e^{T(x_i, z_j)}

    It is 0 for the log ratio itself. A form that counts the same thing twice, such as one of many
    functions of the same few variables, has more. Clear are two standard errors, those of the means
    of rows and of columns; fewer than 100 rows tell nothing.

    Args:
        table: Scores T of all rows of x with all rows of z, shape ``(N, N)``, own pairs on the
            diagonal.

    Example:
        >>> round(log_partition(torch.full((100, 100), 0.5)), 3)
        0.5
    """
    if (count := len(table)) < LEAST_APART:
        return 0.0
    apart = table.clone().fill_diagonal_(-math.inf)
    total = apart.flatten().logsumexp(0)
    shares = (apart - total).exp()
    error = math.sqrt(sum(count * shares.sum(side).var().item() for side in (0, 1)))
    found = total.item() - math.log(count * (count - 1))
    return found if found > CERTAIN * error else 0.0


def least(losses: Mapping[Tried, Tensor]) -> tuple[list[Tried], Tensor]:
    """Return what was tried, and the place of the first with the least loss in each sample.

    Args:
        losses: Losses of the samples, shape ``(*,)``, of what was tried.

    Example:
        >>> least({"a": torch.tensor([0.5, 0.0]), "b": torch.tensor([0.25, 0.0])})
        (['a', 'b'], tensor([1, 0]))
    """
    return list(losses), torch.stack(list(losses.values())).argmin(0)


def ranks(most: int) -> list[int]:
    """Return 0, 1, 2, 3, 4, 6, 8, 12, ... up to a number, and the number."""
    powers = [2**k for k in range(most.bit_length())]
    return sorted({0, most, *(n for p in powers for n in (p, 3 * p // 2) if n <= most)})
