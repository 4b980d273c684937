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
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analyses._maps import LAYER, MODELS, SCORE, best_maps, probes_at, raised
from analyses._matrix import clustered
from analyses._models import BUNDLED, Zoo, over_models
from mothello_interp import SYMMETRIES, Checkpoint, Probes, random_games
from mothello_interp.activations import all_layers
from mothello_interp.alignment import align_by_move
from mothello_interp.othello.symmetry import ALL, CONTROLS, Symmetry
from mothello_interp.patching import SHARED_AFTER, minimal_pairs, recovery
from mothello_interp.plots import COLOURS, add_categories, add_curve, panel_grid
from mothello_interp.symmetries import cycle_consistency_test

_MODELS = MODELS | {"mini/atomic-atomic-anchors4": "2, four anchors"}
_PAIRS = 150
_DONORS = 4  # languages whose states are patched into the first one's


def measure(checkpoint: Checkpoint) -> pd.DataFrame:
    """Maps of all pairs by layer ("pairs"), the pairs together by move ("moves"; raised ones, of eight candidates, through
    one of the four: "raised", through one of the others: "turned"), and what the maps do ("patching")."""
    languages = checkpoint.mothello.inputs
    layers = all_layers(checkpoint) if len(languages) <= 5 else (LAYER,)
    at_layer = {layer: probes_at(checkpoint, layer) for layer in layers}
    tables = [
        best_maps(checkpoint, layer=layer, probes=probes).assign(weights="trained", candidates=len(SYMMETRIES))
        for layer, probes in at_layer.items()
    ]
    named = tables[layers.index(LAYER)]
    eight = best_maps(checkpoint, candidates=ALL, probes=at_layer[LAYER])
    tables.append(eight.assign(weights="trained", candidates=len(ALL)))
    random = checkpoint.untrained(seed=checkpoint.provenance["seed"])
    probes = probes_at(random, LAYER)
    for candidates in (SYMMETRIES, ALL):
        found = best_maps(random, candidates=candidates, probes=probes)
        tables.append(found.assign(weights="random", candidates=len(candidates)))
    tables = [table.assign(part="pairs") for table in tables]
    tables.append(_by_move(checkpoint, at_layer[LAYER], _maps(named), raised(eight)).assign(layer=LAYER))
    tables.append(_patching(checkpoint, _maps(named)).assign(part="patching"))
    return pd.concat(tables, ignore_index=True)


def _maps(pairs: pd.DataFrame) -> dict[tuple[int, int], Any]:
    """g_ab by (a, b), of different languages."""
    rows = pairs[pairs["source"] != pairs["target"]]
    return {(row["source"], row["target"]): ALL[row["symmetry"]] for row in rows.to_dict("records")}


_MOVED = ["differing", "differing_as_board", "differing_ceiling"]
_KEY = ["source", "target", "symmetry"]


def _by_move(
    checkpoint: Checkpoint, probes: Probes, maps: dict[tuple[int, int], Any], eight: pd.DataFrame
) -> pd.DataFrame:
    """The parts that are by move: all pairs through their maps, and those raised, of `eight`, through one of either kind."""
    curves = _curves_of_pairs(checkpoint, probes)
    tables = [_moves(curves, maps).assign(part="moves")]
    up = _maps(eight[eight["raised"]])
    for part, group in (("raised", SYMMETRIES), ("turned", CONTROLS)):
        own = {pair: found for pair, found in up.items() if found.name in group}
        tables.append(_through_own(curves, own).assign(part=part))
    return pd.concat(tables, ignore_index=True)


