"""Start the pipeline: all of it on one machine, or one service in the foreground."""
