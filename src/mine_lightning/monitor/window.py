"""The latest pairs of a stream, as a critic is shown them and as columns for a closed form."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["Pairs", "Shape", "Side", "Window"]

COLUMNS = 64  # of a side that a closed form is fitted on; the rows of a window have to tell them
CODES, INDICATORS = 1024, 32  # codes with a direction of their own, and its size
SMALL = 256  # values of an image that a fully connected critic takes as a vector, in half the time
VALUES = 2**22  # of a side that are kept to train on: 16 megabytes, 5,000 rows of 28 x 28 pixels

Shape = tuple[int, ...]


class Side:
    r"""How the rows of one variable are laid out.

    For the closed form, rows of more than 64 values become 64 random projections, which keep the
    distances between them. One column of integers is taken as codes: beside its value, a code has
    a random direction of its own, so that linear functions tell the codes apart.

    Args:
        shape: Shape of a row.
        integers: Whether the rows hold integers.

    Attributes:
        image: Whether the default critic convolves the rows, ``(C, H, W)`` of more than 256 values.
    """

    def __init__(self, shape: Shape, integers: bool) -> None:
        values = torch.Size(shape).numel()
        self.shape, self.integers = shape, integers
        self.codes, self.wide = integers and values == 1, values > COLUMNS
        self.image = len(shape) == 3 and values > SMALL
        if self.codes or self.wide:
            size = (CODES, INDICATORS) if self.codes else (values, COLUMNS)
            stream = torch.Generator().manual_seed(0)
            self.directions = torch.randn(size, generator=stream, dtype=torch.float32)

    def vectors(self, rows: Tensor) -> Tensor:
        """Return the rows as vectors, a code with its direction."""
        vectors = rows.reshape(len(rows), -1)
        if not self.codes:
            return vectors
        directions = self.directions.to(vectors)[vectors[:, 0].long() % CODES]
        return torch.cat((vectors, directions), 1)

    def columns(self, rows: Tensor) -> Tensor:
        """Return the columns for a closed form, shape ``(N, D)``."""
        vectors = self.vectors(rows)
        return vectors @ self.directions.to(vectors) if self.wide else vectors


class Pairs(NamedTuple):
    """Pairs as the critic is shown them, x and z, and as columns for a closed form, u and v."""

    x: Tensor
    z: Tensor
    u: Tensor
    v: Tensor


class Window:
    """The batches of the latest pairs, oldest first.

    What the critic is shown is kept as far back as memory allows, 2^22 values of either side; of
    older batches the columns alone.

    Args:
        rows: How many rows to keep, once there have been so many; in whole batches.
    """

    def __init__(self, rows: int) -> None:
        self.capacity = rows
        self.columns: list[tuple[Tensor, Tensor]] = []
        self.shown: list[tuple[Tensor, Tensor]] = []
        self.gains: list[Tensor] = []

    def __len__(self) -> int:
        return sum(len(u) for u, _ in self.columns)

    def push(self, pairs: Pairs, gain: Tensor) -> None:
        """Append a batch and what the critic adds to it."""
        self.columns.append((pairs.u, pairs.v))
        self.shown.append((pairs.x, pairs.z))
        self.gains.append(gain)
        while len(self.shown) > 1 and self._values() > VALUES:
            del self.shown[0]

    def _values(self) -> int:
        return max(sum(side.numel() for side in sides) for sides in zip(*self.shown, strict=True))

    def trim(self) -> None:
        """Forget the oldest batches as far as enough rows are left without them."""
        self.forget(len(self) - self.capacity)

    def forget(self, rows: int) -> None:
        """Forget the batches that lie within the first rows."""
        while self.columns and rows >= len(self.columns[0][0]):
            rows -= len(self.columns[0][0])
            del self.columns[0], self.gains[0]
        del self.shown[: max(0, len(self.shown) - len(self.columns))]

    def forget_gains(self) -> None:
        """Take all gains as unknown."""
        self.gains = [torch.full_like(gain, math.nan) for gain in self.gains]

    def stacked(self) -> tuple[Tensor, Tensor]:
        """Return the columns of all rows, oldest first."""
        u, v = (torch.cat(side) for side in zip(*self.columns, strict=True))
        return u, v

    def with_older(self, fresh: Pairs, rows: int, stream: torch.Generator) -> Pairs:
        """Return pairs and below them older batches at random, ``rows`` in all if there are."""
        batches, missing = [fresh], rows - len(fresh.u)
        first = len(self.columns) - len(self.shown)
        for index in torch.randperm(len(self.shown), generator=stream).tolist():
            if missing <= 0:
                break
            batches.append(Pairs(*self.shown[index], *self.columns[first + index]))
            missing -= len(batches[-1].u)
        most = max(rows, len(fresh.u))
        return Pairs(*(torch.cat(side)[:most] for side in zip(*batches, strict=True)))

    def state_dict(self) -> dict[str, Any]:
        """Return all batches."""
        return {name: list(getattr(self, name)) for name in ("columns", "shown", "gains")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        self.columns, self.shown = list(state["columns"]), list(state["shown"])
        self.gains = list(state["gains"])

    def to(self, device: torch.device) -> None:
        """Move all batches."""
        self.gains = [gain.to(device) for gain in self.gains]
        self.columns = [(u.to(device), v.to(device)) for u, v in self.columns]
        self.shown = [(x.to(device), z.to(device)) for x, z in self.shown]
