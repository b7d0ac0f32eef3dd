"""Images: reading them, and the recipe, network and localizer for them."""
