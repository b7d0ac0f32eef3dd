"""Pixels of video files, of streams, and of image files."""
