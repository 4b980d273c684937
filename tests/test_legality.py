"""Legality against one prefix at a time: greedy words, products of conditionals, and players whose score is known."""

import sys
from collections.abc import Sequence
from functools import cache
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch

from mothello_interp.corpus import Corpus
from mothello_interp.languages import PAD, Encoded, Mothello
from mothello_interp.legality import (
    continuation_probabilities,
    legal_accuracy,
    next_move_probabilities,
    next_moves,
    summary,
)
from mothello_interp.models import Checkpoint, build_model
from mothello_interp.othello import Games, full_length, random_games, replay, start_squares
from mothello_interp.patching import cut
from tests.conftest import WORLDS, every_world, tiny_checkpoint, tiny_spec
from tests.othello import reference
from tests.patching.cases import answered

module = sys.modules["mothello_interp.legality"]
CASES = [(world, language) for world in WORLDS for language in tiny_spec(world).mothello.inputs]
every_language = pytest.mark.parametrize(("world", "language"), CASES)
COLUMNS = ["language", "move", "top1", "legal_mass", "guess", "prefixes", "open", "top1_known", "top1_own"]


def some_games(n: int = 8) -> Games:
    """Whole games, games that end early, and some cut off after one move or more."""
    games = random_games(n, board=4, seed=58)
    ends = np.where(np.arange(n) % 4 == 0, 1 + np.arange(n), full_length(4))
    return Games(np.where(np.arange(full_length(4)) < ends[:, None], games.moves, -1), 4)


def word(mothello: Mothello, language: int, square: int) -> tuple[int, ...]:
    """The tokens of a move."""
    return tuple(int(token) for token in mothello.move_tokens[language, square] if token != PAD)


def dictionary(mothello: Mothello, language: int) -> dict[tuple[int, ...], int]:
    """The words in which a game is continued, and their squares."""
    spoken = 0 if mothello.unified_output else language
    playable = [square for square in range(16) if square not in start_squares(4)]
    return {word(mothello, spoken, square): square for square in playable}


def prefixes(mothello: Mothello, games: Games, language: int) -> list[tuple[int, int, list[int]]]:
    """(game, move, text up to that move) for every move but the last of each game."""
    found = []
    for game, length in enumerate(games.lengths):
        text: list[int] = []
        for move in range(length - 1):
            text += word(mothello, language, games.moves[game, move])
            found.append((game, move, list(text)))
    return found


def chances(checkpoint: Checkpoint, text: Sequence[int]) -> np.ndarray:
    """Probabilities of the token behind a text, `[vocab]`."""
    with torch.inference_mode():
        logits = checkpoint.model(torch.tensor([list(text)]))[0, -1]
    return logits.double().softmax(-1).numpy()


@cache
def position(moves: tuple[int, ...]) -> reference.Position | None:
    """The position behind some moves, by the reference engine; None if they break the rules."""
    if not moves:
        return reference.position(reference.start(4), 4, reference.BLACK)
    before, place = position(moves[:-1]), divmod(moves[-1], 4)
    if before is None or place not in before.legal:
        return None
    return reference.position(reference.play(before.discs, 4, place, before.mover), 4, -before.mover)


def after(games: Games, game: int, move: int) -> list[int]:
    """The legal squares behind a move."""
    found = position(tuple(games.moves[game, : move + 1].tolist()))
    assert found is not None
    return [row * 4 + column for row, column in found.legal]


@cache
def beginner(world: str) -> Checkpoint:
    """A model that has seen enough games to say words, legal and illegal ones."""
    checkpoint = Checkpoint(build_model(tiny_spec(world), seed=0), tiny_spec(world))
    learns = [weight for weight in checkpoint.model.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(learns, lr=1e-2)
    for step in range(60):
        batch = Corpus(checkpoint.mothello, seed=0, objective="sampled").batch(64 * step, 64)
        logits = checkpoint.model(torch.from_numpy(batch.tokens).long())
        targets = torch.from_numpy(batch.targets).long().flatten()
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets, ignore_index=PAD).backward()
        optimizer.step()
        optimizer.zero_grad()
    checkpoint.model.eval()
    return checkpoint


@every_language
def test_next_moves_are_greedy_words(world: str, language: int) -> None:
    checkpoint, games = beginner(world), some_games()
    mothello = checkpoint.mothello
    words = dictionary(mothello, language)
    expected = np.full(games.moves.shape, -1)
    for game, move, text in prefixes(mothello, games, language):
        written: tuple[int, ...] = ()
        while written not in words and len(written) < max(map(len, words)):
            if len(text) + len(written) > mothello.n_ctx:
                break
            written += (int(chances(checkpoint, [*text, *written]).argmax()),)
        expected[game, move] = words.get(written, -1)
    found = next_moves(checkpoint, games, language)
    assert (found.dtype, found.shape) == (np.int16, games.moves.shape)
    assert np.array_equal(found, expected)
    assert len(set(expected.ravel().tolist())) > 3


