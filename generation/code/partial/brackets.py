"""JavaScript and TypeScript that end early: back off line by line and close the brackets that are open.

The grammar of tree-sitter takes more than the language does, since it is made for editors; so what it finds clean is
looked through for the shapes that it lets pass (`_REFUSED`).
"""

from functools import cache

import tree_sitter
import tree_sitter_javascript
import tree_sitter_typescript

CLOSERS = {"(": ")", "[": "]", "{": "}", "${": "}"}
GRAMMARS = {
    "javascript": tree_sitter_javascript.language,
    "typescript": tree_sitter_typescript.language_typescript,
}
LANGUAGES = tuple(GRAMMARS)
NAMES = ("identifier", "type_identifier", "shorthand_property_identifier_pattern")
# Words that the grammar takes for names where no name can stand; half a statement often ends with one.
RESERVED = frozenset(
    b"await break case catch class const continue debugger default delete do else enum export extends finally"
    b" for function if implements import in instanceof interface let new package private protected public return"
    b" static super switch this throw try typeof var void while with yield".split()
)


def closing(text: str, language: str) -> str | None:
    """What has to follow `text` so that it parses; "" where nothing has to, None where brackets alone don't do."""
    parser = _parser(language)
    found = parser.parse(text.encode())
    if _sound(found.root_node):
        return ""
    after = "".join(reversed(_open_brackets(found.root_node)))
    if not after:
        return None
    if not text.endswith("\n"):
        after = "\n" + after  # the last line may be a comment
    return after if _sound(parser.parse((text + after).encode()).root_node) else None


@cache
def _parser(language: str) -> tree_sitter.Parser:
    return tree_sitter.Parser(tree_sitter.Language(GRAMMARS[language]()))


def _leaves(node):
    cursor = node.walk()
    while True:
        if not cursor.goto_first_child():
            yield cursor.node
            while not cursor.goto_next_sibling():
                if not cursor.goto_parent():
                    return


def _open_brackets(root) -> list[str]:
    """Closers of the brackets that are open at the end, outermost first; none of those in strings and comments."""
    waiting: list[str] = []
    for leaf in _leaves(root):
        if leaf.is_missing:
            continue
        if leaf.type == "`":
            if waiting and waiting[-1] == "`":
                waiting.pop()
            else:
                waiting.append("`")
        elif leaf.type in CLOSERS:
            waiting.append(CLOSERS[leaf.type])
        elif waiting and leaf.type == waiting[-1]:
            waiting.pop()
    return waiting


def _sound(root) -> bool:
    if root.has_error:
        return False
    pending = [root]
    while pending:
        node = pending.pop()
        if node.is_missing or (check := _REFUSED.get(node.type)) and check(node):
            return False
        pending += node.children
    return True


def _without_value(declarator) -> bool:
    """`const x;` and `let [a];` are no declarations, save as the head of a loop, which is another node."""
    if declarator.child_by_field_name("value") is not None:
        return False
    name = declarator.child_by_field_name("name")
    first = declarator.parent.children[0].type if declarator.parent.children else ""
    ambient = declarator.parent.parent is not None and declarator.parent.parent.type == "ambient_declaration"
    return not ambient and (first == "const" or name.type.endswith("_pattern"))


def _no_handler(statement) -> bool:
    return (
        statement.child_by_field_name("handler") is None
        and statement.child_by_field_name("finalizer") is None
    )


def _reserved(identifier) -> bool:
    return identifier.text in RESERVED


def _bare_super(node) -> bool:
    return node.parent is None or node.parent.type not in (
        "call_expression",
        "member_expression",
        "subscript_expression",
    )


def _undeclared(name) -> bool:
    """A private name that no class around it declares (yet)."""
    above = name.parent
    while above is not None:
        if above.type == "class_body" and any(_declares(member, name.text) for member in above.children):
            return False
        above = above.parent
    return True


def _declares(member, name: bytes) -> bool:
    declared = member.child_by_field_name("name") or member.child_by_field_name("property")
    return declared is not None and declared.text == name


def _unknown_export(specifier) -> bool:
    """`export { nam }`: half a name, of nothing that is declared here."""
    statement = specifier.parent.parent
    if statement.child_by_field_name("source") is not None:
        return False
    root = statement
    while root.parent is not None:
        root = root.parent
    exported = specifier.child_by_field_name("name").text
    return not any(
        leaf.type in NAMES and leaf.text == exported and leaf.parent.type != "export_specifier"
        for leaf in _leaves(root)
    )


_REFUSED = {
    "export_specifier": _unknown_export,
    "variable_declarator": _without_value,
    "try_statement": _no_handler,
    "identifier": _reserved,
    "shorthand_property_identifier": _reserved,
    "shorthand_property_identifier_pattern": _reserved,
    "private_property_identifier": _undeclared,
    "super": _bare_super,
}
