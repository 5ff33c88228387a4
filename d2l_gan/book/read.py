"""Reads a book written in d2l markdown."""

import configparser
import pathlib
import re
from dataclasses import dataclass

from d2l_gan.book import claims
from d2l_gan.book.markdown import parse

__all__ = ['Book', 'BookError', 'Cell', 'Chapter', 'read_book', 'read_chapter']

CODE = re.compile(r'{(?=[^}]*\.python\b)[^}]*\.input\b')
TAB = re.compile(r'^\s*(?:#\s*@tab|%%tab)\s+([\w, ]+)', re.M)
SELECTED = re.compile(r'\s*if\b.*\btab\.selected\(')
ALT = re.compile(r'# *@alt\b[ :]*(.*)')
MORE = re.compile(r'# {2,}(.*)')


class BookError(Exception):
    """Something in the book is wrong; the message names file and line."""


@dataclass(frozen=True)
class Cell:
    """A piece of a chapter: its kind ('text', 'code' or 'claim') and source.

    `lines` are the numbers that the lines of `source` have in the file,
    counted from 1: what stands there for another framework is left out here.
    (A claim's begin with that of its mark, which is no part of its source.)
    `words` are those that a claim is about, and those that say what is to be
    seen in the pictures that code draws.
    """

    kind: str
    source: str
    lines: tuple
    words: str = ''

    @property
    def line(self):
        return self.at(1)

    def at(self, line):
        """The line of the file that a line of the source (from 1) is."""
        return self.lines[min(line, len(self.lines)) - 1]


def _cells(*kinds):
    """A property of a chapter: its cells of these kinds."""
    return property(lambda self: [x for x in self.cells if x.kind in kinds])


