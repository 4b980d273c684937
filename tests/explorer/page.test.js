// The page's own rules, links and arithmetic, against what is known without Python.

import assert from "node:assert/strict";
import test from "node:test";

import { gelu, linear } from "../../mothello_interp/explorer/page/engine.js";
import { fromLink, toLink } from "../../mothello_interp/explorer/page/links.js";
import { opening, played, readIn, stepped, toggled, turnedTo } from "../../mothello_interp/explorer/page/state.js";
import { mirrored, randomGame, replay, squareIndex, squareName } from "../../mothello_interp/explorer/page/world.js";

const FACTS = { board: 4, inputs: [1, 2], n_layers: 2, n_heads: 2, layer: 0, move: 3, games: [[1, 0]] };

function leaves(moves, side, depth) {
  const { legal } = replay(moves, side).at(-1);
  const next = legal.flatMap((ok, square) => (ok ? [square] : []));
  return depth === 1 ? next.length : next.reduce((sum, square) => sum + leaves([...moves, square], side, depth - 1), 0);
}

test("perft: as many games as are known on 8x8", () => {
  assert.deepEqual([1, 2, 3, 4, 5].map((depth) => leaves([], 8, depth)), [4, 12, 56, 244, 1396]);
});

test("an illegal move names the legal ones", () => {
  assert.throws(() => replay([squareIndex("a1", 6)], 6), /a1 is not legal .legal there: /);
});

test("random games are legal, begin with the opening and end when nobody can move", () => {
  const game = randomGame(6, ["c2", "b2", "a2"]);
  assert.deepEqual(game.slice(0, 3).map((square) => squareName(square, 6)), ["c2", "b2", "a2"]);
  assert.equal(replay(game, 6).at(-1).mover, 0);
});

test("every symmetry undoes itself and keeps the start position", () => {
  const start = replay([], 6)[0].discs;
  const numbers = start.map((_, square) => square);
  for (const name of ["identity", "diagonal", "antidiagonal", "half_turn"]) {
    assert.deepEqual(mirrored(mirrored(numbers, name, 6), name, 6), numbers);
    assert.deepEqual(mirrored(start, name, 6), start);
  }
});

test("GELU is by the error function, not by tanh", () => {
  const known = [[-3, -0.00404969409489031], [-1, -0.158655253931457], [0.5, 0.345731230633009], [2, 1.95449973610364]];
  for (const [x, value] of known) assert.ok(Math.abs(gelu(x) - value) < 1e-6, `${x}`);
});

test("linear: any number of outputs from four on", () => {
  const rows = Float32Array.of(1, 2, 3, 4);
  for (const outputs of [4, 5, 6, 7, 9]) {
    const weight = Float32Array.from({ length: 2 * outputs }, (_, place) => place);
    const bias = Float32Array.from({ length: outputs }, (_, place) => 100 * place);
    const expected = [0, 2].flatMap((row) =>
      Array.from(bias, (shift, output) => rows[row] * weight[2 * output] + rows[row + 1] * weight[2 * output + 1] + shift),
    );
    assert.deepEqual([...linear(rows, { weight, bias })], expected);
  }
});

test("links: malformed ones say what is wrong", () => {
  const wrong = {
    "#moves=zz": /expected squares/,
    "#moves=a1": /a1 is not legal/,
    "#moves=b1&moves=b1": /expected one each of moves/,
    "#dance=1": /expected one each of moves/,
    "#layer=two": /expected a whole number/,
    "#moves=b1&layer=9": /layer 9: there are -1, 0, 1/,
    "#moves=b1&language=0": /language 0: there are 1, 2/,
    "#moves=b1&second=1": /shown already/,
    "#moves=b1&head=2": /head 2/,
    "#moves=b1&symmetry=turn": /symmetry turn/,
    "#moves=b1&flip=z9@0": /expected flip/,
    "#moves=b1&flip=h8@0": /'h8' is no square/,
    "#moves=b1&flip=b1@7": /layer 7/,
    "#moves=b1&patch=0@0from9": /language 9/,
    "#moves=b1&patch=99@0from1": /move 99/,
    "#moves=b1&move=2": /move 2/,
    "#": /expected one each/,
  };
  for (const [link, message] of Object.entries(wrong)) assert.throws(() => fromLink(FACTS, link), message, link);
});

test("steps: play along the game, beside it and at its end; edits toggle; languages change places", () => {
  const start = opening(FACTS);
  assert.deepEqual([start.move, stepped(start, -9).move, stepped(start, 9).move], [2, 0, 2]);
  const along = played(FACTS, stepped(start, -2), "b1");
  assert.deepEqual([along.game, along.move, along.games.length], [0, 1, 1]);
  const beside = played(FACTS, stepped(start, -2), "a2");
  assert.deepEqual([beside.game, beside.move, beside.games.length], [1, 1, 2]);
  assert.deepEqual([turnedTo(beside, 0).game, turnedTo(beside, 0).move, turnedTo(beside, 9).game], [0, 1, 1]);
  const longer = played(FACTS, start, "a2");
  assert.deepEqual([longer.games.length, longer.games[0].length], [1, 3]);
  assert.throws(() => played(FACTS, start, "d4"), /d4 is not legal/);
  const flip = { square: "b1", layer: 0, onward: true };
  const edited = toggled(start, flip);
  assert.deepEqual(edited.edits, [flip]);
  assert.deepEqual(toggled(edited, { ...flip, layer: 1 }).edits, []);
  assert.deepEqual(toggled(edited, { move: 0, layer: 0, source: 2 }).edits.length, 2);
  assert.deepEqual(toLink(FACTS, fromLink(FACTS, toLink(FACTS, edited))), toLink(FACTS, edited));
  const swapped = readIn({ ...start, second: 2 }, 2);
  assert.deepEqual([swapped.language, swapped.second], [2, 1]);
});
