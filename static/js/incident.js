// An incident's page: its cost ticks between two looks of the server, `a` acknowledges, `n` goes to the note.

function dollars(micro) {
  const value = micro / 1e6;
  if (value < 1) return `$${value.toPrecision(3)}`;
  return value.toLocaleString("en-US", { style: "currency", currency: "USD" });
}

// The rate is micro-dollars an hour: what on-call time adds. What was wasted comes with the server's looks.
function tick() {
  if (document.hidden) return;
  for (const cost of document.querySelectorAll("[data-cost][data-rate]")) {
    const rate = Number(cost.dataset.rate);
    if (!rate) continue;
    const hours = Math.max(0, Date.now() - Date.parse(cost.dataset.at)) / 3_600_000;
    const soFar = Number(cost.dataset.cost) + rate * hours;
    // A page of another release than this script says it otherwise: what the server wrote stays.
    if (Number.isFinite(soFar)) cost.textContent = dollars(soFar);
  }
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, [contenteditable]")) return;
  const place = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!place) return;
  event.preventDefault();
  place.focus();
  if (place.tagName === "BUTTON") place.click();
});

tick();
setInterval(tick, 1000);

const says = (state, words) => {
  for (const dot of document.querySelectorAll("[data-live]")) { dot.dataset.state = state; dot.textContent = words; }
};
document.addEventListener("htmx:sseOpen", () => says("live", "live"));
document.addEventListener("htmx:sseError", () => says("reconnecting", "reconnecting"));
