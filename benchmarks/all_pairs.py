"""Steps per second of all-pairs InfoNCE with a concat critic, beside torch-mist and benchmark-mi.

One step is a forward pass over all pairs of 256 rows of 5 + 5 dimensions through hidden layers of
64 and 64, the backward pass, and Adam, on one core. The packages take turns, so that a busy machine
slows all of them; the figure is the median over the turns.

    pip install torch-mist benchmark-mi    # peers, each is left out where it is not installed
    python benchmarks/all_pairs.py
"""

import argparse
import importlib.util
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

HIDDEN, DIMS, ROWS, LEARNING_RATE = (64, 64), 5, 256, 1e-3


def batch() -> torch.Tensor:
    """Draw x and z, shape ``(2, 256, 5)``."""
    return torch.randn(2, ROWS, DIMS)


def mine_lightning() -> Callable[[], float]:
    from mine_lightning.critics.networks import ConcatCritic
    from mine_lightning.objectives import InfoNCE
    from mine_lightning.objectives.scores import split_pairs

    critic, objective = ConcatCritic(HIDDEN), InfoNCE()
    critic(*batch())
    optimizer = torch.optim.Adam(critic.parameters(), lr=LEARNING_RATE)

    def step() -> float:
        x, z = batch()
        loss = objective.loss(*split_pairs(critic(x.unsqueeze(1), z.unsqueeze(0))))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def torch_mist() -> Callable[[], float]:
    from torch_mist.critic import joint_critic
    from torch_mist.estimators.discriminative.implementations.infonce import InfoNCE

    estimator = InfoNCE(joint_critic(DIMS, DIMS, list(HIDDEN)), neg_samples=0)
    optimizer = torch.optim.Adam(estimator.parameters(), lr=LEARNING_RATE)

    def step() -> float:
        loss = estimator.loss(*batch())  # fresh rows: it caches by value
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def benchmark_mi() -> Callable[[], float]:
    import jax
    import optax
    from bmi.estimators.neural._backend_quadratic_memory import infonce
    from bmi.estimators.neural._critics import MLP

    critic = MLP(jax.random.PRNGKey(0), DIMS, DIMS, HIDDEN)
    optimizer = optax.adam(LEARNING_RATE)
    state = [critic, optimizer.init(critic)]

    @jax.jit
    def update(critic, opt_state, x, y):
        loss, gradient = jax.value_and_grad(lambda critic: -infonce(critic, x, y))(critic)
        updates, opt_state = optimizer.update(gradient, opt_state, critic)
        return optax.apply_updates(critic, updates), opt_state, loss

    def step() -> float:
        *state[:], loss = update(*state, *(values.numpy() for values in batch()))
        return float(loss)

    return step


PEERS = {"mine-lightning": mine_lightning, "torch-mist": torch_mist, "benchmark-mi": benchmark_mi}
MODULES = {"torch-mist": "torch_mist", "benchmark-mi": "bmi"}


def build() -> dict[str, Callable[[], float]]:
    """Return a step of each installed package, warmed up."""
    steps = {}
    for name, factory in PEERS.items():
        if name in MODULES and importlib.util.find_spec(MODULES[name]) is None:
            print(f"{name} is not installed")
            continue
        torch.manual_seed(0)
        steps[name] = factory()
        for _ in range(3):
            steps[name]()
    return steps


def measure(step: Callable[[], float], count: int) -> tuple[float, float]:
    """Return seconds of the clock and of the processor for one step."""
    clock, processor = time.perf_counter(), time.process_time()
    for _ in range(count):
        step()
    return (time.perf_counter() - clock) / count, (time.process_time() - processor) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--steps", type=int, default=10, help="steps in one turn")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    steps = build()
    seconds = {name: [] for name in steps}
    for _ in range(options.turns):
        for name, step in steps.items():
            seconds[name].append(measure(step, options.steps))
    rows = []
    for name, turns in seconds.items():
        clock, processor = (statistics.median(values) for values in zip(*turns, strict=True))
        rows.append({"package": name, "steps_per_s": 1 / clock, "steps_per_cpu_s": 1 / processor})
    for row in rows:
        for key in ("steps_per_s", "steps_per_cpu_s"):
            row[f"ratio_{key}"] = rows[0][key] / row[key]
        print(
            f"{row['package']:15}{row['steps_per_s']:8.1f} steps/s{row['steps_per_cpu_s']:8.1f} "
            f"steps/CPU s   mine-lightning is {row['ratio_steps_per_s']:.2f} "
            f"({row['ratio_steps_per_cpu_s']:.2f}) times as fast"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
