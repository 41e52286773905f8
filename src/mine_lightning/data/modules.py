"""DataModules: pairs of rows in, batches of joint and marginal pairs out."""

from collections.abc import Iterable
from typing import Any, TypedDict

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from mine_lightning.data.checks import check_apart, narrow
from mine_lightning.data.distributions.base import Distribution, GaussianPairs
from mine_lightning.data.loading.loaders import (
    DrawLoader,
    EpochLoader,
    EvaluationLoader,
    MemberLoader,
    Sampling,
    TrainingLoader,
    spawn_generator,
)
from mine_lightning.data.loading.placement import beside, fits, has_type_of, placed, training_device
from mine_lightning.data.loading.prefetch import Prefetcher, prefetched
from mine_lightning.data.loading.stacks import Batch, Stacking
from mine_lightning.data.samplers import Derangement, MarginalSampler, Partners
from mine_lightning.data.transforms import Standardize, Transform, TransformLike, as_transform
from mine_lightning.support.ambient import own_methods
from mine_lightning.support.arguments import check_integer, check_share
from mine_lightning.support.keywords import Unpack, check_keywords

__all__ = [
    "BatchArguments",
    "GaussianDataModule",
    "PairArguments",
    "PairDataModule",
    "SyntheticArguments",
    "SyntheticDataModule",
]

SPLITS = ("train", "val", "test")
OWN = ("setup", *(f"{split}_dataloader" for split in (*SPLITS, "predict")))
"""Methods that do not depend on the host's settings."""


class BatchArguments(TypedDict, total=False):
    """Keyword arguments of :class:`PairDataModule`, without the shares of the splits."""

    batch_size: int
    marginal: MarginalSampler | None
    eval_partners: int
    eval_batch_size: int
    x_transform: TransformLike | None
    z_transform: TransformLike | None
    seed: int | None


class PairArguments(BatchArguments, total=False):
    """Keyword arguments of :class:`PairDataModule`."""

    val_fraction: float
    test_fraction: float


class SyntheticArguments(PairArguments, total=False):
    """Keyword arguments of :class:`SyntheticDataModule`."""

    rows: int | None
    batches_per_epoch: int
    eval_rows: int


