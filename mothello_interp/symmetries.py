"""Alignment up to a symmetry: through which map, if any, are two languages aligned, and do the maps fit together?

A board symmetry g relates source and target if P_src, given the target's rows of a board b, predicts g(b). Such maps
compose: g_ac = g_ab g_bc. So M languages that share one representation up to symmetries give (M - 1)(M - 2) / 2 independent
checks that maps found pair by pair pass all together, and that unrelated ones pass one time in four each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any

import numpy as np
import pandas as pd

from mothello_interp.alignment import ALL_FOUR, BoardLabels, ProbeCounts, at_layer, ratio, scores
from mothello_interp.arguments import checked
from mothello_interp.forward import hook_name
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games, Symmetry
from mothello_interp.othello.rules import square_name
from mothello_interp.probes import Probes
from mothello_interp.stats import Bootstrap, mismatched_rows, permutation_p

_ENUMERATED = 2**20
_AS_IN_ALIGN = (
    "symmetry",
    "accuracy",
    "low",
    "high",
    "differing",
    "majority",
    "floor",
    "ceiling",
    "ceiling_target",
    "normalised",
)


@checked
def align_up_to_symmetry(
    probes: Probes,
    checkpoint: Checkpoint,
    games: Games,
    *,
    layer: int,
    symmetries: Sequence[Symmetry | str] = ALL_FOUR,
    own: Checkpoint | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """The best-matching symmetry of each pair, chosen on half of the games and scored on the other half.

    Args:
        layer: named beforehand, so that it is not chosen by what it shows.
        symmetries: the candidates, a group; add the `CONTROLS` to see whether one of them wins.
        own: the model that the probes were fitted on, if `checkpoint` is another one. The targets are then the input languages
            of `checkpoint`, without a ceiling of their own. Two models share nothing but their data: such pairs show what the
            best of the candidates reaches by chance.
        resamples, seed: of the bootstrap over games.

    Returns:
        One row per source and target, all but the choice from the second half of the games: layer, hook, source, target,
        symmetry; accuracy, low, high (95% over games), differing, majority, floor, ceiling, ceiling_target, normalised, as in
        `align`;
        runner_up, runner_up_accuracy: of the next best symmetry;
        margin, margin_low, margin_high: on the squares where the two images differ, the share decoded as the best one
        shows them less the share decoded as the runner-up does, from -1 to 1, with its 95% interval over games;
        margin_ceiling: the margin of P_src in-language, between the board and the image that is as far from it;
        games: how many were scored.

    Raises:
        ValueError: for a layer without probes, fewer than two games, or symmetries that are not a group.
    """
    symmetries = _group(symmetries)
    half = len(games) // 2
    choice, choice_rows, _ = at_layer(probes, checkpoint, games[:half], layer, symmetries, own)
    labels, rows, own_rows = at_layer(probes, checkpoint, games[half:], layer, symmetries, own)
    home = {language: labels.count(probes, own_rows, layer, language, language) for language in probes.languages}
    ceilings = home if own is None else {}
    bootstrap = Bootstrap(len(games) - half, resamples, seed)
    table = []
    for source in probes.languages:
        for target in rows.languages:
            ranked = choice.count(probes, choice_rows, layer, source, target).accuracy.mean(axis=1)
            best, runner_up = (int(place) for place in np.argsort(-ranked, kind="stable")[:2])
            counts = labels.count(probes, rows, layer, source, target)
            found = pd.DataFrame(scores(labels, counts, home[source], ceilings.get(target), bootstrap))
            row: dict[str, Any] = {"layer": layer, "hook": hook_name(layer), "source": source, "target": target}
            row |= {name: found[name][best] for name in _AS_IN_ALIGN}
            row |= {"runner_up": symmetries[runner_up].name, "runner_up_accuracy": found["accuracy"][runner_up]}
            row |= _margin(labels, counts, home[source], best, runner_up, bootstrap)
            table.append({**row, "games": len(games) - half})
    return pd.DataFrame(table)


def _margin(
    labels: BoardLabels, counts: ProbeCounts, own: ProbeCounts, best: int, runner_up: int, bootstrap: Bootstrap
) -> dict[str, float]:
    """How much more the best image is decoded than the runner-up's, on the squares where the two differ."""

    def differing(one: int, other: int) -> np.ndarray:
        return labels.per_game((labels.images[one] != labels.images[other]).mean(axis=1))

    def gain(of: ProbeCounts, one: int, other: int) -> np.ndarray:
        return labels.per_game(of.accuracy[one] - of.accuracy[other])

    here = best, runner_up
    low, high = bootstrap.interval(gain(counts, *here), differing(*here))
    apart = labels.symmetries[runner_up] @ labels.symmetries[best].inverse
    home = tuple(labels.symmetries.index(symmetry) for symmetry in (apart @ apart.inverse, apart))
    found = {"margin": gain(counts, *here).sum() / differing(*here).sum(), "margin_low": low, "margin_high": high}
    return {**found, "margin_ceiling": gain(own, *home).sum() / differing(*home).sum()}


