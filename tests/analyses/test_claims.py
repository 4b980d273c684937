"""What the texts of the figures say is seen holds in the stored tables: whoever records new rows learns which sentence to change."""

import json
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analyses import (
    anchors,
    emergence,
    four_languages,
    many_languages,
    mixtures,
    preferences,
    sharing,
    similarity,
    symmetry,
    transfer,
    transplant,
)
from analyses._maps import RAISED
from analyses._models import BUNDLE, LABELS, TABLES
from mothello_interp import symmetries
from mothello_interp.othello import CONTROLS, Symmetry
from mothello_interp.similarity import SAME_COORDINATES

NAIVE = r"^\d+ naive languages"
_NAIVE, _ANCHORS = LABELS["naive"], LABELS["anchors"]


def stored(name: str, models: dict[str, str]) -> Any:
    """The stored rows of these models alone, under their regimes."""
    table = pd.read_csv(TABLES / f"{name}.csv")
    return table.assign(regime=table["model"].map(models)).dropna(subset="regime")


@cache
def all_maps() -> Any:
    """Trained and random weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(symmetries, "cycle_consistency_test", partial(symmetries.cycle_consistency_test, draws=999))
        return symmetry.headline(stored("symmetry", symmetry.MODELS))


def maps() -> Any:
    found = all_maps()
    return found[found["weights"] == "trained"].set_index(["regime", "seed"])


def shares(counts: Any) -> Any:
    """Of texts such as "3 of 10"."""
    return counts.str.split(" of ", expand=True).astype(int).pipe(lambda pair: pair[0] / pair[1])


def test_symmetry_is_told_as_it_is() -> None:
    """Most pairs raised, maps that compose more often than by chance; four languages do not pass, longer nearly all of the way."""
    found = maps()
    five, twenty = found.loc["5 naive languages"], found.loc["20 naive languages"]
    assert five.index.tolist() == list(range(6))
    aligned = pd.concat([twenty, five.drop([2, 3])])
    assert (aligned["p, random maps"] < 0.05).all()
    assert (aligned["p, shuffled"] < 0.06).all()  # 0.047 of seed 5 by 9,999 draws
    assert (shares(aligned["aligned pairs"]) > 0.5).all()
    assert sorted(aligned["normalised"] > 0.6) == [False] * 4 + [True]
    assert aligned["normalised"].max() > 0.85
    assert (shares(five["aligned pairs"].loc[[2, 3]]) < 0.5).all()
    assert (found.loc["4 naive languages", "normalised"] < 1 / 3).all()
    assert (found.loc["4 naive languages", "p, random maps"] > 0.05).all()
    longer = found.loc["4 naive languages, longer"]
    assert len(longer) == 2
    assert (longer["normalised"] > 0.9).all()
    assert (longer["triples that compose"] == "4 of 4").all()
    two = found.loc["2 naive languages"]
    assert two["maps"].tolist() == ["1 identity"]
    assert two["normalised"].tolist() == [pytest.approx(0.75, abs=0.05)]


def test_where_board_and_image_differ_the_image_is_read() -> None:
    """At every move in the models called aligned, and in the long ones nearly as often as a language's own board."""
    found = maps()
    assert (found.loc[["2 naive languages"], "moves, image first"] == "0 of 0").all()
    five = found.loc["5 naive languages"]
    aligned = pd.concat([found.loc["20 naive languages"], five.drop([2, 3]), found.loc["4 naive languages, longer"]])
    assert (aligned["moves, image first"] == "31 of 31").all()
    longer = found.loc["4 naive languages, longer"]
    assert (longer["as the image"] / longer["own language there"] > 0.95).all()


