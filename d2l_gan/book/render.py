"""Makes the pages and the notebooks of a book from its chapters."""

import errno
import functools
import itertools
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys

import nbformat

from d2l_gan.book import claims, marks, solutions
from d2l_gan.book.imports import digest
from d2l_gan.book.pictures import described, embedded
from d2l_gan.book.read import BookError
from d2l_gan.book.references import References
from d2l_gan.support.files import drafted, write_text

__all__ = ['render', 'write_notebooks']

HERE = pathlib.Path(__file__).parent
FONTS = re.compile(r'<link rel="preload" as="font"[^>]*>\s*')
WORDS_PER_MINUTE = 200
SETUP = """\
# Where {package} is missing, this installs it from SOURCE: any folder, archive
# or address of it that pip takes. It needs Linux and Python 3.9 to 3.12. The
# Python of Colab is newer: choose an older runtime there, if it has one.
import importlib.util

SOURCE = '{source}'
if importlib.util.find_spec('{package}') is None:
    %pip install $SOURCE
    raise SystemExit('Now restart the kernel, and run all cells.')"""


def render(book, outputs, build, out=sys.stderr, solved=None, seconds=None):
    """Write `build/html` and `build/notebooks`, unless nothing changed.

    Sphinx runs in a folder of its own, with warnings as errors. Only what came
    out whole takes the place of the last pages and notebooks.

    Args:
        book: a `Book`.
        outputs: the name of each chapter -> the outputs of its cells.
        build: the folder to write to.
        out: where progress is printed.
        solved: the name of a chapter -> its solutions, and their outputs as
            `solutions.write` has them.
        seconds: the name of a chapter -> what its cells took, if known.

    Returns:
        bool: whether anything was rendered.

    Raises:
        BookError: if a picture has no words for those who do not see it, or
            Sphinx finds a fault, with its words.
    """
    notebooks, pages = _written(book, outputs, solved or {}, seconds or {})
    key = _key(book, notebooks, pages)
    stamp = build / 'html' / '.key'
    made = [stamp, *(build / 'notebooks' / name for name in notebooks)]
    if all(path.exists() for path in made) and stamp.read_text() == key:
        print('pages: nothing changed', file=out)
        return False
    print('pages: rendering', file=out, flush=True)
    build.mkdir(parents=True, exist_ok=True)
    with drafted(build, is_folder=True) as draft:
        shutil.copytree(HERE / 'static', draft / 'source' / 'static')
        shutil.copy(HERE / 'conf.py', draft / 'source')
        if (book.folder / 'img').is_dir():
            shutil.copytree(book.folder / 'img', draft / 'source' / 'img')
        for folder, files in (('source', pages), ('notebooks', notebooks)):
            for name, text in files.items():
                write_text(draft / folder / name, text)
        _sphinx(book, draft)
        for page in (draft / 'html').rglob('*.html'):
            # The theme for Python 3.9 and 3.10 fetches fonts ahead, which
            # browsers refuse from file://. Its icons do without them.
            text = page.read_text(encoding='utf-8')
            page.write_text(FONTS.sub('', text), encoding='utf-8')
        # The pages' download button gives the notebook for readers.
        for name, text in notebooks.items():
            write_text(draft / 'html' / '_sources' / name, text)
        (draft / 'html' / '.key').write_text(key)
        swap(draft / 'notebooks', build / 'notebooks')
        swap(draft / 'html', build / 'html')
    return True


def write_notebooks(book, build, solved=None):
    """Write `build/notebooks` without outputs, for who runs them.

    Args:
        book, build, solved: as `render` has them.
    """
    for name, text in _written(book, {}, solved or {}, {})[0].items():
        write_text(build / 'notebooks' / name, text)
    # The next pages bring notebooks with outputs.
    (build / 'html' / '.key').unlink(missing_ok=True)


def _key(book, *texts):
    """A digest of all that the pages depend on."""
    files = {
        str(path): path.read_bytes().hex()
        for folder in (book.folder, HERE)
        for path in sorted(folder.rglob('*'))
        if path.is_file() and path.suffix != '.pyc'
    }
    return digest(files, texts)


def swap(new, old):
    """Put a folder in the place of another, which is there until then."""
    if old.exists():
        old.rename(new.with_name(f'old-{old.name}'))
    new.rename(old)


