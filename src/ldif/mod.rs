//! Room `ldif`.
