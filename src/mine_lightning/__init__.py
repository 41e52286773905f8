"""Mutual information neural estimation as native PyTorch Lightning.

What is public stands in ``__init__.pyi``; it is imported when it is first used.
"""

from importlib.metadata import version

import lazy_loader

__version__ = version("mine-lightning")
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
