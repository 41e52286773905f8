"""Checks of single arguments, made at constructors before any training."""

import math
from collections.abc import Sequence

__all__ = ["check_integer", "check_positive", "check_share", "check_widths"]


def check_integer(name: str, value: object, least: int = 1) -> None:
    """Raise unless an argument is an integer of at least ``least``; truth values are none."""
    if not is_integer(value, least):
        raise ValueError(f"Expected `{name}` to be an integer of at least {least}, got {value!r}.")


def is_integer(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def check_positive(name: str, value: float) -> None:
    """Raise unless an argument is a positive, finite number."""
    if not 0 < value < math.inf:
        raise ValueError(f"Expected `{name}` to be positive and finite, got {value}.")


def check_share(name: str, value: float) -> None:
    """Raise unless an argument is in (0, 1)."""
    if not 0 < value < 1:
        raise ValueError(f"Expected `{name}` to be in (0, 1), got {value}.")


def check_widths(name: str, sizes: Sequence[int]) -> None:
    """Raise unless an argument holds positive integers, at least one."""
    if len(sizes) == 0:
        raise ValueError(f"Expected `{name}` to hold at least one width, got none.")
    if not all(is_integer(size, 1) for size in sizes):
        raise ValueError(f"Expected `{name}` to hold positive integers, got {sizes}.")
