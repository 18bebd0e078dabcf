"""A pipeline of tiny stages with the shape of the real one, so that the flow is tested in seconds."""
