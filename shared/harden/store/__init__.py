"""The object store: content-addressed blobs and signed manifests."""
