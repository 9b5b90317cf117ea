"""Storage, from fragments to objects: spool, multipart upload, stores, reading back."""
