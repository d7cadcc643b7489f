export { createEditor } from "prism-code-editor";
export { defaultCommands, editHistory, setIgnoreTab } from "prism-code-editor/commands";
export { matchBrackets } from "prism-code-editor/match-brackets";
export { highlightBracketPairs } from "prism-code-editor/highlight-brackets";
export { cursorPosition } from "prism-code-editor/cursor";
export { languages, tokenizeText, Token } from "prism-code-editor/prism";
import "prism-code-editor/prism/languages/python";
import "prism-code-editor/languages/python";
