"""The key holder: makes, steps and destroys the keys of templates at rest."""
