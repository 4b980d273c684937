"""States of a source reading that are put into a target reading, and what the target then predicts: the loop of `patching`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch

from mothello_interp.forward import Rows, StatePatch, batches, fwd_hooks, hook_name
from mothello_interp.grids import activation_gradients
from mothello_interp.maps import Maps
from mothello_interp.reading import Reading

Mass = Literal["move", "first"]


@dataclass(frozen=True, eq=False)
class Exchange:
    """States of a source that are put into a target.

    Attributes:
        at: the moves at which they are put in, int `[cell game]`.
        game, of: whose states they are, and of which moves, int `[cell game]`.
    """

    source: Reading
    target: Reading
    at: np.ndarray
    game: np.ndarray
    of: np.ndarray
    hook: str
    through: Maps | None

    @classmethod
    def with_floor(
        cls,
        source: Reading,
        target: Reading,
        at: np.ndarray,
        other: np.ndarray,
        of_other: np.ndarray,
        hook: str,
        through: Maps | None,
    ) -> "Exchange":
        """Twice the cells: the states of the same games, then those of other games, at moves `of_other`."""
        game = np.concatenate([np.broadcast_to(who, at.shape) for who in (np.arange(len(target)), other)])
        return cls(source, target, np.concatenate([at, at]), game, np.concatenate([at, of_other]), hook, through)

    def layers(self, *, last: bool) -> list[int]:
        """Those that the hook has, the embeddings first; the last one's resid_post only if asked for."""
        stream, n_layers = self.hook == "resid_post", self.source.checkpoint.model.cfg.n_layers
        return list(range(-1 if stream else 0, n_layers - int(stream and not last)))

    def places(self, *, last: bool = True) -> Iterator[tuple[dict[str, Any], torch.Tensor]]:
        """(layer, hook and head as columns, the source's states there `[cell game d_model]`)."""
        layers = self.layers(last=last)
        states = self.source.states_at(self.game, self.of, layers=layers, hook=self.hook)
        for layer, values in zip(layers, states, strict=True):
            for head in range(self.source.checkpoint.model.cfg.n_heads) if self.hook == "z" else (None,):
                found = values if head is None else values[..., head, :]
                found = found if self.through is None else self.through.apply(found, layer)
                yield {"layer": layer, "hook": hook_name(layer, self.hook), "head": -1 if head is None else head}, found

    def patched(
        self, mass: Mass, output: int | None = None, *, last: bool = True
    ) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        """(place, what the target predicts with the states there, float32 `[cell game outcome]`); all places share runs."""
        places, cells = list(self.places(last=last)), len(self.at)
        patches = [
            StatePatch(
                row["layer"], values, self.at, self.hook, None if row["head"] < 0 else row["head"], cells * place
            )
            for place, (row, values) in enumerate(places)
        ]
        patched = self.target.edited(*patches, allow_no_effect=True)
        found = predicted(patched, mass, cells * len(places), output)
        yield from zip((row for row, _ in places), np.split(found, len(places)), strict=True)

    def scores(self, weights: np.ndarray, mass: Mass) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        """(place, sum of predicted probabilities times `weights` `[game outcome]`, float64 `[cell game]`)."""
        for row, after in self.patched(mass, last=False):
            yield row, (after * weights).sum(-1).astype(float)

    def estimates(self, weights: np.ndarray, mass: Mass) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        """First-order estimates of `scores`: value + gradient @ (new state - own state)."""
        layers = self.layers(last=False)
        value, slopes = _slopes_at(self.target, self.at, layers, self.hook, weights, mass)
        own = self.target.states_at(np.arange(len(self.target)), self.at, layers=layers, hook=self.hook)
        for row, values in self.places(last=False):
            place = layers.index(row["layer"])
            slope, old = (
                part if row["head"] < 0 else part[..., row["head"], :] for part in (slopes[place], own[place])
            )
            yield row, (value + (slope * (values - old)).sum(-1)).double().numpy()


def _slopes_at(
    target: Reading, at: np.ndarray, layers: Sequence[int], hook: str, weights: np.ndarray, mass: Mass
) -> tuple[torch.Tensor, torch.Tensor]:
    """The score of the target as it is, `[game]`, and its gradient at the states of some moves, `[layer cell game d_model]`."""
    first = torch.from_numpy(target.checkpoint.mothello.move_tokens[target.output, :, 0]).long()
    if mass == "move" and target.checkpoint.mothello.token_counts[target.output].max() > 1:
        raise ValueError('moves of several tokens take several runs: an estimate needs mass="first"')
    names, values, slopes = [hook_name(layer, hook) for layer in layers], [], []
    for part in batches(np.arange(len(target)), target.tokens.shape[1]):
        end = target.last[part].max(axis=1)
        metric = partial(_score, end, torch.from_numpy(weights[part]), None if mass == "first" else first)
        with target.bound() as bound:
            rows = Rows(part, np.zeros_like(part), end)
            placed = fwd_hooks(hook for edit in bound for hook in edit.hooks(rows))
            with target.checkpoint.model.hooks(fwd_hooks=placed):
                value, gradients = activation_gradients(
                    target.checkpoint.model, target.tokens[torch.from_numpy(part)], metric, names
                )
        position = torch.from_numpy(target.last[part, at[:, part]])
        slopes.append(torch.stack([gradient[torch.arange(len(part)), position].cpu() for gradient in gradients]))
        values.append(value.cpu())
    return torch.cat(values), torch.cat(slopes, dim=2)


def _score(end: np.ndarray, weights: torch.Tensor, first: torch.Tensor | None, logits: torch.Tensor) -> torch.Tensor:
    """sum(probability * weight) after each game, `[game]`, of tokens, or of moves that are written in the tokens `first`."""
    chances = logits[torch.arange(len(end)), torch.from_numpy(end)].float().softmax(-1)
    return ((chances if first is None else chances[:, first] * (first > 0)) * weights).sum(-1)


def predicted(reading: Reading, mass: Mass, cells: int | None = None, output: int | None = None) -> np.ndarray:
    """Probabilities of outcomes after each game, float32 `[game outcome]` or `[cell game outcome]`: moves, or first tokens."""
    if mass not in ("move", "first"):
        raise ValueError(f'mass={mass!r}: choose "move" or "first"')
    return reading.final_tokens(cells=cells) if mass == "first" else reading.final_moves(output, cells=cells)
