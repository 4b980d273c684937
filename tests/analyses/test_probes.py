"""Probes that analyses share."""

import pytest

from analyses import _models
from analyses._probes import board_probes
from mothello_interp import probes
from mothello_interp.othello import random_games
from tests.conftest import tiny_checkpoint


def test_board_probes_are_fitted_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """For weights and a number of games; what comes from the cache decodes the same; damaged ones are fitted again."""
    asked: list[int] = []
    fit = probes.fit_probes

    def counted(checkpoint: probes.Checkpoint, games: probes.Games, **settings: object) -> probes.Probes:
        asked.append(len(games))
        return fit(checkpoint, games, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(probes, "fit_probes", counted)
    checkpoint = tiny_checkpoint()
    first, second = (board_probes(checkpoint, games=20) for _ in range(2))
    board_probes(checkpoint.untrained(), games=20)
    board_probes(checkpoint, games=30)
    assert asked == [20, 20, 30]
    rows = checkpoint.read(random_games(5, board=4, seed=1), 0).states(1)
    assert (first.predict(rows, 0, 1) == second.predict(rows, 0, 1)).all()
    cached = list(_models.CACHE.glob("probes-*.safetensors"))
    assert len(cached) == 3
    for path in cached:
        path.write_bytes(path.read_bytes()[:-4])
    again = board_probes(checkpoint, games=20)
    assert "damaged" in capsys.readouterr().err
    assert (first.predict(rows, 0, 1) == again.predict(rows, 0, 1)).all()
