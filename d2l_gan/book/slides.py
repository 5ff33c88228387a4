"""Makes a deck of slides a chapter, from d2l's marks in its text.

[**These words**] begin a slide, (**these**) go on with it; [~~these~~] and
(~~these~~) are on slides only. What stands in [~~ ~~] is the slide's title,
else that is its section's. If there is a mark in the last paragraph before it,
code is shown: without docstrings, and not at all where something is drawn. If
it is too long for a slide, what it prints is shown alone.
"""

import ast
import contextlib
import functools
import html
import itertools
import pathlib
import re
import shutil
import sys
import urllib.parse

from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from d2l_gan.book import marks
from d2l_gan.book.conf import MATHJAX
from d2l_gan.book.read import BookError, Cell
from d2l_gan.book.references import References
from d2l_gan.book.render import swap
from d2l_gan.support.files import drafted, write_text

__all__ = ['slides']

STATIC = pathlib.Path(__file__).parent / 'static'
ROOM = 21  # lines of code, and of what it printed, that a slide can show
BULLET = re.compile(r'^(?:[-*+]|\d+[.)]) +\Z', re.M)
# Notebooks link to places; a deck has none, and links to other decks.
HERE_LINK = re.compile(r'\[([^]]*)\]\(#[^)]*\)')
LINK = re.compile(r'\]\(([^)\s]*)\.ipynb#[^)]*\)')
CLAUSE = re.compile(r'[,;](?=(?:<sup [^>]*>.</sup>)?\Z)')
IMAGES = {'image/svg+xml': '', 'image/png': ';base64'}
FORMATTER = HtmlFormatter(noclasses=True, style='friendly', nobackground=True)
FIRST = '<section class="title"><p>Chapter {}</p><h1>{}</h1><p>{}</p>'


def slides(book, outputs, build, reveal, out=sys.stderr):
    """Write `build/slides`: decks, and a page that lists them.

    A chapter without a mark has none.

    Args:
        book: a `Book`.
        outputs: the name of each chapter -> the outputs of its cells.
        build: the folder to write to.
        reveal: a folder in which reveal.js lies, at any depth.
        out: where progress is printed.

    Raises:
        BookError: if there is no reveal.js.
    """
    script = next(reveal.rglob('dist/reveal.js'), None)
    if script is None:
        raise BookError(f'{reveal}: no reveal.js lies here: try `make slides`')
    works = References(book.folder / 'references.bib')
    cite = functools.partial(works.cite, link=lambda words, key: words)
    numbers, contents = marks.number(book), []
    page = (STATIC / 'slides.html').read_text(encoding='utf-8')
    build.mkdir(parents=True, exist_ok=True)
    with drafted(build, is_folder=True) as draft:
        folder = draft / 'slides'
        folder.mkdir()
        styles = script.with_suffix('.css'), STATIC / 'slides.css'
        for file in (script, *styles, MATHJAX):
            shutil.copy(file, folder)
        if (book.folder / 'img').is_dir():
            shutil.copytree(book.folder / 'img', folder / 'img')
        for number, chapter in enumerate(book.chapters, 1):
            found = _slides(chapter, outputs[chapter.name])
            if not found:
                continue
            title, name = html.escape(chapter.title), f'{chapter.name}.html'
            deck = [FIRST.format(number, title, html.escape(book.title))]
            for heading, parts in found:
                heading = MARKDOWN.renderInline(heading)
                deck.append(f'</section>\n<section><h2>{heading}</h2>')
                for part in parts:
                    if isinstance(part, Cell):
                        text = marks.write(chapter, part, numbers, cite, False)
                        text = HERE_LINK.sub(r'\1', text)
                        text = LINK.sub(r'](\1.html)', text)
                        part = MARKDOWN.render(text)
                    deck.append(part)
            text = page.replace('{title}', title)
            text = text.replace('{root}', '../' * chapter.name.count('/'))
            text = text.replace('{slides}', '\n'.join(deck))
            write_text(folder / name, text)
            contents.append(f'<li><a href="{name}">{title}</a></li>')
            print(f'{name}: {len(found) + 1} slides', file=out)
        contents = f'<meta charset="utf-8"><ol>{"".join(contents)}</ol>'
        write_text(folder / 'index.html', f'<!doctype html>{contents}')
        swap(folder, build / 'slides')


