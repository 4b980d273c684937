"""Do naive languages align after all, each through a symmetry of the board?

Nothing in the data of languages without anchors says which of four ways their squares correspond: random play is the same
under the four symmetries that keep the start position. So a shared code can at best be shared up to such a map, and a probe
of one language, read in another, must be compared with each of the four images of the board. The paper compared it with the
board alone: pairs aligned through another map then score what a board agrees with its own image, which is where its two
values between clusters lie (0.53 and 0.61; a board agrees with its half turn in 0.52 of its squares, with its reflections in
0.61, and somewhat less after the probe's errors).

Each square of a matrix is a pair of languages: colour, the map through which the row's probe reads the column's language
best, of all eight symmetries of the square; number, how far it then is on the way from floor to ceiling; grey, no map. The
map is chosen on half of the games and scored on the other half, at layer 0, named before these models were trained. A pair
counts as raised if both directions name the same map, there and back, each at least a fifth of the way up, and each reads
that image on the squares where it differs from the runner-up's. The test, stated before looking too: if there is one code,
maps compose (0 to 2 is 0 to 1, then 1 to 2), for all triples; unrelated maps of the four do so one time in four.

Last two rows, by move (0: the board after the first one; no probe sees the start). Upper: all pairs together, each read
through its best map and (other colours) through that map and a further one; dots are what a language scores against its own
images. Where full curves lie on their dots, languages differ by the map and nothing else. Lower: the same pairs on the
squares where the board and its image differ, read as the image or as the board; where no square differs there is nothing to
read, so pairs that the identity relates have no part in it. Last column: pairs raised through a flip or quarter turn.

What is seen: twenty naive languages (one seed) and four of the six seeds of five are aligned, one of them nearly all of the
way, the others in part; most pairs are raised through one of the four maps, and maps compose more often than by chance (in
seed 5 only just, where the found maps are dealt anew). Where board and image differ, these read the image more often than
the board, at every move. In the other two seeds of five fewer than half of the pairs are raised, and what was
meant as a control comes out otherwise than foretold: offered the flips and quarter turns as well, just these two choose them,
in no other model does any pair. They go there and back by inverse maps, and counting all eight, the maps of every seed of
five compose more often than by chance. After the fact: all eight keep the rules, and those four do no more than exchange the
colours of the start, so a language may enter the code as a game whose other side began; why it would is open. Pairs so
related are low after the first move, one model's below the floor, and further up from the second on (last panel; summary,
`turned`); but most models' other pairs start lower too (`raised`), so that is no explanation. Four of the seeds were trained
when this was written, the last two were its first test: they chose none.

Four languages trained as long (one seed) are under a third of the way and do not pass the test; trained with more weight
decay and twice the games, in two seeds, every pair is nearly all of the way and every triple composes. So few triples say
little by themselves (p in the summary): there it is how far up the pairs are, and what the maps do, that speaks. Two
languages make no triple; those of the one seed there is share a board, three quarters of the way, through the identity.

Whether the maps are used, not only readable, is what `transplant` asks. Here, more weakly (summary, `recovery`: of what tells
two games apart that differ in one earlier move, the share that comes back with a state patched in): in the naive models
the pair's map does more than each of the others in most of the languages that have one (of the twenty in two of four),
beyond the 95% interval in fewer, and a state of another game already scores 0.38 to 0.49.

What could fool it: choosing the best of four (other games, and the squares where two images differ), a map that is common for
another reason (the found maps dealt anew to the pairs: p shuffled), early boards that equal their images (curves by move),
any map fitting anything (random weights of each model's own seed raise no pair, with four candidates or eight), one lucky
seed (all are shown). Anchors are the control with an answer foretold: one on either diagonal leaves the identity and the
reflection in it open, and just these two are found; one off the diagonals should leave the identity alone, and in most pairs
it does; where it does not, one language keeps to a reflection.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analyses import _maps
from analyses._maps import LAYER, aligned, best_maps, clustered, probes_at
from analyses._models import Checkpoint, Probes
from analyses._tables import cross, grid, where
from mothello_interp.othello import CONTROLS, SYMMETRIES, Symmetry, random_games
from mothello_interp.othello.symmetry import ALL
from mothello_interp.plots import COLOURS, Line, add_categories, add_lines, panel_grid

MODELS = _maps.MODELS | {"mini/atomic-atomic-anchors4": "2, four anchors"}
_SOURCES = 4  # languages whose states are patched into the first one's
_WIDTH = 4  # panels in a row
_TURNED = "flip or quarter turn"
_CURVES = ("4 naive languages, longer", "5 naive languages", "20 naive languages")  # of their lowest seed, by move
_MOVED = ["differing", "differing_as_board", "differing_ceiling"]

Maps = dict[
    tuple[int, int], Symmetry
]  # by source and target: the map through which the source's probe reads the target


def measure(
    checkpoint: Checkpoint, *, fit: int = _maps.FIT, score: int = _maps.SCORE, pairs: int = 150
) -> pd.DataFrame:
    """Maps of all pairs by layer ("pairs"), the pairs together by move ("moves"; raised ones, of eight candidates, through
    one of the four: "aligned", through one of the others: "turned"), and what the maps do ("patching")."""
    from mothello_interp.activations import all_layers

    layers = all_layers(checkpoint) if len(checkpoint.mothello.inputs) <= 5 else (LAYER,)
    random = checkpoint.untrained(seed=checkpoint.provenance["seed"])
    probes = {layer: probes_at(checkpoint, layer, fit=fit) for layer in layers}
    asked: list[tuple[str, int, Mapping[str, Symmetry]]] = [("trained", layer, SYMMETRIES) for layer in layers]
    asked += [("trained", LAYER, ALL), ("random", LAYER, SYMMETRIES), ("random", LAYER, ALL)]
    untrained, tables = probes_at(random, LAYER, fit=fit), []
    for weights, layer, candidates in asked:
        model, found = (checkpoint, probes[layer]) if weights == "trained" else (random, untrained)
        table = best_maps(model, found, layer=layer, candidates=candidates, score=score)
        tables.append(table.assign(weights=weights, candidates=len(candidates), part="pairs"))
    maps, eight = _by_pair(tables[layers.index(LAYER)]), tables[len(layers)]
    curves = _curves_of_pairs(checkpoint, probes[LAYER], score)
    tables.append(_by_move(curves, maps, aligned(eight)).assign(layer=LAYER))
    tables.append(_patching(checkpoint, maps, pairs).assign(part="patching"))
    return pd.concat(tables, ignore_index=True)


def _by_pair(pairs: pd.DataFrame) -> Maps:
    """The map of each pair of different languages."""
    rows = cross(pairs)[["source", "target", "symmetry"]].itertuples(index=False, name=None)
    return {(source, target): ALL[name] for source, target, name in rows}


def _by_move(curves: pd.DataFrame, maps: Maps, eight: pd.DataFrame) -> pd.DataFrame:
    """The parts that are by move: all pairs through their maps, and those raised, of `eight`, through one of either kind."""
    tables = [_moves(curves, maps).assign(part="moves")]
    up = _by_pair(eight[eight["aligned"]])
    for part, group in (("aligned", SYMMETRIES), ("turned", CONTROLS)):
        own = {pair: found for pair, found in up.items() if found.name in group}
        tables.append(_through_own(curves, own).assign(part=part))
    return pd.concat(tables, ignore_index=True)


def _curves_of_pairs(checkpoint: Checkpoint, probes: Probes, games: int = _maps.SCORE) -> pd.DataFrame:
    """`align_by_move` under all eight symmetries; differing_ceiling: what a language reads at home on as many squares, of the
    board where it differs from the image that is as far from it."""
    from mothello_interp.alignment import align_by_move

    played = random_games(games, board=checkpoint.spec.board, seed=63)
    table = align_by_move(probes, checkpoint, played, layer=LAYER, symmetries=tuple(ALL.values()))
    home = table[table["source"] == table["target"]].set_index(["source", "symmetry", "move"])["differing_as_board"]
    inverse = table["symmetry"].map(lambda name: ALL[name].inverse.name)
    keys = pd.MultiIndex.from_arrays([table["source"], inverse, table["move"]])
    return table.assign(differing_ceiling=home.loc[keys].to_numpy())


def _moves(curves: pd.DataFrame, maps: Maps) -> pd.DataFrame:
    """Mean over pairs by move, each read through a further map after its own; and what languages score at home."""
    parts = []
    for (source, target), best in maps.items():
        group = where(curves, source=source, target=target)
        group = group[group["symmetry"].isin(list(SYMMETRIES))]
        further = {symmetry.name: (symmetry @ best.inverse).name for symmetry in SYMMETRIES.values()}
        at_home = group.set_index(["symmetry", "move"])["predicted"]
        group = group.assign(symmetry=group["symmetry"].map(further))
        keys = pd.MultiIndex.from_frame(group[["symmetry", "move"]])
        parts.append(group.assign(predicted=at_home.loc[keys].to_numpy()))
    columns = ["accuracy", "predicted", "floor", "ceiling", *_MOVED]
    return pd.concat(parts).groupby(["symmetry", "move"], as_index=False, sort=False)[columns].mean()


def _through_own(curves: pd.DataFrame, maps: Maps) -> pd.DataFrame:
    """Mean by move over these pairs, each read through its map; no row without pairs."""
    own = {(*pair, found.name) for pair, found in maps.items()}
    keys = curves[["source", "target", "symmetry"]].itertuples(index=False, name=None)
    rows = curves[[key in own for key in keys]]
    columns = ["accuracy", "floor", "ceiling", *_MOVED]
    return rows.groupby("move", as_index=False)[columns].mean().assign(pairs=len(maps))


def _patching(checkpoint: Checkpoint, maps: Maps, pairs: int) -> pd.DataFrame:
    """`recovery` in the first language (target), of its own states and of others' (source) through each map, at the last shared
    move; best: the map through which the target's probe reads the source."""
    from mothello_interp.activations import all_layers
    from mothello_interp.pairs import SHARED_AFTER, minimal_pairs
    from mothello_interp.patching import recovery

    minimal = minimal_pairs(random_games(2000, board=checkpoint.spec.board, seed=64), pairs, seed=0)
    target, *others = checkpoint.mothello.inputs[: _SOURCES + 1]
    corrupted = checkpoint.read(minimal.corrupted, target)
    tables = [recovery(checkpoint.read(minimal.clean, target), corrupted, resamples=200).assign(best=True)]
    for source in others:
        clean = checkpoint.read(minimal.clean, source)
        for symmetry in SYMMETRIES.values():
            table = recovery(clean, corrupted, symmetry=symmetry, resamples=200)
            tables.append(table.assign(best=maps[target, source] == symmetry))
    table = where(pd.concat(tables, ignore_index=True), offset=SHARED_AFTER)
    return table[table["layer"].between(0, max(all_layers(checkpoint)) - 1)]


