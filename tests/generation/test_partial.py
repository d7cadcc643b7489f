"""Answers that end early: what is kept parses, by parsers that are stricter than what found it."""

import ast
import json
import random
import subprocess
from pathlib import Path

import pytest
from playwright._impl._driver import compute_driver_executable

from generation.code import partial
from generation.code.partial import Partial, brackets, longest, longest_in_conversation

SOURCES = Path(__file__).parent / "partial_sources"
FILES = {"python": "sample.py.txt", "javascript": "sample.js", "typescript": "sample.ts"}
CUTS, SEED = 100, 20_261_122
# Of the text that was cut, on average. What is lost is the statement that was cut, and what holds it where only its end
# makes it whole: a class whose private names come later, a head without its body.
LEAST_KEPT = {"python": 0.9, "javascript": 0.97, "typescript": 0.97}


def cuts(language: str) -> list[str]:
    """A source, cut at seeded places."""
    source = (SOURCES / FILES[language]).read_text()
    chance = random.Random(SEED)
    return [source[: chance.randrange(40, len(source))] for _ in range(CUTS)]


def complaints(texts: list[str], language: str) -> list[str | None]:
    """What V8 says of each (after Node has stripped the types of TypeScript), None where it parses."""
    asked = json.dumps([{"language": language, "text": text} for text in texts])
    node = compute_driver_executable()[0]  # the Node that comes with the browser tests
    command = [node, "--no-warnings", "--experimental-vm-modules", str(SOURCES / "strict_parse.mjs")]
    return json.loads(subprocess.run(command, input=asked, capture_output=True, text=True, check=True).stdout)


def ast_complaints(texts: list[str], _: str) -> list[str | None]:
    found = []
    for text in texts:
        try:
            compile(text, "answer", "exec", ast.PyCF_ONLY_AST)
            found.append(None)
        except SyntaxError as error:
            found.append(str(error))
    return found


@pytest.mark.parametrize("language", partial.LANGUAGES)
def test_every_partial_answer_parses(language, record_property):
    texts = cuts(language)
    found = [longest(text, language) for text in texts]
    kept = [one.applied(text) for one, text in zip(found, texts, strict=True)]
    strict = ast_complaints if language == "python" else complaints
    assert [one for one in strict(kept, language) if one] == []
    assert all(one.parses for one in found)
    assert all(text.startswith(text[: one.keep]) for one, text in zip(found, texts, strict=True))
    share = sum(one.keep / len(text) for one, text in zip(found, texts, strict=True)) / CUTS
    record_property("share_of_text_kept", round(share, 4))
    print(f"{language}: {share:.1%} of the text kept over {CUTS} cuts")  # noqa: T201
    assert share >= LEAST_KEPT[language]


def test_the_strict_parser_is_strict():
    wrong = ["const x\n", "try { f() }\n", "f(export\n)", "class A { a() { this.#b() } }", "export { nam\n}"]
    assert all(complaints(wrong, "javascript"))
    assert [brackets.closing(text, "javascript") for text in wrong] == [None] * len(wrong)
    assert complaints(["const x = 1\n"], "javascript") == [None]


def test_brackets_are_closed_and_that_is_said():
    found = longest("function f(a) {\n  return g(a, [1,", "javascript")
    assert found == Partial("javascript", 33, "\n])}")
    assert longest("f(1)", "javascript") == Partial("javascript", 4, "")
    assert longest("const a = {\n  b: 1, // not }\n", "typescript").close == "}"
    assert longest("const a = `x ${b(", "javascript").close == "\n)}`"


def test_python_is_backed_off_and_never_closed():
    assert longest("x = 1\ny = [1,\n", "python") == Partial("python", 6)
    assert longest("    return 1\n    x = (\n", "python", before="def f():\n") == Partial("python", 13)
    assert longest("print('a", "python") == Partial("python", 0)  # an empty text is valid


def test_what_can_never_parse_keeps_nothing():
    assert longest("1 +", "python", before="def f(:\n") == Partial("python", 0, parses=False)
    assert longest("x", "python", before="a\0") == Partial("python", 0, parses=False)
    assert not longest("(" * 5_000, "python", before="(").parses
    assert not longest("x = 1\n" * 50_000, "python").parses  # too long to look at


def test_only_an_open_code_block_of_a_conversation_is_cut():
    answer = "Here:\n```python\nx = 1\ny = (\n"
    found = longest_in_conversation(answer, "javascript")
    assert (found.language, found.applied(answer)) == ("python", "Here:\n```python\nx = 1\n```\n")
    whole = "```js\nf()\n```\nThat is a call, and"
    assert longest_in_conversation(whole, "javascript") == Partial("javascript", len(whole))
    assert longest_in_conversation("x = 1\ny = (", "python").applied("x = 1\ny = (") == "x = 1\n"
    script = "```ts\nlet a: number = f(\n"
    assert longest_in_conversation(script, "python").applied(script).endswith("f(\n)\n```\n")


def test_jumping_to_the_line_in_question_loses_nothing():
    for text in cuts("python"):
        end = len(text)
        while not _valid(text[:end]):
            end = text.rfind("\n", 0, end - 1) + 1
        assert longest(text, "python").keep == end


def _valid(text: str) -> bool:
    return ast_complaints([text], "") == [None]
