import re

import pytest

from d2l_gan.book import marks
from d2l_gan.book.read import BookError, Cell, read_book

TEXT = """\
# The One
:label:`sec_one`

See :numref:`fig_a`, :numref:`tab_a`, :eqref:`eq_a`, :numref:`sec_two` and
:ref:`sec_two`, or :cite:`Doe.1999,Roe.2000` after :citet:`Doe.1999`.
But not `` :numref:`fig_a` `` there, nor ``:cite:`x` `` here.

![A *square*, as in :eqref:`eq_a`.](img/a.svg)
:width:`100px`
:label:`fig_a`

$$a^2 + b^2 = c^2.$$
:eqlabel:`eq_a`

$$\\text{no label}$$

:A table of $x$.
:label:`tab_a`

| a | b |
| - | - |
| 1 | 2 |

## The Two

:label:`sec_two`

```
# not a heading
:label:`sec_code`
```
"""


@pytest.fixture
def book(make_book):
    return read_book(make_book(TEXT))


def test_numbers_by_hand(book):
    numbers = marks.number(book)
    assert numbers.text == {
        'sec_one': 'Chapter 1',
        'fig_a': 'Figure 1.1',
        'eq_a': '(1.1)',
        'tab_a': 'Table 1.1',
        'sec_two': 'Section 1.1',
    }
    assert numbers.title['sec_two'] == 'The Two'


def cite(keys, in_sentence, place):
    return f'<{"+".join(keys)} {in_sentence} {place.rpartition("/")[2]}>'


def written(book, page=False):
    """The texts of the first chapter, joined."""
    chapter, numbers = book.chapters[0], marks.number(book)
    return '\n\n'.join(
        marks.write(chapter, cell, numbers, cite, page)
        for cell in chapter.text
    )


def test_myst(book):
    text = written(book, page=True)
    assert text.startswith('(sec_one)=\n# 1 The One\n')
    assert '[Figure 1.1](<#fig_a>), [Table 1.1](<#tab_a>), [(1.1)]' in text
    assert '[The Two](<#sec_two>)' in text
    assert '<Doe.1999+Roe.2000 False one.md:5> after <Doe.1999 True' in text
    assert '`` :numref:`fig_a` ``' in text and '``:cite:`x` ``' in text
    assert (
        '```{figure} img/a.svg\n:name: "fig_a"\n:width: "100px"\n'
        ':align: "center"\n:alt: "A square, as in (1.1)."\n\n'
        '**Figure 1.1:** A *square*, as in [(1.1)](<#eq_a>).\n```' in text
    )
    assert (
        '(eq_a)=\n\\begin{equation*}\\begin{split}\na^2 + b^2 = c^2.\n'
        '\\end{split}\\tag{1.1}\\end{equation*}' in text
    )
    assert (
        '```{table} **Table 1.1:** A table of $x$.\n:name: "tab_a"\n\n'
        '| a | b |\n| - | - |\n| 1 | 2 |\n```' in text
    )
    assert '(sec_two)=\n## 1.1 The Two' in text
    assert '# not a heading\n:label:`sec_code`' in text


def test_plain(book):
    text = written(book)
    assert text.startswith('# 1 The One\n')
    assert (
        'See [Figure 1.1](#fig_a), [Table 1.1](#tab_a), [(1.1)](#eq_a), '
        '[Section 1.1](#1.1-The-Two) and\n[The Two](#1.1-The-Two)' in text
    )
    assert '<Doe.1999+Roe.2000 False one.md:5> after <Doe.1999 True' in text
    assert (
        '<a id="fig_a"></a>\n\n![A square, as in (1.1).](img/a.svg)\n\n'
        '**Figure 1.1:** A *square*, as in [(1.1)](#eq_a).' in text
    )
    assert '<a id="eq_a"></a>\n\n$$\na^2 + b^2 = c^2. \\tag{1.1}\n$$' in text
    assert (
        '<a id="tab_a"></a>\n\n**Table 1.1:** A table of $x$.\n\n| a |' in text
    )
    assert '## 1.1 The Two' in text
    assert ':label:' not in text.replace(':label:`sec_code`', '')


def test_a_reference_to_another_chapter_is_a_link(make_book):
    folder = make_book(
        '# One\n:label:`sec_one`\n',
        **{
            'two.md': '# Two, (b)?\n:label:`sec_t`\n\n'
            'See :numref:`sec_one` and :numref:`sec_t`.\n',
            'index.md': '```toc\none\ntwo\n```\n',
        },
    )
    book = read_book(folder)
    chapter = book.chapters[1]
    text = marks.write(
        chapter, chapter.cells[0], marks.number(book), cite, False
    )
    assert text == (
        '# 2 Two, (b)?\n\nSee [Chapter 1](one.ipynb#1-One) and '
        '[Chapter 2](#2-Two%2C-%28b%29%3F).'
    )


def test_links_go_from_folder_to_folder(make_book):
    see = 'See :numref:`x`, :numref:`y` and :numref:`z`.'
    folder = make_book(
        f'# One\n:label:`x`\n\n{see}\n',
        **{
            'a/b.md': f'# Two\n:label:`y`\n\n{see}\n',
            'a/c.md': '# Three\n:label:`z`\n',
            'index.md': '```toc\none\na/b\na/c\n```\n',
        },
    )
    book = read_book(folder)
    numbers = marks.number(book)
    one, two = (
        marks.write(chapter, chapter.cells[0], numbers, cite, False)
        for chapter in book.chapters[:2]
    )
    assert one.endswith(
        'See [Chapter 1](#1-One), [Chapter 2](a/b.ipynb#2-Two) and '
        '[Chapter 3](a/c.ipynb#3-Three).'
    )
    assert two.endswith(
        'See [Chapter 1](../one.ipynb#1-One), [Chapter 2](#2-Two) and '
        '[Chapter 3](c.ipynb#3-Three).'
    )


