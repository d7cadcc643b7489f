// Code: the editor, and the answer as it grows. EventSource resumes by Last-Event-ID, so a lost connection loses no token.
// Sending, stopping and looking at the valid part swap the answer's column; without scripts each is a page of its own.

import { announce } from "./frame.js";
import { paint } from "./code-colours.js";
import { edit } from "./code-editor.js";

const form = document.getElementById("code-form");
const column = () => document.getElementById("answer-column");
edit(form.querySelector("#prompt"));
show();

function show() {
  const text = document.getElementById("answer-text");
  if (text) paint(text);
  const growing = document.querySelector("[data-stream]");
  if (growing) follow(growing);
}

function follow(place) {
  const text = place.querySelector("[data-text]"), dot = place.querySelector("[data-live]");
  const written = text.appendChild(document.createTextNode(""));
  const source = new EventSource(place.dataset.stream);
  const say = (state, words) => { if (dot) { dot.dataset.state = state; dot.textContent = words; } };
  let frame = 0;
  const over = () => { if (!place.isConnected) source.close(); return !place.isConnected; };
  source.addEventListener("error", () => { if (!over()) say("reconnecting", "reconnecting"); });
  source.addEventListener("text", (event) => {
    if (over()) return;
    say("live", "writing");
    written.appendData(JSON.parse(event.data));
    frame ||= requestAnimationFrame(() => { frame = 0; paint(text.parentElement); });
  });
  source.addEventListener("end", async () => {
    source.close();
    if (!over()) await swap(await fetch(location.href)); // as it stands at the end: tokens, charge, state
    announce("The answer has ended.");
  });
}

// The answer's column, and a refusal above the editor, out of a page that the server made. The editor stays as it is.
async function swap(response) {
  const made = new DOMParser().parseFromString(await response.text(), "text/html");
  const answer = made.getElementById("answer-column");
  if (!answer) return location.reload();
  column().replaceWith(document.adoptNode(answer));
  document.getElementById("code-refusal").replaceWith(document.adoptNode(made.getElementById("code-refusal")));
  show();
}

async function send(target, options, words) {
  const response = await fetch(target, options);
  if (response.redirected) history.pushState(null, "", response.url);
  await swap(response);
  announce(response.ok ? words : "It was refused; the reason is above the editor.");
}

document.addEventListener("submit", async (event) => {
  const stop = event.target.closest("[data-stop]");
  if (event.target !== form && !stop) return;
  event.preventDefault();
  const button = event.submitter ?? event.target.querySelector("button");
  if (button.disabled) return;
  button.disabled = true;
  try {
    const options = { method: "POST", body: new FormData(event.target) };
    if (stop) {
      button.lastChild.textContent = "Stopping";
      await fetch(event.target.action, options); // the stream says when it has ended
    } else {
      await send(form.action, options, "The completion is queued.");
    }
  } finally {
    if (!stop) button.disabled = false;
  }
});

document.addEventListener("click", (event) => {
  const view = event.target.closest("a[data-view]");
  if (view && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    history.replaceState(null, "", view.href);
    send(view.href, {}, view.textContent.trim()).then(() => document.querySelector("a[data-view][aria-current]")?.focus());
  }
  if (event.target.closest("[data-go-on]")) {
    form.dispatchEvent(new CustomEvent("backlot:write", { detail: document.getElementById("answer-text").textContent }));
  }
});

addEventListener("popstate", () => location.reload());

// What it would cost at most, asked again once the writer pauses.
const quote = document.querySelector("[data-quote]");
let pause = 0, asked = 0;
form.addEventListener("input", () => {
  clearTimeout(pause);
  pause = setTimeout(async () => {
    const mine = ++asked;
    const answer = await fetch(quote.dataset.quote, { method: "POST", body: new FormData(form) });
    const words = answer.ok ? await answer.text() : "";
    if (mine === asked) quote.innerHTML = words;
  }, 400);
});
