// What a model makes of one game, with edits and without: as reader.py, and the edits through probes of boards.py.

import { linear, nextMoves, run, stateAt } from "./engine.js";
import { layersOf, written } from "./state.js";
import { encode, replay, squareIndex } from "./world.js";

const NOTHING = 1e-5; // of a row's length: what float32 leaves where a row is replaced by itself
const REMEMBERED = 64; // runs without edits
const FLIP_SCALE = 2;

// The class logits `[3][square]` of a state by the probe of a language and layer, in the frame of the probes.
export function probeLogits(player, state, language, layer) {
  const probe = player.probes[language][layer];
  const [logits, squares] = [linear(state, probe), probe.bias.length / 3];
  return [0, 1, 2].map((kind) => logits.subarray(kind * squares, (kind + 1) * squares));
}

// A game without edits: {moves, language, boards, run, last, shares}.
export function plain(player, moves, language) {
  const known = player.remembered;
  const key = (length) => `${language}:${moves.slice(0, length).join()}`;
  let found = known.get(key(moves.length));
  if (!found) {
    let shared = moves.length - 1;
    while (shared && !known.has(key(shared))) shared--;
    const past = known.get(key(shared))?.run;
    const encoded = encode(moves, player.facts.move_tokens[language]);
    found = { moves, language, boards: replay(moves, player.facts.board), ...encoded };
    found.run = run(player.model, encoded.tokens, past ? { past, start: past.length } : {});
    found.shares = after(player, found);
  }
  known.delete(key(moves.length)); // the latest is the last to go
  known.set(key(moves.length), found);
  if (known.size > REMEMBERED) known.delete(known.keys().next().value);
  return found;
}

function after(player, reading) {
  const { facts, model } = player;
  return nextMoves(model, reading.run, facts.move_tokens[facts.outputs[reading.language]]);
}

// A step of the last state that flips a square: along the probe's directions, until the wanted class is as far ahead as
// FLIP_SCALE times what the true one was.
function flipState(player, reading, edit, layer, state) {
  const { facts } = player;
  const square = squareIndex(edit.square, facts.board);
  const { discs, mover } = reading.boards.at(-1);
  const truth = 1 + discs[square] * (facts.frame === "relative" ? mover : 1);
  if (truth === 1) return;
  const { weight } = player.probes[reading.language][layer];
  const logits = probeLogits(player, state, reading.language, layer);
  const [width, wanted] = [state.length, 2 - truth];
  const row = (kind) => (kind * discs.length + square) * width;
  const normal = Float64Array.from(state, (_, i) => weight[row(wanted) + i] - weight[row(truth) + i]);
  const ahead = logits[wanted][square] - logits[truth][square];
  const needed = Math.max(FLIP_SCALE * Math.abs(ahead) - ahead, 0);
  const length = normal.reduce((sum, value) => sum + value * value, 0);
  if (length) normal.forEach((value, i) => (state[i] += (needed * value) / length));
}

// One edit bound to a game: {position, at(layer), act(layer, state)}, or an Error where it cannot be made.
function bound(player, reading, edit) {
  if (!edit.square) {
    const last = reading.moves.length - 1;
    if (edit.move > last) throw new Error(`${written(edit)}: there are moves 0 to ${last} on the board`);
    const source = plain(player, reading.moves, edit.source);
    const theirs = stateAt(player.model, source.run, edit.layer, source.last[edit.move]);
    const act = (_, state) => state.set(theirs);
    return { position: reading.last[edit.move], at: (layer) => layer === edit.layer, act };
  }
  const at = (layer) => (edit.onward ? layer >= edit.layer : layer === edit.layer);
  const act = (layer, state) => flipState(player, reading, edit, layer, state);
  return { position: reading.last.at(-1), at, act };
}

function withEdits(player, reading, edits) {
  const start = Math.min(...edits.map(({ position }) => position));
  const width = player.model.d_model;
  const edit = (layer, rows, from) => {
    for (const { position, at, act } of edits)
      if (at(layer)) act(layer, rows.subarray((position - from) * width, (position - from + 1) * width));
  };
  return run(player.model, reading.tokens, { past: reading.run, start, edit });
}

function changed(player, reading, before, now) {
  return layersOf(player.facts).some((layer) =>
    reading.last.some((position) => {
      const [old, state] = [before, now].map((one) => stateAt(player.model, one, layer, position));
      return Math.hypot(...state.map((value, i) => value - old[i])) > NOTHING * Math.hypot(...old);
    }),
  );
}

// A game with edits in place, and for each edit {text, problem, left_out}: what it changes, or why it does not.
export function edited(player, reading, edits) {
  const [made, said] = [[], []];
  let now = reading.run;
  for (const edit of edits) {
    const text = written(edit);
    try {
      made.push(bound(player, reading, edit));
    } catch (error) {
      said.push({ text, problem: error.message, left_out: true });
      continue;
    }
    const next = withEdits(player, reading, made);
    said.push({ text, problem: changed(player, reading, now, next) ? "" : "changes nothing here", left_out: false });
    now = next;
  }
  const result = { ...reading, run: now };
  return { reading: { ...result, shares: made.length ? after(player, result) : reading.shares }, edits: said };
}
