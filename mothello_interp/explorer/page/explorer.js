// The page's side of the board explorer. It draws `view` (see view.py) and sends what is clicked: ["play", "c3"].
// All numbers come from Python; what lives here is only where the focus is and what is set for the next patch.

const COLOUR = { "-1": "white", 0: "empty", 1: "black" };
const percent = (share) => (share >= 0.095 ? Math.round(100 * share) : (100 * share).toFixed(1)) + "%";
const squareName = (square, side) => String.fromCharCode(97 + (square % side)) + (Math.floor(square / side) + 1);

// An element with attributes, on* handlers, CSS variables (--x) and children; null children are left out.
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  if (["BUTTON", "SELECT", "INPUT", "SUMMARY"].includes(element.tagName))
    element.dataset.lmSuppressShortcuts = "true"; // or JupyterLab takes the arrows and Enter for its cells
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function select(key, label, options, chosen, onchange) {
  const control = h("select", { "data-key": key, "aria-label": label, onchange: () => onchange(control.value) });
  for (const [value, text] of options) control.append(h("option", { value }, text));
  control.value = chosen;
  return h("label", {}, h("span", {}, label), control);
}

const button = (key, text, onclick, more = {}) =>
  h("button", { type: "button", "data-key": key, onclick, ...more }, text);

// A grid of squares in which the arrow keys move and Enter clicks; `square(index)` gives {label, marks, content, act}.
function board({ key, label, side, focused, remember, square }) {
  const grid = h("div", { class: "board", role: "grid", "aria-label": label, "--side": side });
  const cells = [];
  const step = { ArrowUp: -side, ArrowDown: side, ArrowLeft: -1, ArrowRight: 1 };
  const move = (event, from) => {
    if (!(event.key in step)) return;
    event.preventDefault();
    event.stopPropagation();
    const to = from + step[event.key];
    const sideways = Math.abs(step[event.key]) === 1;
    if (to < 0 || to >= side * side || (sideways && Math.floor(to / side) !== Math.floor(from / side))) return;
    cells[from].tabIndex = -1;
    cells[to].tabIndex = 0;
    cells[to].focus();
    remember(to);
  };
  const letters = [...Array(side).keys()].map((column) => h("span", {}, String.fromCharCode(97 + column)));
  grid.append(h("div", { class: "letters", "aria-hidden": "true" }, h("span"), letters));
  for (let row = 0; row < side; row++) {
    const line = h("div", { role: "row" }, h("span", { class: "number", "aria-hidden": "true" }, String(row + 1)));
    for (let index = row * side; index < (row + 1) * side; index++) {
      const { label, marks, content, act, share, before } = square(index);
      const cell = h(
        "button",
        {
          type: "button",
          role: "gridcell",
          class: ["square", ...marks].join(" "),
          tabindex: index === focused ? 0 : -1,
          title: label,
          "aria-label": label,
          "aria-disabled": act ? null : "true",
          "data-key": `${key}-${squareName(index, side)}`,
          "--share": share,
          "--before": before,
          onclick: () => (remember(index), act?.()),
          onkeydown: (event) => move(event, index),
        },
        content,
      );
      cells.push(cell);
      line.append(cell);
    }
    grid.append(line);
  }
  return grid;
}

const disc = (colour, more = "") => h("span", { class: `disc ${COLOUR[colour]} ${more}`, "aria-hidden": "true" });
const mark = (sign, kind) => h("span", { class: `mark ${kind}`, "aria-hidden": "true" }, sign);

