"""What a model predicts: moves from tokens, where a move is written as one token or several.

A move's probability is the product of the conditionals along its tokens. The runs share their prefixes: a game is run once,
and the tokens of a move that has begun are run after its keys and values, unless hooks of the user's own, or a kind of
position embedding that we do not know, ask for complete sequences.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mothello_interp.forward import TOKENS, BoundEdit, Rows, branch, run_edited
from mothello_interp.languages import PAD
from mothello_interp.progress import shown

if TYPE_CHECKING:
    from transformer_lens.cache.key_value_cache import TransformerLensKeyValueCache

    from mothello_interp.reading import Reading


@dataclass(frozen=True, eq=False)
class Prefixes:
    """Places in a batch of runs after which the model predicts.

    Attributes:
        reading, bound: whose, and its edits.
        rows, tokens: what was run, tokens int64 `[row pos]`.
        past: the keys and values of the runs, if tokens may be run after them.
        row, move, position: which run, move and position each prefix ends at, int64 `[prefix]`.
        first: probabilities of the next token, float32 `[prefix vocab]`.
    """

    reading: "Reading"
    bound: Sequence[BoundEdit]
    rows: Rows
    tokens: torch.Tensor
    past: "TransformerLensKeyValueCache | None"
    row: np.ndarray
    move: np.ndarray
    position: np.ndarray
    first: torch.Tensor

    @property
    def game(self) -> np.ndarray:
        """The game of each prefix, int64 `[prefix]`."""
        return self.rows.game[self.row]

    @property
    def cell(self) -> np.ndarray:
        """The cell of each prefix, int64 `[prefix]`."""
        return self.rows.cell[self.row]

    def squares(self, tokens: np.ndarray) -> torch.Tensor:
        """The probability of each square as the next move, written in `tokens` int `[square piece]`: `[prefix square]`."""
        counts = (tokens != PAD).sum(axis=1)
        result = torch.zeros(len(self.row), len(tokens), dtype=torch.float32)
        reached = {(): torch.ones(len(self.row), dtype=torch.float32)}
        for length in range(int(counts.max())):
            after = self._after_each(list(reached))
            for (begun, chance), probabilities in zip(list(reached.items()), after, strict=True):
                del reached[begun]
                for square in np.flatnonzero((tokens[:, :length] == begun).all(axis=1) & (counts > length)):
                    share = chance * probabilities[:, tokens[square, length]]
                    if counts[square] == length + 1:
                        result[:, square] = share
                    else:
                        reached[tuple(tokens[square, : length + 1].tolist())] = share
        return result

    def greedy(self, tokens: np.ndarray) -> np.ndarray:
        """Which of the moves `tokens` int `[move piece]` greedy decoding writes, int64 `[prefix]`; -1 where it writes none."""
        counts = (tokens != PAD).sum(axis=1)
        written = np.zeros((len(self.row), int(counts.max())), np.int64)
        matches = np.ones((len(self.row), len(tokens)), bool) & (tokens[:, 0] != PAD)
        for piece in range(written.shape[1]):
            unfinished = np.flatnonzero(~(matches & (counts <= piece)).any(axis=1))
            if not len(unfinished):
                break
            written[unfinished, piece] = self._after(unfinished, written[unfinished, :piece]).argmax(dim=1).numpy()
            finished = np.isin(np.arange(len(self.row)), unfinished, invert=True)
            matches &= finished[:, None] | (tokens[None, :, piece] == written[:, piece, None])
        return np.where(matches.any(axis=1), matches.argmax(axis=1), -1)

    def _after_each(self, begun: Sequence[tuple[int, ...]]) -> torch.Tensor:
        """Probabilities of the token after every prefix and each beginning of a move, `[beginning prefix vocab]`."""
        here = np.tile(np.arange(len(self.row)), len(begun))
        written = np.array(begun, np.int64).reshape(len(begun), -1).repeat(len(self.row), axis=0)
        return self._after(here, written).unflatten(0, (len(begun), len(self.row)))

    def _after(self, prefix: np.ndarray, written: np.ndarray) -> torch.Tensor:
        """Probabilities `[n vocab]` after prefixes `[n]` and what is written `[n piece]` there; 0 where that finds no room."""
        pieces = written.shape[1]
        if pieces == 0:
            return self.first[prefix]
        found = torch.zeros(len(prefix), self.first.shape[1], dtype=torch.float32)
        position = self.position[prefix]
        fits = position + pieces < self.reading.checkpoint.model.cfg.n_ctx
        for place in np.unique(position[fits]):
            here = np.flatnonzero(fits & (position == place))
            for part in np.array_split(here, -(-len(here) * (place + 1 + pieces) // TOKENS)):
                new, row = torch.from_numpy(written[part]).to(self.tokens), self.row[prefix[part]]
                logits = self._onward(row, new, place) if self.past else self._again(row, new, place)
                found[torch.from_numpy(part)] = logits[:, -1].float().softmax(-1).cpu()
        return found

    def _onward(self, row: np.ndarray, new: torch.Tensor, place: int) -> torch.Tensor:
        """Logits of new tokens `[n piece]`, run after the keys and values that runs `[n]` have up to a position."""
        assert self.past is not None
        past = branch(self.past, row, [place + 1] * len(self.past.entries))
        model: Any = self.reading.checkpoint.model
        return model(new, past_kv_cache=past, attention_mask=torch.ones_like(new))

    def _again(self, row: np.ndarray, new: torch.Tensor, place: int) -> torch.Tensor:
        """The same from complete sequences, with the edits of the games' part."""
        tokens = torch.cat([self.tokens[torch.from_numpy(row), : place + 1], new], dim=1)
        rows = self.rows.some(row, np.full(len(row), place))
        return run_edited(self.reading.checkpoint.model, tokens, rows, self.bound)[0]