def test_flips_and_quarter_turns_are_chosen_by_two_models_and_compose() -> None:
    """In those two, and nowhere else; lower after the first move, as most other pairs are; there and back by inverse maps."""
    found = maps()
    turned = found[~found["flip or quarter turn"].str.startswith("0 of")]
    assert turned.index.tolist() == [("5 naive languages", 2), ("5 naive languages", 3)]
    five = found.loc["5 naive languages"]
    assert (five["p of eight, random maps"] < 0.05).all()
    assert (five["p of eight, shuffled"] < 0.06).all()
    start, later = turned["turned, after move 1"], turned["turned, from move 2"]
    assert start.min() < -0.2
    assert (start < later).all()
    lower = found["aligned, after move 1"] < found["aligned, from move 2"]
    assert lower.mean() > 0.9
    assert lower[[*turned.index]].all()
    stored_maps = stored("symmetry", symmetry.MODELS).query(
        "candidates == 8 and weights == 'trained' and model == 'mini/five-atomic'"
    )
    assert stored_maps["seed"].nunique() == len(five)
    for _, model in stored_maps.groupby("seed"):
        named = {(row.source, row.target): row.symmetry for row in model.itertuples()}
        there = {pair: name for pair, name in named.items() if name in CONTROLS}
        assert all(Symmetry.of(named[b, a]) == Symmetry.of(name).inverse for (a, b), name in there.items())


def test_random_weights_raise_no_pair_of_four_candidates_or_eight() -> None:
    """Each model has its own: those of one spec and seed alone are the same."""
    found = all_maps()
    random = found[found["weights"] == "random"].set_index(["regime", "seed"])
    assert len(random) == len(maps())
    assert (shares(random["aligned pairs"]) == 0).all()
    assert (shares(random["aligned, of eight"]) == 0).all()
    assert random.loc["5 naive languages", "accuracy"].nunique() == 6
    assert (shares(random["flip or quarter turn"]) < 0.4).all()


def test_recovery_goes_with_the_map_in_most_languages_that_have_one() -> None:
    found = maps()
    naive = found[found.index.get_level_values("regime").str.contains("naive")]
    first, beyond = (naive[name].str.split(" of ", expand=True).astype(int).sum() for name in
                     ("best map first", "beyond the interval"))  # fmt: skip
    assert first[0] / first[1] > 0.8
    assert naive.loc["20 naive languages", "best map first"].tolist() == ["2 of 4"]
    assert beyond[0] < first[0]
    assert naive["another game"].dropna().between(0.375, 0.495).all()


def test_an_anchor_on_the_diagonal_leaves_the_reflection_and_off_it_mostly_the_identity() -> None:
    found = maps()
    off = found.loc["5, one anchor off the diagonals", "maps"]
    assert off.str.contains("identity").all()
    assert not off.str.contains("antidiagonal|half turn").any()
    for reflection, seeds in (("diagonal", 2), ("antidiagonal", 1)):
        on = found.loc[f"5, one anchor on the {reflection}", "maps"]
        assert len(on) == seeds
        assert on.str.fullmatch(rf"\d+ identity, \d+ {reflection}").all()


def test_pieces_hang_together_in_half_of_the_pairs() -> None:
    """Less readability: more than in pairs of one map, where neighbours are alike as often as they are."""
    found: Any = mixtures.headline(stored("mixtures", mixtures.MODELS))
    pieces, clear = (found[found["kind"] == kind] for kind in ("in pieces", "one map"))
    assert min(len(pieces), len(clear)) > 20
    assert min((pieces["p"] <= 0.05).mean(), (clear["p"] <= 0.05).mean()) > 0.7
    assert (pieces["p"] <= 0.05).mean() == pytest.approx((clear["p"] <= 0.05).mean(), abs=0.1)
    assert (pieces["its p"] <= 0.05).mean() == pytest.approx(1 / 2, abs=0.05)
    assert (clear["its p"] <= 0.05).mean() == pytest.approx(1 / 6, abs=0.05)
    assert found["copies"].median() > 0.7


def test_learning_arrives_at_the_image_named_best_or_second() -> None:
    pairs: Any = preferences._pairs(stored("preferences", preferences.MODELS))
    pairs = pairs[pairs["teaching"] == "full"]
    naive = pairs[pairs["regime"].str.contains(NAIVE)]
    mapped = naive[naive["aligned"]]
    most = mapped.loc[mapped.groupby(["regime", "seed", "source", "target"])["coefficient"].idxmax(), "kind"]
    assert set(most) == {"first", "second"}
    assert (most == "first").mean() > 0.8
    assert abs(naive[naive["kind"] == "last"]["coefficient"].mean()) < 0.01
    means = pairs[pairs["kind"] == "first"].groupby("regime")["coefficient"].mean()
    assert means["4 naive languages, longer"] > 0.5
    assert 0.2 < means["anchors"] < 1 / 3
    assert means["naive"] < 0.02


