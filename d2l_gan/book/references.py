"""Reads the works that a book cites, and says them as print does."""

import functools
import re

from pybtex.database import Entry, parse_file
from pybtex.exceptions import PybtexError
from pybtex.plugin import find_plugin
from pybtex.richtext import Text

from d2l_gan.book.read import BookError

__all__ = ['References']

# Who is named for a work without authors and editors
INSTEAD = ('organization', 'institution', 'title')
# Where it appeared, if its entry lacks what its kind of work should have
WHERE = ('journal', 'booktitle', 'publisher', 'school', 'institution')


class References:
    """The entries of a BibTeX file, as words in a text and as a list.

    Args:
        path: the file, which is read when something is cited.
    """

    def __init__(self, path):
        self.path = path

    def cite(self, keys, in_sentence, place, link):
        """The words of a citation.

        Args:
            keys: of the works.
            in_sentence: whether the authors are part of the sentence.
            place: where this is, for the error.
            link: called with words and the entry; gives what to write.

        Raises:
            BookError: if the file is not there or not BibTeX, or has no such
                entry.
        """
        words = []
        for key in keys:
            if key not in self._entries:
                told = f'has no entry {key}, which is cited at {place}'
                raise BookError(f'{self.path}: {told}')
            entry = self._entries[key]
            names, year = _names(entry), _words(entry, 'year', 'date')[:4]
            year = year or 'n.d.'
            text = f'{names} ({year})' if in_sentence else f'{names}, {year}'
            words.append(link(re.sub(r'([][*_$`])', r'\\\1', text), entry.key))
        return ', '.join(words) if in_sentence else f'({"; ".join(words)})'

    def listing(self, keys):
        """Pairs of a text, in markdown, and the key of a work, sorted."""
        style = find_plugin('pybtex.style.formatting', 'plain')()
        backend = find_plugin('pybtex.backends', 'markdown')()
        pairs = []
        for key in keys:
            entry = self._entries[key]
            try:
                (made,) = style.format_entries([entry])
            except (PybtexError, AttributeError):
                # The style wants another field, or knows no such kind of work.
                (made,) = style.format_entries([_of_any_kind(entry)])
            pairs.append((made.text.render(backend), key))
        return sorted(pairs)

    @functools.cached_property
    def _entries(self):
        try:
            read = parse_file(str(self.path), 'bibtex', encoding='utf-8-sig')
        except (OSError, UnicodeError, PybtexError) as error:
            raise BookError(f'{self.path}: {error}') from None
        return read.entries


def _people(entry):
    return entry.persons.get('author') or entry.persons.get('editor') or []


def _names(entry):
    """Who made a work, as citations name them."""
    names = [
        str(Text.from_latex(' '.join(x.prelast_names + x.last_names)))
        for x in _people(entry)
    ]
    if not names:
        return _words(entry, *INSTEAD) or entry.key
    if len(names) > 2 or names[-1] == 'others':
        return f'{names[0]} et al.'
    return ' and '.join(names)


def _words(entry, *fields):
    """What the first of these fields says that an entry has."""
    text = next(filter(None, map(entry.fields.get, fields)), '')
    return str(Text.from_latex(text))


def _of_any_kind(entry):
    where = next(filter(None, map(entry.fields.get, WHERE)), '')
    fields = {'howpublished': where, **entry.fields}
    return Entry('misc', fields, {'author': _people(entry)})
