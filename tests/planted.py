"""A transformer whose weights are set by hand, so that where the board and the language stand and act is known.

It knows the first MOVES moves of 4x4 Othello by heart, in two atomic languages, A (0) and B (1), and reads the rules
off the board. There is no layer norm; all values are whole numbers (but for `slot`s that are not filled yet), and
every part of the residual stream has coordinates of its own (`PLACES`):

    part      what it says                                                          written by       cleared by
    word      which token stands here; each language has 12 of its own              embedding        block 1, MLP
    place     which position this is                                                embedding
    slot      the tokens of positions 0 to MOVES-1, as far as they were read        block 0, head h  block 1, MLP
    reading   the language of the game, read off the `word` at position 0           block 1, head 0
    mine      by square: a disc of the player who moves next                        block 1, MLP
    theirs    by square: a disc of the other player                                 block 1, MLP
    speaking  the language to answer in, read off `reading` at position 0           block 2, head 0
    legal     by square: how many lines make a move there legal                     block 2, MLP

Block 1's MLP is a dictionary: one neuron for each opening and language fires when `place`, `slot` and `reading` say
just that, and writes its board; it also clears what was said in words, so that the board has no other code than this
one. Block 2's MLP knows the rules: one neuron for each line of each square fires when the square is empty, the line
between is `theirs` and its end is `mine`. The unembedding gives square s in language l the logit
SHARP * (legal[s] + LOUD * speaking[l]).

What follows from that, and what an instrument must find:
- the board is readable at layers 1 and 2, and read by block 2 alone: an edit at layer 2 changes nothing that is said;
  a direction added at layer -1 or 0 stays in the stream and acts as it does at layer 1;
- `shared=True`: one code of the board for both languages, so probes transfer at layers 1 and 2. `shared=False`: A's
  board is in `mine`/`theirs`, B's in `mine_b`/`theirs_b`, and block 2 reads the code of the language it speaks
  (what probes still transfer at layer 2 is `legal`, which both languages share);
- a state of A put into B at the last move acts like B's own at layer 1 if shared, and not at layers -1 and 0, where
  the dictionary of B does not know A's words; at layer 2 it brings its tongue along, and the answer is in A's words.
"""

import warnings
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig

from mothello_interp.models import Checkpoint, ModelSpec
from mothello_interp.othello import Games, random_games, replay
from mothello_interp.probes import Probes

