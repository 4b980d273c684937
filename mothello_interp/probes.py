"""Board probes: what can be decoded from the residual stream, at every layer and in every language at once.

A probe decodes each square as one of three classes: white, empty, black (frame "absolute", as in Hua et al. 2024) or
theirs, empty, mine (frame "relative", Nanda et al. 2023). Kinds: "linear", a multinomial logistic regression a square;
"ridge", least squares of the classes in closed form, a second linear probe to hold the first against; and "mlp", two layers
with 512 hidden units, as in Li et al. 2023 and Hua et al. 2024.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from einops import rearrange

from mothello_interp.activations import Activations, Frame, collect
from mothello_interp.arguments import all_finite, checked
from mothello_interp.described import read_described, write_described
from mothello_interp.forward import gradients
from mothello_interp.models import Checkpoint
from mothello_interp.models.checkpoint import fingerprint
from mothello_interp.models.spec import Strict
from mothello_interp.othello import Games
from mothello_interp.othello.rules import check_side
from mothello_interp.progress import shown
from mothello_interp.stats import class_counts

Kind = Literal["linear", "ridge", "mlp"]
HIDDEN = 512
RIDGE = 0.01  # penalty of "ridge", as a share of the mean variance of a column
_LEARNING_RATE = {"linear": 1e-2, "mlp": 1e-3}


@dataclass(frozen=True, repr=False)
class Probes:
    """Fitted probes of one kind and frame for every pair of a language and a layer.

    Attributes:
        kind: "linear", "ridge" or "mlp".
        frame: "absolute" or "relative".
        board: side of the board.
        languages: the languages they were fitted on, the order of the first axis of the weights.
        layers: the layers, the order of the second axis.
        weights: float32 tensors, `weight [language layer d_model class*square]` and `bias`; for "mlp" also
            `weight_in [language layer d_model hidden]` and `bias_in`.
        majority: int8 `[move square]`, the commonest class at each move number and square of the games they were fitted
            on: the majority baseline, which never sees the model.
        model: the `fingerprint` of the model that they were fitted on; empty if unknown.
        games: the games that they were fitted on, None if unknown: they are not to be scored on.
    """

    kind: Kind
    frame: Frame
    board: int
    languages: tuple[int, ...]
    layers: tuple[int, ...]
    weights: dict[str, torch.Tensor]
    majority: np.ndarray
    model: str = ""
    games: Games | None = None

    def __repr__(self) -> str:
        sites = f"languages {list(self.languages)}, layers {list(self.layers)}"
        return f"Probes({self.kind}, {self.frame}, board of side {self.board}, {sites})"

    def logits(self, rows: torch.Tensor, language: int, layer: int) -> torch.Tensor:
        """Class logits `[row square 3]` for residual rows, float32 `[row d_model]`, by the probe of a language and layer.

        Raises:
            ValueError: for rows of another width or type or with values that are not finite; for a language or layer
                without a probe.
        """
        site = self._site(language, layer)
        width = self.weights["weight_in" if self.kind == "mlp" else "weight"].shape[2]
        if not isinstance(rows, torch.Tensor) or rows.dtype != torch.float32 or rows.shape[1:] != (width,):
            given = f"{rows.dtype} of shape {tuple(rows.shape)}" if hasattr(rows, "dtype") else f"{type(rows).__name__}"
            raise ValueError(f"rows: {given}; expected a float32 tensor [row {width}], as Activations.at gives it")
        if not all_finite(rows):
            raise ValueError("rows hold values that are not finite: what is read in them means nothing")
        if self.kind == "mlp":
            rows = torch.relu(rows @ self.weights["weight_in"][site] + self.weights["bias_in"][site])
        return rearrange(rows @ self.weights["weight"][site] + self.weights["bias"][site], "row (c s) -> row s c", c=3)

    def predict(self, rows: torch.Tensor, language: int, layer: int) -> np.ndarray:
        """The most likely class of every square, int8 `[row square]`, by the probe of a language and layer.

        The classes are 0, 1, 2: white, empty, black, or theirs, empty, mine. Arguments and errors as `logits`.
        """
        with torch.inference_mode():
            first, second, third = self.logits(rows, language, layer).unbind(-1)
            likeliest = (second > first).to(torch.int8)
            return likeliest.masked_fill_(third > torch.maximum(first, second), 2).numpy()

    def boards(
        self, activations: Activations, language: int, layer: int, *, source: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The boards that are read in a language's rows, as discs whatever the frame.

        Args:
            source: the language whose probe decodes, `language` itself by default.

        Returns:
            (discs, certainty): int8 `[row square]`, -1 white, 0 empty, 1 black, and the probability of each, float32
            `[row square]`. In the relative frame a game that is over has nobody to be "mine": 0 and 0 in these rows.

        Raises:
            ValueError: for a language or layer without rows or without a probe; for rows of another model (see `on`).
        """
        self.check(activations.model)
        with torch.inference_mode():
            logits = self.logits(activations.at(language, layer), language if source is None else source, layer)
            chance, likeliest = logits.softmax(-1).max(-1)
        discs, certainty = likeliest.numpy().astype(np.int8) - np.int8(1), chance.numpy()
        if self.frame == "relative":
            mover = activations.boards.mover[activations.game, activations.move + 1][:, None]
            return discs * mover, certainty * (mover != 0)
        return discs, certainty

    def directions(self, language: int, layer: int) -> torch.Tensor:
        """What a linear probe (also "ridge") looks along: float32 `[square 3 d_model]`, in the coordinates of the residual stream.

        Raises:
            ValueError: for MLP probes, which have no directions; for a language or layer without a probe.
        """
        if self.kind == "mlp":
            raise ValueError("mlp probes have no directions: fit kind='linear'")
        site = self._site(language, layer)
        return rearrange(self.weights["weight"][site], "d_model (c s) -> s c d_model", c=3)

    def on(self, checkpoint: Checkpoint) -> "Probes":
        """The same probes, to be used on another model than the one that they were fitted on."""
        return replace(self, model=fingerprint(checkpoint))

    def check(self, model: str) -> None:
        """ValueError for the fingerprint of another model than the one that they were fitted on."""
        if self.model and model and self.model != model:
            raise ValueError(
                "these probes were fitted on another model, or on other weights of it: fit them on this one, "
                "or say so by probes.on(checkpoint)"
            )

    def _site(self, language: int, layer: int) -> tuple[int, int]:
        if language not in self.languages or layer not in self.layers:
            raise ValueError(
                f"no probe of language {language} at layer {layer}: these were fitted on languages "
                f"{list(self.languages)} at layers {list(self.layers)}"
            )
        return self.languages.index(language), self.layers.index(layer)

    def save(self, path: str | Path) -> Path:
        """Write the probes, with the games they were fitted on, to one `.safetensors`, which `load` reads; an existing file is replaced.

        Raises:
            ValueError: for a name that does not end in .safetensors.
            OSError: if it cannot be written; an existing file is left as it was.
        """
        if Path(path).suffix != ".safetensors":
            raise ValueError(f"{path}: probes are saved as one file; give a name that ends in .safetensors")
        arrays = {"majority": self.majority} | ({} if self.games is None else {"games": self.games.moves})
        tensors = {name: torch.tensor(array) for name, array in arrays.items()}
        facts = {name: getattr(self, name) for name in _Facts.model_fields}
        return write_described(path, {**self.weights, **tensors}, facts)

    @classmethod
    def load(cls, path: str | Path) -> "Probes":
        """Read what `save` wrote. Nothing is unpickled.

        Raises:
            ValueError: for another file or a damaged one, or one whose weights do not fit its description, naming it.
            OSError: if it cannot be read.
        """
        weights, description = read_described(path)
        facts = _Facts.read(description, str(path))
        moves = weights.pop("games", None)
        try:
            games = None if moves is None else Games(moves.numpy(), facts.board)
            majority = weights.pop("majority", torch.empty(0)).numpy()
            _check_shapes(facts, weights, majority)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from None
        return cls(**dict(facts), weights=weights, majority=majority, games=games)


