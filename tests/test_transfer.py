"""What a model still knows in every language, from a model whose words are planted, and from brute force."""

from typing import Any

import numpy as np
import pytest
import torch

from mothello_interp.legality import answer_masses, legal_accuracy, next_moves, summary
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games, random_games, replay
from mothello_interp.transfer import transfer_state
from tests.conftest import WORLDS, every_world, tiny_checkpoint, tiny_spec

GAMES = random_games(30, board=4, seed=5)
FIT = random_games(60, board=4, seed=6)


class Speaker(torch.nn.Module):
    """A model that knows the rules and goes on in one language, whatever it reads; or in any legal word of several."""

    def __init__(self, world: str, games: Games, says: dict[int, int]):
        super().__init__()
        self.spec = tiny_spec(world)
        self.says = says  # language read -> language answered in
        self.W_E = torch.zeros(1)
        self.known: dict[tuple[int, ...], np.ndarray] = {}
        mothello, legal = self.spec.mothello, replay(games).legal
        for language, answer in says.items():
            encoded = mothello.encode(games, language)
            for game, moves in enumerate(games.moves):
                for move in range(int((moves >= 0).sum()) - 1):
                    prefix = tuple(encoded.tokens[game, : encoded.last[game, move] + 1].tolist())
                    square = int(np.flatnonzero(legal[game, move + 1])[0])
                    self.known[prefix] = mothello.move_tokens[answer, square]

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Certain of the next token of the word that it is in, if it is in one."""
        logits = torch.zeros(*tokens.shape, self.spec.mothello.d_vocab)
        for row, text in enumerate(tokens.tolist()):
            for end in range(len(text)):
                for back in range(3):
                    word = self.known.get(tuple(text[: end + 1 - back]))
                    spoken = text[end + 1 - back : end + 1]
                    if word is not None and word[:back].tolist() == spoken and back < (word != 0).sum():
                        logits[row, end, word[back]] = 50.0
        return logits


def speaker(world: str, says: dict[int, int]) -> Checkpoint:
    return Checkpoint(Speaker(world, GAMES, says), tiny_spec(world))  # type: ignore[arg-type]


def total(checkpoint: Checkpoint, games: Games, language: int, answers: Any) -> float:
    named = next_moves(checkpoint, games, language, answers=answers)[:, :-1]
    legal = replay(games).legal[:, 1:-1]
    hit = np.take_along_axis(legal, np.maximum(named, 0)[..., None], 2)[..., 0] & (named >= 0)
    return float(hit[games.moves[:, 1:] >= 0].mean())


@pytest.mark.parametrize("world", ["atomic", "compositional", "split"])
def test_a_tongue_is_lost_and_the_game_is_not(world: str) -> None:
    """A model that answers in language 0 whatever it reads: legal in some language's words, not in its own."""
    model = speaker(world, {0: 0, 1: 0})
    assert total(model, GAMES, 0, None) == total(model, GAMES, 0, [0, 1]) == 1
    whole = 1 if world != "split" else 0.95  # at the end of the context there is no room for a longer word
    assert total(model, GAMES, 1, [0, 1]) == total(model, GAMES, 1, [0]) >= whole
    lost = total(model, GAMES, 1, None)
    assert lost == total(model, GAMES, 1, [1])
    assert lost < 0.3  # what is left are anchors
    masses = answer_masses(model, GAMES, 1)[:, :-1][GAMES.moves[:, 1:] >= 0]
    anchored = 0 if world == "split" else masses[:, -1].mean()
    assert masses[:, 0].mean() + anchored > 0.99
    assert masses[:, 1].max() < 1e-6


@every_world
def test_by_default_the_own_words_count(world: str) -> None:
    checkpoint = tiny_checkpoint(world)
    for language in checkpoint.mothello.inputs:
        own = [checkpoint.mothello.output_of(language)]
        expected = next_moves(checkpoint, GAMES, language)
        assert np.array_equal(next_moves(checkpoint, GAMES, language, answers=own), expected)
        every = next_moves(checkpoint, GAMES, language, answers=range(len(checkpoint.mothello.languages)))
        assert np.array_equal(every[expected >= 0], expected[expected >= 0])


@every_world
def test_masses_are_those_of_the_next_token(world: str) -> None:
    """Prefix by prefix, token by token."""
    checkpoint, games = tiny_checkpoint(world), GAMES[:4]
    mothello = checkpoint.mothello
    shared = {token for square, group in mothello.groups for token in mothello.move_tokens[group[0], square]}
    for language in mothello.inputs:
        found = answer_masses(checkpoint, games, language)
        encoded = mothello.encode(games, language)
        assert found.shape == (*games.moves.shape, len(mothello.languages) + 1)
        for game, moves in enumerate(games.moves):
            end = int((moves >= 0).sum()) - 1
            assert not found[game, end:].any()
            for move in range(end):
                tokens = torch.from_numpy(encoded.tokens[game : game + 1, : encoded.last[game, move] + 1]).long()
                with torch.inference_mode():
                    chances = checkpoint.model(tokens)[0, -1].softmax(-1).tolist()
                expected = [0.0] * (len(mothello.languages) + 1)
                for token, chance in enumerate(chances):
                    owner = int(mothello.vocabulary[token].split(":")[0]) if token and token not in shared else -1
                    expected[owner] += chance
                assert found[game, move].tolist() == pytest.approx(expected, abs=1e-5)


@every_world
def test_the_state_of_a_model(world: str) -> None:
    """One row a language; legality as `legal_accuracy` has it, masses that make 1, alignment of the source with itself."""
    checkpoint = tiny_checkpoint(world)
    mothello = checkpoint.mothello
    source = mothello.inputs[0]
    table = transfer_state(checkpoint, source=source, fit=FIT, score=GAMES, seed=0).set_index("language")
    assert list(table.index) == list(mothello.inputs)
    expected = summary(legal_accuracy(checkpoint, GAMES, mass=False)).set_index("language")["top1"]
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
    assert len(WORLDS["unified"]["languages"]) == 3
    assert list(table["language"]) == [1, 2]
