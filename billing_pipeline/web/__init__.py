"""Pages for browsers: who may ask for them, and how they are served."""
