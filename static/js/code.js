// Code: the answer grows as its events come; EventSource resumes by Last-Event-ID, so a lost connection loses no token.

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.id === "prompt") {
    event.preventDefault();
    event.target.form.requestSubmit();
  }
});

const panel = document.querySelector("[data-stream]");
if (panel) follow(panel);

function follow(place) {
  const text = place.querySelector("[data-text]");
  const dot = place.querySelector("[data-live]");
  const source = new EventSource(place.dataset.stream);
  const say = (state, words) => { if (dot) { dot.dataset.state = state; dot.textContent = words; } };
  source.addEventListener("error", () => say("reconnecting", "reconnecting"));
  source.addEventListener("text", (event) => {
    say("live", "writing");
    text.append(JSON.parse(event.data));
  });
  source.addEventListener("end", () => {
    source.close();
    location.reload(); // the page as it stands at the end: tokens, charge, state
  });
}

// What it would cost at most, asked again once the writer pauses.
const quote = document.querySelector("[data-quote]");
const form = document.getElementById("code-form");
let pause = 0;
let asked = 0;
form.addEventListener("input", () => {
  clearTimeout(pause);
  pause = setTimeout(async () => {
    const mine = ++asked;
    const answer = await fetch(quote.dataset.quote, { method: "POST", body: new FormData(form) });
    const words = answer.ok ? await answer.text() : "";
    if (mine === asked) quote.innerHTML = words;
  }, 400);
});
