"""Reads a book written in d2l markdown."""

import configparser
import pathlib
import re
from dataclasses import dataclass

from d2l_gan.book import claims

__all__ = ['Book', 'BookError', 'Cell', 'Chapter', 'read_book', 'read_chapter']

CODE = re.compile(r'{[^}]*\.python[^}]*\.input')
FENCE = re.compile(r'(`{3,}) *(.*?) *$')
TAB = re.compile(r'(?:# *@tab|%%tab) +([\w, ]+)$')
TAB_BLOCK = re.compile(r':(begin|end)_tab:(?:`([\w, ]+)`)?$')


class BookError(Exception):
    """Something in the book is wrong; the message names file and line."""


@dataclass(frozen=True)
class Cell:
    """A piece of a chapter: its kind ('text', 'code' or 'claim') and source.

    `line` is the line of the file that `source` begins at, counted from 1, or
    the line before a claim; `words` are those that a claim is about.
    """

    kind: str
    source: str
    line: int
    words: str = ''


@dataclass(frozen=True)
class Chapter:
    """A file in d2l markdown, cut into cells."""

    path: pathlib.Path
    cells: tuple

    @property
    def name(self):
        return self.path.stem

    @property
    def title(self):
        for cell in self.text:
            match = re.search(r'^# (.+)$', cell.source, re.M)
            if match:
                return match[1].strip()
        return self.name

    @property
    def code(self):
        return [cell for cell in self.cells if cell.kind == 'code']

    @property
    def claims(self):
        return [cell for cell in self.cells if cell.kind == 'claim']

    @property
    def program(self):
        """What is run: code and claims."""
        return [cell for cell in self.cells if cell.kind != 'text']

    @property
    def shown(self):
        """What readers see: text and code."""
        return [cell for cell in self.cells if cell.kind != 'claim']

    @property
    def text(self):
        return [cell for cell in self.cells if cell.kind == 'text']

    def error(self, line, message):
        return BookError(f'{self.path}:{line}: {message}')


@dataclass(frozen=True)
class Book:
    """A folder of chapters in their order.

    Attributes:
        folder: where `config.ini`, `index.md` and the chapters lie.
        index: the page with the table of contents.
        chapters: in the order of the table of contents.
        title, author: as `config.ini` has them.
        library: the folder of the package that the chapters are exported to.
        modules: which module each chapter's `#@save` cells go to, by name.
    """

    folder: pathlib.Path
    index: Chapter
    chapters: tuple
    title: str
    author: str
    library: pathlib.Path
    modules: dict


def read_book(folder):
    """Read the book in `folder`.

    Args:
        folder: has `config.ini` (`[project]` with `title`, `author` and
            `library`, the package's folder relative to this one; `[modules]`
            with `chapter = module` lines), and `index.md` with a d2l
            table of contents (a fence ```` ```toc ````).

    Returns:
        Book

    Raises:
        BookError: if a file is missing or malformed.
    """
    folder = pathlib.Path(folder)
    config = configparser.ConfigParser()
    config.optionxform = str  # chapters' names keep their case
    try:
        if not config.read(folder / 'config.ini', encoding='utf-8'):
            raise BookError(
                f'{folder / "config.ini"}: there is no such file; '
                'a book needs one, and an index.md'
            )
        project = config['project']
        title, author, library = (
            project[key] for key in ('title', 'author', 'library')
        )
    except (configparser.Error, KeyError) as error:
        raise BookError(f'{folder / "config.ini"}: {error}') from error
    index = read_chapter(folder / 'index.md')
    chapters = tuple(
        read_chapter(folder / f'{name}.md') for name in _contents(index)
    )
    modules = dict(config['modules']) if 'modules' in config else {}
    return Book(
        folder,
        index,
        chapters,
        title,
        author,
        (folder / library).resolve(),
        modules,
    )


def _contents(index):
    for cell in index.cells:
        match = re.search(r'^```toc\n(.*?)^```', cell.source, re.M | re.S)
        if match:
            return [
                name
                for name in match[1].splitlines()
                if name.strip() and not name.startswith(':')
            ]
    raise index.error(1, 'there is no ```toc block that lists the chapters')


def read_chapter(path):
    """Cut a file in d2l markdown into cells.

    Code stands in fences ```` ```{.python .input} ````. Cells and blocks for
    another framework's tab than `mxnet` or `all` are left out, as
    d2l's own tools do.

    Args:
        path: a markdown file.

    Returns:
        Chapter

    Raises:
        BookError: if the file cannot be read, or a fence is never closed.
    """
    path = pathlib.Path(path)
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BookError(f'{path}: cannot be read: {error}') from error
    cells, text, start, i = [], [], 1, 0
    keep = True

    def close_text():
        if ''.join(text).strip():
            cells.append(Cell('text', '\n'.join(text).strip('\n'), start))
        text.clear()

    def add_text(first, last):
        nonlocal start
        if not ''.join(text).strip():
            text.clear()
            start = first + 1
        text.extend(lines[first:last])

    while i < len(lines):
        fence, tab_block = FENCE.match(lines[i]), TAB_BLOCK.match(lines[i])
        end = i
        if tab_block:
            keep = tab_block[1] == 'end' or _ours(tab_block[2] or '')
        elif fence:
            closing = re.compile(fence[1] + '`* *$')
            end = next(
                (
                    j
                    for j in range(i + 1, len(lines))
                    if closing.match(lines[j])
                ),
                None,
            )
            if end is None:
                raise BookError(f'{path}:{i + 1}: this fence is never closed')
            if CODE.match(fence[2]):
                close_text()
                cell = _code_cell(lines[i + 1 : end], i + 2)
                if keep and cell:
                    cells.append(cell)
            elif keep:
                add_text(i, end + 1)
        elif keep:
            add_text(i, i + 1)
        i = end + 1
    close_text()
    return claims.mark(Chapter(path, tuple(cells)))


def _ours(tabs):
    return bool({'mxnet', 'all'} & {tab.strip() for tab in tabs.split(',')})


def _code_cell(lines, line):
    tab = TAB.match(lines[0]) if lines else None
    if tab:
        if not _ours(tab[1]):
            return None
        lines, line = lines[1:], line + 1
    return Cell('code', '\n'.join(lines).rstrip(), line)
