"""Photos that nobody labelled: their classes as files, and pictures to look at."""
