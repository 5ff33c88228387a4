import base64
import html
import io
import mimetypes
import pathlib
import re

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from d2l_gan.animator import film
from d2l_gan.book import marks
from d2l_gan.book.read import BookError, read_book
from d2l_gan.book.render import render, write_notebooks
from d2l_gan.demo import demo
from d2l_gan.train import GAUSSIAN

ROOT = pathlib.Path(__file__).parent.parent

CHAPTER = """\
# The One
:label:`sec_one`

See :numref:`fig_b`, :numref:`tab_a`, :eqref:`eq_b` and :numref:`sec_two`, as
:citet:`Doe.1999` did :cite:`Doe.1999`.

$$a = 1$$
:eqlabel:`eq_a`

![One.](img/a.svg)
:label:`fig_a`

![Two.](img/a.svg)
:label:`fig_b`

```{.python .input}
print('hello')
```

$$a = 2$$
:eqlabel:`eq_b`

:A table.
:label:`tab_a`

| a | b |
| - | - |
| 1 | 2 |

## Other Things

### Deeper
:label:`sec_two`
"""

OUTPUT = {'output_type': 'stream', 'name': 'stdout', 'text': 'hello\n'}


def build(folder, where, output=OUTPUT):
    book = read_book(folder)
    outputs = {
        chapter.name: [[output] for _ in chapter.code]
        for chapter in book.chapters
    }
    return render(book, outputs, where, out=io.StringIO())


def words(page):
    """The text of a page, without tags."""
    return html.unescape(re.sub(r'<[^>]+>', '', page.read_text()))


def test_page_and_notebook_say_the_same_numbers(make_book, tmp_path):
    folder = make_book(CHAPTER)
    assert build(folder, tmp_path / 'build')
    text = words(tmp_path / 'build/html/one.html')
    assert 'See Figure 1.2, Table 1.1, (1.2) and Section 1.1.1, as' in (
        re.sub(r'\s+', ' ', text)
    )
    notebook = nbformat.read(tmp_path / 'build/notebooks/one.ipynb', 4)
    nbformat.validate(notebook)
    first = notebook.cells[1].source
    assert (
        'See [Figure 1.2](#fig_b), [Table 1.1](#tab_a), [(1.2)](#eq_b) and '
        '[Section 1.1.1](#1.1.1-Deeper), as' in first
    )
    assert 'Doe et al. (1999) did (Doe et al., 1999).' in first
    assert notebook.cells[2].outputs == [OUTPUT]
    assert '### 1.1.1 Deeper' in notebook.cells[3].source
    assert 'Richard Roe' in notebook.cells[-1].source
    # The page's download is this notebook, not the one that Sphinx read.
    download = tmp_path / 'build/html/_sources/one.ipynb'
    assert download.read_text() == nbformat.writes(notebook)


def test_all_that_d2l_and_ipython_allow_is_rendered(make_book, tmp_path):
    folder = make_book(
        '\ufeff# One: $x$\r\n:label:`Sec_one`\r\n\r\nText $$a = 1$$ here, '
        '50\r\n% of :cite:`Ed+2`, :ref:`Sec_one`.\r\n\r\n'
        '```{.python .input}\r\n%%writefile x\r\n$ ! ?\r\n```\r\n\r\n'
        '```{.python .input}\r\n!ls\r\n'
        'len?\r\nx = !ls\r\n```\r\n\r\n'
        '* ![A: "b" #c.](img/a.svg)\r\n  :width:`70%`\r\n  :label:`fig`\r\n'
        '\r\n```{.bash}\r\nls\r\n```\r\n\r\n#### Deep\r\n\r\n## Back\r\n\r\n'
        '# Works\r\n\r\n:bibliography:`../d2l.bib`\r\n',
        **{
            'references.bib': '@book{Ed+2, title={The {GAN} Book},\n'
            'editor={Sch{\\"o}lkopf, B. and {Le Cun}, Y.}}\n',
            'index.md': '# Book\n\nSee :numref:`fig`.\n\n'
            '```toc\n:numbered:\n\none \n```\n',
        },
    )
    assert build(folder, tmp_path / 'build', {**OUTPUT, 'text': '\x1b[1m'})
    page = (tmp_path / 'build/html/one.html').read_text()
    text = words(tmp_path / 'build/html/one.html')
    assert '(Schölkopf and Le Cun, n.d.)' in text and 'The GAN book' in text
    assert '% of' in text and '1.1 Deep' in text and '1.2 Back' in text
    assert page.count('References') == 0 and ':bibliography:' not in text
    assert 'alt="A: &quot;b&quot; #c."' in page and 'width: 70%' in page
    assert 'See Figure 1.1.' in words(tmp_path / 'build/html/index.html')
    notebook = nbformat.read(tmp_path / 'build/notebooks/one.ipynb', 4)
    assert '(Schölkopf and Le Cun, n.d.)' in notebook.cells[1].source
    assert 'The GAN book' in notebook.cells[-1].source.split('# 2 Works')[1]


