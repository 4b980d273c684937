"""Activations as data: labels of the right player, and files that hold what memory held, in constant memory."""

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mothello_interp import collect, random_games, read_activations, storage, write_activations
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games
from tests.conftest import every_world, tiny_checkpoint
from tests.othello import reference
from tests.test_activations import some_games


def test_labels_are_of_the_player_who_moves_next(checkpoint: Checkpoint) -> None:
    """By the reference engine, on games with passes and ends."""
    games = some_games()
    acts = collect(checkpoint, games)
    rows = acts.numpy(1, 0)
    assert np.array_equal(rows["activation"], acts.at(1, 0))
    assert set(rows["language"]) == {1}
    passes = 0
    for row, (game, move) in enumerate(zip(rows["game"], rows["move"], strict=True)):
        *_, before, after = reference.positions(games.moves[game, : move + 1].tolist(), 4)
        discs = np.array([after.discs.get(divmod(square, 4), 0) for square in range(16)])
        assert (rows["mover"][row], rows["next_mover"][row]) == (before.mover, after.mover)
        assert rows["square"][row] == games.moves[game, move]
        assert np.array_equal(rows["absolute"][row], 1 + discs)
        assert np.array_equal(rows["relative"][row], 1 + after.mover * discs if after.mover else np.full(16, -1))
        assert [divmod(square, 4) for square in np.flatnonzero(rows["legal"][row])] == after.legal
        passes += before.mover == after.mover
    assert passes
    assert (rows["next_mover"] == 0).any()


@every_world
def test_a_file_holds_what_memory_holds(world: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_PART", 7)
    checkpoint, games = tiny_checkpoint(world), some_games()
    path = write_activations(tmp_path / "a.parquet", checkpoint, games, layers=[1, -1])
    acts = collect(checkpoint, games)
    for language in acts.languages:
        for layer in (1, -1):
            parts = list(read_activations(path, language, layer))
            assert len(parts) == 4
            for name, expected in acts.numpy(language, layer).items():
                found = np.concatenate([part[name] for part in parts])
                assert found.dtype == expected.dtype
                np.testing.assert_allclose(found, expected, atol=1e-5)
    table = pd.read_parquet(path)
    assert len(table) == len(acts.game) * len(acts.languages)
    assert len(table["layer_1"][0]) == 16
    with pytest.raises(ValueError, match=r"layer 0 is not in .* at layers \[1, -1\]"):
        read_activations(path, acts.languages[0], 0)


def test_what_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    for games, languages in ((some_games()[:0], None), (some_games(), [])):
        with pytest.raises(ValueError, match="nothing to write"):
            write_activations(tmp_path / "a.parquet", checkpoint, games, languages=languages)
    with pytest.raises(ValueError, match="layer 5: this model has"):
        write_activations(tmp_path / "a.parquet", checkpoint, some_games(), layers=5)
    assert not list(tmp_path.iterdir())
    (tmp_path / "text").write_text("no", encoding="utf-8")
    pd.DataFrame({"moves": [1]}).to_parquet(tmp_path / "other")
    for name, message in (("text", "holds no activations"), ("other", "its metadata has no")):
        with pytest.raises(ValueError, match=message):
            read_activations(tmp_path / name, 0, 0)


def test_memory_does_not_grow_with_the_games(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """Of Python and numpy, and of pyarrow."""

    def peak(games: Games) -> int:
        path = write_activations(tmp_path / "a.parquet", checkpoint, games, layers=0)
        tracemalloc.start()
        arrow = 0
        write_activations(path, checkpoint, games, layers=0)
        for _ in read_activations(path, 0, 0):
            arrow = max(arrow, pa.total_allocated_bytes())
        most = tracemalloc.get_traced_memory()[1] + arrow
        tracemalloc.stop()
        return most

    few, many = (peak(random_games(n, board=4, seed=1)) for n in (500, 4000))
    rows = 4000 * 11 * 16 * 4  # bytes of activations
    assert many - few < rows / 4