def _curves_of_pairs(checkpoint: Checkpoint, probes: Probes) -> pd.DataFrame:
    """`align_by_move` under all eight symmetries; differing_ceiling: what a language reads at home on as many squares, of the
    board where it differs from the image that is as far from it."""
    games, symmetries = random_games(SCORE, board=checkpoint.spec.board, seed=63), tuple(ALL.values())
    table = align_by_move(probes, checkpoint, games, layer=LAYER, symmetries=symmetries)
    home = table[table["source"] == table["target"]].set_index(["source", "symmetry", "move"])["differing_as_board"]
    inverse = table["symmetry"].map(lambda name: ALL[name].inverse.name)
    keys = pd.MultiIndex.from_arrays([table["source"], inverse, table["move"]])
    return table.assign(differing_ceiling=home.loc[keys].to_numpy())


def _moves(curves: pd.DataFrame, maps: dict[tuple[int, int], Any]) -> pd.DataFrame:
    """Mean over pairs by move, each read through a further map after its own; and what languages score at home."""
    parts = []
    for (source, target), best in maps.items():
        group = curves[(curves["source"] == source) & (curves["target"] == target)]
        group = group[group["symmetry"].isin(list(SYMMETRIES))]
        further = {symmetry.name: (symmetry @ best.inverse).name for symmetry in SYMMETRIES.values()}
        at_home = group.set_index(["symmetry", "move"])["predicted"]
        group = group.assign(symmetry=group["symmetry"].map(further))
        keys = pd.MultiIndex.from_frame(group[["symmetry", "move"]])
        parts.append(group.assign(predicted=at_home.loc[keys].to_numpy()))
    columns = ["accuracy", "predicted", "floor", "ceiling", *_MOVED]
    return pd.concat(parts).groupby(["symmetry", "move"], as_index=False, sort=False)[columns].mean()


def _through_own(curves: pd.DataFrame, maps: dict[tuple[int, int], Any]) -> pd.DataFrame:
    """Mean by move over these pairs, each read through its map; no row without pairs."""
    own = {(*pair, found.name) for pair, found in maps.items()}
    rows = curves[[key in own for key in zip(*(curves[name] for name in _KEY), strict=True)]]
    columns = ["accuracy", "floor", "ceiling", *_MOVED]
    return rows.groupby("move", as_index=False)[columns].mean().assign(pairs=len(maps))


