//! Room `operation`.