def _models_of(table: pd.DataFrame) -> list[tuple[str, int]]:
    """Regimes and seeds in the order in which they are shown."""
    pairs = table[["regime", "seed"]].drop_duplicates().itertuples(index=False, name=None)
    order = list(MODELS.values())
    return sorted(pairs, key=lambda model: (order.index(model[0]), model[1]))


def _named(table: pd.DataFrame, candidates: Mapping[str, Symmetry] = SYMMETRIES, **model: Any) -> pd.DataFrame:
    """The pairs at the named layer, by the four symmetries or all eight, of one model."""
    return where(table, part="pairs", layer=LAYER, candidates=len(candidates), **model)


def figure(table: pd.DataFrame) -> go.Figure:
    """A matrix a model, then curves by move of some of them."""
    models = _models_of(table)
    curves = [next(model for model in models if model[0] == regime) for regime in _CURVES if regime in dict(models)]
    curves, most = curves or models[:1], _most_turned(table)
    names = {model: f"{model[0]}<br>seed {model[1]}" for model in models}
    matrices = grid(list(names.values()), _WIDTH)
    by_move = [names[model] for model in curves] + [""] * (_WIDTH - len(curves) - len(most))
    by_move += [f"{_TURNED}<br>{names[model]}" for model in most]
    labels = ["language of the probe"] * len(matrices) + ["accuracy", "where board and image differ"]
    drawing = panel_grid([*matrices, by_move, [""] * _WIDTH], x="", y=labels, shared=False)
    for place, (regime, seed) in enumerate(models):
        row, column = place // _WIDTH + 1, place % _WIDTH + 1
        _matrix(drawing, _named(table, ALL, regime=regime, seed=seed, weights="trained"), row, column)
    places = [*zip(curves, range(1, _WIDTH + 1), ["moves"] * len(curves), strict=False)]
    for (regime, seed), column, part in [*places, *((model, _WIDTH, "turned") for model in most)]:
        here = where(table, part=part, regime=regime, seed=seed)
        _curves(drawing, here, _LINES[part], len(matrices) + 1, column, 0.2)
        plain = where(here, symmetry="identity") if part == "moves" else here
        _curves(drawing, plain, _DIFFERING, len(matrices) + 2, column, -0.02)
    return drawing


