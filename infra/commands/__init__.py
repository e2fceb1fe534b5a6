"""The commands of `fairroll`, one module each under the name that is typed, in the groups of `fairroll --help`."""