def test_learning_arrives_where_no_tongue_is_lost() -> None:
    """Lightly taught, the other languages keep their legal moves; fully, those of four languages lose them; as much arrives."""
    found: Any = preferences.headline(stored("preferences", preferences.MODELS))
    full, light = (
        found[found["teaching"] == how].set_index(["regime", "seed"]).sort_index() for how in ("full", "light")
    )
    longer = "4 naive languages, longer"
    assert (full.loc[longer, "untaught legal after"] < 0.05).all()
    assert full.drop(longer, level="regime")["untaught legal after"].min() > 0.4
    assert (full.loc[longer, "in the taught words after"] > 0.95).all()
    assert (light["untaught legal after"] > 0.9 * light["untaught legal before"]).all()
    assert (light["in the taught words after"] < 0.1).all()
    assert light.loc[longer, "transferred, best"].min() > 0.5
    assert (light["transferred, best"] - full["transferred, best"]).abs().max() < 0.15
    assert light["last"].abs().max() < 0.02
    assert (shares(light["best first"]) == 1).all()


def test_the_named_image_becomes_legal() -> None:
    found: Any = transplant.headline(stored("transplant", transplant.MODELS))
    longer = found[found["regime"] == "4 naive languages, longer"]
    assert (longer["most legal"] == longer["the probes name"]).all()
    assert (longer["high"] > longer["own language"]).all()
    five = found[found["regime"] == "5 naive languages"]
    related = five["normalised"] >= RAISED
    assert ((five["low"] > five["highest of the others"])[related].sum(), related.sum()) == (16, 18)
    assert (five["mass"] / five["own language"])[related].mean() == pytest.approx(0.75, abs=0.05)
    assert ((five["most legal"] == five["the probes name"])[~related].sum(), (~related).sum()) == (3, 6)
    assert five["seed"][related].nunique() == 5
    assert five["seed"][~related].nunique() == 2


def test_where_measures_disagree() -> None:
    """At the layer of the summary, where random weights of the same model stand beside the trained ones; and in the last."""
    table = similarity.compute()
    assert (table["seed"] == 0).all()
    found: Any = similarity.headline(table).set_index("measure")
    naive, anchored, random = (found[name] for name in (_NAIVE, _ANCHORS, f"{_NAIVE}, random weights"))
    assert (found["layer"] == 2).all()
    assert (naive[["alignment", "retrieval", "cosine"]] < 0.1).all()
    past = [name for name in found.index if name.replace(" ", "_") not in ("alignment", *SAME_COORDINATES)]
    assert (naive[past] > 0.6 * anchored[past]).all()
    assert [round(values["cka"], 2) for values in (naive, anchored)] == [0.83, 0.99]
    assert set(naive[past].index[naive[past] < random[past]]) == {"svcca", "pwcca", "mutual knn"}
    last: Any = table.query("regime == 'anchors' and weights == 'trained' and layer == 3").set_index("measure")["value"]
    assert last["alignment"] < 0.1
    assert last[["cosine", "principal_angles"]].max() < 0.7
    assert last.drop(["alignment", "cosine", "principal_angles"]).min() > 0.8
    probed: Any = table.query("measure == 'alignment' and weights == 'random'").set_index("regime")
    known = probed.loc[["anchors", "atomic, 8 anchor tokens"]]
    assert known["value"].round(2).tolist() == [0.03, 0.14]
    assert (known["above"] > 0).all()
    assert probed["value"].max() == known["value"].max()