def _most_turned(table: pd.DataFrame) -> list[tuple[str, int]]:
    """The model with most pairs raised through a flip or quarter turn, if there is one."""
    turned = where(table, part="turned").sort_values("pairs", ascending=False, kind="stable")
    return [*turned[["regime", "seed"]].head(1).itertuples(index=False, name=None)]


def _matrix(drawing: go.Figure, pairs: pd.DataFrame, row: int, column: int) -> None:
    """One model's maps."""
    both = aligned(pairs).set_index(["source", "target"])["aligned"]
    category = [
        (symmetry if symmetry in SYMMETRIES else _TURNED) if source == target or both[source, target] else "none"
        for source, target, symmetry in pairs[["source", "target", "symmetry"]].itertuples(index=False, name=None)
    ]
    text = pairs["normalised"].map("{:.2f}".format) if pairs["source"].nunique() <= 5 else ""
    cells = pairs.assign(category=category, text=text)
    clusters = clustered(cells.pivot(index="source", columns="target", values="category"))
    order = [language for cluster in clusters for language in cluster]
    colours = {**{name: COLOURS[name] for name in SYMMETRIES}, _TURNED: COLOURS["turned"], "none": COLOURS["none"]}
    add_categories(drawing, cells, x="target", y="source", category="category", text="text", order=order,
                   colours=colours, row=row, column=column, legend=row == column == 1)  # fmt: skip
    drawing.update_xaxes(title_text="language it reads", row=row, col=column)
    if len(order) > 10:  # or plotly leaves out labels, others on each axis
        drawing.update_xaxes(dtick=1, tickfont_size=9, tickangle=-90, row=row, col=column)
        drawing.update_yaxes(dtick=1, tickfont_size=9, row=row, col=column)


