"""`python -m train`: make checkpoints."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from mothello_interp.hints import check_text
from train import SEEDS
from train.options import RunOptions, TrainingStopped, folder_name, import_languages, run_lock

_PRESET = Path(__file__).parent / "presets" / "mini" / "atomic-atomic-anchors4.toml"

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def _commands() -> None:
    """Train models of Multilingual Othello and turn runs into checkpoints.

    Presets: train/presets/mini (6x6, minutes on one core), midi (8x8, an hour), paper (8x8, for a GPU), sharing, recipe.

    Recipes of finetune: train/presets/finetune. Every key: train/settings.py, mothello_interp/models/spec.py.

    Interrupted, even killed? The same command goes on, to the same weights on the same processor and threads.

    Metrics: the run's metrics.csv, of 8 languages at most; --log tensorboard, --log wandb (WANDB_MODE=offline).

    Checkpoints on the way: --keep 12. On a GPU: --device cuda --compile.

    A language type of your own: --import my_language.py, a file that calls register_language.

    One model, several processes: accelerate launch -m train pretrain ..., torchrun --nproc_per_node 2 -m train ...

    Many models: sweep, with --jobs on this machine, with --dask tcp://HOST:PORT on a cluster.

    Where finetune starts (--from): a bundled name, a folder on disk, or org/name@revision on the Hugging Face Hub.
    """


Seed = Annotated[int, typer.Option(min=0, max=SEEDS - 1, help="of the weights and the stream of games")]
Import = Annotated[
    Path | None, typer.Option("--import", help="a Python file of yours, run first: it calls register_language")
]


def _with_run_options(*left_out: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The command with the fields of RunOptions as options of the command line, handed to it as `options`."""

    def extend(command: Callable[..., None]) -> Callable[..., None]:
        shared = [field for field in fields(RunOptions) if field.name not in left_out]

        @wraps(command)
        def extended(**given: Any) -> None:
            chosen = {field.name: given.pop(field.name) for field in shared}
            command(**given, options=RunOptions(**chosen))

        own = [value for name, value in signature(command).parameters.items() if name != "options"]
        more = [Parameter(f.name, Parameter.KEYWORD_ONLY, default=f.default, annotation=f.type) for f in shared]
        extended.__signature__ = signature(command).replace(parameters=[*own, *more])  # type: ignore[attr-defined]
        extended.__annotations__ = {value.name: value.annotation for value in (*own, *more)}
        return extended

    return extend


@app.command()
@_with_run_options()
def pretrain(
    *,
    preset: Annotated[
        Path, typer.Argument(help="a TOML preset, such as train/presets/mini/atomic-atomic-anchors4.toml")
    ],
    out: Annotated[Path | None, typer.Option(help="folder of the run", show_default="runs/NAME-seedSEED")] = None,
    seed: Seed = 0,
    imported: Import = None,
    options: RunOptions,
) -> None:
    """Train a model on fresh random games. The same command goes on where an interrupted run stopped."""
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
@_with_run_options()
def finetune(
    *,
    recipe: Annotated[Path, typer.Argument(help="a TOML recipe, such as train/presets/finetune/mini.toml")],
    checkpoint: Annotated[str, typer.Option("--from", help="a bundled name, a checkpoint, or a finished run")],
    language: Annotated[int, typer.Option(help="the language to go on in")],
    out: Annotated[
        Path | None, typer.Option(help="folder of the run", show_default="runs/NAME-RECIPE-languageL-seedSEED")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=SEEDS - 1, help="of the games", show_default="the checkpoint's")
    ] = None,
    imported: Import = None,
    options: RunOptions,
) -> None:
    """Train a checkpoint on in one language; transfer.csv records what becomes of all of them."""
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
    """Of several processes that train one model the first one holds the folder and speaks."""
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
@_with_run_options("quiet")
def sweep(
    *,
    presets: Annotated[list[Path], typer.Argument(help="TOML presets, or folders of them (names with a _ are bases)")],
    seeds: Annotated[str, typer.Option(help="one run each, such as 0,1,2")] = "0",
    out: Annotated[
        Path, typer.Option(help="folder of the runs, OUT/NAME-seedSEED, and of sweep.csv: all of them")
    ] = Path("runs"),
    jobs: Annotated[
        int | None, typer.Option(min=1, help="runs at once", show_default="1, on a cluster one a worker")
    ] = None,
    dask: Annotated[str | None, typer.Option(help="train on the cluster of this scheduler, tcp://HOST:PORT")] = None,
    imported: Import = None,
    options: RunOptions,
) -> None:
    """Train many presets and seeds, several at once. The same command skips what is done and goes on with the rest."""
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
    run: Annotated[Path, typer.Argument(help="folder of a finished run, or a checkpoint")],
    out: Annotated[Path, typer.Argument(help="folder to write the checkpoint to")],
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16")] = "bfloat16",
    imported: Import = None,
) -> None:
    """Write a run's checkpoint elsewhere, by default in half the size."""
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
    games: Annotated[int, typer.Option(min=1, help="how many games")],
    out: Annotated[Path, typer.Option(help="Parquet file to write")],
    preset: Annotated[Path, typer.Argument(help="a TOML preset: the board, the languages and the opening")] = _PRESET,
    seed: Annotated[int, typer.Option(min=0, max=SEEDS - 1, help="of the stream of games, as in pretrain")] = 0,
    held_out: Annotated[bool, typer.Option("--held-out", help="games that training never draws")] = False,
    threads: Annotated[int, typer.Option(min=1, help="processor cores to use")] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress bar")] = False,
    imported: Import = None,
) -> None:
    """Write the games that a preset is trained on, in every language, to a Parquet file for other tools."""
    with _one_line_errors():
        import_languages(imported)
        from train.corpus import write_corpus
        from train.settings import Preset

        write_corpus(Preset.load(preset), out, games, seed=seed, held_out=held_out, threads=threads, quiet=quiet)
    typer.echo(f"corpus: {out} ({games} games)")


@app.command()
def import_authors(
    checkpoint: Annotated[Path, typer.Argument(help="a state dict that the paper's authors' code saved (.ckpt)")],
    config: Annotated[Path, typer.Argument(help="the file of their exp_configs that it was trained on")],
    out: Annotated[Path, typer.Argument(help="folder to write the checkpoint to")],
    heads: Annotated[int, typer.Option(min=1, help="attention heads of a layer, which their file does not tell")] = 8,
) -> None:
    """Turn a model of the paper's authors into a checkpoint with the same logits. Nothing in their files is executed."""
    with _one_line_errors():
        from mothello_interp.models import import_authors as convert
        from mothello_interp.models import save_checkpoint

        save_checkpoint(out, convert(checkpoint, config, n_heads=heads))
    typer.echo(f"checkpoint: {out}")


if __name__ == "__main__":
    check_text(sys.argv)
    app(prog_name="python -m train")
