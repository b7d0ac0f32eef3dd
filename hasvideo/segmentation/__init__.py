"""Semantic segmentation: a fully convolutional network on the encoder of an image localizer."""