FORMS = {
    'a label before its table': ': Words\n:label:`x`\n\n| a |\n| - |\n| 1 |',
    'a label behind its table': ':Words\n\n| a |\n| - |\n| 1 |\n:label:`x`',
    'a caption of two lines': ':Words\nand :cite:`k`.\n\n| a |\n|---|\n'
    '| 1 |\n\n:label:`x`',
    'an image with a caption of two lines': '![Two\nlines, $\\mathbf{v}_i$]'
    '(img/a.svg)\n:width:`70%`\n\n:height:`9px`\n:label:`x`',
    'an image with a title': '![A](<img/a.svg> "B (c) [d]")\n:label:`x`',
    'an image in a list': '* Item\n\n  ![One.](img/a.svg)\n  :label:`x`',
    'a label on the line of its equation': '$$a$$ :eqlabel:`x`',
    'an equation on slides': '(**$$a$$**)\n:eqlabel:`x`',
    'an equation in lines': '$$\na\n$$\n\n:eqlabel:`x`',
    'dollars in text': '$$a \\text{ if $b$ and $c$}$$\n:eqlabel:`x` ',
    'an equation behind text': 'Text:\n$$a$$\n:eqlabel:`x`',
    'an equation in a list': '1. Text\n\n   $$a$$\n   :eqlabel:`x`',
    'two backticks': '## A\n:label:``x``',
    'underlined': 'A\n---\n:label:`x`',
}


@pytest.mark.parametrize('form', FORMS.values(), ids=FORMS)
def test_marks_are_taken_as_d2l_takes_them(make_book, form):
    book = read_book(make_book(f'# One\n\n{form}\n\nSee :ref:``x``.\n'))
    called = marks.number(book).text['x']
    title = marks.number(book).title.get('x')
    for page in (False, True):
        text = written(book, page)
        assert (f'[{title or called}](<#x>)' in text) == page
        assert not re.search(
            r':[a-z]*label:`|:cite:|\$\$ *:|\*\*\$|:width:`', text
        )
        assert page or f'See [{title or called}](#' in text


def test_what_is_for_slides_is_only_there(make_book):
    book = read_book(
        make_book(
            '# One\n\n[**A model**] and (**two\n\n$$a$$\n\nmore**), '
            '(~~gone~~)\n'
            '[**a link**](x.html) and `f(**a)`, `g(**b)`.\n'
        )
    )
    assert written(book) == (
        '# 1 One\n\nA model and two\n\n$$\na\n$$\n\nmore, \n'
        '[**a link**](x.html) and `f(**a)`, `g(**b)`.'
    )


MISPLACED = {
    'of nothing': (
        'Words\n:label:`x`',
        r'md:4: `:label:` belongs .* behind a section',
    ),
    'in a line': ('A :label:`x` here', r'md:3: `:label:` belongs'),
    'of a section': (
        '## A\n:width:`9px`',
        r'md:4: `:width:` .*behind a figure',
    ),
    'unknown': ('See\n:numreff:`x`.', r'md:4: `:numreff:` is no mark'),
    'on its own': (':frobnicate:`x`', r'md:3: `:frobnicate:` is no mark'),
    'in a table': (':A\n\n| a |\n|---|\n| :x:`y` |', r'`:x:` is no mark'),
    'without a table': (
        ':A caption\n\nText',
        r'md:3: this caption .*no table',
    ),
    'contents': ('```toc\none\n```', r'md:3: only index\.md'),
    'times': ('```times\n```', r'md:3: only index\.md'),
}


@pytest.mark.parametrize('text, message', MISPLACED.values(), ids=MISPLACED)
def test_what_is_not_known_is_named(make_book, text, message):
    with pytest.raises(BookError, match=message):
        written(read_book(make_book(f'# One\n\n{text}\n')))


def test_what_is_no_heading_is_not_counted(make_book):
    book = read_book(
        make_book(
            '# One\n\n<!--\n## Not\n:label:`x`\n-->\n\n````\n## Not\n````\n\n'
            '    ## Not\n\n> ## Not\n\n## Same\n:label:`a`\n\n#### Deep\n'
            ':label:`b`\n\n## Same\n\nLast\n----\n:label:`c`\n',
            **{
                'index.md': '```toc\none\ntwo\n```\n',
                'two.md': '# Two\n\n$$a$$\n:eqlabel:`d`\n\n# More\n\n'
                '![](img/a.svg)\n\n![B.](img/a.svg)\n:label:`e`\n',
            },
        )
    )
    assert marks.number(book).text == {
        'a': 'Section 1.1',
        'b': 'Section 1.1.1',
        'c': 'Section 1.3',
        'd': '(2.1)',
        'e': 'Figure 3.1',
    }
    text = written(book)
    assert text.count('## Not') == 4 and '## 1.2 Same' in text


def test_a_label_twice(make_book):
    book = read_book(make_book('# A\n:label:`x`\n\n## B\n:label:`x`\n'))
    with pytest.raises(BookError, match=r'one\.md:4: the label x .*twice'):
        marks.number(book)


def test_a_reference_to_nowhere(book):
    with pytest.raises(
        BookError, match=r'md:9: .*`sec_none` refers to a label'
    ):
        marks.write(
            book.chapters[0],
            Cell('text', '\n:numref:`sec_none`', (4, 9)),
            marks.number(book),
            cite,
            True,
        )
