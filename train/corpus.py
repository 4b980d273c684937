"""The games that a preset is trained on, as a file for other tools."""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from mothello_interp.corpus import write_parquet
from mothello_interp.models import SpecError
from mothello_interp.othello import Games
from train.run import commit, progress
from train.settings import Preset

_PART = 10_000  # games in memory


def write_corpus(
    preset: Preset, path: Path, n: int, *, seed: int, held_out: bool = False, threads: int = 1, quiet: bool = False
) -> Path:
    """Write the first n games of a preset's stream to a Parquet file, each in every language.

    With `held_out` games that no batch of that stream is drawn from, the ones that accuracy is measured on.

    Raises:
        FileExistsError: if there is such a file.
        SpecError: for more games than the preset trains on.
    """
    if path.exists():
        raise FileExistsError(f"{path} exists; choose another name")
    corpus = preset.corpus(seed)
    try:
        corpus.games(n - 1, 1, held_out=held_out)
    except ValueError as error:
        raise SpecError(f"{preset.name}: {error}") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    made = {
        "preset": preset.name,
        "spec": preset.spec.to_toml(),
        "opening": list(preset.training.opening),
        "seed": seed,
        "stream": "held out" if held_out else "training",
        "games": n,
        "versions": {name: version(name) for name in ("mothello-interp", "numpy", "pyarrow")},
        "commit": commit(),
    }

    def parts() -> Iterator[Games]:
        with progress(quiet=quiet) as bar:
            task = bar.add_task(path.name, total=n)
            for start in range(0, n, _PART):
                size = min(_PART, n - start)
                yield corpus.games(start, size, held_out=held_out, threads=threads)
                bar.advance(task, size)

    return write_parquet(path, parts(), preset.spec.mothello, provenance=made)
