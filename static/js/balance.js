// The balance and the number of new notices, live while the page can be seen. A page with parts of its own that follow
// the balance marks them with data-live-part and an id: they are fetched again when it moves.

const address = document.body.dataset.balanceEvents;
let source = null;
let first = true;

async function refresh() {
  const parts = [...document.querySelectorAll("[data-live-part]")];
  if (!parts.length) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of parts) {
    const newer = page.getElementById(part.id);
    if (newer && newer.innerHTML !== part.innerHTML) part.innerHTML = newer.innerHTML;
  }
}

function onBalance(event) {
  const place = document.getElementById("balance");
  const moved = place && place.textContent.trim() !== event.data.trim();
  if (moved) place.textContent = event.data.trim();
  // The page's own figures are as old as the page: look again unless this only repeats them.
  if (moved || !first) refresh();
  first = false;
}

function onNotices(event) {
  const count = Number(event.data);
  for (const badge of document.querySelectorAll("[data-notices]")) {
    badge.hidden = count === 0;
    badge.querySelector("b").textContent = count > 99 ? "99+" : count;
  }
}

function follow() {
  if (document.hidden || source || !address) return;
  source = new EventSource(address);
  source.addEventListener("balance", onBalance);
  source.addEventListener("notices", onNotices);
}

// A browser keeps few connections to a site: a page that nobody sees gives its own back.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return follow();
  source?.close();
  source = null;
});
addEventListener("pagehide", () => source?.close());
setTimeout(follow, 800);
