"""What all tests of training share."""

from typing import Any

import pytest

from train import pretrain as module


@pytest.fixture(autouse=True, scope="module")
def _few_games() -> Any:
    """Measure on fewer games than a real run does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_EVALUATION_GAMES", 40)
        patch.setattr(module, "FINAL_GAMES", 40)
        yield
