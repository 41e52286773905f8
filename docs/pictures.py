"""Make the pictures of the README and of the pages.

    python docs/pictures.py                  # all of them, several minutes
    python docs/pictures.py overview gan     # some

They are written to ``docs/pictures``.
"""

import json
import logging
import math
import sys
from base64 import b64decode
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import LightningDataModule, Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger
from matplotlib.figure import Figure
from sklearn.datasets import load_wine
from torch.nn.functional import pad

from mine_lightning import (
    MINE,
    NWJ,
    SMILE,
    InfoNCE,
    InterpolatedBound,
    JensenShannonNWJ,
    MutualInformationMatrix,
    MutualInformationMonitor,
    Objective,
    SeparableCritic,
    estimate_mutual_information,
    mutual_information_matrix,
)
from mine_lightning.data import GaussianPairs
from mine_lightning.demos import DigitImages, GaussianGrid, MutualInformationGAN, PlainGAN
from mine_lightning.objectives.scores import split_pairs

FOLDER = Path(__file__).parent / "pictures"
NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
STEPS, DIGIT_STEPS = 600, 5000  # of the GANs
LEVELS, CLIMB, WINDOW = (2, 4, 6, 8, 10), 800, 100  # bits, steps at each, steps pooled
SHORT_NAMES = {"od280/od315_of_diluted_wines": "od280"}
MEASURED = ["flavanoids", "color_intensity", "proline"]


