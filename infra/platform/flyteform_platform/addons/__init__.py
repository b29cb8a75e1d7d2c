"""What the platform uses that others maintain: pinned charts, each of which can be left out."""
