"""Hold and resume of a site's face recognition."""