BOARD, SQUARES, MOVES, LAYERS = 4, 16, 5, 3
TOKENS = 24  # padding aside, whose embedding is 0
SHARP, LOUD = 20.0, 10.0
_CERTAIN = 100.0  # queries and keys this long make attention exact: all other weights underflow to 0
_SIZES = {
    "word": TOKENS,
    "place": MOVES,
    "slot": MOVES * TOKENS,
    "reading": 2,
    "mine": SQUARES,
    "theirs": SQUARES,
    "mine_b": SQUARES,
    "theirs_b": SQUARES,
    "legal": SQUARES,
    "speaking": 2,
}
_ENDS = dict(zip(_SIZES, np.cumsum(list(_SIZES.values())).tolist(), strict=True))
PLACES = {name: range(_ENDS[name] - size, _ENDS[name]) for name, size in _SIZES.items()}
WIDTH = -(-max(_ENDS.values()) // MOVES) * MOVES  # a multiple of the number of heads


def board_code(language: int, *, shared: bool) -> tuple[range, range]:
    """The coordinates of a language's board: (mine, theirs), by square."""
    own = "_b" if language == 1 and not shared else ""
    return PLACES[f"mine{own}"], PLACES[f"theirs{own}"]


def flip_direction(square: int, language: int = 0, *, shared: bool = True) -> torch.Tensor:
    """What turns a disc of theirs on a square into one of mine, `[d_model]`."""
    mine, theirs = board_code(language, shared=shared)
    direction = torch.zeros(WIDTH)
    direction[mine[square]], direction[theirs[square]] = 1, -1
    return direction


def exact_probes(*, shared: bool = True) -> Probes:
    """Linear probes of both languages at layers 1 and 2 that read each language's code, and nothing else."""
    weight = torch.zeros(2, 2, WIDTH, 3, SQUARES)
    for language, square in product((0, 1), range(SQUARES)):
        mine, theirs = board_code(language, shared=shared)
        weight[language, :, theirs[square], 0, square] = 1
        weight[language, :, mine[square], 2, square] = 1
    bias = torch.zeros(2, 2, 3, SQUARES)
    bias[:, :, 1] = 0.5  # empty, unless a disc is there
    weights = {"weight": weight.flatten(3), "bias": bias.flatten(2)}
    return Probes("linear", "relative", BOARD, (0, 1), (1, 2), weights, np.ones((MOVES, SQUARES), np.int8))


def swap_codes() -> torch.Tensor:
    """The permutation that exchanges the two languages' codes of the board, `[d_model d_model]`."""
    order = torch.arange(WIDTH)
    for first, second in (("mine", "mine_b"), ("theirs", "theirs_b")):
        order[list(PLACES[first])], order[list(PLACES[second])] = (
            torch.tensor(PLACES[second]),
            torch.tensor(PLACES[first]),
        )
    return torch.eye(WIDTH)[order]


def openings(n: int, *, seed: int) -> Games:
    """Random games cut after MOVES moves, none of them over by then."""
    games = random_games(2 * n, board=BOARD, seed=seed)
    games = games[games.lengths > MOVES][:n]
    return Games(games.moves[:, :MOVES], BOARD)


@cache
def planted(*, shared: bool = True) -> Checkpoint:
    """The model; it is kept and given again, so leave it as it is."""
    world = {"board": BOARD, "languages": ["atomic", "atomic"]}
    entries = _dictionary()
    n_mlp = 2 * sum(len(games) for games in entries) + (1 + MOVES) * TOKENS
    sizes = {"n_layers": LAYERS, "d_model": WIDTH, "n_heads": MOVES, "d_mlp": n_mlp}
    spec = ModelSpec.read({"world": world, "model": sizes}, "planted")
    shape: dict[str, Any] = {"d_head": TOKENS, "n_ctx": spec.mothello.n_ctx, "d_vocab": spec.mothello.d_vocab}
    kinds: dict[str, Any] = {"normalization_type": None, "act_fn": "relu", "device": "cpu"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in build_model: transformer-lens 3 announces that 4 drops this class
        model = HookedTransformer(HookedTransformerConfig(**sizes, **shape, **kinds), move_to_device=False)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        _embed(model)
        for head in range(MOVES):
            _look(model, block=0, head=head, position=head, what=[[word] for word in PLACES["word"]])
            _tell(model, block=0, head=head, where=PLACES["slot"][head * TOKENS : (head + 1) * TOKENS])
        words_of = [[PLACES["word"][token - 1] for token in spec.mothello.tokens_of(spoken)] for spoken in (0, 1)]
        _look(model, block=1, head=0, position=0, what=words_of)
        _tell(model, block=1, head=0, where=PLACES["reading"])
        _look(model, block=2, head=0, position=0, what=[[place] for place in PLACES["reading"]])
        _tell(model, block=2, head=0, where=PLACES["speaking"])
        _remember(model, entries, spec.mothello.move_tokens[..., 0], shared)
        _know_the_rules(model, shared)
        for spoken, square in product((0, 1), range(SQUARES)):
            token = spec.mothello.move_tokens[spoken, square, 0]
            if token:
                model.unembed.W_U[PLACES["legal"][square], token] = SHARP
                model.unembed.W_U[PLACES["speaking"][spoken], token] = LOUD * SHARP
    return Checkpoint(model.eval(), spec, {"seed": 0}, f"planted, {'one code' if shared else 'two codes'}")


def _dictionary() -> list[Games]:
    """All openings of 1 to MOVES moves, by length."""
    games, found = Games(np.full((1, MOVES), -1), BOARD), []
    for length in range(MOVES):
        game, square = np.nonzero(replay(games).legal[:, length])
        moves = games.moves[game].copy()
        moves[:, length] = square
        games = Games(moves, BOARD)
        found.append(games)
    return found


def _embed(model: HookedTransformer) -> None:
    for token in range(TOKENS):
        model.embed.W_E[token + 1, PLACES["word"][token]] = 1
    for place in range(MOVES):
        model.pos_embed.W_pos[place, PLACES["place"][place]] = 1


def _look(model: HookedTransformer, *, block: int, head: int, position: int, what: list[list[int]]) -> None:
    """A head attends to one position; its i-th channel carries the sum of the coordinates what[i] from there."""
    attention = model.blocks[block].attn
    attention.b_Q[head, 0] = _CERTAIN
    attention.W_K[head, PLACES["place"][position], 0] = _CERTAIN
    for channel, coordinates in enumerate(what):
        attention.W_V[head, coordinates, channel] = 1


def _tell(model: HookedTransformer, *, block: int, head: int, where: range) -> None:
    """A head writes its channels to these coordinates."""
    for channel, coordinate in enumerate(where):
        model.blocks[block].attn.W_O[head, channel, coordinate] = 1


def _remember(model: HookedTransformer, entries: list[Games], words: np.ndarray, shared: bool) -> None:
    """A neuron an opening and language: 1 if all of its conditions hold, else 0. And one for each word to be cleared."""
    mlp: Any = model.blocks[1].mlp
    neuron = 0
    for spoken, (length, games) in product((0, 1), enumerate(entries, 1)):
        boards = replay(games)
        relative = boards.state[:, length - 1] * boards.mover[:, length, None]
        mine, theirs = (np.array(code) for code in board_code(spoken, shared=shared))
        for moves, board in zip(games.moves, relative, strict=True):
            tokens = words[spoken, moves[:length]]
            slots = [PLACES["slot"][place * TOKENS + token - 1] for place, token in enumerate(tokens)]
            conditions = [PLACES["place"][length - 1], PLACES["reading"][spoken], *slots]
            mlp.W_in[conditions, neuron] = 1
            mlp.b_in[neuron] = 1 - len(conditions)
            mlp.W_out[neuron, mine[board > 0]] = 1
            mlp.W_out[neuron, theirs[board < 0]] = 1
            neuron += 1
    for coordinate in (*PLACES["word"], *PLACES["slot"]):
        mlp.W_in[coordinate, neuron], mlp.W_out[neuron, coordinate] = 1, -1
        neuron += 1


def _know_the_rules(model: HookedTransformer, shared: bool) -> None:
    """A neuron a line: 1 if it makes its square legal, else 0."""
    mlp: Any = model.blocks[2].mlp
    for neuron, (spoken, (square, line)) in enumerate(product((0,) if shared else (0, 1), _lines())):
        mine, theirs = board_code(spoken, shared=shared)
        conditions = [mine[line[-1]], *(theirs[between] for between in line[:-1])]
        if not shared:
            conditions.append(PLACES["speaking"][spoken])
        mlp.W_in[conditions, neuron] = 1
        mlp.b_in[neuron] = 1 - len(conditions)
        mlp.W_in[[mine[square], theirs[square]], neuron] = -len(conditions)  # not on a disc
        mlp.W_out[neuron, PLACES["legal"][square]] = 1


def _lines() -> list[tuple[int, list[int]]]:
    """Every square, with every straight line of two squares or more that starts next to it."""
    found = []
    for row, column, down, right in product(range(BOARD), range(BOARD), (-1, 0, 1), (-1, 0, 1)):
        line: list[int] = []
        while (down or right) and 0 <= (r := row + (len(line) + 1) * down) < BOARD:
            if not 0 <= (c := column + (len(line) + 1) * right) < BOARD:
                break
            line.append(r * BOARD + c)
            if len(line) > 1:
                found.append((row * BOARD + column, list(line)))
    return found
