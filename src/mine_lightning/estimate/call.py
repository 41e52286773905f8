"""One call, one number with its uncertainty."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from numpy.typing import NDArray
from torch import Tensor

from mine_lightning.callbacks.progress import with_bar
from mine_lightning.data.checks import Missing, Pairs, check_pairs
from mine_lightning.data.transforms import Transform, TransformLike, as_transform
from mine_lightning.estimate.arguments import Training, TrainingArguments
from mine_lightning.estimate.crossfit import CrossFitEstimator, FoldCritics
from mine_lightning.estimate.deadline import Deadline
from mine_lightning.estimate.dependence import design_effect, mean_variance, row_groups
from mine_lightning.estimate.diagnostics import Evidence, diagnose
from mine_lightning.estimate.folds import CrossFitDataModule, Levels
from mine_lightning.estimate.permutation import CROSS_FITTED, p_value
from mine_lightning.estimate.readings import Readings, read, scored_pairs
from mine_lightning.estimate.readout import TILT
from mine_lightning.estimate.results import MutualInformationEstimate
from mine_lightning.estimate.sample import Sample
from mine_lightning.estimate.splits import Splitter
from mine_lightning.estimate.uncertainty import Errors, Signs, standard_errors
from mine_lightning.support.ambient import own_settings
from mine_lightning.support.arguments import check_integer
from mine_lightning.support.config import as_plain
from mine_lightning.support.interrupts import interruptible
from mine_lightning.support.keywords import Unpack, check_keywords
from mine_lightning.support.remarks import without_remarks
from mine_lightning.support.upstream import spawns

__all__ = ["estimate_mutual_information"]

MOST_NAMED = 50
PACKAGES = ("mine-lightning", "torch", "lightning")


@own_settings()
@interruptible()
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
        >>> x, noise = torch.randn(2, 500, 1, generator=torch.Generator().manual_seed(0))
        >>> result = estimate_mutual_information(x, 0.8 * x + 0.6 * noise, progress_bar=False)
        >>> abs(result.nats - 0.5108) < 0.15
        True
    """
    start = time.perf_counter()
    check_keywords(estimate_mutual_information, training)
    check_integer("seed", seed, least=0)
    plan = Training.of(training)
    pairs = check_pairs(x, z, missing, labels=True)
    swapped = Levels.of(pairs.x) is not None and Levels.of(pairs.z) is None
    sides = [
        (pairs.x, as_transform("x_transform", x_transform)),
        (pairs.z, as_transform("z_transform", z_transform)),
    ]
    (a, a_transform), (b, b_transform) = reversed(sides) if swapped else sides
    given = row_groups(groups, blocks, pairs.given)
    kept = None if given is None else given[pairs.kept]
    data = CrossFitDataModule(a, b, folds, a_transform, b_transform, seed, kept, plan.max_rows)
    own = plan.trainer is None and plan.max_epochs is None
    usual = default_epochs(len(a)) if own else None
    with torch.random.fork_rng(devices=[]), without_remarks():
        trainer = plan.trainer or own_trainer(data, plan, usual)
        check_launcher(trainer)
        model = CrossFitEstimator(folds=len(data.folds.held), seed=seed, usual_epochs=usual)
        trainer.fit(model, datamodule=data)
    model.to(trainer.strategy.root_device)
    result = _result(pairs, data, model, swapped)
    return replace(result, seconds=time.perf_counter() - start)


def check_launcher(trainer: Trainer) -> None:
    """Raise if training would run in processes of its own, which bring back the weights alone."""
    if spawns(trainer):
        raise ValueError(
            "Expected a strategy whose processes run the whole program, such as 'ddp', got one "
            "that spawns or forks processes for the training alone."
        )


