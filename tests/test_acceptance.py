"""The shipped configurations reach the truth on rows that nobody saw."""

from pathlib import Path

import pytest

from mine_lightning.cli import main

ROOT = Path(__file__).parents[1]


def reported(
    config: str, seed: int, folder: Path, capsys: pytest.CaptureFixture, *more: str
) -> float:
    """Run a configuration as the README says and return the estimate that it prints."""
    arguments = [
        "fit",
        f"--config={ROOT / 'configs' / config}",
        f"--seed_everything={seed}",
        f"--trainer.logger.init_args.save_dir={folder}",
        "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false",
        *more,
    ]
    main(arguments)
    return float(capsys.readouterr().out.split("estimate (test rows)")[1].split()[0])


@pytest.mark.trained
@pytest.mark.slow
def test_the_first_command_is_within_a_twentieth_nat(seed, outcome, tmp_path, capsys) -> None:
    estimate = reported("gaussian.yaml", seed, tmp_path, capsys)
    outcome(estimate - 0.8304, -0.05, 0.05)


@pytest.mark.trained
@pytest.mark.slow
def test_twenty_dimensions_are_within_a_fifth_of_a_nat(seed, outcome, tmp_path, capsys) -> None:
    short = "--trainer.max_epochs=10"  # of 30
    outcome(reported("gaussian_20d.yaml", seed, tmp_path, capsys, short) - 2.0, -0.2, 0.2)


@pytest.mark.trained
@pytest.mark.slow
def test_digits_tell_their_labels(seed, outcome, tmp_path, capsys) -> None:
    outcome(reported("digits.yaml", seed, tmp_path, capsys), 2.0, 2.31)


@pytest.mark.trained
@pytest.mark.slow
def test_independent_data_share_nothing_and_nothing_is_clamped(
    seed, outcome, tmp_path, capsys
) -> None:
    more = "--data.init_args.correlation=0.0"
    outcome(reported("gaussian.yaml", seed, tmp_path, capsys, more), -0.02, 0.02)
