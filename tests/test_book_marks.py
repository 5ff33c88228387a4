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
        'sec_one': 'Section 1',
        'fig_a': 'Figure 1.1',
        'eq_a': '(1.1)',
        'tab_a': 'Table 1.1',
        'sec_two': 'Section 1.1',
    }
    assert numbers.title['sec_two'] == 'The Two'


def test_myst(book):
    (chapter,) = book.chapters
    text = marks.myst(chapter, chapter.cells[0])
    assert text.startswith('(sec_one)=\n# The One\n')
    assert '{numref}`fig_a`, {numref}`tab_a`, {eq}`eq_a`' in text
    assert '{ref}`sec_two`' in text
    assert '{cite:p}`one-Doe.1999,one-Roe.2000`' in text
    assert '{cite:t}`one-Doe.1999`' in text
    assert '`` :numref:`fig_a` ``' in text and '``:cite:`x` ``' in text
    assert (
        '```{figure} img/a.svg\n:name: fig_a\n:width: 100px\n:align: center\n'
        ':alt: A square, as in :eqref:eq_a.\n\n'
        'A *square*, as in {eq}`eq_a`.\n```' in text
    )
    assert '```{math}\n:label: eq_a\n\na^2 + b^2 = c^2.\n```' in text
    assert (
        '```{table} A table of $x$.\n:name: tab_a\n\n| a | b |\n| - | - |\n'
        '| 1 | 2 |\n```' in text
    )
    assert '(sec_two)=\n## The Two' in text
    assert '# not a heading\n:label:`sec_code`' in text


def test_plain(book):
    (chapter,) = book.chapters
    text = marks.plain(
        chapter,
        chapter.cells[0],
        marks.number(book),
        lambda keys, in_sentence: f'<{"+".join(keys)} {in_sentence}>',
    )
    assert text.startswith('# 1 The One\n')
    assert 'See Figure 1.1, Table 1.1, (1.1), Section 1.1 and\nThe Two' in text
    assert '<Doe.1999+Roe.2000 False> after <Doe.1999 True>' in text
    assert '**Figure 1.1:** A *square*, as in (1.1).' in text
    assert '$$\na^2 + b^2 = c^2. \\tag{1.1}\n$$' in text
    assert '**Table 1.1:** A table of $x$.\n\n| a |' in text
    assert '## 1.1 The Two' in text
    assert ':label:' not in text.replace(':label:`sec_code`', '')


def test_a_reference_to_another_chapter_is_a_link(make_book):
    folder = make_book(
        '# One\n:label:`sec_one`\n',
        **{
            'two.md': '# Two\n:label:`sec_t`\n\nSee :numref:`sec_one`.\n',
            'index.md': '```toc\none\ntwo\n```\n',
        },
    )
    book = read_book(folder)
    text = marks.plain(
        book.chapters[1], book.chapters[1].cells[0], marks.number(book), None
    )
    assert text.startswith('# 2 Two') and '[Section 1](one.ipynb)' in text


def test_a_label_twice(make_book):
    book = read_book(make_book('# A\n:label:`x`\n\n## B\n:label:`x`\n'))
    with pytest.raises(BookError, match=r'one\.md:5: the label x .*twice'):
        marks.number(book)


def test_a_reference_to_nowhere(book):
    with pytest.raises(BookError, match='`sec_none` refers to a label'):
        marks.plain(
            book.chapters[0],
            Cell('text', ':numref:`sec_none`', 1),
            marks.number(book),
            None,
        )