def prefixes(reading: "Reading", *, final: bool, cells: int = 1, pieces: int = 1) -> Iterator[Prefixes]:
    """The places after which a reading predicts, batch by batch.

    Args:
        final: after each game's last move, else after every move that another one follows.
        cells: how often each game is run; edits know which cell a row is.
        pieces: of the longest move that will be written: where they are several, keys and values are kept.

    Raises:
        ValueError: for `final`, for a game without moves or one that fills the board.
    """
    lengths, last = reading.games.lengths, reading.last
    if final and len(lengths) and not 1 <= lengths.min() <= lengths.max() < last.shape[1]:
        raise ValueError(f"games of {lengths.min()} to {lengths.max()} moves: expected 1 to {last.shape[1] - 1}")
    ends = last.max(axis=1, initial=-1)
    order = np.argsort(ends, kind="stable") if final else np.arange(len(ends))
    rows = Rows(order.repeat(cells), np.tile(np.arange(cells), len(order)), ends[order].repeat(cells))
    with reading.bound() as bound, torch.inference_mode():
        size = max(1, TOKENS // max(1, int(ends.max(initial=0)) + 1))
        size = cells * -(-size // cells)  # what the cells of a game share is run once
        for first in shown(range(0, len(rows.game), size), "runs of the model"):
            yield _run(
                reading, bound, rows.some(np.arange(first, min(first + size, len(rows.game)))), final, pieces > 1
            )


def _run(reading: "Reading", bound: Sequence[BoundEdit], rows: Rows, final: bool, several: bool) -> Prefixes:
    tokens = reading.tokens[torch.from_numpy(rows.game), : int(rows.end.max(initial=0)) + 1]
    logits, past = run_edited(reading.checkpoint.model, tokens, rows, bound, keep=several)
    played = reading.games.moves[rows.game] >= 0
    followed = np.pad(played[:, 1:], ((0, 0), (0, 1)))
    row, move = np.nonzero(played & ~followed if final else followed)
    position = reading.last[rows.game[row], move]
    first = logits[torch.from_numpy(row), torch.from_numpy(position)].float().softmax(-1).cpu()
    return Prefixes(reading, bound, rows, tokens, past, row, move, position, first)
