"""What knows nothing of mutual information: configuration, processes, files, finite numbers."""
