"""A matrix as one page for a browser: facts and a map of its tokens.

The page is one file that loads nothing and runs only its own script.
"""

from pretrained_embed.tools.page.document import page

__all__ = ["page"]
