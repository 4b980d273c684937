// What the explorer looks at, and the steps from one state to the next: as state.py and edits.py.

import { replay, squareIndex, squareName, SYMMETRIES } from "./world.js";

export const opening = (facts, moves = facts.games[0], move = Math.min(facts.move, moves.length)) => ({
  games: [moves],
  game: 0,
  move,
  language: facts.inputs[0],
  layer: facts.layer,
  second: null,
  probe: null,
  symmetry: "identity",
  head: null,
  edits: [],
});

export const movesOf = (state) => state.games[state.game];

function expect(name, value, known) {
  if (!known.includes(value)) throw new Error(`${name} ${value}: there are ${known.join(", ")}`);
}

export const layersOf = (facts) => Array.from({ length: facts.n_layers + 1 }, (_, place) => place - 1);
const upTo = (length) => Array.from({ length }, (_, number) => number);

// The state itself; an Error for what the model or the games do not have, naming what there is.
export function checked(facts, state) {
  expect("game", state.game, upTo(state.games.length));
  replay(movesOf(state), facts.board);
  expect("move", state.move, upTo(movesOf(state).length + 1));
  expect("language", state.language, facts.inputs);
  for (const name of ["second", "probe"]) expect(name, state[name], [null, ...facts.inputs]);
  if (state.second === state.language) throw new Error(`language ${state.second} is shown already`);
  expect("layer", state.layer, layersOf(facts));
  expect("head", state.head, [null, ...upTo(facts.n_heads)]);
  expect("symmetry", state.symmetry, Object.keys(SYMMETRIES));
  for (const edit of state.edits) {
    expect("layer", edit.layer, layersOf(facts));
    if (edit.square) squareIndex(edit.square, facts.board);
    else {
      expect("language", edit.source, facts.inputs);
      expect("move", edit.move, upTo(facts.board ** 2 - 4));
    }
  }
  return state;
}

export const written = (edit) =>
  edit.square
    ? `flip ${edit.square} at layer ${edit.layer}${edit.onward ? " and later" : ""}`
    : `patch layer ${edit.layer} at move ${edit.move} from language ${edit.source}`;

// One move further: along the game if it goes there, else along a new one, which joins the games.
export function played(facts, state, name) {
  const [square, moves] = [squareIndex(name, facts.board), movesOf(state)];
  if (moves[state.move] === square) return { ...state, move: state.move + 1 };
  const onward = [...moves.slice(0, state.move), square];
  replay(onward, facts.board);
  if (state.move < moves.length) return joined(state, onward, state.move + 1);
  return { ...state, games: state.games.with(state.game, onward), move: state.move + 1 };
}

export const joined = (state, moves, move) => ({
  ...state,
  games: [...state.games, moves],
  game: state.games.length,
  move,
});

export const stepped = (state, by) => ({
  ...state,
  move: Math.min(Math.max(state.move + by, 0), movesOf(state).length),
});

// Another game, at most as far into it.
export function turnedTo(state, game) {
  const shown = Math.min(Math.max(game, 0), state.games.length - 1);
  return { ...state, game: shown, move: Math.min(state.move, state.games[shown].length) };
}

// Read in a language; if it is the second already, the two change places.
export const readIn = (state, language) => ({
  ...state,
  language,
  second: language === state.second ? state.language : state.second,
});

// With an edit, or without it if it is there; a square is flipped at one place at a time.
export function toggled(state, edit) {
  const same = edit.square ? (old) => old.square === edit.square : (old) => written(old) === written(edit);
  const others = state.edits.filter((old) => !same(old));
  return { ...state, edits: others.length < state.edits.length ? others : [...state.edits, edit] };
}

export const transcript = (moves, side) => moves.map((square) => squareName(square, side)).join("");
