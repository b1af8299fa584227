"""Insights: windowed sales, order rates and stock cover, summed from the topics."""
