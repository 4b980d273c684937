"""Any Mothello on any board: what is written is read back, and what came next was possible."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mothello_interp.languages import (
    Atomic,
    Compositional,
    Language,
    Mothello,
    Relabelled,
    Split,
    describe_language,
    exact_targets,
    language_from,
    sampled_targets,
)
from mothello_interp.othello import CONTROLS, SYMMETRIES, full_length, random_games, replay, square_name, start_squares
from mothello_interp.othello.rules import SIDES

plain = st.one_of(st.just(Atomic()), st.just(Compositional()), st.builds(Split, seed=st.integers(0, 99)))
languages = st.one_of(plain, st.builds(Relabelled, plain, st.sampled_from(sorted(SYMMETRIES | CONTROLS))))


@st.composite
def mothellos(draw: st.DrawFn) -> Mothello:
    """Up to three languages on a board of any side, with anchors, with or without a unified output."""
    side, unified = draw(st.sampled_from(SIDES)), draw(st.booleans())
    spoken: list[Language] = draw(st.lists(languages, min_size=1, max_size=3))
    played = [square_name(square, side) for square in range(side**2) if square not in start_squares(side)]
    anchors = draw(st.sets(st.sampled_from(played), max_size=4))
    return Mothello(side, (*([Atomic()] if unified else []), *spoken), sorted(anchors), unified)


@given(mothello=mothellos(), seed=st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_any_mothello_on_any_board(mothello: Mothello, seed: int) -> None:
    games = random_games(3, board=mothello.board, seed=seed)
    legal = replay(games).legal
    for language in mothello.inputs:
        encoded = mothello.encode(games, language)
        assert encoded.tokens.shape == (3, mothello.token_counts[language].sum())
        assert mothello.decode(encoded.tokens, language) == games
        said = sampled_targets(mothello, games, language)
        possible = exact_targets(mothello, games, legal, language)
        chance = np.take_along_axis(possible, said[..., None].astype(np.int64), 2)[..., 0]
        assert ((chance > 0) == (said > 0)).all()
        np.testing.assert_allclose(possible.sum(axis=2), said > 0, atol=1e-6)
        assert said.shape == encoded.tokens.shape
        assert ((said > 0).sum(axis=1) > 0).all()
    assert encoded.last.shape == (3, full_length(mothello.board))
    described = [language_from(describe_language(language)) for language in mothello.languages]
    again = Mothello(mothello.board, tuple(described), mothello.anchors, mothello.unified_output)
    assert again == mothello
    assert again.vocabulary == mothello.vocabulary