def test_chapters_may_lie_in_folders(make_book, tmp_path):
    text = CHAPTER.replace('(img/', '(../img/')
    files = {
        'a_part/one-1.md': f'{text}\nAs :numref:`sec_b` says.\n',
        'b/one-1.md': '# B\n:label:`sec_b`\n\nAfter :cite:`Doe.1999`.\n',
        'index.md': '# Book\n\n```toc\na_part/one-1\nb/one-1.md\n```\n',
    }
    where = tmp_path / 'build'
    assert build(make_book('', **files), where)
    page = (where / 'html/a_part/one-1.html').read_text()
    assert 'src="../_images/a.svg"' in page
    assert 'href="../b/one-1.html#sec-b"' in page
    notebook = nbformat.read(where / 'notebooks/a_part/one-1.ipynb', 4)
    nbformat.validate(notebook)
    assert notebook.cells[0].source.count("SOURCE = '../../../'\n") == 1
    assert '![One.][../img/a.svg]' in notebook.cells[1].source
    assert '[Chapter 2](../b/one-1.ipynb#2-B)' in notebook.cells[3].source
    files['b/one-1.md'] += '\n![Gone.](img/a.svg)\n'
    with pytest.raises(BookError, match=r'/b/one-1\.md:\d+: .*b/img/a\.svg'):
        build(make_book('', **files), where)


def test_a_notebook_travels_alone(make_book, tmp_path):
    folder = make_book(
        '# One\n\n![A.](img/a.svg)\n:label:`x`\n\nAs ![b](img/b.png) or '
        '![c](http://x.invalid/a.png).\n\n```{.python .input}\nx = 1\n```\n',
        **{'img/b.png': 'not looked at'},
    )
    write_notebooks(read_book(folder), tmp_path)
    notebook = nbformat.read(tmp_path / 'notebooks/one.ipynb', 4)
    setup, text, code = notebook.cells
    assert '![A.][img/a.svg]' in text.source
    assert '![b][img/b.png]' in text.source
    assert '![c](http://x.invalid/a.png)' in text.source
    for name in ('a.svg', 'b.png'):
        kind, data = re.search(
            rf'^\[img/{name}\]: data:(.*);base64,(.*)$', text.source, re.M
        ).groups()
        assert kind == mimetypes.guess_type(name)[0]
        file = folder / 'img' / name
        assert base64.b64decode(data) == file.read_bytes()
    assert [x.name for x in (tmp_path / 'notebooks').iterdir()] == [
        'one.ipynb'
    ]
    assert code.source == 'x = 1'

    # Where the library is, nothing is installed; where it is not, pip runs.
    class Shell:
        def run_line_magic(self, *words):
            ran.append(words)

    ran = []
    setup = TransformerManager().transform_cell(setup.source)
    exec(setup.replace("'lib'", "'json'"), {'get_ipython': Shell})
    assert not ran
    with pytest.raises(SystemExit, match='restart the kernel'):
        exec(setup, {'get_ipython': Shell})
    assert ran == [('pip', 'install $SOURCE')]


