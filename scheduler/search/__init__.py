"""Find the thing that is free: words, facets and a requirement in, the next free slot and its price out."""