@every_language
def test_probabilities_are_products_of_conditionals(world: str, language: int) -> None:
    checkpoint, games = beginner(world), some_games(5)
    mothello = checkpoint.mothello
    found = next_move_probabilities(checkpoint, games, language)
    assert (found.dtype, found.shape) == (np.float32, (*games.moves.shape, 16))
    expected = np.zeros(found.shape)
    reachable = np.ones(found.shape, bool)
    for game, move, text in prefixes(mothello, games, language):
        conditionals = cache(lambda written, text=tuple(text): chances(checkpoint, text + written))
        for spelled, square in dictionary(mothello, language).items():
            if len(text) + len(spelled) - 1 > mothello.n_ctx:
                reachable[game, move, square] = False
                continue
            expected[game, move, square] = np.prod(
                [conditionals(spelled[:n])[token] for n, token in enumerate(spelled)]
            )
        assert reachable[game, move, after(games, game, move)].all()
    np.testing.assert_allclose(found[reachable], expected[reachable], atol=1e-6, rtol=1e-4)
    assert found.sum(axis=2).max() <= 1 + 1e-5
    assert not found[:, :, list(start_squares(4))].any()


@every_language
def test_the_table_is_brute_force(world: str, language: int) -> None:
    """Shares over games at each move, from the moves and the probabilities tested above."""
    checkpoint, games = beginner(world), some_games(24)
    mothello = checkpoint.mothello
    table = legal_accuracy(checkpoint, games, languages=[language])
    assert list(table) == COLUMNS
    assert (table["language"] == language).all()
    assert table["move"].tolist() == list(range(11))
    top, spread = next_moves(checkpoint, games, language), next_move_probabilities(checkpoint, games, language)
    for row in table.to_dict("records"):
        move = row["move"]
        playing = [game for game, length in enumerate(games.lengths) if length > move + 1]
        legal = [after(games, game, move) for game in playing]
        pairs = list(zip(playing, legal, strict=True))
        assert row["prefixes"] == len(playing)
        assert row["top1"] == pytest.approx(np.mean([top[game, move] in squares for game, squares in pairs]))
        assert row["legal_mass"] == pytest.approx(
            np.mean([spread[game, move, squares].sum() for game, squares in pairs])
        )
        assert row["guess"] == pytest.approx(np.mean([len(squares) for squares in legal]) / (16 - 4 - move - 1))
        shared = [
            any(
                all(
                    word(mothello, other, square) == word(mothello, language, square)
                    for square in games.moves[game, : move + 1]
                )
                for other in mothello.inputs
                if other != language
            )
            for game in playing
        ]
        assert row["open"] == pytest.approx(np.mean(shared))
    assert 0 < np.average(table["top1"], weights=table["prefixes"]) < 1


def test_some_prefixes_are_written_in_anchors_alone() -> None:
    table = legal_accuracy(beginner("atomic"), random_games(200, board=4, seed=1), languages=[0], mass=False)
    assert 0.1 < table["open"].iloc[0] < 0.5
    assert not table["open"].iloc[1:].any()


class RulesPlayer:
    """In place of a model: log probabilities of a player who knows the rules and plays uniformly, in any language.

    With `blind` it plays uniformly on the squares that are empty, as one who only sees which moves were made.
    """

    W_E = torch.zeros(1)

    def __init__(self, mothello: Mothello, reads: int, speaks: int, *, blind: bool = False):
        self.read = {word(mothello, reads, square): square for square in dictionary(mothello, reads).values()}
        self.spoken = {square: word(mothello, speaks, square) for square in self.read.values()}
        self.d_vocab, self.blind = mothello.d_vocab, blind
        self.next_token = cache(self._next_token)

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        rows = [[self.next_token(tuple(row[: end + 1])) for end in range(len(row))] for row in tokens.tolist()]
        return torch.from_numpy(np.array(rows)).clamp(min=1e-30).log()

    def _next_token(self, text: tuple[int, ...]) -> np.ndarray:
        """Distribution `[vocab]`; all 0 behind what begins no game."""
        result = np.zeros(self.d_vocab)
        moves: list[int] = []
        begun: tuple[int, ...] = ()
        for token in text:
            begun += (token,)
            if begun in self.read:
                moves.append(self.read[begun])
                begun = ()
        found = position(tuple(moves))
        if found is None:
            return result
        options = {row * 4 + column for row, column in found.legal}
        options = set(self.spoken) - set(moves) if self.blind else options
        possible = [self.spoken[square] for square in options if self.spoken[square][: len(begun)] == begun]
        for spelled in possible:
            result[spelled[len(begun)]] += 1 / len(possible)
        return result


