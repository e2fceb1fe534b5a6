"""`fairroll demo`: the main job on real parts."""