def _notebook(chapter, outputs, texts):
    """A notebook with the chapter's code and outputs, and other texts.

    Outputs are `None` if it was not run. A text more than the chapter has is a
    cell at the end.
    """
    new = nbformat.v4
    if outputs is None:
        texts = map(claims.unmark, texts)
        runs = itertools.repeat((None, ()))
    else:
        runs = enumerate(outputs, 1)
    cells, texts = [], iter(texts)
    for i, cell in enumerate(chapter.shown):
        if cell.kind == 'code':
            count, found = next(runs)
            made = new.new_code_cell(cell.source, execution_count=count)
            made.outputs = [described(chapter, cell, x) for x in found]
            if cell.words:
                made.metadata.mystnb = {'image': {'alt': cell.words}}
        else:
            made = new.new_markdown_cell(next(texts))
        made.id = f'cell-{i}'
        cells.append(made)
    cells += [new.new_markdown_cell(text, id='references') for text in texts]
    kernel = {'name': 'python3', 'display_name': 'Python 3'}
    # Its lexer colors `%time` and `!ls`, too.
    language = {'name': 'python', 'pygments_lexer': 'ipython3'}
    metadata = {'kernelspec': kernel, 'language_info': language}
    return new.new_notebook(cells=cells, metadata=metadata)


def _sphinx(book, draft):
    command = [sys.executable, '-m', 'sphinx', '-q', '-W', '--keep-going']
    titles = [f'project={book.title}', f'html_title={book.title}']
    makers = [f'author={book.author}', f'copyright={book.author}']
    for setting in titles + makers:
        command += ['-D', setting]
    command += ['-d', draft / 'doctrees', draft / 'source', draft / 'html']
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        if os.strerror(errno.ENOSPC) in run.stderr:
            raise OSError(errno.ENOSPC, f'the disk of {draft.parent} is full')
        told = _in_chapters(book, run.stderr.strip(), draft.resolve())
        raise BookError(f'the pages could not be rendered:\n{told}')


def _in_chapters(book, told, folder):
    """Sphinx's words with places in the chapters, not in the notebooks."""
    told = told.replace(f'{folder}/source/', f'{book.folder.name}/')
    shown = {chapter.name: chapter.shown for chapter in book.chapters}

    def place(match):
        # MyST-NB counts a notebook's lines as 10000 * cell + line.
        cell, line = divmod(int(match[2]), 10000)
        if not 0 < cell <= len(shown[match[1]]):
            return match[0]
        return f'{match[1]}.md:{shown[match[1]][cell - 1].line + line - 1}'

    names = '|'.join(map(re.escape, shown))
    return re.sub(rf'\b({names})\.ipynb:(\d+)', place, told)


def _times(book, seconds):
    """A table of the chapters: how long one reads, and how long they ran."""
    rows = ['| | chapter | to read | to run |', '|--:|---|--:|--:|']
    for i, chapter in enumerate(book.chapters, 1):
        words = ' '.join(cell.source for cell in chapter.shown).split()
        minutes = math.ceil(len(words) / WORDS_PER_MINUTE)
        ran = seconds.get(chapter.name) if chapter.code else None
        ran = '' if ran is None else f'{ran:.0f} s'
        link = f'[{chapter.title}]({chapter.name}.ipynb)'
        rows.append(f'| {i} | {link} | {minutes} min | {ran} |')
    return '\n'.join(rows)


def _written(book, outputs, solved, seconds):
    """The notebooks for readers and the pages: twice, file name -> text."""
    numbers = marks.number(book)
    references = References(book.folder / 'references.bib')
    notebooks, pages = {}, {}
    for chapter in book.chapters:
        for page, files in enumerate((notebooks, pages)):
            own = solved.get(chapter.name)
            texts = _texts(chapter, numbers, references, page, own)
            made = _notebook(chapter, outputs.get(chapter.name), texts)
            if chapter.code and not page:
                # From `_build/notebooks` the project is two folders above.
                source = '../' * (2 + chapter.name.count('/'))
                setup = SETUP.format(package=book.library.name, source=source)
                setup = nbformat.v4.new_code_cell(setup, id='setup')
                made.cells.insert(0, setup)
            files[f'{chapter.name}.ipynb'] = nbformat.writes(made)
    texts = '\n\n'.join(_texts(book.index, numbers, references, True))
    pages['index.md'] = texts.replace(marks.TIMES, _times(book, seconds))
    return notebooks, pages


def _texts(chapter, numbers, references, page, own=None):
    """The texts of a chapter, its own solutions in them, if there are any.

    There is one more for what it cites, which is left out if the chapter says
    where the list is to stand.
    """
    cited = {}

    def link(words, key):
        cited[key] = f'{chapter.name}-{key}'
        return f'[{words}](<#{cited[key]}>)' if page else words

    cite = functools.partial(references.cite, link=link)
    texts = [
        marks.write(chapter, cell, numbers, cite, page)
        for cell in chapter.text
    ]
    if own:
        sections = solutions.write(*own, numbers, cite, page)
        texts = [solutions.fold(text, sections) for text in texts]
    if not page:
        texts = [embedded(text, chapter.path.parent) for text in texts]
    listing = '\n'.join(
        f'- ({cited[key]})=\n  {text}' if page else f'- {text}'
        for text, key in references.listing(cited)
    )
    if any(marks.REFERENCES in text for text in texts):
        return [text.replace(marks.REFERENCES, listing) for text in texts]
    title = '```{rubric} References\n```' if page else '## References'
    return [*texts, f'{title}\n\n{listing}'] if cited else texts
