// Colours for code that is text in the page: ranges over it, by the CSS Custom Highlight API, so the text itself stays as it
// is (a selection survives while it grows, a copy is exact). Browsers without it show it in one colour.

import { languages, tokenizeText } from "../vendor/prism-code-editor/editor.js";

const MOST = 30_000; // characters; more would be slow to read again with every run of tokens
const ROLES = {
  keyword: "code-keyword", boolean: "code-keyword", string: "code-string", "triple-quoted-string": "code-string",
  "string-interpolation": "code-string", comment: "code-comment", number: "code-number", function: "code-name",
  "class-name": "code-name", decorator: "code-name", builtin: "code-name",
};

export function paint(place, language = "python") {
  if (!globalThis.CSS?.highlights) return;
  for (const role of new Set(Object.values(ROLES))) CSS.highlights.delete(role);
  const text = place.textContent;
  if (text.length > MOST) return;
  const found = {};
  collect(tokenizeText(text, languages[language]), 0, found);
  const at = locator(place);
  for (const [role, spans] of Object.entries(found)) {
    CSS.highlights.set(role, new Highlight(...spans.map(([start, end]) => {
      const range = new StaticRange({ ...at(start, "start"), ...at(end, "end") });
      return range;
    })));
  }
}

// [start, end] of every token with a role; what a string holds inside is not looked at again.
function collect(tokens, offset, found) {
  for (const token of tokens) {
    if (typeof token !== "string") {
      const role = ROLES[token.type];
      if (role) (found[role] ??= []).push([offset, offset + token.length]);
      else if (Array.isArray(token.content)) collect(token.content, offset, found);
    }
    offset += token.length;
  }
}

// Where a character of the whole text lies among the text nodes.
function locator(place) {
  const nodes = [], walker = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
  for (let from = 0; walker.nextNode(); from += walker.currentNode.length) nodes.push({ node: walker.currentNode, from });
  return (offset, side) => {
    const held = nodes.findLast(({ from }) => (side === "start" ? from <= offset : from < offset)) ?? nodes[0];
    return { [`${side}Container`]: held.node, [`${side}Offset`]: Math.min(offset - held.from, held.node.length) };
  };
}
