"""Matchings of squares: planted ones are found, small ones are the best of all, moves are averaged as said."""

from itertools import combinations, permutations

import numpy as np
import pytest
import torch

from mothello_interp.dictionary import describe_matching, embedding_map, match_unpaired, move_states
from mothello_interp.models import Checkpoint, ModelSpec, build_model
from mothello_interp.othello import CONTROLS, SYMMETRIES, random_games
from mothello_interp.othello.rules import square_name


def rotation(d: int, *, seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]


def fresh(*languages: str, anchors: tuple[str, ...] = ()) -> Checkpoint:
    """A small untrained model of one's own to change."""
    world = {"board": 4, "languages": list(languages), "anchors": list(anchors)}
    spec = ModelSpec.read({"world": world, "model": {"n_layers": 2, "d_model": 16, "n_heads": 2}}, "fresh")
    return Checkpoint(build_model(spec, seed=0).eval(), spec, {"seed": 0}, "fresh")


@pytest.mark.parametrize("name", ["diagonal", "quarter_turn"])
def test_embedding_map_finds_the_symmetry_of_a_copy(name: str) -> None:
    """The embeddings of language 1 are those of language 0, square by square through a symmetry, with some noise; the anchor is
    left out, though its tokens are embedded elsewhere."""
    checkpoint = fresh("atomic", "atomic", anchors=("b1",))
    symmetry, tokens = (SYMMETRIES | CONTROLS)[name], checkpoint.mothello.move_tokens[..., 0]
    rows = torch.from_numpy(np.random.default_rng(0).normal(size=(16, checkpoint.model.cfg.d_model))).float()
    with torch.no_grad():
        for square in np.flatnonzero(tokens[0]):
            checkpoint.model.W_E[tokens[0, square]] = rows[square]
        for place, image in enumerate(symmetry.squares(4).tolist()):
            if tokens[1, image] and tokens[1, image] != tokens[0, image]:
                checkpoint.model.W_E[tokens[1, image]] = rows[place] + 0.1 * rows[3]
    table = embedding_map(checkpoint, 0, 1)
    assert len(table) == 11
    assert "b1" not in set(table["square"]) | set(table["match"])
    (onto_anchor,) = np.flatnonzero(symmetry.squares(4) == 1)
    assert table[table["square"] != square_name(int(onto_anchor), 4)][name].all()
    assert table["cosine"].mean() > 0.8


def test_embedding_map_averages_the_tokens_of_a_move() -> None:
    checkpoint = fresh("atomic", "compositional")
    atomic, pieces = checkpoint.mothello.move_tokens
    embedding = checkpoint.model.W_E
    with torch.no_grad():
        for square in np.flatnonzero(atomic[:, 0]):
            embedding[atomic[square, 0]] = embedding[pieces[square, :2]].sum(dim=0)
    table = embedding_map(checkpoint, 0, 1)
    assert table["identity"].all()
    assert len(table) == 12
    np.testing.assert_allclose(table["cosine"], 1, atol=1e-5)


def test_embedding_map_refuses_languages_of_the_same_tokens() -> None:
    with pytest.raises(ValueError, match="same tokens"):
        embedding_map(fresh("atomic", "atomic"), 1, 1)


def test_match_unpaired_finds_a_permutation_in_rotated_noisy_rows() -> None:
    rng = np.random.default_rng(1)
    x, order = rng.normal(size=(24, 8)), rng.permutation(24)
    y = (3 * x @ rotation(8, seed=2) + 5 + 0.1 * rng.normal(size=x.shape))[order]
    found, fit = match_unpaired(x, y)
    np.testing.assert_array_equal(order[found[0]], np.arange(24))
    assert fit[0] > 0.98
    assert (np.diff(fit) <= 0).all()
    np.testing.assert_array_equal(match_unpaired(x, y)[0], found)


def test_match_unpaired_is_the_best_of_all_orders_of_six_rows() -> None:
    """Of unrelated rows: the sum of products of cosines, by trying every order."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 5))
    a, b = (_cosines(rows - rows.mean(axis=0)) for rows in (x, y))
    off = ~np.eye(6, dtype=bool)
    best = max(permutations(range(6)), key=lambda order: float((a * b[np.ix_(order, order)])[off].sum()))
    found, fit = match_unpaired(x, y)
    assert tuple(found[0]) == best
    assert fit[0] == pytest.approx(np.corrcoef(a[off], b[np.ix_(best, best)][off])[0, 1])


def _cosines(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1)
    return rows @ rows.T / np.outer(lengths, lengths)


def test_match_unpaired_ends_where_no_exchange_of_two_rows_helps() -> None:
    rng = np.random.default_rng(4)
    a, b = (_cosines(rows - rows.mean(axis=0)) for rows in rng.normal(size=(2, 9, 3)))
    off = ~np.eye(9, dtype=bool)

    def score(order: np.ndarray) -> float:
        return float((a * b[np.ix_(order, order)])[off].sum())

    rng = np.random.default_rng(4)
    orders, _ = match_unpaired(*rng.normal(size=(2, 9, 3)), restarts=6)
    for order in orders:
        for one, other in combinations(range(9), 2):
            exchanged = order.copy()
            exchanged[[one, other]] = order[[other, one]]
            assert score(exchanged) <= score(order) + 1e-8


@pytest.mark.parametrize("broken", ["rows", "few", "nan"])
def test_match_unpaired_refuses_rows_that_cannot_be_matched(broken: str) -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 6, 3))
    x, y = {"rows": (x, y[:5]), "few": (x[:3], y[:3]), "nan": (x * np.nan, y)}[broken]
    with pytest.raises(ValueError, match="finite" if broken == "nan" else "four or more"):
        match_unpaired(x, y)


def test_move_states_are_means_by_square_less_those_by_move_number() -> None:
    reading = fresh("atomic", "compositional").read(random_games(20, board=4, seed=0), 1)
    squares, found = move_states(reading, layer=0)
    game, number = reading.rows
    rows, played = reading.states(0).numpy(), reading.games.moves[game, number]
    for square, state in zip(squares, found.numpy(), strict=True):
        here = np.flatnonzero(played == square)
        expected = np.mean([rows[row] - rows[number == number[row]].mean(axis=0) for row in here], axis=0)
        np.testing.assert_allclose(state, expected, atol=1e-5)
    assert set(squares) == set(played)


def test_describe_matching_names_squares_and_symmetries() -> None:
    table = describe_matching([0, 1, 5], [15, 14, 5], 4)
    assert table["square"].tolist() == ["a1", "b1", "b2"]
    assert table["match"].tolist() == ["d4", "c4", "b2"]
    assert table["half_turn"].tolist() == [True, True, False]
    assert table["identity"].tolist() == table["diagonal"].tolist() == [False, False, True]
