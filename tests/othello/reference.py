"""Othello as the rule book tells it, slow and obvious: what the compiled engine is checked against."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

BLACK, WHITE = 1, -1
Place = tuple[int, int]  # (row, column), from 0
Discs = dict[Place, int]  # occupied places alone
DIRECTIONS = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0)]


def start(side: int) -> Discs:
    """The four discs at the start: white on d4 and e5 of 8x8, black on e4 and d5."""
    low, high = side // 2 - 1, side // 2
    return {(low, low): WHITE, (low, high): BLACK, (high, low): BLACK, (high, high): WHITE}


def turned(discs: Discs, side: int, place: Place, colour: int) -> list[Place]:
    """The discs that `colour` turns over by playing `place`; none if the move is not legal."""
    if place in discs:
        return []
    result: list[Place] = []
    for down, right in DIRECTIONS:
        run: list[Place] = []
        row, column = place[0] + down, place[1] + right
        while 0 <= row < side and 0 <= column < side and discs.get((row, column)) == -colour:
            run.append((row, column))
            row, column = row + down, column + right
        if 0 <= row < side and 0 <= column < side and discs.get((row, column)) == colour:
            result += run
    return result


def legal_places(discs: Discs, side: int, colour: int) -> list[Place]:
    """Where `colour` may move, row by row."""
    return [
        (row, column) for row in range(side) for column in range(side) if turned(discs, side, (row, column), colour)
    ]


def play(discs: Discs, side: int, place: Place, colour: int) -> Discs:
    """The discs after `colour` has played `place`."""
    return discs | dict.fromkeys([place, *turned(discs, side, place, colour)], colour)


@dataclass
class Position:
    """One position of a game: discs, who moves (0: nobody), where to, and whether the other player had to pass."""

    discs: Discs
    mover: int
    legal: list[Place]
    passed: bool


def position(discs: Discs, side: int, turn: int) -> Position:
    """The position in which `turn` should move: without a legal move the other player moves, or the game is over."""
    for mover, passed in ((turn, False), (-turn, True)):
        legal = legal_places(discs, side, mover)
        if legal:
            return Position(discs, mover, legal, passed)
    return Position(discs, 0, [], False)


def positions(moves: Iterable[int], side: int) -> list[Position]:
    """Every position of a game of row-major squares, the start included; an illegal move is an AssertionError."""
    result = [position(start(side), side, BLACK)]
    for square in moves:
        now, place = result[-1], divmod(square, side)
        assert place in now.legal, f"{place} is not among {now.legal}"
        result.append(position(play(now.discs, side, place, now.mover), side, -now.mover))
    return result


def leaves(side: int, depth: int) -> int:
    """Leaves exactly `depth` plies below the start; a forced pass is a ply, finished games are not counted."""

    @cache
    def below(discs: frozenset[tuple[Place, int]], turn: int, depth: int) -> int:
        if depth == 0:
            return 1
        now = position(dict(discs), side, turn)
        if now.passed:
            return below(discs, -turn, depth - 1)
        after = (play(dict(discs), side, place, turn) for place in now.legal)
        return sum(below(frozenset(child.items()), -turn, depth - 1) for child in after)

    return below(frozenset(start(side).items()), BLACK, depth)
