"""What a model still knows in every language, from players that are known, and from brute force."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from mothello_interp.legality import legal_accuracy, summary, top1
from mothello_interp.models import Checkpoint
from mothello_interp.othello import random_games, replay
from mothello_interp.reading import Reading
from mothello_interp.transfer import transfer_state
from tests.cases import next_token
from tests.conftest import every_world, tiny_checkpoint, tiny_spec
from tests.players import player, prefixes, tokens_of

GAMES = random_games(30, board=4, seed=5)
FIT = random_games(60, board=4, seed=6)


def first_legal_player(world: str, output: int) -> Checkpoint:
    """Plays the first legal square and writes it in one language, whichever it is given."""
    spec, legal = tiny_spec(world), replay(GAMES).legal
    known: dict[tuple[int, ...], int] = {}  # the next token after some tokens
    for language in spec.mothello.inputs:
        for game, move, tokens in prefixes(spec.mothello, GAMES, language):
            word = tokens_of(spec.mothello, output, int(np.flatnonzero(legal[game, move + 1])[0]))
            for piece, token in enumerate(word):
                known.setdefault((*tokens, *word[:piece]), token)

    def logits(tokens: tuple[int, ...]) -> np.ndarray:
        return 50.0 * (np.arange(spec.mothello.d_vocab) == known.get(tokens, -1))

    return player(spec, logits)


def score(reading: Reading, outputs: Sequence[int] | None) -> float:
    """Top-1 legality over the proper prefixes."""
    return float(top1(reading, outputs)[:, :-1][GAMES.moves[:, 1:] >= 0].mean())


@pytest.mark.parametrize("world", ["atomic", "compositional", "split"])
def test_the_output_language_is_lost_and_the_game_is_not(world: str) -> None:
    """A player who writes language 0 whatever is given: legal in some language's tokens, not in its own."""
    own, other = first_legal_player(world, 0).readings(GAMES)
    assert score(own, None) == score(own, [0, 1]) == 1
    complete = 1 if world != "split" else 0.95  # at the end of the context there is no room for a longer move
    assert score(other, [0, 1]) == score(other, [0]) >= complete
    lost = score(other, None)
    assert lost == score(other, [1])
    assert lost < 0.3  # what is left are anchors
    masses = other.output_language_mass()[:, :-1][GAMES.moves[:, 1:] >= 0]
    anchored = 0 if world == "split" else masses[:, -1].mean()
    assert masses[:, 0].mean() + anchored > 0.99
    assert masses[:, 1].max() < 1e-6


@every_world
def test_greedy_moves_count_in_the_output_language_by_default(world: str) -> None:
    checkpoint = tiny_checkpoint(world)
    for reading in checkpoint.readings(GAMES):
        expected = reading.greedy_moves()
        assert np.array_equal(reading.greedy_moves([reading.output]), expected)
        every = reading.greedy_moves(range(len(checkpoint.mothello.languages)))
        assert np.array_equal(every[expected >= 0], expected[expected >= 0])


@every_world
def test_output_language_mass_is_that_of_the_next_token(world: str) -> None:
    """Prefix by prefix, token by token."""
    checkpoint, games = tiny_checkpoint(world), GAMES[:4]
    mothello = checkpoint.mothello
    shared = {token for square, group in mothello.groups for token in mothello.move_tokens[group[0], square]}
    for reading in checkpoint.readings(games):
        expected = np.zeros((*games.moves.shape, len(mothello.languages) + 1))
        for game, move, tokens in prefixes(mothello, games, reading.language):
            for token, chance in enumerate(next_token(checkpoint, torch.tensor([tokens]))):
                owner = int(mothello.vocabulary[token].split(":")[0]) if token and token not in shared else -1
                expected[game, move, owner] += chance
        np.testing.assert_allclose(reading.output_language_mass(), expected, atol=1e-5)


@every_world
def test_the_state_of_a_model(world: str) -> None:
    """One row a language; legality as `legal_accuracy` has it, masses that make 1, alignment of the source with itself."""
    checkpoint = tiny_checkpoint(world)
    mothello = checkpoint.mothello
    source = mothello.inputs[0]
    table = transfer_state(checkpoint, source=source, fit=FIT, score=GAMES, seed=0).set_index("language")
    assert list(table.index) == list(mothello.inputs)
    expected = summary(legal_accuracy(checkpoint.readings(GAMES), mass=False)).set_index("language")["top1"]
    np.testing.assert_allclose(table["top1"], expected)
    assert (table["top1_any"] >= table["top1"]).all()
    masses = table[["mass_own", "mass_source", "mass_anchors", "mass_other"]]
    np.testing.assert_allclose(masses.sum(axis=1), 1, atol=1e-5)
    assert (masses > -1e-5).all().all()
    assert table.loc[source, "mass_source"] == 0
    assert table["alignment"].to_dict()[source] == table["ceiling"].to_dict()[source]
    assert table["ceiling"].nunique() == 1
    assert (table["low"] <= table["alignment"]).all()
    assert (table["alignment"] <= table["high"]).all()
    images = ["alignment_diagonal", "alignment_antidiagonal", "alignment_half_turn"]
    assert table[images].nunique(axis=1).min() == 3


def test_unified_languages_are_continued_in_the_output() -> None:
    """The source is continued in the same language, so nothing is left for it apart."""
    table = transfer_state(tiny_checkpoint("unified"), source=1, fit=FIT, score=GAMES, seed=0)
    assert (table["mass_source"] == 0).all()
    assert list(table["language"]) == [1, 2]
