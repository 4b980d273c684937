"""Games to patch: minimal pairs, and games cut where something follows."""

from dataclasses import dataclass

import numpy as np

from mothello_interp.othello import Games, full_length, legal_prefixes, replay

SHARED_AFTER = 2  # moves that a minimal pair shares after the one that differs


@dataclass(frozen=True)
class Pairs:
    """Minimal pairs: games equal but for one move, with SHARED_AFTER equal moves after it and the same players to move.

    Attributes:
        clean, corrupted: the games, cut after the last shared move.
        changed: int64 `[pair]`, number of the move that differs.
        legal_clean, legal_corrupted: bool `[pair square]`, the moves legal at the end of each.
    """

    clean: Games
    corrupted: Games
    changed: np.ndarray
    legal_clean: np.ndarray
    legal_corrupted: np.ndarray

    def __len__(self) -> int:
        return len(self.clean)


def minimal_pairs(games: Games, n: int, *, seed: int, earliest: int = 4, latest: int | None = None) -> Pairs:
    """Make minimal pairs from games: another legal move is put in, and the moves after it must stay legal.

    Args:
        games: finished games to start from.
        n: how many pairs.
        seed: of the choice of move and replacement.
        earliest, latest: range of the move number that is changed; latest is five eighths of a full game by default.

    Raises:
        ValueError: if the games yield fewer than n, or for a range that is none.
    """
    latest = 5 * full_length(games.board) // 8 if latest is None else latest
    if not 1 <= earliest <= latest:
        raise ValueError(
            f"earliest={earliest}, latest={latest}: expected 1 <= earliest <= latest, since the move before counts"
        )
    rng = np.random.default_rng(seed)
    games = games[games.lengths > latest + SHARED_AFTER + 1]
    changed = rng.integers(earliest, latest + 1, len(games))
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
    first, second = (Games(moves[playable], games.board) for moves in (clean, corrupted))
    changed = changed[playable]
    boards = [replay(first), replay(second)]
    same_movers = (boards[0].mover == boards[1].mover).all(axis=1)
    ends = [board.legal[np.arange(len(changed)), changed + SHARED_AFTER + 1] for board in boards]
    telling = (ends[0] & ~ends[1]).any(axis=1) & (ends[1] & ~ends[0]).any(axis=1)
    found = np.flatnonzero(same_movers & telling)[:n]
    if len(found) < n:
        raise ValueError(f"{len(games)} games gave {len(found)} minimal pairs, {n} asked for: pass more games")
    return Pairs(first[found], second[found], changed[found], ends[0][found], ends[1][found])


def cut(games: Games, n: int, *, seed: int, earliest: int = 4, latest: int | None = None) -> Games:
    """The beginnings of n games, each cut behind a random move that another one follows.

    Args:
        games: finished games.
        n: how many.
        seed: of the moves.
        earliest, latest: range of the number of the last move kept; latest is five eighths of a full game by default.

    Raises:
        ValueError: if the games yield fewer than n, or for a range that is none.
    """
    latest = 5 * full_length(games.board) // 8 if latest is None else latest
    if not 0 <= earliest <= latest:
        raise ValueError(f"earliest={earliest}, latest={latest}: expected 0 <= earliest <= latest")
    games = games[games.lengths > latest + 1][:n]
    if len(games) < n:
        raise ValueError(f"{len(games)} games of more than {latest + 1} moves, {n} asked for: pass more games")
    last = np.random.default_rng(seed).integers(earliest, latest + 1, n)
    return Games(np.where(np.arange(games.moves.shape[1]) <= last[:, None], games.moves, -1), games.board)


def another(lengths: np.ndarray, seed: int) -> np.ndarray:
    """For each game another one that is at least as long, if there is any: whose state is the zero, int64 `[game]`."""
    rng = np.random.default_rng(seed)
    here = np.arange(len(lengths))
    score = rng.random((len(lengths), len(lengths))) + 2 * (lengths[None, :] >= lengths[:, None])
    score[here, here] = -1
    return score.argmax(axis=1)
