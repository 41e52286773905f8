"""What the monitor costs: step time of the digits GAN with it over without it.

    python benchmarks/monitor.py --steps 200 --rounds 5

Rounds alternate between all settings in one process of one thread; a figure is the median of the
rounds' ratios to the run without a monitor in the same round. Processor time leaves out what other
programs take, elapsed time does not: on an idle machine they agree.
"""

import argparse
import statistics
import time
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
    """Processor and elapsed seconds for each step after the warm-up."""

    def __init__(self, warm_up: int) -> None:
        self.warm_up, self.steps, self.seconds = warm_up, 0, (0.0, 0.0)

    def on_train_batch_start(self, *args: Any) -> None:
        self.steps += 1
        if self.steps == self.warm_up:
            self.start = time.process_time(), time.perf_counter()

    def on_train_end(self, *args: Any) -> None:
        steps = self.steps - self.warm_up + 1
        processor, elapsed = self.start
        self.seconds = (
            (time.process_time() - processor) / steps,
            (time.perf_counter() - elapsed) / steps,
        )


def step_time(options: dict[str, Any] | None, steps: int) -> tuple[float, float]:
    """Return processor and elapsed seconds for each step of the host."""
    pl.seed_everything(0, verbose=False)
    callbacks: list[pl.Callback] = [clock := Clock(steps // 10)]
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
    return clock.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    ratios: dict[str, list[tuple[float, float]]] = {name: [] for name in options.settings}
    for _ in range(options.rounds):
        times = {name: step_time(SETTINGS[name], options.steps) for name in options.settings}
        alone = times["no monitor"]
        for name, seconds in times.items():
            ratios[name].append((seconds[0] / alone[0], seconds[1] / alone[1]))
    print(f"host step without monitor: {1000 * alone[0]:.2f} ms of processor in the last round")
    print(f"{'setting':20} processor (rounds)         elapsed (rounds)")
    for name, rounds in ratios.items():
        columns = (
            f"x {statistics.median(values):.2f}  ({min(values):.2f} to {max(values):.2f})    "
            for values in zip(*rounds, strict=True)
        )
        print(f"{name:20} {''.join(columns)}")


if __name__ == "__main__":
    main()
