"""The fulfillment service: picks, packs and sends what one location promised to an order."""
