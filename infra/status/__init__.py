"""`fairroll status`: probes of a running pipeline, and the report of what is wrong."""
