"""``python -m pretrained_embed``: the command line without its script."""

from pretrained_embed.cli import main

if __name__ == "__main__":
    main()
