"""Fitting and scoring the paper's cross-lingual probes for one model, against the plain way: a game and a move at a time.

The plain loop runs the model up to the layer on one game, calls the probe once a move for the whole grid of squares, and
steps once a game, in the paper's 16 passes over 1,000 games; one probe a language and layer. It takes minutes, so it is run
for one source at one layer, and counted once a source and layer.
"""

import time

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from mothello_interp import Checkpoint, load, random_games
from mothello_interp.activations import all_layers, collect
from mothello_interp.alignment import align
from mothello_interp.forward import hook_name
from mothello_interp.othello import Games, replay
from mothello_interp.probes import fit_probes_on

_FIT, _SCORE, _EPOCHS, _LAYER = 1000, 100, 16, 1
_OURS = {"epochs": 4, "batch": 128}  # enough for the same accuracy, which is printed beside it


def run() -> list[str]:
    """Lines to print."""
    checkpoint = load("mini/atomic-atomic-anchors4")
    fit, score = random_games(_FIT, board=6, seed=0), random_games(_SCORE, board=6, seed=1)
    source, target = checkpoint.mothello.inputs[:2]
    began = time.perf_counter()
    probes = fit_probes_on(collect(checkpoint, fit), kind="mlp", frame="absolute", seed=0, **_OURS)
    table = align(probes, checkpoint, score)
    ours = time.perf_counter() - began
    began = time.perf_counter()
    plain = _fitted(checkpoint, fit, source)
    found = {language: _scored(checkpoint, score, plain, language) for language in (source, target)}
    sites = 2 * len(all_layers(checkpoint))
    theirs = (time.perf_counter() - began) * sites
    lines = [
        f"{_FIT} games to fit on, {_SCORE} to score on, both directions, {sites // 2} layers: at once {ours:.1f} s "
        f"({_OURS['epochs']} passes, {_OURS['batch']} rows a step), plain loop {theirs:.0f} s ({_EPOCHS} passes, a game a "
        f"step; {sites} times one source and layer): {theirs / ours:.0f}x, {theirs / ours * _OURS['epochs'] / _EPOCHS:.0f}x a pass"
    ]
    rows = table[(table["layer"] == _LAYER) & (table["symmetry"] == "identity") & (table["source"] == source)]
    return lines + [
        f"accuracy {source} to {row['target']}: {row['accuracy']:.4f} ({row['low']:.4f} to {row['high']:.4f}), "
        f"loop {found[row['target']]:.4f}"
        for row in rows.to_dict("records")
    ]


def _fitted(checkpoint: Checkpoint, games: Games, language: int) -> torch.nn.Module:
    torch.manual_seed(0)
    d_model, squares = checkpoint.spec.model.d_model, checkpoint.spec.board**2
    probe = torch.nn.Sequential(torch.nn.Linear(d_model, 512), torch.nn.ReLU(), torch.nn.Linear(512, squares * 3))
    steps = torch.optim.Adam(probe.parameters(), lr=1e-3)
    truth = torch.from_numpy(replay(games).state[:, :-1].astype(np.int64) + 1)
    for _ in range(_EPOCHS):
        for game in torch.randperm(len(games)).tolist():
            residual = _residual(checkpoint, games[game : game + 1], language)
            loss = torch.zeros(())
            for move, row in enumerate(residual):
                loss = loss + cross_entropy(probe(row).view(squares, 3), truth[game, move])
            steps.zero_grad()
            (loss / len(residual)).backward()
            steps.step()
    return probe


@torch.inference_mode()
def _scored(checkpoint: Checkpoint, games: Games, probe: torch.nn.Module, language: int) -> float:
    squares = checkpoint.spec.board**2
    truth = torch.from_numpy(replay(games).state[:, :-1].astype(np.int64) + 1)
    right = []
    for game in range(len(games)):
        for move, row in enumerate(_residual(checkpoint, games[game : game + 1], language)):
            right.append((probe(row).view(squares, 3).argmax(-1) == truth[game, move]).float().mean().item())
    return float(np.mean(right))


@torch.no_grad()
def _residual(checkpoint: Checkpoint, game: Games, language: int) -> torch.Tensor:
    """`[move d_model]`, the last move left out."""
    _, cache = checkpoint.model.run_with_cache(
        checkpoint.tokens(game, language), names_filter=hook_name(_LAYER), stop_at_layer=_LAYER + 1
    )
    return cache[hook_name(_LAYER)][0, : int(game.lengths[0]) - 1]