def default_epochs(rows: int) -> int:
    """Return the usual number of epochs for a sample of this size."""
    return min(80, max(25, 250_000 // rows))


def own_trainer(data: CrossFitDataModule, plan: Training, usual: int | None) -> Trainer:
    """Return a quiet Trainer whose time limit, if there is one, leaves time for the scores."""
    settings = dict(plan.settings)
    max_time = settings.pop("max_time", None)
    most = 3 * usual if usual else plan.max_epochs
    trainer = quiet_trainer(plan.progress_bar, max_epochs=most, **settings)
    if max_time is not None:
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        callbacks.append(Deadline(max_time, scored_pairs(data)))
    return trainer


def quiet_trainer(progress_bar: bool, **kwargs: Any) -> Trainer:
    """Return a Trainer that leaves no files behind and prints nothing but its progress bar."""
    settings = {
        "accelerator": "auto",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": progress_bar,
        "num_sanity_val_steps": 0,
    }
    if progress_bar and kwargs.get("enable_progress_bar", True):
        kwargs["callbacks"] = with_bar(kwargs.get("callbacks"), "folds trained together")
    return Trainer(**{**settings, **kwargs})


def _result(
    pairs: Pairs, data: CrossFitDataModule, model: CrossFitEstimator, swapped: bool
) -> MutualInformationEstimate:
    readings = read(model, data)
    order = torch.cat(data.folds.held)
    sample = Sample.of(pairs, data.groups, readings.discrete)
    effect = design_effect(readings.terms, None if data.groups is None else data.groups[order])
    closed_form = model.learning_curve[0].mean().item()
    errors = standard_errors(_signs(readings, sample, closed_form, effect), sample.functional)
    return MutualInformationEstimate(
        nats=readings.nats,
        standard_error=errors.both,
        errors=errors,
        held_out=readings.held_out,
        in_sample=readings.in_sample,
        lower_bound=readings.lower_bound,
        per_fold=tuple(readings.held.per_fold.tolist()),
        pointwise=_placed(readings.log_ratios, pairs.kept[order], pairs.given),
        terms=readings.terms[order.argsort()].numpy(),
        rows=len(pairs.x),
        folds=len(data.folds.held),
        learning_curve=torch.stack(model.learning_curve).double().numpy(),
        validation_loss=torch.stack(model.validation_losses).double().numpy(),
        p_value=p_value(readings.held.turned, data.seed, inflation=CROSS_FITTED * effect),
        diagnostics=diagnose(_evidence(sample, model, readings, errors)),
        seed=data.seed,
        seconds=0.0,
        settings={**_settings(data, model, swapped), **_columns(pairs)},
        versions={package: version(package) for package in PACKAGES},
        critics=FoldCritics(data.views, model.best, swapped).cpu(),
        **_plotted(pairs),
    )


def _signs(readings: Readings, sample: Sample, closed_form: float, effect: float) -> Signs:
    return Signs(
        nats=readings.nats,
        variance=effect * mean_variance(readings.terms),
        gap=readings.in_sample - readings.held_out,
        gain=readings.nats - closed_form,
        rows=len(readings.terms) / effect,
        columns=sample.columns,
    )


def _evidence(
    sample: Sample, model: CrossFitEstimator, readings: Readings, errors: Errors
) -> Evidence:
    return Evidence(
        nats=readings.nats,
        errors=errors,
        held_out=readings.held_out,
        in_sample=readings.in_sample,
        joint=torch.cat(readings.held.joint),
        marginal=torch.cat(readings.held.marginal),
        terms=readings.terms,
        tilt=math.inf if readings.discrete else TILT,
        epochs=len(model.learning_curve) - 1,
        best_epoch=model.best_epoch.cpu(),
        stopped=model.finished,
        sample=sample,
    )


def _placed(values: Tensor, places: Tensor, rows: int) -> NDArray[np.float64]:
    """Put values in their places among the rows of the input; nan elsewhere."""
    placed = np.full(rows, np.nan)
    placed[places.numpy()] = values.double().numpy()
    return placed


def _settings(data: CrossFitDataModule, model: CrossFitEstimator, swapped: bool) -> dict[str, Any]:
    transforms = [_plain(data.x_transform), _plain(data.z_transform)]
    x_transform, z_transform = reversed(transforms) if swapped else transforms
    return {
        "batch_size": data.batch_size,
        "groups": None if data.groups is None else len(data.groups.unique()),
        "closed_forms": [view.choice.name for view in data.views],
        "max_epochs": model.trainer.max_epochs,
        "x_transform": x_transform,
        "z_transform": z_transform,
    }


def _columns(pairs: Pairs) -> dict[str, list[str]]:
    """Name the columns, unless they are as many as the pixels of an image."""
    sides = {"x_columns": pairs.x_columns, "z_columns": pairs.z_columns}
    return {side: names for side, names in sides.items() if len(names) <= MOST_NAMED}


def _plain(transform: Transform | None) -> Any:
    return "mine_lightning.RankToNormal" if transform is None else as_plain(transform)


def _plotted(pairs: Pairs) -> dict[str, Any]:
    """Return the two columns, in the order of the input, where there is one on each side."""
    sides: Sequence[Tensor] = (pairs.x, pairs.z)
    if any(side[0].numel() != 1 for side in sides):
        return {}
    return {
        name: _placed(side.flatten(), pairs.kept, pairs.given)
        for name, side in zip(("x", "z"), sides, strict=True)
    }
