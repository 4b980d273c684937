"""What a model is trained to predict: the next token, or the distribution that it was drawn from.

Both are aligned with `Mothello.encode`: the target at a position is what should follow the tokens up to and with it.
"""

import numpy as np

from mothello_interp.arguments import checked
from mothello_interp.languages.mothello import PAD, Mothello
from mothello_interp.othello import Games


@checked
def sampled_targets(mothello: Mothello, games: Games, language: int) -> np.ndarray:
    """The next token, int32 `[game pos]`; 0 where there is no loss.

    Under a unified output the last token of a move has the output language's token of the next move as its target,
    and other tokens have none.
    """
    encoded = mothello.encode(games, language)
    targets = np.zeros_like(encoded.tokens)
    if not mothello.unified_output:
        targets[:, :-1] = encoded.tokens[:, 1:]
        return targets
    spoken = np.append(mothello.move_tokens[0, :, 0], np.int32(PAD))[games.moves]
    rows, moves = np.nonzero(games.moves[:, 1:] >= 0)
    targets[rows, encoded.last[rows, moves]] = spoken[rows, moves + 1]
    return targets


@checked
def exact_targets(mothello: Mothello, games: Games, legal: np.ndarray, language: int) -> np.ndarray:
    """The distribution over next tokens given the game so far, when every move is drawn from `legal`.

    Args:
        games: the games, `[game move]`.
        legal: bool `[game move+1 square]`, as `replay` gives it, for uniform play, or float weights of the moves to draw
            them in proportion; set it to the one move played where play was forced, as inside a fixed opening.

    Returns:
        float32 `[game pos vocab]`; rows sum to 1, or to 0 where there is no loss.
    """
    encoded = mothello.encode(games, language)
    n, width = encoded.tokens.shape
    result = np.zeros((n, width, mothello.d_vocab), np.float32)
    rows, moves = np.nonzero(games.moves >= 0)
    ends = encoded.last[rows, moves].astype(np.int64)
    spoken = mothello.move_tokens[mothello.output_of(language)]
    result[rows, ends] = _next_token(legal[rows, moves + 1], spoken[:, 0], mothello.d_vocab)
    if mothello.unified_output:
        return result
    played = games.moves[rows, moves].astype(np.int64)
    lengths = mothello.token_counts[language][played]
    for written in range(1, spoken.shape[1]):  # tokens of the current move so far
        inside = lengths > written
        squares = played[inside]
        same_beginning = (spoken[None, :, :written] == spoken[squares][:, None, :written]).all(axis=2)
        possible = legal[rows[inside], moves[inside]] * same_beginning
        place = ends[inside] - lengths[inside] + written
        result[rows[inside], place] = _next_token(possible, spoken[:, written], mothello.d_vocab)
    return result


def _next_token(possible: np.ndarray, token_of: np.ndarray, d_vocab: int) -> np.ndarray:
    """Distribution `[row vocab]` of the token of a square that is drawn in proportion to `possible` `[row square]`."""
    to_token = np.zeros((len(token_of), d_vocab), np.float32)
    squares = np.flatnonzero(token_of)
    to_token[squares, token_of[squares]] = 1
    weights = possible.astype(np.float32) @ to_token
    sums = weights.sum(axis=1, keepdims=True)
    return weights / np.where(sums > 0, sums, 1)
