"""Claims: sentences of a chapter that the build holds to what its cells found.

A code cell whose first line is `#@claim WORDS` asserts what the text before it
says with these words. It is run with the others, but the reader sees a small
mark behind the words instead.
"""

import ast
import re
import reprlib
import types
from dataclasses import replace

__all__ = ['mark', 'refute', 'unmark', 'values', 'with_values']

CLAIM = re.compile(r'# *@claim\b[ :]*(.*)')
MARK = '<sup class="claim" id="{id}" title="{title}">✓</sup>'


def mark(chapter):
    """Tell claims from code, and mark the words that they are about.

    Args:
        chapter: a `Chapter` with cells of text and of code.

    Returns:
        Chapter: with cells of the kind 'claim', whose `words` are known.

    Raises:
        BookError: if a claim asserts nothing, or its words do not stand
            exactly once in the nearest text before it.
    """
    cells, text = [], None
    for cell in chapter.cells:
        first, _, source = cell.source.partition('\n')
        match = CLAIM.match(first)
        if cell.kind == 'text':
            text = len(cells)
        elif match:
            words = match[1].strip()
            cell = replace(cell, kind='claim', source=source, words=words)
            _check(chapter, cell)
            prose = '' if text is None else cells[text].source
            said = r'\s+'.join(map(re.escape, words.split())) + '[.,;:!?)]*'
            found = [match for match in re.finditer(said, prose) if words]
            if len(found) != 1:
                told = f'the words of this claim, "{words}", stand '
                told += f'{len(found)} times in the text before it, not once'
                raise chapter.error(cell.line, told)
            end = found[0].end()
            title = re.sub(r'[\W_]', lambda m: f'&#{ord(m[0])};', source)
            sign = MARK.format(id=_id(chapter, cell), title=title)
            prose = prose[:end] + sign + prose[end:]
            cells[text] = replace(cells[text], source=prose)
        cells.append(cell)
    return replace(chapter, cells=tuple(cells))


def refute(chapter, claims):
    """Mark the words of claims that do not hold by a cross."""
    ids = '|'.join(re.escape(_id(chapter, claim)) for claim in claims)
    sign = re.compile(rf'(id="(?:{ids})" title="[^"]*">)✓')
    cells = [
        replace(cell, source=sign.sub(r'\1✗', cell.source))
        for cell in chapter.cells
    ]
    return replace(chapter, cells=tuple(cells))


def unmark(text):
    """A text without the marks, for claims that were not held to anything."""
    return re.sub(r'<sup class="claim" .*?</sup>', '', text)


def _id(chapter, claim):
    return f'{chapter.name}-claim-{claim.line}'


def _check(chapter, cell):
    try:
        tree = ast.parse(cell.source)
    except SyntaxError as error:
        line = cell.at((error.lineno or 1) + 1)
        told = f'this claim does not parse: {error.msg}'
        raise chapter.error(line, told) from None
    if not any(isinstance(node, ast.Assert) for node in ast.walk(tree)):
        raise chapter.error(cell.line, 'this claim asserts nothing')


def with_values(source):
    """Let the assertions of a claim tell what they found if they fail.

    Args:
        source: of the claim.

    Returns:
        str: the same, but each assertion has a message: what was asserted,
        and the values of its operands and names.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and node.msg is None:
            parts = dict.fromkeys(_parts(node.test))
            call = (
                f'__import__("{__name__}", fromlist=["x"]).values'
                f'({ast.unparse(node)!r}, {list(parts)!r}, globals())'
            )
            node.msg = ast.parse(call, mode='eval').body
    return ast.unparse(tree)


def _parts(test):
    """The operands of comparisons in a test, and all names in it."""
    nodes = list(ast.walk(test))
    for node in nodes:
        if isinstance(node, ast.Compare):
            for operand in (node.left, *node.comparators):
                if not isinstance(operand, ast.Constant):
                    yield ast.unparse(operand)
    yield from sorted(node.id for node in nodes if isinstance(node, ast.Name))


def values(assertion, parts, namespace):
    """Tell what was asserted, and what was found.

    Args:
        assertion: its source.
        parts: expressions.
        namespace: where to evaluate them; those with other names (of a loop
            inside the assertion) are left out.

    Returns:
        str: a line for the assertion, and one for each value.
    """
    short = reprlib.Repr()
    short.maxlist = short.maxtuple = short.maxdict = 12
    short.maxstring = short.maxother = 160
    lines = [assertion]
    for part in parts:
        try:
            value = eval(part, dict(namespace))
        except Exception:  # Only the assertion itself has to make sense
            continue
        if not (callable(value) or isinstance(value, types.ModuleType)):
            lines.append(f'    {part} is {short.repr(value)}')
    return '\n'.join(lines)
