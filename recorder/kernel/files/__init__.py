"""Files, snapshots and backgrounds of conversations as values: of the kernel they import other values."""
