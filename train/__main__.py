"""`python -m train`: make checkpoints."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mothello_interp.hints import check_text, with_options
from train import SEEDS
from train.options import RunOptions, TrainingStopped, folder_name, import_languages, run_lock

_PRESET = Path(__file__).parent / "presets" / "mini" / "atomic-atomic-anchors4.toml"

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback()
def _commands() -> None:
    """Train models of Multilingual Othello.

    An interrupted run, even a killed one, resumes with the same command, to the same weights on the same processor and
    number of threads.

    \b
    presets     train/presets/mini (6x6, minutes on one core), midi (8x8, an
                hour), paper (8x8, for a GPU), sharing, recipe; of finetune:
                train/presets/finetune; every key: train/settings.py,
                mothello_interp/models/spec.py
    metrics     metrics.csv of the run; --log tensorboard, --log wandb
    steps       --keep 12: checkpoints during training
    GPU         --device cuda --compile
    processes   accelerate launch -m train pretrain ...,
                torchrun --nproc_per_node 2 -m train pretrain ...
    languages   --import my_language.py, which calls register_language
    many runs   sweep --jobs 4, on a cluster sweep --dask tcp://HOST:PORT
    finetune    --from a bundled name, a folder, or org/name@revision on the
                Hugging Face Hub
    """


Seed = Annotated[int, typer.Option(metavar="N", min=0, max=SEEDS - 1, help="of weights and games")]
Import = Annotated[
    Path | None, typer.Option("--import", metavar="FILE", help="your Python file that calls register_language")
]


@app.command()
@with_options(RunOptions)
def pretrain(
    *,
    preset: Annotated[Path, typer.Argument(help="a TOML file, such as one of train/presets/mini")],
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="the run's", show_default="runs/NAME-seedSEED")
    ] = None,
    seed: Seed = 0,
    imported: Import = None,
    options: RunOptions,
) -> None:
    """Train a model on fresh random games."""
    with _one_line_errors():
        import_languages(imported)
        from train.pretrain import pretrain as train
        from train.settings import Preset

        settings = Preset.load(preset)
        folder = out or Path("runs") / f"{settings.name}-seed{seed}"
        options.check()
        with _run_lock(folder):
            train(settings, folder, seed=seed, **asdict(options))
    _report(folder)


@app.command()
@with_options(RunOptions)
def finetune(
    *,
    recipe: Annotated[Path, typer.Argument(help="a TOML file of train/presets/finetune")],
    checkpoint: Annotated[str, typer.Option("--from", metavar="NAME", help="bundled, checkpoint, run or Hub name")],
    language: Annotated[int, typer.Option(metavar="N", help="language to train in")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="the run's", show_default="runs/NAME-RECIPE-languageL-seedSEED"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, max=SEEDS - 1, help="of the games", show_default="the checkpoint's"),
    ] = None,
    imported: Import = None,
    options: RunOptions,
) -> None:
    """Train a checkpoint further, in one language.

    transfer.csv of the run records legality and alignment of every language.
    """
    with _one_line_errors():
        import_languages(imported)
        from mothello_interp.models import load
        from train.finetune import check_language
        from train.finetune import finetune as train
        from train.settings import Recipe

        settings = Recipe.load(recipe)
        start = load(_inside(checkpoint))
        name = folder_name(start.provenance.get("preset", start.name), what="the checkpoint's preset")
        seed = start.provenance.get("seed", 0) if seed is None else seed
        if type(seed) is not int:
            raise TrainingStopped(f"the checkpoint's seed is {seed!r:.60}, no whole number: give one with --seed")
        folder = out or Path("runs") / f"{name}-{settings.name}-language{language}-seed{seed}"
        options.check()
        check_language(start, language)
        with _run_lock(folder):
            train(settings, start, folder, language=language, seed=seed, **asdict(options))
    _report(folder)


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """What a user can mend is said in one line."""
    from mothello_interp.models import CheckpointError, SpecError

    try:
        yield
    except (SpecError, CheckpointError, TrainingStopped, OSError) as error:
        raise SystemExit(f"error: {error}") from None


def _is_first() -> bool:
    """Whether this is the process that holds the folder and prints, of several that train one model."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def _run_lock(folder: Path) -> Iterator[None]:
    if not _is_first():
        yield
        return
    with run_lock(folder) as note:
        note(f"holds it: python -m train {' '.join(sys.argv[1:])}")
        yield


def _inside(checkpoint: str) -> str:
    """Of a finished run its checkpoint."""
    inside = Path(checkpoint) / "checkpoint"
    return str(inside) if inside.is_dir() else checkpoint


