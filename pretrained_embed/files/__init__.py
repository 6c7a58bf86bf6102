"""Files: atomic writing, locks, digests, and free space on the disk.

`pretrained_embed.files.replacement` writes a user's path, and follows a link there.
`pretrained_embed.files.safe_path` uses the package's own folders, such as the cache,
and follows no link inside them.
"""