def test_of_three_changes_the_rotation_aligns_naive_languages() -> None:
    """The stored seeds; the bundled one is measured when it is drawn."""
    table = stored("structure", {"mini/atomic-atomic-anchors0": "naive"}).query("layer >= 0")
    assert table["seed"].unique().tolist() == [1, 2]
    assert table[table["part"] == "identity"]["accuracy"].min() > 0.999
    way = table[table["part"] == "alignment"].groupby(["change", "seed", "layer"])["normalised"].mean()
    assert way["rotated"].min() > 0.92
    changes = ["as it is", "less the means", "without the language subspace"]
    assert way[changes].max() < 0.25
    assert way["rotated, mismatched"].abs().max() < 0.02
    gain = (way["rotated, random weights"] / way["rotated"]).groupby("seed").mean()
    assert (gain.round(1) == 0.6).all()


def test_all_measures_go_with_what_becomes_of_the_game_and_none_with_the_tongue() -> None:
    found: Any = similarity.headline(similarity.compute()).set_index("measure")
    least = found.index[found["in any words"] == found["in any words"].min()]
    assert set(least) == {"cka", "rbf cka"}
    assert (found.drop(least)["p, any words"] < 0.05).all()
    assert (found["p"] > 0.05).all()
    assert (found["models"] == 9).all()
    assert found["in any words"].idxmax() == "pwcca"


def test_anchors_lose_the_tongue_and_keep_the_game() -> None:
    """Two atomic ones; half-aligned and naive ones of several tokens lose the game as well, unified output lifts both."""
    table = stored("transfer", transfer.MODELS)
    assert (table["seed"] == 0).all()
    assert set(table[table["schedule"] == "mini-rising"]["target"]) == {"atomic"}
    found: Any = transfer.headline(table)
    found = found[found["schedule"] == "mini"].set_index(["regime", "target"])
    own, anyhow = (found[f"{name}, end"] - found[f"{name}, start"] for name in ("target", "any words"))
    anchored, naive = "8 anchor tokens", _NAIVE
    assert own[anchored, "atomic"] < -0.3
    assert own[anchored, "atomic"] < own[naive, "atomic"]
    assert abs(anyhow[anchored, "atomic"]) < 0.05
    way = (found["alignment, start"] - found["floor, end"]) / (found["ceiling, end"] - found["floor, end"])
    assert way[anchored, "atomic"] > 0.75
    assert all(0.3 < way[anchored, kind] < 0.55 for kind in ("split", "compositional"))
    assert way[naive].max() < 0.1
    assert -0.1 < anyhow[anchored, "split"] < 0
    lost = [(anchored, "compositional"), (naive, "split"), (naive, "compositional")]
    assert all(anyhow[pair] < -0.1 for pair in lost)
    assert (own["unified output"] > 0.05).all()


def test_fewer_anchors_and_longer_words_align_less_than_a_quarter() -> None:
    found: Any = anchors.headline(stored("anchors", anchors.MODELS))
    found = found[~found["regime"].isin(["naive (no anchors)", "4 anchor tokens", "unified output"])]
    assert len(found) == 2 * 8
    assert found["normalised under it"].max() < 0.25
    way = found[found["probe"] == "linear, relative"].set_index("regime")["normalised under it"]
    for kind in ("split", "compositional"):
        assert way[f"{kind}, 0 anchors"] < way[f"{kind}, 1 anchor"] < way[f"{kind}, 2 anchors"] < 0.1


def test_fewer_anchors_play_nearly_as_well_and_longer_words_do_not() -> None:
    """Top-1 legal on unseen games, which a checkpoint's provenance has for each language."""
    made = {key: facts["made_by"] for key, facts in json.loads((TABLES / "anchors.json").read_text())["models"].items()}
    bundled = [json.loads(file.read_text()) for file in sorted((BUNDLE / "mini").glob("atomic-*/provenance.json"))]
    made |= {f"{about['preset']}-seed{about['seed']}": about for about in bundled}
    found: dict[tuple[str, bool], list[float]] = {}
    for key, about in made.items():
        kind, number = anchors._CELLS[anchors.MODELS[key.rpartition("-seed")[0]]][:2]
        if number is not None:
            first, second = (language["top1"] for language in about["held_out"])
            found.setdefault((f"{kind} second", number == 4), []).append(second)
            found.setdefault((f"{kind} first", number == 4), []).append(first)
    assert len(made) == 14 + 7
    fewer, four = ([*found["atomic first", enough], *found["atomic second", enough]] for enough in (False, True))
    assert [round(end(fewer), 3) for end in (min, max)] == [0.976, 0.981]
    assert [round(end(four), 3) for end in (min, max)] == [0.983, 0.986]
    longer = [
        legal
        for kind in ("split", "compositional")
        for enough in (False, True)
        for legal in found[f"{kind} second", enough]
    ]
    assert [round(end(longer), 3) for end in (min, max)] == [0.931, 0.939]
    partner = [
        legal
        for kind in ("split", "compositional")
        for enough in (False, True)
        for legal in found[f"{kind} first", enough]
    ]
    assert [round(end(partner), 3) for end in (min, max)] == [0.976, 0.978]