def ring(rows: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Draw points near a circle: no correlation, and much information."""
    random = np.random.default_rng(0)
    t = random.uniform(0, 2 * math.pi, rows)
    noise = random.normal(0, 0.1, (2, rows))
    return np.cos(t) + noise[0], np.sin(t) + noise[1]


def pair() -> Figure:
    """Two columns: the rows, each with its share, and the learning curve."""
    return estimate_mutual_information(*ring(), progress_bar=False).plot()


@cache
def wine() -> MutualInformationMatrix:
    data = load_wine(as_frame=True)
    frame = data.data.rename(columns=SHORT_NAMES)[MEASURED]
    frame["cultivar"] = pd.Categorical(data.target_names[data.target])
    return mutual_information_matrix(frame)


def matrix() -> Figure:
    """All pairs of columns of a table."""
    return wine().plot()


def train(model: PlainGAN, data: LightningDataModule, steps: int) -> pd.DataFrame:
    """Train a GAN with a monitor, and return its logged curves."""
    monitor = MutualInformationMonitor(x="generator:output", z="generator:input[code]")
    with TemporaryDirectory() as folder:
        logger = CSVLogger(folder)
        trainer = Trainer(
            accelerator="cpu", max_epochs=math.ceil(steps / len(data.train_dataloader())),
            callbacks=[monitor], logger=logger,
            enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
        )  # fmt: skip
        trainer.fit(model, data)
        curve = pd.read_csv(f"{logger.log_dir}/metrics.csv").dropna(subset="mi")
    curve["step"] *= steps / curve["step"].max()
    return curve


@cache
def points(host: type[PlainGAN]) -> tuple[pd.DataFrame, torch.Tensor]:
    """Train a GAN on 25 Gaussians; return its curves and samples."""
    seed_everything(1, verbose=False)
    model = host(decay_steps=STEPS)
    curve = train(model, GaussianGrid(steps_per_epoch=STEPS), STEPS)
    with torch.no_grad():
        return curve, model(2500)


def images(host: type[PlainGAN], **options: float) -> tuple[pd.DataFrame, torch.Tensor]:
    """Train a GAN on digits; return its curves and a table of images, a row for each code."""
    seed_everything(0, verbose=False)
    model = host(
        sample_shape=(1, 8, 8), codes=10, noise_dim=16, hidden_features=(256, 256),
        decay_steps=DIGIT_STEPS, **options,
    )  # fmt: skip
    curve = train(model, DigitImages(), DIGIT_STEPS)
    codes, noise = torch.eye(10).repeat_interleave(10, 0), torch.randn(10, 16).repeat(10, 1)
    with torch.no_grad():
        drawn = pad(model.generator(codes, noise)[:, 0], (1, 1, 1, 1), value=-1.0)
    return curve, drawn.view(10, 10, 10, 10).transpose(1, 2).reshape(100, 100)


def draw_information(axes: Any, curves: list[pd.DataFrame], codes: int) -> None:
    """Draw the monitor's curves of both GANs."""
    most = math.log(codes)
    for curve, label in zip(curves, ("GAN", "with the term"), strict=True):
        step, nats, band = curve["step"], curve["mi"], 2 * curve["mi_standard_error"]
        (line,) = axes.plot(step, nats, label=label)
        axes.fill_between(step, nats - band, nats + band, color=line.get_color(), alpha=0.2, lw=0)
    axes.axhline(most, color="black", linestyle="--", linewidth=1)
    axes.annotate("all that the code says", (curve["step"].max(), most), ha="right", va="bottom")
    axes.set(xlabel="step of the GAN", ylabel="I(code; sample), nats", ylim=(-0.07 * most, None))
    axes.legend(frameon=False, loc="center left")


def gan() -> Figure:
    """What a GAN generates, its losses and what its generator tells about its code."""
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    without, with_term, losses, information = figure.subplots(1, 4)
    centers = GaussianGrid().centers
    for axes, host, title in (
        (without, PlainGAN, "GAN"),
        (with_term, MutualInformationGAN, "GAN + mutual information"),
    ):
        curve, samples = points(host)
        axes.scatter(*centers.T, marker="+", color="black", linewidth=0.8)
        axes.scatter(*samples.T, s=2, alpha=0.5)
        axes.set(title=title, xticks=[], yticks=[], aspect="equal")
        losses.plot(curve["step"], curve["g_loss"].rolling(5).mean(), label=title)
    losses.set(xlabel="step of the GAN", ylabel="loss of the generator", title="what the loss says")
    losses.legend(frameon=False)
    draw_information(
        information, [points(host)[0] for host in (PlainGAN, MutualInformationGAN)], 64
    )
    information.set_title("what the monitor says")
    return figure


def digits() -> Figure:
    """The same on handwritten digits, over a whole training."""
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    without, with_term, information = figure.subplots(1, 3, width_ratios=(1, 1, 1.2))
    plain, drawn = images(PlainGAN, lr=1e-3)
    termed, drawn_with_term = images(MutualInformationGAN, lr=1e-3, mi_weight=0.3)
    for axes, table, title in (
        (without, drawn, "GAN"),
        (with_term, drawn_with_term, "GAN + mutual information"),
    ):
        axes.imshow(table, cmap="gray_r", vmin=-1, vmax=1)
        axes.set(title=title, xticks=[], yticks=[], xlabel="noise", ylabel="code")
    draw_information(information, [plain, termed], 10)
    information.set_title("what the monitor says")
    return figure


def plane() -> bytes:
    """The information plane, as the notebook about it drew it."""
    cells = json.loads((NOTEBOOKS / "information_plane.ipynb").read_text())["cells"]
    drawn = (output.get("data", {}) for cell in cells for output in cell.get("outputs", []))
    return b64decode(next(data["image/png"] for data in drawn if "image/png" in data))


def overview() -> Figure:
    """The picture of the README: two columns, a table, a model."""
    figure = Figure(figsize=(15, 4.2), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, width_ratios=(1, 1.25, 1.1))
    x, z = ring()
    result = estimate_mutual_information(x, z, progress_bar=False)
    low, high = result.interval()
    axes = left.subplots()
    axes.scatter(x, z, c=result.pointwise, s=3, cmap="coolwarm", vmin=-3, vmax=3)
    axes.set(xlabel="x", ylabel="z", aspect="equal")
    correlation = np.corrcoef(x, z)[0, 1]
    axes.set_title(
        f"correlation {correlation:.2f}\nmutual information {result.nats:.2f} nats "
        f"[{low:.2f}, {high:.2f}]"
    )
    wine().plot(middle).suptitle("all pairs of a table", fontsize=12)
    axes = right.subplots()
    draw_information(axes, [points(host)[0] for host in (PlainGAN, MutualInformationGAN)], 64)
    axes.set_title("a generative network,\nwatched while it trains")
    return figure


def climb(objective: Objective) -> np.ndarray:
    """Train on the staircase; return the bits pooled over every window, by level."""
    critic = SeparableCritic(hidden_features=[128, 128])
    critic(*GaussianPairs(20, target=1.0).sample(2))
    optimizer = torch.optim.Adam([*critic.parameters(), *objective.parameters()], lr=1e-3)
    bits, window = [], []
    for level in LEVELS:
        pairs = GaussianPairs(20, target=level * math.log(2))
        for _ in range(CLIMB):
            x, z = pairs.sample(64)
            joint, marginal = split_pairs(critic(x.unsqueeze(1), z.unsqueeze(0)))
            optimizer.zero_grad()
            objective.loss(joint, marginal).backward()
            optimizer.step()
            window.append((joint.detach(), marginal.detach()))
            if len(window) == WINDOW:
                bits.append(objective.pooled_estimate(window).item() / math.log(2))
                window.clear()
    return np.array(bits).reshape(len(LEVELS), -1)


def staircase() -> Figure:
    """Bias and spread of the objectives on normal pairs of 2 to 10 bits."""
    objectives = {
        "MINE": MINE(ma_rate=0.1),
        "MINE, stable": MINE(ma_rate=0.1, stable=True),
        "NWJ": NWJ(),
        "InfoNCE": InfoNCE(),
        "interpolated, alpha 0.1": InterpolatedBound(alpha=0.1),
        "Jensen-Shannon, NWJ": JensenShannonNWJ(),
        "SMILE, tau 5": SMILE(tau=5.0),
    }
    figure = Figure(figsize=(11, 4), layout="constrained")
    bias, spread = figure.subplots(1, 2)
    for marker, (name, objective) in zip("os^vDPX", objectives.items(), strict=True):
        torch.manual_seed(0)
        last = climb(objective)[:, -CLIMB // WINDOW // 2 :]
        bias.plot(LEVELS, last.mean(1) - LEVELS, marker=marker, label=name)
        spread.plot(LEVELS, last.std(1), marker=marker)
    bias.axhline(0, color="black", linewidth=1)
    bias.set(xlabel="truth (bits)", ylabel="bias (bits)", ylim=(-6.5, 2))
    spread.set(xlabel="truth (bits)", ylabel="spread between windows (bits)", ylim=(0, 1))
    figure.legend(loc="outside right center", frameon=False)
    return figure


PICTURES: tuple[Callable[[], Figure | bytes], ...] = (
    overview, pair, matrix, gan, digits, plane, staircase,
)  # fmt: skip


def main(names: list[str]) -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    for picture in PICTURES:
        if not names or picture.__name__ in names:
            path = FOLDER / f"{picture.__name__}.png"
            drawn = picture()
            if isinstance(drawn, bytes):
                path.write_bytes(drawn)
            else:
                drawn.savefig(path, dpi=110)
            print(path)


if __name__ == "__main__":
    main(sys.argv[1:])
