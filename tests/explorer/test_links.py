"""Permanent links in Python; test_page.py shows that the page reads and writes the same ones."""

from dataclasses import replace

import pytest

from mothello_interp.explorer import Edit, Flip, Patch, State
from mothello_interp.explorer.links import from_link, to_link
from mothello_interp.interventions import Apply


def test_a_link_says_all_of_a_state(state: State) -> None:
    full = replace(state, second=1, probe=0, symmetry="half_turn", head=1, layer=-1)
    full = replace(full, edits=(Flip("b3", -1), Patch(0, 2, 1), Flip("c3", 1, onward=False)))
    link = to_link(full)
    moves = "".join(state.names)
    rest = "language=0&layer=-1&second=1&probe=0&symmetry=half_turn&head=1&flip=b3@-1..&patch=2@0from1&flip=c3@1"
    assert link == f"#moves={moves}&move=5&{rest}"
    again = from_link(state.checkpoint, link)
    assert (again.games.to_transcripts(), again.game) == (state.games[1:2].to_transcripts(), 0)
    assert replace(again, games=full.games, game=1).__dict__ == full.__dict__
    assert to_link(from_link(state.checkpoint, "#moves=b1")) == "#moves=b1&language=0&layer=0"


@pytest.mark.parametrize("edit", [Flip("b3", 0, scale=3.0), Apply(lambda rows, context: 2 * rows, layer=0)])
def test_what_exists_in_python_alone_has_no_link(state: State, edit: Edit) -> None:
    with pytest.raises(ValueError, match="exists in Python alone"):
        to_link(replace(state, edits=(edit,)))


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("#moves=b1&moves=b1", "expected one each of moves"),
        ("#dance=1", "'dance=1': expected one each"),
        ("#moves=zz", "game 0"),
        ("#moves=a1", "a1 is not legal"),
        ("#moves=b1&layer=two", "'layer=two': expected a whole number"),
        ("#moves=b1&layer=9", "layer 9: tiny/atomic has layers"),
        ("#moves=b1&flip=b1@", "expected flip=c2@1"),
        ("#moves=b1&patch=0@0", "patch=5@1from0"),
        ("#moves=b1&symmetry=turn", "expected one of identity"),
        ("#moves=b1&move=2", "move 2: game 0 has 1 moves"),
    ],
)
def test_a_malformed_link_says_what_is_wrong(state: State, link: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_link(state.checkpoint, link)
