"""`fairroll calibrate`: photos in, report, picture and model file out."""