def _curves(drawing: go.Figure, here: pd.DataFrame, lines: list[Line], row: int, column: int, lowest: float) -> None:
    """One model's pairs by move, on one scale for the panels of a row."""
    add_lines(drawing, here, lines, x="move", row=row, column=column)
    drawing.update_yaxes(range=[lowest, 1.02], row=row, col=column)
    drawing.update_xaxes(title_text="move (0: after the first)", row=row, col=column)


def _through(name: str) -> list[Line]:
    """Pairs read through their map and this one after it."""
    label, rows = f"and the {name.replace('_', ' ')}", {"symmetry": name}
    return [
        Line("accuracy", "through its map" if name == "identity" else label, COLOURS[name], rows),
        Line("predicted", "a language and its own images", COLOURS[name], rows, dash="dot", width=1.2),
    ]


_LINES = {
    "moves": [line for name in SYMMETRIES for line in _through(name)]
    + [Line("floor", "floor", COLOURS["floor"], {"symmetry": "identity"}, dash="dash", width=1.5)],
    "turned": [
        Line("accuracy", f"through their {_TURNED}", COLOURS["turned"]),
        Line("ceiling", "at home", COLOURS["turned"], dash="dot", width=1.2),
        Line("floor", "floor", COLOURS["floor"], dash="dash", width=1.5),
    ],
}
_DIFFERING = [  # on the squares where the board differs from its image
    Line("differing", "read as the image", COLOURS["ceiling"]),
    Line("differing_as_board", "read as the board", COLOURS["naive"]),
    Line("differing_ceiling", "a language and its own board, there", COLOURS["ceiling"], dash="dot", width=1.2),
]


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """A row a model: how many pairs have a map, whether the maps compose, and what they do."""
    rows = []
    for regime, seed in _models_of(table):
        for weights in ("trained", "random"):
            model: dict[str, Any] = {"regime": regime, "seed": seed, "weights": weights}
            pairs = _named(table, **model)
            row = {**model, **_raised_pairs(pairs), **_composition(pairs), **_of_eight(_named(table, ALL, **model))}
            if weights == "trained":
                here = where(table, regime=regime, seed=seed)
                row |= _differing(here) | _later(here) | _effects(here, aligned(pairs))
            rows.append(row)
    return pd.DataFrame(rows)


