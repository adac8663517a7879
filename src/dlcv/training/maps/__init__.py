"""Maps of places, learned from pictures with poses in minutes; what ``dlcv map`` runs."""
