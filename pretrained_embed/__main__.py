"""``python -m pretrained_embed`` runs the command line."""

from pretrained_embed.cli import main

if __name__ == "__main__":
    main()
