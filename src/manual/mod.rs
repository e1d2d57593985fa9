//! The manual: how the server is built and why, kept beside the code so that it moves with it.
