// The page's side of the board explorer. It draws `view` (see view.py) and sends what is clicked: ["play", "c3"]. Behind it is
// Python (widget.py) or the page's own engine (page.js); here live the focus and what is set for the next patch.

import { belief, button, disc, h, mark, percent, predictions, select } from "./boards.js";
import { squareName } from "./world.js";

function lens(view, column, ask) {
  const rows = column.lens.map(({ layer, legal, top }, place) => {
    const was = column.lens_before?.[place];
    const here = layer === view.layer;
    const tokens = top.map(([name, share, ok]) =>
      h("span", { class: ok ? "token" : "token stray" }, `${ok ? "" : "✗ "}${name} ${percent(share)}`),
    );
    const name = view.layers[place][1];
    const choose = button(`lens${column.language}-${layer}`, name, () => ask("set", "layer", layer), {
      "aria-pressed": String(here),
      "aria-label": layer === -1 ? "embeddings" : `layer ${name}`,
    });
    const bar = h("td", { class: "bar", "--share": legal, "--before": was ?? 0 }, percent(legal));
    return h("tr", { class: here ? "here" : null }, h("th", { scope: "row" }, choose), bar, h("td", {}, tokens));
  });
  const head = ["layer", "on legal moves", "likeliest tokens"].map((text) => h("th", { scope: "col" }, text));
  return h(
    "table",
    { class: column.lens_before ? "lens edited" : "lens" },
    h("caption", {}, "If each layer were the last (logit lens)"),
    h("thead", {}, h("tr", {}, head)),
    h("tbody", {}, rows),
  );
}

const inWords = (symmetry) => symmetry.replace("_", " ");

function believed(view, { probe, right }) {
  const through = probe && view.symmetry !== "identity" ? `, seen through the ${inWords(view.symmetry)}` : "";
  const by = probe ? `, by the probe of ${probe}${through}` : "";
  return `Belief at layer ${view.layer}${by}: ${right} of ${view.board ** 2} right`;
}

// How well another language's probe fits under each symmetry of the board, each to be switched on.
function fits(view, { belief: { fits: shares }, language: read }, { ask }) {
  const symmetries = Object.entries(shares).map(([name, share]) =>
    button(`fits${read}-${name}`, `${inWords(name)} ${percent(share)}`, () => ask("set", "symmetry", name), {
      "aria-pressed": String(name === view.symmetry),
    }),
  );
  if (!symmetries.length) return null;
  const positions = view.game.at === 1 ? "the position" : `the ${view.game.at} positions`;
  return h("div", { class: "fits" }, h("p", {}, `Squares right in ${positions} so far, seen through`), symmetries);
}

function attended(view, weights) {
  const order = weights.map((weight, move) => [weight, move]).sort(([a], [b]) => b - a);
  const named = order.slice(0, 4).map(([weight, move]) => `${view.game.moves[move]} ${percent(weight)}`);
  return `Head ${view.head} of layer ${view.layer} attends from ${view.game.moves[weights.length - 1]} to ${named.join(", ")}`;
}

function language(view, column, tools) {
  const { mass, belief: read } = column;
  const arrow = (pair) => pair.map(percent).join(" → ");
  return h(
    "section",
    { class: "language", "aria-label": `Language ${column.name}`, "data-language": column.language },
    h("h3", {}, `Language ${column.name}`, column.answers ? ` (answers in ${column.answers})` : null),
    h(
      "div",
      { class: "boards" },
      h(
        "figure",
        {},
        h("figcaption", {}, `Board and next move: ${arrow(mass.true)} legal`),
        predictions(view, column, tools),
        h("p", { class: "note" }, mass.edited && `Legal on the edited board (◇): ${arrow(mass.edited)}`),
        column.attention && h("p", { class: "note" }, attended(view, column.attention)),
      ),
      read.problem
        ? h("p", { class: "note" }, read.problem)
        : h("figure", {}, h("figcaption", {}, believed(view, read)), belief(view, column, tools), fits(view, column, tools)),
      lens(view, column, tools.ask),
    ),
  );
}

function choices(view, names, { ask }) {
  const set = (name) => (value) => ask("set", name, value === "" ? null : name === "checkpoint" ? value : Number(value));
  const others = view.languages.filter(([index]) => index !== view.language);
  const several = others.length > 0;
  const heads = [["", "none"], ...view.heads.map((head) => [head, `head ${head}`])];
  return h(
    "div",
    { class: "bar-of-controls", role: "group", "aria-label": "What to look at" },
    names.length > 1
      ? select("checkpoint", "Checkpoint", names.map((name) => [name, name]), view.checkpoint, set("checkpoint"))
      : h("span", { class: "checkpoint" }, view.checkpoint),
    select("language", "Language", view.languages, view.language, set("language")),
    several && select("second", "Second", [["", "none"], ...others], view.second ?? "", set("second")),
    select("layer", "Layer", view.layers, view.layer, set("layer")),
    several && select("probe", "Probe of", [["", "each its own"], ...view.languages], view.probe ?? "", set("probe")),
    select("head", "Attention", heads, view.head ?? "", set("head")),
  );
}

