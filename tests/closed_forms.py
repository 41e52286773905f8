"""Closed forms of one sample."""

from typing import TypeVar

from mine_lightning.estimate.features import Described
from mine_lightning.estimate.ratios import LogRatio

Kind = TypeVar("Kind", bound=LogRatio)


def fitted(kind: type[Kind], x: Described, z: Described) -> Kind:
    """Fit a closed form to training rows, and do without validation rows."""
    sides = (Described.together([side]) for side in (x, z))
    return kind().fit(*sides).of_sample(0, 1).trimmed()


def confirmed(kind: type[Kind], *sides: Described) -> Kind:
    """Fit a closed form to training rows of x and z, and confirm it on validation rows of both."""
    (found,) = kind.fit_each(*(Described.together([side]) for side in sides))
    return found.ratio
