"""d2l's marks (`:label:`, `:numref:`, `:cite:` ...) in other languages.

A chapter's text becomes MyST for the pages and plain markdown for the
notebooks. What is numbered is numbered here, for both.
"""

import collections
import itertools
import json
import re
import urllib.parse
from dataclasses import dataclass, field
from os.path import dirname, relpath

from d2l_gan.book.markdown import INLINE_MARKS, parse

__all__ = ['REFERENCES', 'TIMES', 'Numbers', 'number', 'write']

REFERENCES = '\0references\0'  # stands where the list of works is to stand
TIMES = '\0times\0'  # and where the chapters' times are
CODE = (
    r'(?P<code>(?P<ticks>`+)(?!`)(?:(?!\n\s*\n).)+?(?<!`)(?P=ticks)(?!`)'
    r'|<!--.*?-->)|'
)
ROLE = re.compile(
    r':(?P<role>[\w-]+):(?P<quote>`{1,2})(?P<target>[^`]+)(?P=quote)'
)
INLINE = re.compile(CODE + ROLE.pattern, re.S)
# What d2l shows on slides: (**this**), [**this**], and only there (~~this~~).
SLIDE = re.compile(
    r'(?P<fence>^(?P<wall>`{3,}).*?^(?P=wall))|'
    + CODE
    + r'\[\*\*((?:(?!\[\*\*).)+?)\*\*\](?!\()|\(\*\*((?:(?!\(\*\*).)+?)\*\*\)'
    r'|\[~~.+?~~\]|\(~~.+?~~\)',
    re.S | re.M,
)
PREFIX = re.compile(r'(?:[ >]|[-*+] |\d+[.)] )*')
BEHIND = {
    'label': ('Section', 'Figure', 'Table'),
    'width': ('Figure',),
    'height': ('Figure',),
    'eqlabel': ('Equation',),
}
FENCES = {'toc': '{toctree}', 'eval_rst': '{eval-rst}'}


@dataclass
class Block:
    """A part of a text that is more than inline markup.

    `kind` is 'Section', 'Figure', 'Table', 'Equation', 'References' or 'Code'
    (a fence or comment). `text` is its title, caption, formula or language;
    `body` its level, file or rows. Its lines in the text are `first` to
    `last`, from 0, its marks among them; `line` is the first in the file.
    """

    kind: str
    text: str
    body: object
    first: int
    last: int
    line: int
    label: str = ''
    sizes: dict = field(default_factory=dict)


@dataclass
class Numbers:
    """What each label of the book is called, and where it is.

    Attributes:
        text: label -> 'Section 1.2', 'Figure 1.1', '(1.3)' ...
        title: label -> the title of a section.
        page: label -> the name of its chapter.
        sections: (chapter, line of the file) -> '1.2', for every section.
    """

    text: dict
    title: dict
    page: dict
    sections: dict


def number(book):
    """Number all sections, and what is labelled, of a book.

    Chapters and their sections count as 1, 1.1, 1.1.1; figures, tables
    and equations within a chapter.

    Args:
        book: a `Book`.

    Returns:
        Numbers

    Raises:
        BookError: if a label stands twice, or a mark is where none can be.
    """
    numbers, counts = Numbers({}, {}, {}, {}), collections.Counter()
    for chapter in book.chapters:
        path = []  # the levels and numbers of the sections that are open
        blocks = (_blocks(chapter, cell)[1] for cell in chapter.text)
        for block in itertools.chain(*blocks):
            label, section, depth = block.label, block.kind == 'Section', 1
            if not (label or section):
                continue
            if section:
                path = [pair for pair in path if pair[0] < block.body]
                depth = len(path)
            within = tuple(number for _, number in path[:depth])
            counts[block.kind, within] += 1
            count = counts[block.kind, within]
            value = '.'.join(map(str, [*within, count]))
            if section:
                path.append((block.body, count))
                numbers.sections[chapter.name, block.line] = value
                numbers.title[label] = block.text
            if label in numbers.text:
                told = f'the label {label} stands twice in the book'
                raise chapter.error(block.line, told)
            if label:
                kind = block.kind if depth else 'Chapter'
                equation = kind == 'Equation'
                numbers.text[label] = (
                    f'({value})' if equation else f'{kind} {value}'
                )
                numbers.page[label] = chapter.name
    return numbers


