"""Templates over HTTP: the templates themselves, their instances one by one, and instances by the million."""
