"""One call, one number with its uncertainty."""

from typing import Any

from mine_lightning.data.checks import Missing
from mine_lightning.data.transforms import TransformLike
from mine_lightning.estimate.arguments import TrainingArguments
from mine_lightning.estimate.results import MutualInformationEstimate
from mine_lightning.estimate.splits import Splitter
from mine_lightning.estimate.together import estimate_together
from mine_lightning.support.keywords import Unpack, check_keywords

__all__ = ["estimate_mutual_information"]


def estimate_mutual_information(
    x: Any,
    z: Any,
    *,
    folds: int | Splitter = 5,
    groups: Any = None,
    blocks: int | None = None,
    seed: int = 0,
    missing: Missing = "raise",
    x_transform: TransformLike | None = None,
    z_transform: TransformLike | None = None,
    **training: Unpack[TrainingArguments],
) -> MutualInformationEstimate:
    r"""Estimate the mutual information of two variables from a sample.

    .. math:: I(X; Z) = \mathbb{E}\Bigl[\ln \frac{p(x, z)}{p(x) p(z)}\Bigr]

    Each fold's critic is trained on the rows of the other folds, all of them in one
    ``Trainer.fit``: a closed-form log ratio, which validation rows choose among those of
    :mod:`mine_lightning.estimate.ratios`, plus a network, by the logistic loss. Every row is scored
    by the critic that has not seen it. The estimate is the mean of the held-out value and of the
    same value on training rows: the first is biased low, the second high.

    Where a variable takes few values, such as a label, scores are normalised over all of them:
    the value is the entropy of the label less the cross-entropy of a classifier.

    The rows of a DataModule of pairs are estimated by
    ``estimate_mutual_information(*data.load())``, say of a
    :class:`~mine_lightning.data.tables.TableDataModule`.

    Nothing depends on the units of the columns, and the same input and seed give the same number
    on the same machine.

    References:
        Belghazi et al., "MINE", 2018; Chernozhukov et al., "Double/debiased machine learning",
        2018 (cross-fitting); Song and Ermon, 2020 (bounded ratios).

    Args:
        x: Array, tensor, or data frame or column of any library, shape ``(N,)`` or ``(N, ...)``;
            see :func:`~mine_lightning.data.checks.as_rows`. Text, categories and one-dimensional
            integers of at most 20 values are labels; images are flattened.
        z: Likewise.
        folds: Number of folds, or a splitter of scikit-learn that holds every row out once.
        groups: The group of each row, shape ``(N,)``, where rows of a group depend on each other,
            such as those of one patient: a group is held out as a whole, and the standard error
            takes its rows together.
        blocks: Length of blocks of neighbouring rows that are such groups, for rows in time; longer
            than rows resemble each other.
        seed: Seed of the folds, the critics' weights, the order and the partners.
        missing: What to do with rows that have missing or infinite values: "raise" an error, or
            "drop" them and say in a warning how many they were.
        x_transform: Invertible transform of x, fitted on training rows: "rank" (the default),
            "standardize", "identity", a :class:`~mine_lightning.data.transforms.Transform` or a
            transformer of scikit-learn.
        z_transform: Invertible transform of z, likewise.
        training: How the critics are trained, by keyword.

            ``max_epochs``: largest number of epochs; by default 250,000 / N, at least 25, at most
            80, and up to three times as many while most critics improve steadily.

            ``max_rows``: number of rows, 100,000 by default, beyond which a random part of them
            trains the critics, to bound the time; all rows are scored.

            ``progress_bar``: whether to show Lightning's progress bar.

            ``trainer``: a Trainer to use as it is, in place of ``max_epochs`` and what follows.

            Every other argument of :class:`lightning.pytorch.Trainer`: loggers, callbacks, devices
            and so on. ``max_time`` covers all of the call: training ends in time for the scores.
            With ``strategy="ddp"`` all processes compute the same number.

    Returns:
        The estimate with its interval, diagnostics and pointwise values.

    Raises:
        TypeError: If there is no argument of a name given.
        ValueError: If the arrays are not pairs of finite numbers or categories that vary, there
            are too few rows, or an argument is out of range.

    Example:
        >>> import torch
        >>> x, noise = torch.randn(2, 500, 1, generator=torch.Generator().manual_seed(0))
        >>> result = estimate_mutual_information(x, 0.8 * x + 0.6 * noise, progress_bar=False)
        >>> abs(result.nats - 0.5108) < 0.15
        True
    """
    check_keywords(estimate_mutual_information, training)
    (result,) = estimate_together(
        [(x, z)],
        folds=folds,
        groups=groups,
        blocks=blocks,
        seed=seed,
        missing=missing,
        x_transform=x_transform,
        z_transform=z_transform,
        **training,
    )
    return result
