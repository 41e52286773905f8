"""Commands, help, version, completion."""

import subprocess
import sys
from importlib.metadata import version

import pytest

from mine_lightning.cli import main


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (
            ["--help"],
            [
                "estimate",
                "matrix",
                "select",
                "fit",
                "validate",
                "test",
                "predict",
                "taps",
                "examples:",
            ],
        ),
        ([], ["mine-lightning fit --config gaussian"]),
        (["--version"], [f"mine-lightning {version('mine-lightning')}"]),
        (["fit", "--help"], ["Example:\n  mine-lightning fit", "--data", "--ckpt_path"]),
        (["predict", "--help"], ["Example:\n  mine-lightning predict", "--overwrite"]),
        (["taps", "--help"], ["usage: mine-lightning taps", "mine-lightning taps --config gan"]),
        (["estimate", "--help"], ["--x_transform", "Example:\n  mine-lightning estimate wine.csv"]),
        (["matrix", "--help"], ["--columns", "Example:\n  mine-lightning matrix wine.csv"]),
        (["select", "--help"], ["--target", "Example:\n  mine-lightning select wine.csv"]),
    ],
)
def test_help_and_version(
    arguments: list[str], shown: list[str], capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert all(text in printed for text in shown)


def test_a_shell_completes_commands_and_options(capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("jsonargparse", "4.48")  # which adds the option
    with pytest.raises(SystemExit) as stop:
        main(["--print_completion", "shtab-bash"])
    assert stop.value.code == 0
    script = capsys.readouterr().out
    assert all(word in script for word in ("estimate", "matrix", "fit", "--max_epochs"))


def test_the_module_runs_as_the_command_does() -> None:
    command = [sys.executable, "-m", "mine_lightning", "--version"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("mine-lightning ")