def test_notebooks_to_run_have_no_outputs(make_book, tmp_path):
    stamp = tmp_path / 'html/.key'
    stamp.parent.mkdir()
    stamp.touch()
    claim = (
        '\nIt holds.\n\n```{.python .input}\n#@claim It holds\nassert 1\n```'
    )
    write_notebooks(read_book(make_book(CHAPTER + claim)), tmp_path)
    notebook = nbformat.read(tmp_path / 'notebooks/one.ipynb', 4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get('outputs') and not cell.get('execution_count')
    # What was not run was not checked.
    assert 'It holds.' in str(notebook) and '✓' not in str(notebook)
    # Else `render` would think that the notebooks are still its own.
    assert not stamp.exists()


PIXEL = (
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81y'
    'tgAAAABJRU5ErkJggg=='
)


def test_pictures_say_what_they_show(make_book, tmp_path):
    picture = {
        'output_type': 'display_data',
        'metadata': {},
        'data': {'image/png': PIXEL, 'text/plain': '<Figure>'},
    }
    cell = '# One\n\n```{.python .input}\n#@save\n%s\ndraw()\n```\n'
    words = '#@alt A "dot",\n#     it\'s grey.\n# no more'
    assert build(make_book(cell % words), tmp_path / 'build', picture)
    page = (tmp_path / 'build/html/one.html').read_text()
    (image,) = re.findall('<img[^>]*_images/[^>]*>', page)
    alt = re.search('alt="([^"]*)"', image)[1]
    assert html.unescape(alt) == 'A "dot", it\'s grey.'
    notebook = nbformat.read(tmp_path / 'build/notebooks/one.ipynb', 4)
    made = notebook.cells[2]
    assert made.source == '#@save\n# no more\ndraw()'
    assert made.outputs[0].metadata == {
        'image/png': {'alt': 'A "dot", it\'s grey.'}
    }
    with pytest.raises(BookError, match=r'one\.md:4: .*picture.*#@alt'):
        build(make_book(cell % '# no words'), tmp_path / 'build', picture)


def test_the_times_of_the_chapters(make_book, tmp_path):
    index = '# Book\n\n```times\n```\n\n```toc\none\n```\n'
    book = read_book(make_book('# One\n\n' + 'word ' * 398 + '\n\n'
                               '```{.python .input}\nx = 1\n```\n',
                               **{'index.md': index}))  # fmt: skip
    render(book, {'one': [[]]}, tmp_path, io.StringIO(), seconds={'one': 61.4})
    page = (tmp_path / 'html/index.html').read_text()
    text = re.sub(r'\s+', ' ', words(tmp_path / 'html/index.html'))
    # 403 words: more than two minutes
    assert '1 One 3 min 61 s' in text
    assert re.search(r'href="one\.html"><span[^>]*>One<', page)


def test_nothing_is_rendered_twice(make_book, tmp_path):
    folder = make_book(CHAPTER)
    where = tmp_path / 'build'
    assert build(folder, where)
    assert not build(folder, where)
    make_book(CHAPTER.replace('as\n', 'just as\n'))
    assert build(folder, where)
    assert 'just as' in words(where / 'html/one.html')
    assert build(folder, where, dict(OUTPUT, text='bye\n'))
    assert 'bye' in words(where / 'html/one.html')
    assert sorted(p.name for p in where.iterdir()) == ['html', 'notebooks']


@pytest.mark.parametrize(
    'fault, message',
    [
        ('![Gone.](img/gone.svg)', r'one\.md:\d+: .*img/gone\.svg'),
        (':numref:`fig_none`', r'one\.md:\d+: .*fig_none'),
        (':cite:`None.2000`', r'references\.bib: has no entry None\.2000'),
    ],
)
def test_a_fault_is_named_and_the_last_pages_stay(
    make_book, tmp_path, fault, message
):
    where = tmp_path / 'build'
    assert build(make_book(CHAPTER), where)
    before = (where / 'html/one.html').read_bytes()
    with pytest.raises(BookError, match=message):
        build(make_book(f'{CHAPTER}\n{fault}\n'), where)
    assert (where / 'html/one.html').read_bytes() == before
    assert sorted(p.name for p in where.iterdir()) == ['html', 'notebooks']


def test_this_book_s_pages_say_all_numbers(pages):
    book = read_book(ROOT / 'chapters')
    numbers = marks.number(book)
    referred = 0
    for chapter in book.chapters:
        text = re.sub(r'\s+', ' ', words(pages / f'{chapter.name}.html'))
        for cell in chapter.text:
            for label in re.findall(r':(?:num|eq)ref:`(\w+)`', cell.source):
                assert numbers.text[label] in text
                referred += 1
    assert referred > 3


@pytest.fixture(scope='module')
def pages(tmp_path_factory):
    """This book's pages, with no outputs in them."""
    where = tmp_path_factory.mktemp('pages')
    book = read_book(ROOT / 'chapters')
    outputs = {
        chapter.name: [[] for _ in chapter.code] for chapter in book.chapters
    }
    render(book, outputs, where, out=io.StringIO())
    return where / 'html'


def test_the_browser_would_tell(browse, tmp_path):
    page = tmp_path / 'bad.html'
    page.write_text(
        '<img src="http://picture.invalid/x.png">'
        '<script>console.error("a fault")</script>'
    )
    _, logged, asked = browse(page)
    assert logged == ['a fault'] and asked == ['http://picture.invalid/x.png']


def test_this_book_s_pages_need_no_network(browse, pages):
    book = read_book(ROOT / 'chapters')
    for name in ('index', *(chapter.name for chapter in book.chapters)):
        tree, logged, asked = browse(pages / f'{name}.html')
        assert asked == without_theme(logged) == []
        formulas = len(re.findall(r'class="(?:amsmath )?math[ "]', tree))
        assert formulas or name == 'index'
        assert len(re.findall('<mjx-container', tree)) == formulas
        assert 'mjx-merror' not in tree and '\\(' not in words_of(tree)


def test_what_is_to_be_played_with_plays_in_the_page(
    make_book, browse, tmp_path
):
    picture = film(lambda fig, i: f'the {i}th', 2, (1, 1), seconds=9)
    settings = {'widths': (2,), 'lr_D': 1, 'lr_G': 1, 'beta1': 0}
    game = demo(GAUSSIAN, {'one': {**settings, 'batch_size': 8}})
    output = {
        'output_type': 'display_data',
        'metadata': {},
        'data': {'text/html': picture._repr_html_() + game.data},
    }
    assert build(make_book(CHAPTER), tmp_path, output)
    tree, logged, asked = browse(tmp_path / 'html' / 'one.html')
    assert asked == without_theme(logged) == []
    assert '<figcaption>the 1th</figcaption>' in tree
    assert 'G learns' in words_of(tree) and 'scripts may run' not in tree
    shown = nbformat.read(tmp_path / 'notebooks' / 'one.ipynb', 4)
    assert shown.cells[2].outputs == [output]


def without_theme(logged):
    """What was logged, but for what the theme tells of its colours."""
    words = '[PST]', 'Got invalid theme mode'
    return [line for line in logged if not line.startswith(words)]


def words_of(tree):
    body = re.sub(r'(?s)<(script|style|pre).*?</\1>', '', tree)
    return html.unescape(re.sub(r'<[^>]+>', '', body))