def _patching(checkpoint: Checkpoint, maps: dict[tuple[int, int], Any]) -> pd.DataFrame:
    """`recovery` into the first language, of itself and of others through each map, at the last shared move."""
    pairs = minimal_pairs(random_games(2000, board=checkpoint.spec.board, seed=64), _PAIRS, seed=0)
    base, *others = checkpoint.mothello.inputs[: _DONORS + 1]
    tables = [recovery(checkpoint, pairs, base=base, donor=base, resamples=200).assign(best=True)]
    for donor in others:
        for symmetry in SYMMETRIES.values():
            table = recovery(checkpoint, pairs, base=base, donor=donor, symmetry=symmetry, resamples=200)
            tables.append(table.assign(best=maps[base, donor] == symmetry))
    table = pd.concat(tables, ignore_index=True)
    table = table[(table["offset"] == SHARED_AFTER) & table["layer"].between(0, max(all_layers(checkpoint)) - 1)]
    return table.rename(columns={"base": "target", "donor": "source"})


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The measure over the bundled models, and the stored rows of the others."""
    return over_models("symmetry", measure, _MODELS, zoo=zoo)


def _models_of(table: pd.DataFrame) -> list[tuple[str, int]]:
    """Regimes and seeds in the order in which they are shown."""
    pairs = table.drop_duplicates(["regime", "seed"])
    order = list(_MODELS.values())
    return sorted(zip(pairs["regime"], pairs["seed"], strict=True), key=lambda model: (order.index(model[0]), model[1]))


def _named(table: pd.DataFrame, candidates: Mapping[str, Symmetry] = SYMMETRIES, **key: Any) -> pd.DataFrame:
    """The pairs at the named layer, by the four symmetries or all eight, of one model."""
    rows = table[(table["part"] == "pairs") & (table["layer"] == LAYER) & (table["candidates"] == len(candidates))]
    for name, value in key.items():
        rows = rows[rows[name] == value]
    return rows


_WIDTH = 4  # panels in a row
_TURNED = "flip or quarter turn"
_CURVES = ("4 naive languages, longer", "5 naive languages", "20 naive languages")  # of their lowest seed, by move


def figure(table: pd.DataFrame) -> go.Figure:
    """A matrix a model, then curves by move of some of them."""
    models = _models_of(table)
    curves = [next(model for model in models if model[0] == regime) for regime in _CURVES if regime in dict(models)]
    curves = curves or models[:1]
    rows = -(-len(models) // _WIDTH)
    titles = [f"{regime}<br>seed {seed}" for regime, seed in models] + [""] * (rows * _WIDTH - len(models))
    most = _most_turned(table)
    titles += [f"{regime}<br>seed {seed}" for regime, seed in curves] + [""] * (_WIDTH - len(curves) - len(most))
    titles += [f"{_TURNED}<br>{regime}<br>seed {seed}" for regime, seed in most]
    grid = [titles[start : start + _WIDTH] for start in range(0, len(titles), _WIDTH)] + [[""] * _WIDTH]
    labels = ["language of the probe"] * rows + ["accuracy", "where board and image differ"]
    drawing = panel_grid(grid, x="", y=labels, shared=False)
    for place, (regime, seed) in enumerate(models):
        row, column = place // _WIDTH + 1, place % _WIDTH + 1
        _matrix(drawing, _named(table, ALL, regime=regime, seed=seed, weights="trained"), row, column)
    for column, (regime, seed) in enumerate(curves, 1):
        here = table[(table["part"] == "moves") & (table["regime"] == regime) & (table["seed"] == seed)]
        _curves(drawing, here, rows + 1, column)
        _differing_curves(drawing, here[here["symmetry"] == "identity"], rows + 2, column)
    for regime, seed in most:
        here = table[(table["part"] == "turned") & (table["regime"] == regime) & (table["seed"] == seed)]
        _turned_curves(drawing, here, rows + 1, _WIDTH)
        _differing_curves(drawing, here, rows + 2, _WIDTH)
    return drawing


def _most_turned(table: pd.DataFrame) -> list[tuple[str, int]]:
    """The model with most pairs raised through a flip or quarter turn, if there is one."""
    turned = table[table["part"] == "turned"]
    if turned.empty:
        return []
    models = list(zip(turned["pairs"], turned["regime"], turned["seed"], strict=True))
    return [max(models, key=lambda model: model[0])[1:]]


def _matrix(drawing: go.Figure, pairs: pd.DataFrame, row: int, column: int) -> None:
    """One model's maps."""
    both = raised(pairs).set_index(["source", "target"])["raised"]
    cells = pairs.assign(
        category=[
            (symmetry if symmetry in SYMMETRIES else _TURNED) if source == target or both[source, target] else "none"
            for source, target, symmetry in zip(pairs["source"], pairs["target"], pairs["symmetry"], strict=True)
        ],
        text=pairs["normalised"].map("{:.2f}".format) if pairs["source"].nunique() <= 5 else "",
    )
    clusters = clustered(cells.pivot(index="source", columns="target", values="category"))
    order = [language for cluster in clusters for language in cluster]
    colours = {**{name: COLOURS[name] for name in SYMMETRIES}, _TURNED: COLOURS["turned"], "none": COLOURS["none"]}
    add_categories(drawing, cells, x="target", y="source", category="category", text="text", order=order,
                   colours=colours, row=row, column=column, legend=row == column == 1)  # fmt: skip
    drawing.update_xaxes(title_text="language it reads", row=row, col=column)
    if len(order) > 10:  # or plotly leaves out labels, others on each axis
        drawing.update_xaxes(dtick=1, tickfont_size=9, tickangle=-90, row=row, col=column)
        drawing.update_yaxes(dtick=1, tickfont_size=9, row=row, col=column)