function steps(view, { ask }) {
  const { index, of, at, moves } = view.game;
  const go = (key, sign, label, what, by, there) =>
    button(key, sign, () => ask(what, by), { "aria-label": label, title: label, disabled: !there });
  const options = [[0, "0: start"], ...moves.map((name, place) => [place + 1, `${place + 1}: ${name}`])];
  return h(
    "div",
    { class: "bar-of-controls", role: "group", "aria-label": "Game" },
    go("first", "|◀", "To the start", "step", -moves.length, at > 0),
    go("back", "◀", "One move back", "step", -1, at > 0),
    select("move", "Moves played", options, at, (value) => ask("set", "move", Number(value))),
    go("forward", "▶", "One move on", "step", 1, at < moves.length),
    go("end", "▶|", "To the end", "step", moves.length, at < moves.length),
    h("span", { class: "game" }, of > 1 ? `game ${index} of 0 to ${of - 1}` : "game 0"),
    go("previous-game", "▲", "Previous game", "turn", -1, index > 0),
    go("next-game", "▼", "Next game", "turn", 1, index < of - 1),
    button("new-game", "New random game", () => ask("new game")),
  );
}

function edits(view, { ask, local }) {
  const others = view.languages.filter(([index]) => index !== view.language);
  const played = view.game.moves.slice(0, view.game.at).map((name, move) => [move, `move ${move} (${name})`]);
  if (local.patchAt === null || local.patchAt >= played.length) local.patchAt = null;
  if (!others.some(([index]) => index === local.source)) local.source = view.second ?? others[0]?.[0];
  const at = local.patchAt ?? played.length - 1;
  const onward = h("input", { type: "checkbox", "data-key": "onward", onchange: () => (local.onward = onward.checked) });
  onward.checked = local.onward;
  const list = view.edits.map(({ text, problem }, place) =>
    h(
      "li",
      { class: problem ? "idle" : null },
      text,
      problem && h("span", { class: "note" }, ` (${problem}) `),
      button(`drop${place}`, "✕", () => ask("drop", text), { "aria-label": `Take back: ${text}` }),
    ),
  );
  const patch = [
    select("patch-move", `Patch layer ${view.layer} at`, played, at, (value) => (local.patchAt = Number(value))),
    select("patch-from", "from", others, local.source, (value) => (local.source = Number(value))),
    button("patch", "Patch", () => ask("patch", local.patchAt ?? played.length - 1, local.source)),
  ];
  return h(
    "div",
    { class: "bar-of-controls", role: "group", "aria-label": "Edits" },
    h("label", {}, onward, h("span", {}, "flips act in later layers too")),
    others.length && played.length ? patch : null,
    view.edits.length > 0 && h("ol", { class: "edits", "aria-label": "Edits in place" }, list),
    view.edits.length > 1 && button("clear", "Take all back", () => ask("clear")),
  );
}

const LEGEND = [
  [{ marks: "legal", share: 0.6 }, "legal move; filled by its probability"],
  [{ marks: "stray", share: 0.6 }, "probability on a move that is not legal"],
  [{ marks: "compared", before: 0.6 }, "line: before the edits; ▲ ▼ moved by them"],
  [{ marks: "", signs: [mark("◇", "also")] }, "legal on the edited board"],
  [{ marks: "wrong", signs: [mark("≠", "differs"), disc(1, "truth")] }, "the probe differs from the board; small: the truth"],
  [{ marks: "", signs: [disc(1, "unsure")] }, "small: the probe is less than 90% sure"],
  [{ marks: "flipped", signs: [mark("↻", "turned")] }, "flipped by you"],
];

// One sentence for screen readers after every change.
function spoken(view) {
  if (view.message) return view.message;
  const { mover: next, legal } = view.position;
  const mover = `${next > 0 ? "Black" : "White"} to move, ${legal.filter(Boolean).length} legal moves`;
  const best = view.columns.map(({ name, before, after }) => {
    const shares = after ?? before;
    const index = shares.indexOf(Math.max(...shares));
    return `language ${name} expects ${squareName(index, view.board)}, ${percent(shares[index])}`;
  });
  return [mover, ...best].join("; ") + ".";
}

async function copy(text, near) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const held = h("textarea", { readonly: true }); // no permission, or no secure page
    held.value = text;
    near.after(held);
    held.select();
    document.execCommand("copy");
    held.remove();
    near.focus();
  }
  near.textContent = "Copied";
}

