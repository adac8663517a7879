"""The way from answers and truth to what is written: checks first, then numbers, page and JSON."""