def _blocks(chapter, cell):
    """The lines of a text, without what is for slides, and its blocks."""
    source = SLIDE.sub(
        lambda m: m['fence'] or m['code'] or m[5] or m[6] or '', cell.source
    )
    lines, blocks = source.split('\n'), []
    last = None  # the block that a mark may stand behind
    for token in parse(source):
        # What stands within a block is no other one.
        if not token.map or (blocks and token.map[0] < blocks[-1].last):
            continue
        line = cell.at(token.map[0] + 1)
        if token.type == 'mark' and token.info in BEHIND:
            if not last or last.kind not in BEHIND[token.info]:
                raise chapter.error(line, _misplaced(token.info))
            if token.info in ('label', 'eqlabel'):
                last.label = token.content
            else:
                last.sizes[token.info] = token.content
            last.last = token.map[1]
        elif token.type == 'table_open' and last and last.body is None:
            last.body = lines[slice(*token.map)]
            last.last = token.map[1]
        else:
            begun = _begun(token, lines)
            last = Block(*begun, *token.map, line) if begun else None
            blocks += [last] if last else []
    for block in blocks:
        if block.body is None:
            told = 'this caption stands before no table'
            raise chapter.error(block.line, told)
    return lines, blocks


def _begun(token, lines):
    """Kind, text and body of the block that a token begins, if it does."""
    text = token.content
    if token.type in ('fence', 'code_block', 'html_block'):
        return 'Code', token.info.strip(), ''
    if token.type == 'heading_open' and token.level == 0:
        return 'Section', text, int(token.tag[1])
    if token.type == 'equation':
        return 'Equation', text.strip(), ''
    if token.type == 'table_open':
        return 'Table', '', lines[slice(*token.map)]
    if token.type == 'mark' and token.info == 'bibliography':
        return 'References', '', ''
    if token.type == 'paragraph_open':
        if [child.type for child in token.children] == ['image']:
            image = token.children[0]
            return 'Figure', image.content, image.attrs['src']
        if text.startswith(':') and not ROLE.match(text):
            return 'Table', ' '.join(text[1:].split()), None
    return None


def _misplaced(name):
    if name not in BEHIND:
        return f'`:{name}:` is no mark that is known here'
    things = ' or '.join(BEHIND[name]).lower()
    return f'`:{name}:` belongs on a line of its own, behind a {things}'