@cache
def player(world: str, reads: int, speaks: int | None = None, *, blind: bool = False) -> Checkpoint:
    """A checkpoint that plays by the rules."""
    mothello = tiny_spec(world).mothello
    speaks = mothello.output_of(reads) if speaks is None else speaks
    return Checkpoint(cast(Any, RulesPlayer(mothello, reads, speaks, blind=blind)), tiny_spec(world))


@every_language
def test_a_player_who_knows_the_rules(world: str, language: int) -> None:
    """Every greedy move is legal, all its mass is on legal moves, and evenly so."""
    games = some_games(16)
    table = legal_accuracy(player(world, language), games, languages=[language])
    assert (table["top1"] == 1).all()
    np.testing.assert_allclose(table["legal_mass"], 1, atol=1e-5)
    spread = next_move_probabilities(player(world, language), games, language)
    for game, move, _ in prefixes(tiny_spec(world).mothello, games, language):
        squares = after(games, game, move)
        np.testing.assert_allclose(spread[game, move, squares], 1 / len(squares), atol=1e-5)


@every_language
def test_a_player_who_only_sees_what_is_empty(world: str, language: int) -> None:
    """Its legal mass is the `guess` of the table."""
    table = legal_accuracy(player(world, language, blind=True), some_games(16), languages=[language])
    np.testing.assert_allclose(table["legal_mass"], table["guess"], atol=1e-5)
    assert table["guess"].between(0.1, 1).all()


def test_a_player_who_answers_in_another_language() -> None:
    """It has lost the tongue and not the game: nothing it says counts, but for the anchor that both share."""
    table = legal_accuracy(player("atomic", reads=0, speaks=1), some_games(16), languages=[0])
    mothello, anchor = tiny_spec("atomic").mothello, 1
    assert word(mothello, 0, anchor) == word(mothello, 1, anchor)
    spread = next_move_probabilities(player("atomic", reads=0, speaks=1), some_games(16), 0)
    assert set(np.flatnonzero(spread.max(axis=(0, 1)) > 1e-6)) == {anchor}
    assert table["legal_mass"].max() < 0.3
    assert table["legal_mass"].iloc[-1] == pytest.approx(0)


