"""Alignment up to a symmetry: through which map, if any, are two languages aligned, and do the maps fit together?

A board symmetry g relates source and target if P_src, reading the target's rows of a board b, says g(b). Such maps
compose: g_ac = g_ab g_bc. So M languages that share one code up to symmetries give (M - 1)(M - 2) / 2 independent checks
that maps found pair by pair pass all at once, and that unrelated ones pass one time in four each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any

import numpy as np
import pandas as pd

from mothello_interp.activations import hook_name, other_game
from mothello_interp.alignment.scores import ALL_FOUR, Hits, Scores, at_layer, share
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games, Symmetry
from mothello_interp.othello.rules import square_name
from mothello_interp.probes import Probes


def align_up_to_symmetry(
    probes: Probes,
    checkpoint: Checkpoint,
    games: Games,
    *,
    layer: int,
    symmetries: Sequence[Symmetry | str] = ALL_FOUR,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """The symmetry through which each pair is aligned best, chosen on half of the games and scored on the other half.

    Args:
        layer: named beforehand, so that it is not chosen by what it shows.
        symmetries: the candidates, a group; add the `CONTROLS` to see whether one of them wins.
        resamples: bootstrap resamples over games.
        seed: of the bootstrap.

    Returns:
        One row per source and target, all but the choice from the second half of the games: layer, hook, source, target,
        symmetry; accuracy, low, high (95% over games), moved, floor, ceiling, normalised, as in `align`;
        runner_up, runner_up_accuracy: of the next best symmetry;
        margin, margin_low, margin_high: on the squares where the two images differ, the share read as the best one shows
        them less the share read as the runner-up does, from -1 to 1, with its 95% interval over games;
        margin_ceiling: the margin that P_src has at home, between the board and the image that is as far from it;
        games: how many were scored.

    Raises:
        ValueError: for a layer without probes, fewer than two games, or symmetries that are not a group.
    """
    symmetries = _group(symmetries)
    half = len(games) // 2
    chosen = at_layer(probes, checkpoint, games[:half], layer, symmetries)
    scored = at_layer(probes, checkpoint, games[half:], layer, symmetries)
    weights = scored.resamplings(resamples, seed)
    rows = []
    for source in probes.languages:
        own = scored.hits(layer, source, source)
        ceiling = scored.per_game(own.plain)
        for target in probes.languages:
            ranked = np.argsort(-chosen.hits(layer, source, target).right.mean(axis=1), kind="stable")
            best, next_best = int(ranked[0]), int(ranked[1])
            hits = scored.hits(layer, source, target)
            accuracy, floor = scored.per_game(hits.right[best]), scored.per_game(hits.floor)
            low, high = scored.interval(weights, accuracy)
            row: dict[str, Any] = {"layer": layer, "hook": hook_name(layer), "source": source, "target": target}
            row |= {"symmetry": symmetries[best].name, "accuracy": scored.mean(accuracy), "low": low, "high": high}
            row["moved"] = share(hits.moved[best].sum(), scored.moved[best].sum())
            row |= {"floor": scored.mean(floor), "ceiling": scored.mean(ceiling)}
            row["normalised"] = (row["accuracy"] - row["floor"]) / (row["ceiling"] - row["floor"])
            row["runner_up"] = symmetries[next_best].name
            row["runner_up_accuracy"] = scored.mean(scored.per_game(hits.right[next_best]))
            row |= _margin(scored, hits, own, best, next_best, weights)
            rows.append({**row, "games": len(games) - half})
    return pd.DataFrame(rows)


def _margin(scores: Scores, hits: Hits, own: Hits, best: int, next_best: int, weights: np.ndarray) -> dict[str, float]:
    """The contest of two images on the squares where they differ."""
    differing = scores.per_game(scores.differing(best, next_best))
    gain = scores.per_game(hits.right[best] - hits.right[next_best])
    low, high = np.quantile((weights @ gain) / (weights @ differing), [0.025, 0.975])
    apart = scores.symmetries[next_best] @ scores.symmetries[best].inverse
    home = [scores.symmetries.index(symmetry) for symmetry in (apart @ apart.inverse, apart)]
    at_home = (own.right[home[0]] - own.right[home[1]]).sum() / scores.differing(*home).sum()
    found = {"margin": gain.sum() / differing.sum(), "margin_low": low, "margin_high": high, "margin_ceiling": at_home}
    return {name: float(value) for name, value in found.items()}


def contest(
    probes: Probes,
    checkpoint: Checkpoint,
    games: Games,
    *,
    layer: int,
    source: int,
    target: int,
    first: Symmetry | str,
    second: Symmetry | str,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Where two symmetries are raised together: which image does P_src read in the target, square by square?

    A mixture over squares has squares that follow `first` and squares that follow `second`; two images superposed have
    both at every square; where only squares that both maps fix are read, the others lie at their null.

    Returns:
        One row per square: square (its name); fixed (whether both maps put the same square there);
        cells (rows where the two images differ there) and, of these, `first`, `second`, `neither`: the share read as
        either image shows them, or as none does; low, high: 95% over games of `first` - `second`;
        first_null, second_null: the same with the prediction of another game at that move;
        agreed, agreed_null: accuracy where the two images are equal. Shares are NaN where there are no such cells.

    Raises:
        ValueError: for a layer without probes, a language without one, or one symmetry twice.
    """
    first, second = Symmetry.of(first), Symmetry.of(second)
    if first == second:
        raise ValueError(f"{first.name} against itself: there is no square where the two images differ")
    scores = at_layer(probes, checkpoint, games, layer, (first, second))
    predicted = scores.predict(layer, source, target)
    elsewhere = predicted[other_game(scores.game, scores.move)]
    one, other = scores.images
    differ = one != other
    reads = {"first": predicted == one, "second": predicted == other}
    nulls = {"first_null": elsewhere == one, "second_null": elsewhere == other}
    cells = differ.sum(axis=0)
    board = probes.board
    table = pd.DataFrame({"square": [square_name(square, board) for square in range(board**2)]})
    table["fixed"] = np.argsort(first.squares(board)) == np.argsort(second.squares(board))
    table["cells"] = cells
    with np.errstate(invalid="ignore"):
        for name, hit in (reads | nulls).items():
            table[name] = (hit & differ).sum(axis=0) / cells
        table["neither"] = 1 - table["first"] - table["second"]
        weights = scores.resamplings(resamples, seed)
        gain = scores.per_game_and_square((reads["first"] & differ).astype(np.int8) - (reads["second"] & differ))
        spread = (weights @ gain) / (weights @ scores.per_game_and_square(differ))
        table["low"], table["high"] = np.quantile(spread, [0.025, 0.975], axis=0)
        table["agreed"] = (reads["first"] & ~differ).sum(axis=0) / (~differ).sum(axis=0)
        table["agreed_null"] = (nulls["first_null"] & ~differ).sum(axis=0) / (~differ).sum(axis=0)
    return table.assign(layer=layer, source=source, target=target)


