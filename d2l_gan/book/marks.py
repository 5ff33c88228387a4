"""d2l's marks (`:label:`, `:numref:`, `:cite:` ...) in other languages.

A chapter's text becomes MyST for the pages, where Sphinx resolves the
references, and plain markdown for the notebooks, where they are resolved here.
"""

import re
from dataclasses import dataclass

from d2l_gan.book.read import BookError

__all__ = ['Numbers', 'myst', 'number', 'plain']

BLOCK = re.compile(
    r"""
    ^(?P<ticks>`{3,})(?P<info>.*)\n(?P<body>(?:.*\n)*?)(?P=ticks)`*[ ]*$
  | ^(?P<hashes>\#{1,6})[ ]+(?P<title>.+?)[ ]*$(?P<title_marks>{marks})
  | ^!\[(?P<alt>.*?)\]\((?P<image>[^)\s]+)\)[ ]*$(?P<image_marks>{marks})
  | ^:(?P<caption>[^\s:`][^\n]*?)[ ]*$(?P<table_marks>{marks})
    \s*\n(?P<table>(?:\|.*(?:\n|$))+)
  | ^\$\$(?P<math>[^$]+)\$\$[ ]*$(?P<math_marks>{marks})
""".replace('{marks}', r'(?:\s*\n:(?:label|width|eqlabel):`[^`]+`[ ]*$)*'),
    re.M | re.X,
)
MARK = re.compile(r':(label|width|eqlabel):`([^`]+)`')
INLINE = re.compile(
    r'(?P<code>(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`))'
    r'|:(?P<role>cite|citet|numref|ref|eqref):`(?P<target>[^`]+)`',
    re.S,
)


@dataclass
class Numbers:
    """What each label of the book is called, and where it is.

    Attributes:
        text: label -> 'Section 1.2', 'Figure 1.1', '(1.3)' ...
        title: label -> the title of a section.
        page: label -> the name of its chapter.
        sections: (chapter, title) -> '1.2', for every section.
    """

    text: dict
    title: dict
    page: dict
    sections: dict


def number(book):
    """Number every labelled thing of a book as Sphinx numbers it.

    Chapters and their sections count as 1, 1.1, 1.1.1; figures, tables
    and equations within a chapter.

    Args:
        book: a `Book`.

    Returns:
        Numbers

    Raises:
        BookError: if a label stands twice.
    """
    numbers = Numbers({}, {}, {}, {})
    for first, chapter in enumerate(book.chapters, 1):
        sections = [first - 1]
        counts = {'Figure': 0, 'Table': 0, '': 0}
        for cell in chapter.text:
            for block in BLOCK.finditer(cell.source):
                kind, marks = _kind(block)
                if kind == 'Section':
                    level = len(block['hashes'])
                    sections = sections[:level] + [0] * (level - len(sections))
                    sections[-1] += 1
                    value = '.'.join(map(str, sections))
                    numbers.sections[chapter.name, block['title']] = value
                elif kind is None or (kind == '' and 'eqlabel' not in marks):
                    continue
                else:
                    counts[kind] += 1
                    value = f'{first}.{counts[kind]}'
                label = marks.get('label') or marks.get('eqlabel')
                if label is None:
                    continue
                if label in numbers.text:
                    line = cell.line + cell.source.count('\n', 0, block.end())
                    raise chapter.error(
                        line, f'the label {label} stands twice in the book'
                    )
                numbers.text[label] = (
                    f'{kind} {value}' if kind else f'({value})'
                )
                numbers.title[label] = block['title']
                numbers.page[label] = chapter.name
    return numbers


def _kind(block):
    """What a block is called in references, and the marks behind it."""
    for group, kind in (
        ('title', 'Section'),
        ('image', 'Figure'),
        ('table', 'Table'),
        ('math', ''),
    ):
        if block[group] is not None:
            return kind, dict(MARK.findall(block[f'{group}_marks']))
    return None, {}


