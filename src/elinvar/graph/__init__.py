"""Floor 2: the graph of typed nodes: build, print, parse, verify, walk."""
