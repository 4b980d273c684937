"""Board probes that several analyses use: fitted once for a checkpoint, then taken from the cache."""

from hashlib import sha256

from filelock import FileLock

from analyses import _models
from analyses._models import Checkpoint, Probes
from analyses._sources import code_of
from mothello_interp.hints import atomic_write
from mothello_interp.othello import random_games


def board_probes(checkpoint: Checkpoint, *, games: int = 1000) -> Probes:
    """Linear probes, mine / empty / theirs, of every layer and input language, fitted on so many games (seed 11)."""
    from mothello_interp.models.checkpoint import fingerprint
    from mothello_interp.probes import Probes, fit_probes

    key = sha256(f"{fingerprint(checkpoint)} {games} {code_of('analyses._probes')}".encode()).hexdigest()[:16]
    folder = _models.CACHE / f"probes-{key}"
    _models.CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):  # two analyses may ask for them at a time
        if not folder.exists():
            fitted = random_games(games, board=checkpoint.spec.board, seed=11)
            with atomic_write(folder) as unfinished:
                fit_probes(checkpoint, fitted, kind="linear", frame="relative", seed=0).save(unfinished)
        return Probes.load(folder)
