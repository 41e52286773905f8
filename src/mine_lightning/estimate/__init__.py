"""One call, one number: the cross-fitted estimate, its interval and what speaks against it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
