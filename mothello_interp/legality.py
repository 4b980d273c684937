"""Does the model know the rules? Legality of its next move, by language and move number."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch

from mothello_interp.languages import PAD, Mothello
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games, replay

Run = Callable[[torch.Tensor, np.ndarray], torch.Tensor]
_APART = ("top1_known", "top1_own")
_CELLS = 40_000  # tokens in one forward pass
_ROWS = 128  # a pass of words begun: more would leave the cache of the processor


def legal_accuracy(
    checkpoint: Checkpoint, games: Games, *, languages: Sequence[int] | None = None, mass: bool = True
) -> pd.DataFrame:
    """Top-1 legal accuracy and legal mass after every proper prefix of the games.

    Top-1 follows the paper: the greedy continuation, up to a whole word, counts if it spells a legal move. Legal mass
    is the probability of all legal moves together, a move's being the product of the conditionals along its tokens.

    Args:
        games: finished games; a prefix ends before the last move.
        languages: input languages to write them in, all by default.
        mass: whether to measure the mass too, which for words of several tokens takes many more forward passes.

    Returns:
        One row per language and move number: language, move (0: the prediction of the second move), top1 and
        legal_mass (0 to 1; mass is NaN if not asked for), guess (the share of squares that are legal: what a blind
        guess among empty-board squares would score), prefixes (how many games go on there), open (share of prefixes
        written in anchors alone, which other languages write the same). What anchors might lend is told apart:
        top1_known, over the prefixes whose language is settled, and top1_own, over the predictions that are no anchors
        (NaN where there are none).

    Examples:
        >>> from mothello_interp import load, random_games
        >>> table = legal_accuracy(load("mini/atomic-atomic-anchors4"), random_games(20, board=6, seed=0))
        >>> summary(table)[["language", "top1", "legal_mass"]].round(1)
           language  top1  legal_mass
        0         0   1.0         0.9
        1         1   1.0         0.9
    """
    mothello = checkpoint.mothello
    legal = replay(games).legal
    rows = []
    for language in languages if languages is not None else mothello.inputs:
        goes_on = games.moves[:, 1:] >= 0
        top = next_moves(checkpoint, games, language)[:, :-1]
        hit = np.take_along_axis(legal[:, 1:-1], np.maximum(top, 0)[..., None], 2)[..., 0] & (top >= 0)
        weight = np.full(hit.shape, np.nan)
        if mass:
            spread = next_move_probabilities(checkpoint, games, language)[:, :-1]
            weight = (spread * legal[:, 1:-1]).sum(axis=2)
        still_open = mothello.language_open(games, language)[:, :-1]
        anchored = np.isin(top, [square for square, group in mothello.groups if mothello.output_of(language) in group])
        playable = legal.shape[2] - 4
        for move in np.flatnonzero(goes_on.any(axis=0)):
            at = goes_on[:, move]
            rows.append(
                {
                    "language": language,
                    "move": int(move),
                    "top1": hit[at, move].mean(),
                    "legal_mass": weight[at, move].mean(),
                    "guess": legal[at, move + 1].sum(axis=1).mean() / (playable - move - 1),
                    "prefixes": int(at.sum()),
                    "open": still_open[at, move].mean(),
                    "top1_known": _mean(hit[at & ~still_open[:, move], move]),
                    "top1_own": _mean(hit[at & ~anchored[:, move], move]),
                }
            )
    return pd.DataFrame(rows, columns=["language", "move", "top1", "legal_mass", "guess", "prefixes", "open", *_APART])


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """`legal_accuracy` over all prefixes, one row a language: language, top1, legal_mass, prefixes."""
    weighted = table.assign(top1=table["top1"] * table["prefixes"], legal_mass=table["legal_mass"] * table["prefixes"])
    total = weighted.groupby("language", as_index=False)[["top1", "legal_mass", "prefixes"]].sum(min_count=1)
    return total.assign(top1=total["top1"] / total["prefixes"], legal_mass=total["legal_mass"] / total["prefixes"])


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else np.nan


def next_moves(
    checkpoint: Checkpoint, games: Games, language: int, *, answers: Sequence[int] | None = None
) -> np.ndarray:
    """The square that greedy decoding names after each move, int16 `[game move]`; -1 where it spells no move.

    From a game's last move on the value is -1 too.

    Args:
        answers: languages in which a word counts; by default the one in which the model should go on. A word of a
            longer language may find no room at the end of the context, and then does not count.

    Raises:
        ValueError: for answers in languages that there are not; as `Mothello.encode`.
    """
    mothello = checkpoint.mothello
    if answers is not None and not set() < set(answers) <= set(range(len(mothello.languages))):
        raise ValueError(f"answers={list(answers)}: expected one or more of 0 to {len(mothello.languages) - 1}")
    spoken = [mothello.output_of(language)] if answers is None else list(answers)
    places = _Prefixes(mothello, games, language)
    squares = mothello.move_tokens.shape[1]
    words = mothello.move_tokens[spoken].reshape(len(spoken) * squares, -1)
    lengths = mothello.token_counts[spoken].reshape(-1)
    longest = int(lengths.max())
    written = np.zeros((len(places), longest), np.int32)
    matches = np.ones((len(places), len(words)), bool) & (words[:, 0] != PAD)
    for piece in range(longest):
        unfinished = ~(matches & (lengths <= piece)).any(axis=1)
        if not unfinished.any():
            break
        logits = places.logits(checkpoint, written[unfinished, :piece], np.flatnonzero(unfinished))
        written[unfinished, piece] = logits.argmax(axis=1)
        matches &= ~unfinished[:, None] | (words[None, :, piece] == written[:, piece, None])
    found = np.where(matches.any(axis=1), matches.argmax(axis=1) % squares, -1)
    return places.spread(found, -1).astype(np.int16)


def next_move_probabilities(checkpoint: Checkpoint, games: Games, language: int) -> np.ndarray:
    """The probability of every square as the next move, float32 `[game move square]`, 0 from a game's last move on.

    A move's probability is the product of the conditionals along its tokens; what is missing to 1 the model spends on
    tokens that spell no move.
    """
    places = _Prefixes(checkpoint.mothello, games, language)
    spoken = checkpoint.mothello.output_of(language)
    return places.spread(_square_probabilities(checkpoint, places, spoken), 0)


def continuation_probabilities(
    checkpoint: Checkpoint, games: Games, language: int, *, run: Run | None = None, answer: int | None = None
) -> np.ndarray:
    """The probability of every square as the move behind each game's last one, float32 `[game square]`.

    Args:
        games: of one move or more, each with room for another.
        run: what to run in place of the model, from tokens int64 `[batch pos]` and the index of each row's game, int64
            `[batch]`, to logits; a game may stand in a batch several times, once for each beginning of a word.
        answer: the language of the words; by default the one in which the model should go on.

    Raises:
        ValueError: for a game without moves, or one that fills the board; for one behind which the longest word of
            the answer language finds no room in the context, if that is not the one in which the model should go on.
    """
    if len(games) and not 1 <= games.lengths.min() <= games.lengths.max() < games.moves.shape[1]:
        raise ValueError(
            f"games of {games.lengths.min()} to {games.lengths.max()} moves: expected 1 to {games.moves.shape[1] - 1}"
        )
    places, mothello = _Prefixes(checkpoint.mothello, games, language, ends=True, run=run), checkpoint.mothello
    answer = mothello.output_of(language) if answer is None else answer
    end = int(places.position.max(initial=-1) + mothello.token_counts[answer].max())
    if answer != mothello.output_of(language) and end > mothello.n_ctx:
        raise ValueError(
            f"the longest game and a word of language {answer} take {end} tokens, the context has room for "
            f"{mothello.n_ctx}: cut the games"
        )
    return _square_probabilities(checkpoint, places, answer)


def _square_probabilities(checkpoint: Checkpoint, places: "_Prefixes", answer: int) -> np.ndarray:
    """Probabilities of the squares as next moves in the words of a language, float32 `[place square]`."""
    words = checkpoint.mothello.move_tokens[answer]
    lengths = (words != PAD).sum(axis=1)
    result = np.zeros((len(places), len(words)), np.float32)
    reached: dict[tuple[int, ...], np.ndarray] = {(): np.ones(len(places), np.float32)}
    at_once = max(1, _ROWS // max(1, len(places)))  # beginnings of words
    for length in range(int(lengths.max())):
        beginnings = list(reached)
        for first in range(0, len(beginnings), at_once):
            several = beginnings[first : first + at_once]
            for beginning, probabilities in zip(several, _after(checkpoint, places, several), strict=True):
                here = reached.pop(beginning)
                for square in np.flatnonzero((words[:, :length] == beginning).all(axis=1) & (lengths > length)):
                    share = here * probabilities[:, words[square, length]]
                    if lengths[square] == length + 1:
                        result[:, square] = share
                    else:
                        reached[tuple(words[square, : length + 1].tolist())] = share
    return result


def _after(checkpoint: Checkpoint, places: "_Prefixes", beginnings: list[tuple[int, ...]]) -> np.ndarray:
    """Probabilities of the next token, `[beginning place vocab]`, with each of these beginnings of a word written."""
    written = np.array(beginnings, np.int32).repeat(len(places), axis=0)
    logits = places.logits(checkpoint, written, np.tile(np.arange(len(places)), len(beginnings)))
    return torch.from_numpy(logits).softmax(1).numpy().reshape(len(beginnings), len(places), logits.shape[1])


def answer_masses(checkpoint: Checkpoint, games: Games, language: int) -> np.ndarray:
    """In which language the model goes on: the probability of each language's tokens after each move.

    Returns:
        float32 `[game move language + 1]`: the next token's probability summed over each language's tokens, anchors
        apart, and at the end over the anchors and the padding; 0 from a game's last move on.
    """
    mothello = checkpoint.mothello
    places = _Prefixes(mothello, games, language)
    logits = places.logits(checkpoint, np.zeros((len(places), 0), np.int32), np.arange(len(places)))
    belongs = np.eye(len(mothello.languages) + 1, dtype=np.float32)[mothello.owners]
    return places.spread(torch.from_numpy(logits).softmax(1).numpy() @ belongs, 0)


class _Prefixes:
    """Every proper prefix of some games in one language (or their ends), as places from which a model goes on writing."""

    def __init__(self, mothello: Mothello, games: Games, language: int, *, ends: bool = False, run: Run | None = None):
        self.encoded = mothello.encode(games, language)
        self.n_ctx = mothello.n_ctx
        followed = np.pad(games.moves[:, 1:] >= 0, ((0, 0), (0, 1)))
        self.game, self.move = np.nonzero((games.moves >= 0) & ~followed if ends else followed)
        self.run = run
        self.position = self.encoded.last[self.game, self.move].astype(np.int64)
        self.shape = games.moves.shape

    def __len__(self) -> int:
        return len(self.game)

    def spread(self, values: np.ndarray, behind_the_end: float) -> np.ndarray:
        """Values `[place ...]` laid out as `[game move ...]`."""
        result = np.full((*self.shape, *values.shape[1:]), behind_the_end, values.dtype)
        result[self.game, self.move] = values
        return result

    def logits(self, checkpoint: Checkpoint, written: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Logits `[row vocab]` for the token after each of `places` `[row]` and what is `written` `[row piece]` behind it."""
        if written.shape[1] == 0:
            tokens = self.encoded.tokens[:, : self.position[places].max(initial=0) + 1]
            everyone = np.arange(len(tokens))
            return self._logits_at(checkpoint, tokens, everyone, self.game[places], self.position[places])
        here = np.arange(len(places))
        tokens = np.pad(self.encoded.tokens, ((0, 0), (0, self.n_ctx)))[self.game[places], : self.n_ctx]
        tokens = np.where(np.arange(self.n_ctx) <= self.position[places][:, None], tokens, PAD)
        end = self.position[places] + written.shape[1]
        fits = end < self.n_ctx  # only the word of a square that is taken already can run out of room
        for piece in range(written.shape[1]):
            tokens[here[fits], self.position[places][fits] + 1 + piece] = written[fits, piece]
        end = np.minimum(end, self.n_ctx - 1)
        return self._logits_at(checkpoint, tokens[:, : end.max(initial=0) + 1], self.game[places], here, end)

    def _logits_at(
        self, checkpoint: Checkpoint, tokens: np.ndarray, game: np.ndarray, row: np.ndarray, position: np.ndarray
    ) -> np.ndarray:
        """Logits float32 `[place vocab]` at (row, position) of tokens `[row pos]` of games `[row]`; rows ascend."""
        device = checkpoint.model.W_E.device
        size = max(1, _CELLS // tokens.shape[1])
        found = []
        for first in range(0, len(tokens), size):
            asked = slice(*np.searchsorted(row, [first, first + size]))
            part = torch.from_numpy(tokens[first : first + size]).to(device).long()
            with torch.inference_mode():
                logits = checkpoint.model(part) if self.run is None else self.run(part, game[first : first + size])
                found.append(logits[row[asked] - first, position[asked]].float().cpu().numpy())
        return np.concatenate(found) if found else np.zeros((0, checkpoint.mothello.d_vocab), np.float32)
