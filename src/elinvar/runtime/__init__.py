"""Floor 6: native code in memory: buffers, the object cache, programs and the thread pool."""