def write(chapter, cell, numbers, cite, page):
    """The text of a cell in MyST, or in markdown that any Jupyter shows.

    Args:
        chapter, cell: the text.
        numbers: the book's `Numbers`.
        cite: called with a list of keys, whether the authors are part of the
            sentence, and the place in the chapter; gives the citation's text.
        page: whether in MyST, where what is referred to is a link's target.

    Raises:
        BookError: if a mark is unknown, or where none can be, or refers to a
            label that stands nowhere.
    """

    def on_role(match, line):
        role, target = match['role'], match['target'].strip()
        if role in ('class', 'func', 'mod'):
            return f'`{target}`'
        if role not in INLINE_MARKS:
            raise chapter.error(line, _misplaced(role))
        if role.startswith('cite'):
            keys = [key.strip() for key in target.split(',')]
            return cite(keys, role == 'citet', f'{chapter.path}:{line}')
        if target not in numbers.text:
            told = f':{role}:`{target}` refers to a label that stands nowhere'
            raise chapter.error(line, f'{told} in the book')
        title, called = numbers.title.get(target), numbers.text[target]
        text = title if title and role == 'ref' else called
        if page:
            return f'[{text}](<#{target}>)'
        name, place = numbers.page[target], target
        if title:  # Jupyter has places of its own at sections.
            place = f'{called.split()[1]} {title}'.replace(' ', '-')
        file = relpath(f'{name}.ipynb', dirname(chapter.name))
        file = '' if name == chapter.name else file
        return f'[{text}]({file}#{urllib.parse.quote(place)})'

    def inline(text, first):
        def on_match(match):
            line = cell.at(first + text.count('\n', 0, match.start()) + 1)
            return match['code'] or on_role(match, line)

        return INLINE.sub(on_match, text)

    def on_block(block, own):
        label, text = block.label, inline(block.text, block.first)
        called = numbers.text.get(label)
        place = f'({label})=\n' if page else f'<a id="{label}"></a>\n\n'
        target = place if label and (page or block.kind != 'Section') else ''
        if block.kind == 'References':
            return REFERENCES
        if block.kind == 'Code':
            return on_fence(block, own)
        if block.kind == 'Section':
            value = numbers.sections.get((chapter.name, block.line), '')
            return f'{target}{"#" * block.body} {value} {text}'
        if block.kind == 'Equation':
            tag = rf'\tag{{{called[1:-1]}}}' if called else ''
            if not (tag and page):
                text = f'{block.text} {tag}'.strip()
                return f'{target}$$\n{text}\n$$'
            # Sphinx would put the number within what it splits into lines.
            text = f'\\begin{{split}}\n{block.text}\n\\end{{split}}{tag}'
            return f'{target}\\begin{{equation*}}{text}\\end{{equation*}}'
        text = f'**{called}:** {text}' if called else text
        if block.kind == 'Table':
            rows = inline('\n'.join(block.body), block.first)
            if page and text:
                return _directive('table', text, {'name': label}, rows)
            return target + (f'{text}\n\n{rows}' if text else rows)
        alt = _spoken(block.text, numbers)
        if not page:
            return f'{target}![{alt}]({block.body})\n\n{text}'
        options = {'name': label, **block.sizes, 'align': 'center', 'alt': alt}
        file = urllib.parse.unquote(block.body)
        return _directive('figure', file, options, text)

    def on_fence(block, own):
        if block.text in ('toc', 'times') and not page:
            raise chapter.error(block.line, 'only index.md lists chapters')
        if block.text == 'times':
            return TIMES
        if block.text in FENCES and page:
            own = re.sub(r'\n\s*:numbered:.*|[ \t]+$', '', own, flags=re.M)
            return own.replace(block.text, FENCES[block.text], 1)
        # Pandoc's way to name a language, which nothing else reads
        return re.sub(r'\A(\W+){\.(\w+)[^}\n]*}', r'\1\2', own)

    lines, blocks = _blocks(chapter, cell)
    parts, end = [], 0
    for block in blocks:
        if end < block.first:
            parts.append(inline('\n'.join(lines[end : block.first]), end))
        own = '\n'.join(lines[block.first : block.last])
        prefix = '' if block.kind == 'Code' else PREFIX.match(own)[0]
        indent = re.sub('[^ >]', ' ', prefix)
        text = on_block(block, own).replace('\n', f'\n{indent}')
        parts.append(prefix + text)
        end = block.last
    if end < len(lines):
        parts.append(inline('\n'.join(lines[end:]), end))
    return '\n'.join(parts)


def _directive(name, argument, options, body):
    options = ''.join(
        f':{key}: {json.dumps(value, ensure_ascii=False)}\n'
        for key, value in options.items()
        if value
    )
    return f'```{{{name}}} {argument}'.rstrip() + f'\n{options}\n{body}\n```'


def _spoken(text, numbers):
    """A caption for those who do not see the image."""
    text = INLINE.sub(
        lambda m: m['code'] or numbers.text.get(m['target'], ''), text
    )
    return ' '.join(re.sub(r'[$`*\\]', '', text).split())
