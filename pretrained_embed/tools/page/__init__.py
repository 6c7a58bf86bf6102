"""A matrix as one page for a browser: what it is, and a map of its tokens.

Knows matrices and nothing of where they are from. The page is one file that loads
nothing and lets nothing run but its own script.
"""

from pretrained_embed.tools.page.document import page

__all__ = ["page"]