def test_naive_languages_are_related_by_a_tenth_at_most_after_the_embeddings() -> None:
    """As the README says below its first figure: both directions on the mean, every symmetry."""
    table = stored("anchors", {"mini/atomic-atomic-anchors0": "naive"}).query("source != target and kind == 'linear'")
    table = table[table["weights"] == "trained"]
    way = table.groupby(["seed", "symmetry", "layer"], as_index=False)["normalised"].mean()
    assert sorted(way["seed"].unique()) == [1, 2]
    assert way[way["layer"] >= 0]["normalised"].max() < 0.1
    assert way["normalised"].max() == pytest.approx(0.27, abs=0.005)


def test_an_opening_aligns_naive_languages_and_the_game_outlives_the_tongue() -> None:
    table = stored("four_languages", four_languages.MODELS)
    assert (table["seed"] == 0).all()
    assert set(table["schedule"]) == {"mini"}
    found: Any = four_languages.headline(table).set_index(["regime", "target"])
    naive, unified = (found.loc[regime] for regime in ("naive (no anchors)", "unified output"))
    way = (naive["alignment, start"] - naive["floor, end"]) / (naive["ceiling, end"] - naive["floor, end"])
    assert 0.7 < way["atomic"] < 0.85
    assert way[["split", "compositional"]].max() < 0.05
    assert naive.loc["atomic", "target, end"] < 0.01
    assert naive.loc["atomic", "any words, end"] > naive.loc["atomic", "any words, start"] > 0.75
    assert ((naive["any words, end"] - naive["any words, start"])[["split", "compositional"]] < -0.05).all()
    assert (naive["target, end"][["split", "compositional"]] > 0.35).all()
    anchored = found.loc["8 anchor tokens"]
    way = (anchored["alignment, start"] - anchored["floor, end"]) / (anchored["ceiling, end"] - anchored["floor, end"])
    assert way["atomic"] > 0.85
    assert 0.6 > way["split"] > 0.4 > way["compositional"] > 0.25
    game = anchored["any words, end"] - anchored["any words, start"]
    assert game["atomic"] > 0.1
    assert game["split"] == pytest.approx(0, abs=0.05)
    assert game["compositional"] < -0.1
    assert (anchored["target, end"] - anchored["target, start"])["atomic"] < -0.3
    change = unified["target, end"] - unified["target, start"]
    assert change["atomic"] > 0.1 > change["split"] > 0 > change["compositional"]
    assert unified.loc["compositional", "alignment, end"] < unified.loc["compositional", "alignment, start"]


def test_twenty_languages_fall_into_five_clusters_and_half_turns_score_the_floor() -> None:
    table = stored("many_languages", many_languages.MODELS)
    found: Any = many_languages.headline(table).set_index("related by")
    assert (found["seed"] == 0).all()
    *_, (one, other) = clusters = many_languages._clusters(table)
    assert [len(cluster) for cluster in clusters] == [8, 4, 4, 2, 2]
    best = many_languages._best(table).pivot(index="source", columns="target", values="symmetry")
    assert (best.loc[one, clusters[0]] == "identity").mean() > 0.5 < (best.loc[other, clusters[2]] == "identity").mean()
    rounded = found.round(2)
    assert rounded["majority"].unique().tolist() == [0.61]
    assert rounded["ceiling"].unique().tolist() == [0.78]
    assert rounded.loc["identity", "against the board"] == 0.62
    assert rounded["through the map"].between(0.62, 0.63).all()
    reflected = rounded.loc[["antidiagonal", "diagonal"]]
    assert reflected["against the board"].tolist() == [0.57, 0.57]
    assert reflected["expected"].tolist() == [0.55, 0.57]
    turned = rounded.loc["half turn"]
    assert turned[["against the board", "floor", "expected"]].tolist() == [0.53, 0.53, 0.5]


