"""Keys of templates at rest: seals, each site's seal chain, and the files that hold keys."""
