// The views that Python recorded (test_page.py says where, in GOLDEN), shown again by the page's own code.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { fromLink, toLink } from "../../mothello_interp/explorer/page/links.js";
import { makePlayer, view } from "../../mothello_interp/explorer/page/view.js";

const CLOSE = 1.001e-4; // numbers on screen have four digits
const inPython = ["code", "game"]; // the page gives another line of Python, and a link holds one game of several

// Every difference, as `columns.0.before.12: 0.1 is 0.2`.
function differences(found, expected, place = "") {
  if (typeof expected === "number" && typeof found === "number")
    return Math.abs(found - expected) <= CLOSE ? [] : [`${place}: ${expected} is ${found}`];
  if (typeof expected !== "object" || expected === null || typeof found !== "object" || found === null)
    return Object.is(found, expected) ? [] : [`${place}: ${expected} is ${found}`];
  const names = new Set([...Object.keys(expected), ...Object.keys(found)]);
  return [...names].flatMap((name) => differences(found[name], expected[name], `${place}.${name}`));
}

for (const [name, { page, views }] of Object.entries(JSON.parse(readFileSync(process.env.GOLDEN, "utf-8")))) {
  test(`${name}: ${views.length} views are those of Python`, () => {
    const html = readFileSync(page, "utf-8");
    const held = (id) => html.match(new RegExp(`id="${id}">([^<]*)<`))[1];
    const player = makePlayer(JSON.parse(held("facts")), held("weights"));
    for (const expected of views) {
      const state = fromLink(player.facts, expected.link);
      assert.equal(toLink(player.facts, state), expected.link);
      const found = view(player, state);
      for (const key of inPython) found[key] = expected[key];
      assert.deepEqual(differences(found, expected), [], expected.link);
    }
  });
}
