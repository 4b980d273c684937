// A state as the fragment of an address, `#moves=c2b2&language=1&layer=2&flip=b2@1..`, and back: as links.py.

import { checked, movesOf, opening, transcript } from "./state.js";
import { squareIndex } from "./world.js";

const NUMBERS = ["move", "language", "layer", "second", "probe", "head"];

const edited = (edit) =>
  edit.square
    ? `flip=${edit.square}@${edit.layer}${edit.onward ? ".." : ""}`
    : `patch=${edit.move}@${edit.layer}from${edit.source}`;

export function toLink(facts, state) {
  const moves = movesOf(state);
  const usual = { second: null, probe: null, symmetry: "identity", head: null };
  const set = Object.keys(usual).filter((name) => state[name] !== usual[name]);
  const parts = [
    `moves=${transcript(moves, facts.board)}`,
    ...(state.move === moves.length ? [] : [`move=${state.move}`]),
    ...["language", "layer", ...set].map((name) => `${name}=${state[name]}`),
    ...state.edits.map(edited),
  ];
  return "#" + parts.join("&");
}

function readEdit(part) {
  const flip = /^flip=([a-h][1-8])@(-?\d+)(\.\.)?$/.exec(part);
  if (flip) return { square: flip[1], layer: Number(flip[2]), onward: Boolean(flip[3]) };
  const patch = /^patch=(\d+)@(-?\d+)from(\d+)$/.exec(part);
  if (patch) return { move: Number(patch[1]), layer: Number(patch[2]), source: Number(patch[3]) };
  throw new Error(`'${part}': expected flip=c2@1, flip=c2@1.. or patch=5@1from0`);
}

function readMoves(text, side) {
  const names = text.match(/[a-h][1-8]/g) ?? [];
  if (names.join("") !== text) throw new Error(`moves '${text}': expected squares, such as c2b2`);
  return names.map((name) => squareIndex(name, side));
}

// The state of a link; an Error for one that cannot be read, or that names what the model does not have.
export function fromLink(facts, link) {
  const [settings, edits] = [{}, []];
  for (const part of link.replace(/^#/, "").split("&")) {
    const [name, value] = part.split("=", 2);
    if (name === "flip" || name === "patch") edits.push(readEdit(part));
    else if (name in settings || !["moves", "symmetry", ...NUMBERS].includes(name))
      throw new Error(`'${part}': expected one each of moves, symmetry, ${NUMBERS.join(", ")}`);
    else if (!NUMBERS.includes(name)) settings[name] = value;
    else if (/^-?\d{1,4}$/.test(value)) settings[name] = Number(value);
    else throw new Error(`'${part}': expected a whole number`);
  }
  const { moves: text = "", ...others } = settings;
  const moves = readMoves(text, facts.board);
  return checked(facts, { ...opening(facts, moves, moves.length), ...others, edits });
}