@every_world
def test_batches_are_their_games_one_by_one(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint, games = beginner(world), some_games()
    language = checkpoint.mothello.inputs[0]
    moves = next_moves(checkpoint, games, language)
    spread = next_move_probabilities(checkpoint, games, language)
    for game in range(1, len(games)):
        one = games[game : game + 1]
        assert np.array_equal(next_moves(checkpoint, one, language)[0], moves[game])
        np.testing.assert_allclose(next_move_probabilities(checkpoint, one, language)[0], spread[game], atol=1e-6)
    monkeypatch.setattr(module, "_CELLS", 70)
    assert np.array_equal(next_moves(checkpoint, games, language), moves)
    np.testing.assert_allclose(next_move_probabilities(checkpoint, games, language), spread, atol=1e-6)


@every_world
def test_other_pad_tokens_change_nothing(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint, games = beginner(world), some_games()
    language = checkpoint.mothello.inputs[0]
    moves = next_moves(checkpoint, games, language)
    spread = next_move_probabilities(checkpoint, games, language)
    encode = Mothello.encode

    def noisy(self: Mothello, games: Games, language: int) -> Encoded:
        encoded = encode(self, games, language)
        noise = np.random.default_rng(0).integers(1, self.d_vocab, encoded.tokens.shape, dtype=np.int32)
        return Encoded(np.where(encoded.tokens == PAD, noise, encoded.tokens), encoded.last)

    monkeypatch.setattr(Mothello, "encode", noisy)
    assert np.array_equal(next_moves(checkpoint, games, language), moves)
    assert np.array_equal(next_move_probabilities(checkpoint, games, language), spread)


def test_all_input_languages_by_default() -> None:
    checkpoint, games = beginner("unified"), some_games(4)
    table = legal_accuracy(checkpoint, games)
    assert table["language"].unique().tolist() == [1, 2]
    pd.testing.assert_frame_equal(
        table[table["language"] == 2].reset_index(drop=True), legal_accuracy(checkpoint, games, languages=[2])
    )


def test_the_mass_is_not_measured_unless_asked_for() -> None:
    checkpoint, games = beginner("atomic"), some_games(4)
    with_mass, without = legal_accuracy(checkpoint, games), legal_accuracy(checkpoint, games, mass=False)
    assert without["legal_mass"].isna().all()
    pd.testing.assert_frame_equal(without.drop(columns="legal_mass"), with_mass.drop(columns="legal_mass"))


def test_the_summary_is_over_prefixes() -> None:
    checkpoint, games = beginner("atomic"), some_games(24)
    table, found = legal_accuracy(checkpoint, games), summary(legal_accuracy(checkpoint, games))
    assert list(found) == ["language", "top1", "legal_mass", "prefixes"]
    assert found["prefixes"].tolist() == [int((games.lengths - 1).sum())] * 2
    for row in found.to_dict("records"):
        own = table[table["language"] == row["language"]]
        for name in ("top1", "legal_mass"):
            assert row[name] == pytest.approx(np.average(own[name], weights=own["prefixes"]))
            assert row[name] != pytest.approx(own[name].mean(), abs=1e-6)


def test_the_summary_of_no_mass_is_no_mass(checkpoint: Checkpoint) -> None:
    assert summary(legal_accuracy(checkpoint, some_games(4), mass=False))["legal_mass"].isna().all()


@pytest.mark.parametrize("transcripts", [[], ["b1"]], ids=["no games", "no second move"])
def test_nothing_to_measure(checkpoint: Checkpoint, transcripts: list[str]) -> None:
    assert list(legal_accuracy(checkpoint, Games.from_transcripts(transcripts, 4))) == COLUMNS


@pytest.mark.parametrize(("world", "language"), [("atomic", 2), ("unified", 0)])
def test_a_language_that_is_none(world: str, language: int) -> None:
    with pytest.raises(ValueError, match=f"language {language} is no input language"):
        legal_accuracy(beginner(world), some_games(4), languages=[language])


def test_what_anchors_lend_is_told_apart() -> None:
    """By hand: predictions that are anchors are left out of top1_own, prefixes of anchors alone out of top1_known."""
    checkpoint, games = beginner("atomic"), random_games(200, board=4, seed=1)
    mothello = checkpoint.mothello
    anchors = {square for square, group in mothello.groups if 0 in group}
    row = legal_accuracy(checkpoint, games, languages=[0], mass=False).iloc[0]
    legal = replay(games).legal[:, 1]
    top = next_moves(checkpoint, games, 0)[:, 0]
    hit = np.array([legal[game, square] if square >= 0 else False for game, square in enumerate(top)])
    own = np.array([square not in anchors for square in top])
    known = np.array([first not in anchors for first in games.moves[:, 0]])
    assert row["top1"] == pytest.approx(hit.mean())
    assert row["top1_known"] == pytest.approx(hit[known].mean())
    assert row["top1_own"] == pytest.approx(hit[own].mean(), nan_ok=True)
    assert 0 < known.mean() < 1


def cut_games(last: int) -> Games:
    """Games that end behind one move number, where another one follows."""
    return cut(random_games(60, board=4, seed=3), 4, seed=0, earliest=last, latest=last)


@every_language
def test_continuations_in_any_words(world: str, language: int) -> None:
    """In the model's own language and in every other one's, by products of conditionals from full runs."""
    checkpoint, games = tiny_checkpoint(world), cut_games(4)
    for answer in (None, *range(len(checkpoint.mothello.languages))):
        found = continuation_probabilities(checkpoint, games, language, answer=answer)
        spoken = checkpoint.mothello.output_of(language) if answer is None else answer
        expected = [answered(checkpoint, language, moves, spoken) for moves in games.moves]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)


def test_continuations_that_find_no_room() -> None:
    """A word of three tokens behind a game almost as long as the context; games without moves."""
    split, games = tiny_checkpoint("split"), cut_games(10)
    with pytest.raises(
        ValueError, match="a word of language 0 take 24 tokens, the context has room for 23: cut the games"
    ):
        continuation_probabilities(split, games, 1, answer=0)
    assert continuation_probabilities(split, cut_games(9), 1, answer=0).shape == (4, 16)
    empty = Games(np.full((1, 12), -1, np.int8), 4)
    with pytest.raises(ValueError, match="games of 0 to 0 moves: expected 1 to 11"):
        continuation_probabilities(split, empty, 0)


@pytest.mark.parametrize("answers", [[2], [-1], []])
def test_answers_in_a_language_that_is_none(answers: list[int], checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match=r"answers=\[.*\]: expected one or more of 0 to 1"):
        next_moves(checkpoint, some_games(), 0, answers=answers)
