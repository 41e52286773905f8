"""What the monitor costs: step time of the digits GAN with it over without it.

    python benchmarks/monitor.py --steps 200 --rounds 5

Rounds alternate between all settings in one process of one thread. A figure is a ratio to the run
without a monitor of the processor time of all steps after the warm-up, each step as fast as in the
fastest of the rounds: other programs slow some rounds down. In parentheses the ratios of the single
rounds, as they were.
"""

import argparse
import time
from itertools import pairwise
from typing import Any

import lightning.pytorch as pl
import torch

from mine_lightning.demos import DigitImages, PlainGAN
from mine_lightning.monitor import MutualInformationLearner, MutualInformationMonitor

SETTINGS: dict[str, dict[str, Any] | None] = {
    "no monitor": None,
    "default": {},
    "every_n_steps=1": {"every_n_steps": 1},
    "every_n_steps=16": {"every_n_steps": 16},
    "steps_per_batch=4": {"learner": {"steps_per_batch": 4}},
    "rows=256": {"learner": {"rows": 256}},
    "rows=64": {"learner": {"rows": 64}},
    "rows=1024": {"learner": {"rows": 1024}},
    "window=1024": {"learner": {"window": 1024}},
    "window=16384": {"learner": {"window": 16384}},
    "calls='all'": {"calls": "all"},
}


class Clock(pl.Callback):
    """Processor seconds of each step after the warm-up, from its start to that of the next."""

    def __init__(self, warm_up: int) -> None:
        self.warm_up = warm_up
        self.starts: list[float] = []

    def on_train_batch_start(self, *args: Any) -> None:
        self.starts.append(time.process_time())

    def on_train_end(self, *args: Any) -> None:
        self.starts.append(time.process_time())

    def seconds(self) -> list[float]:
        return [end - start for start, end in pairwise(self.starts[self.warm_up :])]


def step_times(options: dict[str, Any] | None, steps: int, warm_up: int) -> list[float]:
    """Return processor seconds of each step of the host."""
    pl.seed_everything(0, verbose=False)
    callbacks: list[pl.Callback] = [clock := Clock(warm_up)]
    if options is not None:
        taps = {"x": "generator:output", "z": "generator:input[code]"}
        learner = MutualInformationLearner(**options.get("learner", {}))
        callbacks.append(MutualInformationMonitor(**taps, **{**options, "learner": learner}))
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=2 * steps,
        callbacks=callbacks,
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    host = PlainGAN(
        sample_shape=(1, 8, 8), codes=10, noise_dim=54, hidden_features=(256, 256), lr=2e-4
    )
    trainer.fit(host, DigitImages())
    return clock.seconds()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--warm-up", type=int, default=2, help="steps that are not timed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rounds: dict[str, list[list[float]]] = {name: [] for name in options.settings}
    for _ in range(options.rounds):
        for name in options.settings:
            times = step_times(SETTINGS[name], options.steps, options.warm_up)
            rounds[name].append(times)
    alone = rounds["no monitor"]
    host = fastest(alone)
    print(f"host step without monitor: {1000 * host / len(alone[0]):.2f} ms of processor")
    for name, times in rounds.items():
        ratios = sorted(sum(ours) / sum(theirs) for ours, theirs in zip(times, alone, strict=True))
        print(f"{name:20} x {fastest(times) / host:.2f}  ({ratios[0]:.2f} to {ratios[-1]:.2f})")


def fastest(rounds: list[list[float]]) -> float:
    """Return the time of all steps, each as in the fastest of the rounds."""
    return sum(map(min, zip(*rounds, strict=True)))


if __name__ == "__main__":
    main()
