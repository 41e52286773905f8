"""Kill a run with SIGKILL at random moments, resume it each time, compare with the whole run.

    python benchmarks/interruptions.py --kills 10

Both runs are `mine-lightning fit` of the same configuration. Compared bit by bit: parameters,
buffers (the moving average among them), optimizer and scheduler states, the place in the data, the
selected model, and the estimate on the test rows. The exit status is 1 if anything differs.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

CONFIG = """
seed_everything: 0
model:
  class_path: mine_lightning.MutualInformationEstimator
  init_args:
    critic:
      class_path: mine_lightning.ConcatCritic
      init_args: {hidden_features: [16]}
    objective:
      class_path: mine_lightning.MINE
      init_args: {ma_rate: 0.01}
    optimizer: {class_path: torch.optim.Adam, init_args: {lr: 0.001}}
    lr_scheduler: {class_path: torch.optim.lr_scheduler.ExponentialLR, init_args: {gamma: 0.97}}
data:
  class_path: mine_lightning.GaussianDataModule
  init_args: {correlation: 0.8, batch_size: 64, %s}
trainer:
  accelerator: cpu
  deterministic: true
  enable_progress_bar: false
  enable_model_summary: false
  max_epochs: %d
  callbacks:
    - class_path: lightning.pytorch.callbacks.ModelCheckpoint
      init_args: {monitor: val/mi, mode: max}
    - class_path: lightning.pytorch.callbacks.EarlyStopping
      init_args: {monitor: val/mi, mode: max, patience: 1000}
    - class_path: mine_lightning.callbacks.checkpoints.RestartCheckpoint
      init_args: {every_n_steps: 50}
"""
DATA = {
    "fixed sample": "rows: 10000",
    "fresh draws": "rows: null, batches_per_epoch: 100, eval_rows: 2000",
}


def command(folder: Path, checkpoint: Path | None) -> list[str]:
    """Return the command that starts or resumes the run in a folder."""
    resume = [] if checkpoint is None else ["--ckpt_path", str(checkpoint)]
    config = ["--config", str(folder / "run.yaml")]
    return [sys.executable, "-m", "mine_lightning", "fit", *config, *resume]


def finish(folder: Path, checkpoint: Path | None = None) -> str:
    """Run to the end; return the line with the estimate."""
    done = subprocess.run(
        command(folder, checkpoint), cwd=folder, capture_output=True, text=True, timeout=3000
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return next(line for line in done.stdout.splitlines() if line.startswith("estimate"))


def modified(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def kill_once(folder: Path, last: Path, checkpoints: int, delay: float) -> bool:
    """Start or resume, wait for some checkpoints and a moment, kill; return whether it ran."""
    before = seen = modified(last)
    process = subprocess.Popen(
        command(folder, last if before else None),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while checkpoints and process.poll() is None:
        time.sleep(0.001)
        checkpoints -= modified(last) != seen
        seen = modified(last)
    time.sleep(delay)
    running = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return running


def load(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def differences(a: Any, b: Any, place: str = "") -> list[str]:
    """Name every place at which two checkpoints differ in a bit."""
    if isinstance(a, dict) and isinstance(b, dict):
        keys = sorted({*a, *b}, key=str)
        pairs = [(a.get(key, "missing"), b.get(key, "missing"), f"{place}/{key}") for key in keys]
    elif isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        pairs = [(x, y, f"{place}/{i}") for i, (x, y) in enumerate(zip(a, b, strict=True))]
    elif isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return [] if torch.equal(a, b) else [place]
    else:
        return [] if a == b else [f"{place}: {a} and {b}"]
    return [difference for pair in pairs for difference in differences(*pair)]


def best_of(checkpoint: dict[str, Any]) -> str:
    states = checkpoint["callbacks"].values()
    return next(state["best_model_path"] for state in states if "best_model_path" in state)


def run(data: str, kills: int, epochs: int, seed: int, folder: Path) -> dict[str, Any]:
    whole, broken = folder / "whole", folder / "broken"
    for run_folder in (whole, broken):
        run_folder.mkdir()
        (run_folder / "run.yaml").write_text(CONFIG % (DATA[data], epochs))
    expected = finish(whole)
    last = Path("lightning_logs/version_0/checkpoints/last.ckpt")
    moments, steps = random.Random(seed), []
    for number in range(kills):
        most = max(1, 3 * epochs // kills)  # an epoch writes about two checkpoints
        ran = kill_once(broken, broken / last, moments.randint(1, most), moments.uniform(0, 0.1))
        for path in broken.rglob("*.ckpt"):
            load(path)
        steps.append(load(broken / last)["global_step"])
        state = "killed" if ran else "had ended"
        print(f"{data}: {number + 1:2d} {state}, last checkpoint at step {steps[-1]}", flush=True)
    reported = finish(broken, broken / last)
    parts = ("state_dict", "optimizer_states", "lr_schedulers", "loops", "callbacks", "global_step")
    a, b = load(whole / last), load(broken / last)
    found = differences({p: a[p] for p in parts}, {p: b[p] for p in parts})
    best = [load(f / best_of(state)) for f, state in ((whole, a), (broken, b))]
    found += differences(best[0]["state_dict"], best[1]["state_dict"], "best")
    found += differences(expected, reported, "estimate")
    return {
        "data": data,
        "kills": kills,
        "killed_after_steps": steps,
        "steps": a["global_step"],
        "estimate": [expected, reported],
        "differences": found,
    }


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", choices=list(DATA), nargs="*", default=list(DATA))
    parser.add_argument("--output", type=Path, default=None)
    given = parser.parse_args()
    results = []
    for data in given.data:
        with tempfile.TemporaryDirectory() as folder:
            results.append(run(data, given.kills, given.epochs, given.seed, Path(folder)))
    for result in results:
        outcome = "; ".join(result["differences"]) or "identical bit by bit"
        print(f"{result['data']}: {result['kills']} kills in {result['steps']} steps: {outcome}")
    if given.output is not None:
        given.output.write_text(json.dumps(results, indent=2) + "\n")
    return int(any(result["differences"] for result in results))


if __name__ == "__main__":
    sys.exit(main())
