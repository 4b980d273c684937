"""Games to patch: minimal pairs, and games truncated where something follows."""

from dataclasses import dataclass

import numpy as np

from mothello_interp.arguments import checked
from mothello_interp.othello import Games, full_length, legal_prefixes, replay

SHARED_AFTER = 2  # moves that a minimal pair shares after the one that differs


@dataclass(frozen=True)
class Pairs:
    """Minimal pairs: games equal but for one move, with SHARED_AFTER equal moves after it and the same players to move.

    Attributes:
        clean, corrupted: the games, truncated after the last shared move.

    Raises:
        ValueError: for games of another shape, or that differ in more or less than one move each.
    """

    clean: Games
    corrupted: Games

    def __post_init__(self) -> None:
        if self.clean.moves.shape != self.corrupted.moves.shape:
            raise ValueError(f"{len(self.clean)} clean and {len(self.corrupted)} corrupted games: expected as many")
        if ((self.clean.moves != self.corrupted.moves).sum(axis=1) != 1).any():
            raise ValueError("clean and corrupted games must differ in one move each: make them with minimal_pairs")
        if len(self) and (self.clean.lengths - 1 - self.changed != SHARED_AFTER).any():
            raise ValueError(
                f"minimal pairs share {SHARED_AFTER} moves after the one that differs: make them with minimal_pairs"
            )

    def __len__(self) -> int:
        return len(self.clean)

    @property
    def changed(self) -> np.ndarray:
        """Number of the move that differs, int64 `[pair]`."""
        return (self.clean.moves != self.corrupted.moves).argmax(axis=1)


@checked
def minimal_pairs(games: Games, n: int, *, seed: int, earliest: int = 4, latest: int | None = None) -> Pairs:
    """Minimal pairs made from games: one move is replaced by another legal one, and the moves after it stay legal.

    Args:
        games: finished games to start from.
        n: how many pairs.
        seed: of the choice of move and replacement.
        earliest, latest: range of the move number that is changed; latest is five eighths of a full game by default.

    Raises:
        ValueError: if the games yield fewer than n, or for an empty range.
    """
    latest = 5 * full_length(games.board) // 8 if latest is None else latest
    if not 1 <= earliest <= latest:
        raise ValueError(
            f"earliest={earliest}, latest={latest}: expected 1 <= earliest <= latest, since the move before counts"
        )
    rng = np.random.default_rng(seed)
    games = games[games.lengths > latest + SHARED_AFTER + 1]
    changed = rng.integers(earliest, latest + 1, len(games))
    clean, corrupted = _changed(games, changed, rng)
    boards = [replay(clean), replay(corrupted)]
    same_movers = (boards[0].mover == boards[1].mover).all(axis=1)
    ends = [board.legal[np.arange(len(clean)), clean.lengths] for board in boards]
    telling = (ends[0] & ~ends[1]).any(axis=1) & (ends[1] & ~ends[0]).any(axis=1)
    found = np.flatnonzero(same_movers & telling)[:n]
    if len(found) < n:
        raise ValueError(f"{len(games)} games gave {len(found)} minimal pairs, {n} asked for: pass more games")
    return Pairs(clean[found], corrupted[found])


def _changed(games: Games, changed: np.ndarray, rng: np.random.Generator) -> tuple[Games, Games]:
    """The games to SHARED_AFTER moves after the changed one, and with another legal move there, where both can be played."""
    here = np.arange(len(games))
    options = replay(games).legal[here, changed]
    options[here, games.moves[here, changed]] = False
    replacement = (options * rng.random(options.shape)).argmax(axis=1)
    clean = np.where(np.arange(games.moves.shape[1]) <= (changed + SHARED_AFTER)[:, None], games.moves, -1)
    corrupted = clean.copy()
    corrupted[here, changed] = replacement
    repeats = (corrupted == replacement[:, None]).sum(axis=1) > 1
    playable = options.any(axis=1) & ~repeats
    playable[playable] = legal_prefixes(Games(corrupted[playable], games.board)) > (changed + SHARED_AFTER)[playable]
    return Games(clean[playable], games.board), Games(corrupted[playable], games.board)


@checked
def truncate_games(games: Games, n: int, *, seed: int, earliest: int = 4, latest: int | None = None) -> Games:
    """The beginnings of n games, each truncated after a random move that another one follows.

    Args:
        games: finished games.
        n: how many.
        seed: of the moves.
        earliest, latest: range of the number of the last move kept; latest is five eighths of a full game by default.

    Raises:
        ValueError: if the games yield fewer than n, or for an empty range.
    """
    latest = 5 * full_length(games.board) // 8 if latest is None else latest
    if not 0 <= earliest <= latest:
        raise ValueError(f"earliest={earliest}, latest={latest}: expected 0 <= earliest <= latest")
    games = games[games.lengths > latest + 1][:n]
    if len(games) < n:
        raise ValueError(f"{len(games)} games of more than {latest + 1} moves, {n} asked for: pass more games")
    last = np.random.default_rng(seed).integers(earliest, latest + 1, n)
    return Games(np.where(np.arange(games.moves.shape[1]) <= last[:, None], games.moves, -1), games.board)
