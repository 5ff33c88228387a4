"""Solutions, which are run by themselves and shown folded."""

import html
import pathlib
import re

import nbformat
import pytest

from d2l_gan.book.__main__ import main
from d2l_gan.book.read import BookError, read_book
from d2l_gan.book.solutions import fold, read_solutions

ROOT = pathlib.Path(__file__).parent.parent

CHAPTER = """\
# One
:label:`sec_one`

1. This is no exercise.

## Exercises

1. How much is
   $1 + 1$?
1. And why?

   (Think.)
1. Who said so?

* This is no exercise either.
"""

SOLUTIONS = """\
# Solutions: One

```{.python .input}
from math import pi
```

## Exercise 1

By :numref:`sec_one` it is

$$1 + 1 = 2.$$

```{.python .input}
two = 1 + 1
print(two)
```

So it is two.

```{.python .input}
#@claim it is two
assert two == 2
```

## Exercise 2

```
## Exercise 2
```

* Because.

## Exercise 3

That was :citet:`Doe.1999`.
"""


@pytest.fixture
def build(make_book, tmp_path, monkeypatch, capsys):
    """Call the builder; gives the status, what was told, page and notebook."""
    monkeypatch.delenv('D2L_GAN_DATASET', raising=False)
    where = tmp_path / 'build'

    def build(command, solutions=SOLUTIONS, chapter=CHAPTER):
        folder = make_book(chapter, **{'solutions/one.md': solutions})
        arguments = ['--chapters', folder, *command.split(), '--build', where]
        status = main(list(map(str, arguments)))
        files = where / 'html/one.html', where / 'notebooks/one.ipynb'
        made = [f.read_text() if f.exists() else '' for f in files]
        return status, ''.join(capsys.readouterr()), *made

    return build


def words(page):
    return html.unescape(re.sub(r'\s+', ' ', re.sub('<[^>]+>', '', page)))


def test_solutions_are_run_and_checked(build):
    status, told, page, _ = build('solutions')
    assert status == 0 and '3 cells run, 1 of 1 claims hold' in told
    assert page == '' and '0 cells run' in build('solutions')[1]
    status, told, *_ = build('solutions', SOLUTIONS.replace('1 + 1\n', '3\n'))
    assert status == 1
    assert 'one.md:21: "it is two" is not true:\n' in told
    assert 'solutions/one.md' in told and 'two is 3' in told
    status, told, *_ = build('solutions', SOLUTIONS.replace('pi', 'pie'))
    assert status == 1 and 'solutions/one.md:4: cell 1 of 3' in told


def test_solutions_stand_folded_behind_their_exercises(build):
    build('solutions')
    status, told, page, notebook = build('chapter')
    assert status == 0, told
    body = page[page.index('<article') : page.index('</article')]
    needs, how, why, who = body.split('</details>')[:4]
    for part, exercise in (
        (how, 'How much is'), (why, '(Think.)'), (who, 'Who said so?')
    ):  # fmt: skip
        before, solution = part.split('<details class="solution">')
        assert exercise in before and '<summary>Solution<' in solution
    assert 'By Chapter 1 it is' in words(how)
    assert '1 + 1 = 2' in words(how) and 'class="math' in how
    assert 'So it is two.✓' in words(how)
    assert '<span class="n">two</span>' in how  # its code has colours
    assert re.search(r'<pre>(<span></span>)?2\n', how)  # what it printed
    assert '## Exercise 2' in words(why) and 'Because' in words(why)
    assert 'That was Doe et al. (1999)' in words(who)
    # One list, so that the numbers go on; what they need stands before it
    assert body.count('<ol') == 2
    assert 'from math import pi' in words(needs)
    assert 'On nothing' in words(body.partition('References')[2])

    shown = nbformat.reads(notebook, 4)
    nbformat.validate(shown)
    text = '\n'.join(cell.source for cell in shown.cells)
    assert '   <details class="solution">\n   <summary>Solution' in text
    assert '   ```python\n   two = 1 + 1\n' in text
    assert '   By [Chapter 1](#1-One) it is' in text and '@claim' not in text


