import pytest
from conftest import BOOK

from d2l_gan.book.read import BookError, read_book, read_chapter

CHAPTER = """\
# Title
:label:`sec_one`

Some text.

```{.python .input}
x = 1

y = 2
```

```bash
make it
```

````
```{.python .input}
not a cell
```
````

```{.python .input  n=3}
#@tab pytorch
left out
```

```{.python .input}
#@tab mxnet, tensorflow
z = 3
```
```{.python .input}
%%tab all
w = 4
```

:begin_tab:`pytorch`
Left out.
:end_tab:

:begin_tab:`mxnet, jax`
Kept.
:end_tab:
The end.
"""


def test_cells_are_those_of_d2l(make_book):
    chapter = read_chapter(make_book(CHAPTER) / 'one.md')
    kinds = [cell.kind for cell in chapter.cells]
    assert kinds == ['text', 'code', 'text', 'code', 'code', 'text']
    assert [c.source for c in chapter.code] == [
        'x = 1\n\ny = 2',
        'z = 3',
        'w = 4',
    ]
    assert 'not a cell' in chapter.cells[2].source
    assert chapter.cells[2].source.startswith('```bash')
    assert chapter.cells[-1].source == 'Kept.\nThe end.'
    assert chapter.title == 'Title' and chapter.name == 'one'


def test_every_cell_knows_its_line(make_book):
    path = make_book(CHAPTER) / 'one.md'
    lines = path.read_text().splitlines()
    for cell in read_chapter(path).cells:
        assert lines[cell.line - 1] == cell.source.splitlines()[0]


@pytest.mark.parametrize(
    'mark',
    [
        '#@tab MXNet',
        '# @tab pytorch , MXNET ',
        '%%tab  All',
        'x=1\n#@tab mxnet',
    ],
)
def test_tabs_are_read_in_any_case_and_with_blanks(make_book, mark):
    fence = '```{.python .input  n=3}\n'
    folder = make_book(
        f'\ufeff# One\r\n\r\n{fence}{mark}\ny = 2\n```\n\n'
        f'{fence}#@tab JAX\nno\n```\n\n{fence}%load_ext d2lbook.tab\n```\n\n'
        ':begin_tab:`PyTorch` \nNo.\n:end_tab: \n'
        ':begin_tab:`MXNet, jax`\nYes.\n:end_tab:\n'
    )
    chapter = read_chapter(folder / 'one.md')
    (cell,) = chapter.code
    assert cell.source.splitlines()[-1] == 'y = 2' and 'tab' not in cell.source
    assert [cell.source for cell in chapter.text] == ['# One', 'Yes.']


def test_branches_on_the_tab_are_taken(make_book):
    folder = make_book(
        '# One\n\n```{.python .input}\n%%tab all\ndef f():\n'
        "    if tab.selected('pytorch'):\n        x = 1\n\n        y = 1\n"
        '    if tab.selected("jax", \'mxnet\'):\n        x = 2\n'
        '    return x\n```\n'
    )
    (cell,) = read_chapter(folder / 'one.md').code
    assert cell.source == 'def f():\n    x = 2\n    return x'
    assert cell.lines == (5, 11, 12)


@pytest.mark.parametrize(
    'text', ['<!-- open\n\nText', ':begin_tab:`jax`\nText']
)
def test_what_is_never_closed_is_named(make_book, text):
    folder = make_book(f'# One\n\n{text}\n')
    with pytest.raises(BookError, match=r'one\.md:3: .*never closed'):
        read_chapter(folder / 'one.md')


def test_a_comment_holds_no_cells(make_book):
    folder = make_book(
        '<!--\n# Not\n\n```{.python .input}\nx\n```\n-->\n\n'
        '```bash\n# not\n```\n\n# One\n'
    )
    chapter = read_chapter(folder / 'one.md')
    assert chapter.code == [] and chapter.title == 'One'


def test_an_open_fence(make_book):
    folder = make_book('# One\n\n```{.python .input}\nx = 1\n')
    with pytest.raises(BookError, match=r'one\.md:3: .*never closed'):
        read_chapter(folder / 'one.md')


def test_a_file_that_is_no_text(make_book):
    folder = make_book('')
    (folder / 'one.md').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(BookError, match=r'one\.md: cannot be read'):
        read_chapter(folder / 'one.md')


def test_the_book(make_book):
    folder = make_book('# One\n')
    book = read_book(folder)
    assert [chapter.name for chapter in book.chapters] == ['one']
    assert (book.title, book.author) == ('A Book', 'Nobody')
    assert book.modules == {'one': 'first'}
    assert book.library == (folder / '../lib').resolve()


@pytest.mark.parametrize(
    'name, text, message',
    [
        ('config.ini', '[project]\ntitle = A\n', r'config\.ini: .*author'),
        ('config.ini', 'nonsense', r'config\.ini'),
        (
            'config.ini',
            BOOK['config.ini'] + 'two = first\n',
            r'config\.ini: two chapters',
        ),
        ('index.md', '# No contents\n', r'index\.md:1: .*toc'),
        ('index.md', '```toc\nnowhere\n```\n', r'nowhere\.md: cannot be read'),
    ],
)
def test_what_is_missing_is_named(make_book, name, text, message):
    with pytest.raises(BookError, match=message):
        read_book(make_book('# One\n', **{name: text}))


def test_settings_are_text_as_it_stands(make_book):
    config = BOOK['config.ini'].replace('A Book', '100 % é')
    folder = make_book('# One\n', **{'config.ini': f'\ufeff{config}'})
    assert read_book(folder).title == '100 % é'
    (folder / 'config.ini').write_bytes(
        '[project]\ntitle = é'.encode('utf-16')
    )
    with pytest.raises(BookError, match=r'config\.ini: cannot be read'):
        read_book(folder)


def test_chapters_may_lie_in_folders(make_book):
    index = '```toc\n:maxdepth: 2\n\npart-1/one.md\n  part-2/one \none\n```\n'
    files = {'index.md': index, 'part-1/one.md': '', 'part-2/one.md': ''}
    book = read_book(make_book('# One\n', **files))
    names = ['part-1/one', 'part-2/one', 'one']
    assert [chapter.name for chapter in book.chapters] == names
    assert book.chapters[1].path == book.folder / 'part-2' / 'one.md'


def test_no_book_at_all(tmp_path):
    with pytest.raises(BookError, match=r'config\.ini: .*No such file'):
        read_book(tmp_path)
