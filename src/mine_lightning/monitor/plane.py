"""The information plane: what every layer knows of the input and of the target while it learns."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from mine_lightning.monitor.callback import MutualInformationMonitor
from mine_lightning.monitor.learner import MutualInformationLearner
from mine_lightning.monitor.taps import TapFunction

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["InformationPlane"]


class InformationPlane(MutualInformationMonitor):
    r"""Follow :math:`I(X; L)` against :math:`I(L; Y)` for every layer L of a model that trains.

    The curves ``<name>/<layer>/x`` and ``<name>/<layer>/y`` are those of a
    :class:`~mine_lightning.MutualInformationMonitor`, to which all of its text applies, host
    untouched to the bit included. At every epoch's end the plane is drawn into the images of
    TensorBoard, if that is the logger.

    A layer that is a function of the input without noise shares infinitely many nats with it, if
    the input is continuous: its curve lies at the ceiling, and only what it knows of the target
    tells something. Dropout or noise in front of a layer makes both finite.

    References:
        Tishby and Zaslavsky, "Deep Learning and the Information Bottleneck Principle", 2015;
        Saxe et al., "On the Information Bottleneck Theory of Deep Learning", 2018 (what noise has
        to do with it).

    Args:
        layers: Names of submodules, of which the output is taken, or taps.
        x: Where the input comes from.
        y: Where the target comes from.
        name: What the names of the curves begin with, and that of the picture.
        learner: What learns from the pairs, a copy of it from each.
        every_n_steps: Rest until the n-th training batch after a captured one.

    Raises:
        ValueError: If there is no layer, one is named twice, or as of the monitor.

    Example:
        >>> plane = InformationPlane(["encoder", "head:input"])
        >>> plane.curves
        ['plane/encoder/x', 'plane/encoder/y', 'plane/head:input/x', 'plane/head:input/y']
    """

    def __init__(
        self,
        layers: Sequence[str],
        x: str | TapFunction = "batch[0]",
        y: str | TapFunction = "batch[1]",
        name: str = "plane",
        learner: MutualInformationLearner | None = None,
        every_n_steps: int = 4,
    ) -> None:
        if isinstance(layers, str) or not layers or len(set(layers)) < len(layers):
            raise ValueError(
                f"Expected `layers` to be different names of submodules, at least one, got "
                f"{layers!r}."
            )
        taps = {layer: layer if ":" in layer else f"{layer}:output" for layer in layers}
        pairs = {
            f"{layer}/{side}": (x, tap) if side == "x" else (tap, y)
            for layer, tap in taps.items()
            for side in "xy"
        }
        super().__init__(name=name, pairs=pairs, learner=learner, every_n_steps=every_n_steps)
        self.layers = list(layers)
        self.history: dict[str, list[list[float]]] = {layer: [] for layer in self.layers}

    def learned(self) -> dict[str, Any]:
        return {**super().learned(), "history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.history = {layer: list(seen) for layer, seen in state_dict["history"].items()}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Attach; begin anew unless the run itself continues."""
        if trainer.global_step == 0 and not self.resumed:
            self.history = {layer: [] for layer in self.layers}
        super().on_train_start(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Mark where every layer stands, and draw the plane where TensorBoard is the logger."""
        for layer in self.layers:
            x, y = (self.estimate(f"{self.name}/{layer}/{side}").mi for side in "xy")
            self.history[layer].append([float(x), float(y)])
        loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if loggers and trainer.is_global_zero:
            figure = self.plot()
            for logger in loggers:
                logger.experiment.add_figure(self.name, figure, trainer.fit_loop.total_batch_idx)

    def plot(self, ax: "Axes | None" = None) -> Any:
        """Draw the path of every layer, a point for each epoch, the last one large.

        Args:
            ax: Axes to draw into; those of a new figure by default.

        Returns:
            The figure, with nats on both axes.
        """
        from matplotlib.figure import Figure

        axis = Figure(figsize=(6, 4.5), layout="constrained").subplots() if ax is None else ax
        for layer, seen in self.history.items():
            x, y = zip(*seen, strict=True) if seen else ((), ())
            (line,) = axis.plot(x, y, marker=".", alpha=0.5, linewidth=1)
            axis.plot(x[-1:], y[-1:], marker="o", color=line.get_color(), label=layer)
        axis.set(xlabel="I(input; layer), nats", ylabel="I(layer; target), nats")
        axis.legend(frameon=False)
        return axis.figure
