"""Estimates of several pairs of variables, whose critics are trained in one fit."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning.pytorch import Trainer
from numpy.typing import NDArray
from torch import Tensor

from mine_lightning.callbacks.progress import with_bar
from mine_lightning.data.checks import Missing, Pairs, check_pairs
from mine_lightning.data.loading.placement import moved
from mine_lightning.data.transforms import Transform, TransformLike, as_transform
from mine_lightning.estimate.arguments import Training, TrainingArguments
from mine_lightning.estimate.critics import FoldCritics
from mine_lightning.estimate.crossfit import CrossFitEstimator, FittedFolds
from mine_lightning.estimate.deadline import Deadline
from mine_lightning.estimate.dependence import design_effect, mean_variance, row_groups
from mine_lightning.estimate.diagnostics import Evidence, diagnose
from mine_lightning.estimate.folds import CrossFitData, Levels
from mine_lightning.estimate.minibatches import CrossFitDataModule
from mine_lightning.estimate.networks import FoldNetworks
from mine_lightning.estimate.permutation import CROSS_FITTED, p_value
from mine_lightning.estimate.readings import Readings, read, scored_pairs
from mine_lightning.estimate.readout import TILT
from mine_lightning.estimate.results import MutualInformationEstimate
from mine_lightning.estimate.sample import Sample
from mine_lightning.estimate.splits import Splitter
from mine_lightning.estimate.uncertainty import Errors, Signs, standard_errors
from mine_lightning.support.ambient import own_settings
from mine_lightning.support.arguments import check_integer
from mine_lightning.support.callbacks import callbacks_of
from mine_lightning.support.config import as_plain
from mine_lightning.support.interrupts import interruptible
from mine_lightning.support.keywords import Unpack
from mine_lightning.support.remarks import without_remarks
from mine_lightning.support.upstream import spawns

__all__ = ["estimate_together"]

MOST_NAMED = 50
CPU = torch.device("cpu")
PACKAGES = ("mine-lightning", "torch", "lightning")


class Pair(NamedTuple):
    """A pair of variables before training.

    Attributes:
        rows: The checked rows.
        data: What the critics see of them.
        swapped: Whether z stands in the place of x there.
    """

    rows: Pairs
    data: CrossFitData
    swapped: bool

    @classmethod
    def of(
        cls,
        rows: Pairs,
        transforms: tuple[Transform | None, Transform | None],
        folds: int | Splitter,
        seed: int,
        groups: Tensor | None,
        max_rows: int,
    ) -> "Pair":
        """Assign checked rows to folds; a side of few values stands last."""
        swapped = Levels.of(rows.x) is not None and Levels.of(rows.z) is None
        sides = list(zip((rows.x, rows.z), transforms, strict=True))
        (a, a_transform), (b, b_transform) = reversed(sides) if swapped else sides
        data = CrossFitData(a, b, folds, a_transform, b_transform, seed, groups, max_rows)
        return cls(rows, data, swapped)


@own_settings()
@interruptible()
def estimate_together(
    sides: Sequence[tuple[Any, Any]],
    *,
    folds: int | Splitter = 5,
    groups: Any = None,
    blocks: int | None = None,
    seed: int = 0,
    missing: Missing = "raise",
    x_transform: TransformLike | None = None,
    z_transform: TransformLike | None = None,
    **training: Unpack[TrainingArguments],
) -> list[MutualInformationEstimate]:
    """Return the estimate of each pair of variables.

    Pairs of as many rows are trained in one ``Trainer.fit``, as one ensemble with a critic for each
    fold of each pair. Critics do not feel each other: the numbers are those of pairs alone, to
    rounding.

    Args:
        sides: x and z of each pair, as for :func:`~mine_lightning.estimate_mutual_information`,
            which tells the other arguments.
    """
    start = time.perf_counter()
    check_integer("seed", seed, least=0)
    plan = Training.of(training)
    transforms = as_transform("x_transform", x_transform), as_transform("z_transform", z_transform)
    pairs = []
    for rows in [check_pairs(x, z, missing, labels=True) for x, z in sides]:
        given = row_groups(groups, blocks, rows.given)
        kept = None if given is None else given[rows.kept]
        pairs.append(Pair.of(rows, transforms, folds, seed, kept, plan.max_rows))
    found: dict[int, MutualInformationEstimate] = {}
    for places in _alike(pairs):
        found |= zip(places, _estimated([pairs[place] for place in places], plan), strict=True)
    seconds = (time.perf_counter() - start) / len(sides)
    return [replace(found[place], seconds=seconds) for place in range(len(sides))]


def _alike(pairs: Sequence[Pair]) -> list[list[int]]:
    """Return the places of pairs that can be trained together."""
    places: dict[Any, list[int]] = {}
    for place, pair in enumerate(pairs):
        places.setdefault((pair.data.shape, pair.data.warped), []).append(place)
    return list(places.values())


def _estimated(pairs: Sequence[Pair], plan: Training) -> Iterator[MutualInformationEstimate]:
    """Train the critics of some pairs, and yield the estimate of each."""
    data = CrossFitDataModule([pair.data for pair in pairs])
    model = _trained(data, plan)
    for place, pair in enumerate(pairs):
        yield _result(pair, model.fitted(place), model)


def _trained(data: CrossFitDataModule, plan: Training) -> CrossFitEstimator:
    first = data.pairs[0]
    own = plan.trainer is None and plan.max_epochs is None
    usual = default_epochs(len(first.x)) if own else None
    with torch.random.fork_rng(devices=[]), without_remarks():
        trainer = plan.trainer or own_trainer(data, plan, usual)
        check_launcher(trainer)
        patient = None if usual is None else max(usual, trainer.fit_loop.min_epochs or 0)
        watched = bool(plan.trainer or callbacks_of(trainer) or trainer.loggers)
        folds, pairs = len(first.folds.held), len(data.pairs)
        model = CrossFitEstimator(folds, pairs, patient, first.seed, watched)
        trainer.fit(model, datamodule=data)
    model.to(trainer.strategy.root_device)
    return model


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
        pairs = fmean(map(scored_pairs, data.pairs))
        callbacks_of(trainer).append(Deadline(max_time, pairs, lambda: describing(data.pairs)))
    return trainer


def describing(pairs: Sequence[CrossFitData]) -> float:
    """Return about how many seconds it takes to describe the rows that are scored."""
    return sum(pair.seconds for pair in pairs)


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


def _result(pair: Pair, fitted: FittedFolds, model: CrossFitEstimator) -> MutualInformationEstimate:
    rows, data, swapped = pair
    readings = read(model, fitted, data)
    order = torch.cat(data.folds.held)
    sample = Sample.of(rows, data.groups, readings.discrete)
    effect = design_effect(readings.terms, None if data.groups is None else data.groups[order])
    errors = standard_errors(_signs(readings, sample, effect), sample.functional)
    return MutualInformationEstimate(
        nats=readings.nats,
        standard_error=errors.both,
        errors=errors,
        held_out=readings.held_out,
        in_sample=readings.in_sample,
        lower_bound=readings.lower_bound,
        per_fold=tuple(readings.held.per_fold.tolist()),
        pointwise=_placed(readings.log_ratios, rows.kept[order], rows.given),
        terms=readings.terms[order.argsort()].numpy(),
        rows=len(rows.x),
        folds=len(data.folds.held),
        learning_curve=fitted.learning_curve.double().numpy(),
        validation_loss=fitted.validation_loss.double().numpy(),
        p_value=p_value(readings.held.turned, data.seed, inflation=CROSS_FITTED * effect),
        diagnostics=diagnose(_evidence(sample, fitted, readings, errors)),
        seed=data.seed,
        seconds=0.0,
        settings={**_settings(model, data, swapped), **_columns(rows)},
        versions=dict(_versions()),
        critics=_critics(data, fitted.best, swapped),
        **_plotted(rows),
    )


def _signs(readings: Readings, sample: Sample, effect: float) -> Signs:
    return Signs(
        nats=readings.nats,
        variance=effect * mean_variance(readings.terms),
        gap=readings.optimism,
        rows=len(readings.terms) / effect,
        columns=sample.columns,
    )


def _evidence(sample: Sample, fitted: FittedFolds, readings: Readings, errors: Errors) -> Evidence:
    return Evidence(
        nats=readings.nats,
        errors=errors,
        held_out=readings.held_out,
        in_sample=readings.in_sample,
        joint=torch.cat(readings.held.joint),
        pairs=readings.held.pairs,
        terms=readings.terms,
        tilt=math.inf if readings.discrete else TILT,
        epochs=len(fitted.learning_curve) - 1,
        best_epoch=fitted.best_epoch,
        stopped=fitted.finished,
        sample=sample,
    )


def _placed(values: Tensor, places: Tensor, rows: int) -> NDArray[np.float64]:
    """Put values in their places among the rows of the input; nan elsewhere."""
    placed = np.full(rows, np.nan)
    placed[places.numpy()] = values.double().numpy()
    return placed


@cache
def _versions() -> dict[str, str]:
    """Return the versions of the packages, which are read from files."""
    return {package: version(package) for package in PACKAGES}


def _critics(data: CrossFitData, networks: FoldNetworks, swapped: bool) -> FoldCritics:
    """Return critics on the CPU, with the views themselves where they are there: copies cost."""
    views = data.views if data.device == CPU else moved(data.views, CPU)
    return FoldCritics(views, networks, swapped).cpu()


def _settings(model: CrossFitEstimator, data: CrossFitData, swapped: bool) -> dict[str, Any]:
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
