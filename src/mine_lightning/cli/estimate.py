"""``mine-lightning estimate``: the estimate for the columns of a table file."""

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from mine_lightning.data.checks import Missing
from mine_lightning.data.tables import read_table, select_columns
from mine_lightning.data.transforms import TRANSFORMS
from mine_lightning.estimate.call import estimate_mutual_information
from mine_lightning.estimate.results import MutualInformationEstimate
from mine_lightning.support.files import check_output

__all__ = ["estimate"]


def estimate(args: list[str] | None = None) -> MutualInformationEstimate:
    """Run ``mine-lightning estimate``: print the result, and write it where asked to.

    Args:
        args: Arguments; those of the process by default.

    Raises:
        ValueError: If the user made a mistake.
        SystemExit: If the arguments cannot be parsed.
    """
    given = _parser().parse_args(args)
    output = None if given.output is None else check_output(given.output, (".json", ".npz"))
    x, z = select_columns(read_table(given.path), _columns(given.x), _columns(given.z))
    result = estimate_mutual_information(x, z, **_arguments(given))
    print(report(result))
    if output is not None:
        result.save(output)
    return result


def report(result: MutualInformationEstimate) -> str:
    """Lay a result out for a person."""
    lines = [
        result.headline,
        f"standard error {result.standard_error:.3f} nats, {result.rows:,} rows used, "
        f"seed {result.seed}",
    ]
    return "\n".join([*lines, *(f"note: {note}" for note in result.notes())])


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="mine-lightning estimate",
        description="Estimate the mutual information of some columns of a table with others.",
    )
    add: Any = parser.add_argument
    add("path", type=Path, help="CSV, TSV, Parquet, NPZ or NPY file")
    add("--x", type=str, required=True, help="columns of x by name or position: alcohol,hue")
    add("--z", type=str, required=True, help="columns of z, likewise")
    add("--output", type=Path, default=None, help="JSON file, or NPZ file with pointwise values")
    add("--seed", type=int, default=0, help="seed that repeats the estimate")
    add("--folds", type=int, default=5, help="number of folds")
    add("--missing", type=Missing, default="raise", help="what to do with incomplete rows")
    add("--x_transform", choices=list(TRANSFORMS), default="rank", help="transform of x")
    add("--z_transform", choices=list(TRANSFORMS), default="rank", help="transform of z")
    add("--max_epochs", type=int | None, default=None, help="largest number of epochs")
    add("--accelerator", type=str, default="auto", help="auto, cpu, cuda, mps ...")
    add("--quiet", action="store_true", help="show no progress bar")
    return parser


def _arguments(given: Namespace) -> dict[str, Any]:
    names = ("seed", "folds", "missing", "x_transform", "z_transform", "max_epochs", "accelerator")
    return {
        **{name: getattr(given, name) for name in names},
        "progress_bar": not given.quiet,
    }


def _columns(text: str) -> list[str | int]:
    """Split ``a,b`` into names."""
    return [name.strip() for name in text.split(",") if name.strip()]
