"""What starts does not wait for what it does not use."""

import subprocess
import sys

import pytest

import mine_lightning

HEAVY = {"torch", "lightning", "torchmetrics", "pandas", "sklearn", "scipy", "pyarrow",
         "matplotlib", "tensorboard"}  # fmt: skip
NO_LIGHTNING = HEAVY - {"torch"}
TABLES = {"pandas", "sklearn", "pyarrow", "tensorboard"}


def loaded(statement: str) -> set[str]:
    """Return the top-level packages that a fresh process has loaded after a statement."""
    script = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", script]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    return set(run.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("statement", "unused"),
    [
        ("import mine_lightning", HEAVY),
        ("import mine_lightning; dir(mine_lightning), mine_lightning.__version__", HEAVY),
        ("from mine_lightning.cli.main import tree; tree().format_help()", HEAVY),
        ("from mine_lightning import ConcatCritic, MINE, functional", TABLES),
        ("from mine_lightning.data import CyclicShift, GaussianPairs", NO_LIGHTNING),
        ("from mine_lightning.data.reading import read_columns", {"lightning", "sklearn"}),
        ("from mine_lightning import MutualInformationEstimator", {"pandas", "sklearn", "pyarrow"}),
        ("from mine_lightning import GaussianDataModule", {"sklearn", "tensorboard"}),
        ("from mine_lightning import estimate_mutual_information", {"tensorboard"}),
    ],
)
def test_an_import_loads_what_it_uses(statement: str, unused: set[str]) -> None:
    assert not loaded(statement) & unused


def test_every_public_name_is_there() -> None:
    for name in mine_lightning.__all__:
        assert getattr(mine_lightning, name).__name__.endswith(name)
    with pytest.raises(AttributeError, match="MutualInformatoin"):
        mine_lightning.MutualInformatoin  # noqa: B018
