// Keys of the review page: j and k walk, c claims, r shows clear, p, b and e choose and go on to the reason.

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input:not([type=radio]), textarea, select")) return;
  const target = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!target) return;
  event.preventDefault();
  if (target.matches("input")) {
    target.checked = true;
    document.getElementById("reason")?.focus();
  } else {
    target.click();
  }
});

// A clear look ends by itself here too: the server sends blurred frames from then on.
const clear = [...document.querySelectorAll('.review-frames img[src$="?clear"]')];
if (clear.length) {
  const seconds = Number.parseInt(document.querySelector("#frames-title + p").textContent.match(/\d+/), 10);
  setTimeout(() => clear.forEach((image) => (image.src = image.src.replace("?clear", ""))), seconds * 1000);
}