def _rewrite(source, on_block, on_role):
    """Rewrite blocks and inline roles; fences and code spans stay."""

    def inline(text):
        return INLINE.sub(
            lambda m: m[0] if m['code'] else on_role(m['role'], m['target']),
            text,
        )

    parts, end = [], 0
    for block in BLOCK.finditer(source):
        kind, marks = _kind(block)
        parts.append(inline(source[end : block.start()]))
        parts.append(
            block[0] if kind is None else on_block(kind, block, marks, inline)
        )
        end = block.end()
    return ''.join(parts) + inline(source[end:])


def myst(chapter, cell):
    """The text of a cell in MyST.

    Citations carry the chapter's name, since every page has its own list.
    """
    roles = {'numref': 'numref', 'ref': 'ref', 'eqref': 'eq'}

    def on_role(role, target):
        if role in roles:
            return f'{{{roles[role]}}}`{target}`'
        keys = ','.join(
            f'{chapter.name}-{key.strip()}' for key in target.split(',')
        )
        return f'{{cite:{"t" if role == "citet" else "p"}}}`{keys}`'

    def on_block(kind, block, marks, inline):
        label = marks.get('label')
        if kind == 'Section':
            target = f'({label})=\n' if label else ''
            return f'{target}{block["hashes"]} {inline(block["title"])}'
        if kind == 'Figure':
            options = {
                'name': label,
                'width': marks.get('width'),
                'align': 'center',
                'alt': re.sub(r'[$`*\\]', '', block['alt']),
            }
            return _directive(
                'figure', block['image'], options, inline(block['alt'])
            )
        if kind == 'Table':
            return _directive(
                'table',
                inline(block['caption']),
                {'name': label},
                block['table'].rstrip(),
            )
        return _directive(
            'math', '', {'label': marks.get('eqlabel')}, block['math'].strip()
        )

    return _rewrite(cell.source, on_block, on_role)


def _directive(name, argument, options, body):
    options = ''.join(
        f':{key}: {value}\n' for key, value in options.items() if value
    )
    return f'```{{{name}}} {argument}'.rstrip() + f'\n{options}\n{body}\n```'


def plain(chapter, cell, numbers, cite):
    """The text of a cell in markdown that any Jupyter shows.

    Args:
        chapter, cell: the text.
        numbers: the book's `Numbers`.
        cite: called with a list of keys and whether the authors are part of
            the sentence; gives the citation's text.

    Raises:
        BookError: if a label that is referred to stands nowhere.
    """

    def on_role(role, target):
        if role.startswith('cite'):
            return cite(
                [key.strip() for key in target.split(',')], role == 'citet'
            )
        if target not in numbers.text:
            raise BookError(
                f'{chapter.path}: :{role}:`{target}` refers to a '
                'label that stands nowhere in the book'
            )
        if role == 'ref' and numbers.title[target]:
            text = numbers.title[target]
        else:
            text = numbers.text[target]
        page = numbers.page[target]
        return text if page == chapter.name else f'[{text}]({page}.ipynb)'

    def on_block(kind, block, marks, inline):
        label = marks.get('label')
        if kind == 'Section':
            value = numbers.sections[chapter.name, block['title']]
            return f'{block["hashes"]} {value} {inline(block["title"])}'
        called = f'**{numbers.text[label]}:** ' if label else ''
        if kind == 'Figure':
            alt = re.sub(r'[$`*\\]', '', block['alt'])
            return (
                f'![{alt}]({block["image"]})\n\n{called}{inline(block["alt"])}'
            )
        if kind == 'Table':
            return f'{called}{inline(block["caption"])}\n\n{block["table"]}'
        tag = numbers.text.get(marks.get('eqlabel'), '')
        tag = rf' \tag{{{tag[1:-1]}}}' if tag else ''
        return f'$$\n{block["math"].strip()}{tag}\n$$'

    return _rewrite(cell.source, on_block, on_role)
