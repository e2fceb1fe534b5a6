"""Calibration: from photos of many people to the curve, the centre and the figures of a face model."""
