// The rules of Othello, the symmetries of the board, and games written as tokens. Squares are row-major; discs are -1 white,
// 0 empty, 1 black; black moves first.

const STEPS = [-1, 0, 1].flatMap((row) => [-1, 0, 1].map((column) => [row, column])).filter(([row, column]) => row || column);

export const squareName = (square, side) => String.fromCharCode(97 + (square % side)) + (Math.floor(square / side) + 1);

// The square of a name; an Error for a name that is none.
export function squareIndex(name, side) {
  const [column, row] = [name.charCodeAt(0) - 97, Number(name.slice(1)) - 1];
  const known = /^[a-h][1-8]$/.test(name) && column < side && row < side;
  if (!known) throw new Error(`'${name}' is no square of a board of side ${side}: write a column letter and a row`);
  return row * side + column;
}

// The four that keep the start position: permutation p, the disc on square s goes to p[s]; each is its own inverse.
export const SYMMETRIES = {
  identity: (row, column) => [row, column],
  diagonal: (row, column) => [column, row],
  antidiagonal: (row, column, last) => [last - column, last - row],
  half_turn: (row, column, last) => [last - row, last - column],
};

// Anything laid out by square, seen through a symmetry.
export function mirrored(values, symmetry, side) {
  return Array.from(values, (_, square) => {
    const [row, column] = SYMMETRIES[symmetry](Math.floor(square / side), square % side, side - 1);
    return values[row * side + column];
  });
}

// The squares whose discs a move of `mover` turns; none where it is not legal.
function turned(discs, square, mover, side) {
  if (discs[square]) return [];
  const found = [];
  for (const [rowStep, columnStep] of STEPS) {
    let [row, column] = [Math.floor(square / side) + rowStep, (square % side) + columnStep];
    const line = [];
    while (row >= 0 && column >= 0 && row < side && column < side && discs[row * side + column] === -mover) {
      line.push(row * side + column);
      row += rowStep;
      column += columnStep;
    }
    const closed = row >= 0 && column >= 0 && row < side && column < side && discs[row * side + column] === mover;
    if (closed) found.push(...line);
  }
  return found;
}

export function legalSquares(discs, mover, side) {
  return Array.from(discs, (_, square) => mover !== 0 && turned(discs, square, mover, side).length > 0);
}

// A position with whose turn it is: `next`, or the other side if it has no move, or 0 for a game that is over.
function position(discs, next, side) {
  for (const mover of [next, -next]) {
    const legal = legalSquares(discs, mover, side);
    if (legal.includes(true)) return { discs, mover, legal };
  }
  return { discs, mover: 0, legal: legalSquares(discs, 0, side) };
}

export function startPosition(side) {
  const [discs, low] = [new Array(side * side).fill(0), side / 2 - 1];
  [-1, 1, 1, -1].forEach((disc, place) => (discs[(low + (place >> 1)) * side + low + (place % 2)] = disc));
  return position(discs, 1, side);
}

// The position before every move and after the last one; an Error for a move that is not legal, naming those that are.
export function replay(moves, side) {
  const positions = [startPosition(side)];
  moves.forEach((square, move) => {
    const { discs, mover, legal } = positions[move];
    if (!legal[square]) {
      const names = legal.flatMap((ok, index) => (ok ? [squareName(index, side)] : []));
      const allowed = names.length ? `legal there: ${names.join(", ")}` : "the game was over";
      throw new Error(`move ${move}: ${squareName(square, side)} is not legal (${allowed})`);
    }
    const after = discs.slice();
    for (const index of [square, ...turned(discs, square, mover, side)]) after[index] = mover;
    positions.push(position(after, -mover, side));
  });
  return positions;
}

// A game of random moves after those of an opening, given by name.
export function randomGame(side, opening) {
  const moves = opening.map((name) => squareIndex(name, side));
  for (;;) {
    const legal = replay(moves, side).at(-1).legal.flatMap((ok, square) => (ok ? [square] : []));
    if (!legal.length) return moves;
    moves.push(legal[Math.floor(Math.random() * legal.length)]);
  }
}

// Moves as tokens, by the tokens `[square][piece]` of a language: with the positions of each move's first and last token.
export function encode(moves, moveTokens) {
  const [tokens, first, last] = [[], [], []];
  for (const square of moves) {
    first.push(tokens.length);
    tokens.push(...moveTokens[square]);
    last.push(tokens.length - 1);
  }
  return { tokens, first, last };
}
