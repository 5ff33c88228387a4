"""Sentences that the build holds to what the cells above them found."""

import html
import re

import pytest

from d2l_gan.book.__main__ import main
from d2l_gan.book.claims import values, with_values
from d2l_gan.book.read import BookError, read_book

CHAPTER = """\
# One

```{.python .input}
xs = [3, 1, 2]
print(max(xs))
```

The largest number is 3, and all of them
are above 0. There are three.

```{.python .input}
#@claim all of them are above 0
assert all(x > 0 for x in xs)
```

```{.python .input}
#@claim There are three
assert len(xs) == 3
assert min(xs) < 2 < max(xs)
```
"""


@pytest.fixture
def build(make_book, tmp_path, monkeypatch, capsys):
    """Make pages of a chapter; gives the status, the output and the page."""
    monkeypatch.delenv('D2L_GAN_DATASET', raising=False)

    def build(chapter):
        folder, where = make_book(chapter), tmp_path / 'build'
        arguments = ['--chapters', folder, 'chapter', '--build', where]
        status = main(list(map(str, arguments)))
        page = where / 'html' / 'one.html'
        text = page.read_text() if page.exists() else ''
        return status, ''.join(capsys.readouterr()), text

    return build


def test_claims_are_marked_and_left_out(build, tmp_path):
    status, out, page = build(CHAPTER)
    assert status == 0 and '2 of 2 claims hold' in out
    prose = html.unescape(re.sub(r'<[^>]+>', '', page))
    assert 'are above 0.✓ There are three.✓' in prose
    assert 'assert' not in prose and '@claim' not in prose
    # Who points at a mark reads what was asserted.
    titles = re.findall(r'title="([^"]*)">✓', page)
    assert html.unescape(titles[0]) == 'assert all(x > 0 for x in xs)'
    notebook = (tmp_path / 'build/notebooks/one.ipynb').read_text()
    assert '✓' in notebook and '@claim' not in notebook
    assert 'cells need not run' in build(CHAPTER)[1]


def test_a_build_with_a_claim_that_is_not_true_fails(build):
    *_, first = build(CHAPTER)
    wrong = CHAPTER.replace('xs = [3, 1, 2]', 'xs = [3, 0, 2, 4]')
    for _ in range(2):  # the second time from the cache
        status, out, page = build(wrong)
        assert status == 1 and page == first
        message = out[out.index('error: ') :]
        assert 'one.md:12: "all of them are above 0" is not true:\n' in message
        assert 'assert all((x > 0 for x in xs))' in message
        assert 'xs is [3, 0, 2, 4]' in message
        # All that fail are named, each with its values.
        assert 'one.md:17: "There are three" is not true:\n' in message
        assert 'len(xs) is 4' in message
    assert build(CHAPTER)[0] == 0


def test_with_other_data_a_claim_is_only_reported(build, monkeypatch):
    wrong = CHAPTER.replace('len(xs) == 3', 'len(xs) == 4')
    assert build(wrong)[0] == 1
    monkeypatch.setenv('D2L_GAN_DATASET', 'mnist')
    status, out, page = build(wrong)
    assert status == 0 and '1 of 2 claims hold' in out
    assert 'with these data: ' in out and 'len(xs) is 3' in out
    assert page.count('✓</sup>') == page.count('✗</sup>') == 1


def test_a_claim_that_raises_is_named(build):
    status, out, _ = build(CHAPTER.replace('len(xs)', 'length'))
    assert status == 1
    assert '"There are three" is not true:\nNameError: name \'len' in out


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('There are three.', 'There are few.', r'md:17: .*stand 0 times'),
        ('The largest', 'There are three', r'md:17: .*stand 2 times'),
        ('@claim There are three', '@claim', r'md:17: .*"", stand'),
        ('assert all(x', 'print(x', r'md:12: this claim asserts nothing'),
        ('assert len(xs)', 'assert', r'md:18: this claim does not parse'),
    ],
)
def test_claims_that_are_about_nothing_are_refused(
    make_book, old, new, message
):
    with pytest.raises(BookError, match=message):
        read_book(make_book(CHAPTER.replace(old, new)))


def test_a_claim_needs_a_text(make_book):
    claim = '```{.python .input}\n#@claim nothing\nassert True\n```\n'
    with pytest.raises(BookError, match=r'one\.md:2: .*stand 0 times'):
        read_book(make_book(claim))


def test_assertions_tell_what_they_found():
    names = {'a': [1, 2], 'b': 0.5, 'x': 7}
    exec(with_values('c = 1\nassert sum(a) > b'), names)
    assert names['c'] == 1
    with pytest.raises(AssertionError) as caught:
        exec(with_values('assert sum(a) + x < b * 2 and max(a) > 1'), names)
    assert str(caught.value).split('\n') == [
        'assert sum(a) + x < b * 2 and max(a) > 1',
        '    sum(a) + x is 10',
        '    b * 2 is 1.0',
        '    max(a) is 2',
        '    a is [1, 2]',
        '    b is 0.5',
        '    x is 7',
    ]
    # A message of one's own stays.
    with pytest.raises(AssertionError, match=r'^so$'):
        exec(with_values("assert not a, 'so'"), names)
    # What cannot be evaluated by itself, or is no value, is left out.
    assert values('it', ['y + 1', 'max', 'b'], names) == 'it\n    b is 0.5'
