"""Makes the pages and the notebooks of a book from its chapters."""

import errno
import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys

import nbformat

from d2l_gan.book import marks
from d2l_gan.book.imports import digest
from d2l_gan.book.read import BookError
from d2l_gan.book.references import References
from d2l_gan.support.files import drafted, write_text

__all__ = ['render', 'swap']

HERE = pathlib.Path(__file__).parent
FONTS = re.compile(r'<link rel="preload" as="font"[^>]*>\s*')


def render(book, outputs, build, out=sys.stderr):
    """Write `build/html` and `build/notebooks`, unless nothing changed.

    Sphinx runs in a folder of its own, with warnings as errors. Only what came
    out whole takes the place of the last pages and notebooks.

    Args:
        book: a `Book`.
        outputs: the name of each chapter -> the outputs of its cells.
        build: the folder to write to.
        out: where progress is printed.

    Returns:
        bool: whether anything was rendered.

    Raises:
        BookError: if Sphinx finds a fault, with its words.
    """
    notebooks, pages = _written(book, outputs)
    key = _key(book, outputs)
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
        for folder, files in (('source', pages), ('notebooks', notebooks)):
            if (book.folder / 'img').is_dir():
                shutil.copytree(book.folder / 'img', draft / folder / 'img')
            for name, text in files.items():
                write_text(draft / folder / name, text)
        _sphinx(book, draft)
        for page in (draft / 'html').rglob('*.html'):
            # The theme for Python 3.9 and 3.10 fetches fonts ahead, which
            # browsers refuse from file://. Its icons do without them.
            html = page.read_text(encoding='utf-8')
            page.write_text(FONTS.sub('', html), encoding='utf-8')
        # The pages' download button gives the notebook for readers.
        for name, text in notebooks.items():
            write_text(draft / 'html' / '_sources' / name, text)
        (draft / 'html' / '.key').write_text(key)
        swap(draft / 'notebooks', build / 'notebooks')
        swap(draft / 'html', build / 'html')
    return True


def _key(book, outputs):
    """A digest of all that the pages depend on."""
    files = {
        str(path): path.read_bytes().hex()
        for folder in (book.folder, HERE)
        for path in sorted(folder.rglob('*'))
        if path.is_file() and path.suffix != '.pyc'
    }
    texts = [cell.source for chapter in book.chapters for cell in chapter.text]
    return digest(files, texts, outputs)


def swap(new, old):
    """Put a folder in the place of another, which is there until then."""
    if old.exists():
        old.rename(new.with_name(f'old-{old.name}'))
    new.rename(old)


def _notebook(chapter, outputs, texts):
    """A notebook with the chapter's code and outputs, and other texts.

    A text more than the chapter has is a cell at the end.
    """
    new = nbformat.v4
    cells, outputs, texts = [], enumerate(outputs, 1), iter(texts)
    for i, cell in enumerate(chapter.shown):
        if cell.kind == 'code':
            count, found = next(outputs)
            made = new.new_code_cell(cell.source, execution_count=count)
            made.outputs = list(map(nbformat.from_dict, found))
        else:
            made = new.new_markdown_cell(next(texts))
        made.id = f'cell-{i}'
        cells.append(made)
    cells += [new.new_markdown_cell(text, id='references') for text in texts]
    kernel = {'name': 'python3', 'display_name': 'Python 3'}
    # Its lexer colors `%time` and `!ls`, too.
    language = {'name': 'python', 'pygments_lexer': 'ipython3'}
    metadata = {'kernelspec': kernel, 'language_info': language}
    return nbformat.writes(new.new_notebook(cells=cells, metadata=metadata))


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


def _written(book, outputs):
    """The notebooks for readers and the pages: twice, file name -> text."""
    numbers = marks.number(book)
    references = References(book.folder / 'references.bib')
    notebooks, pages = {}, {}
    for chapter in book.chapters:
        for page, files in enumerate((notebooks, pages)):
            texts = _texts(chapter, numbers, references, page)
            made = _notebook(chapter, outputs[chapter.name], texts)
            files[f'{chapter.name}.ipynb'] = made
    texts = _texts(book.index, numbers, references, True)
    pages['index.md'] = '\n\n'.join(texts)
    return notebooks, pages


def _texts(chapter, numbers, references, page):
    """The texts of a chapter, and one more for what it cites.

    That is left out if the chapter says where the list is to stand.
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
    listing = '\n'.join(
        f'- ({cited[key]})=\n  {text}' if page else f'- {text}'
        for text, key in references.listing(cited)
    )
    if any(marks.REFERENCES in text for text in texts):
        return [text.replace(marks.REFERENCES, listing) for text in texts]
    title = '```{rubric} References\n```' if page else '## References'
    return [*texts, f'{title}\n\n{listing}'] if cited else texts
