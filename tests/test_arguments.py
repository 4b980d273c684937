"""Wrong arguments are refused by name: numbers that are not whole, and things of another kind."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mothello_interp import align, collect, fit_probes, interchange, load, random_games
from mothello_interp.arguments import checked, several, whole
from mothello_interp.corpus import Corpus
from mothello_interp.interventions import FlipSquares
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games
from mothello_interp.probes import Probes
from tests.conftest import tiny_checkpoint

M: Any = tiny_checkpoint()
GAMES: Any = random_games(40, board=4, seed=1)


def test_whole_numbers_are_those_of_python_numpy_and_torch() -> None:
    for number in (3, np.int8(3), np.uint64(3), torch.tensor(3)):
        assert (whole("n", number), type(whole("n", number))) == (3, int)
    for other in (2.5, 2.0, True, np.True_, None, "2", np.float32(2), [2], torch.tensor(2.0)):
        with pytest.raises(ValueError, match=r"n=.*expected a whole number"):
            whole("n", other)


def test_several_are_one_or_more() -> None:
    assert several("layers", 1) == several("layers", [1]) == several("layers", np.array([1])) == (1,)
    assert several("layers", range(-1, 2)) == (-1, 0, 1)
    with pytest.raises(ValueError, match="layers=True"):
        several("layers", [0, True])


def test_checked_leaves_a_function_as_it_is_otherwise() -> None:
    @checked
    def function(checkpoint: Checkpoint, n: int | None = None, *rest: object, x: float = 0.5) -> tuple[object, ...]:
        """Says what it was given."""
        return checkpoint, n, *rest, x

    assert function(M, None, "a", x=1) == (M, None, "a", 1)
    assert function.__doc__ == "Says what it was given."
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'checkpoint'"):
        function()  # type: ignore[call-arg]


def probes() -> Probes:
    return fit_probes(M, GAMES, layers=0, epochs=1, seed=0)


WRONG: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "n": (lambda: random_games(2.5, board=4, seed=0), ValueError, r"n=2\.5"),  # type: ignore[arg-type]
    "seed that is true": (lambda: random_games(2, board=4, seed=True), ValueError, "seed=True"),
    "no seed": (lambda: random_games(2, board=4, seed=None), ValueError, "seed=None"),  # type: ignore[arg-type]
    "seed of a corpus": (lambda: Corpus(M.mothello, 1.0), ValueError, r"seed=1\.0"),  # type: ignore[arg-type]
    "seed of probes": (lambda: fit_probes(M, GAMES, seed=None), ValueError, "seed=None"),  # type: ignore[arg-type]
    "square of a game": (lambda: Games.from_lists([[2.0]], 4), ValueError, r"square=2\.0"),  # type: ignore[list-item]
    "square of an edit": (
        lambda: M.read(GAMES, 0).edited(FlipSquares(probes(), squares=1.5, layer=0)).next_moves(),  # type: ignore[arg-type]
        ValueError,
        r"squares=1\.5",
    ),
    "back": (lambda: interchange(*M.readings(GAMES), back=-1), ValueError, "back=.*-1"),
    "layer": (lambda: M.read(GAMES, 0).states(True), ValueError, "layer=True"),
    "language": (lambda: M.read(GAMES, False), ValueError, "language=False"),
    "language that is a name": (lambda: collect(M, GAMES, languages="atomic"), ValueError, "languages='a'"),  # type: ignore[arg-type]
    "model for checkpoint": (
        lambda: collect(M.model, GAMES),
        TypeError,
        r"HookedTransformer; expected Checkpoint, as load",
    ),
    "name for checkpoint": (lambda: fit_probes("mini/x", GAMES, seed=0), TypeError, "str; expected Checkpoint"),  # type: ignore[arg-type]
    "checkpoint for name": (lambda: load(M), TypeError, "Checkpoint; expected str or Path"),
    "checkpoint for probes": (lambda: align(M, M, GAMES), TypeError, "probes: Checkpoint; expected Probes"),
    "lists for games": (lambda: collect(M, [["a1"]]), TypeError, "list; expected Games, as random_games"),  # type: ignore[arg-type]
    "device": (lambda: load("mini/atomic-atomic-anchors4", device="gpu"), ValueError, "device='gpu': .*here, but cpu"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments_are_named(case: str) -> None:
    call, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        call()


def test_one_layer_or_language_may_be_given_as_a_number() -> None:
    rows = collect(M, GAMES, layers=1, languages=0)
    assert (rows.layers, rows.languages) == ((1,), (0,))
    fitted = probes()
    other = random_games(9, board=4, seed=9)
    assert set(align(fitted, M, other, targets=1, resamples=9)["target"]) == {1}
    assert [reading.language for reading in M.readings(GAMES, 1)] == [1]
    assert (M.read(GAMES, 0).greedy_moves(1) == M.read(GAMES, 0).greedy_moves([1])).all()
