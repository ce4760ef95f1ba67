"""What puts right in the background what a run could not finish."""