def _curves(drawing: go.Figure, here: pd.DataFrame, row: int, column: int) -> None:
    """One model's pairs by move."""
    shared: dict[str, Any] = {"x": "move", "row": row, "column": column}
    for name in SYMMETRIES:
        curve = here[here["symmetry"] == name]
        label = "through its map" if name == "identity" else f"and the {name.replace('_', ' ')}"
        add_curve(drawing, curve, y="accuracy", name=label, colour=COLOURS[name], legend=column == 1, **shared)
        add_curve(drawing, curve, y="predicted", name="a language and its own images", colour=COLOURS[name], dash="dot",
                  width=1.2, legend=column == 1 and name == "identity", **shared)  # fmt: skip
    floor = here[here["symmetry"] == "identity"]
    add_curve(drawing, floor, y="floor", name="floor", colour=COLOURS["zero"], dash="dash", width=1.5,
              legend=column == 1, **shared)  # fmt: skip
    _move_axes(drawing, row, column)


def _turned_curves(drawing: go.Figure, here: pd.DataFrame, row: int, column: int) -> None:
    """One model's pairs raised through a flip or quarter turn, by move."""
    shared: dict[str, Any] = {"x": "move", "row": row, "column": column, "legend": False}
    add_curve(drawing, here, y="accuracy", name=f"through their {_TURNED}", colour=COLOURS["turned"], **shared)
    add_curve(drawing, here, y="ceiling", name="at home", colour=COLOURS["turned"], dash="dot", width=1.2, **shared)
    add_curve(drawing, here, y="floor", name="floor", colour=COLOURS["zero"], dash="dash", width=1.5, **shared)
    _move_axes(drawing, row, column)


def _differing_curves(drawing: go.Figure, here: pd.DataFrame, row: int, column: int) -> None:
    """On the squares where the board differs from its image: read as the image, and as the board."""
    shared: dict[str, Any] = {"x": "move", "row": row, "column": column, "legend": column == 1}
    add_curve(drawing, here, y="differing", name="read as the image", colour=COLOURS["ceiling"], **shared)
    add_curve(drawing, here, y="differing_as_board", name="read as the board", colour=COLOURS["naive"], **shared)
    add_curve(drawing, here, y="differing_ceiling", name="a language and its own board, there", colour=COLOURS["ceiling"],
              dash="dot", width=1.2, **shared)  # fmt: skip
    _move_axes(drawing, row, column, lowest=-0.02)


def _move_axes(drawing: go.Figure, row: int, column: int, lowest: float = 0.2) -> None:
    """One scale for the panels of a row, and what the numbers of moves mean."""
    drawing.update_yaxes(range=[lowest, 1.02], row=row, col=column)
    drawing.update_xaxes(title_text="move (0: after the first)", row=row, col=column)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """A row a model: how many pairs have a map, whether the maps compose, and what they do."""
    rows = []
    for regime, seed in _models_of(table):
        for weights in ("trained", "random"):
            pairs = _named(table, regime=regime, seed=seed, weights=weights)
            both = raised(pairs)
            once = both[both["source"] < both["target"]]
            row: dict[str, Any] = {"regime": regime, "seed": seed, "weights": weights}
            row |= {"raised pairs": f"{once['raised'].sum()} of {len(once)}"}
            counts = once[once["raised"]]["symmetry"].value_counts()
            row["maps"] = ", ".join(f"{counts[name]} {name.replace('_', ' ')}" for name in SYMMETRIES if name in counts)
            row |= {
                "accuracy": both["accuracy"].mean(),
                "floor": both["floor"].mean(),
                "ceiling": both["ceiling"].mean(),
            }
            row |= {"normalised": both["normalised"].mean(), "margin": both["margin"].mean()}
            row["margin of a language and itself"] = both["margin_ceiling"].mean()
            row |= _composition(pairs)
            row |= _of_eight(_named(table, ALL, regime=regime, seed=seed, weights=weights))
            if weights == "trained":
                here = table[(table["regime"] == regime) & (table["seed"] == seed)]
                row |= _differing(here) | _later(here) | _effects(here, both)
            rows.append(row)
    return pd.DataFrame(rows)


