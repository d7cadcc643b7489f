// Queue wait per tier: one small chart per pool, redrawn when the server sends a newer series or the theme changes.

const holder = document.getElementById("charts");
let drawn = "";
const resized = new ResizeObserver((changes) => {
  for (const { target } of changes) if (target.data && target.checkVisibility() && target.clientWidth) window.Plotly.Plots.resize(target);
});

function colour(name) {
  // Plotly can't read light-dark(): let the browser resolve the token first.
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  holder.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

function layout(target, most, ticks) {
  const ink = colour("--ink-3"), line = colour("--line");
  const sans = getComputedStyle(document.body).fontFamily;
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: sans, size: 12, color: ink },
    margin: { l: 44, r: 12, t: 8, b: 28 },
    showlegend: false, hovermode: "x unified",
    hoverlabel: { bgcolor: colour("--raised"), bordercolor: line, font: { family: sans, size: 12, color: colour("--ink") } },
    xaxis: { type: "date", range: [ticks[0], later(ticks)], showgrid: false, zeroline: false, linecolor: line, tickcolor: line, ticks: "outside", ticklen: 4, nticks: 6, tickformat: "%H:%M", fixedrange: true },
    yaxis: { rangemode: "tozero", range: [0, Math.max(most * 1.12, target * 1.15)], gridcolor: line, zeroline: false, ticksuffix: " s", nticks: 5, fixedrange: true },
    shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: target, y1: target, line: { color: colour("--ink-2"), width: 1, dash: "dash" } }],
    annotations: [{ xref: "paper", x: 0, xanchor: "left", y: target, yanchor: "bottom", text: `p50 target ${target} s`, showarrow: false, font: { size: 11, color: colour("--ink-2") } }],
  };
}

function traces(series, ticks) {
  return series.flatMap((one) => {
    const points = new Map(one.points.map((point) => [local(point.at), point]));
    const tier = colour(`--tier-${one.tier}`);
    return [["p50", "p50_s", "solid", 2], ["p95", "p95_s", "dot", 1.5]].map(([label, key, dash, width]) => ({
      // A minute without a job is a gap, not a line drawn across it.
      x: ticks, y: ticks.map((at) => points.get(at)?.[key] ?? null), mode: "lines+markers", cliponaxis: false, name: `${one.name} ${label}`,
      line: { color: tier, width, dash }, marker: { color: tier, size: 4, symbol: label === "p50" ? "circle" : "circle-open" },
      hovertemplate: "%{y:.3~s} s",
    }));
  });
}

// The hour begins where there is something to see, a quarter of an hour ago at the latest; the same for every chart.
function sinceTheFirst(ticks, series) {
  const first = series.flatMap((one) => one.points.map((point) => local(point.at))).sort()[0];
  const at = first ? ticks.indexOf(first) : ticks.length;
  return ticks.slice(Math.max(0, Math.min(at - 1, ticks.length - 16)));
}

// A little past the last tick, so that its points aren't cut in half.
function later(ticks) {
  const [first, last] = [Date.parse(ticks[0]), Date.parse(ticks[ticks.length - 1])];
  return local(new Date(last + (last - first) * 0.02).toISOString());
}

// Plotly writes dates without a zone as they are: hand it the reader's own wall clock.
function local(iso) {
  const moment = new Date(iso);
  return new Date(moment - moment.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
}

function place(pool) {
  let chart = holder.querySelector(`[data-pool="${pool}"]`);
  if (!chart) {
    chart = document.createElement("div");
    chart.className = "chart";
    chart.dataset.pool = pool;
    chart.innerHTML = '<h3></h3><div class="chart-legend"></div><div class="plot" role="img"></div>';
    chart.querySelector("h3").textContent = pool[0].toUpperCase() + pool.slice(1);
    holder.append(chart);
    resized.observe(chart.querySelector(".plot"));
  }
  return chart;
}

function legend(chart, series) {
  const list = chart.querySelector(".chart-legend");
  list.replaceChildren(...series.map((one) => {
    const item = document.createElement("span");
    const last = one.points[one.points.length - 1];
    item.className = `tier ${one.tier}`;
    item.textContent = `${one.name} ${seconds(last.p50_s)} / ${seconds(last.p95_s)}`;
    return item;
  }));
  chart.querySelector(".plot").setAttribute("aria-label", `Queue wait of ${chart.dataset.pool}; the figures are in the table below.`);
}

function seconds(value) {
  return value < 1 ? `${Math.round(value * 1000)} ms` : value < 10 ? `${value.toFixed(1)} s` : `${Math.round(value)} s`;
}

function draw(force) {
  const data = document.getElementById("waits-data");
  if (!data || !window.Plotly || (!force && data.textContent === drawn)) return;
  drawn = data.textContent;
  const { series, ticks: moments, target_s: target } = JSON.parse(drawn);
  const ticks = sinceTheFirst(moments.map(local), series);
  holder.querySelector(".plot-none")?.remove();
  if (!series.length) {
    holder.innerHTML = '<p class="plot-none">No job waited or started in the last hour.</p>';
    return;
  }
  const most = Math.max(...series.flatMap((one) => one.points.map((point) => point.p95_s)));
  const pools = [...new Set(series.map((one) => one.pool))];
  pools.forEach(place); // all of them before the first is drawn, so that each knows its width
  for (const pool of pools) {
    const chart = place(pool), own = series.filter((one) => one.pool === pool);
    legend(chart, own);
    window.Plotly.react(chart.querySelector(".plot"), traces(own, ticks), layout(target, most, ticks), { displayModeBar: false });
  }
}

const says = (state, words) => {
  for (const dot of document.querySelectorAll("[data-live]")) { dot.dataset.state = state; dot.textContent = words; }
};
document.addEventListener("htmx:sseOpen", () => says("live", "live"));
document.addEventListener("htmx:sseError", () => says("reconnecting", "reconnecting"));
document.addEventListener("htmx:afterSwap", () => draw(false));
document.addEventListener("backlot:theme", () => draw(true));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(true));
window.addEventListener("load", () => draw(true));
