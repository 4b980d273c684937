"""Board probes that several analyses use: fitted once for a checkpoint, then taken from the cache."""

import sys
from hashlib import sha256

from filelock import FileLock

from analyses import _models
from analyses._models import Checkpoint, Probes
from analyses._sources import code_of
from mothello_interp.othello import random_games


def board_probes(checkpoint: Checkpoint, *, games: int = 1000) -> Probes:
    """Linear probes, mine / empty / theirs, of every layer and input language, fitted on so many games (seed 11)."""
    from mothello_interp.models.checkpoint import fingerprint
    from mothello_interp.probes import Probes, fit_probes

    key = sha256(f"{fingerprint(checkpoint)} {games} {code_of('analyses._probes')}".encode()).hexdigest()[:16]
    cached = _models.CACHE / f"probes-{key}.safetensors"
    _models.CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{cached}.lock"):  # two analyses may ask for them at a time
        if cached.exists():
            try:
                return Probes.load(cached)
            except ValueError as error:
                print(f"{error}; they are fitted again", file=sys.stderr)
        fitted = random_games(games, board=checkpoint.spec.board, seed=11)
        probes = fit_probes(checkpoint, fitted, kind="linear", frame="relative", seed=0)
        probes.save(cached)
        return probes
