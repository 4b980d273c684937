// The boards of the explorer, and the elements that they and the controls are made of.

import { squareName } from "./world.js";

const SEEN = 0.05; // attention that is drawn
const COLOUR = { "-1": "white", 0: "empty", 1: "black" };
export const percent = (share) => (share >= 0.095 ? Math.round(100 * share) : (100 * share).toFixed(1)) + "%";

// An element with attributes, on* handlers, CSS variables (--x) and children; null children are left out.
export function h(tag, attributes = {}, ...children) {
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

export function select(key, label, options, chosen, onchange) {
  const control = h("select", { "data-key": key, "aria-label": label, onchange: () => onchange(control.value) });
  for (const [value, text] of options) control.append(h("option", { value }, text));
  control.value = chosen;
  return h("label", {}, h("span", {}, label), control);
}

export const button = (key, text, onclick, more = {}) =>
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
      const { label: spoken, marks, content, act, share, before } = square(index);
      const cell = h(
        "button",
        {
          type: "button",
          role: "gridcell",
          class: ["square", ...marks].join(" "),
          tabindex: index === focused ? 0 : -1,
          title: spoken,
          "aria-label": spoken,
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

export const disc = (colour, more = "") => h("span", { class: `disc ${COLOUR[colour]} ${more}`, "aria-hidden": "true" });
export const mark = (sign, kind) => h("span", { class: `mark ${kind}`, "aria-hidden": "true" }, sign);

// Arrows from the move played last to the moves that a head attends to, over a board; on itself a ring.
function arrows(view, weights) {
  const make = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const centre = (name) => [name.charCodeAt(0) - 96.5, Number(name.slice(1)) - 0.5];
  const drawing = make("svg", { class: "arrows", viewBox: `0 0 ${view.board} ${view.board}`, "aria-hidden": "true" });
  const [x, y] = centre(view.game.moves[weights.length - 1]);
  weights.forEach((weight, move) => {
    if (weight < SEEN) return;
    const [toX, toY] = centre(view.game.moves[move]);
    const length = Math.hypot(toX - x, toY - y);
    const width = 0.04 + 0.16 * weight;
    let shape = make("circle", { cx: x, cy: y, r: 0.42, "stroke-width": width });
    if (length) {
      const [alongX, alongY] = [(toX - x) / length, (toY - y) / length];
      const tip = [toX - 0.22 * alongX, toY - 0.22 * alongY];
      const wing = (side) => [0, 1].map((axis) => {
        const [along, across] = axis ? [alongY, alongX] : [alongX, -alongY];
        return tip[axis] - 0.22 * along + side * 0.13 * across;
      });
      const from = [x + 0.3 * alongX, y + 0.3 * alongY];
      const path = `M${from} L${tip} M${wing(1)} L${tip} L${wing(-1)}`;
      shape = make("path", { d: path, "stroke-width": width });
    }
    const halo = shape.cloneNode();
    halo.setAttribute("class", "halo");
    halo.setAttribute("stroke-width", width + 0.07);
    drawing.append(halo, shape);
  });
  return drawing;
}

// The true board with a language's predictions on it: click a legal square to play there.
export function predictions(view, column, tools) {
  const { discs, legal, last } = view.position;
  const edited = column?.mass.edited ? view.position.legal_edited : null;
  const shares = column && (column.after ?? column.before);
  const highest = column ? Math.max(0.01, ...column.before, ...(column.after ?? [])) : 1;
  const grid = board({
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
  if (column?.attention) grid.append(arrows(view, column.attention));
  return grid;
}

// What the probe decodes: click a disc to flip it, if this is the language that is edited and its own probe.
export function belief(view, column, tools) {
  const { discs, sure, wrong } = column.belief;
  const { probe } = column.belief;
  const flips = column.language === view.language && !probe;
  return board({
    ...tools.focus(`belief${column.language}`),
    label: `Belief of language ${column.name} at layer ${view.layer}${
      flips ? ", click a disc to flip it" : probe ? `, by the probe of language ${probe}` : ""
    }`,
    side: view.board,
    square: (index) => {
      const name = squareName(index, view.board);
      const truth = view.position.discs[index];
      const flipped = column.language === view.language && view.position.flipped[index];
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
