"""Rows of planted languages need no model."""

from typing import Any, cast

import pytest

from mothello_interp import alignment
from mothello_interp.activations import Activations, collect
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games
from tests.alignment.scene import Code, written


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    def collect_planted(checkpoint: Checkpoint, games: Games, **wanted: Any) -> Activations:
        if checkpoint.name == "planted":
            return written(cast(Code, checkpoint.model), games, **wanted)
        return collect(checkpoint, games, **wanted)

    monkeypatch.setattr(alignment, "collect", collect_planted)
