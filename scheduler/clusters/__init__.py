"""Clusters as they are at present: asked by one poller each, read by everybody from our rows; what their operators do."""
