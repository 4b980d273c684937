// Draws every figure of the page: for the width there is, and in the colours of the page (light, dark; light in print).
const DARK = {"#222222": "#e6e6e6", "#333333": "#d8d8d8", "#E6E6E6": "#33363d", "#666666": "#8a8d94", "#FFFFFF": "#16181c", "#DDDDDD": "#3a3d44", "rgba(255,255,255,0.7)": "rgba(22,24,28,0.7)", "black": "#e6e6e6"};
const dark = matchMedia("(prefers-color-scheme: dark)"), narrow = matchMedia("(max-width: 640px)");
let printing = false;
function draw() {
  for (const source of document.querySelectorAll("script[data-figure]")) {
    let text = source.textContent;
    if (dark.matches && !printing) for (const [light, other] of Object.entries(DARK)) text = text.replaceAll(`"${light}"`, `"${other}"`);
    const figure = JSON.parse(text), layout = narrow.matches && !printing ? figure.narrow : figure.wide;
    const place = document.getElementById(source.dataset.figure);
    place.style.height = `${layout.height}px`;
    place.style.width = layout.width ? `${layout.width}px` : "";
    Plotly.react(place, figure.data, layout, {responsive: true, displaylogo: false, displayModeBar: false});
  }
}
function onPaper(now) { printing = now; draw(); }
for (const query of [dark, narrow]) query.addEventListener("change", draw);
addEventListener("beforeprint", () => onPaper(true));
addEventListener("afterprint", () => onPaper(false));
draw();
