"""The dispenser software, and a simulated fleet of dispensers."""
