"""Modes that a GAN captures on the grid of 25 Gaussians, without and with a term of MI.

    python benchmarks/modes.py --steps 8000 --seeds 0 1 2 3 4

Both GANs have the same generator, discriminator, latent, optimizer settings and number of steps. A
mode counts with at least 10 of 2,500 samples within 3 standard deviations of its centre; a sample
is of high quality within 3 standard deviations of any centre.
"""

import argparse
import time

import lightning.pytorch as pl
import torch

from mine_lightning.demos import GaussianGrid, MutualInformationGAN, PlainGAN

SAMPLES = 2500


def run(host: type[PlainGAN], seed: int, steps: int) -> tuple[int, float]:
    """Train one GAN and return its modes and its share of samples of high quality."""
    pl.seed_everything(seed, verbose=False)
    data, model = GaussianGrid(steps_per_epoch=steps), host(decay_steps=steps)
    trainer = pl.Trainer(barebones=True, accelerator="cpu", max_epochs=1)
    trainer.fit(model, data)
    with torch.no_grad():
        return data.coverage(model(SAMPLES))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--seeds", type=int, nargs="+", default=range(5))
    parser.add_argument("--hosts", nargs="+", default=["PlainGAN", "MutualInformationGAN"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    hosts = {host.__name__: host for host in (PlainGAN, MutualInformationGAN)}
    for name in options.hosts:
        results = []
        for seed in options.seeds:
            start = time.perf_counter()
            results.append(run(hosts[name], seed, options.steps))
            modes, quality = results[-1]
            seconds = time.perf_counter() - start
            print(f"{name:22} seed {seed}  modes {modes:2}  quality {quality:.3f}  {seconds:.0f} s")
        modes, quality = torch.tensor(results).mean(0).tolist()
        print(f"{name:22} mean    modes {modes:.1f}  quality {quality:.3f}", flush=True)


if __name__ == "__main__":
    main()