def _slides(chapter, outputs):
    """Pairs of a title and of text cells and HTML, one for each slide."""
    found, outputs, is_marked = [], iter(outputs), False
    for kind, cells in itertools.groupby(chapter.shown, lambda x: x.kind):
        if kind == 'code':
            pairs = list(zip(cells, outputs))
            if is_marked:
                found[-1][1].append(_code(pairs))
            continue
        for cell in cells:
            is_marked = _text(chapter, cell, found)
    return found


def _text(chapter, cell, found):
    """Put what is marked in a text on slides; tell if its end is marked."""
    headings, end = list(chapter.tokens('heading_open')), 0
    for match in marks.SLIDE.finditer(cell.source):
        if match['fence'] or match['code']:
            continue
        gap, text = cell.source[end : match.start()], match[0][3:-3]
        line = cell.at(cell.source.count('\n', 0, match.start()) + 1)
        begins, is_first = match[0][0] == '[', not end
        end = match.end()
        if begins or not found:
            titles = [x.content for at, x in headings if at <= line]
            is_title = match[0][1] == '~'
            title = [chapter.title, *titles][-1]
            found.append((text if is_title else title, []))
            if is_title:
                continue
        parts, before = found[-1][1], ''
        if parts and not begins and not is_first:
            before = parts.pop().source + ('\n\n' if '\n\n' in gap else ' ')
        if BULLET.search(gap):
            before = f'{before.rstrip()}\n{BULLET.search(gap)[0]}'
        # It may have been a part of a sentence, and now stands alone.
        text = CLAUSE.sub('.', re.sub(r'[.,]\$\$\Z', '$$', text))
        if not re.search(r'\w\s\Z', before):
            text = text[0].upper() + text[1:]
        parts.append(Cell('text', before + text, (line,)))
    return end and '\n\n' not in cell.source[end:].rstrip()


def _code(cells):
    """The HTML of code and its outputs, as far as slides show them.

    Args:
        cells: pairs of a cell and its outputs.
    """
    drawn, told, below = [], [], []
    for cell, outputs in cells:
        figures, printed = [], ''
        for output in outputs:
            data = output.get('data', {})
            kind = next((kind for kind in IMAGES if kind in data), None)
            if 'text/html' in data:
                figures.append(f'<div>{data["text/html"]}</div>')
            elif kind:
                image = urllib.parse.quote(data[kind], safe='/+=')
                image = f'data:{kind}{IMAGES[kind]},{image}'
                alt = html.escape(cell.words)
                figures.append(f'<img alt="{alt}" src="{image}">')
            elif output.get('name') != 'stderr':
                printed += output.get('text') or data.get('text/plain', '')
        printed = printed.strip('\n').splitlines()
        drawn += figures
        below += printed
        if not cell.source.startswith('%'):  # which gets the page ready
            told.append([_without_docstrings(cell.source), printed])
    while sum(len(part) for pair in told for part in pair) > ROOM:
        longest = max(told, key=lambda pair: len(pair[0]))
        if not longest[0]:
            break
        longest[0] = []
    if drawn:
        below = below if len(below) <= ROOM // 2 else []
        return f'<div class="drawn">{"".join(drawn)}</div>{_box([], below)}'
    return ''.join(_box(*pair) for pair in told)


def _without_docstrings(source):
    source = re.sub(r'\A#\s*@save\s+', '', source)
    lines, found = source.split('\n'), []
    with contextlib.suppress(SyntaxError):  # of IPython's own
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                first = node.body[0]
                if ast.get_docstring(node) and len(node.body) > 1:
                    found.append((first.lineno - 1, first.end_lineno))
    for first, last in sorted(found, reverse=True):
        del lines[first:last]
    return lines


def _box(source, printed):
    """The HTML of code and of what it printed, if there are any."""
    lines = [*source, *printed]
    if not lines:
        return ''
    # The page makes it smaller where it has to.
    size = min(26, max(15, 1880 // max(map(len, lines))))
    code = highlight('\n'.join(source), PythonLexer(), FORMATTER)
    told = html.escape('\n'.join(printed))
    box = f'<div class="code" style="font-size: {size}px">'
    return f'{box}{code if source else ""}<pre>{told}</pre></div>'


def _formula(text, options):
    left, right = (r'\[', r'\]') if options['display_mode'] else (r'\(', r'\)')
    return html.escape(f'{left}{text}{right}')


MARKDOWN = MarkdownIt('commonmark').enable('table')
MARKDOWN.use(dollarmath_plugin, double_inline=True, renderer=_formula)
