"""Files: written whole or not at all, locked, hashed; and room on the disk for them.

A user's own path is written by `pretrained_embed.files.replacement`, which follows a
link as it is named. Folders that the package keeps for itself, such as the cache, are
used by `pretrained_embed.files.safe_path`, which follows no link inside them. Nothing
here knows what the bytes mean.
"""
