import re

import pytest

from d2l_gan.book.read import BookError
from d2l_gan.book.references import References

WORKS = r"""
@article{two, author={Sch{\"o}lkopf, B. and {Le Cun}, Yann}, year=2000}
@inproceedings{van, author={van der Berg, X.}, title={A}, date={2001-02-03}}
@article{three, author={{\O}, A and B, B and C, C}, year=1999, title={A}}
@article{more, author={A, A and others}, year=1999, title={A}}
@book{edited, editor={K{\'{e}}, E.}, title={B}}
@thesis{group, organization={The Team}, year=2002}
@article{titled, title={Some $x$ in {GAN}s}, journal={A Journal}}
@misc{bare, note={Nothing}}
"""


@pytest.fixture
def references(tmp_path):
    """A function that reads the text of a file of references."""

    def read(text):
        path = tmp_path / 'references.bib'
        path.write_bytes(text)
        return References(path)

    return read


def cite(references, *keys, in_sentence=False):
    return references.cite(
        keys, in_sentence, 'one.md:3', lambda words, key: words
    )


@pytest.mark.parametrize(
    'key, words',
    [
        ('two', 'Schölkopf and Le Cun, 2000'),
        ('van', 'van der Berg, 2001'),
        ('three', 'Ø et al., 1999'),
        ('more', 'A et al., 1999'),
        ('edited', 'Ké, n.d.'),
        ('group', 'The Team, 2002'),
        ('titled', r'Some \$x\$ in GANs, n.d.'),
        ('bare', 'bare, n.d.'),
        ('TWO', 'Schölkopf and Le Cun, 2000'),
    ],
)
def test_works_are_cited_as_in_print(references, key, words):
    made = references(('\ufeff' + WORKS.replace('\n', '\r\n')).encode())
    assert cite(made, key) == f'({words})'
    names, _, year = words.rpartition(', ')
    assert cite(made, key, in_sentence=True) == f'{names} ({year})'


def test_every_work_is_listed_whatever_it_lacks(references):
    made = references(WORKS.encode())
    keys = re.findall(r'@\w+{(\w+),', WORKS)
    assert cite(made, *keys).count(';') == 7
    lines = {key: text.replace('\\', '') for text, key in made.listing(keys)}
    assert sorted(lines) == sorted(keys)
    assert 'Schölkopf and Yann Le Cun' in lines['two']
    assert 'A Journal' in lines['titled'] and '2002' in lines['group']
    assert 'Ké' in lines['edited']


@pytest.mark.parametrize(
    'text, message',
    [
        ('@misc{a, title={x}}\n@misc{a, title={y}}', r'bib: .*repeated.* a'),
        ('@misc{a, title={x}', r'bib: .*line 1'),
        ('@misc{a, title={x}}', r'bib: has no entry k, .* at one\.md:3'),
        ('\xe9', r'bib: .*utf-8'),
    ],
)
def test_a_fault_is_named(references, text, message):
    with pytest.raises(BookError, match=message):
        cite(references(text.encode('latin-1')), 'k')


def test_a_book_that_cites_nothing_needs_no_references(tmp_path):
    made = References(tmp_path / 'none.bib')
    assert made.listing([]) == []
    with pytest.raises(BookError, match=r'none\.bib'):
        cite(made, 'k')
