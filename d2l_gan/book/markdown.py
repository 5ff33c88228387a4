"""Parses d2l markdown: Markdown, and d2l's marks and equations as blocks.

The cells, the sections and the marks of a chapter are all read from these
tokens, so that what one of them takes for code, comment or text, all do.
"""

import functools
import re

__all__ = ['INLINE_MARKS', 'parse']

MARK = re.compile(r':([\w-]+(?=:`)|\w+_tab):(?:(`{1,2})([^`]+)\2)?\s*$')
INLINE_MARKS = {'cite', 'citep', 'citet', 'eqref', 'numref', 'ref'}
EQUATION = re.compile(
    r'(?ms)\$\$((?:(?!\$\$).)+)\$\$[ \t]*(?::eqlabel:`([^`]+)`)?[ \t]*$'
)


@functools.cache
def parse(text):
    """The tokens of markdown-it for a text, those of d2l among them.

    A token `mark` is a line that is a mark and nothing else (its name in
    `info`, its value in `content`), or the label behind an equation. A token
    `equation` is one in double dollars. What opens a paragraph or a heading
    has its `content` and `children`.
    """
    tokens = _parser().parse(text)
    for token, inline in zip(tokens, tokens[1:]):
        if inline.type == 'inline':
            token.content, token.children = inline.content, inline.children
    return tokens


@functools.cache
def _parser():
    # Here, so that the command line can say which package is missing.
    from markdown_it import MarkdownIt

    parser = MarkdownIt('commonmark').enable('table')
    for name, rule in (('mark', _mark), ('equation', _equation)):
        # What they end: a table takes the word of a quotation for it.
        ends = ['paragraph', 'reference', 'blockquote', 'list']
        parser.block.ruler.before('table', name, rule, {'alt': ends})
    return parser


def _mark(state, line, end, silent):
    start = state.bMarks[line] + state.tShift[line]
    match = MARK.match(state.src[start : state.eMarks[line]])
    if not match or state.is_code_block(line) or match[1] in INLINE_MARKS:
        return False
    if not silent:
        _push(state, 'mark', line, line + 1, match[1], match[3] or '')
    return True


def _equation(state, line, end, silent):
    start = state.bMarks[line] + state.tShift[line]
    if not state.src.startswith('$$', start) or state.is_code_block(line):
        return False
    text = state.getLines(line, end, state.blkIndent, False).lstrip()
    match = EQUATION.match(text)
    if match and not silent:
        last = line + match[0].count('\n') + 1
        _push(state, 'equation', line, last, '', match[1])
        if match[2]:
            _push(state, 'mark', last, last, 'eqlabel', match[2])
    return bool(match)


def _push(state, kind, first, last, info, content):
    token = state.push(kind, '', 0)
    token.map, token.info, token.content = [first, last], info, content
    state.line = last