class _Facts(Strict):
    """What a file of probes says of its weights: the fields of `Probes` that are no arrays."""

    kind: Kind
    frame: Frame
    board: int
    languages: tuple[int, ...]
    layers: tuple[int, ...]
    model: str


def _check_shapes(facts: _Facts, weights: dict[str, torch.Tensor], majority: np.ndarray) -> None:
    """ValueError for weights and a majority that are not of the description's sizes, or not finite."""
    sites, squares = [len(facts.languages), len(facts.layers)], check_side(facts.board) ** 2
    first = weights.get("weight_in" if facts.kind == "mlp" else "weight", torch.empty(0, 0))
    width = first.shape[2] if first.ndim == 4 else 0
    expected = {"weight": [*sites, width, 3 * squares], "bias": [*sites, 3 * squares]}
    if facts.kind == "mlp":
        expected |= {"weight": [*sites, HIDDEN, 3 * squares]}
        expected |= {"weight_in": [*sites, width, HIDDEN], "bias_in": [*sites, HIDDEN]}
    found = {name: list(weight.shape) for name, weight in weights.items()}
    if found != expected:
        raise ValueError(f"weights {found} do not fit the description: expected {expected}")
    if not all(weight.dtype == torch.float32 and weight.isfinite().all() for weight in weights.values()):
        raise ValueError("the weights are not float32 and finite")
    if majority.dtype != np.int8 or majority.shape[1:] != (squares,) or not np.isin(majority, (0, 1, 2)).all():
        raise ValueError(f"majority is {majority.dtype} {majority.shape}: expected int8 classes [move {squares}]")