def _raised_pairs(pairs: pd.DataFrame) -> dict[str, Any]:
    """How many pairs have a map, which, and how far up all are."""
    both = aligned(pairs)
    once = both[both["source"] < both["target"]]
    counts = once[once["aligned"]]["symmetry"].value_counts()
    return {
        "aligned pairs": f"{once['aligned'].sum()} of {len(once)}",
        "maps": ", ".join(f"{counts[name]} {name.replace('_', ' ')}" for name in SYMMETRIES if name in counts),
        **both[["accuracy", "floor", "ceiling", "normalised", "margin"]].mean(),
        "margin of a language and itself": both["margin_ceiling"].mean(),
    }


def _composition(pairs: pd.DataFrame) -> dict[str, Any]:
    """The group test, of three languages or more."""
    from mothello_interp.symmetries import cycle_consistency_test

    if pairs["source"].nunique() < 3:
        return {}
    test = cycle_consistency_test(_by_pair(pairs))
    return {
        "triples that compose": f"{test.consistent} of {test.triangles}",
        "chance that all do": 4.0**-test.checks,
        "p, random maps": test.p_random,
        "p, shuffled": test.p_shuffled,
    }


def _of_eight(pairs: pd.DataFrame) -> dict[str, Any]:
    """The same with flips and quarter turns among the candidates: how often one is chosen, and whether all eight compose."""
    from mothello_interp.symmetries import cycle_consistency_test

    both = aligned(pairs)
    turned, once = both["symmetry"].isin(list(CONTROLS)), both["source"] < both["target"]
    found: dict[str, Any] = {"flip or quarter turn": f"{turned.sum()} of {len(both)}"}
    found["aligned, of eight"] = f"{both[once]['aligned'].sum()} of {once.sum()}"
    found["of these flips or turns"] = int((both["aligned"] & turned & once).sum())
    if pairs["source"].nunique() < 3:
        return found
    test = cycle_consistency_test(_by_pair(pairs), symmetries=tuple(ALL.values()))
    found["triples, of eight"] = f"{test.consistent} of {test.triangles}"
    return found | {"p of eight, random maps": test.p_random, "p of eight, shuffled": test.p_shuffled}


def _differing(here: pd.DataFrame) -> dict[str, Any]:
    """Of the pairs whose map is not the identity, on the squares where the board differs from its image: mean over moves."""
    rows = where(here, part="moves", symmetry="identity").dropna(subset="differing")
    found = dict(rows[_MOVED].mean().set_axis(["as the image", "as the board", "own language there"]))
    return found | {"moves, image first": f"{(rows['differing'] > rows['differing_as_board']).sum()} of {len(rows)}"}


def _later(here: pd.DataFrame) -> dict[str, Any]:
    """How far up raised pairs are after the first move and from the second on, through the four maps and through the others."""
    found = {}
    for part in ("aligned", "turned"):
        for name, chosen in (("after move 1", here["move"] == 0), ("from move 2", here["move"] > 0)):
            rows = where(here[chosen], part=part)
            room = (rows["ceiling"] - rows["floor"]).sum()
            found[f"{part}, {name}"] = (rows["accuracy"] - rows["floor"]).sum() / room if len(rows) else np.nan
    return found


def _effects(here: pd.DataFrame, both: pd.DataFrame) -> dict[str, Any]:
    """Recovery at the named layer, mean over sources that have a map: through it, through the other maps, of another game's
    state, of a language's own; and in how many sources the map does more than each of the others, or its interval does."""
    rows = where(here, part="patching", layer=LAYER)
    mapped = both[both["aligned"] & both["target"].isin(rows["target"])]["source"]
    own, across = rows[rows["source"] == rows["target"]], rows[rows["source"].isin(mapped)]
    named = across["best"].astype(bool)
    best, others = across[named].set_index("source"), across[~named]
    highest = others.groupby("source")["recovery"].max()
    return {
        "recovery, best map": best["recovery"].mean(),
        "other maps": others["recovery"].mean(),
        "highest of the others": highest.mean(),
        "another game": across["floor"].mean(),
        "own language": own["recovery"].mean(),
        "best map first": f"{(best['recovery'] > highest).sum()} of {len(best)}",
        "beyond the interval": f"{(best['low'] > highest).sum()} of {len(best)}",
    }
