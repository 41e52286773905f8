"""What the releases of jsonargparse call differently."""

from typing import Any

from jsonargparse import ArgumentParser, Namespace


def instantiate(parser: ArgumentParser, parsed: Namespace) -> Any:
    """Build the objects: older releases say ``instantiate_classes``, which newer ones deprecate."""
    name = "instantiate" if hasattr(parser, "instantiate") else "instantiate_classes"
    return getattr(parser, name)(parsed)
