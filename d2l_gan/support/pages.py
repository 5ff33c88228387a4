"""HTML that brings its styles and scripts with it."""

__all__ = ['with_files']


def with_files(html, *paths):
    """Put styles and scripts behind HTML, for a page or an output cell.

    Args:
        html: the markup.
        paths: `pathlib.Path`s of `.css` and `.js` files. All scripts share a
            block, so that their names meet none of the page's.

    Returns:
        str: HTML that asks the network for nothing.
    """
    texts = {'.css': '', '.js': ''}
    for path in paths:
        texts[path.suffix] += path.read_text(encoding='utf-8')
    style, script = texts.values()
    return (
        f'{html}\n<style>\n{style}</style>\n'
        f'<script>\n{{\n{script}}}\n</script>'
    )
