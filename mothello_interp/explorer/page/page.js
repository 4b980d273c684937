// The explorer without Python: the page's own model in the place of Jupyter's kernel.

import { render } from "./explorer.js";
import { fromLink } from "./links.js";
import { checked, joined, opening, played, readIn, stepped, toggled, turnedTo, written } from "./state.js";
import { makePlayer, view } from "./view.js";
import { randomGame } from "./world.js";

const LIMITS =
  "This page plays one model. Edits of your own in Python, other checkpoints and new probes need Jupyter: " +
  "pip install mothello-interp, then these lines open what is on screen.";
const OPENED_AT = 8;

const ACTIONS = {
  set: (facts, state, name, value) => (name === "language" ? readIn(state, value) : { ...state, [name]: value }),
  step: (facts, state, by) => stepped(state, by),
  turn: (facts, state, by) => turnedTo(state, state.game + by),
  play: played,
  flip: (facts, state, square, onward) => toggled(state, { square, layer: state.layer, onward }),
  patch: (facts, state, move, source) => toggled(state, { move, layer: state.layer, source }),
  drop: (facts, state, text) => ({ ...state, edits: state.edits.filter((edit) => written(edit) !== text) }),
  clear: (facts, state) => ({ ...state, edits: [] }),
  "new game": (facts, state) => {
    const moves = randomGame(facts.board, facts.opening);
    return joined(state, moves, Math.min(OPENED_AT, moves.length));
  },
};

// What Jupyter's side of a widget is: `get`, `send`, and events.
class Kernel {
  constructor(player) {
    this.player = player;
    this.events = new EventTarget();
    this.values = { checkpoints: [player.facts.name], busy: "", problem: "", limits: LIMITS };
    this.open(location.hash);
  }

  get(name) {
    return name === "address" ? location.href.replace(/#.*/, "") : this.values[name];
  }

  on(names, listener) {
    for (const name of names.split(" ")) this.events.addEventListener(name, (event) => listener(event.detail));
  }

  off() {} // the page is never taken down

  say(name, detail) {
    this.events.dispatchEvent(new CustomEvent(name, { detail }));
  }

  // Show a state, or say why it cannot be shown and leave what is there.
  show(make) {
    this.values.problem = "";
    try {
      const state = checked(this.player.facts, make());
      this.values.view = view(this.player, state);
      this.state = state;
      history.replaceState(null, "", this.values.view.link);
    } catch (error) {
      this.values.problem = error.message;
    }
    this.say("change:view");
  }

  send({ do: [name, ...rest], id }) {
    this.show(() => ACTIONS[name](this.player.facts, this.state, ...rest));
    this.say("msg:custom", { answered: id });
  }

  // Show what a link says; without one, or if it cannot be read, the beginning.
  open(link) {
    const afresh = () => opening(this.player.facts);
    this.show(() => (link.length > 1 ? fromLink(this.player.facts, decodeURIComponent(link)) : afresh()));
    const { problem } = this.values;
    if (!problem) return;
    this.show(afresh);
    this.values.problem = `This link cannot be opened: ${problem}. The explorer starts afresh.`;
    this.say("change:view");
  }
}

const held = (id) => document.getElementById(id).textContent;
const kernel = new Kernel(makePlayer(JSON.parse(held("facts")), held("weights")));
render({ model: kernel, el: document.getElementById("explorer") });
addEventListener("hashchange", () => kernel.open(location.hash));
globalThis.explorer = kernel; // for the console: explorer.get("view")
