"""Rows as the critics of all folds see them, in tables from which minibatches are gathered."""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from mine_lightning.data.loading.loaders import gather
from mine_lightning.data.loading.placement import placed
from mine_lightning.data.loading.stacks import Batch
from mine_lightning.estimate.features import Described
from mine_lightning.estimate.networks import FEATURES, Widths
from mine_lightning.estimate.views import FoldView

__all__ = ["ROWS_SEEN", "Tables", "filled", "padded"]

ROWS_SEEN = 2**15  # described at once: functions of a row are many times its columns


class Tables:
    """Some rows as the critics of all folds see them.

    Args:
        views: What the critics see, E of them.
        sides: All rows of x and of z.
        rows: Numbers of the rows that each fold needs, shape ``(E, L)``.
        shown: Whether networks are shown them, or the closed forms alone score them.
        described: The rows of each fold as its view describes both sides, where that is known.
    """

    def __init__(
        self,
        views: Sequence[FoldView],
        sides: Sequence[Tensor],
        rows: Tensor,
        shown: bool = True,
        described: Sequence[tuple[Described, Described]] = (),
    ) -> None:
        self.views, self.shown = views, shown
        folds, length = rows.shape
        starts = length * torch.arange(folds, device=rows.device).unsqueeze(1)
        self.places = starts.repeat(1, len(sides[0]))  # (E, N) in (E L,)
        self.places.scatter_(1, rows, starts + torch.arange(length, device=rows.device))
        self._open(rows)
        every = torch.arange(length, device=rows.device)
        for fold, known in enumerate(described):
            self._fill(fold, every, *known)
        for fold, needed in enumerate(() if described else rows):
            for places in every.split(ROWS_SEEN):
                seen = views[fold].describe(*(side[needed[places]] for side in sides))
                self._fill(fold, places, *seen)

    @property
    def widths(self) -> Widths:
        """The numbers of inputs of the networks."""
        return Widths(*(self.rows[name].shape[1] for name in ("x", "z", "u")))

    def _open(self, rows: Tensor) -> None:
        """Make tables of what networks are shown, and of what closed forms score by."""
        one = [view.one for view in self.views]
        length = rows.numel() if self.shown else 0
        self.rows = {
            name: torch.zeros(length, widest(parts), device=rows.device)
            for name, parts in zip(FEATURES, zip(*(s.shown for s in one), strict=True), strict=True)
        }  # (E L, F)
        self.codes = [
            tuple(code.new_empty(rows.shape[1], code.shape[1]) for code in (s.x_code, s.z_code))
            for s in one
        ]

    def _fill(self, fold: int, places: Tensor, a: Described, b: Described) -> None:
        """Put some rows of a fold into their places."""
        view, (x_code, z_code) = self.views[fold], self.codes[fold]
        if not self.shown:
            x_code[places], z_code[places] = view.encode(a, b)
            return
        seen = view.show(a, b)
        x_code[places], z_code[places] = seen.x_code, seen.z_code
        rows = fold * len(x_code) + places
        for table, part in zip(self.rows.values(), seen.shown, strict=True):
            table[rows, : part.shape[1]] = part

    def minibatches(self, rows: Tensor) -> Batch:
        """Return minibatches, each of them a :func:`~mine_lightning.critics.candidates.ring`.

        Args:
            rows: Row numbers of n minibatches for each fold, shape ``(E, n, N)``.

        Returns:
            A batch of tensors whose first dimension is n.
        """
        i = self._found(rows)
        apart = self._offsets(i.flatten(1), i.roll(-1, 2).view(len(i), -1, 1)).view(i.shape)
        offset = torch.stack([gather(self._own, i), apart], dim=2)  # laid out as scores are
        i = i.transpose(0, 1)
        return {**self._shown(i, i), "offset": offset.transpose(0, 1).mT}

    @cached_property
    def _own(self) -> Tensor:
        """The scores of the closed forms of all rows with their own z, shape ``(E L,)``."""
        places = torch.arange(len(self.rows["x"]), device=self.places.device)
        parts = places.view(len(self.views), -1).split(ROWS_SEEN, dim=1)
        return torch.cat([self._offsets(part, part.unsqueeze(2)) for part in parts], 1).flatten()

    def batch(self, rows: Tensor, partners: Tensor, near: Tensor | None = None) -> Batch:
        """Return the batch of some rows, the offset alone of rows that networks are not shown.

        Args:
            rows: Row numbers for each fold, shape ``(E, N)``.
            partners: Row numbers of the partners, shape ``(E, N, K)``.
            near: Row numbers of rows and partners, each once, shape ``(E, M)``, if they are known.
        """
        rows, partners = (placed(numbers, self.places.device) for numbers in (rows, partners))
        i, j = self._found(rows), self._found(torch.cat([rows.unsqueeze(2), partners], dim=2))
        offset = self._offsets(i, j)
        if not self.shown:
            return {"offset": offset}
        among = j.flatten(1) if near is None else self._found(placed(near, j.device))
        return {**self._shown(i, among), "offset": offset, "places": self._among(j, among)}

    def _found(self, numbers: Tensor) -> Tensor:
        """Return the places in the tables of rows by their numbers, both ``(E, *)``."""
        return self.places.gather(1, numbers.flatten(1)).view(numbers.shape)

    def _shown(self, i: Tensor, j: Tensor) -> Batch:
        """Return what networks are shown of rows of x and of z by their places."""
        sides = zip(self.rows.items(), (i, j, i, j), strict=True)
        return {name: gather(table, places) for (name, table), places in sides}

    def _among(self, places: Tensor, near: Tensor) -> Tensor:
        """Return where rows stand among those near, all by their places in the tables."""
        order = torch.arange(near.shape[1], device=near.device).expand_as(near)
        among = near.new_zeros(len(self.rows["z"]))
        return among.scatter_(0, near.flatten(), order.flatten())[places]

    def _offsets(self, rows: Tensor, candidates: Tensor) -> Tensor:
        """Return the scores of the closed forms of rows by their places, shape ``(E, N, K)``."""
        folds = enumerate(zip(self.views, self.codes, rows, candidates, strict=True))
        scores = []
        for fold, (view, (a, b), i, j) in folds:
            start = fold * len(a)
            pairs = gather(a, i - start).unsqueeze(1), gather(b, j - start)
            scores.append(view.choice.ratio.score(*pairs))
        return torch.stack(scores).float()


def widest(tensors: Sequence[Tensor]) -> int:
    """Return the largest last dimension."""
    return max(tensor.shape[-1] for tensor in tensors)


def filled(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Fill tensors whose last dimensions differ up with zeros."""
    most = widest(tensors)
    return [F.pad(tensor, (0, most - tensor.shape[-1])) for tensor in tensors]


def padded(tensors: Sequence[Tensor]) -> Tensor:
    """Stack tensors whose last dimensions differ, filled up with zeros."""
    return torch.stack(filled(tensors))
