"""`fairroll compliance`: the facts that an impact assessment of a site needs, each with the rule that it answers."""