@checked
def fit_probes(
    checkpoint: Checkpoint,
    games: Games,
    *,
    kind: Kind = "linear",
    frame: Frame = "relative",
    layers: int | Sequence[int] | None = None,
    languages: int | Sequence[int] | None = None,
    epochs: int = 16,
    batch: int = 1024,
    seed: int,
) -> Probes:
    """Fit a probe for every language and layer on the same games; the model runs once a language.

    Args:
        games: the games to fit on; score on others.
        kind: "linear", "ridge" or "mlp".
        frame: "absolute" or "relative".
        layers: which layers, all by default.
        languages: which languages, all by default.
        epochs: passes over the rows.
        batch: rows a step.
        seed: of the initial weights and the order of rows.

    Raises:
        ValueError: for an unknown kind or frame, no games, or fewer than one epoch or row a step.

    Examples:
        >>> from mothello_interp import collect, load, random_games
        >>> m = load("mini/atomic-atomic-anchors4")
        >>> probes = fit_probes(m, random_games(50, board=6, seed=0), layers=[1], batch=256, seed=0)
        >>> acts = collect(m, random_games(20, board=6, seed=1), layers=[1])
        >>> discs, _ = probes.boards(acts, language=0, layer=1)
        >>> bool((discs == acts.boards.state[acts.game, acts.move]).mean() > 0.75)  # share of squares read right
        True
    """
    rows = collect(checkpoint, games, layers=layers, languages=languages)
    return fit_probes_on(rows, kind=kind, frame=frame, epochs=epochs, batch=batch, seed=seed)


