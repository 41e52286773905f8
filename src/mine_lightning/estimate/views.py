"""What one fold's critic sees of the rows, fitted on the fold's training rows."""

import copy
import hashlib
from typing import NamedTuple, Self

import torch
from torch import Tensor

from mine_lightning.data.transforms import Transform
from mine_lightning.estimate.directions import CommonDirections, bounded
from mine_lightning.estimate.features import Described, Features
from mine_lightning.estimate.ratios import Choice, SplitRows, choose
from mine_lightning.estimate.reduction import Reduction

__all__ = ["MOST_FITTED", "MOST_PRODUCTS", "FoldView", "Known", "Seen"]

MOST_FITTED = 20_000  # training rows that closed forms are fitted on
ROWS_FOR_DIRECTIONS = 3_000
# Changed alone by `benchmarks/constants.py`, these change the mean error of .140 nats by: products
# 0, +.0030 ± .0025, 32, -.0007 ± .0008; gain 0, +.0005 ± .0011.
MOST_PRODUCTS = 8  # of paired columns, shown to the network
LEAST_GAIN = 0.3  # of correlation, by oscillations that are shown to the network


class Seen(NamedTuple):
    """Rows as one fold's critic sees them.

    Attributes:
        x: What the network is shown of x, shape ``(M, F_x)``, float32.
        z: What it is shown of z, shape ``(M, F_z)``, float32.
        x_code: What the closed form's scores depend on, shape ``(M, R)``, float64.
        z_code: Likewise.
        x_variates: Those columns that the closed form pairs, bounded, shape ``(M, P)``, float32.
        z_variates: Likewise.
    """

    x: Tensor
    z: Tensor
    x_code: Tensor
    z_code: Tensor
    x_variates: Tensor
    z_variates: Tensor

    @property
    def shown(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the network is shown of x and of z, and the variates of both."""
        return self.x, self.z, self.x_variates, self.z_variates


Known = dict[tuple[int, torch.Size, bytes], tuple[Features, Described, Described]]
"""Features by transform and rows, with the training and the validation rows described."""


def _fitted(
    transform: Transform | None, train: Tensor, val: Tensor, known: Known
) -> tuple[Features, Described, Described]:
    """Fit features to training rows, once where a column is in several pairs of a table."""
    rows = hashlib.sha1(usedforsecurity=False)
    for part in (train, val):
        rows.update(part.cpu().numpy().tobytes())
    key = id(transform), train.shape, rows.digest()
    if key not in known:
        features = Features(copy.deepcopy(transform))
        known[key] = features, features.fit_describe(train), features(val)
    return known[key]


class FoldView:
    """What one fold's critic sees of the data, fitted on the fold's training rows.

    The closed form is the one of :data:`~mine_lightning.estimate.ratios.FAMILY` that the validation
    rows prefer. The network is shown the :class:`~mine_lightning.estimate.features.Features` of
    each side and the :class:`~mine_lightning.estimate.directions.CommonDirections` of each kind of
    their functions. Sides of very many columns are reduced first.

    Args:
        x_transform: Invertible transform of x; rank to normal by default.
        z_transform: Invertible transform of z, likewise.

    Attributes:
        choice: The closed form, and the losses that it was chosen by.
        one: One of the rows as the critic sees it, whose widths are those of all.
    """

    choice: Choice
    one: Seen

    def __init__(
        self, x_transform: Transform | None = None, z_transform: Transform | None = None
    ) -> None:
        self.transforms = x_transform, z_transform
        self.reduction = Reduction()

    def fit(self, x: Tensor, z: Tensor, train: Tensor, val: Tensor) -> Self:
        """Fit on training rows, and choose on validation rows."""
        rows = self.look(x, z, train, val)
        (choice,) = choose([rows])
        return self.settle(choice, rows)

    def look(
        self, x: Tensor, z: Tensor, train: Tensor, val: Tensor, known: "Known | None" = None
    ) -> SplitRows:
        """Fit all but the closed form, and return the rows that it is chosen by.

        Args:
            x: All rows of x.
            z: All rows of z.
            train: Numbers of the training rows.
            val: Numbers of the validation rows.
            known: What was fitted to other views, and is added to.
        """
        known, train = {} if known is None else known, train[:MOST_FITTED]
        (x, x_val), (z, z_val) = ((s[train].flatten(1), s[val].flatten(1)) for s in (x, z))
        self.reduction.fit(x, z)
        of_x, of_z = self.reduction.of_x, self.reduction.of_z
        x_transform, z_transform = self.transforms
        self.x_features, a, a_val = _fitted(x_transform, of_x(x), of_x(x_val), known)
        self.z_features, b, b_val = _fitted(z_transform, of_z(z), of_z(z_val), known)
        rows = SplitRows(a, b, a_val, b_val)
        self._find_directions(rows)
        return rows

    def settle(self, choice: Choice, rows: SplitRows) -> Self:
        """Take the closed form that was chosen by given rows."""
        self.choice = choice
        self.one = self.show(*rows.some(1, 1)[:2])
        return self

    def _find_directions(self, rows: SplitRows) -> None:
        some = rows.some(ROWS_FOR_DIRECTIONS, len(rows.x_val.coordinates))
        kinds = [kind for kind in rows.x.kinds if kind in rows.z.kinds] if rows.columns > 2 else []
        self.directions = {
            kind: CommonDirections().fit(*(side.functions(kind) for side in some)) for kind in kinds
        }
        waves, rest = self.directions.get("waves"), self.directions.get("modulated")
        if waves and rest and waves.strength < rest.strength + LEAST_GAIN:
            del self.directions["waves"]  # what does not oscillate says as much

    def describe(self, x: Tensor, z: Tensor) -> tuple[Described, Described]:
        """Return rows as the closed form sees them."""
        x, z = self.reduction.of_x(x.flatten(1)), self.reduction.of_z(z.flatten(1))
        return self.x_features(x), self.z_features(z)

    def __call__(self, x: Tensor, z: Tensor) -> Seen:
        """Return rows as the critic sees them."""
        return self.show(*self.describe(x, z))

    def show(self, a: Described, b: Described) -> Seen:
        """Return described rows as the critic sees them."""
        found = {kind: pairs for kind, pairs in self.directions.items() if pairs.count}
        shown_x = [pairs.of_x(a.functions(kind)) for kind, pairs in found.items()]
        shown_z = [pairs.of_z(b.functions(kind)) for kind, pairs in found.items()]
        codes = self.encode(a, b)
        paired = (self.choice.ratio.paired(code)[:, :MOST_PRODUCTS] for code in codes)
        return Seen(
            torch.cat([a.inputs, *shown_x], dim=1),
            torch.cat([b.inputs, *shown_z], dim=1),
            *codes,
            *map(bounded, paired),
        )

    def encode(self, a: Described, b: Described) -> tuple[Tensor, Tensor]:
        """Return what the closed form's scores of described rows depend on."""
        ratio = self.choice.ratio
        return ratio.encode_x(a), ratio.encode_z(b)
