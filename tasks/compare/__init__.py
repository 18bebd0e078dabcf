"""Two evaluations of the same photos side by side, and how much of their difference may be chance."""