@dataclass(frozen=True)
class Chapter:
    """A file in d2l markdown, cut into cells.

    `name` is that of the table of contents: the path within the book, without
    a suffix.
    """

    path: pathlib.Path
    name: str
    cells: tuple

    text = _cells('text')
    code = _cells('code')
    claims = _cells('claim')
    program = _cells('code', 'claim')  # what is run
    shown = _cells('code', 'text')  # what readers see

    @property
    def title(self):
        headings = self.tokens('heading_open')
        titles = (token.content for _, token in headings if token.tag == 'h1')
        return next(titles, self.name)

    def tokens(self, kind):
        """Pairs of the line and the token, for all of a kind in the text."""
        for cell in self.text:
            for token in parse(cell.source):
                if token.type == kind and token.level == 0:
                    yield cell.at(token.map[0] + 1), token

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
        alone: the names of chapters that time what they do.
    """

    folder: pathlib.Path
    index: Chapter
    chapters: list
    title: str
    author: str
    library: pathlib.Path
    modules: dict
    alone: tuple


def read_book(folder):
    """Read the book in `folder`.

    Args:
        folder: has `config.ini` (`[project]` with `title`, `author` and
            `library`, the package's folder relative to this one, and perhaps
            `alone`, the names of chapters that time what they do; `[modules]`
            with `chapter = module` lines), and `index.md` with a d2l
            table of contents (a fence ```` ```toc ````).

    Returns:
        Book

    Raises:
        BookError: if a file is missing or malformed.
    """
    folder = pathlib.Path(folder)
    path = folder / 'config.ini'
    config = configparser.ConfigParser(interpolation=None)
    config.optionxform = str  # chapters' names keep their case
    try:
        config.read_string(_text(path))
        project = config['project']
        title, author = project['title'], project['author']
        alone = tuple(project.get('alone', '').split())
        library = (folder / project['library']).resolve()
    except (configparser.Error, KeyError) as error:
        raise BookError(f'{path}: {error}') from error
    modules = dict(config['modules']) if 'modules' in config else {}
    if len(set(modules.values())) < len(modules):
        raise BookError(f'{path}: two chapters cannot have one module')
    index = read_chapter(folder / 'index.md')
    names = _contents(index)
    chapters = [read_chapter(folder / f'{name}.md', name) for name in names]
    return Book(
        folder, index, chapters, title, author, library, modules, alone
    )


def _text(path):
    try:
        return path.read_text(encoding='utf-8-sig')
    except (OSError, UnicodeDecodeError) as error:
        raise BookError(f'{path}: cannot be read: {error}') from error


def _contents(index):
    """The names of the chapters that an index lists."""
    fences = [token for _, token in index.tokens('fence')]
    tables = [x.content for x in fences if x.info.strip() == 'toc']
    if len(tables) != 1:
        told = 'a book has one ```toc block, that lists the chapters'
        raise index.error(1, f'{told}, and here are {len(tables)}')
    return re.findall(r'^\s*([^:\s].*?)(?:\.md)?\s*$', tables[0], re.M)


def read_chapter(path, name=None):
    """Cut a file in d2l markdown into cells.

    Code stands in fences ```` ```{.python .input} ````. Cells, blocks and
    branches (`if tab.selected('pytorch'):`) for another framework's tab than
    `mxnet` or `all` are left out, as d2l's own tools do. So is a comment
    `#@alt WORDS` with the lines that go on with it (`#    MORE WORDS`).

    Args:
        path: a markdown file.
        name: of the chapter; that of the file, if `None`.

    Returns:
        Chapter

    Raises:
        BookError: if the file cannot be read, or a fence, a tab's block or a
            comment is never closed.
    """
    path = pathlib.Path(path)
    text = _text(path)
    lines = list(enumerate(text.split('\n'), 1))
    cells, pending, position, tab = [], [], 0, None
    for token in [*parse(text), None]:
        if token and not _is_border(path, token, lines):
            continue
        first, last = token.map if token else (len(lines), None)
        ours = not tab or _ours(tab.content)
        pending += lines[position:first] if ours else []
        position = last
        if token and token.type == 'mark':
            tab = token if token.info == 'begin_tab' else None
            continue
        cells += _cell('text', pending)
        pending = []
        if token and ours:
            cells += _cell('code', lines[first + 1 : last - 1])
    if tab:
        raise BookError(f'{path}:{tab.map[0] + 1}: this tab is never closed')
    return claims.mark(Chapter(path, name or path.stem, tuple(cells)))


def _is_border(path, token, lines):
    """Whether a cell or a tab's block begins or ends with a token."""
    if token.level or token.type not in ('fence', 'html_block', 'mark'):
        return False
    first, last = token.map
    closing, closed = lines[last - 1][1].strip(), True
    if token.type == 'fence':
        closed = last - first > 1 and not closing.strip(token.markup[0])
        closed = closed and closing.startswith(token.markup)
    elif token.content.startswith('<!--'):
        closed = '-->' in token.content
    if not closed:
        raise BookError(f'{path}:{first + 1}: this block is never closed')
    if token.type == 'mark':
        return token.info.endswith('_tab')
    return token.type == 'fence' and bool(CODE.match(token.info.strip()))


def _ours(tabs):
    return bool({'mxnet', 'all'} & set(re.findall(r'\w+', tabs.lower())))


def _cell(kind, lines):
    """A list of the one cell of these lines; empty if it is, or not ours."""
    text, words = '\n'.join(line for _, line in lines), ''
    if kind == 'code':
        tab = TAB.search(text)
        if '%load_ext d2lbook.tab' in text or (tab and not _ours(tab[1])):
            return []
        lines, words = _described(_selected(lines))
    filled = [i for i, (_, line) in enumerate(lines) if line.strip()]
    if not filled:
        return []
    numbers, lines = zip(*lines[filled[0] : filled[-1] + 1])
    return [Cell(kind, '\n'.join(lines).rstrip(), numbers, words)]


def _described(lines):
    """The lines of code without its `#@alt`, and the words of that."""
    words, kept, begun = [], [], False
    for number, line in lines:
        match = ALT.match(line) or (begun and MORE.match(line))
        begun = bool(match)
        if match:
            words.append(match[1].strip())
        else:
            kept.append((number, line))
    return kept, ' '.join(words)


def _selected(lines):
    """The lines of code without marks of tabs, and branches but ours."""
    kept, branch = [], None
    for number, line in lines:
        if TAB.match(line):
            continue
        indent = len(line) - len(line.lstrip())
        if branch and line.strip() and indent <= branch[0]:
            branch = None
        if SELECTED.match(line):
            branch = indent, _ours(line.partition('selected')[2])
        elif branch is None or branch[1]:
            kept.append((number, line[4:] if branch else line))
    return kept
