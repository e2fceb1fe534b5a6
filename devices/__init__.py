"""The dispenser: what stands at the site."""