def _report(folder: Path) -> None:
    if not _is_first():
        return
    from mothello_interp.models import load_checkpoint

    provenance = load_checkpoint(folder / "checkpoint").provenance
    for line in provenance["held_out"]:
        typer.echo(f"language {line['language']}: top-1 legal {line['top1']:.4f} of {line['prefixes']} prefixes")
    if share := provenance.get("held_out_trained_on"):
        typer.echo(f"{share:.0%} of the held-out games are games that were trained on too: small boards repeat them")
    typer.echo(f"checkpoint: {folder / 'checkpoint'} ({provenance['minutes']} minutes of training)")


@app.command()
@with_options(RunOptions, "quiet")
def sweep(
    *,
    presets: Annotated[list[Path], typer.Argument(help="TOML files, or folders of them")],
    seeds: Annotated[str, typer.Option(metavar="LIST", help="one run for each, such as 0,1,2")] = "0",
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="of all runs, and of sweep.csv")] = Path("runs"),
    jobs: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="runs at a time", show_default="1, or one a worker"),
    ] = None,
    dask: Annotated[str | None, typer.Option(metavar="ADDRESS", help="scheduler of a cluster, tcp://HOST:PORT")] = None,
    imported: Import = None,
    options: RunOptions,
) -> None:
    """Train many presets and seeds; what is done is skipped."""
    with _one_line_errors():
        import_languages(imported)
        import rich

        from train.sweep import draw, is_base, parse_seeds, plan, tabulate, write_table
        from train.workers import sweep as run

        planned = plan(presets, parse_seeds(seeds), out)
        for base in filter(is_base, presets):
            typer.echo(f"{base} is left out: a name that begins with _ is a base of other presets", err=True)
        results = {}
        for job, result in run(planned, at_once=jobs, options=options, dask=dask, imported=imported):
            results[job.folder] = result
            of = f"{len(results)}/{len(planned)}"
            typer.echo(f"[{of}] {job.preset.name} seed {job.seed}: {result.describe()}")
        table = tabulate([(job, results[job.folder]) for job in planned])
        rich.print(draw(table))  # first, in case that it cannot be written
        write_table(table, out / "sweep.csv")
    typer.echo(f"table: {out / 'sweep.csv'}")
    if any(result.failed for result in results.values()):
        raise typer.Exit(1)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="finished run, or checkpoint")],
    out: Annotated[Path, typer.Argument(help="folder to write to")],
    dtype: Annotated[str, typer.Option(metavar="NAME", help="float32 or bfloat16")] = "bfloat16",
    imported: Import = None,
) -> None:
    """Copy the checkpoint of a run, by default in bfloat16."""
    if dtype not in ("float32", "bfloat16"):
        raise SystemExit(f"error: --dtype {dtype}: choose float32 or bfloat16")
    with _one_line_errors():
        import_languages(imported)
        import torch

        from mothello_interp.models import load_checkpoint, save_checkpoint

        save_checkpoint(out, load_checkpoint(Path(_inside(str(run)))), dtype=getattr(torch, dtype))
    typer.echo(f"checkpoint: {out}")


@app.command()
def corpus(
    games: Annotated[int, typer.Option(metavar="N", min=1, help="number of games")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Parquet file to write")],
    preset: Annotated[Path, typer.Argument(help="a TOML file", show_default="mini/atomic-atomic-anchors4")] = _PRESET,
    seed: Annotated[int, typer.Option(metavar="N", min=0, max=SEEDS - 1, help="of the games, as in pretrain")] = 0,
    held_out: Annotated[bool, typer.Option("--held-out", help="games that training never draws")] = False,
    threads: Annotated[int, typer.Option(metavar="N", min=1, help="processor cores")] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress bar")] = False,
    imported: Import = None,
) -> None:
    """Write a preset's games, in every language, to Parquet."""
    with _one_line_errors():
        import_languages(imported)
        from train.corpus import write_corpus
        from train.settings import Preset

        write_corpus(Preset.load(preset), out, games, seed=seed, held_out=held_out, threads=threads, quiet=quiet)
    typer.echo(f"corpus: {out} ({games} games)")


@app.command()
def import_authors(
    checkpoint: Annotated[Path, typer.Argument(help="state dict of the authors' code (.ckpt)")],
    config: Annotated[Path, typer.Argument(help="its file in their exp_configs")],
    out: Annotated[Path, typer.Argument(help="folder to write to")],
    heads: Annotated[int, typer.Option(metavar="N", min=1, help="attention heads, which the file does not name")] = 8,
) -> None:
    """Convert a model of the paper's authors.

    The checkpoint has the same logits. Nothing in their files is executed.
    """
    with _one_line_errors():
        from mothello_interp.models import import_authors as convert
        from mothello_interp.models import save_checkpoint

        save_checkpoint(out, convert(checkpoint, config, n_heads=heads))
    typer.echo(f"checkpoint: {out}")


if __name__ == "__main__":
    check_text(sys.argv)
    app(prog_name="python -m train")