// The true board with a language's predictions on it: click a legal square to play there.
function predictions(view, column, tools) {
  const { discs, legal, last } = view.position;
  const edited = column?.mass.edited ? view.position.legal_edited : null;
  const shares = column && (column.after ?? column.before);
  const highest = column ? Math.max(0.01, ...column.before, ...(column.after ?? [])) : 1;
  return board({
    ...tools.focus(`play${column?.language ?? ""}`),
    label: `Board, click a legal square to play${column ? `; next move by language ${column.name}` : ""}`,
    side: view.board,
    square: (index) => {
      const name = squareName(index, view.board);
      const marks = [legal[index] && "legal", index === last && "last"];
      if (discs[index]) {
        const label = `${name}: ${COLOUR[discs[index]]}${index === last ? ", played last" : ""}`;
        return { label, marks: marks.filter(Boolean), content: [disc(discs[index])] };
      }
      const words = [legal[index] ? "legal" : "not legal"];
      if (edited) words.push(`${edited[index] ? "legal" : "not legal"} on the edited board`);
      const parts = [];
      if (column) {
        const [now, was] = [shares[index], column.before[index]];
        words.push(percent(now) + (column.after ? `, ${percent(was)} before the edits` : ""));
        if (now >= 0.005 || was >= 0.005) parts.push(h("span", { class: "share", "aria-hidden": "true" }, percent(now)));
        if (edited?.[index]) parts.push(mark("◇", "also"));
        if (column.after && Math.abs(now - was) >= 0.01) parts.push(mark(now > was ? "▲" : "▼", "moved"));
        marks.push(!legal[index] && "stray", column.after && was >= 0.005 && "compared");
      }
      return {
        label: `${name}: ${words.join(", ")}`,
        marks: marks.filter(Boolean),
        content: parts,
        share: column ? shares[index] / highest : 0,
        before: column?.after ? column.before[index] / highest : 0,
        act: legal[index] ? () => tools.ask("play", name) : null,
      };
    },
  });
}

// What a language's probe reads: click a disc to flip it, if this is the language that is edited.
function belief(view, column, tools) {
  const { discs, sure, wrong } = column.belief;
  const flips = column.language === view.language;
  return board({
    ...tools.focus(`belief${column.language}`),
    label: `Belief of language ${column.name} at layer ${view.layer}${flips ? ", click a disc to flip it" : ""}`,
    side: view.board,
    square: (index) => {
      const name = squareName(index, view.board);
      const truth = view.position.discs[index];
      const flipped = flips && view.position.flipped[index];
      const words = [`read as ${COLOUR[discs[index]]}, ${percent(sure[index])} sure`];
      if (wrong[index]) words.push(`in truth ${COLOUR[truth]}`);
      if (flipped) words.push("flipped");
      return {
        label: `${name}: ${words.join(", ")}`,
        marks: [wrong[index] && "wrong", flipped && "flipped"].filter(Boolean),
        content: [
          discs[index] ? disc(discs[index], sure[index] < 0.9 ? "unsure" : "") : null,
          wrong[index] ? mark("≠", "differs") : null,
          wrong[index] ? disc(truth, "truth") : null,
          flipped ? mark("↻", "turned") : null,
        ],
        act: flips && truth ? () => tools.ask("flip", name, tools.local.onward) : null,
      };
    },
  });
}

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
        h("figcaption", {}, `Board and next move: ${arrow(mass.true)} on legal moves`),
        predictions(view, column, tools),
        h("p", { class: "note" }, mass.edited && `Legal on the edited board (◇): ${arrow(mass.edited)}`),
      ),
      read.problem
        ? h("p", { class: "note" }, read.problem)
        : h(
            "figure",
            {},
            h("figcaption", {}, `Belief at layer ${view.layer}: ${read.right} of ${view.board ** 2} right`),
            belief(view, column, tools),
          ),
      lens(view, column, tools.ask),
    ),
  );
}

function choices(view, names, { ask, local }) {
  const set = (name) => (value) => ask("set", name, value === "" ? null : name === "checkpoint" ? value : Number(value));
  const others = view.languages.filter(([index]) => index !== view.language);
  const checkpoints = names.includes(view.checkpoint) ? names : [...names, view.checkpoint];
  return h(
    "div",
    { class: "bar-of-controls", role: "group", "aria-label": "What to look at" },
    select("checkpoint", "Checkpoint", checkpoints.map((name) => [name, name]), view.checkpoint, set("checkpoint")),
    select("language", "Language", view.languages, view.language, set("language")),
    others.length > 0 && select("second", "Beside it", [["", "none"], ...others], view.second ?? "", set("second")),
    select("layer", "Layer", view.layers, view.layer, set("layer")),
  );
}

