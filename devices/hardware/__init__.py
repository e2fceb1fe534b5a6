"""Ports and drivers of the hardware: motor, camera, buttons, display; and the panel on top of them."""
