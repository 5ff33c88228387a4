"""Solutions, which stand in files of their own and are shown folded.

`solutions/NAME.md` is run by itself, as chapters are. Readers find its section
`## Exercise N` behind the Nth exercise of the chapter NAME.
"""

import base64
import html
import itertools
import re
from dataclasses import replace

from d2l_gan.book import claims, marks
from d2l_gan.book.markdown import parse
from d2l_gan.book.pictures import described
from d2l_gan.book.read import read_chapter

__all__ = ['fold', 'read_solutions', 'write']

TITLE = re.compile(r'([\d.]+ )?Exercises$')
FOLDED = """\
<details class="solution">
<summary>{}</summary>

{}

</details>"""
PICTURES = 'image/svg+xml', 'image/png'


def read_solutions(book):
    """Read the solutions of a book's exercises.

    Args:
        book: a `Book`. The exercises are the items of the numbered lists in
            the sections with this title.

    Returns:
        list: a `Chapter` for each file in the folder `solutions`.

    Raises:
        BookError: if a file cannot be read, or is that of no chapter; if its
            sections are not the exercises of its chapter, one by one.
    """
    folder, found = book.folder / 'solutions', []
    chapters = {chapter.name: chapter for chapter in book.chapters}
    for path in sorted(folder.rglob('*.md')):
        name = path.relative_to(folder).with_suffix('').as_posix()
        solution = read_chapter(path, f'solutions/{name}')
        if name not in chapters:
            raise solution.error(1, f'the book has no chapter {name}')
        _compare(chapters[name], solution)
        found.append(solution)
    return found


def _compare(chapter, solution):
    exercises = [
        cell.at(token.map[0] + 1)
        for cell in chapter.text
        for token in _exercises(cell.source)
    ]
    sections = [
        (line, token.content)
        for line, token in solution.tokens('heading_open')
        if _begins(token)
    ]
    pairs = itertools.zip_longest(exercises, sections)
    for number, (exercise, section) in enumerate(pairs, 1):
        if not section:
            told = f'this exercise has no solution in {solution.path}'
            raise chapter.error(exercise, told)
        line, title = section
        if not exercise:
            told = f'{chapter.path} has only {len(exercises)} exercises'
            raise solution.error(line, told)
        if title != f'Exercise {number}':
            told = f'this section is to be `Exercise {number}`, not `{title}`'
            raise solution.error(line, told)


def _exercises(text):
    """The tokens of a text's exercises."""
    inside = False
    for token in parse(text):
        if token.type == 'heading_open' and token.level == 0:
            inside = bool(TITLE.match(token.content))
        elif inside and token.type == 'list_item_open' and token.level == 1:
            # Those of numbered lists have their number there.
            yield from [token] if token.info else []


def _begins(token):
    """Whether the solution of an exercise begins with a token."""
    heading = token.type == 'heading_open' and token.level == 0
    return heading and token.content.startswith('Exercise ')


def write(solution, outputs, numbers, cite, page):
    """Write solutions in MyST, or in markdown that any Jupyter shows.

    Args:
        solution: a `Chapter` of `read_solutions`.
        outputs: of its cells; `None` if they are unknown. Then nothing is said
            to be checked.
        numbers, cite, page: as `marks.write` has them.

    Returns:
        list: what stands before the first section, and the sections, without
        their titles.

    Raises:
        BookError: as `marks.write` and `pictures.described` do.
    """
    # References are seen from the chapter's page.
    own = replace(solution, name=solution.name.partition('/')[2])
    # But its sections are not the chapter's, which may be on the same lines.
    numbers = replace(numbers, sections={})
    parts, found = [], iter(outputs or ())
    for cell in solution.shown:
        if cell.kind == 'code':
            parts += [f'```python\n{cell.source}\n```']
            parts += [
                _output(described(solution, cell, output), cell.words)
                for output in next(found, ())
            ]
        else:
            parts += [marks.write(own, cell, numbers, cite, page)]
    text = '\n\n'.join(parts)
    lines = (claims.unmark(text) if outputs is None else text).split('\n')
    sections = [[]]
    position = 0
    for token in parse(text):
        if token.type == 'heading_open' and token.tag in ('h1', 'h2'):
            sections[-1] += lines[position : token.map[0]]
            sections += [[]] if _begins(token) else []
            position = token.map[1]
    sections[-1] += lines[position:]
    return ['\n'.join(section).strip() for section in sections]


def _output(output, words):
    """An output of a cell, in markdown; the words are for its pictures."""
    data = output.get('data', {})
    for kind in PICTURES:
        if kind in data:
            found = ''.join(data[kind].split('\n'))
            if kind == 'image/svg+xml':
                found = base64.b64encode(data[kind].encode()).decode()
            alt = html.escape(words)
            return f'<img alt="{alt}" src="data:{kind};base64,{found}">'
    text = output.get('text') or data.get('text/plain', '')
    return f'```text\n{text.rstrip()}\n```'


def fold(text, sections):
    """Put solutions behind the exercises of a text, for readers to unfold.

    Args:
        text: as `marks.write` gives it.
        sections: as `write` gives them.

    Returns:
        str: the same, if the text has no exercises.
    """
    lines, places = text.split('\n'), list(_exercises(text))
    for token, section in reversed([*zip(places, sections[1:])]):
        first, last = token.map
        while not lines[last - 1].strip():
            last -= 1
        indent = ' ' * len(marks.PREFIX.match(lines[first])[0])
        lines[last:last] = ['', *_folded('Solution', section, indent), '']
    if places and sections[0]:
        first = places[0].map[0]
        told = 'What the code of the solutions needs'
        lines[first:first] = [*_folded(told, sections[0]), '']
    return '\n'.join(lines)


def _folded(title, text, indent=''):
    lines = FOLDED.format(title, text).split('\n')
    return [f'{indent}{line}'.rstrip() for line in lines]