def test_a_solution_may_stand_on_the_line_of_a_section(build):
    solutions = SOLUTIONS.replace('\n\n```', '\n```', 1)
    lines = CHAPTER.split('\n'), solutions.split('\n')
    assert lines[0].index('## Exercises') == lines[1].index('## Exercise 1')
    _, _, page, _ = build('chapter', solutions)
    assert page.count('<details class="solution">') == 4


def test_what_was_not_run_is_not_said_to_be_checked(build):
    _, _, page, _ = build('chapter')
    assert 'So it is two.' in words(page) and '✓' not in page
    assert '<pre><span></span>2\n' not in page
    build('solutions')
    assert '✓' in build('chapter')[2]
    assert '✓' not in build('chapter', SOLUTIONS.replace('= 1', '= 0'))[2]


def test_a_student_s_copy_has_none(build):
    _, _, page, notebook = build('chapter')
    assert 'Because' in page and 'Because' in notebook
    status, _, page, notebook = build('chapter --no-solutions')
    assert status == 0 and 'How much is' in page
    for text in page, notebook:
        assert 'Because' not in text and '<details' not in text
        assert 'Doe' not in text


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('## Exercise 2\n\n```', '```', r'/one\.md:31: .*`Exercise 2`, not'),
        ('## Exercise 3', '### Three', r'rs/one\.md:13: .*no solution in'),
        ('That', '## Exercise 4\n\nThat', r'ns/one\.md:35: .*has only 3'),
    ],
)
def test_each_exercise_has_its_solution(make_book, old, new, message):
    assert SOLUTIONS.count(old) == 1
    text = SOLUTIONS.replace(old, new)
    book = read_book(make_book(CHAPTER, **{'solutions/one.md': text}))
    with pytest.raises(BookError, match=message):
        read_solutions(book)


def test_solutions_of_no_chapter_are_refused(make_book):
    book = read_book(make_book(CHAPTER, **{'solutions/two.md': SOLUTIONS}))
    with pytest.raises(BookError, match=r'two\.md:1: the book has no chapter'):
        read_solutions(book)


def test_an_exercise_keeps_its_paragraphs_and_its_place():
    text = '## Exercises\n\n1. A\n\n   b\n\n1. C\n   > d\n\nAfter.'
    assert fold(text, ['', 'x\n\ny', 'z']).split('\n') == [
        '## Exercises', '', '1. A', '', '   b', '',
        '   <details class="solution">', '   <summary>Solution</summary>', '',
        '   x', '', '   y', '', '   </details>', '', '',
        '1. C', '   > d', '',
        '   <details class="solution">', '   <summary>Solution</summary>', '',
        '   z', '', '   </details>', '', '',
        'After.',
    ]  # fmt: skip
    assert fold('1. A', ['', 'x']) == '1. A'


def test_a_picture_that_was_drawn_is_shown(build):
    draw = (
        'import base64\nfrom IPython.display import SVG, display\n'
        'display(SVG(\'<svg xmlns="http://www.w3.org/2000/svg"/>\'))'
    )
    text = SOLUTIONS.replace('from math import pi', f'#@alt A < B.\n{draw}')
    build('solutions', text)
    *_, page, notebook = build('chapter', text)
    for made in page, notebook.replace('\\"', '"'):
        assert (
            '<img alt="A &lt; B." src="data:image/svg+xml;base64,PHN2' in made
        )
    status, told, *_ = build('chapter', text.replace('@alt', ''))
    assert status == 0  # It was not run like that.
    build('solutions', text.replace('@alt', ''))
    status, told, *_ = build('chapter', text.replace('@alt', ''))
    assert status == 1 and re.search(r'ns/one\.md:4: .*a picture', told)


def test_this_book_s_solutions_fit_its_exercises():
    book = read_book(ROOT / 'chapters')
    for solution in read_solutions(book):
        assert solution.title.startswith('Solutions: '), solution.path
        assert all(
            len(line) < 80
            for cell in solution.program
            for line in cell.source.split('\n')
        ), solution.path


def test_every_chapter_with_exercises_has_solutions():
    book = read_book(ROOT / 'chapters')
    solved = {solution.name for solution in read_solutions(book)}
    asked = {
        f'solutions/{chapter.name}'
        for chapter in book.chapters
        if any('## Exercises' in cell.source for cell in chapter.text)
    }
    assert solved == asked and len(asked) > 10
