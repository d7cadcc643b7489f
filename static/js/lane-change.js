// A changed value is unseen again: nothing can be applied until its preview is there. The preview brings the button back.

document.getElementById("look").addEventListener("input", () => {
  document.getElementById("apply").disabled = true;
  document.getElementById("lane-preview").setAttribute("aria-busy", "true");
});
document.addEventListener("htmx:afterSwap", ({ target }) => {
  if (target.id === "lane-preview") target.removeAttribute("aria-busy");
});
