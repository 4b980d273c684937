// From a state to everything on screen: as view.py, whose docstrings say what the keys hold.

import { decoded, makeModel, pattern, readArrays, stateAt } from "./engine.js";
import { toLink } from "./links.js";
import { edited, plain, probeLogits } from "./reader.js";
import { layersOf, movesOf, written } from "./state.js";
import { legalSquares, mirrored, replay, squareIndex, squareName, startPosition, SYMMETRIES } from "./world.js";

const NAMED = 3; // tokens of a layer
const rounded = (values) => Array.from(values, (value) => Math.round(value * 1e4) / 1e4);
const total = (values, where) => values.reduce((sum, value, index) => sum + (where[index] ? value : 0), 0);

// A model with its probes, from what the page holds: `facts` and its arrays as base64.
export function makePlayer(facts, base64) {
  const arrays = readArrays(facts.arrays, base64);
  const probe = (name) => ({ weight: arrays[`probes.${name}.weight`], bias: arrays[`probes.${name}.bias`] });
  const layers = (language) => layersOf(facts).map((layer) => [layer, probe(`${language}.${layer}`)]);
  const probes = Object.fromEntries(facts.inputs.map((language) => [language, Object.fromEntries(layers(language))]));
  return { facts, probes, model: makeModel(facts, arrays), remembered: new Map() };
}

const truePosition = (facts, state) => {
  const shown = movesOf(state).slice(0, state.move);
  const { discs, legal, mover } = shown.length ? replay(shown, facts.board).at(-1) : startPosition(facts.board);
  return { discs, legal, mover, last: shown.at(-1) ?? null, flipped: discs.map(() => false), legal_edited: null };
};

function silence(state, position) {
  if (position.mover === 0) return "The game is over: there is no next move.";
  return state.move ? "" : "Nothing is written yet, so the model predicts nothing: play the first move.";
}

function flipped(facts, state, position, edits) {
  const acting = state.edits.filter((edit, place) => edit.square && !edits[place].problem);
  if (!acting.length) return position;
  const squares = acting.map((edit) => squareIndex(edit.square, facts.board));
  const turned = position.discs.map((_, square) => squares.includes(square));
  const discs = position.discs.map((disc, square) => (turned[square] ? -disc : disc));
  return { ...position, flipped: turned, legal_edited: legalSquares(discs, position.mover, facts.board) };
}

// The likeliest disc of every square and its probability, after one move.
function decodedBoard(player, reading, move, source, layer) {
  const logits = probeLogits(player, stateAt(player.model, reading.run, layer, reading.last[move]), source, layer);
  const sign = player.facts.frame === "relative" ? reading.boards[move + 1].mover : 1;
  const [discs, sure] = [[], []];
  for (let square = 0; square < logits[0].length; square++) {
    const three = logits.map((kind) => kind[square]);
    const likeliest = three.indexOf(Math.max(...three));
    discs.push((likeliest - 1) * sign + 0); // no -0
    sure.push(1 / three.reduce((sum, logit) => sum + Math.exp(logit - three[likeliest]), 0));
  }
  return { discs, sure };
}

function belief(player, state, reading) {
  const { facts } = player;
  const source = state.probe ?? reading.language;
  const foreign = source !== reading.language;
  const boards = reading.moves.map((_, move) => decodedBoard(player, reading, move, source, state.layer));
  const fits = {};
  for (const name of foreign ? Object.keys(SYMMETRIES) : []) {
    const right = boards.map(({ discs }, move) => {
      const truth = reading.boards[move + 1].discs;
      return mirrored(discs, name, facts.board).filter((disc, square) => disc === truth[square]).length;
    });
    fits[name] = rounded([right.reduce((sum, count) => sum + count, 0) / (right.length * facts.board ** 2)])[0];
  }
  const symmetry = foreign ? state.symmetry : "identity";
  const [discs, sure] = ["discs", "sure"].map((name) => mirrored(boards.at(-1)[name], symmetry, facts.board));
  const wrong = discs.map((disc, square) => disc !== reading.boards.at(-1).discs[square]);
  return {
    discs,
    sure: rounded(sure),
    wrong,
    right: wrong.filter((one) => !one).length,
    probe: foreign ? facts.languages[source] : null,
    fits,
  };
}