@checked
@gradients()
def fit_probes_on(
    activations: Activations,
    *,
    kind: Kind = "linear",
    frame: Frame = "relative",
    epochs: int = 16,
    batch: int = 1024,
    seed: int,
) -> Probes:
    """`fit_probes` on rows collected already, for several kinds and frames from one run of the model.

    `epochs` and `batch` are the paper's, for the 30,000 rows or more of 1,000 games; on a few thousand rows take a
    smaller `batch`, or the fit ends early. The paper's probe is kind="mlp", frame="absolute".

    Cross-entropy summed over squares, Adam, no weight decay, the learning rate falling along a cosine to 0. For "ridge" the
    weights are (X'X + l I)^-1 X'Y, of centred rows X `[n d]` and classes Y (1 or 0), with l = RIDGE tr(X'X) / d: they need
    neither epochs, batch nor seed, and are the same for rows that are rotated or scaled.

    Raises:
        ValueError: as `fit_probes`; for rows that are not finite.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"kind={kind!r}: choose one of {', '.join(get_args(Kind))}")
    if epochs < 1 or batch < 1:
        raise ValueError(f"epochs={epochs}, batch={batch}: expected 1 or more of each")
    kept, classes = activations.labels(frame)
    if len(kept) == 0:
        raise ValueError("no rows to fit on: pass at least one game with two moves")
    x = rearrange(activations.values[:, :, kept], "language layer row d_model -> (language layer) row d_model")
    if not all_finite(x):
        raise ValueError("the rows hold values that are not finite: nothing can be fitted on them")
    truth = rearrange(torch.nn.functional.one_hot(torch.from_numpy(classes).long(), 3), "row s c -> (c s) row").float()
    found = _solved(x, truth) if kind == "ridge" else _trained(kind, x, truth, epochs, batch, seed)
    shape = (len(activations.languages), len(activations.layers))
    weights = {name: value.unflatten(0, shape).contiguous() for name, value in found.items()}
    majority = class_counts(classes, activations.move[kept]).argmax(axis=2).astype(np.int8)
    games, sites = activations.games, (activations.languages, activations.layers)
    return Probes(kind, frame, games.board, *sites, weights, majority, activations.model, games)


def _solved(x: torch.Tensor, truth: torch.Tensor) -> dict[str, torch.Tensor]:
    """Ridge regressions of classes `[class*square row]` on rows `[site row d_model]`."""
    mean, shares = x.mean(dim=1).double(), truth.mean(dim=1).double()
    weights = []
    for site, centre in zip(x, mean, strict=True):
        rows = site.double() - centre
        products = rows.T @ rows
        penalty = RIDGE * products.trace() / len(products) + torch.finfo().tiny
        eye = torch.eye(len(products), dtype=torch.double)
        weights.append(torch.linalg.solve(products + penalty * eye, rows.T @ (truth.T - shares)))
    weight = torch.stack(weights)
    return {"weight": weight.float(), "bias": (shares - (mean[:, None] @ weight).squeeze(1)).float()}


def _trained(
    kind: Kind, x: torch.Tensor, truth: torch.Tensor, epochs: int, batch: int, seed: int
) -> dict[str, torch.Tensor]:
    """Probes of rows `[site row d_model]` for classes `[class*square row]`, by gradient descent."""
    mean, scale = x.mean(dim=1, keepdim=True), x.std(dim=1, correction=0, keepdim=True) + 1e-6
    x = (x - mean).div_(scale)
    generator = torch.Generator().manual_seed(seed)
    parameters = _initial(kind, len(x), x.shape[2], len(truth), generator)
    optimizer = torch.optim.Adam(parameters.values(), lr=_LEARNING_RATE[kind], fused=True)
    course = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * -(-x.shape[1] // batch))
    for _ in shown(range(epochs), "fitting probes"):
        for chosen in torch.randperm(x.shape[1], generator=generator).split(batch):
            logits = _forward(kind, parameters, x.index_select(1, chosen))
            optimizer.zero_grad()
            logits.backward(_loss_gradient(logits.detach(), truth.index_select(1, chosen)))
            optimizer.step()
            course.step()
    return _fold(parameters, mean, scale)


def _initial(kind: Kind, sites: int, d_model: int, outputs: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Weights `[site output input]`, so that rows lie next to each other in what they are multiplied to: that is faster."""

    def uniform(inputs: int, outputs: int) -> torch.Tensor:
        drawn = torch.rand(sites, inputs, outputs, generator=generator, dtype=torch.float32)
        return ((drawn * 2 - 1) * inputs**-0.5).mT.contiguous().requires_grad_()

    def zeros(*shape: int) -> torch.Tensor:
        return torch.zeros(sites, *shape, dtype=torch.float32, requires_grad=True)

    if kind == "linear":
        return {"weight": zeros(outputs, d_model), "bias": zeros(outputs, 1)}
    first = {"weight_in": uniform(d_model, HIDDEN), "bias_in": zeros(HIDDEN, 1)}
    return {**first, "weight": uniform(HIDDEN, outputs), "bias": zeros(outputs, 1)}


def _forward(kind: Kind, parameters: dict[str, torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
    """Logits `[site class*square row]` of rows `[site row d_model]`."""
    inputs = rows.mT
    if kind == "mlp":
        inputs = torch.relu(torch.baddbmm(parameters["bias_in"], parameters["weight_in"], inputs))
    return torch.baddbmm(parameters["bias"], parameters["weight"], inputs)


def _loss_gradient(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Gradient of the cross-entropy, summed over squares and averaged over rows, at logits `[site class*square row]`."""
    shares = logits.unflatten(1, (3, -1)).softmax(dim=1).flatten(1, 2)
    return shares.sub_(truth).div_(truth.shape[1])


def _fold(parameters: dict[str, torch.Tensor], mean: torch.Tensor, scale: torch.Tensor) -> dict[str, torch.Tensor]:
    """The same probes, their weights `[site input output]`, for rows not standardised; mean and scale are `[site 1 d_model]`."""
    folded = {name: value.detach().mT for name, value in parameters.items()}
    weight, bias = ("weight_in", "bias_in") if "weight_in" in folded else ("weight", "bias")
    folded[weight] = folded[weight] / scale.mT
    folded[bias] = folded[bias] - mean @ folded[weight]
    return {name: value.squeeze(1) if name.startswith("bias") else value for name, value in folded.items()}
