"""The table of which pairs of columns are estimated."""

import pandas as pd
import pytest

from shared import drawn


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return drawn(0)
