"""Writers, plots and the HTML page."""
