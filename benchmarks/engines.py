"""Random 8x8 games beside the engines that pip installs, in one process, and the paper's corpus streamed past.

The engines come with the extra `engines`; one that is not installed is passed over. A game is complete: both players stuck.
"""

import random
import resource
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.timing import side_by_side
from mothello_interp.languages import Atomic, Mothello
from mothello_interp.othello import random_games

_OURS = 100_000  # games a repeat, on one core
_CORPUS, _PART = 20_000_000, 200_000


def run() -> list[str]:
    """Lines to print."""
    lines = []
    ours = partial(random_games, _OURS, board=8, seed=0, threads=1)
    for name, n, prepare in (
        ("rust-reversi", 2000, _rust_reversi),
        ("pgx", 1024, _pgx),
        ("open_spiel", 100, _open_spiel),
    ):
        try:
            play = prepare()
        except ImportError:
            lines.append(f"{name}: not installed (pip install 'mothello-interp[engines]')")
            continue
        mine, theirs, ratio = side_by_side(ours, partial(play, n))
        ratio *= _OURS / n
        lines.append(f"one core: {_OURS / mine:,.0f} games/s, {name} {n / theirs:,.0f}: {ratio:,.0f}x")
    return [*lines, _streamed()]


def _streamed() -> str:
    """Games made and written in two languages, a part at a time."""
    mothello = Mothello(8, (Atomic(), Atomic()))
    mothello.encode(random_games(_PART, board=8, seed=0), 0)
    before, began = _peak(), time.perf_counter()
    for start in range(0, _CORPUS, _PART):
        games = random_games(_PART, board=8, seed=0, start=start)
        mothello.encode(games, start // _PART % 2)
    took = time.perf_counter() - began
    return (
        f"{_CORPUS:,} games made and encoded in {took:.0f} s on all cores; "
        f"peak memory {before:.0f} MB after the first part, {_peak():.0f} MB after the last"
    )


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _rust_reversi() -> Callable[[int], object]:
    from rust_reversi import Board  # type: ignore[import-not-found]

    def play(n: int) -> None:
        for _ in range(n):
            board = Board()
            while not board.is_game_over():
                if board.is_pass():
                    board.do_pass()
                else:
                    board.do_move(board.get_random_move())

    return play


def _pgx() -> Callable[[int], object]:
    import jax  # type: ignore[import-not-found]
    import pgx  # type: ignore[import-not-found]

    game = pgx.make("othello")

    @partial(jax.jit, static_argnums=1)
    def rollout(key: Any, n: int) -> Any:
        def step(carry: Any) -> Any:
            state, key = carry
            key, now = jax.random.split(key)
            logits = jax.numpy.log(state.legal_action_mask.astype(float))
            return jax.vmap(game.step)(state, jax.random.categorical(now, logits)), key

        state = jax.vmap(game.init)(jax.random.split(key, n))
        return jax.lax.while_loop(lambda carry: ~carry[0].terminated.all(), step, (state, key))[0].rewards

    return lambda n: rollout(jax.random.PRNGKey(0), n).block_until_ready()


def _open_spiel() -> Callable[[int], object]:
    import pyspiel  # type: ignore[import-not-found]

    game = pyspiel.load_game("othello")

    def play(n: int) -> None:
        for _ in range(n):
            state = game.new_initial_state()
            while not state.is_terminal():
                state.apply_action(random.choice(state.legal_actions()))

    return play