function lens(player, reading) {
  const { facts, model } = player;
  const tokens = facts.move_tokens[facts.outputs[reading.language]];
  const begins = new Set(tokens.flatMap(([token], square) => (reading.boards.at(-1).legal[square] ? [token] : [])));
  const own = new Set(tokens.flat());
  const name = (token) => (own.has(token) ? facts.vocabulary[token].replace(/^.*?:/, "") : facts.vocabulary[token]);
  return layersOf(facts).map((layer) => {
    const shares = decoded(model, stateAt(model, reading.run, layer, reading.run.length - 1));
    const order = shares.map((_, token) => token).sort((a, b) => shares[b] - shares[a]);
    const top = order.slice(0, NAMED).map((token) => [name(token), rounded([shares[token]])[0], begins.has(token)]);
    return { layer, legal: rounded([total(shares, shares.map((_, token) => begins.has(token)))])[0], top };
  });
}

function attention(player, state, reading) {
  if (state.head === null || state.layer === -1) return null;
  const shares = pattern(player.model, reading.run, state.layer, state.head, reading.run.length - 1);
  const sum = (first, last) => shares.slice(first, last + 1).reduce((whole, share) => whole + share, 0);
  return rounded(reading.first.map((first, move) => sum(first, reading.last[move])));
}

function column(player, state, position, before, after) {
  const { facts } = player;
  const [last, both] = [after ?? before, after ? [before, after] : [before]];
  const output = facts.outputs[before.language];
  const mass = (where) => rounded(both.map(({ shares }) => total(shares, where)));
  return {
    language: before.language,
    name: facts.languages[before.language],
    answers: output === before.language ? null : facts.languages[output],
    before: rounded(before.shares),
    after: after ? rounded(after.shares) : null,
    mass: { true: mass(position.legal), edited: after && position.legal_edited ? mass(position.legal_edited) : null },
    belief: belief(player, state, last),
    lens: lens(player, last),
    lens_before: after ? lens(player, before).map(({ legal }) => legal) : null,
    attention: attention(player, state, last),
  };
}

// The lines of Python that show the same in Jupyter; JSON's text is Python's.
function inPython({ loadable, name }, link) {
  const checkpoint = loadable ? JSON.stringify(name) : "checkpoint";
  const given = loadable ? "" : "checkpoint = ...  # the one that this page was made from\n";
  return `from mothello_interp.explorer import Explorer\n\n${given}Explorer(${checkpoint}, link=${JSON.stringify(link)})\n`;
}

function note({ opening, name }, names) {
  if (!opening.length) return "";
  const other = names.slice(0, opening.length).some((square, move) => square !== opening[move]);
  return `${name} was trained only on games that begin ${opening.join(" ")}${other ? ": this game does not." : "."}`;
}

export function view(player, state) {
  const { facts } = player;
  let position = truePosition(facts, state);
  const message = silence(state, position);
  const shown = movesOf(state).slice(0, state.move);
  let edits = state.edits.map((edit) => ({ text: written(edit), problem: "changes nothing here", left_out: false }));
  const columns = [];
  if (!message) {
    const before = plain(player, shown, state.language);
    let after = null;
    if (state.edits.length) ({ reading: after, edits } = edited(player, before, state.edits));
    position = flipped(facts, state, position, edits);
    columns.push(column(player, state, position, before, after));
    if (state.second !== null) columns.push(column(player, state, position, plain(player, shown, state.second), null));
  }
  const link = toLink(facts, state);
  const names = movesOf(state).map((square) => squareName(square, facts.board));
  return {
    board: facts.board,
    checkpoint: facts.name,
    languages: facts.inputs.map((language) => [language, facts.languages[language]]),
    layers: layersOf(facts).map((layer) => [layer, layer === -1 ? "emb" : String(layer)]),
    symmetries: Object.keys(SYMMETRIES),
    heads: Array.from({ length: facts.n_heads }, (_, head) => head),
    language: state.language,
    second: state.second,
    layer: state.layer,
    probe: state.probe,
    symmetry: state.symmetry,
    head: state.head,
    game: { index: state.game, of: state.games.length, at: state.move, moves: names },
    position,
    columns,
    edits,
    message,
    note: note(facts, names.slice(0, state.move)),
    link,
    code: inPython(facts, link),
  };
}
