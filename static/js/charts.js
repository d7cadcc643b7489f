// Every <figure data-chart> of a page, drawn by Plotly from the JSON beside it; drawn again when the theme changes.
//
// The JSON: {kind: "bar" | "line", stacked, unit, dates, targets: [{value, label}], marks: [{x, words}], span: [first, last],
// series: [{name, tier?, x: [], y: [], links?: [], dash?, faint?}]}.
// `dates` means that x are moments in UTC, and they are shown in UTC, as the page's own tables are. A series takes its
// tier's colour, or the next of a fixed row; its name stands in the legend, and the same figures in the table behind it.
// A point with a link opens the rows that it counts. A mark is a vertical line at a moment; its words stand at its foot
// when the pointer is near. A figure that htmx puts into the page is drawn when it is there.

const ROW = ["--accent", "--tier-enterprise", "--warning", "--tier-pro", "--tier-plus", "--danger", "--ok", "--tier-free"];
const figures = () => [...document.querySelectorAll("figure[data-chart]")];
const resized = new ResizeObserver((changes) => {
  for (const { target } of changes) if (target.data && target.checkVisibility() && target.clientWidth) window.Plotly.Plots.resize(target);
});

// Plotly can't read light-dark(): let the browser resolve the token first.
function colour(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

const colourOf = (series, place) => colour(series.tier ? `--tier-${series.tier}` : ROW[place % ROW.length]);

function traces({ kind, unit, series }) {
  return series.map((one, place) => {
    const ink = colourOf(one, place);
    const hovertemplate = `%{y:.4~g} ${unit}<extra>${escaped(one.name)}</extra>`;
    const shared = { x: one.x, y: one.y, customdata: one.links, name: escaped(one.name), hovertemplate, showlegend: false };
    return kind === "bar"
      ? { ...shared, type: "bar", marker: { color: ink }, opacity: one.faint ? 0.35 : 1 }
      : { ...shared, type: "scatter", mode: "lines+markers", line: { color: ink, width: one.dash ? 1.5 : 2, dash: one.dash ?? "solid" }, marker: { color: ink, size: 4, symbol: one.dash ? "circle-open" : "circle" }, opacity: one.faint ? 0.4 : 1, connectgaps: false };
  });
}

// Plotly reads a little HTML in its texts.
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

// Lines for what was promised, and upright ones for what was changed.
function lines(targets, marks, ink, faint) {
  const level = ({ value }) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: value, y1: value, line: { color: ink, width: 1, dash: "dash" } });
  const upright = ({ x }) => ({ type: "line", yref: "paper", y0: 0, y1: 1, x0: x, x1: x, line: { color: faint, width: 1, dash: "dot" } });
  return [...targets.map(level), ...marks.map(upright)];
}

function captions(targets, marks, ink) {
  const small = { showarrow: false, font: { size: 11, color: ink } };
  return [
    ...targets.map(({ value, label }) => ({ ...small, xref: "paper", x: 0, xanchor: "left", y: value, yanchor: "bottom", text: escaped(label) })),
    ...marks.map(({ x, words }) => ({ ...small, yref: "paper", x, y: 1, yanchor: "bottom", text: "▾", hovertext: escaped(words), captureevents: false })),
  ];
}

function layout({ kind, stacked, unit, dates, targets = [], marks = [], span = [] }, width) {
  const ink = colour("--ink-3"), line = colour("--line");
  const sans = getComputedStyle(document.body).fontFamily;
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", barmode: stacked ? "relative" : "group", bargap: 0.25,
    font: { family: sans, size: 12, color: ink }, margin: { l: 56, r: 12, t: 10, b: 34 }, hovermode: kind === "bar" ? "closest" : "x unified",
    hoverlabel: { bgcolor: colour("--raised"), bordercolor: line, font: { family: sans, size: 12, color: colour("--ink") } },
    xaxis: { type: dates ? "date" : "category", ...(span.length ? { range: span } : {}), showgrid: false, zeroline: false, linecolor: line, fixedrange: true, nticks: width < 480 ? 4 : 8, tickangle: dates ? 0 : "auto", automargin: true },
    yaxis: { rangemode: "tozero", gridcolor: line, zeroline: false, fixedrange: true, nticks: 5, title: { text: unit, standoff: 8, font: { size: 11 } } },
    shapes: lines(targets, marks, colour("--ink-2"), colour("--accent")),
    annotations: captions(targets, marks, colour("--ink-2")),
  };
}

function legend(figure, series) {
  figure.querySelector("[data-chart-legend]").replaceChildren(...series.map((one, place) => {
    const item = document.createElement("span");
    item.className = "chart-key";
    item.textContent = one.name;
    item.style.setProperty("--key", colourOf(one, place));
    return item;
  }));
}

function opening(plot, series) {
  if (plot.dataset.opens || !series.some((one) => one.links?.length)) return;
  plot.dataset.opens = "";
  plot.on("plotly_click", ({ points }) => { if (points[0].customdata) window.location.assign(points[0].customdata); });
}

const drawnAlready = (figure) => figure.querySelector("[data-plot]").data;

function draw(these = figures()) {
  if (!window.Plotly) return;
  for (const figure of these) {
    const data = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
    const plot = figure.querySelector("[data-plot]");
    legend(figure, data.series);
    window.Plotly.react(plot, traces(data), layout(data, plot.clientWidth), { displayModeBar: false, responsive: false });
    resized.observe(plot);
    opening(plot, data.series);
  }
}

document.addEventListener("backlot:theme", () => draw());
document.addEventListener("htmx:afterSwap", () => draw(figures().filter((figure) => !drawnAlready(figure))));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
if (document.readyState === "complete") draw();
else window.addEventListener("load", () => draw());
