"""Lightning is silent about itself, and warns as before."""

import logging
import warnings

import pytest

from mine_lightning.support.remarks import LOGGERS, without_remarks


@pytest.mark.parametrize("name", LOGGERS)
def test_remarks_are_silent_and_warnings_are_not(name: str) -> None:
    logger = logging.getLogger(name)
    logger.setLevel(logging.INFO)
    with without_remarks():
        assert not logger.isEnabledFor(logging.INFO)
        assert logger.isEnabledFor(logging.WARNING)
        with pytest.warns(UserWarning, match="of the user's own"):
            warnings.warn("of the user's own", stacklevel=1)
    assert logger.level == logging.INFO


def test_levels_come_back_after_an_error() -> None:
    logger = logging.getLogger(LOGGERS[0])
    logger.setLevel(logging.DEBUG)
    with pytest.raises(KeyError), without_remarks():
        raise KeyError("stop")
    assert logger.level == logging.DEBUG