@own_methods(*OWN)
class PairDataModule(LightningDataModule):
    """Base of the DataModules: splits rows of x and z into joint and marginal minibatches.

    A batch is ``{"joint": (x, z), "marginal": z'}``. Subclasses implement :meth:`load`. Training,
    validation and test rows are three disjoint, seeded sets. Transforms are fitted on the training
    rows only.

    Args:
        batch_size: Rows in a training minibatch (of each process).
        val_fraction: Share of the rows for model selection, in (0, 1).
        test_fraction: Share of the rows for the reported estimate, in (0, 1).
        marginal: How training minibatches draw pairs apart; :class:`Derangement` by default.
        eval_partners: Partners for each row in validation and test: more give a smaller
            standard error.
        eval_batch_size: Largest number of rows in an evaluation chunk (of all processes).
        x_transform: Transform of x: "rank", "standardize", "identity", a
            :class:`~mine_lightning.data.transforms.Transform` or a transformer of scikit-learn;
            :class:`~mine_lightning.Standardize` by default for floating point rows.
        z_transform: Transform of z, likewise.
        seed: Seed of the split, the order and the partners; by default the one given to
            ``seed_everything``.

    Raises:
        ValueError: If a size or a share is out of range, or a split has too few rows.
    """

    def __init__(
        self,
        batch_size: int = 256,
        val_fraction: float = 0.2,
        test_fraction: float = 0.2,
        marginal: MarginalSampler | None = None,
        eval_partners: int = 16,
        eval_batch_size: int = 2048,
        x_transform: TransformLike | None = None,
        z_transform: TransformLike | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        check_integer("batch_size", batch_size, least=2)
        check_integer("eval_partners", eval_partners)
        check_integer("eval_batch_size", eval_batch_size)
        check_share("val_fraction", val_fraction)
        check_share("test_fraction", test_fraction)
        if val_fraction + test_fraction >= 1:
            raise ValueError(
                "Expected `val_fraction` and `test_fraction` to leave rows for training, "
                f"got {val_fraction} and {test_fraction}."
            )
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.val_fraction, self.test_fraction = val_fraction, test_fraction
        self.marginal = marginal or Derangement()
        self.marginal.check(batch_size)
        self.eval_partners = eval_partners
        self.x_transform = as_transform("x_transform", x_transform)
        self.z_transform = as_transform("z_transform", z_transform)
        self.seed = torch.initial_seed() % 2**31 if seed is None else seed
        self._splits: dict[str, Tensor] = {}

    def load(self) -> tuple[Tensor, Tensor]:
        """Return all rows of x, shape ``(N, ...)``, and z, shape ``(N, ...)``."""
        raise NotImplementedError

    @property
    def true_mi(self) -> float | None:
        """The true mutual information in nats, where it is known."""
        return None

    @property
    def x_dim(self) -> int:
        """Number of values in a row of x."""
        self.setup()
        return self._x[0].numel()

    @property
    def z_dim(self) -> int:
        """Number of values in a row of z."""
        self.setup()
        return self._z[0].numel()

    def setup(self, stage: str | None = None) -> None:
        """Load the rows once, split them and fit the transforms on the training rows."""
        if self._splits:
            return
        self._agree()
        x, z = self.load()
        self._splits = self._split(len(x))
        train = self._splits["train"]
        self._x = _transformed("x", x, train, self.x_transform)
        self._z = _transformed("z", z, train, self.z_transform)

    def _split(self, rows: int) -> dict[str, Tensor]:
        """Return disjoint row numbers for each split."""
        test, val = round(rows * self.test_fraction), round(rows * self.val_fraction)
        sizes = (rows - test - val, val, test)
        check_sizes(dict(zip(SPLITS, sizes, strict=True)), self.batch_size)
        order = torch.randperm(rows, generator=spawn_generator(self.seed, 1))
        return dict(zip(SPLITS, order.split(sizes), strict=True))

    def split_of_rows(self) -> list[str]:
        """Name the split of every row, in the order of the data."""
        self.setup()
        names = [""] * len(self._x)
        for name, rows in self._splits.items():
            for row in rows.tolist():
                names[row] = name
        return names

    def rows_of_input(self) -> list[int]:
        """Return the place of every row in the input, from which rows may have been dropped."""
        self.setup()
        kept = getattr(self, "kept_rows", torch.arange(len(self._x)))
        return kept.tolist()

    def train_dataloader(self) -> EpochLoader | Prefetcher:
        """Minibatches; if the module being trained has ``members``, each in an order of its own."""
        module = None if self.trainer is None else self.trainer.lightning_module
        members = getattr(module, "members", None)
        seeds = [self.seed + member for member in range(members or 1)]
        loaders = [self.training_loader(seed) for seed in seeds]
        loader = loaders[0] if members is None else MemberLoader(loaders)
        return prefetched(loader, training_device(self.trainer))

    def training_loader(self, seed: int) -> EpochLoader:
        """Return a loader of training minibatches whose order and partners depend on the seed."""
        rows = self._placed(self._splits["train"])
        return TrainingLoader(*rows, self._sampling(seed), Stacking.of(self.trainer))

    def val_dataloader(self) -> Iterable[Batch]:
        return self._evaluation(self._splits["val"])

    def test_dataloader(self) -> Iterable[Batch]:
        return self._evaluation(self._splits["test"])

    def predict_dataloader(self) -> Iterable[Batch]:
        """All rows, in the order of the data."""
        return self._evaluation(torch.arange(len(self._x)))

    def _evaluation(self, rows: Tensor) -> EvaluationLoader:
        partners = Partners(self.eval_partners).within(len(rows))
        return EvaluationLoader(*self._placed(rows), self._evaluated(partners))

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Bring the rows to the type of the weights, where the host's default type is another."""
        module: Any = self.trainer.lightning_module  # type: ignore[union-attr]
        first = batch[0] if isinstance(batch, list) else batch
        return batch if has_type_of(module, first["joint"]) else beside(batch, module)

    def _placed(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows of x and z, on the training device if they fit there."""
        x, z, device = self._x[rows], self._z[rows], training_device(self.trainer)
        if fits(x.numel() + z.numel(), device):
            return placed(x, device), placed(z, device)
        return x, z

    def _agree(self) -> None:
        """Take over the seed of the first process: rows are shared by it."""
        if self.trainer is not None:
            self.seed = self.trainer.strategy.broadcast(self.seed)

    def _sampling(self, seed: int) -> Sampling:
        """Return what this process draws for training."""
        return Sampling(self.batch_size, self.marginal, seed, *self._place())

    def _evaluated(self, partners: Partners) -> Sampling:
        """Return what this process draws for evaluation."""
        return Sampling(self.eval_batch_size, partners, self.seed, *self._place())

    def _place(self) -> tuple[int, int]:
        """Return this process's rank and the number of processes."""
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size


@own_methods(*OWN)
class SyntheticDataModule(PairDataModule):
    """Pairs from a distribution that knows its own mutual information.

    Args:
        distribution: Where the pairs come from.
        rows: Size of the fixed sample that is split; None draws fresh minibatches for ever.
        batches_per_epoch: With fresh draws, minibatches between two validations.
        eval_rows: With fresh draws, rows each of the fixed validation and test sample.
        kwargs: Arguments of :class:`PairDataModule`.

    Raises:
        ValueError: If a number is not positive.

    Example:
        >>> from mine_lightning.data import GaussianPairs
        >>> data = SyntheticDataModule(GaussianPairs(correlation=0.4), rows=1000)
        >>> round(data.true_mi, 4)
        0.0872
    """

    def __init__(
        self,
        distribution: Distribution,
        rows: int | None = 10_000,
        batches_per_epoch: int = 500,
        eval_rows: int = 10_000,
        **kwargs: Unpack[PairArguments],
    ) -> None:
        check_keywords(SyntheticDataModule.__init__, kwargs)
        super().__init__(**kwargs)
        if rows is not None:
            check_integer("rows", rows)
        check_integer("batches_per_epoch", batches_per_epoch)
        check_integer("eval_rows", eval_rows, least=2)
        self.distribution, self.rows = distribution, rows
        self.batches_per_epoch, self.eval_rows = batches_per_epoch, eval_rows

    @property
    def true_mi(self) -> float:
        return self.distribution.mutual_information

    def load(self) -> tuple[Tensor, Tensor]:
        rows = 2 * self.eval_rows if self.rows is None else self.rows
        return self.distribution.sample(rows, spawn_generator(self.seed, 0))

    def setup(self, stage: str | None = None) -> None:
        if self.rows is not None:
            super().setup(stage)
        elif not self._splits:
            self._agree()
            self._x, self._z = self.load()
            val, test = torch.arange(2 * self.eval_rows).split(self.eval_rows)
            self._splits = {"val": val, "test": test}

    def training_loader(self, seed: int) -> EpochLoader:
        if self.rows is not None:
            return super().training_loader(seed)
        batches, stacking = self.batches_per_epoch, Stacking.of(self.trainer)
        return DrawLoader(self.distribution, batches, self._sampling(seed), stacking)


class GaussianDataModule(SyntheticDataModule):
    r"""Independent pairs of correlated normal variables.

    .. math:: I(X; Z) = -\frac{d}{2} \ln(1 - \rho^2)

    Args:
        dim: Number d of pairs.
        correlation: Correlation :math:`\rho` of each pair.
        target: The mutual information in nats, in place of ``correlation``.
        kwargs: Arguments of :class:`SyntheticDataModule`.

    Raises:
        ValueError: If not exactly one of ``correlation`` and ``target`` is given.

    Example:
        >>> GaussianDataModule(dim=20, target=2.0).true_mi
        2.0
    """

    def __init__(
        self,
        dim: int = 1,
        correlation: float | None = None,
        target: float | None = None,
        **kwargs: Unpack[SyntheticArguments],
    ) -> None:
        check_keywords(GaussianDataModule.__init__, kwargs)
        super().__init__(GaussianPairs(dim, correlation, target), **kwargs)


def _transformed(name: str, rows: Tensor, train: Tensor, transform: Transform | None) -> Tensor:
    """Fit the transform on the training rows, apply it to all and round them to float32."""
    if not rows.is_floating_point():
        return rows
    transformed = narrow(name, (transform or Standardize()).fit(rows[train])(rows))
    check_apart(name, rows, transformed)
    return transformed


def check_sizes(sizes: dict[str, int], batch_size: int) -> None:
    """Raise if the training rows fill no minibatch, or another split has fewer than two rows."""
    for name, size in sizes.items():
        least = batch_size if name == "train" else 2
        if size < least:
            raise ValueError(
                f"Expected at least {least} rows for the {name} split, got {size} of the "
                f"{sum(sizes.values())} rows: give more rows or a smaller `batch_size`."
            )
