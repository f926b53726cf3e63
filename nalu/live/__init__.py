"""Pages that train: widgets whose networks are trained in the browser, with the bits of `nalu.fit`."""
