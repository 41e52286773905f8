"""The bounds as functions of scores, in nats."""

from mine_lightning.objectives.functional import (
    club,
    donsker_varadhan,
    f_divergence,
    infonce,
    interpolated_bound,
    leave_one_out,
    nwj,
    smile,
    tuba,
)

__all__ = [
    "club",
    "donsker_varadhan",
    "f_divergence",
    "infonce",
    "interpolated_bound",
    "leave_one_out",
    "nwj",
    "smile",
    "tuba",
]