// Messages go out one at a time, each when the last one is answered; a later choice of the same thing replaces a waiting one.
function messenger(model) {
  const waiting = [];
  let sent = null;
  const next = () => {
    if (sent !== null || !waiting.length) return;
    sent = Math.random();
    model.send({ do: waiting.shift(), id: sent });
  };
  const idle = () => sent === null && !waiting.length;
  const ask = (...what) => {
    const stale = waiting.findIndex(([does, name]) => does === "set" && what[0] === "set" && name === what[1]);
    if (stale >= 0) waiting.splice(stale, 1);
    waiting.push(what);
    next();
  };
  const heard = ({ answered }) => {
    if (answered !== sent) return;
    sent = null;
    next();
  };
  return { ask, idle, heard };
}

function legend() {
  const items = LEGEND.map(([{ marks, share, before, signs = [] }, text]) => {
    const square = h("span", { class: `square ${marks}`, "aria-hidden": "true", "--share": share, "--before": before });
    square.append(...signs.map((sign) => sign.cloneNode(true)));
    return h("li", {}, square, text);
  });
  return h("ul", { class: "legend", "aria-label": "Legend" }, items);
}

// The link and the lines of Python, with what the page cannot do where there is no Python.
function takeaway(model) {
  const lines = h("pre", { tabindex: 0, "aria-label": "Code" });
  const link = button("link", "", () => copy((model.get("address") ?? "") + model.get("view").link, link));
  const code = button("copy", "", () => copy(lines.textContent, code));
  const note = model.get("limits") ?? "";
  const title = note ? "Go on in Jupyter" : "Copy as code";
  const element = h(
    "div",
    { class: "takeaway" },
    link,
    h("details", { class: "code" }, h("summary", {}, title), note && h("p", {}, note), code, lines),
  );
  const draw = (view) => {
    lines.textContent = view.code;
    link.disabled = !view.link;
    link.title = !view.link
      ? "No link: there are edits that exist in Python alone"
      : model.get("address")
        ? "A link to what is on screen"
        : "What is on screen, for Explorer(name, link=...) or behind the address of an exported page";
    [link.textContent, code.textContent] = ["Copy link", "Copy"];
  };
  return { element, draw };
}

export function render({ model, el }) {
  const local = { onward: true, patchAt: null, source: null, focused: {} };
  const { ask, idle, heard } = messenger(model);
  const alert = h("p", { class: "problem", role: "alert" });
  const status = h("p", { class: "status", role: "status", "aria-live": "polite" });
  const page = h("div");
  const taken = takeaway(model);
  const root = h(
    "section",
    { class: "mothello-explorer", "aria-label": "Board explorer" },
    alert, status, page, legend(), taken.element,
  );
  const focus = (key) => ({
    key,
    focused: local.focused[key] ?? model.get("view").position.last ?? 0,
    remember: (index) => (local.focused[key] = index),
  });
  const tools = { ask, local, focus };
  let [pressed, stale, releasing, fitting] = [false, false, null, null];

  // While a button is pressed it stays where it is, or the click that it becomes is lost.
  const press = (event) => {
    clearTimeout(releasing);
    pressed = Boolean(event.target.closest("button"));
  };
  const release = () => {
    clearTimeout(releasing);
    releasing = setTimeout(() => {
      pressed = false;
      if (stale) draw();
    });
  };
  // Probes are asked for when nobody has chosen anything for a moment, so that of many checkpoints the last one's are fitted.
  const fit = () => {
    clearTimeout(fitting);
    const waits = model.get("view").columns.some((column) => column.belief.waiting);
    if (waits) fitting = setTimeout(() => (idle() ? ask("fit") : fit()), 300);
  };
  const draw = () => {
    stale = pressed;
    if (pressed) return;
    const view = model.get("view");
    const key = root.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    alert.textContent = model.get("problem");
    status.textContent = model.get("busy") || spoken(view);
    root.setAttribute("aria-busy", String(Boolean(model.get("busy"))));
    page.replaceChildren(
      choices(view, model.get("checkpoints"), tools),
      steps(view, tools),
      view.note ? h("p", { class: "note" }, view.note) : "",
      h(
        "div",
        { class: view.columns.length > 1 ? "languages several" : "languages" },
        view.columns.length
          ? view.columns.map((column) => language(view, column, tools))
          : predictions(view, null, tools),
      ),
      edits(view, tools),
    );
    taken.draw(view);
    if (key) page.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
    fit();
  };
  root.addEventListener("pointerdown", press);
  for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, release);
  model.on("msg:custom", heard);
  model.on("change:view change:busy change:problem", draw);
  draw();
  el.append(root);
  return () => {
    clearTimeout(fitting);
    for (const name of ["pointerup", "pointercancel"]) document.removeEventListener(name, release);
    model.off("msg:custom", heard);
    model.off("change:view change:busy change:problem", draw);
  };
}

export default { render };
