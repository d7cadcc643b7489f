// The library: keys that walk the gallery, two clips chosen to compare; and the comparison, where both play in step.

const tiles = () => [...document.querySelectorAll("[data-tile]")];
const form = document.querySelector("[data-picked]");
const picks = () => [...document.querySelectorAll(".tile-pick input")];
const chosen = () => picks().filter((box) => box.checked);

function tell() {
  if (!form) return;
  const count = chosen().length;
  form.classList.toggle("some", count > 0);
  form.querySelector("[data-picked-go]").disabled = count !== 2;
  form.querySelector("[data-picked-words]").textContent =
    count === 0 ? "Choose two clips to compare." : count === 1 ? "1 chosen. Choose another." : "2 chosen.";
  for (const box of picks()) box.closest(".tile").classList.toggle("chosen", box.checked);
}

// A third choice lets go of the first.
let order = [];
document.addEventListener("change", (event) => {
  if (event.target.matches(".tile-pick input")) {
    order = order.filter((box) => box !== event.target);
    if (event.target.checked) order.push(event.target);
    while (order.length > 2) order.shift().checked = false;
    tell();
  } else if (event.target.matches("[data-library-filters] select")) {
    event.target.form.requestSubmit();
  }
});
form?.addEventListener("reset", () => { order = []; setTimeout(tell); });

// An empty filter is left out of the address.
document.querySelector("[data-library-filters]")?.addEventListener("formdata", (event) => {
  for (const [name, value] of [...event.formData]) if (!value) event.formData.delete(name);
});

document.addEventListener("keydown", (event) => {
  if (event.target.closest("input:not([type=checkbox]), textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const tile = document.activeElement?.closest?.("[data-tile]");
  if (event.key === "j" || event.key === "k") step(tile, event.key === "j" ? 1 : -1);
  else if (event.key === "x" && tile) tile.querySelector(".tile-pick input")?.click();
  else if (event.key === "c" && form && chosen().length === 2) form.requestSubmit();
  else if (event.key === "/" && document.querySelector(".library-search input")) document.querySelector(".library-search input").focus();
  else return;
  event.preventDefault();
});

function step(tile, by) {
  const all = tiles();
  const at = all.indexOf(tile);
  all[Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + by))]?.querySelector("[data-row]").focus();
}
tell();

// ---- The comparison: the left clip leads, the right one follows it.
const stage = document.querySelector("[data-compare]");
if (stage) {
  const videos = [...stage.querySelectorAll("video")];
  const [lead, ...others] = videos;
  const bar = document.querySelector("[data-compare-bar]");
  const at = bar.querySelector("[data-compare-at]");
  const button = bar.querySelector("[data-compare-play]");
  const length = () => Math.max(...videos.map((video) => video.duration || 0)) || 1;
  const seek = (seconds) => { for (const video of videos) video.currentTime = Math.min(seconds, video.duration || seconds); };
  const show = () => {
    at.value = Math.round((lead.currentTime / length()) * 1000);
    bar.querySelector("[data-compare-time]").textContent = `${lead.currentTime.toFixed(1)} s of ${length().toFixed(1)} s`;
    button.toggleAttribute("data-playing", !lead.paused);
    button.querySelector("span").textContent = lead.paused ? "Play" : "Pause";
    button.setAttribute("aria-label", lead.paused ? "Play both" : "Pause both");
  };
  const toggle = async (play) => {
    for (const video of videos) if (play) await video.play().catch(() => {}); else video.pause();
    show();
  };
  if (videos.length < 2) bar.hidden = true;
  else {
    for (const video of videos) { video.removeAttribute("data-hover"); video.preload = "auto"; video.load(); }
    lead.addEventListener("timeupdate", () => {
      for (const video of others) if (Math.abs(video.currentTime - lead.currentTime) > 0.08 && lead.currentTime < video.duration) video.currentTime = lead.currentTime;
      show();
    });
    lead.addEventListener("loadedmetadata", show);
    at.addEventListener("input", () => { toggle(false); seek((at.value / 1000) * length()); });
    button.addEventListener("click", () => toggle(lead.paused));
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) toggle(true);
  }
}
