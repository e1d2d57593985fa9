//! Room `name`.