def test_alignment_comes_after_the_game_and_cka_at_all_times() -> None:
    table = stored("emergence", emergence.MODELS)
    assert (table["seed"] == 0).all()
    assert len(table) == 3 * 13
    found: Any = emergence.headline(table).set_index("regime")
    assert [round(end(found["cka, random weights"]), 2) for end in (min, max)] == [0.56, 0.59]
    assert [round(end(found["cka, first"]), 2) for end in (min, max)] == [0.65, 0.81]
    assert table[table["games"] > 0].sort_values("games").groupby("regime")["legal"].first().max().round(2) == 0.41
    naive, anchored = _NAIVE, _ANCHORS
    assert found.loc[[naive, anchored], "cka, least"].round(2).tolist() == [0.73, 0.75]
    pairs = table[table["regime"].isin(["naive", "anchors"])]
    dips: Any = pairs[pairs["games"] > 0].groupby("regime").apply(lambda run: run.loc[run["cka"].idxmin(), "legal"])
    assert (dips.round(1) == 0.7).all()
    assert (found["cka, end"] > 0.9).all()
    assert table.query("regime == 'naive'")[["normalised", "best", "retrieval"]].max().max() < 0.1
    steps: Any = table.query("regime == 'anchors' and games > 0").sort_values("games").set_index("games")
    assert steps[steps["legal"] >= 0.9].index[0] == 74_496
    assert steps.loc[74_496, "normalised"] == pytest.approx(1 / 3, abs=0.02)
    assert (found.loc[anchored, ["normalised passes 0.5 at", "retrieval passes 0.5 at"]] == 120_576).all()
    twenty = found.loc["20 naive languages"]
    assert twenty[["normalised, end", "best, end"]].astype(float).round(2).tolist() == [0.18, 0.34]


def test_what_makes_languages_share() -> None:
    """Small initial weights and anchors, at equal legal accuracy and at the end; none half of the way by then."""
    found: Any = sharing.headline(stored("sharing", sharing.MODELS)).set_index("regime")
    for column in ("alignment", "best, end"):
        grid = np.array(
            [[found.loc[sharing._MAP[init, n], column] for n in sharing._ANCHORS] for init in sharing._INITS]
        )
        assert (np.diff(grid, axis=0) < 0).all()
        assert (np.diff(grid, axis=1) > 0).all()
    assert found["most"].max() < 0.5
    one, none = (found.loc[f"init 0.002, {n}"] for n in ("1 anchor", "0 anchors"))
    assert one["least"] < none["least"] < none["most"] < one["most"]
    alone = found.loc[list(sharing._ALONE.values()), "alignment"]
    assert alone.max() < found.loc["init 0.002, 4 anchors", "alignment"]
    assert (found["most"] - found["least"]).max().round(2) == 0.28
    base = found.loc["init 0.02, 4 anchors"]
    assert [base["seeds"], round(base["least"], 2), round(base["most"], 2)] == [3, 0.1, 0.15]
    assert (found.loc[alone.index, "seeds"] == 1).all()
    beyond = ["sampled targets", "AdamW", "languages 90 : 10", "width 64"]
    assert alone.nlargest(4).index.tolist() == beyond
    assert [round(value, 2) for value in alone[beyond]] == [0.21, 0.19, 0.19, 0.17]
    assert (found.loc[beyond, "games"] > 1.3 * base["games"]).all()
    within = alone.drop(beyond)
    assert [round(within.min(), 2), round(within.max(), 2)] == [0.11, 0.16]
    finite = within[within.index.str.startswith("51,200 games")]
    assert len(finite) == 3
    assert (finite - finite["51,200 games, redrawn"]).abs().max() < base["most"] - base["least"]
    assert stored("sharing", sharing.MODELS)["games"].max() <= 300_000
