// The editor: a textarea under highlighted text (static/vendor/prism-code-editor). It takes the place of the plain one, with
// its name and its words, so the form sends it as before. Tab indents while one writes; Escape, then Tab, leaves.

import {
  createEditor, defaultCommands, editHistory, highlightBracketPairs, matchBrackets, setIgnoreTab,
} from "../vendor/prism-code-editor/editor.js";

const MOVED = ["id", "name", "required", "maxlength", "aria-describedby"];
const DRAFT = "backlot.code.draft";

export function edit(plain) {
  const form = plain.form, fresh = plain.hasAttribute("data-fresh");
  const place = document.createElement("div");
  place.className = "editor";
  const value = (fresh && sessionStorage.getItem(DRAFT)) || plain.value;
  const editor = createEditor(
    place,
    { language: "python", value, tabSize: 4, insertSpaces: true, lineNumbers: true, wordWrap: false },
    defaultCommands(), editHistory(), matchBrackets(), highlightBracketPairs(),
  );
  const field = editor.textarea;
  const focused = document.activeElement === plain;
  for (const name of MOVED) if (plain.hasAttribute(name)) field.setAttribute(name, plain.getAttribute(name));
  field.removeAttribute("aria-label");
  plain.replaceWith(place);
  if (focused || location.hash === "#prompt") field.focus();

  // Who comes with Tab passes through; who writes here indents with it.
  setIgnoreTab(true);
  field.addEventListener("focus", () => setIgnoreTab(true));
  field.addEventListener("input", () => { setIgnoreTab(false); sessionStorage.setItem(DRAFT, field.value); });
  field.addEventListener("pointerdown", () => setIgnoreTab(false));
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      event.stopPropagation();
      form.requestSubmit();
    }
    if (event.key === "Escape") setIgnoreTab(true);
  }, true);
  form.addEventListener("backlot:write", (event) => {
    editor.setOptions({ value: event.detail });
    field.focus();
    field.setSelectionRange(event.detail.length, event.detail.length);
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
}
