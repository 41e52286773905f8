"""Packages that few need: which extra of this one brings them."""

import re

__all__ = ["with_extra"]

EXTRAS = {"distributed": "dask", "dask": "dask", "wandb": "wandb", "mlflow": "mlflow"}


def with_extra(message: str) -> str:
    """Return a message about a missing package, with the command that installs it.

    Example:
        >>> with_extra("No module named 'wandb'")
        "No module named 'wandb': pip install 'mine-lightning[wandb]'"
        >>> with_extra("Requirement 'mlflow>=1.0' not met. HINT: Try running `pip install mlflow`")
        "Requirement 'mlflow>=1.0' not met: pip install 'mine-lightning[mlflow]'"
    """
    told = re.split(r"\.? HINT|\. Try", message)[0]
    missing = [extra for package, extra in EXTRAS.items() if re.search(rf"\b{package}\b", told)]
    return f"{told}: pip install 'mine-lightning[{missing[0]}]'" if missing else message
