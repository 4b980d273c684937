"""Encoding and decoding, and a complete training batch against the training step that uses it."""

from functools import partial

from benchmarks.timing import seconds
from mothello_interp.corpus import Corpus
from mothello_interp.languages import Atomic, Compositional, Mothello, Split
from mothello_interp.othello import random_games


def run() -> list[str]:
    """Lines to print."""
    mothello = Mothello(8, (Atomic(), Split(), Compositional()))
    games = random_games(100_000, board=8, seed=0)
    lines = []
    for index, language in enumerate(mothello.languages):
        name = type(language).__name__.lower()
        rate = len(games) / seconds(partial(mothello.encode, games, index))
        tokens = mothello.encode(games[:10_000], index).tokens
        back = len(tokens) / seconds(partial(mothello.decode, tokens, index))
        lines.append(f"{name}, 8x8: encode {rate:,.0f} games/s, decode {back:,.0f} games/s")
    corpus = Corpus(Mothello(6, (Atomic(), Atomic())), seed=0)
    rate = 256 / seconds(partial(corpus.batch, 0, 256), repeats=10)
    lines.append(f"batches with exact targets, 6x6, one core: {rate:,.0f} games/s")
    return lines
