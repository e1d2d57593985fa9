//! Room `changelog`.
