import html
import io
import json
import pathlib
import re

import pytest

from d2l_gan.book.read import BookError, read_book
from d2l_gan.book.slides import slides

ROOT = pathlib.Path(__file__).parent.parent
REVEAL = ROOT / '.venv-classroom'

CHAPTER = '''\
# The One

Nobody sees this. [**Many,**] many, (**like `a[0]`, do**), `[**not this**]`.

(**$$a = b,$$**)
:eqlabel:`eq_a`

Nor this.

```{.python .input}
unmarked()
```

## Part Two

[~~Own Title~~]
Text, (**the end of which,**) it says in :eqref:`eq_a`.

* [**first**] of all
* (**second;**)
  and (**more**), see (**:ref:`sec_two`**)

```{.python .input}
#@save
def f(x):
    """A docstring."""
    return x < 1
```

```{.python .input}
f(2)
```

(**Drawn**):

```{.python .input}
%matplotlib inline
```

```{.python .input}
draw()
```

[**Long**]

```{.python .input}
LONG
```
'''
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
LINES = '\n'.join(f'x{i} = {i}' for i in range(30))


def printed(text):
    return [{'output_type': 'stream', 'name': 'stdout', 'text': text}]


OUTPUTS = [
    [], [], printed('False\n'), [],
    [{'output_type': 'display_data', 'data': {'image/svg+xml': SVG}}],
    printed('all\n'),
]  # fmt: skip


def make(make_book, tmp_path, text, outputs, reveal=None):
    """Make decks of one chapter; gives the folder, and the slides' HTML."""
    folder = make_book(
        text,
        **{
            'index.md': '# A Book\n\n```toc\none\ntwo\n```\n',
            'two.md': '# Two\n:label:`sec_two`\n',
        },
    )
    if reveal is None:
        reveal = tmp_path / 'reveal'
        for name in ('reveal.js', 'reveal.css'):
            path = reveal / 'some' / 'dist' / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text('')
    build = tmp_path / 'build'
    found = {'one': outputs, 'two': []}
    slides(read_book(folder), found, build, reveal, io.StringIO())
    deck = (build / 'slides' / 'one.html').read_text()
    return build / 'slides', re.findall(r'<section.*?</section>', deck, re.S)


def words(part):
    """The text of a slide, without its spaces."""
    return ''.join(html.unescape(re.sub(r'<[^>]+>', '', part)).split())


def test_slides_show_what_is_marked_and_nothing_else(make_book, tmp_path):
    text = CHAPTER.replace('LONG', LINES)
    folder, deck = make(make_book, tmp_path, text, OUTPUTS)
    assert [words(part) for part in deck] == [
        'Chapter1TheOneABook',
        r'TheOneMany.Likea[0],do\[a=b\]',
        'OwnTitleTheendofwhich.',
        'PartTwoFirstSecond.MoreTwodeff(x):returnx<1f(2)FalseDrawn',
        'PartTwoLongall',
    ]
    assert 'src="reveal.js"' in (folder / 'one.html').read_text()
    assert '<li>First</li>\n<li>Second. More' in deck[3]
    assert '<a href="two.html">Two</a>' in deck[3]
    assert (
        deck[3].count('<img') == 1 and 'data:image/svg+xml,%3Csvg' in deck[3]
    )
    assert (folder / 'img' / 'a.svg').exists()
    assert '<a href="one.html">The One</a>' in (
        (folder / 'index.html').read_text()
    )


def test_decks_need_reveal(make_book, tmp_path):
    (tmp_path / 'none').mkdir()
    with pytest.raises(BookError, match=r'no reveal\.js lies here'):
        make(make_book, tmp_path, '# One\n', [], tmp_path / 'none')


# Gives the lowest and the rightmost end of what each slide holds, as parts of
# its height and width.
MEASURE = """<script>
MathJax.startup.promise.then(() => setTimeout(() => {
  const found = [...document.querySelectorAll('.slides > section')].map(
    (slide, i) => {
      Reveal.slide(i);
      const frame = slide.getBoundingClientRect();
      const ends = [...slide.querySelectorAll('*')].map((part) => {
        const { width, right, bottom } = part.getBoundingClientRect();
        return width ? [right, bottom] : [0, 0];
      });
      return [
        (Math.max(...ends.map((x) => x[0])) - frame.left) / frame.width,
        (Math.max(...ends.map((x) => x[1])) - frame.top) / frame.height,
      ];
    });
  document.body.append(Object.assign(document.createElement('output'),
    { id: 'found', textContent: JSON.stringify(found) }));
}, 500));
</script>"""


def ends(browse, deck):
    """Open a deck in a browser; gives the ends of what its slides hold."""
    copy = deck.with_name(f'measured-{deck.name}')
    try:
        copy.write_text(deck.read_text() + MEASURE)
        tree, logged, asked = browse(copy, '--window-size=1280,720')
    finally:
        copy.unlink()
    assert logged == asked == []
    (found,) = re.findall('<output id="found">(.*?)</output>', tree, re.S)
    return json.loads(html.unescape(found))


@pytest.mark.skipif(
    not REVEAL.exists(), reason='there is no reveal.js here: make slides'
)
def test_code_becomes_as_small_as_it_must(make_book, tmp_path, browse):
    code = '\n'.join(f'x = {i}' for i in range(21))
    text = f'# One\n\n[**{"Many words. " * 25}**]\n\n'
    text += f'```{{.python .input}}\n{code}\n```\n\n[**{"Words. " * 400}**]\n'
    folder, deck = make(make_book, tmp_path, text, [[]], REVEAL)
    found = ends(browse, folder / 'one.html')
    assert len(found) == len(deck) == 3
    assert all(right <= 1 and bottom <= 1 for right, bottom in found[:2])
    assert found[2][1] > 1  # so the measure can fail


DECKS = sorted((ROOT / '_build' / 'slides').glob('[!i]*.html'))


@pytest.mark.parametrize('deck', DECKS or [None], ids=lambda x: x and x.stem)
def test_no_slide_of_the_book_overflows(browse, deck):
    if deck is None:
        pytest.skip('there are no decks here: make slides')
    found = ends(browse, deck)
    assert 8 <= len(found) <= 24
    for i, (right, bottom) in enumerate(found, 1):
        assert right <= 1 and bottom <= 1, f'slide {i} of {deck.stem}'
