"""Ctrl-C, in the library and on the command line."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from mine_lightning import estimate_mutual_information
from mine_lightning.cli import main
from mine_lightning.support.interrupts import interruptible

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Hear Ctrl-C, which a suite started in the background of a script ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class CtrlC(Callback):
    """Press Ctrl-C after some batches."""

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)


def rows() -> tuple[torch.Tensor, torch.Tensor]:
    x, noise = torch.randn(2, 200, 1, generator=torch.Generator().manual_seed(0))
    return x, x + noise


def test_a_ctrl_c_reaches_whoever_called_and_so_does_a_second_one() -> None:
    before = signal.getsignal(signal.SIGINT)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            estimate_mutual_information(*rows(), callbacks=[CtrlC()], progress_bar=False)
        assert signal.getsignal(signal.SIGINT) is before


def test_another_exit_is_left_alone() -> None:
    with pytest.raises(SystemExit, match="3"), interruptible():
        raise SystemExit(3)


def interrupt(*args: Any, **kwargs: Any) -> None:
    os.kill(os.getpid(), signal.SIGINT)


COMMANDS = {
    "fit": [
        "fit", f"--config={ROOT / 'configs/gaussian.yaml'}", "--trainer.logger=false",
        "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false",
    ],
    "estimate": ["estimate", "rows.csv", "--x=x", "--z=z", "--quiet"],
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_line_ends_with_130_and_one_line(
    command: str, monkeypatch, capsys, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    x, z = rows()
    lines = [f"{a},{b}" for a, b in zip(x.flatten().tolist(), z.flatten().tolist(), strict=True)]
    Path("rows.csv").write_text("\n".join(["x,z", *lines]))
    monkeypatch.setattr(
        "mine_lightning.estimate.crossfit.CrossFitEstimator.training_step", interrupt
    )
    monkeypatch.setattr("mine_lightning.training.steps.BareStep.__call__", interrupt)
    with pytest.raises(SystemExit) as end:
        main(COMMANDS[command])
    assert end.value.code == 130
    error = [line for line in capsys.readouterr().err.splitlines() if "available" not in line]
    assert error[-1:] == ["mine-lightning: interrupted"]
    assert not any("Traceback" in line or "Detected" in line for line in error)
