"""Feature extractors: frames in, one feature vector a time step out."""
