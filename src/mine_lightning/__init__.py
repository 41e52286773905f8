"""Mutual information neural estimation as native PyTorch Lightning."""
