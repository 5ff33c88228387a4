"""Pictures: words for those who do not see them, and notebooks with them."""

import base64
import html
import mimetypes
import re
import urllib.parse

import nbformat

__all__ = ['described', 'embedded']

IMAGE = re.compile(r'!\[([^]]*)\]\(([^)\s]+)\)')
MOVING = 'alt="a moving picture"'  # of a film, in its HTML


def described(chapter, cell, output):
    """Let the pictures of an output say what they show.

    Args:
        chapter: the `Chapter`.
        cell: that of its cells which the output is of; its words are taken.
        output: nbformat's, as a dictionary.

    Returns:
        nbformat.NotebookNode: the same with an `alt` in its metadata.

    Raises:
        BookError: if there is a picture and the cell has no words.
    """
    output = nbformat.from_dict(output)
    data = output.get('data', {})
    for kind in [x for x in data if x.startswith('image/')]:
        if not cell.words:
            told = 'this cell draws a picture: say what is to be seen in it, '
            raise chapter.error(cell.line, f'{told}with a comment `#@alt ...`')
        output.metadata[kind] = {'alt': cell.words}
        if 'text/html' in data:
            alt = f'alt="{html.escape(cell.words)}"'
            data['text/html'] = data['text/html'].replace(MOVING, alt)
    return output


def embedded(text, folder):
    """Put the pictures into a text that it shows out of files.

    Args:
        text: markdown.
        folder: where the paths in it begin.

    Returns:
        str: the same, with addresses that hold the files at its end.
    """
    addresses = {}

    def embed(match):
        name = match[2]
        path = folder / urllib.parse.unquote(name)
        if not path.is_file():
            return match[0]
        kind, _ = mimetypes.guess_type(path.name)
        data = base64.b64encode(path.read_bytes()).decode()
        addresses[name] = f'\n\n[{name}]: data:{kind};base64,{data}'
        return f'![{match[1]}][{name}]'

    return IMAGE.sub(embed, text) + ''.join(addresses.values())
