"""`python -m train`: make checkpoints."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.callback()
def _commands() -> None:
    """Train models of Multilingual Othello and turn runs into checkpoints."""


@app.command()
def pretrain(
    preset: Annotated[
        Path, typer.Argument(help="a TOML preset, such as train/presets/mini/atomic-atomic-anchors4.toml")
    ],
    out: Annotated[Path | None, typer.Option(help="folder of the run  [default: runs/NAME-seedSEED]")] = None,
    seed: Annotated[int, typer.Option(help="of the weights and the stream of games")] = 0,
    threads: Annotated[int, typer.Option(help="processor cores to use")] = 1,
    device: Annotated[str, typer.Option(help="cpu, or cuda")] = "cpu",
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress bar")] = False,
) -> None:
    """Train a model on fresh random games. The same command goes on where an interrupted run stopped."""
    from mothello_interp.models import SpecError
    from train.pretrain import pretrain as train
    from train.settings import Preset
    from train.state import TrainingStopped

    try:
        settings = Preset.load(preset)
        folder = out or Path("runs") / f"{settings.name}-seed{seed}"
        checkpoint = train(settings, folder, seed=seed, threads=threads, device=device, quiet=quiet)
    except (SpecError, TrainingStopped, OSError) as error:
        raise SystemExit(f"error: {error}") from None
    for line in checkpoint.provenance["held_out"]:
        typer.echo(f"language {line['language']}: top-1 legal {line['top1']:.4f} of {line['prefixes']} prefixes")
    typer.echo(f"checkpoint: {folder / 'checkpoint'} ({checkpoint.provenance['minutes']} minutes of training)")


@app.command()
def sweep(
    presets: Annotated[list[Path], typer.Argument(help="TOML presets, or folders of them (names with a _ are bases)")],
    seeds: Annotated[str, typer.Option(help="one run each, such as 0,1,2")] = "0",
    out: Annotated[Path, typer.Option(help="folder of the runs, OUT/NAME-seedSEED, and of sweep.csv")] = Path("runs"),
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="runs at once  [default: 1, on a cluster one a worker]", show_default=False),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="processor cores of one run")] = 1,
    device: Annotated[str, typer.Option(help="cpu, or cuda")] = "cpu",
    dask: Annotated[str | None, typer.Option(help="train on the cluster of this scheduler, tcp://HOST:PORT")] = None,
) -> None:
    """Train many presets and seeds, several at once. The same command skips what is done and goes on with the rest."""
    import rich

    from train.sweep import SweepError, draw, parse_seeds, plan, tabulate
    from train.sweep import sweep as run

    try:
        planned = plan(presets, parse_seeds(seeds), out)
        results = {}
        for job, result in run(planned, at_once=jobs, threads=threads, device=device, dask=dask):
            results[job.folder] = result
            of = f"{len(results)}/{len(planned)}"
            typer.echo(f"[{of}] {job.preset.name} seed {job.seed}: {result.describe()}")
        table = tabulate([(job, results[job.folder]) for job in planned])
        out.mkdir(parents=True, exist_ok=True)
        table.to_csv(out / "sweep.csv", index=False)
    except (SweepError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
    rich.print(draw(table))
    typer.echo(f"table: {out / 'sweep.csv'}")
    if any(result.failed for result in results.values()):
        raise typer.Exit(1)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="folder of a finished run, or a checkpoint")],
    out: Annotated[Path, typer.Argument(help="folder to write the checkpoint to")],
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16")] = "bfloat16",
) -> None:
    """Write a run's checkpoint elsewhere, by default in half the size."""
    import torch

    from mothello_interp.models import CheckpointError, load_checkpoint, save_checkpoint

    if dtype not in ("float32", "bfloat16"):
        raise SystemExit(f"error: --dtype {dtype}: choose float32 or bfloat16")
    inside = run / "checkpoint"
    try:
        checkpoint = load_checkpoint(inside if inside.exists() else run)
        save_checkpoint(out, checkpoint, dtype=getattr(torch, dtype))
    except (CheckpointError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
    typer.echo(f"checkpoint: {out}")


if __name__ == "__main__":
    app(prog_name="python -m train")