def _composition(pairs: pd.DataFrame) -> dict[str, Any]:
    """The group test, of three languages or more."""
    if pairs["source"].nunique() < 3:
        return {}
    found = asdict(cycle_consistency_test(_maps(pairs)))
    return {
        "triples that compose": f"{found['consistent']} of {found['triangles']}",
        "chance that all do": 4.0 ** -found["checks"],
        "p, random maps": found["p_random"],
        "p, shuffled": found["p_shuffled"],
    }


def _of_eight(pairs: pd.DataFrame) -> dict[str, Any]:
    """The same with flips and quarter turns among the candidates: how often one is chosen, and whether all eight compose."""
    both = raised(pairs)
    turned = both["symmetry"].isin(list(CONTROLS))
    found: dict[str, Any] = {"flip or quarter turn": f"{turned.sum()} of {len(both)}"}
    once = both[both["source"] < both["target"]]
    found["raised, of eight"] = f"{once['raised'].sum()} of {len(once)}"
    found["of these flips or turns"] = int(once[once["raised"]]["symmetry"].isin(list(CONTROLS)).sum())
    if pairs["source"].nunique() < 3:
        return found
    test = cycle_consistency_test(_maps(pairs), symmetries=tuple(ALL.values()))
    found["triples, of eight"] = f"{test.consistent} of {test.triangles}"
    return found | {"p of eight, random maps": test.p_random, "p of eight, shuffled": test.p_shuffled}


def _differing(here: pd.DataFrame) -> dict[str, Any]:
    """Of the pairs whose map is not the identity, on the squares where the board differs from its image: mean over moves."""
    rows = here[(here["part"] == "moves") & (here["symmetry"] == "identity")].dropna(subset="differing")
    names = {
        "differing": "as the image",
        "differing_as_board": "as the board",
        "differing_ceiling": "own language there",
    }
    found = {name: rows[column].mean() for column, name in names.items()}
    return found | {"moves, image first": f"{(rows['differing'] > rows['differing_as_board']).sum()} of {len(rows)}"}


def _later(here: pd.DataFrame) -> dict[str, Any]:
    """How far up raised pairs are after the first move and from the second on, through the four maps and through the others."""
    found = {}
    for part in ("raised", "turned"):
        for name, chosen in (("after move 1", here["move"] == 0), ("from move 2", here["move"] > 0)):
            rows = here[(here["part"] == part) & chosen]
            room = (rows["ceiling"] - rows["floor"]).sum()
            found[f"{part}, {name}"] = (rows["accuracy"] - rows["floor"]).sum() / room if len(rows) else np.nan
    return found


def _effects(here: pd.DataFrame, both: pd.DataFrame) -> dict[str, Any]:
    """Recovery at the named layer, mean over donors that have a map: through it, through the other maps, of another game's
    state, of a language's own; and in how many donors the map does more than each of the others, or its interval does."""
    rows = here[(here["part"] == "patching") & (here["layer"] == LAYER)]
    mapped = both[both["raised"] & both["source"].isin(rows["target"])]["target"]
    own, across = rows[rows["source"] == rows["target"]], rows[rows["source"].isin(mapped)]
    named = across["best"].astype(bool)
    best, others = across[named].set_index("source"), across[~named]
    highest = others.groupby("source")["recovery"].max()
    return {
        "recovery, best map": best["recovery"].mean(),
        "other maps": others["recovery"].mean(),
        "highest of the others": highest.mean(),
        "another game": across["zero"].mean(),
        "own language": own["recovery"].mean(),
        "best map first": f"{(best['recovery'] > highest).sum()} of {len(best)}",
        "beyond the interval": f"{(best['low'] > highest).sum()} of {len(best)}",
    }
