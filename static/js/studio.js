// Studio and job pages: the prompt grows and sends with Ctrl+Enter, clips play on hover, the live dot says how things are.

const root = document.documentElement;

for (const area of document.querySelectorAll("textarea[data-grows]")) {
  const fit = () => { area.style.height = "auto"; area.style.height = `${area.scrollHeight + 2}px`; };
  if (!CSS.supports("field-sizing", "content")) { area.addEventListener("input", fit); fit(); }
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.form && event.target.tagName === "TEXTAREA") {
    event.preventDefault();
    event.target.form.requestSubmit();
  }
});

document.addEventListener("click", (event) => {
  const example = event.target.closest("[data-prompt]");
  const prompt = document.getElementById("prompt");
  if (!example || !prompt || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  prompt.value = example.dataset.prompt;
  prompt.dispatchEvent(new Event("input", { bubbles: true }));
  example.closest("details")?.removeAttribute("open");
  prompt.focus();
});

const dials = document.querySelector(".dials");
const requote = () => dials?.dispatchEvent(new Event("requote"));

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-reseed]")) return;
  const seed = document.getElementById("seed");
  seed.value = "";
  seed.focus();
  requote();
});

// What is being written survives a reload of this tab; once it is queued nothing is kept.
const compose = document.getElementById("compose");
if (compose) {
  const prompt = document.getElementById("prompt");
  const place = `draft-${compose.dataset.draft}`;
  if (!prompt.value && sessionStorage.getItem(place)) prompt.value = sessionStorage.getItem(place);
  prompt.addEventListener("input", () => sessionStorage.setItem(place, prompt.value));
  document.addEventListener("htmx:afterSwap", (event) => { if (event.detail.target?.id === "watching") sessionStorage.removeItem(place); });
}

// The chosen picture, small, beside its name.
document.addEventListener("change", (event) => {
  const field = event.target.closest?.("[data-picture]");
  if (!field) return;
  const shown = field.querySelector("img"), [file] = event.target.files;
  if (shown.src) URL.revokeObjectURL(shown.src);
  shown.hidden = !file;
  if (file) shown.src = URL.createObjectURL(file); else shown.removeAttribute("src");
});

// Before the first model is ready the page looks again by itself.
const waits = document.querySelector("[data-look-again]");
if (waits) setTimeout(() => location.reload(), 1000 * Number(waits.dataset.lookAgain));

// Clips play while the pointer or the focus is on their card.
function card(event) {
  const found = event.target.closest?.(".card, .tile");
  return found ? found.querySelector("video[data-hover]") : null;
}
document.addEventListener("pointerover", (event) => card(event)?.play().catch(() => {}));
document.addEventListener("pointerout", (event) => {
  const video = card(event);
  if (video && !event.target.closest(".card, .tile").contains(event.relatedTarget)) video.pause();
});
document.addEventListener("focusin", (event) => card(event)?.play().catch(() => {}));
document.addEventListener("focusout", (event) => card(event)?.pause());

// Crisp or smooth: remembered in this browser.
function crisp(on) {
  root.toggleAttribute("data-crisp", on);
  for (const box of document.querySelectorAll("[data-crisp]:is(input)")) box.checked = on;
}
const remembered = () => localStorage.getItem("crisp") === "yes";
crisp(remembered());
document.addEventListener("change", (event) => {
  if (!event.target.matches("input[data-crisp]")) return;
  localStorage.setItem("crisp", event.target.checked ? "yes" : "no");
  crisp(event.target.checked);
});

// The live dot follows the event stream; after the last event there is nothing more to be live about.
const says = (state, words) => {
  for (const dot of document.querySelectorAll("[data-live]")) { dot.dataset.state = state; dot.textContent = words; }
};
document.addEventListener("htmx:sseOpen", () => says("live", "live"));
document.addEventListener("htmx:sseError", () => says("reconnecting", "reconnecting"));
document.addEventListener("htmx:sseClose", (event) => { if (event.detail.type === "message") { says("paused", "up to date"); requote(); } });
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id === "watching" || event.detail.target?.id === "watching") {
    crisp(remembered());
    document.getElementById("quote").querySelector("[role=alert]:not([data-keep])")?.remove();
    const announcer = document.getElementById("announcer");
    if (announcer) announcer.textContent = "The clip is queued.";
  }
});