function steps(view, { ask }) {
  const { index, of, at, moves } = view.game;
  const go = (key, sign, label, name, to, limit) =>
    button(key, sign, () => ask("set", name, to), { "aria-label": label, title: label, disabled: to < 0 || to > limit });
  const options = [[0, "start"], ...moves.map((name, place) => [place + 1, `${place + 1}. ${name}`])];
  return h(
    "div",
    { class: "bar-of-controls", role: "group", "aria-label": "Game" },
    go("first", "|◀", "To the start", "move", at > 0 ? 0 : -1, moves.length),
    go("back", "◀", "One move back", "move", at - 1, moves.length),
    select("move", "Move", options, at, (value) => ask("set", "move", Number(value))),
    go("forward", "▶", "One move on", "move", at + 1, moves.length),
    go("end", "▶|", "To the end", "move", at < moves.length ? moves.length : at + 1, moves.length),
    h("span", { class: "game" }, `game ${index + 1} of ${of}`),
    go("previous-game", "▲", "Previous game", "game", index - 1, of - 1),
    go("next-game", "▼", "Next game", "game", index + 1, of - 1),
    button("new-game", "New random game", () => ask("new game")),
  );
}

function edits(view, { ask, local }) {
  const others = view.languages.filter(([index]) => index !== view.language);
  const played = view.game.moves.slice(0, view.game.at).map((name, place) => [place, `${place + 1}. ${name}`]);
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
      button(`drop${place}`, "✕", () => ask("drop", place), { "aria-label": `Take back: ${text}` }),
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
  const mover = `${view.position.mover > 0 ? "Black" : "White"} to move, ${view.position.legal.filter(Boolean).length} legal moves`;
  const best = view.columns.map(({ name, before, after }) => {
    const shares = after ?? before;
    const index = shares.indexOf(Math.max(...shares));
    return `language ${name} expects ${squareName(index, view.board)}, ${percent(shares[index])}`;
  });
  return [mover, ...best].join("; ") + ".";
}

async function copy(text, pre) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    getSelection().selectAllChildren(pre); // no permission, or no secure page
    document.execCommand("copy");
  }
}

function render({ model, el }) {
  const local = { onward: true, patchAt: null, source: null, focused: {} };
  const ask = (...what) => model.send({ do: what });
  const alert = h("p", { class: "problem", role: "alert" });
  const status = h("p", { class: "status", role: "status", "aria-live": "polite" });
  const page = h("div");
  const lines = h("pre", { tabindex: 0, "aria-label": "Code" });
  const copied = button("copy", "Copy", async () => {
    await copy(lines.textContent, lines);
    copied.textContent = "Copied";
  });
  const code = h("details", { class: "code" }, h("summary", {}, "Copy as code"), copied, lines);
  const legend = LEGEND.map(([{ marks, share, before, signs = [] }, text]) => {
    const square = h("span", { class: `square ${marks}`, "aria-hidden": "true", "--share": share, "--before": before });
    square.append(...signs.map((sign) => sign.cloneNode(true)));
    return h("li", {}, square, text);
  });
  const root = h(
    "section",
    { class: "mothello-explorer", "aria-label": "Board explorer" },
    alert, status, page, h("ul", { class: "legend", "aria-label": "Legend" }, legend), code,
  );
  const focus = (key) => ({
    key,
    focused: local.focused[key] ?? model.get("view").position.last ?? 0,
    remember: (index) => (local.focused[key] = index),
  });
  const tools = { ask, local, focus };

  const draw = () => {
    const view = model.get("view");
    const key = root.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    alert.textContent = model.get("problem");
    status.textContent = model.get("busy") || spoken(view);
    root.setAttribute("aria-busy", String(Boolean(model.get("busy"))));
    page.replaceChildren(
      choices(view, model.get("checkpoints"), tools),
      steps(view, tools),
      h(
        "div",
        { class: view.columns.length > 1 ? "languages several" : "languages" },
        view.columns.length
          ? view.columns.map((column) => language(view, column, tools))
          : predictions(view, null, tools),
      ),
      edits(view, tools),
    );
    lines.textContent = view.code;
    copied.textContent = "Copy";
    if (key) page.querySelector(`[data-key="${key}"]`)?.focus({ preventScroll: true });
  };
  model.on("change:view change:busy change:problem", draw);
  draw();
  el.append(root);
  ask("opened");
  return () => model.off("change:view change:busy change:problem", draw);
}

export default { render };
