"""Features of videos: made by a pretrained network, kept in a folder."""
