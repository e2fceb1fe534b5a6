"""What bounds a portion: the policy of a site, quotas, and the sizes that keep memory bounded."""