@dataclass(frozen=True)
class GroupTest:
    """Do maps between languages, found pair by pair, compose as one shared code would have it?

    Attributes:
        languages: how many.
        mutual: of the pairs, how many have g_ba = g_ab^-1.
        pairs: how many there are.
        consistent: of the triangles, how many compose, in every direction.
        triangles: how many there are.
        checks: how many of the triangles are independent.
        p_random: share of drawings with at least as many consistent triangles, when every pair has a map drawn at random
            from the candidates (the same in both directions: mutual pairs are granted), counting the data itself.
        p_shuffled: the same with the maps found, dealt to the pairs in random order: it does not count as evidence that
            one map is common.
        draws: how many drawings.
    """

    languages: int
    mutual: int
    pairs: int
    consistent: int
    triangles: int
    checks: int
    p_random: float
    p_shuffled: float
    draws: int


def group_test(
    maps: Mapping[tuple[int, int], Symmetry | str],
    *,
    symmetries: Sequence[Symmetry | str] = ALL_FOUR,
    draws: int = 9_999,
    seed: int = 0,
) -> GroupTest:
    """Test that g_ac = g_ab g_bc for all triples of languages.

    Args:
        maps: g_ab by (a, b), for every ordered pair of different languages; see `align_up_to_symmetry`.
        symmetries: what random maps are drawn from, a group.
        draws: of random maps.
        seed: of the draws.

    Raises:
        ValueError: for a pair without a map, a map that is none of `symmetries`, fewer than three languages, or symmetries
            that are not a group.

    Examples:
        >>> from itertools import permutations
        >>> from mothello_interp import SYMMETRIES
        >>> seen_through = [SYMMETRIES[name] for name in ("identity", "diagonal", "diagonal", "half_turn")]
        >>> maps = {(a, b): seen_through[a] @ seen_through[b] for a, b in permutations(range(4), 2)}
        >>> test = group_test(maps)
        >>> test.consistent, test.triangles, test.p_random < 0.05
        (4, 4, True)
    """
    symmetries = _group(symmetries)
    languages = sorted({language for pair in maps for language in pair})
    missing = [pair for pair in permutations(languages, 2) if pair not in maps]
    if len(languages) < 3 or missing:
        raise ValueError(f"languages {languages}, no map for {missing}: expected three or more languages and all pairs")
    table = {element.name: place for place, element in enumerate(symmetries)}
    named = {pair: Symmetry.of(found).name for pair, found in maps.items()}
    if beyond := sorted(set(named.values()) - table.keys()):
        raise ValueError(
            f"maps through {', '.join(beyond)}: name the group they are from, symmetries= of {sorted(table)} now"
        )
    chosen = {pair: table[name] for pair, name in named.items()}
    product = np.array([[table[(g @ h).name] for h in symmetries] for g in symmetries])
    inverse = np.array([table[g.inverse.name] for g in symmetries])
    pairs = list(combinations(range(len(languages)), 2))
    place = {pair: index for index, pair in enumerate(pairs)}
    triangles = list(combinations(range(len(languages)), 3))
    ab, bc, ac = (np.array([place[t[i], t[j]] for t in triangles]) for i, j in ((0, 1), (1, 2), (0, 2)))

    def composing(found: np.ndarray) -> np.ndarray:
        """Which triangles compose, `[... triangle]`, for maps `[... pair]`."""
        return product[found[..., ab], found[..., bc]] == found[..., ac]

    forth = np.array([chosen[languages[a], languages[b]] for a, b in pairs])
    back = np.array([chosen[languages[b], languages[a]] for a, b in pairs])
    mutual = inverse[forth] == back
    consistent = int((composing(forth) & mutual[ab] & mutual[bc] & mutual[ac]).sum())
    rng = np.random.default_rng(seed)
    at_least = {"random": 0, "shuffled": 0}
    for _ in range(draws):
        at_least["random"] += int(composing(rng.integers(0, len(symmetries), len(pairs))).sum() >= consistent)
        at_least["shuffled"] += int(composing(rng.permutation(forth)).sum() >= consistent)
    p_random, p_shuffled = ((1 + count) / (1 + draws) for count in at_least.values())
    checks = (len(languages) - 1) * (len(languages) - 2) // 2
    return GroupTest(
        len(languages), int(mutual.sum()), len(pairs), consistent, len(triangles), checks, p_random, p_shuffled, draws
    )


def _group(symmetries: Sequence[Symmetry | str]) -> tuple[Symmetry, ...]:
    found = tuple(Symmetry.of(symmetry) for symmetry in symmetries)
    names = {symmetry.name for symmetry in found}
    if not names or any((g @ h).name not in names for g in found for h in found):
        raise ValueError(f"{sorted(names)} are not closed under composition: pass a group of symmetries")
    return found