@checked
def compare_symmetries(
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
    """Where two symmetries both align a pair: which image does P_src decode in the target, square by square?

    A mixture over squares has squares that follow `first` and squares that follow `second`; two images superposed have
    both at every square; where only squares that both maps fix are decoded, the others lie at their floor.

    Returns:
        One row per square: square (its name); fixed (whether both maps put the same square there);
        cells (rows where the two images differ there) and, among them, `first`, `second`, `neither`: the share decoded as
        either image shows them, or as none does; low, high: 95% over games of `first` - `second`;
        first_floor, second_floor: the same with the prediction of a mismatched game at that move;
        agreed, agreed_floor: accuracy where the two images are equal. Shares are NaN where there are no such cells.

    Raises:
        ValueError: for a layer without probes, a language without one, or one symmetry twice.
    """
    first, second = Symmetry.of(first), Symmetry.of(second)
    if first == second:
        raise ValueError(f"{first.name} against itself: there is no square where the two images differ")
    labels, rows, _ = at_layer(probes, checkpoint, games, layer, (first, second))
    predicted = labels.predict(probes, rows, layer, source, target)
    elsewhere = predicted[mismatched_rows(labels.game, labels.move)]
    one, other = labels.images
    differ, board = one != other, probes.board
    cells = differ.sum(axis=0)
    table = pd.DataFrame({"square": [square_name(square, board) for square in range(board**2)]})
    table["fixed"] = np.argsort(first.squares(board)) == np.argsort(second.squares(board))
    table["cells"] = cells
    for suffix, said in (("", predicted), ("_floor", elsewhere)):
        for name, image in (("first", one), ("second", other)):
            table[f"{name}{suffix}"] = ratio(((said == image) & differ).sum(axis=0), cells)
    table["neither"] = 1 - table["first"] - table["second"]
    gain = ((predicted == one) & differ).astype(int) - ((predicted == other) & differ)
    bootstrap = Bootstrap(len(games), resamples, seed)
    table["low"], table["high"] = bootstrap.interval(labels.per_game(gain.T), labels.per_game(differ.T))
    for name, said in (("agreed", predicted), ("agreed_floor", elsewhere)):
        table[name] = ratio(((said == one) & ~differ).sum(axis=0), (~differ).sum(axis=0))
    return table.assign(layer=layer, source=source, target=target)


@dataclass(frozen=True)
class CycleConsistency:
    """Whether maps between languages, found pair by pair, compose as one shared representation requires.

    Attributes:
        languages, pairs, triangles: how many there are.
        mutual: of the pairs, how many have g_ba = g_ab^-1.
        consistent: of the triangles, how many compose, in every direction.
        checks: how many of the triangles are independent.
        p_random: p value of `consistent` when every pair has a map drawn at random from the candidates (the same in both
            directions: mutual pairs are granted).
        p_shuffled: the same with the maps found, permuted over the pairs: it does not count as evidence that one map is
            common.
        draws: of random maps; 0 where the p values are exact.
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


@checked
def cycle_consistency_test(
    maps: Mapping[tuple[int, int], Symmetry | str],
    *,
    symmetries: Sequence[Symmetry | str] = ALL_FOUR,
    draws: int = 9_999,
    seed: int = 0,
) -> CycleConsistency:
    """Test that g_ac = g_ab g_bc for all triples of languages.

    Args:
        maps: g_ab by (a, b), for every ordered pair of different languages; see `align_up_to_symmetry`.
        symmetries: what random maps are drawn from, a group.
        draws, seed: of random maps. Where there are at most 2^20 ways to give maps to pairs (five languages and four maps)
            all are enumerated instead, and the p values are exact.

    Raises:
        ValueError: for a pair without a map, a map that is none of `symmetries`, fewer than three languages, or symmetries
            that are not a group.

    Examples:
        >>> from itertools import permutations
        >>> from mothello_interp import SYMMETRIES
        >>> seen_through = [SYMMETRIES[name] for name in ("identity", "diagonal", "diagonal", "half_turn")]
        >>> maps = {(a, b): seen_through[a] @ seen_through[b] for a, b in permutations(range(4), 2)}
        >>> test = cycle_consistency_test(maps)
        >>> test.consistent, test.triangles, test.p_random < 0.05
        (4, 4, True)
    """
    symmetries = _group(symmetries)
    languages = sorted({language for pair in maps for language in pair})
    missing = [pair for pair in permutations(languages, 2) if pair not in maps]
    if len(languages) < 3 or missing:
        raise ValueError(f"languages {languages}, no map for {missing}: expected three or more languages and all pairs")
    number = {element.name: place for place, element in enumerate(symmetries)}
    named = {pair: Symmetry.of(found).name for pair, found in maps.items()}
    if beyond := sorted(set(named.values()) - number.keys()):
        raise ValueError(f"maps through {', '.join(beyond)}: pass their group as symmetries=, now {sorted(number)}")
    product = np.array([[number[(g @ h).name] for h in symmetries] for g in symmetries])
    inverse = np.array([number[g.inverse.name] for g in symmetries])
    pairs = list(combinations(languages, 2))
    triangles = [tuple(pairs.index(edge) for edge in combinations(three, 2)) for three in combinations(languages, 3)]
    ab, ac, bc = np.array(triangles).T

    def composing(found: np.ndarray) -> np.ndarray:
        """Which triangles compose, `[... triangle]`, for maps `[... pair]`."""
        return product[found[..., ab], found[..., bc]] == found[..., ac]

    forth = np.array([number[named[a, b]] for a, b in pairs])
    mutual = inverse[forth] == [number[named[b, a]] for a, b in pairs]
    consistent = int((composing(forth) & mutual[ab] & mutual[bc] & mutual[ac]).sum())
    ways = len(symmetries) ** len(pairs)
    if ways <= _ENUMERATED:
        draws, everything = (
            0,
            np.stack(np.unravel_index(np.arange(ways), [len(symmetries)] * len(pairs)), axis=-1).astype(np.int8),
        )
        found_too = (np.sort(everything, axis=1) == np.sort(forth)).all(axis=1)
        as_many = composing(everything).sum(axis=1) >= consistent
        p_random, p_shuffled = float(as_many.mean()), float(as_many[found_too].mean())
    else:
        rng = np.random.default_rng(seed)
        random = rng.integers(0, len(symmetries), (draws, len(pairs)))
        permuted = rng.permuted(np.tile(forth, (draws, 1)), axis=1)
        p_random, p_shuffled = (permutation_p(consistent, composing(maps).sum(axis=1)) for maps in (random, permuted))
    checks = (len(languages) - 1) * (len(languages) - 2) // 2
    found = int(mutual.sum()), len(pairs), consistent, len(triangles)
    return CycleConsistency(len(languages), *found, checks, p_random, p_shuffled, draws)


def _group(symmetries: Sequence[Symmetry | str]) -> tuple[Symmetry, ...]:
    found = tuple(Symmetry.of(symmetry) for symmetry in symmetries)
    names = {symmetry.name for symmetry in found}
    if not names or any((g @ h).name not in names for g in found for h in found):
        raise ValueError(f"{sorted(names)} are not closed under composition: pass a group of symmetries")
    return found
