// The command palette: a dialog over any page, with the list that /search gives. Loaded when it is first opened.
// The focus stays in the field; arrows move the chosen line, Enter follows it, Escape closes (the dialog's own doing).

const WAIT_MS = 130;
let dialog, field, list, address, pause = 0, asked = 0;

export function open(href) {
  address = href;
  if (!dialog) build();
  if (dialog.open) return dialog.close();
  field.value = "";
  dialog.showModal();
  ask("");
}

function build() {
  dialog = document.createElement("dialog");
  dialog.className = "palette";
  dialog.setAttribute("aria-label", "Search and commands");
  dialog.innerHTML = `
    <input class="palette-field" type="text" role="combobox" aria-expanded="true" aria-controls="palette-list" aria-autocomplete="list"
      aria-label="Search pages, actions and work" placeholder="A page, an action, a prompt, an id" maxlength="200" autocomplete="off" spellcheck="false" autofocus>
    <div class="hits-list" id="palette-list" role="listbox" aria-label="Results"></div>
    <p class="palette-foot"><span><kbd>↑</kbd> <kbd>↓</kbd> choose</span><span><kbd>Enter</kbd> open</span><span><kbd>Esc</kbd> close</span></p>`;
  document.body.append(dialog);
  field = dialog.querySelector("input");
  list = dialog.querySelector(".hits-list");
  field.addEventListener("input", () => {
    narrow(field.value);
    clearTimeout(pause);
    pause = setTimeout(() => ask(field.value), WAIT_MS);
  });
  field.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) { event.preventDefault(); choose(step); }
    if (event.key === "Enter") { event.preventDefault(); chosen()?.click(); }
  });
  // A click beside the dialog falls on its backdrop, which is the dialog element itself.
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  list.addEventListener("click", (event) => { if (event.target.closest("a")) dialog.close(); });
  list.addEventListener("pointermove", (event) => { const hit = event.target.closest("a"); if (hit && hit !== chosen()) mark(hit); });
}

async function ask(text) {
  const mine = ++asked;
  const answer = await fetch(`${address}?${new URLSearchParams({ q: text, part: "1" })}`);
  if (mine !== asked) return;
  list.innerHTML = answer.ok ? await answer.text() : '<p class="hits-none">The search did not answer. Try again in a moment.</p>';
  dress();
}

// The page's lists and links become the options of a listbox.
function dress() {
  list.querySelectorAll("section").forEach((section, at) => {
    const title = section.querySelector("h2"), group = section.querySelector("ul");
    title.id = `palette-group-${at}`;
    title.setAttribute("role", "presentation");
    group.setAttribute("role", "group");
    group.setAttribute("aria-labelledby", title.id);
    section.setAttribute("role", "presentation");
  });
  list.querySelectorAll("li").forEach((item) => item.setAttribute("role", "presentation"));
  list.querySelectorAll("a").forEach((hit, at) => {
    hit.id = `palette-hit-${at}`;
    hit.tabIndex = -1;
    hit.setAttribute("role", "option");
    hit.setAttribute("aria-selected", "false");
  });
  mark(shown()[0]);
}

// At once, before the server has answered: what is there already and has every word.
function narrow(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const hit of list.querySelectorAll("a")) {
    hit.parentElement.hidden = !words.every((word) => hit.dataset.words.includes(word));
  }
  for (const section of list.querySelectorAll("section")) section.hidden = !section.querySelector("li:not([hidden])");
  mark(shown()[0]);
}

const shown = () => [...list.querySelectorAll("section:not([hidden]) li:not([hidden]) a")];
const chosen = () => list.querySelector('[aria-selected="true"]');

function choose(step) {
  const hits = shown(), at = hits.indexOf(chosen());
  if (hits.length) mark(hits[(at + step + hits.length) % hits.length]);
}

function mark(hit) {
  chosen()?.setAttribute("aria-selected", "false");
  if (!hit) return field.removeAttribute("aria-activedescendant");
  hit.setAttribute("aria-selected", "true");
  hit.scrollIntoView({ block: "nearest" });
  field.setAttribute("aria-activedescendant", hit.id);
}
