// What every page has: local times, copy buttons, menus that close, the theme toggle, tables that the keyboard walks,
// and the key that opens the palette.

document.documentElement.classList.add("scripted");

const announcer = () => document.getElementById("announcer");

export function announce(words) {
  const place = announcer();
  if (place) place.textContent = words;
}

// ---- A toast: said aloud, and shown for a moment where it covers nothing that is read.
let fading = 0;
export function toast(words) {
  announce(words);
  const shown = document.querySelector(".toast:not(.still)") ?? document.body.appendChild(document.createElement("p"));
  shown.className = "toast shown";
  shown.setAttribute("aria-hidden", "true"); // the announcer has said it
  shown.textContent = words;
  clearTimeout(fading);
  fading = setTimeout(() => shown.classList.remove("shown"), 2_400);
}

// ---- Times: the server writes UTC, the reader sees their own zone; UTC stays in the title.
const dateForm = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const yearForm = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const timeForm = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

function ago(moment) {
  const past = Math.max(0, (Date.now() - moment) / 1000);
  if (past < 45) return "just now";
  if (past < 3600) return `${Math.max(1, Math.round(past / 60))} min ago`;
  if (past < 86400) return `${Math.round(past / 3600)} h ago`;
  if (past < 86400 * 7) return `${Math.round(past / 86400)} d ago`;
  return dateForm.format(moment);
}

function localise(root) {
  for (const time of root.querySelectorAll("time[data-when]")) {
    const moment = new Date(time.dateTime);
    const form = time.dataset.when;
    const other = moment.getFullYear() !== new Date().getFullYear();
    time.textContent = form === "ago" ? ago(moment) : (form === "time" ? timeForm : other ? yearForm : dateForm).format(moment);
  }
}

// ---- Ages that grow while one watches.
function grow() {
  for (const clock of document.querySelectorAll("[data-since]")) {
    const seconds = Math.max(0, Math.round((Date.now() - Date.parse(clock.dataset.since)) / 1000));
    clock.textContent = seconds < 60 ? `${seconds} s` : seconds < 3600
      ? `${Math.floor(seconds / 60)} min ${seconds % 60} s` : `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  }
}

document.addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-copy], [data-copy-from]");
  if (copy) {
    const source = copy.dataset.copyFrom ? document.querySelector(copy.dataset.copyFrom) : null;
    await navigator.clipboard.writeText(source ? source.textContent : copy.dataset.copy);
    toast("Copied");
    copy.classList.add("copied");
    setTimeout(() => copy.classList.remove("copied"), 900);
    return;
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
  const row = event.target.closest("tr[data-href]");
  if (row && !event.target.closest("a, button, input, label, summary") && !getSelection().toString()) location.href = row.dataset.href;
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    const menu = document.querySelector("details.menu[open]");
    if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
    return;
  }
  if (event.target.closest("input, textarea, select, [contenteditable]") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "j" || event.key === "k") walk(event.key === "j" ? 1 : -1);
});

// j and k move the focus through the rows of the page's table; Enter follows the row's own link.
function walk(step) {
  const links = [...document.querySelectorAll("tr[data-href] a[data-row]")];
  if (!links.length) return;
  const at = links.indexOf(document.activeElement);
  links[Math.min(links.length - 1, Math.max(0, at < 0 ? 0 : at + step))].focus();
}

// ---- The palette: Ctrl+K or ⌘K anywhere, or its link; without scripts the link leads to the page of the same name.
const paletteLink = document.querySelector("[data-palette]");
if (paletteLink) {
  const apple = /Mac|iPhone|iPad/.test(navigator.platform);
  paletteLink.querySelector("kbd").textContent = apple ? "⌘ K" : "Ctrl K";
  const openPalette = async (event) => {
    event.preventDefault();
    (await import("./palette.js")).open(paletteLink.href);
  };
  paletteLink.addEventListener("click", (event) => { if (!event.ctrlKey && !event.metaKey && !event.shiftKey) openPalette(event); });
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey) openPalette(event);
  });
}

// ---- The theme: a cookie that the server reads, so the next page is right from its first byte.
document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-theme-form]");
  if (!form || !event.submitter) return;
  event.preventDefault();
  const theme = event.submitter.value;
  document.documentElement.dataset.theme = theme;
  fetch(form.action, { method: "POST", body: new FormData(form, event.submitter), redirect: "manual" });
  form.querySelector(theme === "dark" ? ".theme-dark" : ".theme-light").focus();
  document.dispatchEvent(new CustomEvent("backlot:theme", { detail: theme }));
});

// ---- A part that is drawn anew by the server takes the focus with it: it goes back to what has the same words there.
let lost = null;
document.addEventListener("htmx:sseBeforeMessage", (event) => {
  const at = document.activeElement;
  lost = at && at !== document.body && event.target.contains(at) ? nameOf(at) : null;
});
document.addEventListener("htmx:sseMessage", (event) => {
  if (!lost || document.activeElement !== document.body) return;
  [...event.target.querySelectorAll("a, button, summary, input, select")].find((one) => nameOf(one) === lost)?.focus({ preventScroll: true });
});
const nameOf = (one) => [one.tagName, one.id, one.getAttribute("href"), one.getAttribute("aria-label"), one.textContent.trim()].join(" ");

// ---- What scrolls sideways and holds nothing to press can be reached and scrolled with the keyboard.
function reach(root) {
  for (const place of root.querySelectorAll(".table-wrap, .code pre")) {
    const scrolls = place.scrollWidth > place.clientWidth + 1 && !place.querySelector("a[href], button, summary, input");
    if (scrolls && !place.hasAttribute("tabindex")) {
      place.tabIndex = 0;
      place.setAttribute("role", "region");
      const title = place.closest("section, .panel, figure")?.querySelector("h2, h3, figcaption, caption");
      place.setAttribute("aria-label", title ? `${title.textContent.trim()}, scrolls sideways` : "Scrolls sideways");
    } else if (!scrolls && place.getAttribute("role") === "region" && place.tabIndex === 0) {
      for (const name of ["tabindex", "role", "aria-label"]) place.removeAttribute(name);
    }
  }
}
addEventListener("resize", () => reach(document));

localise(document);
reach(document);
grow();
setInterval(() => { if (!document.hidden) grow(); }, 1000);
new MutationObserver((changes) => {
  for (const change of changes) {
    for (const node of change.addedNodes) if (node.nodeType === 1) { localise(node.parentNode || node); reach(node.parentNode || node); }
  }
}).observe(document.body, { childList: true, subtree: true });
